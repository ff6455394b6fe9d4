use bytes::Bytes;
use proptest::prelude::*;

use super::world::{BOTH, Client, World, assert_heard, name};
use crate::{
    Config, Frame, Input, Output, Wire, limits,
    message::{Action, Change, Request, Topic::Event},
    wire::client,
};

#[test]
fn nothing_short_kills_the_engine() {
    let mut world = World::default();
    let innocent = world.client(Wire::Text);
    world.subscribe(innocent, Event, "e");
    world.heard(innocent);
    // The first of these ends the process of the original server.
    for text in
        ["E|S+", "E|S|+", "E+", "+", "", "|", "|+", "E|+", "R|U+", "R|U|a|1+", "P|REQ+", "U|Q+", "C|CHR+", "A|REQ+"]
    {
        let client = world.client(Wire::Text);
        world.send_text(client.conn, text);
        assert!(!world.heard(client).is_empty(), "{text}");
    }
    let client = world.client(Wire::Text);
    world.emit(client, "e", "1");
    assert_heard!(world, innocent, ["event e 1"]);
}

#[test]
fn who_talks_nonsense_for_too_long_is_closed() {
    let mut world = World::default();
    let client = world.client(Wire::Text);
    for _ in 1..limits::STRIKES {
        world.send_text(client.conn, "E|S+");
    }
    assert!(!world.is_closed(client.conn));
    world.send_text(client.conn, "E|S+");
    assert!(world.is_closed(client.conn));

    let client = world.client(Wire::Protobuf);
    world.send(client.conn, Frame::Binary(Bytes::from_static(b"nonsense")));
    assert_heard!(world, client, ["MESSAGE_PARSE_ERROR"]);
    assert!(world.is_closed(client.conn));
}

#[test]
fn what_follows_nonsense_in_a_frame_is_done() {
    let mut world = World::default();
    let client = world.client(Wire::Text);
    world.send_text(client.conn, "E|S+X|Y|z+E|S|a+");
    assert_heard!(world, client, ["problem event INVALID_MESSAGE_DATA S", "MESSAGE_PARSE_ERROR", "ack event S"]);
}

#[test]
fn frames_that_are_too_large_are_not_read() {
    for wire in BOTH {
        let mut world = World::default();
        let client = world.client(wire);
        let bytes = Bytes::from(vec![b'x'; limits::FRAME_MAX + 1]);
        let frame = if wire == Wire::Text { Frame::Text(bytes) } else { Frame::Binary(bytes) };
        world.send(client.conn, frame);
        assert_heard!(world, client, ["MESSAGE_PARSE_ERROR"]);
        assert!(world.is_closed(client.conn));
    }
}

#[test]
fn ten_thousand_subscriptions_are_fine_and_too_many_are_denied() {
    let mut world = World::new(Config { subscriptions_max: 10_000, ..Config::default() });
    let client = world.client(Wire::Protobuf);
    let names: Vec<_> = (0..10_000).map(|count| name(&format!("n{count}"))).collect();
    world.ask(client, &Request::Subscribe { topic: Event, names, ack: Some("1".into()) });
    assert_heard!(world, client, ["ack event S"]);
    world.subscribe(client, Event, "one more");
    assert_heard!(world, client, ["problem event MESSAGE_DENIED one more"]);
    let ack = Some("2".into());
    world.ask(client, &Request::Open { how: Action::Open, names: vec![name("r")], ack });
    assert_heard!(world, client, ["problem record MESSAGE_DENIED r"]);
    world.close(client);
    assert_eq!(world.engine.records(), 0);
}

#[test]
fn a_few_bytes_that_ask_for_very_much_are_not_answered_to_the_end() {
    const RECORD: usize = 1024 * 1024;
    let json = format!("{{\"a\":\"{}\"}}", "x".repeat(RECORD - 1_024));
    let client_of = |wire| {
        let mut world = World::new(Config { persist: true, ..Config::default() });
        world.stores = false;
        let client = world.client(Wire::Protobuf);
        world.open(client, "r");
        world.write(client, Action::Update, "r", 1, Change::Whole(json.clone()), false);
        let client = world.client(wire);
        world.heard(client);
        (world, client)
    };
    // One message that names it again and again.
    let open =
        Request::Open { how: Action::OpenRead, names: vec![name("r"); limits::SUBSCRIPTIONS], ack: Some("1".into()) };
    let frame = client::ask(Wire::Protobuf, &open).unwrap();
    let (mut world, client) = client_of(Wire::Protobuf);
    world.engine.handle(world.now, Input::Received { conn: client.conn, frame });
    let mut bytes = 0;
    let mut is_closed = false;
    while let Some(output) = world.engine.poll_output() {
        match output {
            Output::Send { frame, .. } => bytes += frame.bytes().len(),
            Output::Close { conn } => is_closed |= conn == client.conn,
            _ => {}
        }
    }
    assert!(is_closed && bytes <= limits::TURN_BYTES + 3 * RECORD, "{bytes}");
    let other = world.client(Wire::Text);
    world.ask(other, &Request::Has(name("r")));
    assert!(!world.heard(other).is_empty(), "others are not affected");

    // Many messages are carried out bit by bit.
    for text in ["R\u{1f}SN\u{1f}r\u{1e}", "R\u{1f}P\u{1f}r\u{1f}-1\u{1f}b\u{1f}N1\u{1e}"] {
        let (mut world, client) = client_of(Wire::Text);
        let frame = Frame::Text(text.repeat(limits::FRAME_MESSAGES).into());
        world.engine.handle(world.now, Input::Received { conn: client.conn, frame });
        let mut bytes = 0;
        let mut is_unfinished = false;
        while let Some(output) = world.engine.poll_output() {
            match output {
                Output::Send { frame, .. } => bytes += frame.bytes().len(),
                Output::Store { record, .. } => bytes += record.map_or(0, |record| record.json.len()),
                Output::Unfinished { .. } => is_unfinished = true,
                _ => {}
            }
        }
        assert!(is_unfinished && bytes as u64 <= limits::TURN_WORK + 3 * RECORD as u64, "{text}: {bytes}");
    }
}

#[test]
fn frames_before_the_login_are_small() {
    for wire in BOTH {
        let mut world = World::default();
        let conn = world.connect(Some(wire));
        let client = Client { conn, wire };
        world.ask(client, &Request::Hello);
        world.heard(client);
        let bytes = Bytes::from(vec![b'x'; limits::FRAME_BEFORE_LOGIN + 1]);
        let frame = if wire == Wire::Text { Frame::Text(bytes) } else { Frame::Binary(bytes) };
        world.send(conn, frame);
        assert_heard!(world, client, ["MESSAGE_PARSE_ERROR"]);
        assert!(world.is_closed(conn));
    }
}

/// The parts that messages are made of, good and bad.
fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("S".to_owned()),
        Just("REQ".to_owned()),
        Just("Q".to_owned()),
        Just("a".to_owned()),
        Just("users".to_owned()),
        Just("1".to_owned()),
        Just("-1".to_owned()),
        Just("{}".to_owned()),
        Just("[\"a\"]".to_owned()),
        Just("Sx".to_owned()),
        Just("{\"writeSuccess\":true}".to_owned()),
        Just("^a.*".to_owned()),
        Just(String::new()),
        "[\\PC\u{0}-\u{2f}]{0,8}",
    ]
}

fn text_frame() -> impl Strategy<Value = String> {
    let topic = prop::sample::select(vec!["C", "A", "E", "R", "P", "U", "X", ""]);
    let action = prop::sample::select(vec![
        "CHR", "REQ", "S", "US", "EVT", "L", "UL", "LA", "LR", "CR", "SN", "H", "HD", "D", "U", "P", "CU", "A", "RES",
        "E", "REJ", "Q", "PO", "PI", "",
    ]);
    let message = (topic, action, prop::collection::vec(part(), 0..6)).prop_map(|(topic, action, parts)| {
        let mut all = vec![topic.to_owned(), action.to_owned()];
        all.extend(parts);
        all.join("\u{1f}")
    });
    prop::collection::vec(message, 1..5).prop_map(|messages| messages.join("\u{1e}") + "\u{1e}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn messages_of_any_parts_do_no_harm(frames in prop::collection::vec(text_frame(), 1..20)) {
        let mut world = World::default();
        let (victim, client) = (world.client(Wire::Text), world.client(Wire::Text));
        world.subscribe(victim, Event, "safe");
        for frame in frames {
            world.send(client.conn, Frame::Text(frame.into()));
        }
        world.heard(victim);
        let other = world.client(Wire::Protobuf);
        world.emit(other, "safe", "1");
        prop_assert_eq!(world.heard(victim), vec!["event safe 1".to_owned()]);
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), is_text in any::<bool>()) {
        let mut world = World::default();
        let wire = if is_text { Wire::Text } else { Wire::Protobuf };
        let client = world.client(wire);
        let bytes = Bytes::from(bytes);
        world.send(client.conn, if is_text { Frame::Text(bytes) } else { Frame::Binary(bytes) });
        prop_assert!(!world.heard(client).is_empty(), "it is told");
    }

    #[test]
    fn a_good_message_with_a_wrong_byte_does_no_harm(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut world = World::default();
        let client = world.client(Wire::Protobuf);
        let good = client::ask(Wire::Protobuf, &Request::Open {
            how: Action::Open,
            names: vec![name("first"), name("second")],
            ack: Some("17".into()),
        });
        let mut bytes = good.unwrap().bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        world.send(client.conn, Frame::Binary(bytes.into()));
    }
}

#[test]
fn a_client_cannot_speak_as_the_server() {
    for wire in BOTH {
        let mut world = World::default();
        let client = world.client(wire);
        let innocent = world.client(wire);
        if wire == Wire::Text {
            for text in
                ["U|PNJ|eve+", "R|R|a|1|{}+", "E|A|S|a+", "R|WA|a|[1]|L+", "A|A+", "C|A+", "E|SP|a|b+", "R|SH|a|T+"]
            {
                world.send_text(client.conn, text);
            }
        } else {
            for (topic, action) in [(7, 6), (5, 4), (5, 14), (3, 3), (2, 4), (4, 11), (5, 31), (5, 24)] {
                let message = client::raw(topic, action, "a");
                world.send(client.conn, Frame::Binary(message.into()));
            }
        }
        assert!(world.heard(client).iter().all(|line| line == "MESSAGE_PARSE_ERROR" || line == "UNKNOWN_ACTION"));
        assert_heard!(world, innocent, []);
        assert!(!world.is_closed(client.conn));
    }
}
