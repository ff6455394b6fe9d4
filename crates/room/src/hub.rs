//! A room as the server sees it: who is in it, who is linked to whom, and the state they share.

use crate::{
    id::RoomName,
    limits,
    time::{Micros, Time},
    wire::signal::{ClientMessage, Join, RefusalCode, ServerMessage},
};

/// One connection (WebSocket) to this hub, numbered by the edge that owns it. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// How a room behaves. The same for its whole life.
#[derive(Clone, Debug)]
pub struct Config {
    /// The room's name.
    pub room: RoomName,
    /// This hub's id, random at each start of the server: 16 hex digits.
    pub hub_id: String,
    /// What happens when an identity enters that is in the room already.
    pub identity_policy: IdentityPolicy,
    /// Most members, away ones included.
    pub members_max: usize,
    /// How long a member may be away.
    pub resume_window: Micros,
}

/// What happens when an identity enters that is in the room already. Members without identity are never the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdentityPolicy {
    /// The newcomer stays, the other goes.
    Replace,
    /// The newcomer is refused.
    Reject,
    /// Both stay.
    #[default]
    Coexist,
}

/// What a token allows, as the server's edge has verified it.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Who the member is to the application.
    pub identity: Option<String>,
    /// The name that the token gives it, above the one it asks for.
    pub name: Option<String>,
    /// May publish media.
    pub publish: bool,
    /// May send data, write state and attributes.
    pub publish_data: bool,
    /// May receive media.
    pub subscribe: bool,
    /// May pin the topology and remove members.
    pub admin: bool,
}

impl Grant {
    /// Everything, for nobody in particular: what `--dev` gives.
    pub fn open() -> Grant {
        Grant { identity: None, name: None, publish: true, publish_data: true, subscribe: true, admin: true }
    }
}

/// What happens to a hub.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection sent a valid `join`, and its token was accepted. A grant of `None` means that the token has
    /// expired: good enough to resume a session that the hub knows, not to enter.
    Join { conn: ConnId, join: Box<Join>, grant: Option<Grant> },
    /// A joined connection sent something else.
    Message { conn: ConnId, message: ClientMessage },
    /// A connection ended; `left` where it closed with 1000 or 1001. Also after [`Output::Close`].
    Closed { conn: ConnId, left: bool },
    /// The server goes down: everyone is told.
    Shutdown { reason: String, retry: Micros },
    /// [`Hub::poll_timeout`] is due.
    Timeout,
}

/// What a hub wants done, in order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send one message to some connections; encode it once.
    Send { to: Vec<ConnId>, message: ServerMessage },
    /// Close a connection, after what was sent to it. `None`: a normal close (1000).
    Close { conn: ConnId, code: Option<RefusalCode> },
}
