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

/// Everybody says that the links that it has are up.
fn all_up(table: &mut Table, conns: &[ConnId], numbers: &[u8]) {
    for (conn, number) in conns.iter().zip(numbers) {
        let others: Vec<u8> = numbers.iter().copied().filter(|other| other != number).collect();
        table.report(*conn, &others, &[], &[]);
    }
}

/// The star with its relay, number 9, has become another topology, and its own links are gone.
fn moved_on(topology: &str) -> (Table, Vec<ConnId>) {
    let (mut table, mut conns) = room();
    star(&mut table, &mut conns);
    table.pass_alive(limits::RETIRE_BY, &conns);
    pin(&mut table, conns[0], topology);
    table.pass_alive(Micros::from_secs(1), &conns);
    all_up(&mut table, &conns, &[1, 2, 3, 4, 9]);
    table.pass_alive(limits::RETIRE_AFTER + Micros::from_secs(1), &conns);
    assert_eq!(table.hub.planner().topology().as_str(), topology);
    assert!(table.hub.planner().retiring().is_none() && !table.wants_relay, "{topology}");
    (table, conns)
}

#[test]
fn a_relay_that_drains_is_let_go_soon_whatever_the_room_is() {
    for topology in ["mesh", "small-world", "tree"] {
        let (mut table, conns) = moved_on(topology);
        let links = |table: &Table| table.hub.planner().links_of(id(9)).count();
        let before = links(&table);
        assert_eq!(before == 0, topology == "mesh");
        table.say(conns[4], ClientMessage::Drain {});
        assert_eq!(links(&table), before, "{topology}: make before break");
        // What takes its place is not up yet.
        table.pass_alive(limits::RETIRE_AFTER + Micros::from_secs(1), &conns);
        all_up(&mut table, &conns, &[1, 2, 3, 4, 9]);
        table.pass_alive(Micros::from_millis(500), &conns);
        assert!(links(&table) <= 1, "{topology}");
        table.say(conns[4], ClientMessage::Leave {});
        assert_eq!(table.gone(conns[0]), [(9, GoneReason::Left)]);
    }
}

#[test]
fn what_takes_a_drained_relays_place_is_waited_for() {
    let (mut table, conns) = moved_on("small-world");
    let links = |table: &Table| table.hub.planner().links_of(id(9)).count();
    let before = links(&table);
    for number in MEMBERS {
        // They were members of a mesh once: what was reported then counts no more.
        table.report(conns[usize::from(number) - 1], &[], &[], &MEMBERS);
    }
    table.say(conns[4], ClientMessage::Drain {});
    table.pass_alive(limits::RETIRE_AFTER + Micros::from_secs(2), &conns);
    assert_eq!(links(&table), before, "nothing of it is up");
    // Whoever says it again wins nothing by it.
    table.say(conns[4], ClientMessage::Drain {});
    table.pass_alive(limits::RETIRE_BY, &conns);
    assert_eq!(links(&table), 1, "it is not waited for without end");
}

#[test]
fn a_star_that_is_asked_for_while_its_relay_goes_has_another() {
    for topology in ["mesh", "small-world", "tree"] {
        // The wish comes after the relay's word, or just before.
        for drains_first in [true, false] {
            let (mut table, mut conns) = moved_on(topology);
            let asker = conns[0];
            drop(table.inbox(asker));
            if drains_first {
                table.say(conns[4], ClientMessage::Drain {});
                pin(&mut table, asker, "star");
            } else {
                pin(&mut table, asker, "star");
                table.say(conns[4], ClientMessage::Drain {});
            }
            assert!(table.wants_relay, "{topology}");
            table.pass_alive(Micros::from_millis(500), &conns);
            conns.push(table.join_as(relay(10, 100), Some(Grant::relay())));
            for _ in 0..4 {
                all_up(&mut table, &conns, &[1, 2, 3, 4, 9, 10]);
                table.pass_alive(Micros::from_millis(500), &conns);
            }
            assert_eq!(table.hub.planner().topology(), Topology::Star, "{topology}");
            let inbox = table.inbox(asker);
            let refused = inbox.iter().any(|message| matches!(message, ServerMessage::Refused(_)));
            let others = |message: &&ServerMessage| matches!(message, ServerMessage::Topology(change) if change.to != topology && change.to != "star");
            assert!(!refused && !inbox.iter().any(|message| others(&message)), "{topology}: {inbox:?}");
            table.pass_alive(limits::RETIRE_AFTER + Micros::from_secs(1), &conns);
            for number in MEMBERS {
                let links: Vec<_> = table.hub.planner().links_of(id(number)).map(|(peer, _)| peer).collect();
                assert_eq!(links, [id(10)], "{topology}");
            }
        }
    }
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
