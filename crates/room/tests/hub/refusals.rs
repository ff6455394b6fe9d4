//! Joins that cannot be.

use std::collections::BTreeMap;

use room::{
    hub::{Grant, Input},
    limits,
    wire::signal::{ClientMessage, Join, RefusalCode},
};

use crate::table::{Table, join};

#[test]
fn impossible_joins_are_refused_and_leave_no_trace() {
    let mut table = Table::new();
    let many: BTreeMap<_, _> = (0..=limits::ATTRIBUTES_MAX).map(|n| (n.to_string(), String::new())).collect();
    for (join, code) in [
        (Join { v: 2, ..join(1) }, RefusalCode::BadVersion),
        (Join { name: "x".repeat(limits::NAME_MAX + 1), ..join(1) }, RefusalCode::BadName),
        (Join { name: "a\u{1b}[2J".to_owned(), ..join(1) }, RefusalCode::BadName),
        (Join { attributes: many, ..join(1) }, RefusalCode::BadAttributes),
        (Join { topology: Some("star".to_owned()), ..join(1) }, RefusalCode::TopologyUnavailable),
    ] {
        let conn = table.join_as(join, Some(Grant::open()));
        assert_eq!(table.refusal(conn), (code, true));
        assert_eq!(table.closed(conn), Some(Some(code)));
    }
    let identity = Some("x".repeat(limits::IDENTITY_MAX + 1));
    let conn = table.join_as(join(1), Some(Grant { identity, ..Grant::open() }));
    assert_eq!(table.refusal(conn), (RefusalCode::TokenInvalid, true));
    assert!(table.hub.is_empty() && table.hub.poll_timeout().is_none());
}

#[test]
fn names_and_topologies_that_can_be() {
    let mut table = Table::new();
    let names = ["x", "Ada Lovelace", "山田太郎", "👩‍👩‍👧"];
    for (number, name) in (1..).zip(names) {
        let topology = ["auto", "mesh"].get(usize::from(number)).map(|topology| (*topology).to_owned());
        let conn = table.join_as(Join { name: name.to_owned(), topology, ..join(number) }, Some(Grant::open()));
        assert_eq!(table.welcome(conn).this.name, name);
    }
    let named = Grant { name: Some("Boss".to_owned()), ..Grant::open() };
    let conn = table.join_as(join(9), Some(named));
    assert_eq!(table.welcome(conn).this.name, "Boss");
}

#[test]
fn second_join_on_a_connection_ends_it() {
    let mut table = Table::new();
    for again in [true, false] {
        let conn = table.join(1);
        table.inbox(conn);
        if again {
            table.say(conn, ClientMessage::Join(join(2)));
        } else {
            table.input(Input::Join { conn, join: Box::new(join(2)), grant: Some(Grant::open()) });
        }
        assert_eq!(table.refusal(conn), (RefusalCode::AlreadyJoined, true));
        assert_eq!((table.hub.members(), table.hub.away()), (1, 1));
    }
}

#[test]
fn roster_that_no_welcome_could_carry_is_not_let_grow() {
    let mut table = Table::new();
    // What is written as six bytes of JSON each.
    let attributes = BTreeMap::from([("k".to_owned(), "\u{1}".repeat(limits::ATTRIBUTES_BYTES - 1))]);
    let refused = (0..=255).find(|number| {
        let conn = table.join_as(Join { attributes: attributes.clone(), ..join(*number) }, Some(Grant::open()));
        table.closed(conn) == Some(Some(RefusalCode::RoomFull))
    });
    let fit = usize::from(refused.expect("the roster has a bound"));
    assert!((100..limits::ROSTER_BYTES / (6 * limits::ATTRIBUTES_BYTES) + 1).contains(&fit), "{fit}");
}
