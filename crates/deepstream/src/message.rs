//! What clients and the server say to each other, in the words of neither protocol.

use crate::{json::path::Path, limits, name::Name, payload::Payload};

/// What something is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    Event,
    Record,
    Rpc,
    Presence,
}

/// What a client did: what acknowledgements and errors repeat to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    Subscribe(Topic),
    Unsubscribe(Topic),
    Listen(Topic),
    Unlisten(Topic),
    ListenAccept(Topic),
    ListenReject(Topic),
    Emit,
    /// Subscribe to records, and read them, creating those that are missing.
    Open,
    /// Subscribe to records, and read them.
    OpenRead,
    /// Subscribe to records, and learn their versions.
    OpenHead,
    Update,
    Patch,
    Erase,
    CreateUpdate,
    CreatePatch,
    Read,
    Head,
    Heads,
    Has,
    Delete,
    Notify,
    Call,
    CallAccept,
    CallRespond,
    CallFail,
    CallDecline,
    QueryAll,
    Query,
    SubscribeAll,
    UnsubscribeAll,
}

/// By what a client finds the answer to what it asked: at most [`limits::CORRELATION_MAX`] bytes without control
/// characters.
pub(crate) type Correlation = Box<str>;

/// What a client says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Request {
    /// It is there, and may be challenged.
    Hello,
    /// Who it is: a JSON object.
    Login(String),
    Ping,
    Pong,
    /// It is about to close the connection.
    Leave,
    /// Events to receive, calls to answer, users to watch, records (without reading them).
    Subscribe {
        topic: Topic,
        names: Vec<Name>,
        ack: Option<Correlation>,
    },
    Unsubscribe {
        topic: Topic,
        names: Vec<Name>,
        ack: Option<Correlation>,
    },
    /// Records to subscribe to and to learn of; `how` is one of the actions for that.
    Open {
        how: Action,
        names: Vec<Name>,
        ack: Option<Correlation>,
    },
    Listen {
        topic: Topic,
        pattern: Name,
    },
    Unlisten {
        topic: Topic,
        pattern: Name,
    },
    /// A listener takes a name on, or does not.
    Answer {
        topic: Topic,
        pattern: Name,
        name: Name,
        accept: bool,
    },
    Emit {
        name: Name,
        payload: Payload,
    },
    Write(Box<Write>),
    Read(Name),
    Head(Name),
    Heads {
        names: Vec<Name>,
        ack: Option<Correlation>,
    },
    Has(Name),
    Delete(Name),
    /// Records have changed in the store, behind the server's back.
    Notify {
        names: Vec<Name>,
        ack: Option<Correlation>,
    },
    Call {
        name: Name,
        id: Correlation,
        payload: Payload,
    },
    CallAccept {
        name: Name,
        id: Correlation,
    },
    CallRespond {
        name: Name,
        id: Correlation,
        payload: Payload,
    },
    CallFail {
        name: Name,
        id: Correlation,
        payload: Payload,
    },
    CallDecline {
        name: Name,
        id: Correlation,
    },
    QueryAll,
    Query {
        names: Vec<Name>,
        id: Correlation,
    },
    SubscribeAll,
    UnsubscribeAll,
}

/// A change of a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Write {
    /// One of the actions for that.
    pub action: Action,
    pub name: Name,
    /// The version that the record is to have then, in the writer's eyes; [`Write::NEXT`] for whichever is next.
    pub version: i64,
    pub change: Change,
    /// Whether the writer wants to know when it is done.
    pub ack: Option<WriteAck>,
}

/// What changes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// Everything: the JSON of an object or array.
    Whole(String),
    /// What is at a path; `None` removes it.
    At(Path, Option<Payload>),
}

/// How a writer finds the acknowledgement: the text protocol by the version that it gave, the other by an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WriteAck {
    pub version: i64,
    pub id: Option<Correlation>,
}

impl Write {
    /// A writer that does not know the record's version.
    pub(crate) const NEXT: i64 = -1;

    /// Whether it creates the record where there is none.
    pub(crate) fn creates(&self) -> bool {
        matches!(self.action, Action::CreateUpdate | Action::CreatePatch)
    }
}

/// What a client sent that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Garbage {
    /// No message at all.
    Unreadable,
    /// A message about something unknown. Numbers are 0 for what is text.
    Unknown { topic: u32, action: u32 },
    /// A message of a known kind whose parts are missing, too many, too long or of the wrong type.
    Invalid { action: Action, name: Option<Name>, id: Option<Correlation> },
    /// A message about the connection or the login in which the same is wrong.
    InvalidLogin,
}

/// What goes wrong with what a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Not allowed, or more than there may be.
    Denied,
    InvalidData,
    MultipleSubscriptions,
    NotSubscribed,
    InvalidListenPattern,
    RecordNotFound,
    /// A write that leaves a gap between the record's version and its own.
    InvalidVersion,
    /// A write that conflicts; only for acknowledgements, see [`Reply::Conflict`].
    Conflict,
    /// The record would be too large.
    UpdateFailed,
    /// The store could not keep it.
    StoreFailed,
    NoProvider,
    AcceptTimeout,
    ResponseTimeout,
    UnknownCall,
}

/// What the server says.
#[derive(Clone, Debug)]
pub(crate) enum Reply<'a> {
    /// Asks a client that waits for it whether it is where it wants to be. Text only.
    Challenge,
    /// It may log in.
    Welcome,
    /// Text only.
    Ping,
    /// Protobuf only.
    Pong,
    LoginTimeout,
    /// Something else was expected.
    OutOfPlace,
    /// With what the client is to know about itself, in JSON.
    LoggedIn(Option<&'a str>),
    /// Why, in JSON.
    LoginFailed(Option<&'a str>),
    TooManyLogins(Option<&'a str>),
    /// Log in first.
    LoginFirst,
    Unreadable,
    Unknown {
        topic: u32,
        action: u32,
    },
    /// Done as asked. Text clients are told name by name.
    Ack {
        action: Action,
        names: &'a [Name],
        id: Option<&'a str>,
    },
    Problem {
        problem: Problem,
        action: Action,
        name: Option<&'a str>,
        id: Option<&'a str>,
    },
    Event {
        name: &'a str,
        payload: &'a Payload,
    },
    Record {
        name: &'a str,
        version: u64,
        json: &'a str,
    },
    Updated {
        name: &'a str,
        version: u64,
        json: &'a str,
    },
    Patched {
        name: &'a str,
        version: u64,
        path: &'a str,
        payload: Option<&'a Payload>,
    },
    /// A write was too late; this is what the record is.
    Conflict {
        name: &'a str,
        version: u64,
        json: &'a str,
        action: Action,
        ack: Option<&'a WriteAck>,
    },
    Written {
        name: &'a str,
        ack: &'a WriteAck,
        problem: Option<Problem>,
    },
    /// A record's version; `None` where there is no record.
    Version {
        name: &'a str,
        version: Option<u64>,
    },
    Versions(&'a [(Name, Option<u64>)]),
    Has {
        name: &'a str,
        has: bool,
    },
    /// To a subscriber.
    Deleted(&'a str),
    /// To the one who deleted.
    DeleteDone(&'a str),
    /// To a listener: somebody is subscribed to a name that its pattern matches.
    Wanted {
        topic: Topic,
        pattern: &'a str,
        name: &'a str,
    },
    /// To a listener: nobody is subscribed to it any more, or it is another's.
    Unwanted {
        topic: Topic,
        pattern: &'a str,
        name: &'a str,
    },
    /// To subscribers of a record: whether a listener looks after it.
    Provided {
        name: &'a str,
        provided: bool,
    },
    Call {
        name: &'a str,
        id: &'a str,
        payload: &'a Payload,
    },
    CallAccepted {
        name: &'a str,
        id: &'a str,
    },
    CallAnswered {
        name: &'a str,
        id: &'a str,
        payload: &'a Payload,
    },
    CallFailed {
        name: &'a str,
        id: &'a str,
        payload: &'a Payload,
    },
    Users(&'a [Name]),
    UserStates {
        id: &'a str,
        states: &'a [(Name, bool)],
    },
    /// A user came or went; `all` tells those who watch everybody from those who watch this user.
    UserChanged {
        name: &'a str,
        here: bool,
        all: bool,
    },
}

/// A correlation, if it is one.
pub(crate) fn correlation(text: &str) -> Option<Correlation> {
    let is_good =
        !text.is_empty() && text.len() <= limits::CORRELATION_MAX && !text.bytes().any(|byte| byte.is_ascii_control());
    is_good.then(|| text.into())
}
