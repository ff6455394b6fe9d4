//! Rooms that nobody pins, and who pins them: members, tokens, the configuration, and what members know after a restart.

use room::{
    hub::{Config, ConnId, Grant},
    limits,
    plan::Topology,
    time::Micros,
    wire::signal::{ClientMessage, GoneReason, Join, PinTopology, RelayOffer, Resume, ServerMessage, Traffic},
};

use crate::table::{Table, config, id, join};

fn pin(table: &mut Table, conn: ConnId, topology: &str) {
    table.say(conn, ClientMessage::Topology(PinTopology { pin: topology.to_owned() }));
}

fn says(table: &mut Table, conn: ConnId, kbps: u32, turn_percent: u32) {
    table.say(conn, ClientMessage::Stats(Traffic { kbps, turn_percent }));
}

fn topology(table: &Table) -> Topology {
    table.hub.planner().topology()
}

/// What the room is to be, as a newcomer is told.
fn pinned(table: &mut Table) -> Option<String> {
    let guest = table.join_as(join(250), Some(Grant { admin: false, ..Grant::open() }));
    let pin = table.welcome(guest).pin;
    table.say(guest, ClientMessage::Leave {});
    pin
}

/// All links that the plan wants are up, and everybody talks to the hub, for so many seconds.
fn live(table: &mut Table, conns: &[(u8, ConnId)], seconds: u64) {
    let all: Vec<ConnId> = conns.iter().map(|(_, conn)| *conn).collect();
    for _ in 0..seconds {
        for (number, conn) in conns {
            let links: Vec<_> = table.hub.planner().links_of(id(*number)).map(|(peer, _)| peer).collect();
            let up: Vec<u8> =
                conns.iter().map(|(other, _)| *other).filter(|other| links.contains(&id(*other))).collect();
            table.report(*conn, &up, &[], &[]);
        }
        table.pass_alive(Micros::from_secs(1), &all);
    }
}

fn enter(table: &mut Table, numbers: std::ops::RangeInclusive<u8>) -> Vec<(u8, ConnId)> {
    numbers.map(|number| (number, table.join(number))).collect()
}

#[test]
fn a_room_leaves_the_mesh_when_many_come_and_returns_to_it_when_they_have_gone() {
    let mut table = Table::new();
    let mut conns = enter(&mut table, 1..=8);
    live(&mut table, &conns, 60);
    assert_eq!(topology(&table), Topology::Mesh);
    conns.extend(enter(&mut table, 9..=46));
    live(&mut table, &conns, 5);
    assert_eq!(topology(&table), Topology::SmallWorld);
    assert!(table.hub.planner().links_of(id(1)).count() <= limits::SMALL_WORLD_DEGREE_MAX, "the mesh's links are gone");
    for (_, conn) in conns.split_off(2) {
        table.say(conn, ClientMessage::Leave {});
    }
    live(&mut table, &conns, 20);
    assert_eq!(topology(&table), Topology::SmallWorld, "they may come back");
    live(&mut table, &conns, 40);
    assert_eq!((topology(&table), table.hub.counters().switches), (Topology::Mesh, 2));
    live(&mut table, &conns, 300);
    assert_eq!(table.hub.counters().switches, 2);
}

#[test]
fn few_who_say_much_get_a_tree_and_whoever_lies_no_more_than_that() {
    let mut table = Table::new();
    let conns = enter(&mut table, 1..=20);
    live(&mut table, &conns, 60);
    assert_eq!(topology(&table), Topology::SmallWorld);
    says(&mut table, conns[0].1, 800, 0);
    live(&mut table, &conns, 60);
    assert_eq!(topology(&table), Topology::Tree);
    // That would be 4 Tbit/s.
    says(&mut table, conns[0].1, u32::MAX, 0);
    live(&mut table, &conns, 120);
    assert_eq!(topology(&table), Topology::Tree, "there is no relay for a star");
    // What it said goes with it.
    table.say(conns[0].1, ClientMessage::Leave {});
    live(&mut table, &conns[1..], 120);
    assert_eq!(topology(&table), Topology::SmallWorld);
}

#[test]
fn nothing_is_passed_on_by_members_that_are_reached_over_turn_only() {
    let mut table = Table::new();
    let mut conns = enter(&mut table, 1..=1);
    pin(&mut table, conns[0].1, "tree");
    table.pass(Micros::from_secs(1));
    conns.extend(enter(&mut table, 2..=40));
    live(&mut table, &conns, 20);
    let children = |table: &Table, number: u8| {
        let planner = table.hub.planner();
        conns.iter().filter(|(other, _)| planner.parent_of(id(*other), 0) == Some(id(number))).count()
    };
    let branch = |number: u8| table.hub.planner().parent_of(id(number), 0).is_some() && children(&table, number) > 0;
    let (number, conn) = *conns.iter().find(|(number, _)| branch(*number)).expect("somebody passes on");
    says(&mut table, conn, 0, 100);
    live(&mut table, &conns, 20);
    assert_eq!(children(&table, number), 0);
    says(&mut table, conn, 0, 50);
    live(&mut table, &conns, 20);
    assert_eq!(topology(&table), Topology::Tree);
}

#[test]
fn a_room_most_of_whose_links_go_over_turn_becomes_a_star_where_the_server_has_a_relay() {
    for has_relays in [false, true] {
        let mut table = Table::with(Config { relay: has_relays, ..config() });
        let mut conns = enter(&mut table, 1..=6);
        live(&mut table, &conns, 40);
        conns.iter().for_each(|(_, conn)| says(&mut table, *conn, 0, 80));
        live(&mut table, &conns, 9);
        assert!(!table.wants_relay, "it may pass");
        live(&mut table, &conns, 3);
        assert_eq!(table.wants_relay, has_relays);
        if has_relays {
            let relay = Join { relay: Some(RelayOffer { max_links: Some(100) }), ..join(99) };
            conns.push((99, table.join_as(relay, Some(Grant::relay()))));
        }
        live(&mut table, &conns, 60);
        assert_eq!(topology(&table), if has_relays { Topology::Star } else { Topology::Mesh });
        if has_relays {
            conns[..6].iter().for_each(|(_, conn)| says(&mut table, *conn, 0, 0));
            live(&mut table, &conns, 120);
            assert_eq!((topology(&table), table.wants_relay), (Topology::Mesh, false));
        }
    }
}

#[test]
fn asking_for_auto_on_entering_unpins_nothing_and_only_who_may_choose_unpins() {
    let mut table = Table::new();
    let ada = table.join(1);
    let guest = table.join_as(join(2), Some(Grant { admin: false, ..Grant::open() }));
    pin(&mut table, ada, "tree");
    table.pass(Micros::from_secs(1));
    drop(table.inbox(guest));
    table.join_as(Join { topology: Some("auto".to_owned()), ..join(3) }, Some(Grant::open()));
    pin(&mut table, guest, "auto");
    assert_eq!(pinned(&mut table).as_deref(), Some("tree"));
    assert!(!table.inbox(guest).iter().any(|message| matches!(message, ServerMessage::Topology(_))));

    pin(&mut table, ada, "auto");
    assert_eq!(pinned(&mut table), None);
    let told = table.inbox(guest);
    let told = told.iter().find_map(|message| match message {
        ServerMessage::Topology(change) => Some((change.from == change.to, change.pin.clone())),
        _ => None,
    });
    assert_eq!(told, Some((true, None)), "everybody hears of it, though the room stays as it is for now");
}

#[test]
fn the_configuration_stands_for_auto_a_token_goes_before_it_and_who_may_choose_before_both() {
    let mut table = Table::with(Config { topology: Some(Topology::SmallWorld), ..config() });
    let ada = table.join(1);
    assert_eq!(topology(&table), Topology::SmallWorld, "it begins so");
    let tree = Grant { admin: false, topology: Some(Topology::Tree), ..Grant::open() };
    let mesh = |number| Join { topology: Some("mesh".to_owned()), ..join(number) };
    table.join_as(mesh(2), Some(tree.clone()));
    assert_eq!(pinned(&mut table).as_deref(), Some("tree"));
    table.join_as(mesh(3), Some(Grant { admin: true, ..tree }));
    assert_eq!(pinned(&mut table).as_deref(), Some("mesh"));
    pin(&mut table, ada, "auto");
    assert_eq!(pinned(&mut table).as_deref(), Some("small-world"));
}

#[test]
fn a_room_comes_back_to_a_restarted_hub_as_it_was() {
    let back = |number: u8, topology: &str, pin: Option<&str>| {
        let hub = "00000000000000ff".to_owned();
        let (topology, pin) = (Some(topology.to_owned()), pin.map(str::to_owned));
        let resume = Some(Resume { hub, topology, pin, ..Resume::default() });
        Join { topology: Some("mesh".to_owned()), resume, ..join(number) }
    };
    let open = || Some(Grant::open());

    let mut table = Table::new();
    table.join_as(back(1, "small-world", None), open());
    assert_eq!((topology(&table), pinned(&mut table)), (Topology::SmallWorld, None), "what it asked for once is over");

    let mut table = Table::new();
    let guest = Some(Grant { admin: false, ..Grant::open() });
    table.join_as(back(1, "tree", Some("tree")), guest);
    assert_eq!((topology(&table), pinned(&mut table)), (Topology::Tree, None), "it may not choose");
    let ada = table.join_as(back(2, "tree", Some("tree")), open());
    assert_eq!(pinned(&mut table).as_deref(), Some("tree"));
    pin(&mut table, ada, "auto");
    table.join_as(back(3, "tree", Some("tree")), open());
    assert_eq!(pinned(&mut table), None, "somebody has chosen since");

    for odd in ["ring", "star", ""] {
        let mut table = Table::new();
        let conn = table.join_as(back(1, odd, Some(odd)), open());
        assert_eq!((table.welcome(conn).topology.as_str(), pinned(&mut table)), ("mesh", None), "{odd}");
    }
}

#[test]
fn a_session_that_goes_on_is_remembered_as_it_was() {
    let mut table = Table::new();
    let conns = enter(&mut table, 1..=20);
    live(&mut table, &conns, 60);
    says(&mut table, conns[0].1, 800, 0);
    table.cut(conns[0].1);
    let again = table.join_as(crate::table::resume(1, &config().hub_id, &[]), Some(Grant::open()));
    assert!(table.welcome(again).resumed && table.gone(conns[1].1) == [] as [(u8, GoneReason); 0]);
    let conns: Vec<_> = [(1, again)].into_iter().chain(conns.into_iter().skip(1)).collect();
    live(&mut table, &conns, 60);
    assert_eq!(topology(&table), Topology::Tree);
}
