//! From text to requests.

use serde::Deserialize;

use super::{END, PART};
use crate::{
    json::{self, Kind, path::Path},
    limits,
    message::{Action, Change, Correlation, Garbage, Request, Topic, Write, WriteAck, correlation},
    name::Name,
    payload::Payload,
};

/// The largest whole number that JavaScript counts exactly, 2^53 − 1.
const VERSION_MAX: i64 = (1 << 53) - 1;

type Decoded = Result<Request, Garbage>;

/// The messages of a frame, up to and with the first that is unreadable.
pub(in crate::wire) fn decode(bytes: &[u8]) -> Vec<Decoded> {
    let Some(text) = str::from_utf8(bytes).ok().and_then(|text| text.strip_suffix(END)) else {
        return vec![Err(Garbage::Unreadable)];
    };
    let mut messages = Vec::new();
    for (count, message) in text.split(END).enumerate() {
        let message = if count < limits::FRAME_MESSAGES { decode_message(message) } else { Err(Garbage::Unreadable) };
        let is_end = message == Err(Garbage::Unreadable);
        messages.push(message);
        if is_end {
            break;
        }
    }
    messages
}

fn decode_message(message: &str) -> Decoded {
    let mut parts = message.split(PART);
    let (Some(topic), Some(action)) = (parts.next(), parts.next()) else { return Err(Garbage::Unreadable) };
    // No message has more parts than this; what is beyond only has to be noticed.
    let parts: Vec<&str> = parts.take(7).collect();
    match topic {
        "C" => connection(action, &parts),
        "A" if action == "REQ" => login(&parts),
        "E" => event(action, &parts),
        "R" => record(action, &parts),
        "P" => rpc(action, &parts),
        "U" => presence(action, &parts),
        _ => Err(UNKNOWN),
    }
}

const UNKNOWN: Garbage = Garbage::Unknown { topic: 0, action: 0 };

fn connection(action: &str, parts: &[&str]) -> Decoded {
    match (action, parts) {
        ("CHR", [_]) => Ok(Request::Hello),
        ("PI", []) => Ok(Request::Ping),
        ("PO", []) => Ok(Request::Pong),
        ("CHR" | "PI" | "PO", _) => Err(Garbage::InvalidLogin),
        _ => Err(UNKNOWN),
    }
}

fn login(parts: &[&str]) -> Decoded {
    let [data] = parts else { return Err(Garbage::InvalidLogin) };
    let is_good = data.len() <= limits::LOGIN_MAX && json::check(data) == Ok(Kind::Object);
    if is_good { Ok(Request::Login((*data).to_owned())) } else { Err(Garbage::InvalidLogin) }
}

/// A message of a known kind: what it would be, whose name it has, what is wrong with it.
struct Draft<'a> {
    action: Action,
    name: Option<&'a str>,
    id: Option<&'a str>,
}

impl Draft<'_> {
    fn invalid(&self) -> Garbage {
        let name = self.name.and_then(|name| Name::new(name).ok());
        Garbage::Invalid { action: self.action, name, id: self.id.and_then(correlation) }
    }

    fn name(&self) -> Result<Name, Garbage> {
        self.name.and_then(|name| Name::new(name).ok()).ok_or_else(|| self.invalid())
    }

    fn id(&self) -> Result<Correlation, Garbage> {
        self.id.and_then(correlation).ok_or_else(|| self.invalid())
    }

    fn payload(&self, text: &str) -> Result<Payload, Garbage> {
        Payload::typed(text).map_err(|_| self.invalid())
    }
}

fn event(action: &str, parts: &[&str]) -> Decoded {
    let topic = Topic::Event;
    let draft = |action| Draft { action, name: parts.first().copied(), id: None };
    let known = match action {
        "S" => Action::Subscribe(topic),
        "US" => Action::Unsubscribe(topic),
        "EVT" => Action::Emit,
        _ => return listening(topic, action, parts),
    };
    let draft = draft(known);
    match (known, parts) {
        (Action::Subscribe(_), [_]) => Ok(Request::Subscribe { topic, names: vec![draft.name()?], ack: None }),
        (Action::Unsubscribe(_), [_]) => Ok(Request::Unsubscribe { topic, names: vec![draft.name()?], ack: None }),
        (Action::Emit, [_]) => Ok(Request::Emit { name: draft.name()?, payload: Payload::NONE }),
        (Action::Emit, [_, data]) => Ok(Request::Emit { name: draft.name()?, payload: draft.payload(data)? }),
        _ => Err(draft.invalid()),
    }
}

fn listening(topic: Topic, action: &str, parts: &[&str]) -> Decoded {
    let known = match action {
        "L" => Action::Listen(topic),
        "UL" => Action::Unlisten(topic),
        "LA" => Action::ListenAccept(topic),
        "LR" => Action::ListenReject(topic),
        _ => return Err(UNKNOWN),
    };
    let draft = Draft { action: known, name: parts.first().copied(), id: None };
    let pattern = draft.name()?;
    match (known, parts) {
        (Action::Listen(_), [_]) => Ok(Request::Listen { topic, pattern }),
        (Action::Unlisten(_), [_]) => Ok(Request::Unlisten { topic, pattern }),
        (Action::ListenAccept(_) | Action::ListenReject(_), [_, name]) => {
            let name = Name::new(name).map_err(|_| draft.invalid())?;
            Ok(Request::Answer { topic, pattern, name, accept: matches!(known, Action::ListenAccept(_)) })
        }
        _ => Err(draft.invalid()),
    }
}

fn record(action: &str, parts: &[&str]) -> Decoded {
    let topic = Topic::Record;
    let known = match action {
        "CR" => Action::Open,
        "SN" => Action::Read,
        "H" => Action::Has,
        "HD" => Action::Head,
        "US" => Action::Unsubscribe(topic),
        "D" => Action::Delete,
        "U" => Action::Update,
        "P" => Action::Patch,
        // With a path it is the other one.
        "CU" if parts.len() == 5 => Action::CreatePatch,
        "CU" => Action::CreateUpdate,
        _ => return listening(topic, action, parts),
    };
    let draft = Draft { action: known, name: parts.first().copied(), id: None };
    let name = draft.name()?;
    match (known, parts) {
        (Action::Open, [_]) => Ok(Request::Open { how: known, names: vec![name], ack: None }),
        (Action::Read, [_]) => Ok(Request::Read(name)),
        (Action::Has, [_]) => Ok(Request::Has(name)),
        (Action::Head, [_]) => Ok(Request::Head(name)),
        (Action::Unsubscribe(_), [_]) => Ok(Request::Unsubscribe { topic, names: vec![name], ack: None }),
        (Action::Delete, [_]) => Ok(Request::Delete(name)),
        (Action::Update, [_, version, data]) => write(&draft, version, Part::Whole(data), None),
        (Action::Update | Action::CreateUpdate, [_, version, data, options]) => {
            write(&draft, version, Part::Whole(data), Some(options))
        }
        (Action::Patch, [_, version, path, data]) => write(&draft, version, Part::At(path, data), None),
        (Action::Patch | Action::CreatePatch, [_, version, path, data, options]) => {
            write(&draft, version, Part::At(path, data), Some(options))
        }
        _ => Err(draft.invalid()),
    }
}

/// What a write carries, unread.
#[derive(Clone, Copy)]
enum Part<'a> {
    Whole(&'a str),
    At(&'a str, &'a str),
}

/// The last part of a write.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    write_success: Option<bool>,
}

fn write(draft: &Draft<'_>, version: &str, part: Part<'_>, options: Option<&str>) -> Decoded {
    let version: i64 = version.parse().map_err(|_| draft.invalid())?;
    if !(Write::NEXT..=VERSION_MAX).contains(&version) {
        return Err(draft.invalid());
    }
    let options = match options {
        Some(options) if json::kind(options) == Kind::Object => {
            serde_json::from_str(options).map_err(|_| draft.invalid())?
        }
        Some(_) => return Err(draft.invalid()),
        None => Options { write_success: None },
    };
    let ack = (options.write_success == Some(true)).then_some(WriteAck { version, id: None });
    let change = match part {
        Part::Whole(data) => {
            json::check_record(data).map_err(|_| draft.invalid())?;
            Change::Whole(data.to_owned())
        }
        Part::At(path, data) => {
            let path = Path::new(path).map_err(|_| draft.invalid())?;
            let payload = draft.payload(data)?;
            Change::At(path, payload.to_json().is_some().then_some(payload))
        }
    };
    Ok(Request::Write(Box::new(Write { action: draft.action, name: draft.name()?, version, change, ack })))
}

fn rpc(action: &str, parts: &[&str]) -> Decoded {
    let topic = Topic::Rpc;
    let (known, name, id) = match (action, parts) {
        ("S", parts) => (Action::Subscribe(topic), parts.first(), None),
        ("US", parts) => (Action::Unsubscribe(topic), parts.first(), None),
        ("REQ", parts) => (Action::Call, parts.first(), parts.get(1)),
        ("RES", parts) => (Action::CallRespond, parts.first(), parts.get(1)),
        ("REJ", parts) => (Action::CallDecline, parts.first(), parts.get(1)),
        // What is accepted, and what went wrong, stand in front.
        ("A", parts) => (Action::CallAccept, parts.get(1), parts.get(2)),
        ("E", parts) => (Action::CallFail, parts.get(1), parts.get(2)),
        _ => return Err(UNKNOWN),
    };
    let draft = Draft { action: known, name: name.copied(), id: id.copied() };
    let name = draft.name()?;
    match (known, parts) {
        (Action::Subscribe(_), [_]) => Ok(Request::Subscribe { topic, names: vec![name], ack: None }),
        (Action::Unsubscribe(_), [_]) => Ok(Request::Unsubscribe { topic, names: vec![name], ack: None }),
        (Action::Call, [_, _, data]) => Ok(Request::Call { name, id: draft.id()?, payload: draft.payload(data)? }),
        (Action::CallRespond, [_, _, data]) => {
            Ok(Request::CallRespond { name, id: draft.id()?, payload: draft.payload(data)? })
        }
        (Action::CallDecline, [_, _]) => Ok(Request::CallDecline { name, id: draft.id()? }),
        (Action::CallAccept, ["REQ", _, _]) => Ok(Request::CallAccept { name, id: draft.id()? }),
        (Action::CallFail, [text, _, _]) => {
            let payload = Payload::Typed(format!("S{text}"));
            Ok(Request::CallFail { name, id: draft.id()?, payload })
        }
        _ => Err(draft.invalid()),
    }
}

fn presence(action: &str, parts: &[&str]) -> Decoded {
    let topic = Topic::Presence;
    // What would be an id is the action once more where everybody is meant.
    match (action, parts) {
        ("Q", ["Q"]) => return Ok(Request::QueryAll),
        ("S", ["S"]) => return Ok(Request::SubscribeAll),
        ("US", ["US"]) => return Ok(Request::UnsubscribeAll),
        _ => {}
    }
    let known = match action {
        "Q" => Action::Query,
        "S" => Action::Subscribe(topic),
        "US" => Action::Unsubscribe(topic),
        _ => return Err(UNKNOWN),
    };
    let draft = Draft { action: known, name: None, id: parts.first().copied() };
    let [_, users] = parts else { return Err(draft.invalid()) };
    let users: Vec<String> = serde_json::from_str(users).map_err(|_| draft.invalid())?;
    if users.len() > limits::SUBSCRIPTIONS {
        return Err(draft.invalid());
    }
    let names: Result<Vec<Name>, _> = users.iter().map(|user| Name::new(user)).collect();
    let (names, id) = (names.map_err(|_| draft.invalid())?, draft.id()?);
    Ok(match known {
        Action::Query => Request::Query { names, id },
        Action::Subscribe(_) => Request::Subscribe { topic, names, ack: Some(id) },
        _ => Request::Unsubscribe { topic, names, ack: Some(id) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Decoded {
        let frame = text.replace('|', "\u{1f}") + "\u{1e}";
        let mut messages = decode(frame.as_bytes());
        assert_eq!(messages.len(), 1);
        messages.remove(0)
    }

    #[test]
    fn every_part_must_be_there_and_no_more() {
        for text in [
            "C|CHR",
            "C|PO|",
            "A|REQ",
            "A|REQ|",
            "A|REQ|[]",
            "A|REQ|{}|",
            "E|S",
            "E|S|",
            "E|S|a|b",
            "E|EVT",
            "E|EVT|a|X",
            "E|EVT|a|Sb|",
            "E|L",
            "E|LA|a",
            "E|LA|a|",
            "E|LR|a|b|c",
            "R|CR",
            "R|CR|a|b",
            "R|U|a",
            "R|U|a|1",
            "R|U|a|x|{}",
            "R|U|a|-2|{}",
            "R|U|a|9007199254740992|{}",
            "R|U|a|1|1",
            "R|U|a|1|{",
            "R|U|a|1|{}|",
            "R|U|a|1|{}|{}|",
            "R|U|a|1|{}|[true]",
            "R|P|a|1|",
            "R|P|a|1||Sx",
            "R|P|a|1|x|y",
            "R|P|a|1|__proto__|Sy",
            "R|CU|a|-1|{}",
            "R|CU|a|-1|x|Sy|{}|{}",
            "R|D|",
            "P|REQ|a|b",
            "P|REQ|a||Sx",
            "P|A|REQ|a",
            "P|A|S|a|b",
            "P|E|x|a",
            "P|RES|a|b",
            "P|REJ|a",
            "U|Q",
            "U|Q|1",
            "U|Q|1|{}",
            "U|Q|1|[1]",
            "U|Q|1|[\"\"]",
            "U|S|1",
            "U|US||[]",
        ] {
            assert!(matches!(message(text), Err(Garbage::Invalid { .. } | Garbage::InvalidLogin)), "{text}");
        }
        for text in ["X|E|a", "E|X|a", "|", "E|", "R|CREATE|a", "A|A", "U|PNJ|a"] {
            assert_eq!(message(text), Err(UNKNOWN), "{text}");
        }
        for frame in ["", "E", "E\u{1e}", "\u{1e}", "\u{1e}\u{1e}", "E\u{1f}S\u{1f}a"] {
            assert_eq!(decode(frame.as_bytes()), [Err(Garbage::Unreadable)], "{frame:?}");
        }
        assert_eq!(decode(b"E\x1fS\x1f\xff\x1e"), [Err(Garbage::Unreadable)]);
    }

    #[test]
    fn what_is_invalid_says_what_it_was_about() {
        let (name, id) = (Name::new("a").ok(), correlation("7"));
        let garbage = Garbage::Invalid { action: Action::Call, name: name.clone(), id };
        assert_eq!(message("P|REQ|a|7"), Err(garbage));
        assert_eq!(message("R|U|a|x|{}"), Err(Garbage::Invalid { action: Action::Update, name, id: None }));
    }

    #[test]
    fn a_frame_has_many_messages_but_not_any_number() {
        let two = decode("E\u{1f}S\u{1f}a\u{1e}nonsense\u{1e}E\u{1f}S\u{1f}b\u{1e}".as_bytes());
        assert_eq!(two.len(), 2);
        assert!(two[0].is_ok() && two[1] == Err(Garbage::Unreadable));
        let many = decode("C\u{1f}PO\u{1e}".repeat(limits::FRAME_MESSAGES + 5).as_bytes());
        assert_eq!(many.len(), limits::FRAME_MESSAGES + 1);
        assert_eq!(many.last(), Some(&Err(Garbage::Unreadable)));
    }
}
