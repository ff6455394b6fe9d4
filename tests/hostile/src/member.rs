//! The whole input of a member: a hub and peers that say anything, links that come and go, an application that sends
//! and forgets to read. What the member asks of its edge must be possible, and every question must be answered once.

mod said;

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::Arbitrary;
use bytes::Bytes;
use room::{
    id::{Key, MemberId, Secret},
    limits,
    member::{Answer, Config, Event, Input, Lane, LinkState, Lossy, Member, Output},
    time::{Micros, Time},
    wire::{
        carried::{Carried, Freight},
        signal::{
            Candidate, CarryEnd, CarryFrom, CarryTo, ClientMessage, Closing, Entered, Gone, GoneReason, Json, LinkPlan,
            LinkTo, Member as MemberInfo, Negotiation, RefusalCode, Refused, Role, RouteVia, ServerMessage, SignalFrom,
            StateChange, StateEntry, TopologyChange, Update, VERSION, Welcome,
        },
    },
};

use said::{Book, Next, SIGNATURE, Said, channel, payload};

/// Strangers and members of the room.
const PEERS: u8 = 4;
/// A member falls asleep in far fewer turns.
const TURNS_MAX: usize = 20_000;
/// Bytes of one message of the application, at most: larger ones only take longer.
const PAYLOAD_MAX: usize = 200_000;

type Few = u8;

/// What happens to a member, one thing after another.
#[derive(Arbitrary, Debug)]
pub struct Story {
    #[arbitrary(with = crate::steps)]
    steps: Vec<Step>,
}

/// Lives through a story.
///
/// # Panics
/// Where the member wants what cannot be.
pub fn run(story: Story) {
    let mut world = World::new();
    for step in story.steps {
        if world.closed {
            break;
        }
        world.step(step);
    }
    world.end();
}

#[derive(Arbitrary, Debug)]
enum Step {
    Connected,
    Disconnected {
        code: Option<Few>,
    },
    Welcome {
        hub: Few,
        members: Few,
        links: Few,
        offers: Few,
        resumed: bool,
        op: Few,
        state: Vec<(Few, Few)>,
        mute: bool,
        carry: bool,
    },
    MemberIs {
        who: Few,
        mute: bool,
        next: Option<u64>,
    },
    Gone {
        who: Few,
        reason: Few,
    },
    Update {
        who: Few,
        op: Few,
    },
    Plan {
        open: Few,
        offers: Few,
        close: Few,
    },
    Topology {
        relayed: bool,
        epoch: Few,
        pin: Option<bool>,
    },
    Way {
        to: Few,
        path: Vec<Few>,
    },
    Signal {
        from: Few,
        attempt: Few,
        what: Few,
    },
    State {
        key: Few,
        value: Few,
        version: Few,
        by: Few,
        op: Few,
    },
    Refused {
        code: Few,
        fatal: bool,
    },
    Closing {
        retry_ms: u64,
    },
    HubText {
        text: String,
    },
    Local {
        who: Few,
        what: Few,
    },
    Up {
        who: Few,
    },
    Down {
        who: Few,
    },
    Stale {
        who: Few,
        attempt: Few,
        what: Few,
    },
    Frames {
        who: Few,
        lossy: bool,
        frames: Vec<Said>,
    },
    Raw {
        who: Few,
        lossy: bool,
        bytes: Vec<u8>,
    },
    Carry {
        from: Few,
        episode: Option<Few>,
        over: Option<Few>,
    },
    Carried {
        who: Few,
        episode: Option<Few>,
        lossy: bool,
        frames: Vec<Said>,
    },
    Taken {
        who: Few,
        episode: Option<Few>,
        reliable: u32,
        lossy: u32,
    },
    CarriedRaw {
        bytes: Vec<u8>,
    },
    Buffered {
        who: Few,
        lossy: bool,
        kib: u16,
    },
    Send {
        to: Option<Few>,
        length: u32,
    },
    Publish {
        datagram: bool,
        to: Option<Few>,
        channel: Few,
        length: u16,
    },
    Call {
        to: Few,
        length: u16,
        timeout_ms: Option<u16>,
    },
    Cancel {
        which: Few,
    },
    Reply {
        to: Few,
        call: Few,
        fails: bool,
        length: u16,
    },
    SetState {
        key: Few,
        length: u16,
    },
    SetAttributes {
        key: Few,
        length: Option<u8>,
    },
    Consume {
        all: bool,
    },
    Answer {
        which: Few,
        good: bool,
    },
    Leave,
    Wait {
        ms: u16,
    },
    Sleep {
        ms: u16,
    },
}

/// A room is linked in one of these ways; the second has members pass on what others say.
const TOPOLOGIES: [&str; 2] = ["mesh", "small-world"];

fn id(few: Few) -> MemberId {
    Secret([few % PEERS + 1; 16]).member_id()
}

fn ids(bits: u8) -> impl Iterator<Item = (u8, MemberId)> {
    (0..PEERS).filter(move |bit| bits & (1 << bit) != 0).map(|bit| (bit, id(bit)))
}

fn links_to(bits: u8, offers: u8) -> Vec<LinkTo> {
    let role = |bit: u8| if offers & (1 << bit) == 0 { Role::Answer } else { Role::Offer };
    ids(bits).map(|(bit, peer)| LinkTo { peer, role: role(bit) }).collect()
}

fn info(id: MemberId, mute: bool) -> MemberInfo {
    let (name, attributes) = (id.to_string(), BTreeMap::new());
    // Who may not speak has nothing to sign with.
    let key = (!mute).then_some(Key([7; 32]));
    MemberInfo { id, name, identity: None, attributes, mute, relay: false, key }
}

fn json(few: Few) -> Json {
    if few == 0 { Json::null() } else { Json::from(&few).expect("a number has a JSON form") }
}

fn negotiation(what: Few) -> Negotiation {
    match what % 3 {
        0 => Negotiation::Offer("v=0".to_owned()),
        1 => Negotiation::Answer("v=0".to_owned()),
        2 => Negotiation::Over(true),
        _ => Negotiation::Candidate(Candidate { candidate: "candidate:1".to_owned(), ..Candidate::default() }),
    }
}

/// The connection to a peer, as the edge has it.
struct Connection {
    attempt: u32,
    up: bool,
    book: Book,
}

/// A question that the edge has yet to answer.
enum Asked {
    Sign(u64),
    Verify(u64),
}

/// Questions at a time: lossy messages to be signed and to be verified, a value a channel, and of streams fewer than there
/// are steps.
const ASKED_MAX: usize =
    limits::LOSSY_SIGNING + (PEERS as usize) * limits::LOSSY_CHECKING + limits::LATEST_CHANNELS + 8 * crate::STEPS_MAX;

struct World {
    member: Member,
    now: Time,
    /// Whether the edge has a socket to the hub: asked for, and open.
    socket: Option<bool>,
    connections: BTreeMap<MemberId, Connection>,
    /// Links that the hub was asked to carry, under these numbers.
    carriages: BTreeMap<MemberId, (u32, Book)>,
    attempts: BTreeMap<MemberId, u32>,
    roster: BTreeSet<MemberId>,
    joined: bool,
    closed: bool,
    tickets: u64,
    sends: BTreeSet<u64>,
    calls: BTreeSet<u64>,
    unread: Vec<(MemberId, usize, bool)>,
    links: BTreeMap<MemberId, LinkState>,
    /// What is to be signed or verified, and was not answered yet.
    asked: Vec<Asked>,
    /// Where each peer's two streams stand, for those that tell the truth.
    next: Next,
}

impl World {
    fn new() -> World {
        let config = Config {
            secret: Secret([0; 16]),
            key: Some(Key([7; 32])),
            name: "Ada".to_owned(),
            attributes: BTreeMap::new(),
            token: None,
            topology: None,
            agent: None,
            relay: None,
            seed: 1,
        };
        let mut world = World {
            member: Member::new(config, Time(0)),
            now: Time(0),
            socket: None,
            connections: BTreeMap::new(),
            carriages: BTreeMap::new(),
            attempts: BTreeMap::new(),
            roster: BTreeSet::new(),
            joined: false,
            closed: false,
            tickets: 0,
            sends: BTreeSet::new(),
            calls: BTreeSet::new(),
            unread: Vec::new(),
            links: BTreeMap::new(),
            asked: Vec::new(),
            next: Next::new(),
        };
        world.drain();
        world
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Connected => {
                if self.socket == Some(false) {
                    self.socket = Some(true);
                    self.handle(Input::Connected);
                }
            }
            Step::Disconnected { code } => {
                if self.socket.take().is_some() {
                    let code = code.and_then(|few| RefusalCode::ALL.get(usize::from(few)).copied());
                    self.handle(Input::Disconnected { code, reason: "cut".to_owned() });
                }
            }
            Step::Welcome { hub, members, links, offers, resumed, op, state, mute, carry } => {
                self.hub(ServerMessage::Welcome(Box::new(Welcome {
                    v: VERSION,
                    hub: format!("{:016x}", hub % 3),
                    this: info(self.member.id(), mute),
                    room: "standup".parse().expect("a room's name"),
                    members: ids(members).map(|(_, id)| info(id, false)).collect(),
                    links: links_to(links, offers),
                    eager: ids(links).map(|(_, id)| id).collect(),
                    state: state
                        .into_iter()
                        .map(|(key, version)| {
                            (channel(key), StateEntry { value: json(version), version: version.into() })
                        })
                        .collect(),
                    topology: TOPOLOGIES[usize::from(hub % 2)].to_owned(),
                    pin: None,
                    epoch: 1,
                    resumed,
                    op: op.into(),
                    ping_ms: 10_000,
                    admin: true,
                    carry: if carry { 16 } else { 0 },
                    ice: Vec::new(),
                })));
            }
            Step::MemberIs { who, mute, next } => {
                let member = info(id(who), mute);
                self.hub(ServerMessage::Member(Entered { member, next }));
            }
            Step::Gone { who, reason } => {
                let reason = [GoneReason::Left, GoneReason::Crashed, GoneReason::Unresponsive][usize::from(reason % 3)];
                self.hub(ServerMessage::Gone(Gone { id: id(who), reason }));
            }
            Step::Update { who, op } => {
                let attributes = [("hand".to_owned(), "up".to_owned())].into();
                let id = if who == 255 { self.member.id() } else { id(who) };
                self.hub(ServerMessage::Update(Update { id, attributes, op: op.into() }));
            }
            Step::Plan { open, offers, close } => {
                let close = ids(close).map(|(_, id)| id).collect();
                let (eager, lazy) = (ids(offers).map(|(_, id)| id).collect(), ids(!offers).map(|(_, id)| id).collect());
                self.hub(ServerMessage::Links(LinkPlan { open: links_to(open, offers), close, eager, lazy }));
            }
            Step::Topology { relayed, epoch, pin } => self.hub(ServerMessage::Topology(TopologyChange {
                from: TOPOLOGIES[usize::from(!relayed)].to_owned(),
                to: TOPOLOGIES[usize::from(relayed)].to_owned(),
                epoch: epoch.into(),
                pin: pin.map(|pin| TOPOLOGIES[usize::from(pin)].to_owned()),
            })),
            Step::Way { to, path } => {
                self.hub(ServerMessage::Route(RouteVia { to: id(to), path: path.into_iter().map(id).collect() }));
            }
            Step::Signal { from, attempt, what } => {
                let data =
                    if what == 255 { json(what) } else { Json::from(&negotiation(what)).expect("it has a form") };
                let attempt = if attempt == 255 { u32::MAX } else { attempt.into() };
                self.hub(ServerMessage::Signal(SignalFrom { from: id(from), attempt, data }));
            }
            Step::State { key, value, version, by, op } => {
                let by = if by == 255 { self.member.id() } else { id(by) };
                self.hub(ServerMessage::State(StateChange {
                    key: channel(key),
                    value: json(value),
                    version: version.into(),
                    by,
                    op: op.into(),
                }));
            }
            Step::Refused { code, fatal } => {
                let code = RefusalCode::ALL[usize::from(code) % RefusalCode::ALL.len()];
                let refused = Refused { code, message: String::new(), hint: String::new(), fatal };
                self.hub(ServerMessage::Refused(refused));
            }
            Step::Closing { retry_ms } => {
                self.hub(ServerMessage::Closing(Closing { reason: String::new(), retry_ms }));
            }
            Step::HubText { text } => {
                if let Ok(message) = ServerMessage::decode(&text) {
                    self.hub(message);
                }
            }
            Step::Local { who, what } => {
                if let Some(attempt) = self.attempt(who) {
                    self.handle(Input::Local { peer: id(who), attempt, data: negotiation(what) });
                }
            }
            Step::Up { who } => {
                if let Some(connection) = self.connections.get_mut(&id(who)).filter(|connection| !connection.up) {
                    connection.up = true;
                    let attempt = connection.attempt;
                    self.handle(Input::LinkUp { peer: id(who), attempt, path: "host".to_owned() });
                }
            }
            Step::Down { who } => {
                if let Some(connection) = self.connections.remove(&id(who)) {
                    let Connection { attempt, .. } = connection;
                    // The edge has closed it itself, so that it is not asked to; it may be.
                    self.connections.insert(id(who), Connection { up: false, ..connection });
                    let closed = attempt % 2 == 0;
                    self.handle(Input::LinkDown { peer: id(who), attempt, reason: "broken".to_owned(), closed });
                }
            }
            // What the edge still reports of a connection that the member has given up.
            Step::Stale { who, attempt, what } => {
                let (peer, attempt) = (id(who), u32::from(attempt));
                if self.connections.get(&peer).is_some_and(|connection| connection.attempt == attempt) {
                    return;
                }
                self.handle(match what % 4 {
                    0 => Input::LinkUp { peer, attempt, path: "host".to_owned() },
                    1 => Input::LinkDown { peer, attempt, reason: "stale".to_owned(), closed: false },
                    2 => Input::Local { peer, attempt, data: negotiation(what) },
                    _ => Input::Packet { peer, attempt, lane: Lane::Reliable, bytes: payload(3) },
                });
            }
            Step::Frames { who, lossy, frames } => {
                let packet = said::packet(self.member.id(), id(who), &mut self.next, frames);
                self.packet(id(who), lossy, packet);
            }
            Step::Carry { from, episode, over } => {
                let (from, episode) = (id(from), self.episode(id(from), episode));
                let ends =
                    [CarryEnd::Closed, CarryEnd::Away, CarryEnd::NotLinked, CarryEnd::TooMany, CarryEnd::TooSlow];
                let over = over.map(|few| ends[usize::from(few) % ends.len()]);
                self.hub(ServerMessage::Carry(CarryFrom { from, episode, over }));
            }
            Step::Carried { who, episode, lossy, frames } => {
                let packet = said::packet(self.member.id(), id(who), &mut self.next, frames);
                let episode = self.episode(id(who), episode);
                if let Some((current, book)) = self.carriages.get_mut(&id(who))
                    && *current == episode
                    && !lossy
                {
                    book.allowed(&packet);
                }
                let freight = if lossy { Freight::Lossy(packet) } else { Freight::Reliable(packet) };
                self.carried(Carried { peer: id(who), episode, freight }.encode());
            }
            Step::Taken { who, episode, reliable, lossy } => {
                let freight = Freight::Taken { reliable: reliable.into(), lossy: lossy.into() };
                let episode = self.episode(id(who), episode);
                self.carried(Carried { peer: id(who), episode, freight }.encode());
            }
            Step::CarriedRaw { bytes } => self.carried(bytes.into()),
            Step::Raw { who, lossy, bytes } => self.packet(id(who), lossy, bytes.into()),
            Step::Buffered { who, lossy, kib } => {
                if let Some(attempt) = self.attempt(who) {
                    let bytes = (usize::from(kib) * 1024).min(limits::LINK_RESUME);
                    self.handle(Input::Buffered { peer: id(who), attempt, lane: lane(lossy), bytes });
                }
            }
            Step::Send { to, length } => {
                self.tickets += 1;
                self.sends.insert(self.tickets);
                let payload = payload(length as usize % PAYLOAD_MAX);
                let to = to.map(id);
                self.handle(Input::Send { ticket: self.tickets, channel: channel(0), to, payload });
            }
            Step::Publish { datagram, to, channel: name, length } => {
                let mode = if datagram { Lossy::Datagram } else { Lossy::Latest };
                let payload = payload(length.into());
                self.handle(Input::Publish { mode, channel: channel(name), to: to.map(id), payload });
            }
            Step::Call { to, length, timeout_ms } => {
                self.tickets += 1;
                self.calls.insert(self.tickets);
                self.handle(Input::Call {
                    ticket: self.tickets,
                    to: id(to),
                    method: channel(0),
                    payload: payload(length.into()),
                    timeout: timeout_ms.map(|ms| Micros::from_millis(ms.into())),
                });
            }
            Step::Cancel { which } => {
                if let Some(ticket) = self.calls.iter().nth(usize::from(which)).copied() {
                    self.calls.remove(&ticket);
                    self.handle(Input::CancelCall { ticket });
                }
            }
            Step::Reply { to, call, fails, length } => {
                let answer = if fails {
                    Answer::Failure { code: "handler_failed".to_owned(), message: String::new() }
                } else {
                    Answer::Result(payload(length.into()))
                };
                self.handle(Input::Reply { to: id(to), call: call.into(), answer });
            }
            Step::SetState { key, length } => {
                // Edges refuse what is larger.
                let length = usize::from(length).min(limits::STATE_VALUE_MAX - 2);
                let value = Json::from(&"x".repeat(length)).expect("text has a JSON form");
                self.handle(Input::SetState { key: channel(key), value });
            }
            Step::SetAttributes { key, length } => {
                let set = [(channel(key), length.map(|length| "x".repeat(length.into())))].into();
                self.handle(Input::SetAttributes { set });
            }
            Step::Consume { all } => {
                let count = if all { self.unread.len() } else { self.unread.len().min(1) };
                for (from, bytes, lossy) in self.unread.drain(..count).collect::<Vec<_>>() {
                    self.handle(Input::Consumed { from, bytes, lossy });
                }
            }
            Step::Answer { which, good } => {
                if !self.asked.is_empty() {
                    let asked = self.asked.remove(usize::from(which) % self.asked.len());
                    self.handle(match asked {
                        Asked::Sign(token) => Input::Signed { token, signature: SIGNATURE },
                        Asked::Verify(token) => Input::Verified { token, good },
                    });
                }
            }
            Step::Leave => self.handle(Input::Leave),
            Step::Wait { ms } => self.wait(Micros::from_millis(ms.into())),
            Step::Sleep { ms } => {
                self.now = self.now + Micros::from_millis(ms.into());
                self.handle(Input::Timeout);
            }
        }
    }

    fn attempt(&self, who: Few) -> Option<u32> {
        self.connections.get(&id(who)).map(|connection| connection.attempt)
    }

    /// The number under which a link is carried, or another.
    fn episode(&self, peer: MemberId, other: Option<Few>) -> u32 {
        let current = self.carriages.get(&peer).map_or(1, |(episode, _)| *episode);
        other.map_or(current, u32::from)
    }

    /// A hub carries over an open socket.
    fn carried(&mut self, message: Bytes) {
        if self.socket == Some(true) {
            self.handle(Input::Carried { message });
        }
    }

    /// A hub speaks over an open socket, and first of all it welcomes.
    fn hub(&mut self, message: ServerMessage) {
        if self.socket == Some(true) {
            self.handle(Input::Hub(message));
        }
    }

    fn packet(&mut self, peer: MemberId, lossy: bool, bytes: Bytes) {
        let Some(connection) = self.connections.get_mut(&peer).filter(|connection| connection.up) else { return };
        let attempt = connection.attempt;
        if !lossy {
            connection.book.allowed(&bytes);
        }
        self.handle(Input::Packet { peer, attempt, lane: lane(lossy), bytes });
    }

    fn wait(&mut self, duration: Micros) {
        let until = self.now + duration;
        for turn in 0.. {
            let Some(due) = self.member.poll_timeout().filter(|due| *due <= until) else { break };
            assert!(turn < TURNS_MAX, "the member does not get past {due}");
            self.now = self.now.max(due);
            self.handle(Input::Timeout);
        }
        self.now = until;
    }

    fn handle(&mut self, input: Input) {
        self.member.handle(self.now, input);
        self.drain();
        let outboxes = limits::OUTBOX_MAX + limits::WAITING_BYTES + 2 * PAYLOAD_MAX;
        assert!(self.member.outbox_bytes() <= outboxes * (1 + usize::from(PEERS)));
    }

    fn drain(&mut self) {
        while let Some(output) = self.member.poll_output() {
            assert!(!self.closed, "after `closed` only answers come: {output:?}");
            self.output(output);
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Connect => assert_eq!(self.socket.replace(false), None, "one socket at a time"),
            Output::Disconnect => assert!(self.socket.take().is_some(), "only what is open is closed"),
            Output::Tell(message) => {
                assert_eq!(self.socket, Some(true), "{message:?}");
                assert_eq!(ClientMessage::decode(&message.encode()).as_ref().ok(), Some(&message));
                if let ClientMessage::Carry(CarryTo { to, episode, over }) = message {
                    if over {
                        self.carriages.remove(&to);
                    } else {
                        self.carriages.insert(to, (episode, Book::default()));
                    }
                }
            }
            Output::Open { peer, attempt, .. } => {
                assert!(self.roster.contains(&peer));
                let last = self.attempts.insert(peer, attempt);
                assert!(last.is_none_or(|last| last < attempt), "attempts rise");
                let connection = Connection { attempt, up: false, book: Book::default() };
                assert!(self.connections.insert(peer, connection).is_none(), "one connection to a peer at a time");
            }
            Output::Close { peer, attempt } => {
                let connection = self.connections.remove(&peer).expect("only what is open is closed");
                assert_eq!(connection.attempt, attempt);
            }
            Output::Remote { peer, attempt, .. } | Output::RestartIce { peer, attempt } => {
                assert_eq!(self.connections.get(&peer).expect("the connection is there").attempt, attempt);
            }
            Output::Packet { peer, attempt, lane, bytes } => self.sent(peer, attempt, lane, bytes),
            Output::Carry { message } => self.carries(message),
            Output::Sign { token, .. } => self.asked.push(Asked::Sign(token)),
            Output::Verify { token, .. } => self.asked.push(Asked::Verify(token)),
            Output::Event(event) => self.event(event),
            _ => {}
        }
        // An edge that never answers has the member wait for so much at most.
        assert!(self.asked.len() <= ASKED_MAX, "questions are bounded");
    }

    fn sent(&mut self, peer: MemberId, attempt: u32, lane: Lane, bytes: Bytes) {
        let connection = self.connections.get_mut(&peer).expect("packets go over open connections");
        assert!(connection.attempt == attempt && connection.up);
        connection.book.sent(peer, lane, bytes);
    }

    /// The member has this carried.
    fn carries(&mut self, message: Bytes) {
        assert_eq!(self.socket, Some(true), "what is carried goes over an open socket");
        let Carried { peer, episode, freight } = Carried::decode(message).expect("what is carried can be read");
        let (current, book) = self.carriages.get_mut(&peer).expect("it was asked for");
        assert_eq!(*current, episode, "what was agreed on is over");
        match freight {
            Freight::Reliable(bytes) => book.sent(peer, Lane::Reliable, bytes),
            Freight::Lossy(bytes) => book.sent(peer, Lane::Lossy, bytes),
            Freight::Taken { .. } => {}
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Joined(joined) => {
                assert!(!self.joined, "once");
                self.joined = true;
                self.roster = joined.members.iter().map(|info| info.id).collect();
            }
            Event::MemberJoin(info) => assert!(self.roster.insert(info.id), "who enters was not there"),
            Event::MemberLeave { member, .. } => {
                assert!(self.roster.remove(&member.id), "who leaves was there");
                self.next.remove(&(member.id, false));
                self.next.remove(&(member.id, true));
                assert!(!self.connections.contains_key(&member.id), "nothing is left of who went");
            }
            Event::Link { peer, state, .. } => {
                // Entering, links begin before the application hears of the room.
                assert!(!self.joined || self.roster.contains(&peer));
                self.links.insert(peer, state);
            }
            Event::Message { from, payload, .. } => {
                assert!(self.roster.contains(&from));
                assert!(payload.len() <= limits::MESSAGE_MAX);
                self.unread.push((from, payload.len(), false));
            }
            Event::Lossy { from, payload, .. } => {
                assert!(self.roster.contains(&from));
                self.unread.push((from, payload.len(), true));
            }
            Event::Call { from, payload, .. } => {
                assert!(self.roster.contains(&from));
                self.unread.push((from, payload.len(), false));
            }
            Event::Sent { ticket } | Event::NotSent { ticket, .. } => {
                assert!(self.sends.remove(&ticket), "answered once");
            }
            Event::Called { ticket, .. } => assert!(self.calls.remove(&ticket), "answered once"),
            Event::Gap { from_seq, to_seq, .. } => assert!(from_seq <= to_seq),
            Event::Closed { .. } => self.closed = true,
            _ => {}
        }
    }

    /// Whoever leaves is out in the end, and everything is answered.
    fn end(mut self) {
        if !self.closed {
            self.handle(Input::Leave);
            self.wait(limits::LEAVE_FLUSH + limits::CALL_TIMEOUT + Micros::from_secs(60));
        }
        assert!(self.closed, "left");
        assert_eq!(self.member.poll_timeout(), None);
        assert!(self.socket.is_none() && self.connections.is_empty(), "nothing is left open");
        assert!(self.sends.is_empty() && self.calls.is_empty(), "every question was answered");
    }
}

fn lane(lossy: bool) -> Lane {
    if lossy { Lane::Lossy } else { Lane::Reliable }
}
