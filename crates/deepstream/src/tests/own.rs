use super::world::{BOTH, PAIRS, World, assert_heard, json, name};
use crate::{
    Config, Input, Loaded, Wire, limits,
    message::{
        Action, Change, Request,
        Topic::{Event, Presence, Record, Rpc},
        Write,
    },
    permission::{Permissions, Right, Rule},
};

fn config() -> Config {
    Config {
        reserved: Some("roomful/**".into()),
        taps: [name("roomful/a/chat"), name("outside")].into(),
        persist: true,
        ..Config::default()
    }
}

fn emit(world: &mut World, event: &str, json: Option<&str>) {
    world.handle(Input::Emit { name: name(event), json: json.map(str::to_owned) });
}

fn put(world: &mut World, record: &str, json: &str) {
    world.handle(Input::Put { name: name(record), json: json.into() });
}

fn user(world: &mut World, user: &str, here: bool) {
    world.handle(Input::User { name: name(user), here });
}

#[test]
fn events_of_the_server_reach_all_subscribers_and_not_the_server() {
    for (one, other) in PAIRS {
        let mut world = World::new(config());
        let clients = [world.client(one), world.client(other)];
        for client in clients {
            world.subscribe(client, Event, "roomful/a/chat");
            assert_heard!(world, client, ["ack event S"]);
        }
        for data in ["\"hi\"", "{\"a\":[1]}", "\"\\u001f\""] {
            emit(&mut world, "roomful/a/chat", Some(data));
            for client in clients {
                assert_heard!(world, client, [format!("event roomful/a/chat {data}")]);
            }
        }
        emit(&mut world, "nobody listens", Some("1"));
        assert!(world.emitted.is_empty());
    }
}

#[test]
fn what_is_tapped_goes_to_the_server_and_to_the_others_in_order() {
    for (one, other) in PAIRS {
        let mut world = World::new(config());
        let (sender, receiver) = (world.client(one), world.client(other));
        world.subscribe(receiver, Event, "roomful/a/chat");
        world.heard(receiver);
        for data in ["1", "\"two\"", "null"] {
            world.emit(sender, "roomful/a/chat", data);
            assert_heard!(world, receiver, [format!("event roomful/a/chat {data}")]);
        }
        world.emit(sender, "outside", "[4]");
        world.emit(sender, "elsewhere", "5");
        let expected =
            [("roomful/a/chat", "1"), ("roomful/a/chat", "\"two\""), ("roomful/a/chat", "null"), ("outside", "[4]")];
        let emitted: Vec<_> =
            world.emitted.iter().map(|(name, json)| (name.as_str(), json.as_deref().unwrap())).collect();
        assert_eq!(emitted, expected);
        assert_heard!(world, sender, []);
    }
}

#[test]
fn permissions_hold_for_what_is_tapped() {
    for wire in BOTH {
        let rule = Rule {
            names: "roomful/**".into(),
            rights: [Right::EventPublish].into(),
            roles: Default::default(),
            allow: false,
        };
        let permissions = Permissions { rules: vec![rule], otherwise: true };
        let mut world = World::new(Config { permissions, ..config() });
        let client = world.client(wire);
        world.emit(client, "roomful/a/chat", "1");
        assert_heard!(world, client, ["problem event MESSAGE_DENIED roomful/a/chat"]);
        assert!(world.emitted.is_empty());
    }
}

#[test]
fn records_of_the_server_are_read_and_followed_by_everybody() {
    for wire in BOTH {
        let mut world = World::new(Config { ephemeral: vec!["**".into()], ..config() });
        put(&mut world, "roomful/a/members", "[\"x\"]");
        let client = world.client(wire);
        world.open(client, "roomful/a/members");
        assert_heard!(world, client, ["ack record S", "record roomful/a/members 1 [\"x\"]"]);
        put(&mut world, "roomful/a/members", "[\"x\"]");
        assert_heard!(world, client, []);
        put(&mut world, "roomful/a/members", "[\"x\",\"y\"]");
        put(&mut world, "roomful/a/members", "[]");
        assert_heard!(world, client, ["updated roomful/a/members 2 [\"x\",\"y\"]", "updated roomful/a/members 3 []"]);
        world.close(client);
        assert_eq!(world.engine.version("roomful/a/members"), Some(3), "it stays, whoever leaves");
        assert!(world.stored.is_empty(), "the server makes it anew after a restart");
    }
}

#[test]
fn clients_change_nothing_that_is_the_servers() {
    for wire in BOTH {
        let mut world = World::new(config());
        let list = "roomful/a/members";
        put(&mut world, list, "[\"x\"]");
        let client = world.client(wire);
        let denied = |topic: &str, name: &str| format!("problem {topic} MESSAGE_DENIED {name}");
        world.open(client, list);
        world.heard(client);
        for version in [2, Write::NEXT] {
            world.write(client, Action::CreateUpdate, list, version, Change::Whole("[]".into()), false);
        }
        world.update(client, list, 2, "[]");
        world.patch(client, list, 2, "[0]", Some("\"z\""));
        world.patch(client, list, 2, "[0]", None);
        world.ask(client, &Request::Delete(name(list)));
        assert_eq!(world.heard(client), vec![denied("record", list); 6]);
        world.write(client, Action::CreateUpdate, list, Write::NEXT, Change::Whole("[]".into()), true);
        assert_heard!(world, client, ["not written roomful/a/members MESSAGE_DENIED"]);

        world.open(client, "roomful/none");
        assert_eq!(world.heard(client), [denied("record", "roomful/none")]);
        world.emit(client, "roomful/a/other", "1");
        assert_eq!(world.heard(client), [denied("event", "roomful/a/other")]);
        world.subscribe(client, Rpc, "roomful/a/call");
        assert!(world.heard(client)[0].starts_with(&denied("rpc", "roomful/a/call")));
        world.ask(client, &Request::Call { name: name("roomful/a/call"), id: "1".into(), payload: json("1") });
        assert_heard!(world, client, ["problem rpc MESSAGE_DENIED roomful/a/call 1"]);

        assert_eq!((world.engine.version(list), world.engine.records()), (Some(1), 1));
        assert_eq!(world.engine.counters().denied, 11);
        assert!(world.emitted.is_empty() && !world.is_closed(client.conn));
        // Names that only look so are everybody's.
        world.open(client, "roomful");
        assert_heard!(world, client, ["ack record S", "record roomful 0 {}"]);
    }
}

#[test]
fn listening_to_the_servers_names_takes_nothing_from_it() {
    for wire in BOTH {
        let mut world = World::new(config());
        put(&mut world, "roomful/a/members", "[]");
        let (listener, client) = (world.client(wire), world.client(wire));
        world.listen(listener, Record, "^roomful/.*");
        world.open(client, "roomful/a/members");
        world.answer(listener, Record, "^roomful/.*", "roomful/a/members", true);
        world.heard(client);
        world.update(listener, "roomful/a/members", 2, "[\"forged\"]");
        assert_heard!(world, client, []);
        put(&mut world, "roomful/a/members", "[\"x\"]");
        assert_heard!(world, client, ["updated roomful/a/members 2 [\"x\"]"]);
    }
}

#[test]
fn users_of_the_server_come_and_go_and_are_asked_for() {
    for wire in BOTH {
        let mut world = World::new(config());
        user(&mut world, "roomful/a/1", true);
        let watcher = world.user(wire, "ada");
        world.ask(watcher, &Request::QueryAll);
        assert_heard!(world, watcher, ["users roomful/a/1"]);
        world.ask(watcher, &Request::SubscribeAll);
        world.heard(watcher);
        user(&mut world, "roomful/a/1", true);
        assert_heard!(world, watcher, []);
        user(&mut world, "roomful/a/2", true);
        user(&mut world, "roomful/a/1", false);
        user(&mut world, "roomful/a/1", false);
        assert_heard!(world, watcher, ["joined roomful/a/2", "left roomful/a/1"]);
        let names = vec![name("roomful/a/1"), name("roomful/a/2")];
        world.ask(watcher, &Request::Query { names, id: "q".into() });
        assert_heard!(world, watcher, ["users {\"roomful/a/1\":false,\"roomful/a/2\":true}"]);
        world.ask(watcher, &Request::UnsubscribeAll);
        world.subscribe(watcher, Presence, "roomful/a/1");
        world.heard(watcher);
        user(&mut world, "roomful/a/1", true);
        assert_heard!(world, watcher, ["joined roomful/a/1"]);
    }
}

#[test]
fn user_whom_both_know_is_there_as_long_as_either_says_so() {
    for wire in BOTH {
        let mut world = World::new(config());
        let watcher = world.client(wire);
        world.ask(watcher, &Request::SubscribeAll);
        world.heard(watcher);
        let bob = world.user(wire, "bob");
        user(&mut world, "bob", true);
        world.close(bob);
        assert_heard!(world, watcher, ["joined bob"]);
        let bob = world.user(wire, "bob");
        user(&mut world, "bob", false);
        assert_heard!(world, watcher, []);
        world.close(bob);
        assert_heard!(world, watcher, ["left bob"]);
    }
}

#[test]
fn nobody_logs_in_under_a_name_of_the_servers() {
    for wire in BOTH {
        let mut world = World::new(config());
        let watcher = world.client(wire);
        world.ask(watcher, &Request::SubscribeAll);
        world.heard(watcher);
        let conn = world.connect(Some(wire));
        let forger = super::world::Client { conn, wire };
        world.ask(forger, &Request::Hello);
        for _ in 0..limits::LOGIN_ATTEMPTS {
            world.ask(forger, &Request::Login("{\"username\":\"roomful/a/1\"}".into()));
        }
        let heard = world.heard(forger);
        assert!(heard.iter().any(|line| line.contains("the server's own")), "{heard:?}");
        assert!(!heard.iter().any(|line| line.starts_with("logged in")), "{heard:?}");
        assert!(world.is_closed(conn));
        assert_heard!(world, watcher, []);
    }
}

#[test]
fn what_the_server_cannot_mean_is_dropped() {
    let mut world = World::new(config());
    let client = world.client(Wire::Text);
    world.subscribe(client, Event, "e");
    world.heard(client);
    let deep = "[".repeat(limits::VALUE_DEPTH + 1) + &"]".repeat(limits::VALUE_DEPTH + 1);
    let long = format!("\"{}\"", "x".repeat(limits::FRAME_MAX));
    for data in ["", "{", "1 2", "\u{1f}", &deep, &long] {
        emit(&mut world, "e", Some(data));
    }
    for data in ["1", "[", "\"x\"", &format!("[{long}]")] {
        put(&mut world, "roomful/r", data);
    }
    put(&mut world, "not the server's", "{}");
    assert_heard!(world, client, []);
    assert_eq!((world.engine.counters().garbage, world.engine.records()), (11, 0));
    emit(&mut world, "e", None);
    assert_heard!(world, client, ["event e undefined"]);
}

#[test]
fn there_is_always_room_for_what_is_the_servers() {
    let mut world = World::new(Config { records_max: 1, records_bytes_max: 20, record_max: 10, ..config() });
    let client = world.client(Wire::Text);
    world.write(client, Action::CreateUpdate, "r", Write::NEXT, Change::Whole("{\"a\":123}".into()), false);
    put(&mut world, "roomful/a/members", "[\"longer than any record may be\"]");
    assert_eq!((world.engine.records(), world.engine.version("roomful/a/members")), (2, Some(1)));
    world.write(client, Action::CreateUpdate, "s", Write::NEXT, Change::Whole("{}".into()), false);
    assert_eq!(world.engine.version("s"), None);
}

#[test]
fn what_was_stored_under_the_servers_names_stays_there() {
    let mut world = World::new(config());
    world.handle(Input::Loaded(Loaded { name: name("roomful/a/members"), version: 9, json: "[\"ghost\"]".into() }));
    assert_eq!(world.engine.records(), 0);
    put(&mut world, "roomful/a/members", "[\"x\"]");
    user(&mut world, "roomful/a/x", true);
    let mut after = World::new(config());
    after.engine = world.engine.again(2, world.now);
    let mut world = after;
    let client = world.client(Wire::Text);
    world.open(client, "roomful/a/members");
    world.ask(client, &Request::QueryAll);
    assert_heard!(world, client, ["ack record S", "record roomful/a/members 1 [\"x\"]", "users roomful/a/x"]);
}
