//! What can go wrong, one small enum for each operation, each with a stable code and a hint.

use room::{
    limits::{CHANNEL_NAME_MAX, LOSSY_MAX, MESSAGE_MAX},
    member::NotPinned,
    wire::signal::RefusalCode,
};

use crate::{AddressError, Closed, DecodeError, EncodeError, secrecy::UNREADABLE};

/// Why a room could not be entered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Not a room's address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The server said no.
    #[error("the server refused: {message}")]
    Refused {
        /// A stable name.
        code: RefusalCode,
        /// One plain sentence.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// The server did not answer within [`room::limits::ENTER_TIMEOUT`], or what answered is no Roomful server.
    #[error("{reason}")]
    Unreachable {
        /// In plain words.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// The token could not be had.
    #[error("there is no token: {0}")]
    Token(String),
    /// This machine gives no UDP socket, no randomness or no certificate.
    #[error("this machine cannot take part: {0}")]
    Endpoint(String),
}

impl JoinError {
    /// A stable name.
    pub fn code(&self) -> &'static str {
        match self {
            JoinError::Address(AddressError::Key(_)) => "bad_key",
            JoinError::Address(_) => "bad_address",
            JoinError::Refused { code, .. } => code.as_str(),
            JoinError::Unreachable { .. } => "unreachable",
            JoinError::Token(_) => "no_token",
            JoinError::Endpoint(_) => "unsupported",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &str {
        match self {
            JoinError::Address(error) => error.hint(),
            JoinError::Refused { hint, .. } | JoinError::Unreachable { hint, .. } => hint,
            JoinError::Token(_) => "see what gives the token",
            JoinError::Endpoint(_) => "allow this program to open UDP sockets",
        }
    }
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Beyond [`room::limits::MESSAGE_MAX`], or [`room::limits::LOSSY_MAX`] on lossy channels.
    #[error("the message has {0} bytes, more than {1}")]
    TooLarge(usize, usize),
    /// Beyond [`room::limits::CHANNEL_NAME_MAX`].
    #[error("a channel's name has at most {CHANNEL_NAME_MAX} bytes")]
    ChannelName,
    /// The addressee is not in the room.
    #[error("the addressee is not in the room")]
    UnknownMember,
    /// The token does not allow it.
    #[error("this member may not send data")]
    NotAllowed,
    /// The member has left, or was removed.
    #[error("the room is closed")]
    Closed,
}

impl SendError {
    /// A stable name.
    pub fn code(&self) -> &'static str {
        match self {
            SendError::TooLarge(..) => "too_large",
            SendError::ChannelName => "bad_channel",
            SendError::UnknownMember => "unknown_member",
            SendError::NotAllowed => "not_allowed",
            SendError::Closed => "closed",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            SendError::TooLarge(_, LOSSY_MAX) => "send it on a reliable channel",
            SendError::TooLarge(..) => "send it in parts",
            SendError::ChannelName => "take a shorter name",
            SendError::UnknownMember => "it left; see the room's members",
            SendError::NotAllowed => "ask for a token that may send",
            SendError::Closed => "join again",
        }
    }

    pub(crate) const fn too_large(bytes: usize, lossy: bool) -> SendError {
        SendError::TooLarge(bytes, if lossy { LOSSY_MAX } else { MESSAGE_MAX })
    }
}

/// Why a call gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The argument has no form on the wire.
    #[error(transparent)]
    Argument(#[from] EncodeError),
    /// The called member has no handler of this name.
    #[error("{0}")]
    NoHandler(String),
    /// The handler failed.
    #[error("the handler failed: {0}")]
    HandlerFailed(String),
    /// No answer came in time.
    #[error("no answer came in time")]
    Timeout,
    /// One of the two has not the room's key, or they have different ones.
    #[error("{0}")]
    Unreadable(String),
    /// The called member left before it answered.
    #[error("the member left before it answered")]
    MemberLeft,
    /// The called member is not in the room.
    #[error("the member is not in the room")]
    UnknownMember,
    /// The token does not allow it.
    #[error("this member may not send data")]
    NotAllowed,
    /// The argument, the result or the method's name is too large.
    #[error("{0}")]
    TooLarge(String),
    /// Beyond [`room::limits::CALLS_MAX`].
    #[error("too many calls are under way")]
    TooManyCalls,
    /// The room was left, or this member removed.
    #[error("the room is closed")]
    Closed,
    /// A failure that the called member names otherwise.
    #[error("{message}")]
    Other {
        /// As the called member said.
        code: String,
        /// As the called member said.
        message: String,
    },
}

impl CallError {
    /// A stable name, where it is not of the called member's own making.
    pub fn code(&self) -> &str {
        match self {
            CallError::Argument(_) => "bad_argument",
            CallError::NoHandler(_) => "no_handler",
            CallError::HandlerFailed(_) => "handler_failed",
            CallError::Timeout => "timeout",
            CallError::Unreadable(_) => UNREADABLE,
            CallError::MemberLeft => "member_left",
            CallError::UnknownMember => "unknown_member",
            CallError::NotAllowed => "not_allowed",
            CallError::TooLarge(_) => "too_large",
            CallError::TooManyCalls => "too_many_calls",
            CallError::Closed => "closed",
            CallError::Other { code, .. } => code,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            CallError::Argument(_) => "send a value of texts, numbers, booleans, arrays and maps",
            CallError::NoHandler(_) => "see which methods the called member handles",
            CallError::HandlerFailed(_) | CallError::Other { .. } => "see what the called member says",
            CallError::Timeout => "try again, or allow more time",
            CallError::Unreadable(_) => "enter with the same address, which ends in #key=…",
            CallError::MemberLeft | CallError::UnknownMember => "see the room's members",
            CallError::NotAllowed => "ask for a token that may send",
            CallError::TooLarge(_) => "call with less, or send it over a channel",
            CallError::TooManyCalls => "wait for some of them first",
            CallError::Closed => "join again",
        }
    }

    pub(crate) fn from_failure(code: String, message: String) -> CallError {
        match code.as_str() {
            "no_handler" => CallError::NoHandler(message),
            "handler_failed" => CallError::HandlerFailed(message),
            "timeout" => CallError::Timeout,
            UNREADABLE => CallError::Unreadable(message),
            "member_left" => CallError::MemberLeft,
            "unknown_member" => CallError::UnknownMember,
            "not_allowed" => CallError::NotAllowed,
            "too_large" => CallError::TooLarge(message),
            "too_many_calls" => CallError::TooManyCalls,
            "closed" => CallError::Closed,
            _ => CallError::Other { code, message },
        }
    }
}

/// Why a room is not linked as was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// The server said no: `not_allowed`, `topology_unavailable`, `rate_limited`.
    #[error("{message}")]
    Refused {
        /// A stable name.
        code: RefusalCode,
        /// One plain sentence.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// The server is out of reach. It may have taken the wish before it was.
    #[error("the server is out of reach")]
    Unreachable,
    /// The room was left, or this member removed.
    #[error("the room is closed")]
    Closed,
}

impl PinError {
    /// A stable name.
    pub fn code(&self) -> &'static str {
        match self {
            PinError::Refused { code, .. } => code.as_str(),
            PinError::Unreachable => "unreachable",
            PinError::Closed => "closed",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &str {
        match self {
            PinError::Refused { hint, .. } => hint,
            PinError::Unreachable => "try again when the server is back",
            PinError::Closed => "join again",
        }
    }
}

impl From<NotPinned> for PinError {
    fn from(why: NotPinned) -> PinError {
        match why {
            NotPinned::Refused { code, message, hint } => PinError::Refused { code, message, hint },
            NotPinned::Unreachable => PinError::Unreachable,
            NotPinned::Closed => PinError::Closed,
        }
    }
}

/// Why a change of the room's state or of one's own attributes was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The value has no JSON form.
    #[error("the value has no JSON form: {0}")]
    Value(String),
    /// Beyond the bounds in [`room::limits`].
    #[error("{0} has {1} bytes, more than {2}")]
    TooLarge(&'static str, usize, usize),
    /// The room was left, or this member removed.
    #[error("the room is closed")]
    Closed,
}

impl ChangeError {
    /// A stable name.
    pub fn code(&self) -> &'static str {
        match self {
            ChangeError::Value(_) => "bad_value",
            ChangeError::TooLarge(..) => "too_large",
            ChangeError::Closed => "closed",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            ChangeError::Value(_) => "use a value of texts, numbers, booleans, arrays and maps with texts as keys",
            ChangeError::TooLarge(..) => "keep less in the room's state; send data over channels",
            ChangeError::Closed => "join again",
        }
    }
}

/// The room could not be left, because this member was out of it already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the room was closed before: {}", .0.reason)]
pub struct LeaveError(pub Closed);

/// Why a handler has no result. Any error becomes one with `?`; its text goes to the caller.
#[derive(Debug)]
pub struct HandlerError(pub(crate) String);

impl HandlerError {
    /// A failure in words for the caller.
    pub fn new(message: impl Into<String>) -> HandlerError {
        HandlerError(message.into())
    }
}

impl<E: std::error::Error> From<E> for HandlerError {
    fn from(error: E) -> HandlerError {
        HandlerError(error.to_string())
    }
}

/// A result of another shape than was asked for is the called member's failure to keep to what was agreed.
impl From<DecodeError> for CallError {
    fn from(error: DecodeError) -> CallError {
        CallError::Other { code: "bad_result".to_owned(), message: error.to_string() }
    }
}
