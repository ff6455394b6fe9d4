//! Signalling messages between a member and the hub. JSON objects with one key, the message's type.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

pub use super::refusal::{RefusalCode, Refused};
use crate::{
    id::{Key, MemberId, RoomName, Secret},
    limits,
};

/// The version of the protocol that this crate speaks.
pub const VERSION: u32 = 1;

/// What a member goes by that brings no name.
pub const GUEST: &str = "guest";

/// JSON that is passed on as it came.
#[derive(Clone)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Checks and takes JSON text.
    ///
    /// # Errors
    /// Where the text is not one JSON value.
    pub fn parse(text: &str) -> Result<Json, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The JSON of a value.
    ///
    /// # Errors
    /// Where the value has no JSON form, as a map whose keys are not strings.
    pub fn from<T: Serialize + ?Sized>(value: &T) -> Result<Json, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Json)
    }

    /// JSON's `null`.
    pub fn null() -> Json {
        Json(RawValue::NULL.to_owned())
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        self.as_str() == "null"
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The value as a type of the caller's.
    ///
    /// # Errors
    /// Where it has another shape.
    pub fn to<'de, T: Deserialize<'de>>(&'de self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.as_str())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <Box<RawValue>>::deserialize(deserializer).map(Json)
    }
}

/// A member's attributes.
pub type Attributes = BTreeMap<String, String>;

/// What a member says to the hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientMessage {
    /// Enter, or come back.
    Join(Join),
    /// A link negotiation message for another member.
    Signal(SignalTo),
    /// What changed in the sender's links.
    Links(LinkReport),
    /// Changes of the sender's own attributes.
    Attributes(SetAttributes),
    /// A write to the room's shared state.
    State(SetState),
    /// Are you there?
    Ping {},
    /// Yes.
    Pong {},
    /// How the room is to be linked from now on.
    Topology(PinTopology),
    /// By whom is what is said to a member passed on, where there is no link to it?
    Route(RouteTo),
    /// The hub is to carry the frames of the link to another member, or to carry them no more.
    Carry(CarryTo),
    /// What the sender says to the room and how its links go, as it has changed.
    Stats(Traffic),
    /// A relay will leave soon: nobody is to depend on it any more.
    Drain {},
    /// Going for good.
    Leave {},
}

/// The first message of every connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// [`VERSION`].
    pub v: u32,
    /// Proof of the session; see [`Secret::member_id`].
    pub secret: Secret,
    /// What the member signs with, the same for the whole session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// Display name, at most [`limits::NAME_MAX`] characters without the white space at its ends; [`GUEST`] where nothing
    /// is left.
    pub name: String,
    /// What the application says of itself.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
    /// A signed token, where the server wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// The topology that the member asks the room to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<String>,
    /// The member's software, for logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// It enters as a relay, not as somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<RelayOffer>,
    /// Where the session was known before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
}

/// What a relay is good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayOffer {
    /// The most links that it holds; [`limits::RELAY_LINKS`] where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_links: Option<u16>,
}

/// What a member's traffic is like, for the hub to choose how the room is linked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// What it says to the room, in kbit/s; 0 where that is no more than talk.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kbps: u32,
    /// The share of its links that go over TURN, in percent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub turn_percent: u32,
}

/// A bearer token. Never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What a returning member knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// The hub that welcomed it last.
    pub hub: String,
    /// How the room was linked when it heard of that last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<String>,
    /// How it was to be linked by then; `None`: as it fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// The first chunk of its stream to the room that it has not said yet: 1 where it has said nothing.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub next: u64,
    /// Whom it has open links to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub up: Vec<MemberId>,
    /// Its copy of the room's state.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub state: BTreeMap<String, StateEntry>,
}

impl Default for Resume {
    fn default() -> Resume {
        Resume { hub: String::new(), topology: None, pin: None, next: 1, up: Vec::new(), state: BTreeMap::new() }
    }
}

fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_one(number: &u64) -> bool {
    *number == 1
}

/// One entry of the room's shared state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateEntry {
    /// `null` where the entry was removed.
    pub value: Json,
    /// Higher wins.
    pub version: u64,
}

/// A link negotiation message on its way to the hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalTo {
    /// Whom it is for.
    pub to: MemberId,
    /// The connection of the pair that it belongs to.
    pub attempt: u32,
    /// A [`Negotiation`], which the hub does not read.
    pub data: Json,
}

/// A link negotiation message on its way from the hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalFrom {
    /// Who sent it.
    pub from: MemberId,
    /// The connection of the pair that it belongs to.
    pub attempt: u32,
    /// A [`Negotiation`], which the hub did not read.
    pub data: Json,
}

/// What the two ends of a link tell each other to connect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Negotiation {
    /// SDP of the offerer (RFC 8829).
    Offer(String),
    /// SDP of the answerer.
    Answer(String),
    /// A trickled ICE candidate (RFC 8838).
    Candidate(Candidate),
    /// The answerer has closed this attempt, which the offerer may take to be open still; whether the offerer made it. No
    /// connection hears of it.
    Over(bool),
}

/// `RTCIceCandidateInit` as browsers write it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The `candidate:` line; empty at the end of candidates.
    pub candidate: String,
    /// The media section by name.
    #[serde(default)]
    pub sdp_mid: Option<String>,
    /// The media section by place.
    #[serde(default, rename = "sdpMLineIndex")]
    pub sdp_m_line_index: Option<u16>,
    /// The ICE generation.
    #[serde(default)]
    pub username_fragment: Option<String>,
}

/// A wish that the hub carry a link's frames. It does where both ends wish it under the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarryTo {
    /// The other end.
    pub to: MemberId,
    /// Numbers the carriages of the pair.
    pub episode: u32,
    /// The wish is taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
}

/// The other end wishes it, or it is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarryFrom {
    /// The other end.
    pub from: MemberId,
    /// Numbers the carriages of the pair.
    pub episode: u32,
    /// Why nothing is carried under this number any more; `None`: the other end wishes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<CarryEnd>,
}

/// Why a hub does not carry a link's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CarryEnd {
    /// The other end does not want it any more.
    Closed,
    /// The other end is away, or not there.
    Away,
    /// The plan has no link between the two.
    NotLinked,
    /// One of the ends has as many carried links as it may have.
    TooMany,
    /// One of the ends does not read fast enough.
    TooSlow,
}

/// Changes in the sender's links since its last report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkReport {
    /// Open, or heard again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub up: Vec<MemberId>,
    /// Silent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspect: Vec<MemberId>,
    /// Ended or never opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub down: Vec<MemberId>,
    /// It knows where the streams of those begin who were here before it, and needs its first links no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
    /// Cut: the other end brought what its origin did not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forged: Vec<MemberId>,
    /// Members whose streams no neighbour can bring. At most [`limits::RESCUES_ASKED`] count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<MemberId>,
    /// Round trips over some links, in ms. At most [`limits::DISTANCES_TOLD`] count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rtt: BTreeMap<MemberId, u32>,
}

/// A wish how the room should be linked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinTopology {
    /// `mesh`, `small-world`, `tree` or `star`; `auto`: as it fits.
    pub pin: String,
}

/// A question for a way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTo {
    /// Where it leads.
    pub to: MemberId,
}

/// Changes of a member's own attributes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetAttributes {
    /// The member's change number.
    pub op: u64,
    /// New values; `None` removes.
    pub set: BTreeMap<String, Option<String>>,
}

/// A write to the room's shared state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetState {
    /// The member's change number.
    pub op: u64,
    /// Which entry.
    pub key: String,
    /// The new value; `null` removes.
    pub value: Json,
}

/// What the hub says to a member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServerMessage {
    /// In; the whole picture.
    Welcome(Box<Welcome>),
    /// Somebody entered.
    Member(Entered),
    /// Somebody left.
    Gone(Gone),
    /// Somebody's attributes changed.
    Update(Update),
    /// The plan changed for the receiver.
    Links(LinkPlan),
    /// A link negotiation message from another member.
    Signal(SignalFrom),
    /// An entry of the shared state changed.
    State(StateChange),
    /// The room's topology changed.
    Topology(TopologyChange),
    /// The answer to a wish how the room should be linked.
    Pinned(Pinned),
    /// A way to a member.
    Route(RouteVia),
    /// Another member wants the hub to carry the frames of its link to the receiver, or they are carried no more.
    Carry(CarryFrom),
    /// What was asked was not done.
    Refused(Refused),
    /// The server is going down.
    Closing(Closing),
    /// Are you there?
    Ping {},
    /// Yes.
    Pong {},
}

/// All that a member needs on entering.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`VERSION`].
    pub v: u32,
    /// This hub, until it restarts: 16 hex digits.
    pub hub: String,
    /// The receiver, as others see it: a token may have given it another name than it asked for.
    #[serde(rename = "self")]
    pub this: Member,
    /// The room.
    pub room: RoomName,
    /// Everybody else.
    pub members: Vec<Member>,
    /// The receiver's links.
    pub links: Vec<LinkTo>,
    /// The other ends of those along which new streams are pushed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eager: Vec<MemberId>,
    /// The shared state.
    pub state: BTreeMap<String, StateEntry>,
    /// How the room is linked.
    pub topology: String,
    /// What somebody wants it to be; `None`: what fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// The plan's number.
    pub epoch: u64,
    /// Whether the session went on as if nothing had happened.
    pub resumed: bool,
    /// The last of the member's changes that was applied.
    pub op: u64,
    /// After how much silence to send `ping`.
    pub ping_ms: u64,
    /// Whether the receiver may choose how the room is linked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admin: bool,
    /// How many of the receiver's links the hub carries.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub carry: u32,
    /// STUN and TURN servers, as browsers take them.
    pub ice: Vec<IceServer>,
}

/// `RTCIceServer`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:` and `turn:` addresses.
    pub urls: Vec<String>,
    /// TURN user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// TURN password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// A member as others see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its session.
    pub id: MemberId,
    /// Its display name.
    pub name: String,
    /// Who it is to the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// What it says of itself.
    pub attributes: Attributes,
    /// Whether its token forbids it to send data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mute: bool,
    /// Whether it is a relay, which passes on what others say, and is nobody to applications.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relay: bool,
    /// What it signs with; others pass nothing on of a member that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
}

/// Somebody entered, or came back to a hub that had lost it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entered {
    /// Who.
    #[serde(flatten)]
    pub member: Member,
    /// The first chunk of its stream to the room that those are owed who did not know of it; 1 where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

impl From<Member> for Entered {
    fn from(member: Member) -> Entered {
        Entered { member, next: None }
    }
}

/// Somebody left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gone {
    /// Who.
    pub id: MemberId,
    /// Why.
    pub reason: GoneReason,
}

/// Why somebody left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GoneReason {
    /// It said so, or its page was closed.
    Left,
    /// Its socket is gone and so are its links.
    Crashed,
    /// It answers neither its links nor the hub.
    Unresponsive,
    /// It did not come back in time.
    Timeout,
    /// The same identity entered anew.
    Replaced,
    /// An administrator removed it.
    Removed,
}

impl GoneReason {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            GoneReason::Left => "left",
            GoneReason::Crashed => "crashed",
            GoneReason::Unresponsive => "unresponsive",
            GoneReason::Timeout => "timeout",
            GoneReason::Replaced => "replaced",
            GoneReason::Removed => "removed",
        }
    }
}

/// Somebody's attributes changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// Whose.
    pub id: MemberId,
    /// All of them, as they are now.
    pub attributes: Attributes,
    /// The member's own number of this change.
    pub op: u64,
}

/// Who makes the offer on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// This side offers.
    Offer,
    /// This side waits for the offer.
    Answer,
}

/// One link of the receiver's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkTo {
    /// With whom.
    pub peer: MemberId,
    /// What the receiver does.
    pub role: Role,
}

/// Changes of the receiver's plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LinkPlan {
    /// Links to have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<LinkTo>,
    /// Links to give up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub close: Vec<MemberId>,
    /// Links along which new streams are pushed from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eager: Vec<MemberId>,
    /// Links on which they are announced only from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lazy: Vec<MemberId>,
}

/// An entry of the shared state changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StateChange {
    /// Which entry.
    pub key: String,
    /// `null` where it was removed.
    pub value: Json,
    /// Higher wins.
    pub version: u64,
    /// Who wrote it.
    pub by: MemberId,
    /// The writer's number of this change.
    pub op: u64,
}

/// The room's topology changed, or what it is to be: then it is what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopologyChange {
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
    /// The plan's number.
    pub epoch: u64,
    /// What somebody wants it to be; `None`: what fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
}

/// What became of a [`PinTopology`]: each is answered once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// As in the wish.
    pub pin: String,
    /// Why the room is not going to be linked so; `None`: it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// A way to a member to whom there is no link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteVia {
    /// Where it leads.
    pub to: MemberId,
    /// Who passes on, one after another; `to` is the last. Empty where there is no way now. At most
    /// [`limits::ROUTE_MAX`].
    pub path: Vec<MemberId>,
}

/// The server is going down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// In plain words.
    pub reason: String,
    /// When to come back.
    pub retry_ms: u64,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl ClientMessage {
    /// Reads a message that a member sent.
    ///
    /// # Errors
    /// The refusal to answer with: [`RefusalCode::TooLarge`], [`RefusalCode::UnknownMessage`] or
    /// [`RefusalCode::BadMessage`].
    pub fn decode(text: &str) -> Result<ClientMessage, Refused> {
        if text.len() > limits::SIGNAL_MAX {
            return Err(Refused::fatal(
                RefusalCode::TooLarge,
                format!("the message has {} bytes, more than {}", text.len(), limits::SIGNAL_MAX),
                "send data over the room's channels, not over signalling",
            ));
        }
        serde_json::from_str(text).map_err(|error| {
            // serde_json's text may quote the input; only where it went wrong is passed on.
            let place = format!("line {} column {}", error.line(), error.column());
            if error.to_string().starts_with("unknown variant") {
                return Refused::fatal(
                    RefusalCode::UnknownMessage,
                    format!("a message of unknown type ({place})"),
                    "see PROTOCOL.md for the types; is the client newer than the server?",
                );
            }
            Refused::fatal(
                RefusalCode::BadMessage,
                format!("the message is not of its type's shape ({place})"),
                "see PROTOCOL.md for the shapes",
            )
        })
    }

    /// The message as JSON text.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("signalling messages have string keys only")
    }
}

impl ServerMessage {
    /// Reads a message that the hub sent.
    ///
    /// # Errors
    /// Where it is not a message of a known type and shape, or too large.
    pub fn decode(text: &str) -> Result<ServerMessage, DecodeError> {
        if text.len() > limits::WELCOME_MAX {
            return Err(DecodeError::TooLarge(text.len()));
        }
        serde_json::from_str(text).map_err(DecodeError::Json)
    }

    /// The message as JSON text.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("signalling messages have string keys only")
    }
}

/// A message from the hub that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Beyond [`limits::WELCOME_MAX`].
    #[error("a message of {0} bytes from the hub")]
    TooLarge(usize),
    /// Not of a known shape.
    #[error("a message of unknown shape from the hub: {0}")]
    Json(#[source] serde_json::Error),
}
