use super::world::{BOTH, World, assert_heard, json, name};
use crate::{
    Config, Wire, limits,
    message::{
        Action, Change, Request,
        Topic::{Event, Presence, Record, Rpc},
        Write,
    },
    permission::{Permissions, Right, Rule},
};

fn rule(allow: bool, names: &str, rights: &[Right], roles: &[&str]) -> Rule {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    Rule { names: names.into(), rights: rights.iter().copied().collect(), roles, allow }
}

fn world(rules: Vec<Rule>) -> World {
    World::new(Config { permissions: Permissions { rules, otherwise: false }, ..Config::default() })
}

#[test]
fn what_is_not_allowed_is_denied_as_the_clients_expect() {
    for wire in BOTH {
        let mut world = world(vec![rule(true, "**", &[], &["admin"])]);
        let client = world.user(wire, "ada");
        for topic in [Event, Rpc, Presence] {
            world.subscribe(client, topic, "x");
        }
        let denied = |topic: &str| format!("problem {topic} MESSAGE_DENIED x");
        let heard = world.heard(client);
        assert!(heard[0] == denied("event") && heard[1].starts_with(&denied("rpc")), "{heard:?}");
        assert!(heard[2].starts_with("problem presence MESSAGE_DENIED"));
        world.emit(client, "x", "1");
        world.listen(client, Event, "x");
        world.listen(client, Record, "x");
        world.open(client, "x");
        world.ask(client, &Request::Read(name("x")));
        world.ask(client, &Request::Head(name("x")));
        world.ask(client, &Request::Delete(name("x")));
        world.update(client, "x", 1, "{}");
        let records = ["record"; 6].map(denied);
        assert_eq!(world.heard(client), [vec![denied("event"), denied("event")], records.to_vec()].concat());
        world.write(client, Action::CreateUpdate, "x", Write::NEXT, Change::Whole("{}".into()), true);
        assert_heard!(world, client, ["not written x MESSAGE_DENIED"]);
        world.ask(client, &Request::Call { name: name("x"), id: "1".into(), payload: json("1") });
        assert_heard!(world, client, ["problem rpc MESSAGE_DENIED x 1"]);
        for request in [Request::QueryAll, Request::SubscribeAll] {
            world.ask(client, &request);
            assert!(world.heard(client)[0].starts_with("problem presence MESSAGE_DENIED"));
        }
        assert_eq!(world.engine.records(), 0);
        assert!(!world.is_closed(client.conn));

        let admin = world.log_in(wire, "{\"username\":\"root\",\"role\":\"admin\"}");
        world.open(admin, "x");
        world.listen(admin, Record, "x");
        assert_heard!(world, admin, ["ack record S", "record x 0 {}", "ack record L", "wanted record x x"]);
    }
}

#[test]
fn users_have_names_of_their_own() {
    for wire in BOTH {
        let read = rule(true, "**", &[Right::RecordRead, Right::RecordCreate], &[]);
        let mut world = world(vec![read, rule(true, "users/$user/**", &[Right::RecordWrite], &[])]);
        let ada = world.user(wire, "ada");
        world.open(ada, "users/ada/x");
        world.open(ada, "users/bob/x");
        world.heard(ada);
        world.update(ada, "users/ada/x", 1, "{}");
        assert_heard!(world, ada, []);
        world.update(ada, "users/bob/x", 1, "{}");
        assert_heard!(world, ada, ["problem record MESSAGE_DENIED users/bob/x"]);
    }
}

#[test]
fn to_read_is_not_to_create() {
    for wire in BOTH {
        let rights = [Right::RecordRead, Right::RecordWrite];
        let mut world = world(vec![rule(true, "**", &rights, &[]), rule(true, "new/*", &[Right::RecordCreate], &[])]);
        let client = world.client(wire);
        world.open(client, "old");
        world.open(client, "new/x");
        assert_heard!(world, client, ["problem record MESSAGE_DENIED old", "ack record S", "record new/x 0 {}"]);
        world.write(client, Action::CreateUpdate, "old", Write::NEXT, Change::Whole("{}".into()), false);
        assert_heard!(world, client, ["problem record MESSAGE_DENIED old"]);
    }
}

#[test]
fn of_many_names_those_allowed_are_subscribed_to() {
    let mut world = world(vec![rule(true, "a/*", &[], &[])]);
    let client = world.client(Wire::Protobuf);
    let names = vec![name("a/1"), name("b"), name("a/2")];
    world.ask(client, &Request::Subscribe { topic: Event, names: names.clone(), ack: Some("1".into()) });
    assert_heard!(world, client, ["problem event MESSAGE_DENIED b", "ack event S"]);
    world.ask(client, &Request::Open { how: Action::Open, names, ack: Some("2".into()) });
    assert_heard!(
        world,
        client,
        ["problem record MESSAGE_DENIED b", "ack record S", "record a/1 0 {}", "record a/2 0 {}"]
    );
}

#[test]
fn listeners_learn_of_no_name_but_those_that_they_may() {
    for (topic, right) in [(Event, Right::EventListen), (Record, Right::RecordListen)] {
        let mut world = world(vec![
            rule(true, "**", &[], &["admin"]),
            rule(true, "rooms/x|.*", &[right], &["curious"]),
            rule(true, "rooms/$user", &[right], &["curious"]),
        ]);
        let subscribe = |world: &mut World, client, to: &str| match topic {
            Record => world.open(client, to),
            _ => world.subscribe(client, topic, to),
        };
        let admin = world.log_in(Wire::Text, "{\"role\":\"admin\"}");
        subscribe(&mut world, admin, "secret/early");
        subscribe(&mut world, admin, "rooms/eve");
        let eve = world.log_in(Wire::Text, "{\"username\":\"eve\",\"role\":\"curious\"}");
        let pattern = "rooms/x|.*";
        world.listen(eve, topic, pattern);
        subscribe(&mut world, admin, "secret/late");
        world.answer(eve, topic, pattern, "secret/late", true);
        world.pass(limits::LISTEN_TIMEOUT);
        let topic_name = if topic == Event { "event" } else { "record" };
        let heard = world.heard(eve);
        let offers: Vec<_> = heard.iter().filter(|line| line.starts_with("wanted")).collect();
        assert_eq!(offers, [&format!("wanted {topic_name} {pattern} rooms/eve")], "{heard:?}");

        let other = world.log_in(Wire::Text, "{\"role\":\"admin\"}");
        world.listen(other, topic, pattern);
        assert!(world.heard(other).iter().any(|line| line.ends_with("secret/early")), "it comes behind, and may");
    }
}

#[test]
fn who_may_not_read_a_record_is_not_told_what_a_write_conflicts_with() {
    for wire in BOTH {
        let mut world = world(vec![rule(true, "**", &[], &["admin"]), rule(true, "**", &[Right::RecordWrite], &[])]);
        let admin = world.log_in(wire, "{\"role\":\"admin\"}");
        world.open(admin, "x");
        world.update(admin, "x", 1, "{\"secret\":1}");
        let writer = world.client(wire);
        world.update(writer, "x", 1, "{}");
        assert_heard!(world, writer, ["problem record MESSAGE_DENIED x"]);
        world.update(writer, "x", 2, "{}");
        assert_eq!(world.heard(admin).last().unwrap(), "updated x 2 {}");
    }
}
