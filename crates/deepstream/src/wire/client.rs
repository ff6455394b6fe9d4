//! The clients' side of the codecs, for tests: from requests to frames, and from frames to words that are the same for
//! both protocols.

use std::borrow::Cow;

use prost::Message as _;

use super::{
    Frame, Wire,
    schema::{AuthMessage, ConnectionMessage, EventMessage, Message, PresenceMessage, RecordMessage, RpcMessage},
};
use crate::{
    json,
    message::{Action, Change, Request, Topic, Write},
    name::Name,
    payload::Payload,
};

/// The frame by which a client asks for something; `None` where its protocol has no way to.
pub(crate) fn ask(wire: Wire, request: &Request) -> Option<Frame> {
    match wire {
        Wire::Text => {
            let parts = text(request)?;
            Some(Frame::Text((parts.join("\u{1f}") + "\u{1e}").into()))
        }
        Wire::Protobuf => Some(Frame::Binary(protobuf(request)?.into())),
    }
}

/// A frame of a protobuf message.
pub(crate) fn frame(topic: i32, message: &impl prost::Message) -> Vec<u8> {
    Message { topic, message: message.encode_to_vec().into() }.encode_length_delimited_to_vec()
}

fn text(request: &Request) -> Option<Vec<String>> {
    let letter = |topic: &Topic| match topic {
        Topic::Event => "E",
        Topic::Record => "R",
        Topic::Rpc => "P",
        Topic::Presence => "U",
    };
    let one = |names: &[Name]| if let [name] = names { Some(name.to_string()) } else { None };
    let parts = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<String>>();
    Some(match request {
        Request::Hello => parts(&["C", "CHR", "ws://here"]),
        Request::Login(data) => parts(&["A", "REQ", data]),
        Request::Ping => parts(&["C", "PI"]),
        Request::Pong => parts(&["C", "PO"]),
        Request::Leave | Request::Heads { .. } | Request::Notify { .. } => return None,
        Request::Subscribe { topic: Topic::Presence, names, ack: Some(id) } => {
            parts(&["U", "S", id, &json::write(&names.iter().map(Name::as_str).collect::<Vec<_>>())])
        }
        Request::Unsubscribe { topic: Topic::Presence, names, ack: Some(id) } => {
            parts(&["U", "US", id, &json::write(&names.iter().map(Name::as_str).collect::<Vec<_>>())])
        }
        Request::Subscribe { topic: topic @ (Topic::Event | Topic::Rpc), names, ack: None } => {
            parts(&[letter(topic), "S", &one(names)?])
        }
        Request::Unsubscribe { topic, names, ack: None } if *topic != Topic::Presence => {
            parts(&[letter(topic), "US", &one(names)?])
        }
        Request::Subscribe { .. } | Request::Unsubscribe { .. } => return None,
        Request::Open { how: Action::Open, names, ack: None } => parts(&["R", "CR", &one(names)?]),
        Request::Open { .. } => return None,
        Request::Listen { topic, pattern } => parts(&[letter(topic), "L", pattern]),
        Request::Unlisten { topic, pattern } => parts(&[letter(topic), "UL", pattern]),
        Request::Answer { topic, pattern, name, accept } => {
            parts(&[letter(topic), if *accept { "LA" } else { "LR" }, pattern, name])
        }
        Request::Emit { name, payload } => parts(&["E", "EVT", name, &payload.to_typed()]),
        Request::Write(write) => text_write(write)?,
        Request::Read(name) => parts(&["R", "SN", name]),
        Request::Head(name) => parts(&["R", "HD", name]),
        Request::Has(name) => parts(&["R", "H", name]),
        Request::Delete(name) => parts(&["R", "D", name]),
        Request::Call { name, id, payload } => parts(&["P", "REQ", name, id, &payload.to_typed()]),
        Request::CallAccept { name, id } => parts(&["P", "A", "REQ", name, id]),
        Request::CallRespond { name, id, payload } => parts(&["P", "RES", name, id, &payload.to_typed()]),
        Request::CallFail { name, id, payload } => parts(&["P", "E", &payload.to_words(), name, id]),
        Request::CallDecline { name, id } => parts(&["P", "REJ", name, id]),
        Request::QueryAll => parts(&["U", "Q", "Q"]),
        Request::Query { names, id } => {
            parts(&["U", "Q", id, &json::write(&names.iter().map(Name::as_str).collect::<Vec<_>>())])
        }
        Request::SubscribeAll => parts(&["U", "S", "S"]),
        Request::UnsubscribeAll => parts(&["U", "US", "US"]),
    })
}

fn text_write(write: &Write) -> Option<Vec<String>> {
    if write.ack.as_ref().is_some_and(|ack| ack.id.is_some() || ack.version != write.version) {
        return None;
    }
    let (name, version) = (write.name.to_string(), write.version.to_string());
    let typed = |payload: &Option<Payload>| payload.as_ref().unwrap_or(&Payload::NONE).to_typed().into_owned();
    let (code, mut parts) = match (write.action, &write.change) {
        (Action::Update, Change::Whole(json)) => ("U", vec![json.clone()]),
        (Action::CreateUpdate, Change::Whole(json)) => ("CU", vec![json.clone()]),
        (Action::Patch, Change::At(path, value)) => ("P", vec![path.as_str().to_owned(), typed(value)]),
        (Action::CreatePatch, Change::At(path, value)) => ("CU", vec![path.as_str().to_owned(), typed(value)]),
        _ => return None,
    };
    if write.ack.is_some() {
        parts.push("{\"writeSuccess\":true}".to_owned());
    } else if code == "CU" {
        parts.push("{}".to_owned());
    }
    let mut all = vec!["R".to_owned(), code.to_owned(), name, version];
    all.extend(parts);
    Some(all)
}

fn protobuf(request: &Request) -> Option<Vec<u8>> {
    let text = |text: &str| Some(text.to_owned());
    let texts = |names: &[Name]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let data = |payload: &Payload| payload.to_json().map(Cow::into_owned);
    let id = |id: &Option<Box<str>>| id.as_deref().map(str::to_owned);
    let many = |topic: &Topic, [event, record, rpc, presence]: [i32; 4], names: &[Name], ack: &Option<Box<str>>| {
        let (names, correlation_id) = (texts(names), id(ack));
        match topic {
            Topic::Event => frame(4, &EventMessage { action: event, names, correlation_id, ..Default::default() }),
            Topic::Record => frame(5, &RecordMessage { action: record, names, correlation_id, ..Default::default() }),
            Topic::Rpc => frame(6, &RpcMessage { action: rpc, names, correlation_id, ..Default::default() }),
            Topic::Presence => {
                frame(7, &PresenceMessage { action: presence, names, correlation_id, ..Default::default() })
            }
        }
    };
    let listening = |topic: &Topic, [event, record]: [i32; 2], pattern: &str, subscription: Option<String>| {
        let name = Some(pattern.to_owned());
        match topic {
            Topic::Event => frame(4, &EventMessage { action: event, name, subscription, ..Default::default() }),
            _ => frame(5, &RecordMessage { action: record, name, subscription, ..Default::default() }),
        }
    };
    let record = |action, name: &str| frame(5, &RecordMessage { action, name: text(name), ..Default::default() });
    let call = |action, name: &str, id: &str, payload: Option<&Payload>| {
        let (name, correlation_id, data) = (text(name), text(id), payload.and_then(data));
        frame(6, &RpcMessage { action, name, correlation_id, data, ..Default::default() })
    };
    let presence = |action| frame(7, &PresenceMessage { action, ..Default::default() });
    Some(match request {
        Request::Hello => frame(2, &ConnectionMessage { action: 5, url: text("ws://here"), ..Default::default() }),
        Request::Ping => frame(2, &ConnectionMessage { action: 2, ..Default::default() }),
        Request::Pong => frame(2, &ConnectionMessage { action: 3, ..Default::default() }),
        Request::Leave => frame(2, &ConnectionMessage { action: 8, ..Default::default() }),
        Request::Login(data) => frame(3, &AuthMessage { action: 2, data: text(data), ..Default::default() }),
        Request::Subscribe { topic, names, ack } => many(topic, [3, 25, 8, 10], names, ack),
        Request::Unsubscribe { topic, names, ack } => many(topic, [4, 26, 9, 11], names, ack),
        Request::Open { how: Action::Open, names, ack } => many(&Topic::Record, [0, 23, 0, 0], names, ack),
        Request::Open { how: Action::OpenRead, names, ack } => many(&Topic::Record, [0, 22, 0, 0], names, ack),
        Request::Open { names, ack, .. } => many(&Topic::Record, [0, 21, 0, 0], names, ack),
        Request::Heads { names, ack } => many(&Topic::Record, [0, 7, 0, 0], names, ack),
        Request::Notify { names, ack } => many(&Topic::Record, [0, 2, 0, 0], names, ack),
        Request::Listen { topic, pattern } => listening(topic, [5, 27], pattern, None),
        Request::Unlisten { topic, pattern } => listening(topic, [6, 28], pattern, None),
        Request::Answer { topic, pattern, name, accept: true } => listening(topic, [7, 29], pattern, text(name)),
        Request::Answer { topic, pattern, name, accept: false } => listening(topic, [8, 30], pattern, text(name)),
        Request::Emit { name, payload } => {
            frame(4, &EventMessage { action: 2, name: text(name), data: data(payload), ..Default::default() })
        }
        Request::Write(write) => protobuf_write(write)?,
        Request::Read(name) => record(3, name),
        Request::Head(name) => record(5, name),
        Request::Has(_) => return None,
        Request::Delete(name) => record(9, name),
        Request::Call { name, id, payload } => call(2, name, id, Some(payload)),
        Request::CallAccept { name, id } => call(4, name, id, None),
        Request::CallRespond { name, id, payload } => call(5, name, id, Some(payload)),
        Request::CallDecline { name, id } => call(6, name, id, None),
        Request::CallFail { name, id, payload } => call(7, name, id, Some(payload)),
        Request::QueryAll => presence(2),
        Request::Query { names, id } => {
            let (names, correlation_id) = (texts(names), text(id));
            frame(7, &PresenceMessage { action: 4, names, correlation_id, ..Default::default() })
        }
        Request::SubscribeAll => presence(12),
        Request::UnsubscribeAll => presence(13),
    })
}

fn protobuf_write(write: &Write) -> Option<Vec<u8>> {
    let (path, data) = match &write.change {
        Change::Whole(json) => (None, Some(json.clone())),
        Change::At(path, value) => {
            let data = value.as_ref().and_then(|value| value.to_json().map(Cow::into_owned));
            (Some(path.as_str().to_owned()), data)
        }
    };
    let action = match (write.action, &path, &data) {
        (Action::Update, None, _) => 18,
        (Action::CreateUpdate, None, _) => 16,
        (Action::Patch, Some(_), Some(_)) => 19,
        (Action::CreatePatch, Some(_), Some(_)) => 17,
        (Action::Erase, Some(_), None) => 20,
        _ => return None,
    };
    let correlation_id = match &write.ack {
        None => None,
        Some(ack) => Some(ack.id.as_deref()?.to_owned()),
    };
    let message = RecordMessage {
        action,
        name: Some(write.name.to_string()),
        version: Some(write.version),
        path,
        data,
        is_write_ack: write.ack.as_ref().map(|_| true),
        correlation_id,
        ..Default::default()
    };
    Some(frame(5, &message))
}

/// What a client hears, in the same words for both protocols.
pub(crate) fn hear(frame: &Frame) -> Vec<String> {
    match frame {
        Frame::Text(bytes) => {
            let text = str::from_utf8(bytes).expect("the server sends UTF-8");
            let text = text.strip_suffix('\u{1e}').expect("every message ends");
            text.split('\u{1e}').map(hear_text).collect()
        }
        Frame::Binary(bytes) => vec![hear_protobuf(bytes.clone())],
    }
}

fn hear_text(message: &str) -> String {
    let parts: Vec<&str> = message.split('\u{1f}').collect();
    let value = |typed: &str| Payload::typed(typed).unwrap().to_json().map_or("undefined".to_owned(), Cow::into_owned);
    let topic = match parts[0] {
        "E" => "event",
        "R" => "record",
        "P" => "rpc",
        "U" => "presence",
        _ => "",
    };
    match parts[..] {
        ["C", "CH"] => "challenge".to_owned(),
        ["C", "A"] => "welcome".to_owned(),
        ["C", "PI"] => "ping".to_owned(),
        ["C", "E", what, _] => format!("connection {what}"),
        ["A", "A"] => "logged in".to_owned(),
        ["A", "A", data] => format!("logged in {}", value(data)),
        ["A", "E", "INVALID_AUTH_MSG", _] => "login first".to_owned(),
        ["A", "E", "INVALID_AUTH_DATA", data] => format!("login failed {}", value(data)),
        ["A", "E", what, data] => format!("{what} {}", value(data)),
        ["X", "E", what, _] => what.to_owned(),
        ["E", "EVT", name, data] => format!("event {name} {}", value(data)),
        ["R", "R", name, version, json] => format!("record {name} {version} {json}"),
        ["R", "U", name, version, json] => format!("updated {name} {version} {json}"),
        ["R", "P", name, version, path, "U"] => format!("erased {name} {version} {path}"),
        ["R", "P", name, version, path, data] => format!("patched {name} {version} {path} {}", value(data)),
        ["R", "E", "VERSION_EXISTS", name, version, json] => format!("conflict {name} {version} {json}"),
        ["R", "E", "VERSION_EXISTS", name, version, json, _] => format!("conflict {name} {version} {json} with ack"),
        ["R", "WA", name, _, "L"] => format!("written {name}"),
        ["R", "WA", name, _, error] => format!("not written {name} {}", &error[1..]),
        ["R", "HD", name, version, _] => format!("version {name} {version}"),
        ["R", "H", name, "T"] => format!("has {name}"),
        ["R", "H", name, "F"] => format!("has not {name}"),
        ["R", "A", "D", name] => format!("deleted {name}"),
        [_, "SP", pattern, name] => format!("wanted {topic} {pattern} {name}"),
        [_, "SR", pattern, name] => format!("unwanted {topic} {pattern} {name}"),
        ["R", "SH", name, "T"] => format!("provided {name}"),
        ["R", "SH", name, "F"] => format!("not provided {name}"),
        ["P", "REQ", name, id, data] => format!("call {name} {id} {}", value(data)),
        ["P", "A", "REQ", name, id] => format!("accepted {name} {id}"),
        ["P", "RES", name, id, data] => format!("answered {name} {id} {}", value(data)),
        ["P", "E", "MESSAGE_DENIED", name, "S"] => format!("problem rpc MESSAGE_DENIED {name}"),
        ["P", "E", "MESSAGE_DENIED", name, "REQ", id] => format!("problem rpc MESSAGE_DENIED {name} {id}"),
        ["P", "E", what, name, id] => format!("problem rpc {what} {name} {id}"),
        ["R", "E", "SN" | "H" | "HD", name, what] => format!("problem record {what} {name}"),
        [_, "E", "MESSAGE_DENIED", name, _] => format!("problem {topic} MESSAGE_DENIED {name}"),
        [_, "E", what, name] => format!("problem {topic} {what} {name}"),
        [_, "A", action, _] => format!("ack {topic} {action}"),
        ["U", "Q", _, json] if json.starts_with('{') => format!("users {json}"),
        ["U", "Q", ..] => format!("users {}", parts[2..].join(" ")).trim_end().to_owned(),
        ["U", "PNJ", name] => format!("joined {name}"),
        ["U", "PNL", name] => format!("left {name}"),
        _ => panic!("no client knows {parts:?}"),
    }
}

fn hear_protobuf(mut bytes: bytes::Bytes) -> String {
    let length = prost::decode_length_delimiter(&mut bytes).unwrap();
    assert_eq!(length, bytes.len());
    let Message { topic, message } = Message::decode(bytes).unwrap();
    let json = |data: Option<String>| data.unwrap_or_else(|| "undefined".to_owned());
    match topic {
        1 => ["", "UNKNOWN_TOPIC", "UNKNOWN_ACTION", "", "MESSAGE_PARSE_ERROR"][message[1] as usize].to_owned(),
        2 => match ConnectionMessage::decode(message).unwrap().action {
            3 => "pong".to_owned(),
            4 => "welcome".to_owned(),
            100 => "connection CONNECTION_AUTHENTICATION_TIMEOUT".to_owned(),
            101 => "connection INVALID_MESSAGE".to_owned(),
            action => panic!("no client knows connection {action}"),
        },
        3 => match AuthMessage::decode(message).unwrap() {
            AuthMessage { action: 3, data: None, .. } => "logged in".to_owned(),
            AuthMessage { action: 3, data: Some(data), .. } => format!("logged in {data}"),
            AuthMessage { action: 4, data, .. } => format!("login failed {}", json(data)),
            AuthMessage { action: 100, data, .. } => format!("TOO_MANY_AUTH_ATTEMPTS {}", json(data)),
            AuthMessage { action: 101, .. } => "login first".to_owned(),
            message => panic!("no client knows {message:?}"),
        },
        4 => hear_event(EventMessage::decode(message).unwrap()),
        5 => hear_record(RecordMessage::decode(message).unwrap()),
        6 => hear_rpc(RpcMessage::decode(message).unwrap()),
        7 => hear_presence(PresenceMessage::decode(message).unwrap()),
        topic => panic!("no client knows topic {topic}"),
    }
}

fn hear_event(message: EventMessage) -> String {
    let EventMessage { action, data, is_error, is_ack, name, subscription, .. } = message;
    let (name, subscription) = (name.unwrap_or_default(), subscription.unwrap_or_default());
    if is_ack == Some(true) {
        return format!("ack event {}", ["", "", "", "S", "US", "L", "UL"][action as usize]);
    }
    if is_error == Some(true) {
        let what = match action {
            100 => "INVALID_LISTEN_REGEX",
            104 => "MESSAGE_DENIED",
            105 => "INVALID_MESSAGE_DATA",
            106 => "MULTIPLE_SUBSCRIPTIONS",
            107 => "NOT_SUBSCRIBED",
            action => panic!("no client knows event error {action}"),
        };
        return format!("problem event {what} {name}");
    }
    match action {
        2 => format!("event {name} {}", data.unwrap_or_else(|| "undefined".to_owned())),
        11 => format!("wanted event {name} {subscription}"),
        12 => format!("unwanted event {name} {subscription}"),
        action => panic!("no client knows event {action}"),
    }
}

fn hear_record(message: RecordMessage) -> String {
    let RecordMessage { action, data, is_error, is_ack, name, subscription, version, path, is_write_ack, .. } = message;
    let (name, data) = (name.unwrap_or_default(), data.unwrap_or_default());
    let (version, path) = (version.unwrap_or_default(), path.unwrap_or_default());
    if is_ack == Some(true) {
        let action = match action {
            21..=23 | 25 => "S",
            26 => "US",
            27 => "L",
            28 => "UL",
            2 => "N",
            action => panic!("no client knows record ack {action}"),
        };
        return format!("ack record {action}");
    }
    if is_error == Some(true) {
        let what = match action {
            105 => "RECORD_UPDATE_ERROR",
            107 => "RECORD_NOT_FOUND",
            108 => "INVALID_VERSION",
            110 => "INVALID_LISTEN_REGEX",
            115 => "MESSAGE_DENIED",
            116 => "INVALID_MESSAGE_DATA",
            117 => "MULTIPLE_SUBSCRIPTIONS",
            118 => "NOT_SUBSCRIBED",
            action => panic!("no client knows record error {action}"),
        };
        let begin = if is_write_ack == Some(true) { "not written" } else { "problem record" };
        return if begin == "not written" {
            format!("{begin} {name} {what}")
        } else {
            format!("{begin} {what} {name}")
        };
    }
    let with_ack = if is_write_ack == Some(true) { " with ack" } else { "" };
    match action {
        4 => format!("record {name} {version} {data}"),
        6 => format!("version {name} {version}"),
        8 => message
            .versions
            .iter()
            .map(|(name, version)| format!("version {name} {version}"))
            .collect::<Vec<_>>()
            .join(", "),
        10 | 13 => format!("deleted {name}"),
        14 => format!("written {name}"),
        18 => format!("updated {name} {version} {data}"),
        19 => format!("patched {name} {version} {path} {data}"),
        20 => format!("erased {name} {version} {path}"),
        31 => format!("provided {name}"),
        32 => format!("not provided {name}"),
        33 => format!("wanted record {name} {}", subscription.unwrap_or_default()),
        34 => format!("unwanted record {name} {}", subscription.unwrap_or_default()),
        102 => format!("conflict {name} {version} {data}{with_ack}"),
        action => panic!("no client knows record {action}"),
    }
}

fn hear_rpc(message: RpcMessage) -> String {
    let RpcMessage { action, data, correlation_id, is_error, is_ack, name, .. } = message;
    let (name, id) = (name.unwrap_or_default(), correlation_id.unwrap_or_default());
    let data = data.unwrap_or_else(|| "undefined".to_owned());
    if is_ack == Some(true) {
        return format!("ack rpc {}", if action == 8 { "S" } else { "US" });
    }
    if is_error == Some(true) {
        let what = match action {
            100 => "NO_RPC_PROVIDER",
            101 => "ACK_TIMEOUT",
            103 => "INVALID_RPC_CORRELATION_ID",
            104 => "RESPONSE_TIMEOUT",
            107 => "MESSAGE_DENIED",
            108 => "INVALID_MESSAGE_DATA",
            109 => "MULTIPLE_SUBSCRIPTIONS",
            110 => "NOT_SUBSCRIBED",
            action => panic!("no client knows rpc error {action}"),
        };
        return format!("problem rpc {what} {name} {id}").trim_end().to_owned();
    }
    match action {
        2 => format!("call {name} {id} {data}"),
        4 => format!("accepted {name} {id}"),
        5 => format!("answered {name} {id} {data}"),
        // The other protocol has the text without quotes, and no other way to tell it from a problem.
        7 => format!("problem rpc {} {name} {id}", data.trim_matches('"')),
        action => panic!("no client knows rpc {action}"),
    }
}

fn hear_presence(message: PresenceMessage) -> String {
    let PresenceMessage { action, data, is_error, is_ack, name, names, .. } = message;
    let name = name.unwrap_or_default();
    if is_ack == Some(true) {
        return format!("ack presence {}", if matches!(action, 10 | 12) { "S" } else { "US" });
    }
    if is_error == Some(true) {
        let what = match action {
            100 => "INVALID_MESSAGE_DATA",
            102 => "MESSAGE_DENIED",
            action => panic!("no client knows presence error {action}"),
        };
        return format!("problem presence {what} {name}").trim_end().to_owned();
    }
    match action {
        3 => format!("users {}", names.join(" ")).trim_end().to_owned(),
        5 => format!("users {}", data.unwrap_or_default()),
        6 | 7 => format!("joined {name}"),
        8 | 9 => format!("left {name}"),
        action => panic!("no client knows presence {action}"),
    }
}

/// A message with nothing but an action and a name.
pub(crate) fn raw(topic: i32, action: i32, name: &str) -> Vec<u8> {
    let name = Some(name.to_owned());
    match topic {
        2 => frame(topic, &ConnectionMessage { action, ..Default::default() }),
        3 => frame(topic, &AuthMessage { action, ..Default::default() }),
        4 => frame(topic, &EventMessage { action, name, ..Default::default() }),
        5 => frame(topic, &RecordMessage { action, name, ..Default::default() }),
        _ => frame(topic, &PresenceMessage { action, name, ..Default::default() }),
    }
}
