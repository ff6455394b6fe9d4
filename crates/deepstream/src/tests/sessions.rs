use super::world::{BOTH, Client, World, assert_heard};
use crate::{Config, Wire, message::Request, time::Micros};

#[test]
fn a_text_client_is_challenged_and_a_protobuf_client_speaks_first() {
    let mut world = World::default();
    let text = Client { conn: world.connect(Some(Wire::Text)), wire: Wire::Text };
    assert_heard!(world, text, ["challenge"]);
    let protobuf = Client { conn: world.connect(Some(Wire::Protobuf)), wire: Wire::Protobuf };
    assert_heard!(world, protobuf, []);
    for client in [text, protobuf] {
        world.ask(client, &Request::Hello);
        assert_heard!(world, client, ["welcome"]);
        world.ask(client, &Request::Login("{\"data\":\"x\"}".into()));
        assert_heard!(world, client, ["logged in {\"data\":\"x\"}"]);
    }
    assert_eq!(world.engine.connections(), 2);
}

#[test]
fn who_could_speak_either_is_found_out() {
    let sniff = Config::default().sniff;
    let mut world = World::default();
    let first = Client { conn: world.connect(None), wire: Wire::Protobuf };
    world.ask(first, &Request::Hello);
    world.pass(sniff);
    assert_heard!(world, first, ["welcome"]);

    let silent = Client { conn: world.connect(None), wire: Wire::Text };
    assert_heard!(world, silent, []);
    world.pass(sniff);
    assert_heard!(world, silent, ["challenge"]);
    world.ask(silent, &Request::Hello);
    assert_heard!(world, silent, ["welcome"]);

    // A slow client of the other kind: it was greeted wrongly, and goes on.
    let slow = Client { conn: world.connect(None), wire: Wire::Protobuf };
    world.pass(sniff);
    assert_heard!(world, slow, ["challenge"]);
    world.ask(slow, &Request::Hello);
    assert_heard!(world, slow, ["welcome"]);

    // One that speaks text without waiting.
    let eager = Client { conn: world.connect(None), wire: Wire::Text };
    world.ask(eager, &Request::Hello);
    assert_heard!(world, eager, ["challenge", "welcome"]);
}

#[test]
fn a_client_that_changes_its_protocol_is_closed() {
    for wire in BOTH {
        let mut world = World::default();
        let client = world.client(wire);
        let other = if wire == Wire::Text { Wire::Protobuf } else { Wire::Text };
        world.ask(Client { conn: client.conn, wire: other }, &Request::Pong);
        assert_heard!(world, client, ["MESSAGE_PARSE_ERROR"]);
        assert!(world.is_closed(client.conn) && world.engine.connections() == 0);
    }
}

#[test]
fn a_failed_login_can_be_tried_again_but_not_for_ever() {
    for wire in BOTH {
        let mut world = World::new(Config { login_attempts: 2, ..Config::default() });
        let client = Client { conn: world.connect(Some(wire)), wire };
        world.ask(client, &Request::Hello);
        world.heard(client);
        let wrong = Request::Login("{\"password\":\"wrong\"}".into());
        world.ask(client, &wrong);
        assert_heard!(world, client, ["login failed \"wrong password\""]);
        world.ask(client, &wrong);
        let last = world.heard(client);
        assert_eq!(last.last().unwrap(), "TOO_MANY_AUTH_ATTEMPTS \"wrong password\"");
        assert_eq!(last.len(), if wire == Wire::Text { 1 } else { 2 });
        assert!(world.is_closed(client.conn));

        let client = Client { conn: world.connect(Some(wire)), wire };
        world.ask(client, &Request::Hello);
        world.ask(client, &Request::Login("{\"password\":\"wrong\"}".into()));
        world.ask(client, &Request::Login("{\"password\":\"right\"}".into()));
        assert_eq!(world.heard(client).last().unwrap(), "logged in");
    }
}

#[test]
fn nothing_is_done_before_the_login() {
    for wire in BOTH {
        let mut world = World::default();
        let client = Client { conn: world.connect(Some(wire)), wire };
        world.heard(client);
        world.ask(client, &Request::QueryAll);
        assert_heard!(world, client, ["connection INVALID_MESSAGE"]);
        assert!(world.is_closed(client.conn));

        let client = Client { conn: world.connect(Some(wire)), wire };
        world.ask(client, &Request::Hello);
        world.heard(client);
        world.ask(client, &Request::QueryAll);
        assert_heard!(world, client, ["login first"]);
        // The newer client sends what it listens to too early, and once more later.
        assert_eq!(world.is_closed(client.conn), wire == Wire::Text);
    }
}

#[test]
fn who_does_not_log_in_in_time_is_closed() {
    for wire in BOTH {
        let config = Config { login_timeout: Micros::from_secs(10), ..Config::default() };
        let mut world = World::new(config);
        let client = Client { conn: world.connect(Some(wire)), wire };
        world.ask(client, &Request::Hello);
        world.heard(client);
        world.pass(Micros::from_secs(9));
        assert_heard!(world, client, []);
        world.pass(Micros::from_secs(1));
        assert_heard!(world, client, ["connection CONNECTION_AUTHENTICATION_TIMEOUT"]);
        assert!(world.is_closed(client.conn));
    }
}

#[test]
fn text_clients_are_pinged_and_protobuf_clients_ping() {
    let mut world = World::default();
    let (text, protobuf) = (world.client(Wire::Text), world.client(Wire::Protobuf));
    for _ in 0..10 {
        world.pass(Micros::from_secs(30));
        assert_heard!(world, text, ["ping"]);
        world.ask(text, &Request::Pong);
        world.ask(protobuf, &Request::Ping);
        assert_heard!(world, protobuf, ["pong"]);
    }
    assert_eq!(world.engine.connections(), 2);
}

#[test]
fn who_is_silent_for_too_long_is_gone() {
    for (wire, patience) in [(Wire::Text, 60), (Wire::Protobuf, 90)] {
        let mut world = World::default();
        let client = world.client(wire);
        world.pass(Micros::from_secs(patience - 1));
        assert!(!world.is_closed(client.conn));
        world.pass(Micros::from_secs(1));
        assert!(world.is_closed(client.conn));
    }
}

#[test]
fn a_ping_is_answered_before_the_login_too() {
    let mut world = World::default();
    let client = Client { conn: world.connect(Some(Wire::Protobuf)), wire: Wire::Protobuf };
    world.ask(client, &Request::Ping);
    world.ask(client, &Request::Hello);
    world.ask(client, &Request::Ping);
    assert_heard!(world, client, ["pong", "welcome", "pong"]);
}

#[test]
fn who_may_stay_for_a_time_is_closed_when_it_is_over() {
    for wire in BOTH {
        let mut world = World::default();
        let other = world.client(Wire::Text);
        world.ask(other, &Request::SubscribeAll);
        let client = world.log_in(wire, "{\"username\":\"ada\",\"seconds\":\"20\"}");
        world.heard(other);
        world.pass(Micros::from_secs(19));
        assert!(!world.is_closed(client.conn));
        world.pass(Micros::from_secs(1));
        assert!(world.is_closed(client.conn));
        assert_heard!(world, other, ["left ada"]);
    }
}
