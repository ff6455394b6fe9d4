//! What goes into a [`super::Member`] and what comes out of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    id::{Key, MemberId, Secret, Signature},
    time::Micros,
    wire::{
        hex,
        signal::{
            Attributes, ClientMessage, GoneReason, Json, Member as MemberInfo, Negotiation, RefusalCode, RelayOffer,
        },
        signal::{Role, ServerMessage, StateEntry, Token},
    },
};

/// Who a member is and what it brings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    /// Random, new for each `join()`.
    pub secret: Secret,
    /// The public half of a pair that is made for this session, as random: the edge signs with the other. A member without
    /// believes whoever passes something on, and nobody passes on what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// Display name.
    pub name: String,
    /// What it says of itself.
    #[serde(default)]
    pub attributes: Attributes,
    /// A signed token, where the server wants one.
    #[serde(default)]
    pub token: Option<Token>,
    /// The topology to ask for.
    #[serde(default)]
    pub topology: Option<String>,
    /// The software, for the server's log.
    #[serde(default)]
    pub agent: Option<String>,
    /// It is a relay: it passes on what others say, and its application hears nothing of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<RelayOffer>,
    /// Seeds the jitter of pauses; nothing else is random.
    #[serde(default)]
    pub seed: u32,
}

/// The two data channels of a link, by their negotiated id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Ordered and reliable.
    Reliable = 0,
    /// Unordered, never sent again.
    Lossy = 1,
}

/// How a lossy channel treats its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lossy {
    /// Newer values supersede older ones; the last one always arrives.
    Latest,
    /// Sent once.
    Datagram,
}

/// What happens to a member.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Input {
    /// The socket that [`Output::Connect`] asked for is open.
    Connected,
    /// It ended, or could not be opened. Not reported after [`Output::Disconnect`].
    Disconnected {
        /// From the close code, where the hub gave one.
        code: Option<RefusalCode>,
        /// In plain words.
        reason: String,
    },
    /// The hub said something. An edge that uses STUN and TURN takes its servers from each welcome that it hands in: those
    /// of the first one may not last.
    Hub(ServerMessage),
    /// A peer connection produced a description or a candidate.
    Local {
        /// With whom.
        peer: MemberId,
        /// As in [`Output::Open`]; inputs of an attempt that is closed are ignored.
        attempt: u32,
        /// To be sent to the peer.
        data: Negotiation,
    },
    /// All data channels of a peer connection are open.
    LinkUp {
        /// With whom.
        peer: MemberId,
        /// Which connection.
        attempt: u32,
        /// `host`, `reflexive` or `relayed`.
        path: String,
    },
    /// A peer connection failed or was closed by the other side. Not reported after [`Output::Close`].
    LinkDown {
        /// With whom.
        peer: MemberId,
        /// Which connection.
        attempt: u32,
        /// In plain words.
        reason: String,
        /// Whether the other side closed it in good order, as it does when it leaves.
        closed: bool,
    },
    /// A data channel message came. Never before [`Input::LinkUp`]: an edge keeps what comes earlier until then.
    Packet {
        /// From whom.
        peer: MemberId,
        /// Over which connection.
        attempt: u32,
        /// On which channel.
        lane: Lane,
        /// The message.
        #[serde(with = "hex")]
        bytes: Bytes,
    },
    /// A binary message came from the hub: see [`crate::wire::carried`].
    Carried {
        /// The message.
        #[serde(with = "hex")]
        message: Bytes,
    },
    /// A data channel's send buffer fell to this size, at or below [`crate::limits::LINK_RESUME`].
    Buffered {
        /// Towards whom.
        peer: MemberId,
        /// Over which connection.
        attempt: u32,
        /// On which channel.
        lane: Lane,
        /// What is still in it.
        bytes: usize,
    },
    /// Send a reliable message. Answered by [`Event::Sent`] or [`Event::NotSent`].
    Send {
        /// Named in the answer.
        ticket: u64,
        /// At most [`crate::limits::CHANNEL_NAME_MAX`] bytes.
        channel: String,
        /// One member only.
        to: Option<MemberId>,
        /// At most [`crate::limits::MESSAGE_MAX`] bytes.
        #[serde(with = "hex")]
        payload: Bytes,
    },
    /// Send on a lossy channel: never waits, never answered.
    Publish {
        /// How.
        mode: Lossy,
        /// At most [`crate::limits::CHANNEL_NAME_MAX`] bytes.
        channel: String,
        /// One member only.
        to: Option<MemberId>,
        /// At most [`crate::limits::LOSSY_MAX`] bytes; a longer one is dropped.
        #[serde(with = "hex")]
        payload: Bytes,
    },
    /// Call a method of a member. Answered by [`Event::Called`].
    Call {
        /// Named in the answer.
        ticket: u64,
        /// Whose method.
        to: MemberId,
        /// At most [`crate::limits::CHANNEL_NAME_MAX`] bytes.
        method: String,
        /// The argument.
        #[serde(with = "hex")]
        payload: Bytes,
        /// Else [`crate::limits::CALL_TIMEOUT`].
        timeout: Option<Micros>,
    },
    /// The caller does not want the answer any more.
    CancelCall {
        /// As in [`Input::Call`].
        ticket: u64,
    },
    /// The answer to an [`Event::Call`].
    Reply {
        /// The caller.
        to: MemberId,
        /// As in the event.
        call: u64,
        /// Result or failure.
        answer: Answer,
    },
    /// Write an entry of the room's state; `null` removes.
    SetState {
        /// Which entry.
        key: String,
        /// Any JSON.
        value: Json,
    },
    /// Change own attributes; `None` removes.
    SetAttributes {
        /// What to change.
        set: BTreeMap<String, Option<String>>,
    },
    /// Have the room linked in this way from now on: `mesh`, `small-world`, `tree` or `star`; `auto`: as it fits. Answered
    /// with [`Event::Pinned`] or [`Event::NotPinned`].
    Pin {
        /// The application's number of this request.
        ticket: u64,
        /// The word.
        topology: String,
    },
    /// A fresh token for the next time that the hub is asked to let the member in.
    SetToken {
        /// The token.
        token: Option<Token>,
    },
    /// The application took a message: one of these for each [`Event::Message`], [`Event::Lossy`], [`Event::Call`].
    Consumed {
        /// Whose message.
        from: MemberId,
        /// The length of its payload.
        bytes: usize,
        /// Whether it was an [`Event::Lossy`].
        lossy: bool,
    },
    /// Go, as a relay, when nobody depends on it any more (at most [`crate::limits::DRAIN_TIMEOUT`]). Ends with
    /// [`Event::Closed`].
    Drain,
    /// The answer to [`Output::Sign`].
    Signed {
        /// As it was asked.
        token: u64,
        /// Of the text.
        signature: Signature,
    },
    /// The answer to [`Output::Verify`].
    Verified {
        /// As it was asked.
        token: u64,
        /// Whether the signature is the key's, of the text.
        good: bool,
    },
    /// Go, after what was sent has arrived (at most [`crate::limits::LEAVE_FLUSH`]). Ends with [`Event::Closed`].
    Leave,
    /// [`super::Member::poll_timeout`] is due.
    Timeout,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The method's result.
    Result(#[serde(with = "hex")] Bytes),
    /// Why there is none.
    Failure {
        /// `no_handler`, `handler_failed`, `timeout`, `member_left`, `too_many_calls`, `too_large`, `unknown_member`.
        code: String,
        /// In plain words.
        message: String,
    },
}

/// What a member wants done, in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Output {
    /// Open a socket to the hub.
    Connect,
    /// Close it (1000), after what was told. Nothing of it is reported any more. To the hub that is no leaving: where
    /// the member goes for good it was told so.
    Disconnect,
    /// Send to the hub.
    Tell(ClientMessage),
    /// Make a peer connection with its data channels; where this side offers, produce an offer.
    Open {
        /// With whom.
        peer: MemberId,
        /// Its number.
        attempt: u32,
        /// Who offers.
        role: Role,
    },
    /// Hand a description or candidate of the peer to the connection. Candidates come after their description.
    Remote {
        /// From whom.
        peer: MemberId,
        /// Which connection.
        attempt: u32,
        /// What it said.
        data: Negotiation,
    },
    /// Restart ICE with a new offer on this connection.
    RestartIce {
        /// With whom.
        peer: MemberId,
        /// Which connection.
        attempt: u32,
    },
    /// Close a peer connection. Nothing of it is reported any more.
    Close {
        /// With whom.
        peer: MemberId,
        /// Which connection.
        attempt: u32,
    },
    /// Send one data channel message.
    Packet {
        /// To whom.
        peer: MemberId,
        /// Over which connection.
        attempt: u32,
        /// On which channel.
        lane: Lane,
        /// The message.
        #[serde(with = "hex")]
        bytes: Bytes,
    },
    /// Sign a text with the session's Ed25519 key (RFC 8032). Answered by [`Input::Signed`], in any order and time.
    Sign {
        /// Named in the answer.
        token: u64,
        /// The text.
        #[serde(with = "hex")]
        text: Bytes,
    },
    /// Verify an Ed25519 signature. Answered by [`Input::Verified`], in any order and time.
    Verify {
        /// Named in the answer.
        token: u64,
        /// Whose it should be.
        key: Key,
        /// Of what.
        #[serde(with = "hex")]
        text: Bytes,
        /// The signature.
        signature: Signature,
    },
    /// Send the hub a binary message, behind what it was told: see [`crate::wire::carried`].
    Carry {
        /// The message, at most [`crate::limits::CARRIED_MAX`] bytes.
        #[serde(with = "hex")]
        message: Bytes,
    },
    /// Tell the application.
    Event(Event),
}

/// What the application hears.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// In the room. Once.
    Joined(Box<Joined>),
    /// Somebody entered.
    MemberJoin(MemberInfo),
    /// Somebody left; nothing of theirs comes after this.
    MemberLeave {
        /// As last known.
        member: MemberInfo,
        /// Why.
        reason: GoneReason,
    },
    /// Somebody's attributes changed; one's own too.
    MemberUpdate(MemberInfo),
    /// A link changed.
    Link {
        /// With whom: a member, or a relay, which is nobody otherwise.
        peer: MemberId,
        /// To what.
        state: LinkState,
        /// `host`, `reflexive`, `relayed` or `socket`, where open.
        path: Option<String>,
        /// Round-trip time, where measured.
        rtt: Option<Micros>,
        /// In plain words, where failed or closed.
        reason: Option<String>,
    },
    /// A reliable message came: once, in its sender's order.
    Message {
        /// From whom.
        from: MemberId,
        /// On which channel.
        channel: String,
        /// Whether it was sent to this member only.
        addressed: bool,
        /// The message.
        #[serde(with = "hex")]
        payload: Bytes,
    },
    /// A message of a lossy channel came.
    Lossy {
        /// From whom.
        from: MemberId,
        /// How it was sent.
        mode: Lossy,
        /// On which channel.
        channel: String,
        /// The message.
        #[serde(with = "hex")]
        payload: Bytes,
    },
    /// Somebody calls a method; answer with [`Input::Reply`].
    Call {
        /// The caller.
        from: MemberId,
        /// The caller's number of the call.
        call: u64,
        /// The method.
        method: String,
        /// The argument.
        #[serde(with = "hex")]
        payload: Bytes,
    },
    /// A call ended.
    Called {
        /// As in [`Input::Call`].
        ticket: u64,
        /// How.
        answer: Answer,
    },
    /// A message was taken into the outbox: the next one may follow.
    Sent {
        /// As in [`Input::Send`].
        ticket: u64,
    },
    /// A message will not be sent.
    NotSent {
        /// As in [`Input::Send`].
        ticket: u64,
        /// Why.
        why: NotSent,
    },
    /// Chunks of a member's stream will never come: a bound was exceeded.
    Gap {
        /// Whose stream.
        member: MemberId,
        /// Whether it is the one to this member only.
        addressed: bool,
        /// The first chunk lost.
        from_seq: u64,
        /// The last chunk lost.
        to_seq: u64,
    },
    /// An entry of the room's state changed.
    State {
        /// Which entry.
        key: String,
        /// `null` where it was removed.
        value: Json,
        /// Who wrote it; unknown where it was learnt on coming back.
        by: Option<MemberId>,
    },
    /// The room's topology changed.
    Topology {
        /// From this.
        from: String,
        /// To this.
        to: String,
    },
    /// What the room is to be is another thing than before.
    Pin {
        /// How somebody wants it linked; `None`: as it fits.
        pin: Option<String>,
    },
    /// The hub has taken a wish how the room should be linked: it is going to be. [`Event::Topology`] tells when it is.
    Pinned {
        /// As in [`Input::Pin`].
        ticket: u64,
    },
    /// A wish how the room should be linked is not followed.
    NotPinned {
        /// As in [`Input::Pin`].
        ticket: u64,
        /// Why.
        why: NotPinned,
    },
    /// The hub asked for something to be done otherwise, or did not do what it was asked.
    Refused {
        /// A stable name.
        code: RefusalCode,
        /// One plain sentence.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// The hub is out of reach; links go on.
    Reconnecting {
        /// In plain words.
        reason: String,
    },
    /// The hub is back.
    Reconnected {
        /// Whether it had kept the session.
        resumed: bool,
    },
    /// Out of the room, for good. Last.
    Closed {
        /// The hub's refusal, where there was one.
        code: Option<RefusalCode>,
        /// In plain words.
        reason: String,
        /// What to do about it.
        hint: String,
    },
}

/// What is known on entering.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// This member.
    pub this: MemberInfo,
    /// Everybody else.
    pub members: Vec<MemberInfo>,
    /// How the room is linked.
    pub topology: String,
    /// How somebody wants it linked; `None`: as it fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// Whether this member may choose how.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admin: bool,
    /// The shared state.
    pub state: BTreeMap<String, StateEntry>,
}

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Being set up.
    Connecting,
    /// Carries messages.
    Open,
    /// Silent for too long.
    Suspect,
    /// Could not be set up, or broke; it is tried again.
    Failed,
    /// Not wanted any more.
    Closed,
}

/// Why a room is not linked as was wished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotPinned {
    /// The hub, or the member in its place, says no.
    Refused {
        /// A stable name.
        code: RefusalCode,
        /// One plain sentence.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// The hub is out of reach. It may have taken the wish before.
    Unreachable,
    /// The room was left.
    Closed,
}

/// Why a message will not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotSent {
    /// Beyond [`crate::limits::MESSAGE_MAX`], or its channel's name beyond [`crate::limits::CHANNEL_NAME_MAX`].
    #[error("the message or its channel's name is too large")]
    TooLarge,
    /// Beyond [`crate::limits::WAITING_SENDS`]: the application does not wait for its sends.
    #[error("too many messages are waiting to be sent; await each send")]
    TooMany,
    /// The addressee is not in the room.
    #[error("the addressee is not in the room")]
    UnknownMember,
    /// The token does not allow it.
    #[error("this member may not send data")]
    NotAllowed,
    /// The member has left or was closed.
    #[error("the room is closed")]
    Closed,
}
