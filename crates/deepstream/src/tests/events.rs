use super::world::{BOTH, PAIRS, World, assert_heard};
use crate::message::Topic::Event;

#[test]
fn an_event_reaches_every_subscriber_but_its_sender() {
    for (one, other) in PAIRS {
        let mut world = World::default();
        let (sender, receiver, stranger) = (world.client(one), world.client(other), world.client(other));
        for client in [sender, receiver] {
            world.subscribe(client, Event, "signal/a");
            assert_heard!(world, client, ["ack event S"]);
        }
        for data in ["\"hi\"", "1.5", "true", "false", "null", "{\"a\":[1]}", "\"\""] {
            world.emit(sender, "signal/a", data);
            assert_heard!(world, receiver, [format!("event signal/a {data}")]);
        }
        assert_heard!(world, sender, []);
        assert_heard!(world, stranger, []);
    }
}

#[test]
fn events_of_one_sender_come_in_order() {
    let mut world = World::default();
    let (sender, receiver) = (world.client(BOTH[0]), world.client(BOTH[1]));
    world.subscribe(receiver, Event, "e");
    world.heard(receiver);
    for count in 0..50 {
        world.emit(sender, "e", &count.to_string());
    }
    let expected: Vec<String> = (0..50).map(|count| format!("event e {count}")).collect();
    assert_eq!(world.heard(receiver), expected);
}

#[test]
fn subscribing_twice_and_unsubscribing_from_nothing_are_told() {
    for wire in BOTH {
        let mut world = World::default();
        let client = world.client(wire);
        world.subscribe(client, Event, "e");
        world.subscribe(client, Event, "e");
        world.unsubscribe(client, Event, "e");
        world.unsubscribe(client, Event, "e");
        assert_heard!(
            world,
            client,
            ["ack event S", "problem event MULTIPLE_SUBSCRIPTIONS e", "ack event US", "problem event NOT_SUBSCRIBED e"]
        );
        let other = world.client(wire);
        world.emit(other, "e", "1");
        assert_heard!(world, client, []);
    }
}

#[test]
fn the_subscriptions_of_the_gone_are_gone() {
    for wire in BOTH {
        let mut world = World::default();
        let (client, other) = (world.client(wire), world.client(wire));
        world.subscribe(client, Event, "e");
        world.close(client);
        world.emit(other, "e", "1");
        assert_heard!(world, other, []);
    }
}
