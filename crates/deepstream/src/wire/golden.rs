//! The codecs against what the real clients sent, and took without an error (`tests/wire`).

use bytes::Bytes;
use serde::Deserialize;

use super::{Frame, Wire, decode, encode};
use crate::{
    message::{Action, Problem, Reply, Topic, WriteAck},
    name::Name,
    payload::Payload,
};

#[derive(Deserialize)]
struct Line {
    from: String,
    about: String,
    frame: String,
}

const WIRES: [(Wire, &str); 2] = [
    (Wire::Text, include_str!("../../tests/wire/text.jsonl")),
    (Wire::Protobuf, include_str!("../../tests/wire/protobuf.jsonl")),
];

fn lines(text: &str) -> impl Iterator<Item = Line> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

fn frame(wire: Wire, line: &Line) -> Frame {
    match wire {
        Wire::Text => Frame::Text(line.frame.clone().into()),
        Wire::Protobuf => {
            let digits: Vec<char> = line.frame.chars().collect();
            let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
            Frame::Binary(digits.chunks(2).map(byte).collect::<Vec<u8>>().into())
        }
    }
}

#[test]
fn what_clients_send_is_understood() {
    let mut understood = String::new();
    for (wire, text) in WIRES {
        for line in lines(text).filter(|line| line.from == "client") {
            for request in decode(&frame(wire, &line)) {
                let request = request.unwrap_or_else(|garbage| panic!("{wire:?} {}: {garbage:?}", line.about));
                understood += &format!("{wire:?}, {}: {request:?}\n", line.about);
            }
        }
    }
    let expected = include_str!("../../tests/wire/requests.txt");
    for (understood, expected) in understood.lines().zip(expected.lines()) {
        assert_eq!(understood, expected);
    }
    assert_eq!(understood.len(), expected.len(), "\n{understood}");
}

/// What the recorder's server said, by what it is about.
fn with_reply(about: &str, wire: Wire, check: impl FnOnce(&Reply<'_>)) {
    let names = |texts: &[&str]| texts.iter().map(|text| Name::new(text).unwrap()).collect::<Vec<_>>();
    let json = |text: &str| Payload::json(Some(text)).unwrap();
    let is_text = wire == Wire::Text;
    let (event, record) = (Topic::Event, Topic::Record);
    let ack = |action, name: &str, id: Option<&str>| {
        // The newer client's acknowledgements have ids, but for those of listeners.
        let is_listening = matches!(action, Action::Listen(_) | Action::Unlisten(_));
        let is_all = matches!(action, Action::SubscribeAll | Action::UnsubscribeAll);
        let is_user = matches!(action, Action::Subscribe(Topic::Presence) | Action::Unsubscribe(Topic::Presence));
        let has_id = (is_text && is_user) || !(is_text || is_listening || is_all);
        (action, names(&[name]), id.filter(|_| has_id).map(str::to_owned))
    };
    let acked = match about {
        "ack event S" | "ack event 3" => ack(Action::Subscribe(event), "e", Some("0")),
        "ack event US" | "ack event 4" => ack(Action::Unsubscribe(event), "e", Some("1")),
        "ack event L" | "ack event 5" => ack(Action::Listen(event), "^e/.*", None),
        "ack event UL" | "ack event 6" => ack(Action::Unlisten(event), "^e/.*", None),
        "ack record L" | "ack record 27" => ack(Action::Listen(record), "^r/.*", None),
        "ack record UL" | "ack record 28" => ack(Action::Unlisten(record), "^r/.*", None),
        "ack record" | "ack record 23" => ack(Action::Open, "r", Some("0")),
        "ack record US" | "ack record 26" => ack(Action::Unsubscribe(record), "r", Some("r")),
        "ack call S" | "ack call 8" => ack(Action::Subscribe(Topic::Rpc), "f", Some("0")),
        "ack call US" | "ack call 9" => ack(Action::Unsubscribe(Topic::Rpc), "f", Some("1")),
        "ack users S" if is_text => ack(Action::SubscribeAll, "x", None),
        "ack users 12" => ack(Action::SubscribeAll, "x", None),
        "ack users US" if is_text => ack(Action::Unsubscribe(Topic::Presence), "ada", Some("3")),
        "ack users 10" => ack(Action::Subscribe(Topic::Presence), "ada", Some("0")),
        "ack users 11" => ack(Action::Unsubscribe(Topic::Presence), "ada", Some("1")),
        "ack users 13" => ack(Action::UnsubscribeAll, "x", None),
        "ack notify" => ack(Action::Notify, "other", Some("ID")),
        _ => ack(Action::Emit, "x", None),
    };
    let id = acked.2.as_deref();
    let written = WriteAck { version: 5, id: (!is_text).then(|| "1".into()) };
    let (hello, two, three, because) = (json("\"hello\""), json("2"), json("3"), json("\"because\""));
    let (one, ada_and_bob) = (json("1"), names(&["ada", "bob"]));
    let states: Vec<(Name, bool)> = ada_and_bob.iter().cloned().zip([true, false]).collect();
    let user = |here, all| Reply::UserChanged { name: "ada", here, all };
    let problem = |problem, action, name, id| Reply::Problem { problem, action, name: Some(name), id };
    check(&match about {
        "challenge" => Reply::Challenge,
        "welcome" => Reply::Welcome,
        "ping" => Reply::Ping,
        "pong" => Reply::Pong,
        "login failed" => Reply::LoginFailed(Some("\"no\"")),
        "logged in" => Reply::LoggedIn(Some("{\"id\":7}")),
        "event" => Reply::Event { name: "e", payload: &hello },
        "event wanted" => Reply::Wanted { topic: event, pattern: "^e/.*", name: "e/1" },
        "event unwanted" => Reply::Unwanted { topic: event, pattern: "^e/.*", name: "e/1" },
        "record" => Reply::Record { name: "r", version: 0, json: "{}" },
        "record not found" => problem(Problem::RecordNotFound, Action::Read, "missing", None),
        "updated" => Reply::Updated { name: "r", version: 7, json: "{\"z\":1}" },
        "patched" => Reply::Patched { name: "r", version: 8, path: "z", payload: Some(&two) },
        "erased" => Reply::Patched { name: "r", version: 9, path: "z", payload: None },
        "conflict" => Reply::Conflict { name: "r", version: 9, json: "{}", action: Action::Update, ack: None },
        "written" => Reply::Written { name: "r", ack: &written, problem: None },
        "provided" => Reply::Provided { name: "r", provided: true },
        "has" => Reply::Has { name: "other", has: true },
        "version" => Reply::Version { name: "other", version: Some(5) },
        "delete done" | "ack record D" => Reply::DeleteDone("gone"),
        "record wanted" => Reply::Wanted { topic: record, pattern: "^r/.*", name: "r/1" },
        "record unwanted" => Reply::Unwanted { topic: record, pattern: "^r/.*", name: "r/1" },
        "call" => Reply::Call { name: "f", id: "id-1", payload: &one },
        "call accepted" => Reply::CallAccepted { name: "g", id: "ID" },
        "call answered" => Reply::CallAnswered { name: "g", id: "ID", payload: &three },
        "call failed" => Reply::CallFailed { name: "fails", id: "ID", payload: &because },
        "no provider" => problem(Problem::NoProvider, Action::Call, "nobody", Some("ID")),
        "users" => Reply::Users(&ada_and_bob),
        "user states" => Reply::UserStates { id: if is_text { "1" } else { "0" }, states: &states },
        "joined" => user(true, false),
        "joined all" => user(true, true),
        "left" => user(false, false),
        "left all" => user(false, true),
        "denied" => problem(Problem::Denied, Action::Subscribe(event), "e2", Some("9")),
        "unreadable" => Reply::Unreadable,
        about if about.starts_with("ack ") && acked.0 != Action::Emit => {
            Reply::Ack { action: acked.0, names: &acked.1, id }
        }
        about => panic!("{about} is not known here"),
    });
}

/// A protobuf message as a set of fields, in which order does not matter; ids that were made by chance left out.
fn fields(mut bytes: Bytes, has_ids: bool) -> Vec<(u32, Vec<u8>)> {
    use prost::{
        bytes::Buf,
        encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
    };
    let mut fields = Vec::new();
    while bytes.has_remaining() {
        let before = bytes.clone();
        let (tag, wire_type) = decode_key(&mut bytes).unwrap();
        if wire_type == WireType::LengthDelimited {
            let length = decode_varint(&mut bytes).unwrap() as usize;
            let value = bytes.split_to(length);
            let by_chance = has_ids && value.len() >= 16 && value.contains(&b'-');
            fields.push((tag, if by_chance { b"ID".to_vec() } else { value.to_vec() }));
        } else {
            skip_field(wire_type, tag, &mut bytes, DecodeContext::default()).unwrap();
            fields.push((tag, before[..before.len() - bytes.len()].to_vec()));
        }
    }
    fields.sort();
    fields
}

fn plain(frame: &Frame) -> (Vec<(u32, Vec<u8>)>, String) {
    match frame {
        Frame::Text(bytes) => (Vec::new(), String::from_utf8(bytes.to_vec()).unwrap()),
        Frame::Binary(bytes) => {
            let mut rest = bytes.clone();
            prost::decode_length_delimiter(&mut rest).unwrap();
            let outer = fields(rest, false);
            let inner = outer.iter().find(|(tag, _)| *tag == 3).map(|(_, bytes)| fields(bytes.clone().into(), true));
            let topic = outer.iter().find(|(tag, _)| *tag == 2).cloned();
            (inner.unwrap_or_default(), format!("{topic:?}"))
        }
    }
}

#[test]
fn what_clients_take_is_what_is_sent() {
    let mut compared = 0;
    for (wire, text) in WIRES {
        let mut seen = Vec::new();
        for mut line in lines(text).filter(|line| line.from == "server") {
            // Of several messages of a kind the first is compared.
            if seen.contains(&line.about) {
                continue;
            }
            seen.push(line.about.clone());
            if wire == Wire::Text && line.about.starts_with("call ") || line.about == "no provider" {
                let parts: Vec<&str> = line.frame.split(['\u{1f}', '\u{1e}']).collect();
                let id = parts.iter().find(|part| part.len() > 16 && part.contains('-')).copied().unwrap_or("-");
                line.frame = line.frame.replace(id, "ID");
            }
            with_reply(&line.about, wire, |reply| {
                let ours = encode(wire, reply).unwrap();
                assert_eq!(plain(&ours), plain(&frame(wire, &line)), "{wire:?} {}", line.about);
                compared += 1;
            });
        }
    }
    assert!(compared > 70, "{compared}");
}
