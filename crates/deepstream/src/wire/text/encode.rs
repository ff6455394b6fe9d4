//! From replies to text.

use std::collections::BTreeMap;

use super::{END, PART, action_code, topic_code};
use crate::{
    json,
    message::{Action, Problem, Reply, Topic},
    name::Name,
    payload::Payload,
};

/// The text of a reply; `None` where the text protocol needs none.
pub(in crate::wire) fn encode(reply: &Reply<'_>) -> Option<String> {
    Some(match reply {
        Reply::Challenge => line(&["C", "CH"]),
        Reply::Welcome => line(&["C", "A"]),
        Reply::Ping => line(&["C", "PI"]),
        Reply::Pong => return None,
        Reply::LoginTimeout => line(&["C", "E", "CONNECTION_AUTHENTICATION_TIMEOUT", "the login did not come in time"]),
        Reply::OutOfPlace => line(&["C", "E", "INVALID_MESSAGE", "the challenge must be answered first"]),
        Reply::LoggedIn(None) => line(&["A", "A"]),
        Reply::LoggedIn(Some(data)) => line(&["A", "A", &typed(data)]),
        Reply::LoginFailed(data) => line(&["A", "E", "INVALID_AUTH_DATA", &data.map_or("U".to_owned(), typed)]),
        Reply::TooManyLogins(data) => line(&["A", "E", "TOO_MANY_AUTH_ATTEMPTS", &data.map_or("U".to_owned(), typed)]),
        Reply::LoginFirst => line(&["A", "E", "INVALID_AUTH_MSG", "a login was expected"]),
        Reply::Unreadable => line(&["X", "E", "MESSAGE_PARSE_ERROR", "what came is no message"]),
        Reply::Unknown { .. } => line(&["X", "E", "MESSAGE_PARSE_ERROR", "unknown topic or action"]),
        Reply::Ack { action, names, id } => acks(*action, names, *id),
        Reply::Problem { problem, action, name, id } => problem_line(*problem, *action, *name, *id),
        Reply::Event { name, payload } => line(&["E", "EVT", name, &payload.to_typed()]),
        Reply::Record { name, version, json } => line(&["R", "R", name, &version.to_string(), json]),
        Reply::Updated { name, version, json } => line(&["R", "U", name, &version.to_string(), json]),
        Reply::Patched { name, version, path, payload } => {
            let payload = payload.unwrap_or(&Payload::NONE).to_typed();
            line(&["R", "P", name, &version.to_string(), path, &payload])
        }
        Reply::Conflict { name, version, json, ack: None, .. } => {
            line(&["R", "E", "VERSION_EXISTS", name, &version.to_string(), json])
        }
        Reply::Conflict { name, version, json, ack: Some(_), .. } => {
            line(&["R", "E", "VERSION_EXISTS", name, &version.to_string(), json, r#"{"writeSuccess":true}"#])
        }
        Reply::Written { name, ack, problem } => {
            let outcome = problem.map_or("L".to_owned(), |problem| format!("S{}", problem_code(problem)));
            line(&["R", "WA", name, &format!("[{}]", ack.version), &outcome])
        }
        Reply::Version { name, version } => line(&["R", "HD", name, &version_text(*version), "null"]),
        Reply::Versions(versions) => {
            versions.iter().map(|(name, version)| line(&["R", "HD", name, &version_text(*version), "null"])).collect()
        }
        Reply::Has { name, has } => line(&["R", "H", name, flag(*has)]),
        Reply::Deleted(name) | Reply::DeleteDone(name) => line(&["R", "A", "D", name]),
        Reply::Wanted { topic, pattern, name } => line(&[topic_code(*topic), "SP", pattern, name]),
        Reply::Unwanted { topic, pattern, name } => line(&[topic_code(*topic), "SR", pattern, name]),
        Reply::Provided { name, provided } => line(&["R", "SH", name, flag(*provided)]),
        Reply::Call { name, id, payload } => line(&["P", "REQ", name, id, &payload.to_typed()]),
        Reply::CallAccepted { name, id } => line(&["P", "A", "REQ", name, id]),
        Reply::CallAnswered { name, id, payload } => line(&["P", "RES", name, id, &payload.to_typed()]),
        Reply::CallFailed { name, id, payload } => line(&["P", "E", &payload.to_words(), name, id]),
        Reply::Users(names) => {
            let mut parts = vec!["U", "Q"];
            parts.extend(names.iter().map(Name::as_str));
            line(&parts)
        }
        Reply::UserStates { id, states } => {
            let states: BTreeMap<&str, bool> = states.iter().map(|(name, here)| (name.as_str(), *here)).collect();
            line(&["U", "Q", id, &json::write(&states)])
        }
        Reply::UserChanged { name, here, .. } => line(&["U", if *here { "PNJ" } else { "PNL" }, name]),
    })
}

fn line(parts: &[&str]) -> String {
    let mut text = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for (count, part) in parts.iter().enumerate() {
        debug_assert!(!part.contains([PART, END]), "separators are let in nowhere");
        if count > 0 {
            text.push(PART);
        }
        text.push_str(part);
    }
    text.push(END);
    text
}

/// JSON with its type in front.
fn typed(json: &str) -> String {
    Payload::Json(Some(json.to_owned())).to_typed().into_owned()
}

fn flag(is: bool) -> &'static str {
    if is { "T" } else { "F" }
}

fn version_text(version: Option<u64>) -> String {
    version.map_or("-1".to_owned(), |version| version.to_string())
}

/// Acknowledgements, name by name; by the id for those that have one.
fn acks(action: Action, names: &[Name], id: Option<&str>) -> String {
    let (topic, code) = match action_code(action) {
        // A record that is opened is acknowledged as subscribed to.
        (topic, "CR") => (topic, "S"),
        known => known,
    };
    let ack = |what: &str| line(&[topic_code(topic), "A", code, what]);
    match (topic, id) {
        (Topic::Presence, Some(id)) => ack(id),
        (Topic::Presence, None) => ack(code),
        _ => names.iter().map(|name| ack(name)).collect(),
    }
}

/// What each kind of request expects to be told.
fn problem_line(problem: Problem, action: Action, name: Option<&str>, id: Option<&str>) -> String {
    let (topic, code) = action_code(action);
    let (topic, what) = (topic_code(topic), problem_code(problem));
    let about = name.or(id).unwrap_or(code);
    match (action, problem, id) {
        // Whoever asked once waits by what it asked for.
        (Action::Read | Action::Has | Action::Head, ..) => line(&[topic, "E", code, about, what]),
        (Action::Call, Problem::Denied, Some(id)) => line(&[topic, "E", what, about, code, id]),
        (
            Action::Call | Action::CallAccept | Action::CallRespond | Action::CallFail | Action::CallDecline,
            _,
            Some(id),
        ) => line(&[topic, "E", what, about, id]),
        (_, Problem::Denied, _) => line(&[topic, "E", what, about, code]),
        _ => line(&[topic, "E", what, about]),
    }
}

fn problem_code(problem: Problem) -> &'static str {
    match problem {
        Problem::Denied => "MESSAGE_DENIED",
        Problem::InvalidData => "INVALID_MESSAGE_DATA",
        Problem::MultipleSubscriptions => "MULTIPLE_SUBSCRIPTIONS",
        Problem::NotSubscribed => "NOT_SUBSCRIBED",
        Problem::InvalidListenPattern => "INVALID_LISTEN_REGEX",
        Problem::RecordNotFound => "RECORD_NOT_FOUND",
        Problem::InvalidVersion => "INVALID_VERSION",
        Problem::Conflict => "VERSION_EXISTS",
        Problem::UpdateFailed | Problem::StoreFailed => "RECORD_UPDATE_ERROR",
        Problem::NoProvider => "NO_RPC_PROVIDER",
        Problem::AcceptTimeout => "ACK_TIMEOUT",
        Problem::ResponseTimeout => "RESPONSE_TIMEOUT",
        Problem::UnknownCall => "INVALID_RPC_CORRELATION_ID",
    }
}
