//! The protobuf protocol: one message a binary frame.

mod decode;
mod encode;

pub(super) use decode::decode;
pub(super) use encode::encode;

use crate::message::{Action, Topic};

const PARSER: i32 = 1;
const CONNECTION: i32 = 2;
const AUTH: i32 = 3;

/// Actions about the connection.
mod connection {
    pub(super) const PING: i32 = 2;
    pub(super) const PONG: i32 = 3;
    pub(super) const ACCEPT: i32 = 4;
    pub(super) const CHALLENGE: i32 = 5;
    pub(super) const CLOSING: i32 = 8;
    pub(super) const AUTHENTICATION_TIMEOUT: i32 = 100;
    pub(super) const INVALID_MESSAGE: i32 = 101;
}

/// Actions about logging in.
mod auth {
    pub(super) const REQUEST: i32 = 2;
    pub(super) const SUCCESSFUL: i32 = 3;
    pub(super) const UNSUCCESSFUL: i32 = 4;
    pub(super) const TOO_MANY_ATTEMPTS: i32 = 100;
    pub(super) const INVALID_MESSAGE: i32 = 101;
}

/// The number of a topic.
fn topic_number(topic: Topic) -> i32 {
    match topic {
        Topic::Event => 4,
        Topic::Record => 5,
        Topic::Rpc => 6,
        Topic::Presence => 7,
    }
}

/// The topic with a number.
fn topic(number: i32) -> Option<Topic> {
    [Topic::Event, Topic::Record, Topic::Rpc, Topic::Presence].into_iter().find(|topic| topic_number(*topic) == number)
}

/// What a client may ask, by topic and number.
const ACTIONS: [(Topic, i32, Action); 40] = [
    (Topic::Event, 2, Action::Emit),
    (Topic::Event, 3, Action::Subscribe(Topic::Event)),
    (Topic::Event, 4, Action::Unsubscribe(Topic::Event)),
    (Topic::Event, 5, Action::Listen(Topic::Event)),
    (Topic::Event, 6, Action::Unlisten(Topic::Event)),
    (Topic::Event, 7, Action::ListenAccept(Topic::Event)),
    (Topic::Event, 8, Action::ListenReject(Topic::Event)),
    (Topic::Record, 2, Action::Notify),
    (Topic::Record, 3, Action::Read),
    (Topic::Record, 5, Action::Head),
    (Topic::Record, 7, Action::Heads),
    (Topic::Record, 9, Action::Delete),
    (Topic::Record, 16, Action::CreateUpdate),
    (Topic::Record, 17, Action::CreatePatch),
    (Topic::Record, 18, Action::Update),
    (Topic::Record, 19, Action::Patch),
    (Topic::Record, 20, Action::Erase),
    (Topic::Record, 21, Action::OpenHead),
    (Topic::Record, 22, Action::OpenRead),
    (Topic::Record, 23, Action::Open),
    (Topic::Record, 25, Action::Subscribe(Topic::Record)),
    (Topic::Record, 26, Action::Unsubscribe(Topic::Record)),
    (Topic::Record, 27, Action::Listen(Topic::Record)),
    (Topic::Record, 28, Action::Unlisten(Topic::Record)),
    (Topic::Record, 29, Action::ListenAccept(Topic::Record)),
    (Topic::Record, 30, Action::ListenReject(Topic::Record)),
    (Topic::Rpc, 2, Action::Call),
    (Topic::Rpc, 4, Action::CallAccept),
    (Topic::Rpc, 5, Action::CallRespond),
    (Topic::Rpc, 6, Action::CallDecline),
    (Topic::Rpc, 7, Action::CallFail),
    (Topic::Rpc, 8, Action::Subscribe(Topic::Rpc)),
    (Topic::Rpc, 9, Action::Unsubscribe(Topic::Rpc)),
    (Topic::Presence, 2, Action::QueryAll),
    (Topic::Presence, 4, Action::Query),
    (Topic::Presence, 10, Action::Subscribe(Topic::Presence)),
    (Topic::Presence, 11, Action::Unsubscribe(Topic::Presence)),
    (Topic::Presence, 12, Action::SubscribeAll),
    (Topic::Presence, 13, Action::UnsubscribeAll),
    // `has` asks for the version; only the text protocol has a question of its own for it.
    (Topic::Record, 5, Action::Has),
];

/// The action with a number.
fn action(topic: Topic, number: i32) -> Option<Action> {
    let known = ACTIONS.iter().find(|(of, known, _)| *of == topic && *known == number);
    known.map(|(_, _, action)| *action)
}

/// The topic and number of an action.
fn action_number(action: Action) -> (Topic, i32) {
    let known = ACTIONS.iter().find(|(_, _, known)| *known == action);
    known.map_or((Topic::Event, 0), |(topic, number, _)| (*topic, *number))
}
