use super::world::{BOTH, World, assert_heard, name};
use crate::{
    Config, ConnId, Frame, Identity, Input, Loaded, Output, Ticket, Wire,
    message::{Action, Change, Request, Write},
};

fn world() -> World {
    let mut world = World::new(Config { persist: true, ephemeral: vec!["users".into()], ..Config::default() });
    world.stores = false;
    world
}

fn whole(json: &str) -> Change {
    Change::Whole(json.to_owned())
}

#[test]
fn writes_are_acknowledged_when_they_are_stored() {
    for wire in BOTH {
        let mut world = world();
        let (client, other) = (world.client(wire), world.client(wire));
        world.open(other, "r");
        world.heard(other);
        for count in 1..=3 {
            world.write(client, Action::CreateUpdate, "r", Write::NEXT, whole(&format!("{{\"a\":{count}}}")), true);
        }
        world.ask(client, &Request::Delete(name("r")));
        assert_heard!(world, client, []);
        let updates = [1, 2, 3].map(|count| format!("updated r {count} {{\"a\":{count}}}"));
        assert_eq!(
            world.heard(other),
            [updates.to_vec(), vec!["deleted r".to_owned()]].concat(),
            "others need not wait"
        );
        let stored: Vec<_> = world.stored.iter().map(|(ticket, record)| (ticket.0, record.clone())).collect();
        let record = |count: u64| Some((count, format!("{{\"a\":{count}}}")));
        assert_eq!(stored, [(1, record(1)), (2, record(2)), (3, record(3)), (4, None)]);
        world.handle(Input::Stored(Ticket(2)));
        assert_heard!(world, client, ["written r", "written r"]);
        world.handle(Input::NotStored(Ticket(3)));
        assert_heard!(world, client, ["not written r RECORD_UPDATE_ERROR"]);
        world.handle(Input::Stored(Ticket(4)));
        assert_heard!(world, client, ["deleted r"]);
    }
}

#[test]
fn deletions_that_are_not_stored_are_not_acknowledged() {
    for wire in BOTH {
        let mut world = world();
        let client = world.client(wire);
        world.write(client, Action::CreateUpdate, "r", Write::NEXT, whole("{}"), false);
        world.ask(client, &Request::Delete(name("r")));
        world.handle(Input::NotStored(Ticket(2)));
        assert_heard!(world, client, ["problem record RECORD_UPDATE_ERROR r"]);
    }
}

#[test]
fn what_has_become_ephemeral_is_cleared_from_the_store() {
    let config = Config { ephemeral: vec!["users".into()], reserved: Some("own/**".into()), ..Config::default() };
    let mut world = World::new(Config { persist: true, ..config });
    for (at, loaded) in ["r", "users", "own/x"].into_iter().enumerate() {
        world.handle(Input::Loaded(Loaded { name: name(loaded), version: 3, json: "[\"ghost\"]".into() }));
        let cleared = (1..=at as u64).map(|ticket| (Ticket(ticket), None)).collect::<Vec<_>>();
        assert_eq!(world.stored, cleared, "{loaded}");
    }
    assert_eq!(world.engine.records(), 1);
}

#[test]
fn what_was_stored_is_there_again() {
    for wire in BOTH {
        let mut world = world();
        let load =
            |name_: &str, version, json: &str| Input::Loaded(Loaded { name: name(name_), version, json: json.into() });
        world.handle(load("r", 7, "{\"a\":1}"));
        world.handle(load("list", 3, "[\"a\"]"));
        world.handle(load("users", 3, "[\"ghost\"]"));
        world.handle(load("broken", 3, "[\"gho"));
        assert_eq!(world.engine.records(), 2);
        let client = world.client(wire);
        for record in ["r", "list"] {
            world.open(client, record);
        }
        let users = format!("record users {} {{}}", world.open_at(client, "users"));
        let ack = "ack record S";
        assert_heard!(world, client, [ack, "record r 7 {\"a\":1}", ack, "record list 3 [\"a\"]", ack, users]);
        world.update(client, "r", 8, "{}");
        world.handle(load("r", 99, "{\"old\":true}"));
        world.ask(client, &Request::Read(name("r")));
        assert_heard!(world, client, ["record r 8 {}"]);
    }
}

#[test]
fn ephemeral_lists_are_not_stored() {
    let mut world = world();
    let client = world.client(Wire::Text);
    world.open(client, "users");
    world.write(client, Action::Update, "users", 1, whole("[\"a\"]"), true);
    assert_eq!(world.heard(client).last().unwrap(), "written users");
    world.open(client, "never written");
    world.ask(client, &Request::Delete(name("never written")));
    assert!(world.stored.is_empty());
}

#[test]
fn engine_after_a_bug_has_its_records_and_nobody_connected() {
    let mut world = world();
    let client = world.client(Wire::Text);
    world.write(client, Action::CreateUpdate, "r", Write::NEXT, whole("{\"a\":1}"), false);
    world.open(client, "users");
    world.update(client, "users", 1, "[\"ada\"]");
    let before = world.engine;
    let mut after = before.again(2, world.now);
    assert_eq!((after.connections(), after.records(), after.version("r")), (0, 1, Some(1)));
    assert_eq!((after.poll_timeout(), after.counters().logins), (None, 1));
    let conn = ConnId(99);
    for input in [
        Input::Connected { conn, wire: Some(Wire::Text) },
        Input::Received { conn, frame: Frame::Text("C\u{1f}CHR\u{1f}x\u{1e}A\u{1f}REQ\u{1f}{}\u{1e}".into()) },
        Input::Authenticated { conn, result: Ok(Identity::default()) },
        Input::Received { conn, frame: Frame::Text("R\u{1f}CU\u{1f}r\u{1f}-1\u{1f}{}\u{1f}{}\u{1e}".into()) },
    ] {
        after.handle(world.now, input);
    }
    let mut outputs = std::iter::from_fn(|| after.poll_output());
    let stored = outputs.find_map(|output| if let Output::Store { ticket, .. } = output { Some(ticket) } else { None });
    assert_eq!(stored, Some(Ticket(2)), "numbers go on");
}
