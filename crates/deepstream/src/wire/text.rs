//! The text protocol: `TOPIC|ACTION|part|…+`, where `|` is the unit separator (0x1F) and `+`, which ends every message,
//! the record separator (0x1E). Nothing is escaped.

mod decode;
mod encode;

pub(super) use decode::decode;
pub(super) use encode::encode;

use crate::message::{Action, Topic};

const PART: char = '\u{1f}';
const END: char = '\u{1e}';

/// The letter of a topic.
fn topic_code(topic: Topic) -> &'static str {
    match topic {
        Topic::Event => "E",
        Topic::Record => "R",
        Topic::Rpc => "P",
        Topic::Presence => "U",
    }
}

/// The topic and code of an action.
fn action_code(action: Action) -> (Topic, &'static str) {
    match action {
        Action::Subscribe(topic) => (topic, "S"),
        Action::Unsubscribe(topic) => (topic, "US"),
        Action::Listen(topic) => (topic, "L"),
        Action::Unlisten(topic) => (topic, "UL"),
        Action::ListenAccept(topic) => (topic, "LA"),
        Action::ListenReject(topic) => (topic, "LR"),
        Action::Emit => (Topic::Event, "EVT"),
        Action::Open | Action::OpenRead | Action::OpenHead => (Topic::Record, "CR"),
        Action::Update => (Topic::Record, "U"),
        Action::Patch | Action::Erase => (Topic::Record, "P"),
        Action::CreateUpdate | Action::CreatePatch => (Topic::Record, "CU"),
        Action::Read => (Topic::Record, "SN"),
        Action::Head | Action::Heads => (Topic::Record, "HD"),
        Action::Has => (Topic::Record, "H"),
        Action::Delete => (Topic::Record, "D"),
        Action::Notify => (Topic::Record, "N"),
        Action::Call => (Topic::Rpc, "REQ"),
        Action::CallAccept => (Topic::Rpc, "A"),
        Action::CallRespond => (Topic::Rpc, "RES"),
        Action::CallFail => (Topic::Rpc, "E"),
        Action::CallDecline => (Topic::Rpc, "REJ"),
        Action::QueryAll | Action::Query => (Topic::Presence, "Q"),
        Action::SubscribeAll => (Topic::Presence, "S"),
        Action::UnsubscribeAll => (Topic::Presence, "US"),
    }
}
