use super::world::{BOTH, PAIRS, World, assert_heard, json, name};
use crate::{
    Config, Wire,
    json::path::Path,
    message::{Action, Change, Request, Topic::Record, Write},
};

#[test]
fn a_record_begins_empty_and_changes_for_everybody() {
    for (one, other) in PAIRS {
        let mut world = World::default();
        let (ada, bob) = (world.client(one), world.client(other));
        for client in [ada, bob] {
            world.open(client, "r");
            assert_heard!(world, client, ["ack record S", "record r 0 {}"]);
        }
        world.update(ada, "r", 1, "{\"z\":1,\"a\":{\"b\":[1]}}");
        assert_heard!(world, bob, ["updated r 1 {\"z\":1,\"a\":{\"b\":[1]}}"]);
        world.patch(bob, "r", 2, "a.b[1]", Some("\"x\""));
        assert_heard!(world, ada, ["patched r 2 a.b[1] \"x\""]);
        world.patch(ada, "r", 3, "z", None);
        assert_heard!(world, bob, ["erased r 3 z"]);
        assert_heard!(world, ada, []);
        world.ask(ada, &Request::Read(name("r")));
        assert_heard!(world, ada, ["record r 3 {\"a\":{\"b\":[1,\"x\"]}}"]);
    }
}

#[test]
fn of_two_writes_at_once_the_first_wins() {
    for (one, other) in PAIRS {
        let mut world = World::default();
        let (ada, bob) = (world.client(one), world.client(other));
        for client in [ada, bob] {
            world.open(client, "r");
            world.heard(client);
        }
        world.update(ada, "r", 1, "{\"by\":\"ada\"}");
        world.update(bob, "r", 1, "{\"by\":\"bob\"}");
        assert_heard!(world, bob, ["updated r 1 {\"by\":\"ada\"}", "conflict r 1 {\"by\":\"ada\"}"]);
        assert_heard!(world, ada, []);
        world.patch(bob, "r", 1, "by", Some("3"));
        assert_heard!(world, bob, ["conflict r 1 {\"by\":\"ada\"}"]);
        world.update(bob, "r", 3, "{}");
        // Whose copy is ahead is told so, and brought back.
        assert_heard!(world, bob, ["problem record INVALID_VERSION r", "updated r 1 {\"by\":\"ada\"}"]);
    }
}

#[test]
fn writers_are_told_when_they_ask() {
    for wire in BOTH {
        let mut world = World::default();
        let client = world.client(wire);
        world.open(client, "r");
        world.heard(client);
        let whole = || Change::Whole("{\"a\":1}".to_owned());
        world.write(client, Action::Update, "r", 1, whole(), true);
        world.write(client, Action::Patch, "r", 2, Change::At(Path::new("b").unwrap(), Some(json("2"))), true);
        world.write(client, Action::CreateUpdate, "new", Write::NEXT, whole(), true);
        assert_heard!(world, client, ["written r", "written r", "written new"]);
        world.write(client, Action::Update, "r", 1, whole(), true);
        let heard = world.heard(client);
        assert_eq!(heard[0], "conflict r 2 {\"a\":1,\"b\":2} with ack");
        // The older client tells the writer by itself.
        let expected: &[&str] = if wire == Wire::Text { &[] } else { &["not written r RECORD_UPDATE_ERROR"] };
        assert_eq!(heard[1..], *expected);
        world.write(client, Action::Update, "none", 1, whole(), true);
        assert_heard!(world, client, ["not written none RECORD_NOT_FOUND"]);
    }
}

#[test]
fn records_can_be_written_without_opening_them() {
    for (one, other) in PAIRS {
        let mut world = World::default();
        let (writer, reader) = (world.client(one), world.client(other));
        let write = |world: &mut World, action, change| {
            world.write(writer, action, "r", Write::NEXT, change, false);
        };
        write(&mut world, Action::CreateUpdate, Change::Whole("{\"a\":1}".to_owned()));
        world.open(reader, "r");
        assert_heard!(world, reader, ["ack record S", "record r 1 {\"a\":1}"]);
        write(&mut world, Action::CreatePatch, Change::At(Path::new("b.c").unwrap(), Some(json("2"))));
        write(&mut world, Action::CreateUpdate, Change::Whole("{}".to_owned()));
        assert_heard!(world, reader, ["patched r 2 b.c 2", "updated r 3 {}"]);
        assert_heard!(world, writer, []);
        write(&mut world, Action::CreatePatch, Change::At(Path::new("[0]").unwrap(), Some(json("2"))));
        world.ask(reader, &Request::Read(name("r")));
        assert_heard!(world, reader, ["patched r 4 [0] 2", "record r 4 {\"0\":2}"]);
    }
}

#[test]
fn what_is_there_can_be_asked_without_opening_it() {
    for wire in BOTH {
        let mut world = World::default();
        let client = world.client(wire);
        world.write(client, Action::CreateUpdate, "r", Write::NEXT, Change::Whole("[1]".to_owned()), false);
        for record in ["r", "none"] {
            world.ask(client, &Request::Read(name(record)));
            world.ask(client, &Request::Head(name(record)));
        }
        assert_heard!(
            world,
            client,
            ["record r 1 [1]", "version r 1", "problem record RECORD_NOT_FOUND none", "version none -1"]
        );
        if wire == Wire::Text {
            world.ask(client, &Request::Has(name("r")));
            world.ask(client, &Request::Has(name("none")));
            assert_heard!(world, client, ["has r", "has not none"]);
        } else {
            let names = vec![name("none"), name("r")];
            world.ask(client, &Request::Heads { names, ack: None });
            assert_heard!(world, client, ["version none -1, version r 1"]);
        }
        assert_eq!(world.engine.records(), 1, "asking creates nothing");
    }
}

#[test]
fn a_deleted_record_is_deleted_for_everybody() {
    for (one, other) in PAIRS {
        let mut world = World::default();
        let (ada, bob) = (world.client(one), world.client(other));
        world.open(ada, "r");
        world.open(bob, "r");
        world.update(ada, "r", 1, "{\"a\":1}");
        world.heard(ada);
        world.heard(bob);
        world.ask(ada, &Request::Delete(name("r")));
        assert_heard!(world, ada, ["deleted r"]);
        assert_heard!(world, bob, ["deleted r"]);
        // All subscriptions have ended, and the record begins anew.
        world.open(ada, "r");
        world.update(ada, "r", 1, "{\"b\":1}");
        assert_heard!(world, ada, ["ack record S", "record r 0 {}"]);
        assert_heard!(world, bob, []);
        world.unsubscribe(bob, Record, "r");
        assert_heard!(world, bob, ["ack record US"]);
        world.ask(bob, &Request::Delete(name("none")));
        assert_heard!(world, bob, ["deleted none"]);
    }
}

#[test]
fn a_record_outlives_its_subscribers_if_it_says_anything() {
    let mut world = World::default();
    let client = world.client(Wire::Text);
    world.open(client, "empty");
    world.open(client, "full");
    world.update(client, "full", 1, "{\"a\":1}");
    assert_eq!(world.engine.records(), 2);
    world.close(client);
    assert_eq!(world.engine.records(), 1);
    let client = world.client(Wire::Protobuf);
    world.open(client, "full");
    assert_heard!(world, client, ["ack record S", "record full 1 {\"a\":1}"]);
}

#[test]
fn a_client_that_returns_learns_the_version_and_goes_on() {
    let mut world = World::default();
    let (ada, bob) = (world.client(Wire::Protobuf), world.client(Wire::Protobuf));
    world.open(ada, "r");
    world.update(ada, "r", 1, "{\"a\":1}");
    let names = vec![name("none"), name("r")];
    world.ask(bob, &Request::Open { how: Action::OpenHead, names, ack: Some("7".into()) });
    assert_heard!(world, bob, ["ack record S", "version none -1, version r 1"]);
    world.update(bob, "r", 2, "{\"a\":2}");
    assert_eq!(world.heard(ada).last().unwrap(), "updated r 2 {\"a\":2}");
    let names = vec![name("missing"), name("r")];
    world.ask(ada, &Request::Open { how: Action::OpenRead, names, ack: Some("8".into()) });
    assert_heard!(world, ada, ["problem record RECORD_NOT_FOUND missing", "ack record S", "record r 2 {\"a\":2}"]);
}

#[test]
fn what_does_not_fit_is_not_written() {
    for wire in BOTH {
        let config = Config { records_max: 2, record_max: 40, records_bytes_max: 60, ..Config::default() };
        let mut world = World::new(config);
        let client = world.client(wire);
        world.open(client, "a");
        world.open(client, "b");
        world.heard(client);
        world.open(client, "c");
        assert_heard!(world, client, ["problem record MESSAGE_DENIED c"]);
        world.update(client, "a", 1, &format!("{{\"a\":\"{}\"}}", "x".repeat(40)));
        assert_heard!(world, client, ["problem record RECORD_UPDATE_ERROR a"]);
        world.update(client, "a", 1, &format!("{{\"a\":\"{}\"}}", "x".repeat(30)));
        assert_heard!(world, client, []);
        world.patch(client, "b", 1, "a", Some(&format!("\"{}\"", "x".repeat(30))));
        assert_heard!(world, client, ["problem record RECORD_UPDATE_ERROR b"]);
        world.patch(client, "a", 2, "a", Some("1"));
        world.patch(client, "b", 1, "a", Some(&format!("\"{}\"", "x".repeat(30))));
        assert_heard!(world, client, []);
    }
}

#[test]
fn paths_that_lead_nowhere_change_nothing() {
    for wire in BOTH {
        let mut world = World::default();
        let client = world.client(wire);
        world.open(client, "r");
        world.update(client, "r", 1, "{\"a\":[1]}");
        world.heard(client);
        world.patch(client, "r", 2, "a.b", Some("1"));
        world.patch(client, "r", 2, "a[99999]", Some("1"));
        let problem = "problem record INVALID_MESSAGE_DATA r";
        assert_heard!(world, client, [problem, problem]);
        world.ask(client, &Request::Read(name("r")));
        assert_heard!(world, client, ["record r 1 {\"a\":[1]}"]);
    }
}
