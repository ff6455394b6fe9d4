//! What a hub refuses, and why: stable names, which are also the codes that it closes a socket with.

use serde::{Deserialize, Serialize};

/// What was asked was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// A stable name.
    pub code: RefusalCode,
    /// One plain sentence.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// Whether the socket closes now.
    pub fatal: bool,
}

impl Refused {
    /// A refusal that ends the connection.
    pub fn fatal(code: RefusalCode, message: impl Into<String>, hint: impl Into<String>) -> Refused {
        Refused { code, message: message.into(), hint: hint.into(), fatal: true }
    }

    /// A refusal of one message only.
    pub fn of_message(code: RefusalCode, message: impl Into<String>, hint: impl Into<String>) -> Refused {
        Refused { code, message: message.into(), hint: hint.into(), fatal: false }
    }
}

/// Declares the refusal codes once, in the order that gives their close codes.
macro_rules! refusal_codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $back:literal;)*) => {
        /// Why something was refused: stable names, in the order that gives their WebSocket close codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum RefusalCode {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl RefusalCode {
            /// All of them, in order.
            pub const ALL: &[RefusalCode] = &[$(RefusalCode::$name,)*];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(RefusalCode::$name => $word,)* }
            }

            /// Whether a member that was cut off with this code may come back by itself.
            pub const fn may_return(self) -> bool {
                match self { $(RefusalCode::$name => $back,)* }
            }
        }
    };
}

refusal_codes! {
    /// Not JSON of a known shape.
    BadMessage = "bad_message", false;
    /// A type that this hub does not know.
    UnknownMessage = "unknown_message", false;
    /// Beyond a bound in bytes.
    TooLarge = "too_large", false;
    /// Something else came before `join`.
    JoinFirst = "join_first", false;
    /// A second `join` on one socket.
    AlreadyJoined = "already_joined", false;
    /// No `join` in time.
    JoinTimeout = "join_timeout", true;
    /// Another version of the protocol.
    BadVersion = "bad_version", false;
    /// No room can have this name.
    BadRoom = "bad_room", false;
    /// No member can have this name.
    BadName = "bad_name", false;
    /// Too many or too large attributes.
    BadAttributes = "bad_attributes", false;
    /// Not a session secret.
    BadSecret = "bad_secret", false;
    /// A state write beyond the bounds.
    BadState = "bad_state", false;
    /// The server wants a token.
    TokenRequired = "token_required", false;
    /// The token's signature or shape is wrong.
    TokenInvalid = "token_invalid", false;
    /// The token's time is over, or has not come.
    TokenExpired = "token_expired", false;
    /// The token is for another room.
    TokenOtherRoom = "token_other_room", false;
    /// The token does not allow this.
    NotAllowed = "not_allowed", false;
    /// Somebody with this identity is in the room.
    IdentityTaken = "identity_taken", false;
    /// The same identity, or the same session, entered anew.
    Replaced = "replaced", false;
    /// An administrator removed the member.
    Removed = "removed", false;
    /// The room has all the members that it may have.
    RoomFull = "room_full", false;
    /// The server has all the rooms or connections that it may have.
    ServerFull = "server_full", true;
    /// Too many connections from one address.
    TooManyConnections = "too_many_connections", true;
    /// More messages than allowed.
    RateLimited = "rate_limited", true;
    /// Does not read what it is sent.
    TooSlow = "too_slow", true;
    /// Sent nothing for too long.
    Silent = "silent", true;
    /// The addressee is not in the room.
    UnknownMember = "unknown_member", false;
    /// The room cannot be linked in this way.
    TopologyUnavailable = "topology_unavailable", false;
    /// The server is going down.
    ShuttingDown = "shutting_down", true;
}

impl RefusalCode {
    /// The WebSocket close code of a fatal refusal: 4000 + the code's place.
    pub const fn close_code(self) -> u16 {
        4000 + self as u16
    }

    /// The refusal that a close code stands for.
    pub fn from_close_code(code: u16) -> Option<RefusalCode> {
        RefusalCode::ALL.get(usize::from(code.checked_sub(4000)?)).copied()
    }
}
