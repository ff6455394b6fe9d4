//! From bytes to requests.

use bytes::Bytes;
use prost::Message as _;

use super::{AUTH, CONNECTION, action, auth, connection, topic};
use crate::{
    json::{self, Kind, path::Path},
    limits,
    message::{Action, Change, Correlation, Garbage, Request, Topic, Write, WriteAck, correlation},
    name::Name,
    payload::Payload,
    wire::schema::{AuthMessage, ConnectionMessage, EventMessage, Message, PresenceMessage, RecordMessage, RpcMessage},
};

/// The largest whole number that JavaScript counts exactly, 2^53 − 1.
const VERSION_MAX: i64 = (1 << 53) - 1;

type Decoded = Result<Request, Garbage>;

/// The message of a frame.
pub(in crate::wire) fn decode(bytes: &Bytes) -> Decoded {
    let mut rest = bytes.clone();
    let length = prost::decode_length_delimiter(&mut rest).map_err(|_| Garbage::Unreadable)?;
    if length != rest.len() {
        return Err(Garbage::Unreadable);
    }
    let Message { topic: number, message } = Message::decode(rest).map_err(|_| Garbage::Unreadable)?;
    match (number, topic(number)) {
        (CONNECTION, _) => decode_connection(message),
        (AUTH, _) => decode_auth(message),
        (_, Some(topic)) => decode_topic(number, topic, message),
        _ => Err(Garbage::Unknown { topic: number.unsigned_abs(), action: 0 }),
    }
}

fn decode_connection(bytes: Bytes) -> Decoded {
    let message = read::<ConnectionMessage>(bytes)?;
    match message.action {
        connection::CHALLENGE => Ok(Request::Hello),
        connection::PING => Ok(Request::Ping),
        connection::PONG => Ok(Request::Pong),
        connection::CLOSING => Ok(Request::Leave),
        action => Err(unknown(CONNECTION, action)),
    }
}

fn decode_auth(bytes: Bytes) -> Decoded {
    let message = read::<AuthMessage>(bytes)?;
    if message.action != auth::REQUEST {
        return Err(unknown(AUTH, message.action));
    }
    let data = message.data.unwrap_or_else(|| "{}".to_owned());
    let is_good = data.len() <= limits::LOGIN_MAX && json::check(&data) == Ok(Kind::Object);
    if is_good { Ok(Request::Login(data)) } else { Err(Garbage::InvalidLogin) }
}

fn decode_topic(number: i32, topic: Topic, bytes: Bytes) -> Decoded {
    let (asked, parts) = match topic {
        Topic::Event => {
            let m = read::<EventMessage>(bytes)?;
            let EventMessage { name, names, correlation_id: id, data, subscription, .. } = m;
            (m.action, Parts { name, names, id, data, subscription, ..Parts::default() })
        }
        Topic::Record => {
            let m = read::<RecordMessage>(bytes)?;
            let RecordMessage { name, names, correlation_id: id, data, subscription, path, version, .. } = m;
            let is_write_ack = m.is_write_ack == Some(true);
            (m.action, Parts { name, names, id, data, subscription, path, version, is_write_ack })
        }
        Topic::Rpc => {
            let m = read::<RpcMessage>(bytes)?;
            let RpcMessage { name, names, correlation_id: id, data, .. } = m;
            (m.action, Parts { name, names, id, data, ..Parts::default() })
        }
        Topic::Presence => {
            let m = read::<PresenceMessage>(bytes)?;
            let PresenceMessage { name, names, correlation_id: id, data, .. } = m;
            (m.action, Parts { name, names, id, data, ..Parts::default() })
        }
    };
    let action = action(topic, asked).ok_or_else(|| unknown(number, asked))?;
    let invalid = parts.invalid(action);
    parts.request(action).ok_or(invalid)
}

fn read<M: prost::Message + Default>(bytes: Bytes) -> Result<M, Garbage> {
    M::decode(bytes).map_err(|_| Garbage::Unreadable)
}

fn unknown(topic: i32, action: i32) -> Garbage {
    Garbage::Unknown { topic: topic.unsigned_abs(), action: action.unsigned_abs() }
}

/// What messages of any topic may have.
#[derive(Default)]
struct Parts {
    name: Option<String>,
    names: Vec<String>,
    id: Option<String>,
    data: Option<String>,
    subscription: Option<String>,
    path: Option<String>,
    version: Option<i64>,
    is_write_ack: bool,
}

impl Parts {
    fn invalid(&self, action: Action) -> Garbage {
        let name = self.name.as_deref().or_else(|| self.names.first().map(String::as_str));
        let id = self.id.as_deref().and_then(correlation);
        Garbage::Invalid { action, name: name.and_then(|name| Name::new(name).ok()), id }
    }

    /// The request; `None` where something is missing or wrong.
    fn request(self, action: Action) -> Option<Request> {
        Some(match action {
            Action::Subscribe(topic) => Request::Subscribe { topic, names: self.names()?, ack: self.ack()? },
            Action::Unsubscribe(topic) => Request::Unsubscribe { topic, names: self.names()?, ack: self.ack()? },
            Action::Open | Action::OpenRead | Action::OpenHead => {
                Request::Open { how: action, names: self.names()?, ack: self.ack()? }
            }
            Action::Listen(topic) => Request::Listen { topic, pattern: self.name()? },
            Action::Unlisten(topic) => Request::Unlisten { topic, pattern: self.name()? },
            Action::ListenAccept(topic) | Action::ListenReject(topic) => {
                let name = Name::new(self.subscription.as_deref()?).ok()?;
                let accept = matches!(action, Action::ListenAccept(_));
                Request::Answer { topic, pattern: self.name()?, name, accept }
            }
            Action::Emit => Request::Emit { name: self.name()?, payload: self.payload()? },
            Action::Update | Action::CreateUpdate | Action::Patch | Action::CreatePatch | Action::Erase => {
                Request::Write(Box::new(self.write(action)?))
            }
            Action::Read => Request::Read(self.name()?),
            Action::Head | Action::Has => Request::Head(self.name()?),
            Action::Heads => Request::Heads { names: self.names()?, ack: self.ack()? },
            Action::Delete => Request::Delete(self.name()?),
            Action::Notify => Request::Notify { names: self.names()?, ack: self.ack()? },
            Action::Call => Request::Call { name: self.name()?, id: self.id()?, payload: self.payload()? },
            Action::CallAccept => Request::CallAccept { name: self.name()?, id: self.id()? },
            Action::CallRespond => {
                Request::CallRespond { name: self.name()?, id: self.id()?, payload: self.payload()? }
            }
            Action::CallFail => Request::CallFail { name: self.name()?, id: self.id()?, payload: self.payload()? },
            Action::CallDecline => Request::CallDecline { name: self.name()?, id: self.id()? },
            Action::QueryAll => Request::QueryAll,
            Action::Query => Request::Query { names: self.names()?, id: self.id()? },
            Action::SubscribeAll => Request::SubscribeAll,
            Action::UnsubscribeAll => Request::UnsubscribeAll,
        })
    }

    fn name(&self) -> Option<Name> {
        Name::new(self.name.as_deref()?).ok()
    }

    /// At least one, and no more than a connection could subscribe to.
    fn names(&self) -> Option<Vec<Name>> {
        if self.names.len() > limits::SUBSCRIPTIONS {
            return None;
        }
        let names: Result<Vec<Name>, _> = self.names.iter().map(|name| Name::new(name)).collect();
        names.ok().filter(|names| !names.is_empty())
    }

    fn id(&self) -> Option<Correlation> {
        correlation(self.id.as_deref()?)
    }

    /// An id that need not be there, but must be good where it is.
    fn ack(&self) -> Option<Option<Correlation>> {
        match self.id.as_deref() {
            None => Some(None),
            Some(id) => Some(Some(correlation(id)?)),
        }
    }

    fn payload(&self) -> Option<Payload> {
        Payload::json(self.data.as_deref()).ok()
    }

    fn write(self, action: Action) -> Option<Write> {
        let version = self.version.filter(|version| (Write::NEXT..=VERSION_MAX).contains(version))?;
        let path = || Path::new(self.path.as_deref()?).ok();
        let change = match action {
            Action::Update | Action::CreateUpdate => {
                let data = self.data.as_deref().filter(|_| self.path.as_deref().is_none_or(str::is_empty))?;
                json::check_record(data).ok()?;
                Change::Whole(data.to_owned())
            }
            Action::Erase => Change::At(path()?, None),
            _ => Change::At(path()?, Some(self.payload().filter(|payload| *payload != Payload::NONE)?)),
        };
        let ack = if self.is_write_ack { Some(WriteAck { version, id: Some(self.id()?) }) } else { None };
        Some(Write { action, name: self.name()?, version, change, ack })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(topic: i32, message: &impl prost::Message) -> Bytes {
        Message { topic, message: message.encode_to_vec().into() }.encode_length_delimited_to_vec().into()
    }

    #[test]
    fn a_frame_is_one_message() {
        let good = frame(4, &EventMessage { action: 2, name: Some("a".into()), ..EventMessage::default() });
        assert!(matches!(decode(&good), Ok(Request::Emit { .. })));
        let longer = [&good[..], &good[..]].concat();
        for bytes in [&longer, &good[..good.len() - 1], &[], &[0xff; 12], &[1], &[3, 0x1a, 5, 1]] {
            assert_eq!(decode(&Bytes::copy_from_slice(bytes)), Err(Garbage::Unreadable), "{bytes:?}");
        }
    }

    #[test]
    fn unknown_numbers_are_told_apart_from_nonsense() {
        let message = EventMessage { action: 77, ..EventMessage::default() };
        assert_eq!(decode(&frame(4, &message)), Err(Garbage::Unknown { topic: 4, action: 77 }));
        assert_eq!(decode(&frame(9, &message)), Err(Garbage::Unknown { topic: 9, action: 0 }));
        assert_eq!(decode(&frame(2, &message)), Err(Garbage::Unknown { topic: 2, action: 77 }));
        assert_eq!(decode(&frame(-1, &message)), Err(Garbage::Unknown { topic: 1, action: 0 }));
    }

    #[test]
    fn every_part_must_be_there_and_of_its_type() {
        let record = |action| RecordMessage { action, name: Some("r".into()), ..RecordMessage::default() };
        let with = |action, change: fn(&mut RecordMessage)| {
            let mut message = record(action);
            change(&mut message);
            message
        };
        for message in [
            RecordMessage { action: 3, ..RecordMessage::default() },
            RecordMessage { action: 3, name: Some("a\u{1f}b".into()), ..RecordMessage::default() },
            record(18),
            with(18, |m| m.version = Some(1)),
            with(18, |m| (m.version, m.data) = (Some(1), Some("1".into()))),
            with(18, |m| (m.version, m.data) = (Some(-2), Some("{}".into()))),
            with(18, |m| (m.version, m.data, m.path) = (Some(1), Some("{}".into()), Some("a".into()))),
            with(18, |m| (m.version, m.data, m.is_write_ack) = (Some(1), Some("{}".into()), Some(true))),
            with(19, |m| (m.version, m.path) = (Some(1), Some("a".into()))),
            with(19, |m| (m.version, m.data) = (Some(1), Some("1".into()))),
            with(20, |m| m.version = Some(1)),
            with(23, |m| m.names = vec![]),
            with(23, |m| m.names = vec!["a".into(), String::new()]),
            with(23, |m| (m.names, m.correlation_id) = (vec!["a".into()], Some("\u{1e}".into()))),
            with(29, |m| m.subscription = None),
        ] {
            assert!(matches!(decode(&frame(5, &message)), Err(Garbage::Invalid { .. })), "{message:?}");
        }
        let call = RpcMessage { action: 2, name: Some("f".into()), ..RpcMessage::default() };
        assert!(matches!(decode(&frame(6, &call)), Err(Garbage::Invalid { action: Action::Call, .. })));
        let login = |data: &str| AuthMessage { action: 2, data: Some(data.into()), ..AuthMessage::default() };
        assert_eq!(decode(&frame(3, &login("[]"))), Err(Garbage::InvalidLogin));
        assert_eq!(decode(&frame(3, &login("{}"))), Ok(Request::Login("{}".into())));
    }
}
