//! Relays: who may be one, rooms that become stars by them, and letting them go.

use room::{
    hub::{Config, ConnId, Grant},
    limits,
    plan::Topology,
    time::Micros,
    wire::signal::{ClientMessage, GoneReason, Join, PinTopology, RefusalCode, RelayOffer, ServerMessage},
};

use crate::table::{Table, config, id, join};

const MEMBERS: [u8; 4] = [1, 2, 3, 4];

fn relay(number: u8, max_links: u16) -> Join {
    Join { relay: Some(RelayOffer { max_links: Some(max_links) }), ..join(number) }
}

/// A room of a server that has relays, as a mesh.
fn room() -> (Table, Vec<ConnId>) {
    let mut table = Table::with(Config { relay: true, ..config() });
    let conns = table.linked(&MEMBERS);
    (table, conns)
}

fn pin(table: &mut Table, conn: ConnId, topology: &str) {
    table.say(conn, ClientMessage::Topology(PinTopology { pin: topology.to_owned() }));
}

/// The relay has come, and links between it and everybody are up: the room is a star.
fn star(table: &mut Table, conns: &mut Vec<ConnId>) -> ConnId {
    pin(table, conns[0], "star");
    assert!(table.wants_relay);
    let conn = table.join_as(relay(9, 100), Some(Grant::relay()));
    conns.push(conn);
    table.pass_alive(Micros::from_secs(1), conns);
    assert_eq!(table.hub.planner().switching(), Some(Topology::Star));
    table.report(conn, &MEMBERS, &[], &[]);
    table.pass_alive(Micros::from_secs(1), conns);
    assert_eq!(table.hub.planner().topology(), Topology::Star);
    conn
}

#[test]
fn a_wish_for_a_star_waits_for_the_relay_and_then_moves_the_room() {
    let (mut table, mut conns) = room();
    assert!(!table.wants_relay);
    star(&mut table, &mut conns);
    table.pass_alive(limits::RETIRE_BY, &conns);
    for number in MEMBERS {
        assert_eq!(table.hub.planner().links_of(id(number)).map(|(peer, _)| peer).collect::<Vec<_>>(), [id(9)]);
    }
    assert!(table.wants_relay, "it is kept");

    pin(&mut table, conns[0], "mesh");
    table.pass_alive(Micros::from_secs(1), &conns);
    for (conn, number) in conns.clone().iter().zip(MEMBERS) {
        let others: Vec<u8> = MEMBERS.into_iter().filter(|other| *other != number).collect();
        table.report(*conn, &others, &[], &[]);
    }
    table.pass_alive(Micros::from_secs(1), &conns);
    assert!(table.hub.planner().topology() == Topology::Mesh && table.wants_relay, "links to it still carry");
    table.pass_alive(limits::RETIRE_BY, &conns);
    assert!(!table.wants_relay && table.hub.planner().links_of(id(9)).count() == 0);
}

#[test]
fn a_wish_that_no_relay_fulfils_is_refused_and_nothing_changes() {
    let (mut table, conns) = room();
    pin(&mut table, conns[1], "star");
    assert!(table.wants_relay);
    drop(table.inbox(conns[1]));
    table.pass_alive(limits::RELAY_TIMEOUT + Micros::from_secs(2), &conns);
    let refused = table.inbox(conns[1]).into_iter().find_map(|message| match message {
        ServerMessage::Refused(refused) => Some((refused.code, refused.fatal)),
        _ => None,
    });
    assert_eq!(refused, Some((RefusalCode::TopologyUnavailable, false)));
    assert!(!table.wants_relay && table.hub.planner().topology() == Topology::Mesh);
}

#[test]
fn who_enters_with_a_wish_for_a_star_is_let_in() {
    let mut table = Table::with(Config { relay: true, ..config() });
    let conn = table.join_as(Join { topology: Some("star".to_owned()), ..join(1) }, Some(Grant::open()));
    assert_eq!(table.welcome(conn).topology, "mesh");
    assert!(table.wants_relay);
    table.say(conn, ClientMessage::Leave {});
    assert!(!table.wants_relay, "nobody is there any more");
}

#[test]
fn a_relay_wants_a_grant_and_takes_nobodys_place() {
    let mut table = Table::with(Config { members_max: 1, ..config() });
    let conn = table.join_as(relay(9, 100), Some(Grant { relay: false, ..Grant::open() }));
    assert_eq!(table.refusal(conn), (RefusalCode::NotAllowed, true));
    let relay = table.join_as(relay(9, 100), Some(Grant::open()));
    assert!(table.welcome(relay).this.relay);
    let ada = table.join(1);
    assert_eq!(table.welcome(ada).members.iter().map(|member| member.relay).collect::<Vec<_>>(), [true]);
    let bob = table.join(2);
    assert_eq!(table.refusal(bob), (RefusalCode::RoomFull, true));
    assert_eq!(table.hub.planner().links_of(id(9)).count(), 0, "a mesh needs no relay");
}

#[test]
fn a_relay_that_drains_is_taken_over_before_its_links_close() {
    let (mut table, mut conns) = room();
    let first = star(&mut table, &mut conns);
    table.pass_alive(limits::RETIRE_BY, &conns);
    let second = table.join_as(relay(10, 100), Some(Grant::open()));
    conns.push(second);
    table.report(second, &[9], &[], &[]);
    table.pass_alive(Micros::from_secs(2), &conns);

    table.say(first, ClientMessage::Drain {});
    for number in MEMBERS {
        let planner = table.hub.planner();
        assert!(planner.linked(id(number), id(9)) && planner.linked(id(number), id(10)), "{number}: make before break");
    }
    table.report(second, &MEMBERS, &[], &[]);
    table.pass_alive(limits::RETIRE_AFTER + Micros::from_secs(1), &conns);
    for number in MEMBERS {
        assert!(!table.hub.planner().linked(id(number), id(9)), "{number}");
    }
    assert_eq!(table.hub.planner().topology(), Topology::Star);
    table.say(first, ClientMessage::Leave {});
    assert_eq!(table.gone(conns[0]), [(9, GoneReason::Left)]);
    assert_eq!(table.hub.planner().topology(), Topology::Star);
    // Who is somebody does not drain.
    drop(table.inbox(conns[0]));
    table.say(conns[0], ClientMessage::Drain {});
    assert_eq!(table.refusal(conns[0]), (RefusalCode::NotAllowed, false));
}

#[test]
fn a_star_that_loses_its_only_relay_becomes_a_tree_and_a_star_again() {
    let (mut table, mut conns) = room();
    let relay = star(&mut table, &mut conns);
    table.pass_alive(limits::RETIRE_BY, &conns);
    table.say(relay, ClientMessage::Leave {});
    conns.pop();
    assert!(table.wants_relay, "another one is wanted as before");
    table.pass_alive(Micros::from_secs(2), &conns);
    assert_eq!(table.hub.planner().switching(), Some(Topology::Tree));
    for (conn, number) in conns.clone().iter().zip(MEMBERS) {
        let others: Vec<u8> = MEMBERS.into_iter().filter(|other| *other != number).collect();
        table.report(*conn, &others, &[], &[]);
    }
    table.pass_alive(Micros::from_secs(3), &conns);
    assert_eq!(table.hub.planner().topology(), Topology::Tree);
    let again = table.join_as(self::relay(10, 100), Some(Grant::relay()));
    conns.push(again);
    table.report(again, &MEMBERS, &[], &[]);
    table.pass_alive(limits::RETIRE_BY + limits::SWITCH_TIMEOUT, &conns);
    table.report(again, &MEMBERS, &[], &[]);
    table.pass_alive(limits::SWITCH_TIMEOUT, &conns);
    assert_eq!(table.hub.planner().topology(), Topology::Star);
}
