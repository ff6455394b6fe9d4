//! Whatever comes in, in whatever order: what every connection was told adds up to what the hub holds.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use room::{
    hub::{Config, ConnId, Grant, Hub, IdentityPolicy, Input, Output},
    id::MemberId,
    limits,
    plan::Topology,
    time::{Micros, Time},
    wire::signal::{
        Attributes, ClientMessage, Entered, Join, Json, LinkReport, Member, Resume, Role, ServerMessage, SetAttributes,
        SetState, SignalTo, StateEntry, Traffic,
    },
};

use crate::table::{config, id, join};

/// Secrets that take part; so there are strangers among the ids that are spoken of.
const PEOPLE: u8 = 6;
const START: Time = Time(1_700_000_000_000_000);

/// Whether it comes back to the same hub, whom it holds links to, and what state it brings: keys, values, versions.
type Brought = (bool, Vec<u8>, Vec<(u8, u8, u64)>);

/// One thing that happens to a hub.
#[derive(Clone, Debug)]
enum Step {
    Join { who: u8, resume: Option<Brought>, grant: u8, oddity: u8 },
    Say { conn: u8, message: ClientMessage },
    Close { conn: u8, left: bool },
    Pass(u64),
    Shutdown,
}

/// What the hub has told one connection.
#[derive(Clone, Debug, Default)]
struct View {
    this: Option<MemberId>,
    roster: BTreeMap<MemberId, Member>,
    links: BTreeMap<MemberId, Role>,
    state: BTreeMap<String, StateEntry>,
    closed: bool,
}

struct Run {
    hub: Hub,
    now: Time,
    views: BTreeMap<ConnId, View>,
    conns: u64,
    log: Vec<String>,
    over: bool,
}

impl Run {
    fn new(policy: IdentityPolicy) -> Run {
        let config = Config { identity_policy: policy, members_max: usize::from(PEOPLE) - 1, ..config() };
        let hub = Hub::new(config, 7, START);
        Run { hub, now: START, views: BTreeMap::new(), conns: 0, log: Vec::new(), over: false }
    }

    fn step(&mut self, step: &Step) {
        match step.clone() {
            Step::Join { who, resume, grant, oddity } => {
                self.conns += 1;
                let input = Input::Join {
                    conn: ConnId(self.conns),
                    join: Box::new(self.odd_join(who, resume, oddity)),
                    grant: odd_grant(grant),
                };
                self.handle(input);
            }
            Step::Say { conn, message } => {
                let conn = self.conn(conn);
                self.handle(Input::Message { conn, message });
            }
            Step::Close { conn, left } => {
                let conn = self.conn(conn);
                self.views.entry(conn).or_default().closed = true;
                self.handle(Input::Closed { conn, left });
            }
            Step::Pass(micros) => self.pass(Micros(micros)),
            Step::Shutdown => {
                self.over = true;
                self.handle(Input::Shutdown { reason: "enough".to_owned(), retry: Micros::from_secs(1) });
            }
        }
    }

    /// A connection that was or is; the first never was.
    fn conn(&self, number: u8) -> ConnId {
        ConnId(u64::from(number) % (self.conns + 1))
    }

    fn odd_join(&self, who: u8, resume: Option<Brought>, oddity: u8) -> Join {
        let mut join = join(who % PEOPLE);
        join.resume = resume.map(|(same, up, state)| Resume {
            hub: if same { config().hub_id } else { "00000000000000ff".to_owned() },
            topology: None,
            pin: PINS.get(usize::from(oddity)).map(|pin| (*pin).to_owned()),
            next: up.first().map_or(1, |number| u64::MAX >> number),
            up: up.into_iter().map(id).collect(),
            state: state.into_iter().map(|(key, value, version)| (key_of(key), entry(value, version))).collect(),
        });
        match oddity {
            0 => join.v = 9,
            1 => join.name = "x".repeat(1_000),
            2 => join.topology = Some("hypercube".to_owned()),
            3 => join.attributes = (0..40).map(|n| (n.to_string(), String::new())).collect(),
            4 => join.topology = Some("auto".to_owned()),
            _ => join.attributes = Attributes::from([("k".to_owned(), oddity.to_string())]),
        }
        join
    }

    /// Lets time go by in the hub's own steps.
    fn pass(&mut self, duration: Micros) {
        let end = self.now + duration;
        while let Some(at) = self.hub.poll_timeout().filter(|at| *at <= end) {
            assert!(at >= self.now, "a timeout of the past");
            self.now = at;
            self.handle(Input::Timeout);
            assert!(self.hub.poll_timeout().is_none_or(|next| next > at), "a timeout that does not progress");
        }
        self.now = end;
    }

    fn handle(&mut self, input: Input) {
        self.hub.handle(self.now, input);
        while let Some(output) = self.hub.poll_output() {
            self.log.push(format!("{output:?}"));
            match output {
                Output::Carry { .. } => panic!("nobody has anything carried"),
                Output::Relay { .. } => panic!("the server has no relay"),
                Output::Send { to, message } => {
                    let text = message.encode();
                    assert!(text.len() <= limits::WELCOME_MAX);
                    assert_eq!(ServerMessage::decode(&text).ok().as_ref(), Some(&message));
                    assert_eq!(to.iter().collect::<BTreeSet<_>>().len(), to.len(), "twice to one connection");
                    for conn in to {
                        self.views.entry(conn).or_default().hear(&message);
                    }
                }
                Output::Close { conn, .. } => {
                    let view = self.views.entry(conn).or_default();
                    assert!(!std::mem::replace(&mut view.closed, true), "closed twice");
                }
            }
        }
        self.check();
    }

    fn check(&self) {
        let hub = &self.hub;
        let everybody: BTreeMap<MemberId, &Member> = hub.roster().map(|(member, _)| (member.id, member)).collect();
        assert_eq!(hub.members(), everybody.len());
        assert!(hub.members() < usize::from(PEOPLE));
        assert_eq!(hub.is_empty(), everybody.is_empty());
        assert!(!hub.is_empty() || hub.poll_timeout().is_none(), "an empty room waits for something");
        assert!(hub.is_empty() || hub.poll_timeout().is_some(), "a member whom nobody looks after");
        let open: BTreeMap<MemberId, ConnId> =
            hub.roster().filter_map(|(member, conn)| Some((member.id, conn?))).collect();
        assert_eq!(hub.members() - hub.away(), open.len());
        for (this, conn) in &open {
            let view = &self.views[conn];
            assert_eq!((view.this, view.closed), (Some(*this), false));
            assert!(!view.roster.contains_key(this), "sees itself");
            let others: BTreeMap<_, _> =
                everybody.iter().filter(|(id, _)| *id != this).map(|(k, v)| (*k, *v)).collect();
            assert_eq!(view.roster.iter().map(|(k, v)| (*k, v)).collect::<BTreeMap<_, _>>(), others);
            let role = |offers: bool| if offers { Role::Offer } else { Role::Answer };
            let links: BTreeMap<_, _> =
                hub.planner().links_of(*this).map(|(peer, offers)| (peer, role(offers))).collect();
            assert_eq!(view.links, links);
            for (peer, role) in &links {
                let back = hub.planner().links_of(*peer).find(|(other, _)| other == this);
                assert_eq!(back.map(|(_, offers)| offers), Some(*role == Role::Answer), "roles are opposite");
            }
            let is_mesh = hub.planner().topology() == Topology::Mesh;
            assert!(
                !is_mesh || open.keys().all(|peer| peer == this || links.contains_key(peer)),
                "two present ones without a link"
            );
            let standing = |state: &BTreeMap<String, StateEntry>| -> Vec<(String, StateEntry)> {
                let standing = state.iter().filter(|(_, entry)| !entry.value.is_null());
                standing.map(|(key, entry)| (key.clone(), entry.clone())).collect()
            };
            assert_eq!(standing(&view.state), standing(hub.state()));
        }
        let bytes: usize = hub.state().iter().map(|(key, entry)| key.len() + entry.value.as_str().len()).sum();
        assert!(hub.state().len() <= limits::STATE_ENTRIES && bytes <= limits::STATE_BYTES);
        for (_, conn) in hub.roster() {
            assert!(conn.is_none_or(|conn| self.views.contains_key(&conn)));
        }
    }
}

impl View {
    fn hear(&mut self, message: &ServerMessage) {
        assert!(!self.closed, "{message:?} to a closed connection");
        let first = self.this.is_none();
        match message.clone() {
            ServerMessage::Welcome(welcome) => {
                assert!(first, "welcomed twice");
                self.this = Some(welcome.this.id);
                self.roster = welcome.members.iter().map(|member| (member.id, member.clone())).collect();
                assert_eq!(self.roster.len(), welcome.members.len());
                self.links = welcome.links.iter().map(|link| (link.peer, link.role)).collect();
                self.state = welcome.state;
            }
            ServerMessage::Refused(refused) => {
                assert!(!refused.message.is_empty() && !refused.hint.is_empty());
                assert!(!first || refused.fatal);
            }
            _ if first => panic!("{message:?} before the welcome"),
            ServerMessage::Member(Entered { member, .. }) => {
                self.roster.insert(member.id, member);
            }
            ServerMessage::Gone(gone) => {
                assert!(self.roster.remove(&gone.id).is_some(), "gone, and was not there");
                self.links.remove(&gone.id);
            }
            ServerMessage::Update(update) => {
                if let Some(member) = self.roster.get_mut(&update.id) {
                    member.attributes = update.attributes;
                }
            }
            ServerMessage::Links(plan) => {
                for link in plan.open {
                    assert!(self.roster.contains_key(&link.peer), "linked to a stranger");
                    self.links.insert(link.peer, link.role);
                }
                for peer in plan.close {
                    self.links.remove(&peer);
                }
            }
            ServerMessage::Signal(signal) => {
                assert!(self.links.contains_key(&signal.from), "signalled by one who is not linked");
            }
            ServerMessage::State(change) => {
                let known = self.state.get(&change.key);
                let new = StateEntry { value: change.value, version: change.version };
                assert!(known.is_none_or(|known| known.version < new.version || *known == new), "versions rise");
                if new.version > 0 {
                    self.state.insert(change.key, new);
                }
            }
            _ => {}
        }
    }
}

fn odd_grant(number: u8) -> Option<Grant> {
    let identity = |name: &str| Grant { identity: Some(name.to_owned()), ..Grant::open() };
    match number {
        0 => None,
        1 => Some(Grant { publish_data: false, ..Grant::open() }),
        2 => Some(identity("ada")),
        3 => Some(identity("bob")),
        4 => Some(identity(&"x".repeat(200))),
        _ => Some(Grant::open()),
    }
}

/// What rooms are said to be by those who come back.
const PINS: [&str; 5] = ["mesh", "small-world", "tree", "star", "ring"];

fn key_of(number: u8) -> String {
    match number {
        0 => String::new(),
        1 => "k".repeat(200),
        number => format!("key-{}", number % 8),
    }
}

fn value_of(number: u8) -> Json {
    let text = match number {
        0 => "[".repeat(200) + &"]".repeat(200),
        1 => format!("\"{}\"", "x".repeat(limits::STATE_VALUE_MAX)),
        2 => format!("\"{}\"", "x".repeat(limits::STATE_VALUE_MAX / 2)),
        3..=20 => "null".to_owned(),
        number => number.to_string(),
    };
    Json::parse(&text).expect("JSON")
}

fn entry(value: u8, version: u64) -> StateEntry {
    StateEntry { value: value_of(value), version }
}

fn ids() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..PEOPLE + 2, 0..6)
}

fn version() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(5), START.0 - 1_000..START.0 + 1_000_000, Just(u64::MAX), Just((1 << 53) - 1)]
}

fn op() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..20_u64, 1 => Just((1 << 53) - 1), 1 => Just(u64::MAX)]
}

fn message() -> impl Strategy<Value = ClientMessage> {
    let rtts = prop::collection::vec((0..PEOPLE + 2, any::<u32>()), 0..6);
    let report = (ids(), ids(), ids(), ids(), ids(), rtts).prop_map(|(up, suspect, down, forged, lacks, rtts)| {
        let ids = |numbers: Vec<u8>| numbers.into_iter().map(id).collect();
        let (up, suspect, down) = (ids(up), ids(suspect), ids(down));
        let (forged, lacks) = (ids(forged), ids(lacks));
        let rtt = rtts.into_iter().map(|(peer, ms)| (id(peer), ms)).collect();
        ClientMessage::Links(LinkReport { up, suspect, down, settled: false, forged, lacks, rtt })
    });
    let signal = (0..PEOPLE + 2, any::<u32>()).prop_map(|(to, attempt)| {
        let data = Json::parse("{\"offer\":\"\"}").expect("JSON");
        ClientMessage::Signal(SignalTo { to: id(to), attempt, data })
    });
    let attributes = (op(), 0..4_u8, prop::option::of(0..5_000_usize)).prop_map(|(op, key, value)| {
        let set = BTreeMap::from([(key_of(key), value.map(|length| "v".repeat(length)))]);
        ClientMessage::Attributes(SetAttributes { op, set })
    });
    let state = (op(), any::<u8>(), any::<u8>())
        .prop_map(|(op, key, value)| ClientMessage::State(SetState { op, key: key_of(key), value: value_of(value) }));
    let stats = (any::<u32>(), any::<u32>()).prop_map(|(kbps, turn_percent)| {
        ClientMessage::Stats(Traffic { kbps: kbps >> (turn_percent % 32), turn_percent })
    });
    prop_oneof![
        6 => report,
        3 => signal,
        2 => attributes,
        4 => state,
        2 => stats,
        2 => Just(ClientMessage::Pong {}),
        1 => Just(ClientMessage::Ping {}),
        1 => Just(ClientMessage::Leave {}),
        1 => (0..PEOPLE).prop_map(|who| ClientMessage::Join(join(who))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let brought = prop::collection::vec((any::<u8>(), any::<u8>(), version()), 0..4);
    let resume = prop::option::of((any::<bool>(), ids(), brought));
    prop_oneof![
        60 => (0..PEOPLE, resume, 0..12_u8, 0..30_u8)
            .prop_map(|(who, resume, grant, oddity)| Step::Join { who, resume, grant, oddity }),
        120 => (any::<u8>(), message()).prop_map(|(conn, message)| Step::Say { conn, message }),
        30 => (any::<u8>(), any::<bool>()).prop_map(|(conn, left)| Step::Close { conn, left }),
        30 => prop_oneof![0..50_000_u64, 0..3_000_000_u64, 0..40_000_000_u64].prop_map(Step::Pass),
        1 => Just(Step::Shutdown),
    ]
}

fn policy() -> impl Strategy<Value = IdentityPolicy> {
    prop_oneof![Just(IdentityPolicy::Coexist), Just(IdentityPolicy::Replace), Just(IdentityPolicy::Reject)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_told_adds_up(policy in policy(), steps in prop::collection::vec(step(), 1..80)) {
        let mut run = Run::new(policy);
        for step in &steps {
            run.step(step);
        }
        // Where nobody says anything more, nobody is kept: a heartbeat, a window, a grace.
        run.pass(Micros::from_secs(120));
        prop_assert!(run.hub.is_empty());
        prop_assert!(!run.over || run.hub.poll_timeout().is_none());
    }

    #[test]
    fn the_same_input_gives_the_same_output(policy in policy(), steps in prop::collection::vec(step(), 1..60)) {
        let play = || {
            let mut run = Run::new(policy);
            steps.iter().for_each(|step| run.step(step));
            run.log
        };
        prop_assert_eq!(play(), play());
    }
}
