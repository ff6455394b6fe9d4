//! A room as the server sees it: who is in it, who is linked to whom, and the state they share.
//!
//! A [`Hub`] owns one room. The server's edge decodes what arrives on its sockets, checks tokens, and hands the hub
//! [`Input`]s; the hub answers with [`Output`]s, to be carried out in order. It trusts nothing that a member says.
//! What it does is written in PROTOCOL.md: "Signalling", "Sessions", "State versions".
//!
//! ```
//! use room::{hub::{Config, ConnId, Grant, Hub, IdentityPolicy, Input, Output}, id::Secret, limits, time::Time};
//! use room::wire::signal::{Join, ServerMessage, VERSION};
//!
//! let config = Config {
//!     room: "standup".parse()?,
//!     hub_id: "00000000000000aa".to_owned(),
//!     identity_policy: IdentityPolicy::Coexist,
//!     members_max: limits::ROOM_MEMBERS,
//!     resume_window: limits::RESUME_WINDOW,
//!     relay: false,
//!     carried_links: limits::CARRIED_LINKS,
//!     topology: None,
//! };
//! let mut now = Time(1_700_000_000_000_000);
//! let mut hub = Hub::new(config, 1, now);
//! let join = Join {
//!     v: VERSION,
//!     secret: Secret([7; 16]),
//!     key: None,
//!     name: "Ada".to_owned(),
//!     attributes: Default::default(),
//!     token: None,
//!     topology: None,
//!     agent: None,
//!     relay: None,
//!     resume: None,
//! };
//! hub.handle(now, Input::Join { conn: ConnId(1), join: Box::new(join), grant: Some(Grant::open()) });
//! while let Some(output) = hub.poll_output() {
//!     match output {
//!         Output::Send { to, message: ServerMessage::Welcome(welcome) } => {
//!             assert_eq!((to, welcome.members.len()), (vec![ConnId(1)], 0));
//!         }
//!         output => panic!("{output:?}"),
//!     }
//! }
//! // … and whenever this time comes, without other input:
//! now = hub.poll_timeout().expect("a member is there, so that heartbeats are due");
//! hub.handle(now, Input::Timeout);
//! # Ok::<(), room::id::IdError>(())
//! ```

mod carry;
mod liveness;
mod overlap;
mod relay;
mod roster;
mod session;
mod state;
mod switch;
mod traffic;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_core::RngCore;

use crate::{
    id::{MemberId, RoomName},
    limits,
    plan::{Event, LinkOp, NoDistance, Planner, Profile, Topology},
    time::{Micros, Time},
    wire::{
        frame::NUMBER_MAX,
        signal::{
            ClientMessage, Closing, Join, Json, LinkPlan, LinkReport, LinkTo, Member, Pinned, RefusalCode, Refused,
            Role, RouteVia, ServerMessage, SetAttributes, SetState, SignalFrom, SignalTo, StateChange, StateEntry,
            Update,
        },
    },
};
use roster::Roster;
use state::SharedState;

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
    /// Whether [`Output::Relay`] is answered with a relay of the server's own.
    pub relay: bool,
    /// Links of a member that are carried at most, where no connection joins their ends; 0: none. Relays have more.
    pub carried_links: usize,
    /// How the room is linked while nobody asks for anything else; `None`: as it fits.
    pub topology: Option<Topology>,
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
    /// May enter as a relay.
    pub relay: bool,
    /// How the room is to be linked from when the member enters, whether it may choose or not; `None`: that says nothing.
    pub topology: Option<Topology>,
}

impl Grant {
    /// Everything, for nobody in particular: what `--dev` gives.
    pub fn open() -> Grant {
        Grant {
            identity: None,
            name: None,
            publish: true,
            publish_data: true,
            subscribe: true,
            admin: true,
            relay: true,
            topology: None,
        }
    }

    /// What a relay of the server's own has.
    pub fn relay() -> Grant {
        Grant { publish: false, publish_data: false, subscribe: false, admin: false, ..Grant::open() }
    }
}

/// What happens to a hub.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection sent a valid `join`, and its token was accepted.
    Join {
        /// The connection.
        conn: ConnId,
        /// What it sent.
        join: Box<Join>,
        /// What its token allows. `None`: the token has expired, which is good enough to resume a session that the
        /// hub knows, not to enter.
        grant: Option<Grant>,
    },
    /// A joined connection sent something. What comes from any other connection is ignored.
    Message {
        /// The connection.
        conn: ConnId,
        /// What it sent.
        message: ClientMessage,
    },
    /// A joined connection sent a binary message: see [`crate::wire::carried`].
    Carried {
        /// The connection.
        conn: ConnId,
        /// The message.
        message: Bytes,
    },
    /// What was to be carried found no place among what waits for its receiver; it was dropped.
    Clogged {
        /// The receiver's connection.
        conn: ConnId,
        /// From whom it was.
        from: MemberId,
    },
    /// A connection ended. Also after [`Output::Close`], where it is ignored.
    Closed {
        /// The connection.
        conn: ConnId,
        /// Whether it closed with 1001, as browsers do for a page that goes away.
        left: bool,
    },
    /// The server goes down: everyone is told, nobody is in the room any more.
    Shutdown {
        /// In plain words.
        reason: String,
        /// When members may come back, at the earliest.
        retry: Micros,
    },
    /// [`Hub::poll_timeout`] is due.
    Timeout,
}

/// What a hub wants done, in order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send one message to some connections; encode it once.
    Send {
        /// The connections, each once.
        to: Vec<ConnId>,
        /// The message. The edge fills [`Welcome::ice`](crate::wire::signal::Welcome::ice) in: the hub knows of no
        /// servers.
        message: ServerMessage,
    },
    /// Send a binary message, behind what was sent: the id of a member, and what follows.
    Carry {
        /// The connection.
        to: ConnId,
        /// From whom it is; 8 bytes.
        from: MemberId,
        /// The rest of the message.
        rest: Bytes,
    },
    /// Close a connection, after what was sent to it. The hub has forgotten it already.
    Close {
        /// The connection.
        conn: ConnId,
        /// The code to close with. `None`: a normal close (1000).
        code: Option<RefusalCode>,
    },
    /// Whether the room wants a relay of the server's own from now on. One that comes [joins](Input::Join) as anybody does.
    Relay {
        /// Until it is told otherwise, no.
        wanted: bool,
    },
}

/// What a hub has done so far, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Members admitted.
    pub joined: u64,
    /// Sessions resumed, by members that were away or whose old socket still stood.
    pub resumed: u64,
    /// Members gone: said so or closed their page.
    pub left: u64,
    /// Members gone: socket and links ended.
    pub crashed: u64,
    /// Members gone: answered neither links nor hub.
    pub unresponsive: u64,
    /// Members gone: did not come back in time.
    pub timed_out: u64,
    /// Members gone: their identity entered anew.
    pub replaced: u64,
    /// Members whose socket ended without leave.
    pub went_away: u64,
    /// Refusals sent.
    pub refused: u64,
    /// Link negotiation messages passed on.
    pub signals: u64,
    /// Link negotiation messages dropped: their addressee was away or not linked to the sender.
    pub signals_dropped: u64,
    /// Writes to the shared state.
    pub state_writes: u64,
    /// Changes of attributes.
    pub attribute_writes: u64,
    /// Pings sent, for heartbeats and for doubted members.
    pub pings: u64,
    /// Changes of topology begun.
    pub switches: u64,
    /// How often a member said of another that it brought what nobody had said.
    pub forgeries: u64,
    /// Links that were carried.
    pub carriages: u64,
    /// Messages carried from member to member.
    pub carried: u64,
    /// Bytes of these.
    pub carried_bytes: u64,
    /// Messages not carried: it was over, or too much waited for their receiver.
    pub carried_dropped: u64,
}

/// One room.
#[derive(Debug)]
pub struct Hub {
    config: Config,
    rng: ChaCha8Rng,
    roster: Roster,
    planner: Planner,
    state: SharedState,
    /// How far a change of topology has got.
    moving: switch::Move,
    /// Links that the plan has closed and that newcomers hold on to; see `overlap`.
    overlap: BTreeSet<(MemberId, MemberId)>,
    /// Of those, and of the plan's, the ones that somebody asked for, and until when they stay.
    rescues: BTreeMap<(MemberId, MemberId), Time>,
    /// The topology that the room is to have; `None`: the one that fits.
    pinned: Option<Topology>,
    /// Whether somebody has chosen since this hub began.
    is_chosen: bool,
    /// Whether somebody's traffic has changed since the planner was told of it.
    traffic_changed: bool,
    /// A wish for a star that waits for a relay.
    star: Option<relay::Wish>,
    /// Whether the server was asked for a relay.
    wants_relay: bool,
    /// When it should be there at the latest.
    relay_due: Option<Time>,
    /// When the plan is to be looked at next.
    plan_at: Option<Time>,
    shutting_down: bool,
    outputs: VecDeque<Output>,
    /// When whom to examine; each member stands here once at most.
    wakes: BTreeSet<(Time, MemberId)>,
    /// Whom to examine before this input is done with.
    recheck: BTreeSet<MemberId>,
    counters: Counters,
}

impl Hub {
    /// An empty room. `now` is in µs since 1970: versions of the shared state are made of it.
    pub fn new(config: Config, seed: u64, _now: Time) -> Hub {
        let mut planner = Planner::new(seed);
        let pinned = config.topology.filter(|topology| config.relay || planner.offers(*topology));
        if let Some(topology) = pinned {
            planner.apply(&Event::Pin(pinned), &NoDistance);
            planner.begin_as(topology);
        }
        Hub {
            config,
            rng: ChaCha8Rng::seed_from_u64(seed),
            roster: Roster::default(),
            planner,
            state: SharedState::default(),
            moving: switch::Move::None,
            overlap: BTreeSet::new(),
            rescues: BTreeMap::new(),
            pinned,
            is_chosen: false,
            traffic_changed: false,
            star: None,
            wants_relay: false,
            relay_due: None,
            plan_at: None,
            shutting_down: false,
            outputs: VecDeque::new(),
            wakes: BTreeSet::new(),
            recheck: BTreeSet::new(),
            counters: Counters::default(),
        }
    }

    /// Takes an input in. Drain [`Hub::poll_output`] afterwards.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.notice_sleep(now);
        match input {
            Input::Join { conn, join, grant } => self.join(now, conn, *join, grant),
            Input::Message { conn, message } => {
                if let Some(id) = self.roster.by_conn(conn) {
                    self.heard(now, id);
                    self.message(now, id, conn, message);
                }
            }
            Input::Carried { conn, message } => {
                if let Some(id) = self.roster.by_conn(conn) {
                    self.heard(now, id);
                    self.carried(id, conn, message);
                }
            }
            Input::Clogged { conn, from } => {
                if let Some(id) = self.roster.by_conn(conn) {
                    self.clogged(from, id);
                }
            }
            Input::Closed { conn, left } => {
                if let Some(id) = self.roster.by_conn(conn) {
                    self.closed(now, id, left);
                }
            }
            Input::Shutdown { reason, retry } => self.shut_down(&reason, retry),
            Input::Timeout => self.wake(now),
        }
        while let Some(id) = self.recheck.pop_first() {
            self.examine(now, id);
        }
        self.tend_plan(now);
        self.tend_relay(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Hub::handle`] with [`Input::Timeout`], if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.wakes.first().map(|(at, _)| *at).into_iter().chain(self.plan_at).min()
    }

    /// Whether nobody is in the room, not even away: it can be dropped.
    pub fn is_empty(&self) -> bool {
        self.roster.len() == 0
    }

    /// How many members the room has, the away ones included.
    pub fn members(&self) -> usize {
        self.roster.len()
    }

    /// How many members are away.
    pub fn away(&self) -> usize {
        self.roster.len() - self.roster.present()
    }

    /// Everybody in the room, by id; with the connection, where not away.
    pub fn roster(&self) -> impl Iterator<Item = (&Member, Option<ConnId>)> {
        self.roster.iter().map(|session| (&session.member, session.conn))
    }

    /// The plan.
    pub fn planner(&self) -> &Planner {
        &self.planner
    }

    /// The shared state, removals included.
    pub fn state(&self) -> &BTreeMap<String, StateEntry> {
        self.state.entries()
    }

    /// What was done so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn message(&mut self, now: Time, id: MemberId, conn: ConnId, message: ClientMessage) {
        match message {
            ClientMessage::Signal(signal) => self.signal(id, conn, signal),
            ClientMessage::Links(report) => self.report(now, id, report),
            ClientMessage::Attributes(change) => self.set_attributes(id, conn, change),
            ClientMessage::State(change) => self.set_state(now, id, conn, change),
            ClientMessage::Ping {} => self.send(vec![conn], ServerMessage::Pong {}),
            ClientMessage::Pong {} => {}
            ClientMessage::Topology(wish) => {
                let refused = self.pin(now, id, &wish.pin).err();
                self.send(vec![conn], ServerMessage::Pinned(Pinned { pin: wish.pin, refused }));
            }
            ClientMessage::Route(question) => {
                let path = self.route(id, question.to);
                self.send(vec![conn], ServerMessage::Route(RouteVia { to: question.to, path }));
            }
            ClientMessage::Carry(wish) => self.carry(id, wish),
            ClientMessage::Stats(traffic) => self.measured(id, traffic),
            ClientMessage::Drain {} => self.drain(now, id, conn),
            ClientMessage::Leave {} => self.leave(id, conn),
            ClientMessage::Join(_) => self.join_again(now, conn),
        }
    }

    /// Passes a negotiation message on. One to a member that is away is dropped: its links are negotiated anew when it
    /// is back. So is one to a member that the plan does not link the sender to.
    fn signal(&mut self, id: MemberId, conn: ConnId, signal: SignalTo) {
        let Some(to) = self.roster.get(signal.to).filter(|_| signal.to != id) else {
            let hint = "it may have left; see the roster";
            let refused = Refused::of_message(RefusalCode::UnknownMember, "no such member to signal to", hint);
            return self.refuse_message(conn, refused);
        };
        match to.conn {
            Some(to) if self.linked(id, signal.to) => {
                self.counters.signals += 1;
                let SignalTo { attempt, data, .. } = signal;
                self.send(vec![to], ServerMessage::Signal(SignalFrom { from: id, attempt, data }));
            }
            _ => self.counters.signals_dropped += 1,
        }
    }

    /// Whether it counts what a member says of its link to another: not where the plan does not link the two. Of members that
    /// the hub does not know (yet) the open links are remembered.
    fn may_testify(&self, id: MemberId, about: MemberId) -> bool {
        id != about && (self.roster.get(about).is_none() || self.linked(id, about))
    }

    /// Takes a member's report about its links in.
    fn report(&mut self, now: Time, id: MemberId, report: LinkReport) {
        if report.settled {
            self.settled(id);
        }
        for peer in report.up {
            if self.may_testify(id, peer) && self.roster.vouch(id, peer) {
                self.recheck.insert(peer);
            }
        }
        for peer in report.suspect.into_iter().chain(report.down) {
            if self.may_testify(id, peer) && self.roster.doubt(id, peer) {
                self.doubted(peer);
            }
        }
        if !report.rtt.is_empty() {
            let way = |(peer, rtt_ms): (MemberId, u32)| (peer, Micros(u64::from(rtt_ms) * 500));
            let ways: Vec<_> = report.rtt.into_iter().take(limits::DISTANCES_TOLD).map(way).collect();
            self.planner.apply(&Event::Measured { id, ways: &ways }, &NoDistance);
        }
        for origin in report.lacks.into_iter().take(limits::RESCUES_ASKED) {
            self.rescue(now, id, origin);
        }
        for peer in report.forged {
            if self.planner.linked(id, peer) && self.roster.accuse(id, peer) {
                self.counters.forgeries += 1;
                self.mistrust(peer);
            }
        }
    }

    /// A member has been accused of forging. One that lies gets nobody removed, and cuts off itself only: not before several
    /// say so does the plan have the accused pass on as little as it can, which then is still heard.
    fn mistrust(&mut self, id: MemberId) {
        let Some(session) = self.roster.get(id) else { return };
        if session.accusers() == limits::FORGED_ACCUSERS {
            let profile = Profile { turn: true, max_links: limits::MEMBER_LINKS_MIN, ..Profile::default() };
            self.reshape(id, profile);
        }
    }

    /// What a member can carry is another thing than was believed.
    fn reshape(&mut self, id: MemberId, profile: Profile) {
        let ops = self.planner.apply(&Event::Profile { id, profile }, &NoDistance);
        self.tell_links(&ops, None);
    }

    fn set_attributes(&mut self, id: MemberId, conn: ConnId, change: SetAttributes) {
        let Some(op) = self.take_op(id, conn, change.op) else { return };
        let Some(session) = self.roster.get(id) else { return };
        let mut member = session.member.clone();
        let changed = state::changed_attributes(&member.attributes, change.set);
        let refused = if session.grant.publish_data {
            let fits = state::attributes_fit(&changed);
            member.attributes = changed;
            let fits = fits && self.roster.has_room_for(&member);
            (!fits).then(session::bad_attributes)
        } else {
            Some(not_allowed("change attributes"))
        };
        if let Some(refused) = refused {
            self.refuse_message(conn, refused);
            return self.send(vec![conn], self.update(id, op));
        }
        self.counters.attribute_writes += 1;
        self.roster.replace_member(member);
        self.tell_all(self.update(id, op));
    }

    fn update(&self, id: MemberId, op: u64) -> ServerMessage {
        let attributes = self.roster.get(id).map(|session| session.member.attributes.clone()).unwrap_or_default();
        ServerMessage::Update(Update { id, attributes, op })
    }

    fn set_state(&mut self, now: Time, id: MemberId, conn: ConnId, change: SetState) {
        let Some(op) = self.take_op(id, conn, change.op) else { return };
        let allowed = self.roster.get(id).is_some_and(|session| session.grant.publish_data);
        let written = if allowed {
            self.state.write(now, &change.key, change.value.clone()).map_err(|error| {
                let hint = "remove what is not needed, or share large things as messages or files";
                Refused::of_message(RefusalCode::BadState, error.to_string(), hint)
            })
        } else {
            Err(not_allowed("write the room's state"))
        };
        match written {
            Ok(version) => {
                self.counters.state_writes += 1;
                let SetState { key, value, .. } = change;
                self.tell_all(ServerMessage::State(StateChange { key, value, version, by: id, op }));
            }
            Err(refused) => {
                self.refuse_message(conn, refused);
                // The writer is told how the entry stands, so that it waits for this change no longer.
                let entry = self.state.entries().get(&change.key);
                let (value, version) = entry.map_or((Json::null(), 0), |entry| (entry.value.clone(), entry.version));
                let change = StateChange { key: change.key, value, version, by: id, op };
                self.send(vec![conn], ServerMessage::State(change));
            }
        }
    }

    /// Counts a member's own change. `None` where it was dealt with before, or numbered beyond reason.
    fn take_op(&mut self, id: MemberId, conn: ConnId, op: u64) -> Option<u64> {
        if op > NUMBER_MAX {
            let hint = "count changes from 1";
            self.refuse_message(conn, Refused::of_message(RefusalCode::BadMessage, "`op` is above 2^53 − 1", hint));
            return None;
        }
        let session = self.roster.get_mut(id)?;
        (op > session.op).then(|| {
            session.op = op;
            op
        })
    }

    fn shut_down(&mut self, reason: &str, retry: Micros) {
        self.shutting_down = true;
        let conns: Vec<ConnId> = self.roster.iter().filter_map(|session| session.conn).collect();
        for conn in conns {
            // Spread, so that the next server does not meet everybody at once.
            let spread = self.rng.next_u64() % (retry.0 / 2).max(1);
            let retry_ms = Micros(retry.0.saturating_add(spread)).as_millis();
            self.send(vec![conn], ServerMessage::Closing(Closing { reason: reason.to_owned(), retry_ms }));
            self.outputs.push_back(Output::Close { conn, code: Some(RefusalCode::ShuttingDown) });
        }
        for session in std::mem::take(&mut self.roster).iter() {
            self.planner.apply(&Event::Leave(session.member.id), &NoDistance);
        }
        self.wakes.clear();
        self.recheck.clear();
        self.overlap.clear();
        self.rescues.clear();
    }

    // ---- telling -------------------------------------------------------------------------------------------------

    fn send(&mut self, to: Vec<ConnId>, message: ServerMessage) {
        if !to.is_empty() {
            self.outputs.push_back(Output::Send { to, message });
        }
    }

    fn tell_all(&mut self, message: ServerMessage) {
        let to = self.roster.iter().filter_map(|session| session.conn).collect();
        self.send(to, message);
    }

    fn tell_others(&mut self, but: MemberId, message: ServerMessage) {
        let others = self.roster.iter().filter(|session| session.member.id != but);
        let to = others.filter_map(|session| session.conn).collect();
        self.send(to, message);
    }

    /// Tells members what the plan changed in their links; `but` is told otherwise.
    fn tell_links(&mut self, ops: &[LinkOp], but: Option<MemberId>) {
        let ops = self.with_overlap(ops);
        self.tell_changes(&ops, but);
    }

    /// Tells members what changed in their links. Equal messages are sent as one.
    fn tell_changes(&mut self, ops: &[LinkOp], but: Option<MemberId>) {
        let mut plans: BTreeMap<ConnId, LinkPlan> = BTreeMap::new();
        for op in ops {
            if let LinkOp::Close(a, b) = *op {
                self.roster.retract(a, b);
                self.drop_carriage(a, b);
            }
        }
        let mut tell = |id: MemberId, change: &dyn Fn(&mut LinkPlan)| {
            if but != Some(id)
                && let Some(conn) = self.roster.get(id).and_then(|session| session.conn)
            {
                change(plans.entry(conn).or_default());
            }
        };
        for op in ops {
            match *op {
                LinkOp::Open { offerer, answerer } => {
                    tell(offerer, &|plan| plan.open.push(LinkTo { peer: answerer, role: Role::Offer }));
                    tell(answerer, &|plan| plan.open.push(LinkTo { peer: offerer, role: Role::Answer }));
                }
                LinkOp::Close(a, b) => {
                    tell(a, &|plan| plan.close.push(b));
                    tell(b, &|plan| plan.close.push(a));
                }
                // A mesh pushes along all of its links.
                LinkOp::Eager(a, b) => {
                    tell(a, &|plan| plan.eager.push(b));
                    tell(b, &|plan| plan.eager.push(a));
                }
                LinkOp::Lazy(a, b) => {
                    tell(a, &|plan| plan.lazy.push(b));
                    tell(b, &|plan| plan.lazy.push(a));
                }
            }
        }
        let mut groups: Vec<(LinkPlan, Vec<ConnId>)> = Vec::new();
        for (conn, plan) in plans {
            match groups.iter_mut().find(|(other, _)| *other == plan) {
                Some((_, conns)) => conns.push(conn),
                None => groups.push((plan, vec![conn])),
            }
        }
        for (plan, to) in groups {
            self.send(to, ServerMessage::Links(plan));
        }
    }

    /// Tells a member that one message was not acted on.
    fn refuse_message(&mut self, conn: ConnId, refused: Refused) {
        self.counters.refused += 1;
        self.send(vec![conn], ServerMessage::Refused(refused));
    }

    /// Tells a connection why it is closed, and closes it.
    fn refuse(&mut self, conn: ConnId, refused: Refused) {
        let code = Some(refused.code);
        self.refuse_message(conn, refused);
        self.outputs.push_back(Output::Close { conn, code });
    }
}

fn not_allowed(what: &str) -> Refused {
    let hint = "join with a token that grants canPublishData";
    Refused::of_message(RefusalCode::NotAllowed, format!("this member's token does not allow it to {what}"), hint)
}
