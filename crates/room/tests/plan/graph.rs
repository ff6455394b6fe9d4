//! A planner whose operations are carried out on a graph, as a hub would.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use room::{
    id::MemberId,
    plan::{Config, Distance, Event, LinkOp, Planner, Profile, Topology},
    time::Micros,
};

/// A planner, and what has become of its operations.
pub(crate) struct Table {
    pub(crate) planner: Planner,
    /// What the planner knows of distances beside what is measured.
    pub(crate) known: &'static dyn Distance,
    /// Everybody, and whether they are present.
    pub(crate) members: BTreeMap<MemberId, (Profile, bool)>,
    pub(crate) links: BTreeSet<(MemberId, MemberId)>,
    pub(crate) eager: BTreeSet<(MemberId, MemberId)>,
    pub(crate) log: Vec<LinkOp>,
}

/// Members on a circle, whose places are drawn from their ids.
pub(crate) struct Circle;

impl Distance for Circle {
    fn between(&self, a: MemberId, b: MemberId) -> Option<Micros> {
        let place = |id: MemberId| id.to_u64().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
        let apart = place(a).abs_diff(place(b));
        Some(Micros(1_000 + apart.min(65_536 - apart)))
    }
}

pub(crate) fn id(number: u64) -> MemberId {
    MemberId::from(number)
}

fn pair(a: MemberId, b: MemberId) -> (MemberId, MemberId) {
    (a.min(b), a.max(b))
}

impl Table {
    pub(crate) fn new(seed: u64, config: Config) -> Table {
        let (members, links, eager) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Table { planner: Planner::with(seed, config), known: &Circle, members, links, eager, log: Vec::new() }
    }

    /// A room of so many members, one after another.
    pub(crate) fn of(topology: Topology, count: u64, profile: impl Fn(u64) -> Profile) -> Table {
        let mut table = Table::new(7, Config { topology, ..Config::default() });
        for number in 0..count {
            table.join(number, profile(number));
        }
        table
    }

    pub(crate) fn join(&mut self, number: u64, profile: Profile) -> Vec<LinkOp> {
        self.apply(&Event::Join { id: id(number), profile, held: &[] })
    }

    pub(crate) fn apply(&mut self, event: &Event<'_>) -> Vec<LinkOp> {
        match *event {
            Event::Join { id, profile, .. } => {
                self.members.entry(id).or_insert((profile, true));
            }
            Event::Away(id) => {
                self.members.entry(id).and_modify(|(_, present)| *present = false);
            }
            Event::Back(id) => {
                self.members.entry(id).and_modify(|(_, present)| *present = true);
            }
            Event::Profile { id, profile } => {
                self.members.entry(id).and_modify(|(old, _)| *old = profile);
            }
            _ => {}
        }
        let ops = self.planner.apply(event, self.known);
        self.carry_out(&ops);
        if let Event::Leave(id) = event {
            self.members.remove(id);
        }
        ops
    }

    pub(crate) fn begin(&mut self, to: Topology) {
        let ops = self.planner.begin(to, self.known);
        self.carry_out(&ops);
    }

    pub(crate) fn commit(&mut self) {
        let ops = self.planner.commit(self.known);
        self.carry_out(&ops);
    }

    pub(crate) fn retire(&mut self) {
        let ops = self.planner.retire();
        self.carry_out(&ops);
    }

    pub(crate) fn abort(&mut self) {
        let ops = self.planner.abort();
        self.carry_out(&ops);
    }

    /// Does to the links what is to be done, each step of which must be possible.
    fn carry_out(&mut self, ops: &[LinkOp]) {
        for op in ops {
            match *op {
                LinkOp::Open { offerer, answerer } => {
                    assert!(self.links.insert(pair(offerer, answerer)), "opened twice: {op:?}");
                    assert!(self.present(offerer) && self.present(answerer), "nobody can tell an away member: {op:?}");
                }
                LinkOp::Close(a, b) => {
                    assert!(self.links.remove(&pair(a, b)), "closed twice: {op:?}");
                    self.eager.remove(&pair(a, b));
                }
                LinkOp::Eager(a, b) => {
                    assert!(self.links.contains(&pair(a, b)), "eager without a link: {op:?}");
                    assert!(self.eager.insert(pair(a, b)), "eager twice: {op:?}");
                }
                LinkOp::Lazy(a, b) => assert!(self.eager.remove(&pair(a, b)), "lazy twice: {op:?}"),
            }
        }
        self.log.extend(ops);
    }

    pub(crate) fn present(&self, id: MemberId) -> bool {
        self.members.get(&id).is_some_and(|(_, present)| *present)
    }

    pub(crate) fn neighbours(&self) -> BTreeMap<MemberId, Vec<MemberId>> {
        let mut neighbours: BTreeMap<MemberId, Vec<MemberId>> =
            self.members.keys().map(|id| (*id, Vec::new())).collect();
        for (a, b) in &self.links {
            neighbours.get_mut(a).expect("links are between members").push(*b);
            neighbours.get_mut(b).expect("links are between members").push(*a);
        }
        neighbours
    }

    /// Hops from a member to everybody it reaches.
    pub(crate) fn hops(&self, from: MemberId, along: &BTreeMap<MemberId, Vec<MemberId>>) -> BTreeMap<MemberId, u32> {
        let mut hops = BTreeMap::from([(from, 0)]);
        let mut todo = VecDeque::from([from]);
        while let Some(at) = todo.pop_front() {
            let next = hops[&at] + 1;
            for peer in &along[&at] {
                if !hops.contains_key(peer) {
                    hops.insert(*peer, next);
                    todo.push_back(*peer);
                }
            }
        }
        hops
    }

    /// What holds after every event, with an event's cause in `context`.
    pub(crate) fn check(&self, context: &str) {
        let all = self.neighbours();
        for (id, peers) in &all {
            let planned: BTreeSet<MemberId> = self.planner.links_of(*id).map(|(peer, _)| peer).collect();
            assert_eq!(planned, peers.iter().copied().collect(), "{context}: links of {id}");
            for (peer, offers) in self.planner.links_of(*id) {
                assert!(self.planner.linked(peer, *id) && self.planner.linked(*id, peer));
                assert!(self.planner.links_of(peer).any(|link| link == (*id, !offers)), "{context}: one of two offers");
            }
            let eager: BTreeSet<MemberId> = self.planner.eager_of(*id).collect();
            let replica = peers.iter().filter(|peer| self.eager.contains(&pair(*id, **peer))).copied().collect();
            assert_eq!(eager, replica, "{context}: eager links of {id}");
        }
        let mesh = self.planner.topology() == Topology::Mesh;
        // A relay has nobody to pass anything on to in a mesh.
        let counts = |id: &&MemberId| self.present(**id) && !(mesh && self.members[*id].0.relay);
        if let Some(first) = self.members.keys().find(counts) {
            let reached = self.hops(*first, &all);
            let lost: Vec<_> = self.members.keys().filter(counts).filter(|id| !reached.contains_key(id)).collect();
            assert!(lost.is_empty(), "{context}: {first} does not reach {lost:?}");
            self.check_eager(context, &all);
        }
    }

    /// The eager links are a tree over each part of the room, and the room has one part, but for members that are away.
    fn check_eager(&self, context: &str, all: &BTreeMap<MemberId, Vec<MemberId>>) {
        if self.planner.topology() == Topology::Mesh {
            assert!(self.eager.is_empty(), "{context}: a mesh has no eager links");
            return;
        }
        let mut along: BTreeMap<MemberId, Vec<MemberId>> = self.members.keys().map(|id| (*id, Vec::new())).collect();
        for (a, b) in &self.eager {
            along.get_mut(a).expect("links are between members").push(*b);
            along.get_mut(b).expect("links are between members").push(*a);
        }
        let mut seen = BTreeSet::new();
        let (mut trees, mut parts) = (0, 0);
        for id in self.members.keys() {
            if seen.insert(*id) {
                trees += 1;
                seen.extend(self.hops(*id, &along).into_keys());
            }
        }
        assert_eq!(self.eager.len(), self.members.len() - trees, "{context}: eager links go round");
        let mut seen = BTreeSet::new();
        for id in self.members.keys() {
            if seen.insert(*id) {
                parts += 1;
                seen.extend(self.hops(*id, all).into_keys());
            }
        }
        // While a switch is under way, who is away may hang on links of the topology that the tree is not of.
        if self.planner.switching().is_none() && self.planner.retiring().is_none() {
            assert_eq!(trees, parts, "{context}: the eager tree spans each part of the room");
        }
        let live: Vec<MemberId> = self.members.keys().filter(|id| self.present(**id)).copied().collect();
        let reached = self.hops(live[0], &along);
        let lost: Vec<_> = live.iter().filter(|id| !reached.contains_key(id)).collect();
        assert!(lost.is_empty(), "{context}: pushed messages of {} do not reach {lost:?}", live[0]);
    }
}
