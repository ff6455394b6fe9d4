use super::world::{BOTH, Client, PAIRS, World, assert_heard, name};
use crate::message::{Request, Topic::Presence};

fn query(world: &mut World, client: Client, users: &[&str]) {
    let names = users.iter().map(|user| name(user)).collect();
    world.ask(client, &Request::Query { names, id: "q".into() });
}

#[test]
fn users_come_and_go_with_their_first_and_last_connection() {
    for (one, other) in PAIRS {
        let mut world = World::default();
        let watcher = world.user(one, "ada");
        world.ask(watcher, &Request::SubscribeAll);
        assert_heard!(world, watcher, ["ack presence S"]);
        let bob = world.user(other, "bob");
        let again = world.user(other, "bob");
        assert_heard!(world, watcher, ["joined bob"]);
        world.close(bob);
        assert_heard!(world, watcher, []);
        world.close(again);
        assert_heard!(world, watcher, ["left bob"]);
        world.ask(watcher, &Request::UnsubscribeAll);
        world.user(other, "bob");
        assert_heard!(world, watcher, ["ack presence US"]);
    }
}

#[test]
fn single_users_can_be_watched() {
    for (one, other) in PAIRS {
        let mut world = World::default();
        let watcher = world.client(one);
        world.subscribe(watcher, Presence, "bob");
        world.subscribe(watcher, Presence, "bob");
        assert_heard!(world, watcher, ["ack presence S", "ack presence S"]);
        world.user(other, "cleo");
        let bob = world.user(other, "bob");
        assert_heard!(world, watcher, ["joined bob"]);
        world.unsubscribe(watcher, Presence, "bob");
        world.close(bob);
        assert_heard!(world, watcher, ["ack presence US"]);
    }
}

#[test]
fn who_watches_everybody_and_one_is_told_as_its_protocol_has_it() {
    for wire in BOTH {
        let mut world = World::default();
        let watcher = world.client(wire);
        world.ask(watcher, &Request::SubscribeAll);
        world.subscribe(watcher, Presence, "bob");
        world.heard(watcher);
        world.user(wire, "bob");
        let expected = if wire == BOTH[0] { 1 } else { 2 };
        assert_eq!(world.heard(watcher), vec!["joined bob"; expected]);
    }
}

#[test]
fn who_is_here_can_be_asked() {
    for wire in BOTH {
        let mut world = World::default();
        let asker = world.user(wire, "ada");
        world.ask(asker, &Request::QueryAll);
        assert_heard!(world, asker, ["users"]);
        for user in ["cleo", "bob", "bob"] {
            world.user(wire, user);
        }
        world.client(wire);
        world.ask(asker, &Request::QueryAll);
        assert_heard!(world, asker, ["users bob cleo"]);
        query(&mut world, asker, &["bob", "zoe"]);
        assert_heard!(world, asker, ["users {\"bob\":true,\"zoe\":false}"]);
    }
}
