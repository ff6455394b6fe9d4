//! From replies to bytes.

use std::collections::BTreeMap;

use prost::Message as _;

use super::{AUTH, CONNECTION, PARSER, action_number, auth, connection, topic_number};
use crate::{
    json,
    message::{Action, Problem, Reply, Topic},
    name::Name,
    payload::Payload,
    wire::schema::{
        AuthMessage, ConnectionMessage, EventMessage, Message, ParserMessage, PresenceMessage, RecordMessage,
        RpcMessage,
    },
};

/// Answers that are no action of clients.
mod record {
    pub(super) const READ_RESPONSE: i32 = 4;
    pub(super) const HEAD_RESPONSE: i32 = 6;
    pub(super) const HEAD_RESPONSE_BULK: i32 = 8;
    pub(super) const DELETE_SUCCESS: i32 = 10;
    pub(super) const DELETED: i32 = 13;
    pub(super) const WRITE_ACKNOWLEDGEMENT: i32 = 14;
    pub(super) const UPDATE: i32 = 18;
    pub(super) const PATCH: i32 = 19;
    pub(super) const ERASE: i32 = 20;
    pub(super) const HAS_PROVIDER: i32 = 31;
    pub(super) const HAS_NO_PROVIDER: i32 = 32;
    pub(super) const PATTERN_FOUND: i32 = 33;
    pub(super) const PATTERN_REMOVED: i32 = 34;
    pub(super) const VERSION_EXISTS: i32 = 102;
}

mod event {
    pub(super) const EMIT: i32 = 2;
    pub(super) const PATTERN_FOUND: i32 = 11;
    pub(super) const PATTERN_REMOVED: i32 = 12;
}

mod rpc {
    pub(super) const REQUEST: i32 = 2;
    pub(super) const ACCEPT: i32 = 4;
    pub(super) const RESPONSE: i32 = 5;
    pub(super) const REQUEST_ERROR: i32 = 7;
}

mod presence {
    pub(super) const QUERY_ALL_RESPONSE: i32 = 3;
    pub(super) const QUERY_RESPONSE: i32 = 5;
    pub(super) const JOIN: i32 = 6;
    pub(super) const JOIN_ALL: i32 = 7;
    pub(super) const LEAVE: i32 = 8;
    pub(super) const LEAVE_ALL: i32 = 9;
}

mod parser {
    pub(super) const UNKNOWN_TOPIC: i32 = 1;
    pub(super) const UNKNOWN_ACTION: i32 = 2;
    pub(super) const MESSAGE_PARSE_ERROR: i32 = 4;
}

/// The frame of a reply; `None` where the protobuf protocol needs none.
pub(in crate::wire) fn encode(reply: &Reply<'_>) -> Option<Vec<u8>> {
    Some(match *reply {
        Reply::Challenge | Reply::Ping => return None,
        Reply::Welcome => about_connection(connection::ACCEPT, false),
        Reply::Pong => about_connection(connection::PONG, false),
        Reply::LoginTimeout => about_connection(connection::AUTHENTICATION_TIMEOUT, true),
        Reply::OutOfPlace => about_connection(connection::INVALID_MESSAGE, true),
        Reply::LoggedIn(data) => about_login(auth::SUCCESSFUL, data, false),
        Reply::LoginFailed(data) => about_login(auth::UNSUCCESSFUL, data, false),
        Reply::TooManyLogins(data) => about_login(auth::TOO_MANY_ATTEMPTS, data, true),
        Reply::LoginFirst => about_login(auth::INVALID_MESSAGE, None, true),
        Reply::Unreadable => {
            frame(PARSER, &ParserMessage { action: parser::MESSAGE_PARSE_ERROR, ..ParserMessage::default() })
        }
        Reply::Unknown { topic, action } => about_unknown(topic, action),
        Reply::Ack { action, names, id } => ack(action, names, id),
        Reply::Problem { problem, action, name, id } => about_problem(problem, action, name, id),
        Reply::Event { name, payload } => frame(
            topic_number(Topic::Event),
            &EventMessage { action: event::EMIT, name: text(name), data: data(payload), ..EventMessage::default() },
        ),
        Reply::Record { name, version, json } => on_record(name, record::READ_RESPONSE, |message| {
            (message.version, message.data) = (number(version), text(json));
        }),
        Reply::Updated { name, version, json } => on_record(name, record::UPDATE, |message| {
            (message.version, message.data) = (number(version), text(json));
        }),
        Reply::Patched { name, version, path, payload } => {
            let action = if payload.is_some() { record::PATCH } else { record::ERASE };
            on_record(name, action, |message| {
                (message.version, message.path) = (number(version), text(path));
                message.data = payload.and_then(data);
            })
        }
        Reply::Conflict { name, version, json, action, ack } => on_record(name, record::VERSION_EXISTS, |message| {
            (message.version, message.data) = (number(version), text(json));
            message.original_action = Some(action_number(action).1);
            message.is_write_ack = ack.map(|_| true);
            message.correlation_id = ack.and_then(|ack| ack.id.as_deref().map(str::to_owned));
        }),
        Reply::Written { name, ack, problem } => {
            let action = problem.map_or(record::WRITE_ACKNOWLEDGEMENT, |problem| match problem {
                // By its own name it would not reach the writer's callback.
                Problem::Conflict => problem_number(Topic::Record, Problem::UpdateFailed),
                problem => problem_number(Topic::Record, problem),
            });
            on_record(name, action, |message| {
                (message.is_write_ack, message.is_error) = (Some(true), problem.map(|_| true));
                message.correlation_id = ack.id.as_deref().map(str::to_owned);
            })
        }
        Reply::Version { name, version } => on_record(name, record::HEAD_RESPONSE, |message| {
            message.version = Some(head(version));
        }),
        Reply::Versions(versions) => frame(
            topic_number(Topic::Record),
            &RecordMessage {
                action: record::HEAD_RESPONSE_BULK,
                versions: versions.iter().map(|(name, version)| (name.to_string(), head(*version))).collect(),
                ..RecordMessage::default()
            },
        ),
        Reply::Has { name, has } => on_record(name, record::HEAD_RESPONSE, |message| {
            message.version = Some(head(has.then_some(0)));
        }),
        Reply::Deleted(name) => on_record(name, record::DELETED, |_| {}),
        Reply::DeleteDone(name) => on_record(name, record::DELETE_SUCCESS, |_| {}),
        Reply::Wanted { topic, pattern, name } => {
            about_wanted(topic, event::PATTERN_FOUND, record::PATTERN_FOUND, pattern, name)
        }
        Reply::Unwanted { topic, pattern, name } => {
            about_wanted(topic, event::PATTERN_REMOVED, record::PATTERN_REMOVED, pattern, name)
        }
        Reply::Provided { name, provided } => {
            on_record(name, if provided { record::HAS_PROVIDER } else { record::HAS_NO_PROVIDER }, |_| {})
        }
        Reply::Call { name, id, payload } => on_rpc(rpc::REQUEST, name, id, Some(payload)),
        Reply::CallAccepted { name, id } => on_rpc(rpc::ACCEPT, name, id, None),
        Reply::CallAnswered { name, id, payload } => on_rpc(rpc::RESPONSE, name, id, Some(payload)),
        Reply::CallFailed { name, id, payload } => on_rpc(rpc::REQUEST_ERROR, name, id, Some(payload)),
        Reply::Users(names) => on_presence(presence::QUERY_ALL_RESPONSE, |message| message.names = texts(names)),
        Reply::UserStates { id, states } => on_presence(presence::QUERY_RESPONSE, |message| {
            let states: BTreeMap<&str, bool> = states.iter().map(|(name, here)| (name.as_str(), *here)).collect();
            (message.correlation_id, message.data) = (text(id), Some(json::write(&states)));
        }),
        Reply::UserChanged { name, here, all } => {
            let action = match (here, all) {
                (true, false) => presence::JOIN,
                (true, true) => presence::JOIN_ALL,
                (false, false) => presence::LEAVE,
                (false, true) => presence::LEAVE_ALL,
            };
            on_presence(action, |message| message.name = text(name))
        }
    })
}

fn frame(topic: i32, message: &impl prost::Message) -> Vec<u8> {
    Message { topic, message: message.encode_to_vec().into() }.encode_length_delimited_to_vec()
}

fn about_connection(action: i32, is_error: bool) -> Vec<u8> {
    let is_error = is_error.then_some(true);
    frame(CONNECTION, &ConnectionMessage { action, is_error, ..ConnectionMessage::default() })
}

fn about_login(action: i32, data: Option<&str>, is_error: bool) -> Vec<u8> {
    let (data, is_error) = (data.map(str::to_owned), is_error.then_some(true));
    frame(AUTH, &AuthMessage { action, data, is_error, is_ack: None })
}

fn about_unknown(topic: u32, action: u32) -> Vec<u8> {
    let (topic, asked) = (i32::try_from(topic).unwrap_or_default(), i32::try_from(action).unwrap_or_default());
    let action = if asked == 0 { parser::UNKNOWN_TOPIC } else { parser::UNKNOWN_ACTION };
    let original_action = (asked != 0).then_some(asked);
    frame(PARSER, &ParserMessage { action, data: None, original_topic: Some(topic), original_action })
}

fn ack(action: Action, names: &[Name], id: Option<&str>) -> Vec<u8> {
    let (topic, number) = action_number(action);
    // A listener finds its acknowledgement by its pattern, all others find it by the id.
    let is_listening = matches!(action, Action::Listen(_) | Action::Unlisten(_));
    let name = names.first().filter(|_| is_listening).map(ToString::to_string);
    on_topic(topic, Common { action: number, name, id: id.map(str::to_owned), is_ack: Some(true), ..Common::default() })
}

fn about_problem(problem: Problem, action: Action, name: Option<&str>, id: Option<&str>) -> Vec<u8> {
    let (topic, original) = action_number(action);
    let (name, id) = (name.map(str::to_owned), id.map(str::to_owned));
    let action = problem_number(topic, problem);
    let original_action = Some(original);
    on_topic(topic, Common { action, name, id, is_error: Some(true), original_action, ..Common::default() })
}

/// What messages of all topics have.
#[derive(Default)]
struct Common {
    action: i32,
    name: Option<String>,
    id: Option<String>,
    is_ack: Option<bool>,
    is_error: Option<bool>,
    original_action: Option<i32>,
}

fn on_topic(topic: Topic, common: Common) -> Vec<u8> {
    let Common { action, name, id: correlation_id, is_ack, is_error, original_action } = common;
    let number = topic_number(topic);
    match topic {
        Topic::Event => {
            let rest = EventMessage::default();
            frame(number, &EventMessage { action, name, correlation_id, is_ack, is_error, original_action, ..rest })
        }
        Topic::Record => {
            let rest = RecordMessage::default();
            frame(number, &RecordMessage { action, name, correlation_id, is_ack, is_error, original_action, ..rest })
        }
        Topic::Rpc => {
            let rest = RpcMessage::default();
            frame(number, &RpcMessage { action, name, correlation_id, is_ack, is_error, original_action, ..rest })
        }
        Topic::Presence => {
            let rest = PresenceMessage::default();
            frame(number, &PresenceMessage { action, name, correlation_id, is_ack, is_error, original_action, ..rest })
        }
    }
}

fn about_wanted(topic: Topic, on_event: i32, on_record: i32, pattern: &str, name: &str) -> Vec<u8> {
    let (pattern, subscription) = (text(pattern), text(name));
    if topic == Topic::Event {
        let message = EventMessage { action: on_event, name: pattern, subscription, ..EventMessage::default() };
        frame(topic_number(topic), &message)
    } else {
        let message = RecordMessage { action: on_record, name: pattern, subscription, ..RecordMessage::default() };
        frame(topic_number(topic), &message)
    }
}

fn on_record(name: &str, action: i32, fill: impl FnOnce(&mut RecordMessage)) -> Vec<u8> {
    let mut message = RecordMessage { action, name: text(name), ..RecordMessage::default() };
    fill(&mut message);
    frame(topic_number(Topic::Record), &message)
}

fn on_rpc(action: i32, name: &str, id: &str, payload: Option<&Payload>) -> Vec<u8> {
    let (name, correlation_id, data) = (text(name), text(id), payload.and_then(data));
    frame(topic_number(Topic::Rpc), &RpcMessage { action, name, correlation_id, data, ..RpcMessage::default() })
}

fn on_presence(action: i32, fill: impl FnOnce(&mut PresenceMessage)) -> Vec<u8> {
    let mut message = PresenceMessage { action, ..PresenceMessage::default() };
    fill(&mut message);
    frame(topic_number(Topic::Presence), &message)
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn texts(names: &[Name]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn data(payload: &Payload) -> Option<String> {
    payload.to_json().map(std::borrow::Cow::into_owned)
}

/// Versions stay below 2^53.
fn number(version: u64) -> Option<i64> {
    i64::try_from(version).ok()
}

/// A version, or -1 where there is no record.
fn head(version: Option<u64>) -> i64 {
    version.and_then(number).unwrap_or(-1)
}

fn problem_number(topic: Topic, problem: Problem) -> i32 {
    match (topic, problem) {
        (Topic::Event, Problem::InvalidListenPattern) => 100,
        (Topic::Event, Problem::Denied) => 104,
        (Topic::Event, Problem::MultipleSubscriptions) => 106,
        (Topic::Event, Problem::NotSubscribed) => 107,
        (Topic::Event, _) => 105,
        (Topic::Record, Problem::Conflict) => record::VERSION_EXISTS,
        (Topic::Record, Problem::UpdateFailed | Problem::StoreFailed) => 105,
        (Topic::Record, Problem::RecordNotFound) => 107,
        (Topic::Record, Problem::InvalidVersion) => 108,
        (Topic::Record, Problem::InvalidListenPattern) => 110,
        (Topic::Record, Problem::Denied) => 115,
        (Topic::Record, Problem::MultipleSubscriptions) => 117,
        (Topic::Record, Problem::NotSubscribed) => 118,
        (Topic::Record, _) => 116,
        (Topic::Rpc, Problem::NoProvider) => 100,
        (Topic::Rpc, Problem::AcceptTimeout) => 101,
        (Topic::Rpc, Problem::UnknownCall) => 103,
        (Topic::Rpc, Problem::ResponseTimeout) => 104,
        (Topic::Rpc, Problem::Denied) => 107,
        (Topic::Rpc, Problem::MultipleSubscriptions) => 109,
        (Topic::Rpc, Problem::NotSubscribed) => 110,
        (Topic::Rpc, _) => 108,
        (Topic::Presence, Problem::Denied) => 102,
        (Topic::Presence, Problem::MultipleSubscriptions) => 103,
        (Topic::Presence, Problem::NotSubscribed) => 104,
        (Topic::Presence, _) => 100,
    }
}
