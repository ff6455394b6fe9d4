//! The whole input of a hub: connections come, say anything, and go; time passes. After each step, what a connection was
//! told adds up to what the hub knows.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::Arbitrary;
use bytes::Bytes;
use room::{
    hub::{Config, ConnId, Grant, Hub, IdentityPolicy, Input, Output},
    id::{MemberId, Secret},
    limits,
    time::{Micros, Time},
    wire::{
        carried::{Carried, Freight},
        signal::{
            CarryTo, ClientMessage, Entered, Join, Json, LinkReport, Member, PinTopology, RelayOffer, Resume, Role,
            RouteTo, ServerMessage, SetAttributes, SetState, SignalTo, StateEntry, Traffic, VERSION,
        },
    },
};

const START: Time = Time(1_700_000_000_000_000);
const MEMBERS_MAX: usize = 6;
/// A room falls asleep in far fewer turns.
const TURNS_MAX: usize = 10_000;
const HUBS: [&str; 2] = ["00000000000000aa", "00000000000000bb"];

/// What happens to a hub, one thing after another.
#[derive(Arbitrary, Debug)]
pub struct Story {
    policy: u8,
    #[arbitrary(with = crate::steps)]
    steps: Vec<Step>,
}

/// Lives through a story.
///
/// # Panics
/// Where the hub tells somebody what is not so.
pub fn run(story: Story) {
    let mut world = World::new(story.policy);
    for step in story.steps {
        world.step(step);
    }
    world.end();
}

/// One of a few: small numbers meet each other more often than large ones.
type Few = u8;

#[derive(Arbitrary, Debug)]
enum Step {
    Join {
        secret: Few,
        name: Few,
        identity: Option<Few>,
        mute: bool,
        expired: bool,
        relay: bool,
        version: Few,
        topology: Option<Few>,
        resume: Option<Back>,
    },
    Say {
        conn: Few,
        message: Message,
    },
    Text {
        conn: Few,
        text: String,
    },
    Carried {
        conn: Few,
        to: Few,
        episode: Few,
    },
    CarriedRaw {
        conn: Few,
        bytes: Vec<u8>,
    },
    Clogged {
        conn: Few,
        from: Few,
    },
    Close {
        conn: Few,
        left: bool,
    },
    Wait {
        ms: u16,
    },
    Shutdown,
}

#[derive(Arbitrary, Debug)]
struct Back {
    other_hub: bool,
    topology: Option<Few>,
    pin: Option<Few>,
    next: u64,
    up: u8,
    state: Vec<(Few, Few, u64)>,
}

#[derive(Arbitrary, Debug)]
enum Message {
    Signal { to: Few, attempt: u32 },
    Links { up: u8, suspect: u8, down: u8, forged: u8, lacks: u8, settled: bool, rtt: Vec<(Few, u32)> },
    Attributes { op: Few, key: Few, length: Option<u16> },
    State { op: Few, key: Few, length: Option<u16> },
    StateFar { op: u64, key: Few },
    Topology { pin: Few },
    Route { to: Few },
    Carry { to: Few, episode: Few, over: bool },
    Stats { kbps: u32, turn_percent: u32 },
    Ping,
    Pong,
    Drain,
    Leave,
}

/// What a room may be pinned to, and a word that means nothing.
const TOPOLOGIES: [&str; 6] = ["auto", "mesh", "small-world", "tree", "star", "ring"];

fn topology(few: Few) -> String {
    TOPOLOGIES[usize::from(few) % TOPOLOGIES.len()].to_owned()
}

fn secret(few: Few) -> Secret {
    Secret([few % 8; 16])
}

fn id(few: Few) -> MemberId {
    secret(few).member_id()
}

/// The members whose bit is set.
fn ids(bits: u8) -> Vec<MemberId> {
    (0..8).filter(|bit| bits & (1 << bit) != 0).map(id).collect()
}

fn text(length: usize) -> String {
    "x".repeat(length)
}

fn json(length: Option<u16>) -> Json {
    Json::from(&length.map(|length| text(usize::from(length)))).expect("text has a JSON form")
}

impl Message {
    fn build(self) -> ClientMessage {
        let key = |few: Few| if few == 255 { text(limits::STATE_KEY_MAX + 1) } else { format!("key{}", few % 8) };
        match self {
            Message::Signal { to, attempt } => {
                ClientMessage::Signal(SignalTo { to: id(to), attempt, data: Json::null() })
            }
            Message::Links { up, suspect, down, forged, lacks, settled, rtt } => ClientMessage::Links(LinkReport {
                rtt: rtt.into_iter().map(|(peer, ms)| (id(peer), ms)).collect(),
                up: ids(up),
                suspect: ids(suspect),
                down: ids(down),
                forged: ids(forged),
                lacks: ids(lacks),
                settled,
            }),
            Message::Attributes { op, key: name, length } => ClientMessage::Attributes(SetAttributes {
                op: u64::from(op),
                set: [(key(name), length.map(|length| text(usize::from(length))))].into(),
            }),
            Message::State { op, key: name, length } => {
                ClientMessage::State(SetState { op: u64::from(op), key: key(name), value: json(length) })
            }
            Message::StateFar { op, key: name } => {
                ClientMessage::State(SetState { op, key: key(name), value: json(Some(1)) })
            }
            Message::Topology { pin } => ClientMessage::Topology(PinTopology { pin: topology(pin) }),
            Message::Route { to } => ClientMessage::Route(RouteTo { to: id(to) }),
            Message::Carry { to, episode, over } => {
                ClientMessage::Carry(CarryTo { to: id(to), episode: u32::from(episode % 4), over })
            }
            Message::Stats { kbps, turn_percent } => ClientMessage::Stats(Traffic { kbps, turn_percent }),
            Message::Ping => ClientMessage::Ping {},
            Message::Pong => ClientMessage::Pong {},
            Message::Drain => ClientMessage::Drain {},
            Message::Leave => ClientMessage::Leave {},
        }
    }
}

/// What a connection was told.
#[derive(Debug, Default)]
struct View {
    welcome: Option<MemberId>,
    members: BTreeMap<MemberId, Member>,
    links: BTreeMap<MemberId, Role>,
    /// Whom it ever said that it holds a link to: such a link may be closed without having been planned.
    held: BTreeSet<MemberId>,
    state: BTreeMap<String, (u64, String)>,
}

struct World {
    hub: Hub,
    now: Time,
    /// Open connections; those that the hub closed are gone from here.
    open: BTreeMap<ConnId, View>,
    conns: u64,
    /// Whether the room was ever to be anything but a mesh: then links may stand that the plan does not name any more.
    moved: bool,
}

impl World {
    fn new(policy: u8) -> World {
        let identity_policy =
            [IdentityPolicy::Coexist, IdentityPolicy::Reject, IdentityPolicy::Replace][usize::from(policy % 3)];
        let config = Config {
            room: "standup".parse().expect("a room's name"),
            hub_id: HUBS[0].to_owned(),
            identity_policy,
            members_max: MEMBERS_MAX,
            resume_window: limits::RESUME_WINDOW,
            relay: true,
            carried_links: 2,
            topology: None,
        };
        World { hub: Hub::new(config, 1, START), now: START, open: BTreeMap::new(), conns: 0, moved: false }
    }

    fn conn(&self, few: Few) -> Option<ConnId> {
        self.open.keys().nth(usize::from(few) % self.open.len().max(1)).copied()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Join { secret: whose, name, identity, mute, expired, relay, version, topology: wish, resume } => {
                self.conns += 1;
                let conn = ConnId(self.conns);
                let returns = resume.is_some();
                let held = resume.as_ref().map_or_else(BTreeSet::new, |back| ids(back.up).into_iter().collect());
                self.open.insert(conn, View { held, ..View::default() });
                let join = Join {
                    v: if version == 255 { VERSION + 1 } else { VERSION },
                    secret: secret(whose),
                    key: None,
                    name: text(usize::from(name)),
                    attributes: BTreeMap::new(),
                    token: None,
                    topology: wish.map(topology),
                    agent: None,
                    relay: relay.then_some(RelayOffer { max_links: None }),
                    resume: resume.map(|back| Resume {
                        hub: HUBS[usize::from(back.other_hub)].to_owned(),
                        topology: back.topology.map(topology),
                        pin: back.pin.map(topology),
                        next: back.next,
                        up: ids(back.up),
                        state: back
                            .state
                            .into_iter()
                            .map(|(key, length, version)| {
                                let value = json((length > 0).then_some(u16::from(length)));
                                (format!("key{}", key % 8), StateEntry { value, version })
                            })
                            .collect(),
                    }),
                };
                self.moved |= wish.is_some() || returns;
                let identity = identity.map(|few| format!("person{}", few % 3));
                let grant = Grant { identity, publish_data: !mute, ..Grant::open() };
                let grant = (!expired).then_some(grant);
                self.handle(Input::Join { conn, join: Box::new(join), grant });
            }
            Step::Say { conn, message } => {
                if let Some(conn) = self.conn(conn) {
                    self.moved |= matches!(message, Message::Topology { .. } | Message::Stats { .. });
                    self.say(conn, message.build());
                }
            }
            Step::Text { conn, text } => {
                if let (Some(conn), Ok(message)) = (self.conn(conn), ClientMessage::decode(&text)) {
                    self.moved |= matches!(message, ClientMessage::Topology(_) | ClientMessage::Stats(_));
                    self.say(conn, message);
                }
            }
            Step::Carried { conn, to, episode } => {
                let freight = Freight::Taken { reliable: 1, lossy: 1 };
                let carried = Carried { peer: id(to), episode: u32::from(episode % 4), freight };
                self.carry(conn, carried.encode());
            }
            Step::CarriedRaw { conn, bytes } => self.carry(conn, bytes.into()),
            Step::Clogged { conn, from } => {
                if let Some(conn) = self.conn(conn) {
                    self.handle(Input::Clogged { conn, from: id(from) });
                }
            }
            Step::Close { conn, left } => {
                if let Some(conn) = self.conn(conn) {
                    self.open.remove(&conn);
                    self.handle(Input::Closed { conn, left });
                }
            }
            Step::Wait { ms } => self.wait(Micros::from_millis(u64::from(ms))),
            Step::Shutdown => {
                self.handle(Input::Shutdown { reason: "restart".to_owned(), retry: Micros::from_secs(1) });
                assert!(self.hub.is_empty(), "after a shutdown nobody is there");
            }
        }
    }

    /// A message reaches the hub after a join only: the edge sees to that.
    fn say(&mut self, conn: ConnId, message: ClientMessage) {
        let view = self.open.get_mut(&conn).expect("who says something is connected");
        if view.welcome.is_some() {
            if let ClientMessage::Links(report) = &message {
                view.held.extend(&report.up);
            }
            self.handle(Input::Message { conn, message });
        }
    }

    fn carry(&mut self, conn: Few, message: Bytes) {
        if let Some(conn) = self.conn(conn).filter(|conn| self.open[conn].welcome.is_some()) {
            self.handle(Input::Carried { conn, message });
        }
    }

    fn wait(&mut self, duration: Micros) {
        let until = self.now + duration;
        for turn in 0.. {
            let Some(due) = self.hub.poll_timeout().filter(|due| *due <= until) else { break };
            assert!(turn < TURNS_MAX, "the hub does not get past {due}");
            self.now = self.now.max(due);
            self.handle(Input::Timeout);
        }
        self.now = until;
    }

    fn handle(&mut self, input: Input) {
        self.hub.handle(self.now, input);
        let mut closed = Vec::new();
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Send { to, message } => {
                    let text = message.encode();
                    assert!(text.len() <= limits::WELCOME_MAX);
                    assert_eq!(ServerMessage::decode(&text).expect("what is sent can be read"), message);
                    let mut once = to.clone();
                    once.sort_unstable();
                    once.dedup();
                    assert_eq!(once.len(), to.len(), "each connection once");
                    for conn in to {
                        self.open.get_mut(&conn).expect("only open connections are sent to").hear(&message);
                    }
                }
                Output::Carry { to, from, rest } => {
                    let view = self.open.get(&to).expect("only to open connections is anything carried");
                    assert!(view.links.contains_key(&from), "carried on a link that is not planned");
                    assert!(rest.len() <= limits::CARRIED_MAX);
                }
                Output::Relay { .. } => {}
                Output::Close { conn, .. } => {
                    self.open.remove(&conn).expect("only open connections are closed");
                    closed.push(conn);
                }
            }
        }
        for conn in closed {
            // The edge reports this too; it must mean nothing any more.
            self.hub.handle(self.now, Input::Closed { conn, left: false });
            assert!(self.hub.poll_output().is_none());
        }
        self.check();
    }

    fn check(&self) {
        let roster: BTreeMap<MemberId, &Member> = self.hub.roster().map(|(member, _)| (member.id, member)).collect();
        // Relays are counted for themselves.
        assert!(roster.values().filter(|member| !member.relay).count() <= MEMBERS_MAX);
        let present: Vec<(MemberId, &View)> = self
            .hub
            .roster()
            .filter_map(|(member, conn)| Some((member.id, self.open.get(&conn?).expect("its connection is open"))))
            .collect();
        for (id, view) in &present {
            assert_eq!(view.welcome, Some(*id));
            let others: BTreeMap<MemberId, Member> =
                roster.iter().filter(|(other, _)| *other != id).map(|(id, member)| (*id, (*member).clone())).collect();
            assert_eq!(view.members, others, "the roster that {id} was told");
            for other in others.keys() {
                let planned = self.hub.planner().linked(*id, *other);
                let linked = view.links.contains_key(other);
                assert!(linked == planned || (linked && self.moved), "the link of {id} to {other}");
            }
            assert!(view.links.keys().all(|peer| others.contains_key(peer)), "links to members only");
        }
        for pair in present.windows(2) {
            assert_eq!(pair[0].1.entries(), pair[1].1.entries(), "the state that two members were told");
        }
        for (id, view) in &present {
            for (other, seen) in &present {
                if let (Some(mine), Some(theirs)) = (view.links.get(other), seen.links.get(id)) {
                    assert_ne!(mine, theirs, "one of {id} and {other} offers");
                }
            }
        }
    }

    /// When everybody's connection has ended without a word, nobody stays for ever.
    fn end(mut self) {
        for conn in self.open.keys().copied().collect::<Vec<_>>() {
            self.open.remove(&conn);
            self.handle(Input::Closed { conn, left: false });
        }
        self.wait(limits::RESUME_WINDOW + limits::UNVOUCHED_GRACE);
        assert!(self.hub.is_empty(), "ghosts");
        assert_eq!(self.hub.poll_timeout(), None, "an empty room needs no turns");
    }
}

impl View {
    fn hear(&mut self, message: &ServerMessage) {
        match message {
            ServerMessage::Welcome(welcome) => {
                assert!(self.welcome.is_none(), "welcomed once");
                self.welcome = Some(welcome.this.id);
                self.members = welcome.members.iter().map(|member| (member.id, member.clone())).collect();
                self.links = welcome.links.iter().map(|link| (link.peer, link.role)).collect();
                assert_eq!((self.members.len(), self.links.len()), (welcome.members.len(), welcome.links.len()));
                let entries = welcome.state.iter();
                self.state = entries.map(|(key, e)| (key.clone(), (e.version, e.value.as_str().to_owned()))).collect();
            }
            ServerMessage::Member(Entered { member, .. }) => drop(self.members.insert(member.id, member.clone())),
            ServerMessage::Gone(gone) => {
                self.members.remove(&gone.id).expect("who goes was there");
                self.links.remove(&gone.id);
            }
            ServerMessage::Update(update) => {
                if let Some(member) = self.members.get_mut(&update.id) {
                    member.attributes.clone_from(&update.attributes);
                } else {
                    assert_eq!(Some(update.id), self.welcome, "an update of a stranger");
                }
            }
            ServerMessage::Links(plan) => {
                for link in &plan.open {
                    self.links.insert(link.peer, link.role);
                }
                for peer in &plan.close {
                    assert!(self.links.remove(peer).is_some() || self.held.contains(peer), "what is closed was open");
                }
            }
            ServerMessage::State(change) => {
                let known = self.state.get(&change.key).map_or(0, |(version, _)| *version);
                if change.version > known {
                    self.state.insert(change.key.clone(), (change.version, change.value.as_str().to_owned()));
                }
            }
            ServerMessage::Signal(signal) => {
                assert!(self.links.contains_key(&signal.from), "a signal on a link that is not planned");
            }
            _ => {}
        }
    }

    /// The state's entries; removals may have been forgotten on one side.
    fn entries(&self) -> BTreeMap<&str, &(u64, String)> {
        let entries = self.state.iter().filter(|(_, (_, value))| value != "null");
        entries.map(|(key, entry)| (key.as_str(), entry)).collect()
    }
}
