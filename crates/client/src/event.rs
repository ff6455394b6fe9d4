//! What the application hears of a room.

use std::{fmt, time::Duration};

use room::{
    id::MemberId,
    wire::signal::{GoneReason, Json, Member, RefusalCode},
};

pub use room::member::LinkState;

use crate::Payload;

/// How a channel treats its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Each message arrives exactly once, in its sender's order.
    #[default]
    Reliable,
    /// Newer messages supersede older ones that are still under way; the last one always arrives. For positions.
    Latest,
    /// Each message is sent once and may be lost. For what is worth nothing later.
    Datagram,
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sent it.
    pub from: MemberId,
    /// On which channel.
    pub channel: String,
    /// How.
    pub mode: Mode,
    /// Whether it was sent to this member only. Known of reliable channels only.
    pub addressed: bool,
    /// What it says.
    pub data: Payload,
}

/// What happens in a room.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A message on a channel that the application has no [`Messages`](crate::Messages) of.
    Message(Message),
    /// Somebody entered.
    MemberJoin(Member),
    /// Somebody left; no event of theirs comes after this.
    MemberLeave {
        /// As last known.
        member: Member,
        /// Why.
        reason: GoneReason,
    },
    /// Somebody's attributes changed; one's own too.
    MemberUpdate(Member),
    /// A link changed.
    Link(Link),
    /// Messages of a member will never come: a bound was exceeded, as when this member did not read for too long.
    Gap {
        /// Whose.
        member: MemberId,
        /// Whether they were sent to this member only.
        addressed: bool,
        /// The first chunk lost, as numbered by the sender.
        from_seq: u64,
        /// The last chunk lost.
        to_seq: u64,
    },
    /// What a member says cannot be read here, or not be believed, and is not delivered. Told once for each member and
    /// reason.
    Unreadable {
        /// Who says it; `None`: these are entries of the shared state, of which only the server says who wrote them.
        member: Option<MemberId>,
        /// Why.
        reason: Unreadable,
    },
    /// An entry of the room's shared state changed.
    State {
        /// Which entry.
        key: String,
        /// `null` where it was removed.
        value: Json,
        /// Who changed it; unknown where it was learnt on coming back.
        by: Option<MemberId>,
    },
    /// The room's topology changed. Nothing is lost by it.
    Topology {
        /// From this.
        from: String,
        /// To this.
        to: String,
    },
    /// What the room is to be is another thing than before; [`Event::Topology`] tells when it is.
    Pin {
        /// A topology that somebody chose; `None`: what fits.
        topology: Option<String>,
    },
    /// The server did not do what this member asked for.
    Refused {
        /// A stable name.
        code: RefusalCode,
        /// One plain sentence.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// The server is out of reach. Links, and what goes over them, are not affected.
    Reconnecting {
        /// In plain words.
        reason: String,
    },
    /// The server is back.
    Reconnected {
        /// Whether it had kept the session.
        resumed: bool,
    },
    /// Events were not kept, because the application did not take them. Messages are never among them.
    Missed {
        /// How many.
        events: u64,
    },
    /// Out of the room, for good. The last event.
    Closed(Closed),
}

/// Why something cannot be read, or not be believed: keys of rooms do not fit. See the guide's page "Secret rooms".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Unreadable {
    /// It is sealed, and this member entered without a key.
    NoKey,
    /// It was sealed with another key, or altered on its way.
    WrongKey,
    /// It is in the clear, and this member has a key: anybody may have said it.
    NotSealed,
    /// It was said before: somebody on the way says it again.
    Replayed,
}

impl Unreadable {
    /// A stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Unreadable::NoKey => "no_key",
            Unreadable::WrongKey => "wrong_key",
            Unreadable::NotSealed => "not_sealed",
            Unreadable::Replayed => "replayed",
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Unreadable::NoKey => "enter with the whole address of the room, which ends in #key=…",
            Unreadable::WrongKey => "compare the ends of your addresses: all need the same #key=…",
            Unreadable::NotSealed => "give them the whole address of the room, which ends in #key=…",
            Unreadable::Replayed => "the server or a member that passes on messages is not to be trusted",
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unreadable::NoKey => "it is secret, and this member has no key",
            Unreadable::WrongKey => "it was sealed with another key, or altered on its way",
            Unreadable::NotSealed => "it is not secret, so anybody may have said it",
            Unreadable::Replayed => "it was said before, and is being repeated by somebody else",
        })
    }
}

/// How a link to another member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// With whom: a member, or a relay, which is nobody otherwise.
    pub member: MemberId,
    /// How it is.
    pub state: LinkState,
    /// `host`, `reflexive`, `relayed` or `socket`, where open.
    pub path: Option<String>,
    /// Round-trip time, where measured.
    pub rtt: Option<Duration>,
    /// In plain words, where failed or closed.
    pub reason: Option<String>,
}

/// Why a member is out of the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The server's refusal, where there was one.
    pub code: Option<RefusalCode>,
    /// In plain words; `left` where this member left.
    pub reason: String,
    /// What to do about it.
    pub hint: String,
}
