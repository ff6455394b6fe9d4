//! Couriers, and links between them with a latency each.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
};

use bytes::Bytes;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use room::{
    courier::{Courier, Event, LinkUp, Plan},
    id::MemberId,
    time::{Micros, Time},
    wire::frame::{Head, Kind},
};

/// A room of couriers. Members are numbered; links are pairs of numbers.
pub struct Net {
    pub now: Time,
    pub members: BTreeMap<u64, Node>,
    links: BTreeMap<(u64, u64), Way>,
    queue: BinaryHeap<Reverse<(Time, u64, Arrival)>>,
    count: u64,
    rng: ChaCha8Rng,
    /// What each origin has said, in order.
    pub said: BTreeMap<u64, Vec<Bytes>>,
}

pub struct Node {
    pub courier: Courier,
    /// What came, by origin.
    pub heard: BTreeMap<u64, Vec<Bytes>>,
    /// What came for it only, by origin.
    pub told: BTreeMap<u64, Vec<Bytes>>,
    /// The first byte of each, in the order in which they came.
    pub all: Vec<u8>,
    pub gaps: Vec<(u64, u64, u64)>,
    pub hops: Vec<u8>,
    /// Whose streams no neighbour could bring.
    pub unreached: Vec<u64>,
    /// Whether it takes what comes.
    pub consumes: bool,
    pub eager: BTreeSet<u64>,
    /// When it is to be woken.
    wake: Option<Time>,
}

/// One direction of a link.
struct Way {
    latency: Micros,
    /// Frames of an earlier connection are not delivered.
    connection: u64,
    last: Time,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Arrival {
    Frame {
        from: u64,
        to: u64,
        connection: u64,
        frame: Bytes,
    },
    Tick(u64),
    /// Somebody finds a way for what one member says to another.
    Route {
        from: u64,
        to: u64,
    },
}

impl Net {
    pub fn new(seed: u64) -> Net {
        Net {
            now: Time(0),
            members: BTreeMap::new(),
            links: BTreeMap::new(),
            queue: BinaryHeap::new(),
            count: 0,
            rng: ChaCha8Rng::seed_from_u64(seed),
            said: BTreeMap::new(),
        }
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.rng.next_u64() % n.max(1)
    }

    pub fn add(&mut self, member: u64) -> &mut Courier {
        let courier = Courier::new(MemberId::from(member), self.now);
        let node = Node {
            courier,
            heard: BTreeMap::new(),
            told: BTreeMap::new(),
            all: Vec::new(),
            gaps: Vec::new(),
            hops: Vec::new(),
            unreached: Vec::new(),
            consumes: true,
            eager: BTreeSet::new(),
            wake: None,
        };
        self.members.insert(member, node);
        &mut self.members.get_mut(&member).expect("just added").courier
    }

    pub fn node(&mut self, member: u64) -> &mut Node {
        self.members.get_mut(&member).expect("a member")
    }

    /// Links two members; `eager`: streams of which nothing is known yet go over it.
    pub fn link(&mut self, a: u64, b: u64, ms: u64, eager: bool) {
        self.link_since(a, b, ms, eager, self.now);
    }

    /// The same; what came since a time is offered.
    pub fn link_since(&mut self, a: u64, b: u64, ms: u64, eager: bool, since: Time) {
        let how = LinkUp { vouches: true, offer_from: Some(since) };
        self.count += 1;
        for (a, b) in [(a, b), (b, a)] {
            let way = Way { latency: Micros::from_millis(ms), connection: self.count, last: self.now };
            self.links.insert((a, b), way);
            let now = self.now;
            let node = self.node(a);
            if eager {
                node.eager.insert(b);
            }
            let eager = node.eager.iter().map(|peer| MemberId::from(*peer)).collect();
            node.courier.plan(now, Plan { relayed: true, eager, ..Plan::default() });
            node.courier.link_up(now, MemberId::from(b), how);
            node.courier.measured(MemberId::from(b), Micros::from_millis(2 * ms));
        }
        self.pump(a);
        self.pump(b);
    }

    pub fn unlink(&mut self, a: u64, b: u64) {
        let now = self.now;
        for (a, b) in [(a, b), (b, a)] {
            self.links.remove(&(a, b));
            if let Some(node) = self.members.get_mut(&a) {
                node.courier.link_down(now, MemberId::from(b));
                self.pump(a);
            }
        }
    }

    /// One end's link is to go; whether it is of use to it still.
    pub fn drain(&mut self, member: u64, peer: u64) -> bool {
        let now = self.now;
        let is_used = self.node(member).courier.drain(now, MemberId::from(peer));
        self.pump(member);
        is_used
    }

    pub fn neighbours(&self, member: u64) -> Vec<u64> {
        self.links.keys().filter(|(a, _)| *a == member).map(|(_, b)| *b).collect()
    }

    /// A member is gone without a word; its neighbours notice.
    pub fn crash(&mut self, member: u64) {
        self.members.remove(&member);
        for peer in self.neighbours(member) {
            self.unlink(member, peer);
        }
    }

    pub fn say(&mut self, origin: u64, text: impl Into<Bytes>) -> bool {
        let payload = text.into();
        let head = Head { kind: Kind::Message, channel: "c".to_owned() };
        let now = self.now;
        let taken = self.node(origin).courier.publish(now, &head, payload.clone()).is_some();
        if taken {
            self.said.entry(origin).or_default().push(payload);
        }
        self.pump(origin);
        taken
    }

    pub fn tell(&mut self, origin: u64, to: u64, text: impl Into<Bytes>) {
        let head = Head { kind: Kind::Message, channel: "c".to_owned() };
        let now = self.now;
        self.node(origin).courier.send(now, Some(MemberId::from(to)), None, head, text.into());
        self.pump(origin);
    }

    /// The shortest way over links.
    fn path(&self, from: u64, to: u64) -> Vec<u64> {
        let (mut back, mut queue) = (BTreeMap::from([(from, from)]), VecDeque::from([from]));
        while let Some(member) = queue.pop_front().filter(|member| *member != to) {
            for peer in self.neighbours(member) {
                if !back.contains_key(&peer) && self.members.contains_key(&peer) {
                    back.insert(peer, member);
                    queue.push_back(peer);
                }
            }
        }
        let mut path = Vec::new();
        let mut at = to;
        while at != from
            && let Some(before) = back.get(&at)
        {
            path.insert(0, at);
            at = *before;
        }
        path
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Micros) {
        let end = self.now + time;
        while let Some(Reverse((at, ..))) = self.queue.peek()
            && *at <= end
        {
            let Some(Reverse((at, _, arrival))) = self.queue.pop() else { return };
            self.now = at;
            match arrival {
                Arrival::Tick(member) => {
                    if let Some(node) = self.members.get_mut(&member)
                        && node.wake == Some(at)
                    {
                        node.wake = None;
                        node.courier.tick(at);
                        self.pump(member);
                    }
                }
                Arrival::Route { from, to } => {
                    let path: Vec<MemberId> = self.path(from, to).into_iter().map(MemberId::from).collect();
                    if let Some(node) = self.members.get_mut(&from) {
                        node.courier.route(at, MemberId::from(to), &path);
                        self.pump(from);
                    }
                }
                Arrival::Frame { from, to, connection, frame } => {
                    if self.links.get(&(from, to)).is_some_and(|way| way.connection == connection)
                        && let Some(node) = self.members.get_mut(&to)
                    {
                        node.courier.frame(at, MemberId::from(from), frame).expect("couriers keep the rules");
                        self.pump(to);
                    }
                }
            }
        }
        self.now = end;
    }

    pub fn pump(&mut self, member: u64) {
        let now = self.now;
        let Some(node) = self.members.get_mut(&member) else { return };
        let (mut sent, mut unroutable) = (Vec::new(), Vec::new());
        loop {
            while let Some(event) = node.courier.poll_event() {
                match event {
                    Event::Message { origin, addressed, hop, payload, .. } => {
                        node.courier.hold(origin, payload.len());
                        if node.consumes {
                            node.courier.consumed(now, origin, payload.len());
                        }
                        node.all.extend(payload.first());
                        if addressed {
                            node.told.entry(origin.to_u64()).or_default().push(payload);
                        } else {
                            node.hops.push(hop);
                            node.heard.entry(origin.to_u64()).or_default().push(payload);
                        }
                    }
                    Event::Gap { origin, from, to, .. } => node.gaps.push((origin.to_u64(), from, to)),
                    Event::Unroutable { to } => unroutable.push(to.to_u64()),
                    Event::Unreached { origin } => node.unreached.push(origin.to_u64()),
                    _ => {}
                }
            }
            let Some(peer) = node.courier.poll_dirty() else { break };
            while let Some(frame) = node.courier.next_frame(now, peer) {
                node.courier.buffered(peer, 0);
                sent.push((peer.to_u64(), frame));
            }
        }
        let due = node.courier.poll_timeout().map(|due| due.max(now));
        let due = due.filter(|due| node.wake.is_none_or(|wake| *due < wake));
        node.wake = due.or(node.wake);
        for (to, frame) in sent {
            let Some(way) = self.links.get_mut(&(member, to)) else { continue };
            way.last = way.last.max(now + way.latency);
            self.count += 1;
            let arrival = Arrival::Frame { from: member, to, connection: way.connection, frame };
            self.queue.push(Reverse((way.last, self.count, arrival)));
        }
        for to in unroutable {
            self.count += 1;
            let at = now + Micros::from_millis(50);
            self.queue.push(Reverse((at, self.count, Arrival::Route { from: member, to })));
        }
        if let Some(due) = due {
            self.count += 1;
            self.queue.push(Reverse((due, self.count, Arrival::Tick(member))));
        }
    }

    /// Everybody who is still there heard everything, once and in order, from whoever is in `origins`.
    pub fn check(&self, origins: &[u64]) {
        for (member, node) in &self.members {
            assert_eq!(node.gaps, [], "member {member}");
            for origin in origins.iter().filter(|origin| *origin != member) {
                let (said, heard) = (self.said.get(origin), node.heard.get(origin));
                let (said, heard) = (said.map_or(0, Vec::len), heard.map_or(0, Vec::len));
                assert_eq!(said, heard, "member {member} of what {origin} said");
                assert_eq!(self.said.get(origin), node.heard.get(origin));
            }
        }
    }

    /// Whether everybody can still be reached over links.
    pub fn is_connected(&self) -> bool {
        let Some(first) = self.members.keys().next() else { return true };
        let (mut seen, mut rest) = (BTreeSet::from([*first]), vec![*first]);
        while let Some(member) = rest.pop() {
            rest.extend(self.neighbours(member).into_iter().filter(|peer| seen.insert(*peer)));
        }
        seen.len() == self.members.len()
    }

    pub fn counters(&self, of: impl Fn(&room::courier::Counters) -> u64) -> u64 {
        self.members.values().map(|node| of(node.courier.counters())).sum()
    }

    /// A connected graph: a balanced tree of eager links, and random lazy ones.
    pub fn random(seed: u64, members: u64, lazy: u64) -> Net {
        let mut net = Net::new(seed);
        for member in 1..=members {
            let courier = net.add(member);
            courier.met_all();
            if member > 1 {
                let parent = (member + 1) / 3;
                let ms = 5 + net.below(60);
                net.link(member, parent, ms, true);
            }
        }
        for _ in 0..lazy {
            let (a, b, ms) = (1 + net.below(members), 1 + net.below(members), 5 + net.below(60));
            if a != b && !net.links.contains_key(&(a, b)) {
                net.link(a, b, ms, false);
            }
        }
        net.run(Micros::from_secs(1));
        net
    }
}
