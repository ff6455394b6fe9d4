use super::world::{BOTH, Client, PAIRS, World, assert_heard, name};
use crate::{
    Config, Wire, limits,
    message::{
        Request,
        Topic::{self, Event, Record},
    },
};

const PATTERN: &str = "^a/.*";

fn want(world: &mut World, client: Client, topic: Topic, to: &str) {
    if topic == Event { world.subscribe(client, topic, to) } else { world.open(client, to) }
}

fn wanted(topic: Topic, to: &str) -> String {
    format!("wanted {} {PATTERN} {to}", if topic == Event { "event" } else { "record" })
}

fn unlisten(world: &mut World, client: Client, topic: Topic) {
    world.ask(client, &Request::Unlisten { topic, pattern: name(PATTERN) });
}

#[test]
fn listeners_learn_what_is_wanted_and_what_is_not_any_more() {
    for (one, other) in PAIRS {
        for topic in [Event, Record] {
            let mut world = World::default();
            let (listener, client) = (world.client(one), world.client(other));
            want(&mut world, client, topic, "a/before");
            want(&mut world, client, topic, "b");
            let kind = if topic == Event { "event" } else { "record" };
            world.listen(listener, topic, PATTERN);
            assert_heard!(world, listener, [format!("ack {kind} L"), wanted(topic, "a/before")]);
            want(&mut world, client, topic, "a/after");
            assert_heard!(world, listener, [wanted(topic, "a/after")]);
            world.answer(listener, topic, PATTERN, "a/after", true);
            want(&mut world, listener, topic, "a/after");
            world.heard(listener);
            world.unsubscribe(client, topic, "a/after");
            assert_heard!(world, listener, []);
            world.unsubscribe(listener, topic, "a/after");
            assert!(world.heard(listener).contains(&format!("unwanted {kind} {PATTERN} a/after")));
        }
    }
}

#[test]
fn subscribers_learn_whether_a_record_is_provided() {
    for (one, other) in PAIRS {
        let mut world = World::default();
        let (listener, client) = (world.client(one), world.client(other));
        world.listen(listener, Record, PATTERN);
        world.open(client, "a/x");
        world.heard(client);
        world.answer(listener, Record, PATTERN, "a/x", true);
        assert_heard!(world, client, ["provided a/x"]);
        let late = world.client(other);
        world.open(late, "a/x");
        assert_heard!(world, late, ["ack record S", "record a/x 0 {}", "provided a/x"]);
        world.close(listener);
        assert_heard!(world, client, ["not provided a/x"]);
        assert_heard!(world, late, ["not provided a/x"]);
    }
}

#[test]
fn who_rejects_or_does_not_answer_is_followed_by_the_next() {
    for wire in BOTH {
        for topic in [Event, Record] {
            let mut world = World::default();
            let listeners: Vec<Client> = (0..4).map(|_| world.client(wire)).collect();
            for listener in &listeners {
                world.listen(*listener, topic, PATTERN);
                world.heard(*listener);
            }
            let client = world.client(wire);
            want(&mut world, client, topic, "a/x");
            assert_heard!(world, listeners[0], [wanted(topic, "a/x")]);
            assert_heard!(world, listeners[1], []);
            world.answer(listeners[0], topic, PATTERN, "a/x", false);
            assert_heard!(world, listeners[1], [wanted(topic, "a/x")]);
            world.pass(Config::default().listen_timeout);
            assert_heard!(world, listeners[2], [wanted(topic, "a/x")]);
            world.close(listeners[2]);
            assert_heard!(world, listeners[0], [wanted(topic, "a/x")]);
            world.answer(listeners[0], topic, PATTERN, "a/x", true);
            // Late, and not needed any more.
            world.heard(listeners[1]);
            world.answer(listeners[1], topic, PATTERN, "a/x", true);
            assert!(world.heard(listeners[1])[0].starts_with("unwanted"));
        }
    }
}

#[test]
fn what_a_listener_leaves_is_handed_over() {
    for wire in BOTH {
        for topic in [Event, Record] {
            let mut world = World::default();
            let (first, second, client) = (world.client(wire), world.client(wire), world.client(wire));
            want(&mut world, client, topic, "a/x");
            world.listen(first, topic, PATTERN);
            world.listen(second, topic, PATTERN);
            world.answer(first, topic, PATTERN, "a/x", true);
            world.heard(first);
            world.heard(second);
            world.heard(client);
            unlisten(&mut world, first, topic);
            let told = world.heard(first);
            assert!(told[0].starts_with("unwanted") && told[1].starts_with("ack"), "{told:?}");
            assert_heard!(world, second, [wanted(topic, "a/x")]);
            world.answer(second, topic, PATTERN, "a/x", true);
            if topic == Record {
                assert_heard!(world, client, ["not provided a/x", "provided a/x"]);
            }
            // One that comes back is asked when the other goes.
            world.listen(first, topic, PATTERN);
            world.heard(first);
            world.close(second);
            assert_heard!(world, first, [wanted(topic, "a/x")]);
        }
    }
}

#[test]
fn late_is_better_than_nobody() {
    let mut world = World::default();
    let (listener, client) = (world.client(BOTH[0]), world.client(BOTH[1]));
    world.listen(listener, Record, PATTERN);
    world.open(client, "a/x");
    world.pass(Config::default().listen_timeout);
    world.heard(client);
    world.answer(listener, Record, PATTERN, "a/x", true);
    assert_heard!(world, client, ["provided a/x"]);
    // A listener may give up what it accepted.
    world.answer(listener, Record, PATTERN, "a/x", false);
    assert_heard!(world, client, ["not provided a/x"]);
}

#[test]
fn patterns_are_checked() {
    for wire in BOTH {
        let mut world = World::default();
        let client = world.client(wire);
        for pattern in ["(", "a(?=b)", "(a)\\1", "(a{9999}){9999}"] {
            world.listen(client, Event, pattern);
            assert_heard!(world, client, [format!("problem event INVALID_LISTEN_REGEX {pattern}")]);
        }
        world.listen(client, Event, PATTERN);
        world.listen(client, Event, PATTERN);
        unlisten(&mut world, client, Event);
        unlisten(&mut world, client, Event);
        assert_heard!(
            world,
            client,
            [
                "ack event L",
                format!("problem event MULTIPLE_SUBSCRIPTIONS {PATTERN}"),
                "ack event UL",
                format!("problem event NOT_SUBSCRIBED {PATTERN}")
            ]
        );
        for count in 0..=limits::PATTERNS_EACH {
            world.listen(client, Event, &format!("x{count}"));
        }
        assert_eq!(
            world.heard(client).last().unwrap(),
            &format!("problem event MESSAGE_DENIED x{}", limits::PATTERNS_EACH)
        );
    }
}

#[test]
fn a_new_listener_is_not_flooded() {
    const NAMES: usize = 3 * limits::OFFERS + 10;
    for (wire, accepts) in [(BOTH[0], true), (BOTH[1], false)] {
        let mut world = World::default();
        let (client, listener) = (world.client(wire), world.client(wire));
        for count in 0..NAMES {
            world.subscribe(client, Event, &format!("a/{count:06}"));
        }
        world.listen(listener, Event, PATTERN);
        let mut offered = 0;
        let mut most = 0;
        loop {
            let told = world.heard(listener);
            let names: Vec<&str> = told.iter().filter_map(|line| line.strip_prefix("wanted event ^a/.* ")).collect();
            if names.is_empty() {
                break;
            }
            offered += names.len();
            most = most.max(names.len());
            if accepts {
                for to in names {
                    world.answer(listener, Event, PATTERN, to, true);
                }
            } else {
                world.pass(Config::default().listen_timeout);
            }
        }
        assert_eq!(offered, NAMES);
        assert!(most <= limits::OFFERS, "{most}");
    }
}

#[test]
fn a_pattern_that_waits_for_another_of_the_same_listener_has_its_turn() {
    let mut world = World::default();
    let (listener, client) = (world.client(Wire::Text), world.client(Wire::Protobuf));
    world.subscribe(client, Event, "b/before");
    world.listen(listener, Event, PATTERN);
    // As many as may be offered at a time, after all that there was has been.
    let names: Vec<String> = (0..limits::OFFERS).map(|at| format!("a/{at}")).collect();
    for name in &names {
        world.subscribe(client, Event, name);
    }
    world.heard(listener);
    world.listen(listener, Event, "^b/.*");
    assert_heard!(world, listener, ["ack event L"]);
    for name in &names {
        world.answer(listener, Event, PATTERN, name, true);
    }
    assert_heard!(world, listener, ["wanted event ^b/.* b/before"]);
}
