//! Who is linked to whom: events in, link operations out. Pure, incremental, deterministic.
//!
//! A [`Planner`] holds the members in a slab, with the present ones in a dense vector, and the links that the
//! topology wants, each for the reasons ([`links::Tag`]s) that it is wanted for. A link is opened for its first
//! reason and closed with its last, so that two topologies can overlap while one takes over from the other. Each
//! topology is a file of its own, which turns an event into reasons taken and given back.
//!
//! Among the links of a topology in which members pass on what others say, some are *eager*: they are one tree over the
//! whole room, along which the first message of a sender is pushed. All others only announce what there is.
//!
//! The state is a function of the seed and the events. Numbers are drawn from ChaCha8, keyed by seed and event
//! number.
//!
//! Moving to another topology: [`Planner::begin`] plans it beside the present one, [`Planner::commit`] makes its tree
//! the eager one, [`Planner::retire`] lets go of the old links. Members come and go meanwhile, in both.

mod choose;
mod draft;
mod forest;
mod links;
mod members;
mod mesh;
mod place;
mod small_world;
mod span;
mod star;
mod stripe;
mod topology;

use std::collections::VecDeque;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use self::{
    choose::Choice,
    draft::Draft,
    links::{Links, Tag},
    members::{Members, Slot},
    place::{Place, Tie, Ties, Way},
    topology::Plan,
};
pub use self::{
    choose::Thresholds,
    members::{Distance, NoDistance, Profile},
    topology::{Topology, UnknownTopology},
};
use crate::{
    id::MemberId,
    limits,
    time::{Micros, Time},
};

/// How a room is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How the room is linked while it is empty.
    pub topology: Topology,
    /// The links of a member of the small world: even, and at most [`limits::SMALL_WORLD_DEGREE_MAX`].
    pub degree: usize,
    /// The stripes of the tree: at most [`limits::STRIPES_MAX`]. New messages are pushed along the first.
    pub stripes: usize,
    /// When the room moves to another topology.
    pub thresholds: Thresholds,
}

impl Default for Config {
    fn default() -> Self {
        let thresholds = Thresholds::default();
        Config { topology: Topology::Mesh, degree: limits::SMALL_WORLD_DEGREE, stripes: 1, thresholds }
    }
}

/// A room's plan.
#[derive(Debug)]
pub struct Planner {
    config: Config,
    seed: u64,
    events: u64,
    epoch: u64,
    members: Members,
    links: Links,
    plan: Plan,
    switch: Switch,
    choice: Choice,
}

/// What happens to a room, as far as its plan is concerned.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A member enters, present. `held`: the members that it is linked to already, as after a restart of the hub.
    Join {
        /// Who.
        id: MemberId,
        /// What it can carry.
        profile: Profile,
        /// Strangers among them are ignored.
        held: &'a [MemberId],
    },
    /// A member cannot be reached through the hub. It keeps its links and gets no new ones.
    Away(MemberId),
    /// An away member can be reached again.
    Back(MemberId),
    /// A member is gone for good, and its links with it.
    Leave(MemberId),
    /// What a member can carry has changed.
    Profile {
        /// Whose.
        id: MemberId,
        /// All of it.
        profile: Profile,
    },
    /// A member will leave soon: nobody is to depend on it any more. Whoever did is linked elsewhere; the old links stay
    /// until [`Planner::retire`], and one, where it has any, until it leaves. In a mesh nobody depends on a relay.
    Drain(MemberId),
    /// How long a message takes over some of a member's links, one way, as it has measured.
    Measured {
        /// Who has.
        id: MemberId,
        /// The other ends; whom the plan does not link it to are ignored. At most [`limits::DISTANCES_TOLD`] count.
        ways: &'a [(MemberId, Micros)],
    },
    /// What the room's traffic is like.
    Stats(Stats),
    /// The topology that is wanted, whatever the room is like; `None`: the one that fits.
    Pin(Option<Topology>),
    /// Time passes; once a second is often enough.
    Tick(Time),
}

/// What the traffic of a room is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Members that publish.
    pub publishers: u32,
    /// What all of them send together, in kbit/s.
    pub rate_kbps: u32,
    /// What the busiest sends, in kbit/s.
    pub busiest_kbps: u32,
    /// Whether audio or video is among it.
    pub media: bool,
    /// The share of links that go over TURN, in percent.
    pub turn_percent: u32,
}

/// What is to be done to a link. An event's openings come before its closings, and members are told of both at once: they
/// keep a link that is to be closed while it is of use, at most for [`limits::DRAIN_MAX`], so that what replaces it has time to
/// open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkOp {
    /// Connect two members. The link is lazy until it is said to be eager.
    Open {
        /// The one who was in the room earlier.
        offerer: MemberId,
        /// The other.
        answerer: MemberId,
    },
    /// Give the link up.
    Close(MemberId, MemberId),
    /// Push new messages along the link.
    Eager(MemberId, MemberId),
    /// Announce them only.
    Lazy(MemberId, MemberId),
}

/// A member's neighbours in a cycle of the small world, the nearest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Those before it.
    pub predecessors: Vec<MemberId>,
    /// Those after it.
    pub successors: Vec<MemberId>,
}

#[derive(Debug)]
enum Switch {
    None,
    /// To this.
    Begun(Plan),
    /// From this; its links are still there.
    Committed(Plan),
}

impl Planner {
    /// An empty room's plan.
    pub fn new(seed: u64) -> Planner {
        Planner::with(seed, Config::default())
    }

    /// An empty room's plan with these settings.
    pub fn with(seed: u64, config: Config) -> Planner {
        let plan = Plan::new(&config, config.topology, &Stats::default());
        let (members, mut links) = (Members::default(), Links::default());
        links.set_eager(config.topology.eager(), &members);
        let choice = Choice::new(config.thresholds.clone());
        Planner { config, seed, events: 0, epoch: 1, members, links, plan, switch: Switch::None, choice }
    }

    /// Takes an event in and says what follows from it. An event about a stranger, or a second join, is ignored.
    pub fn apply(&mut self, event: &Event<'_>, distance: &dyn Distance) -> Vec<LinkOp> {
        self.events += 1;
        match *event {
            Event::Join { id, profile, held } => {
                let Some(slot) = self.members.join(id, profile) else { return Vec::new() };
                self.links.make_room(slot);
                let held: Vec<Slot> = held.iter().filter_map(|peer| self.members.slot(*peer)).collect();
                self.each(distance, &held, |plan, draft| plan.join(draft, slot))
            }
            Event::Away(id) => self.with_slot(id, |planner, slot| {
                if planner.members.present(slot) {
                    planner.each(distance, &[], |plan, draft| plan.lift(draft, slot));
                    planner.members.away(slot);
                }
                Vec::new()
            }),
            Event::Back(id) => self.with_slot(id, |planner, slot| {
                let back = !planner.members.present(slot);
                planner.members.back(slot);
                if back { planner.each(distance, &[], |plan, draft| plan.back(draft, slot)) } else { Vec::new() }
            }),
            Event::Leave(id) => self.with_slot(id, |planner, slot| {
                let ops = planner.each(distance, &[], |plan, draft| plan.leave(draft, slot));
                planner.members.leave(slot);
                ops
            }),
            Event::Profile { id, profile } => self.with_slot(id, |planner, slot| {
                planner.members.set_profile(slot, profile);
                planner.each(distance, &[], |plan, draft| plan.reshape(draft, slot))
            }),
            Event::Drain(id) => self.with_slot(id, |planner, slot| {
                if planner.members.draining(slot) {
                    return Vec::new();
                }
                planner.each(distance, &[], |plan, draft| plan.lift(draft, slot));
                planner.members.drain(slot);
                planner.each(distance, &[], |plan, draft| plan.drain(draft, slot))
            }),
            Event::Measured { id, ways } => self.with_slot(id, |planner, slot| {
                planner.measured(slot, ways);
                Vec::new()
            }),
            Event::Stats(stats) => {
                self.choice.stats = stats;
                for plan in self.plans() {
                    if let Plan::Forest(forest) = plan {
                        forest.set_rate(stats.rate_kbps);
                    }
                }
                Vec::new()
            }
            Event::Pin(topology) => {
                self.choice.pin = topology;
                Vec::new()
            }
            Event::Tick(now) => {
                self.choice.tick(&self.members, self.topology(), self.config.degree, now);
                self.settle_some();
                self.each(distance, &[], |plan, draft| plan.tick(draft, now))
            }
        }
    }

    /// Plans another topology beside the present one. Nothing where the room has it, or is on its way from or to another.
    pub fn begin(&mut self, to: Topology, distance: &dyn Distance) -> Vec<LinkOp> {
        if to == self.topology() || !matches!(self.switch, Switch::None) {
            return Vec::new();
        }
        self.events += 1;
        self.epoch += 1;
        self.choice.moved();
        let mut next = Plan::new(&self.config, to, &self.choice.stats);
        let mut order: Vec<Slot> = self.members.all().filter(|slot| self.members.present(*slot)).collect();
        let mut draft = draft_of(self.seed, self.events, &self.members, &mut self.links, distance, &[]);
        order.sort_by_key(|slot| (std::cmp::Reverse(next.capacity(&draft, *slot)), *slot));
        for slot in order {
            next.join(&mut draft, slot);
        }
        self.switch = Switch::Begun(next);
        self.links.settle(&self.members)
    }

    /// The new topology takes over: new messages are pushed along its tree. Nothing where none has been begun.
    pub fn commit(&mut self, distance: &dyn Distance) -> Vec<LinkOp> {
        let mut next = match std::mem::replace(&mut self.switch, Switch::None) {
            Switch::Begun(next) => next,
            other => {
                self.switch = other;
                return Vec::new();
            }
        };
        self.events += 1;
        let mut draft = draft_of(self.seed, self.events, &self.members, &mut self.links, distance, &[]);
        // Who is away gets no new links, and so keeps one of those that it has.
        let mut away: Vec<Slot> = self.members.all().filter(|slot| !self.members.present(*slot)).collect();
        loop {
            let count = away.len();
            away.retain(|slot| !next.adopt(&mut draft, *slot));
            if away.is_empty() || away.len() == count {
                break;
            }
        }
        let mut ops = self.links.settle(&self.members);
        let old = std::mem::replace(&mut self.plan, next);
        self.switch = Switch::Committed(old);
        ops.append(&mut self.links.set_eager(self.topology().eager(), &self.members));
        ops
    }

    /// Lets go of the links that only the old topology wanted, and of those of relays that have been drained.
    pub fn retire(&mut self) -> Vec<LinkOp> {
        let mut mask = Tag::Parting.bit();
        if let Switch::Committed(old) = &self.switch {
            mask |= old.topology().tags();
            self.switch = Switch::None;
        }
        self.links.clear_all(mask);
        let mut draft = draft_of(self.seed, self.events, &self.members, &mut self.links, &NoDistance, &[]);
        self.plan.release(&mut draft);
        if let Switch::Begun(plan) = &mut self.switch {
            plan.release(&mut draft);
        }
        self.links.settle(&self.members)
    }

    /// Gives the new topology up, and its links. Nothing where none has been begun, or it has taken over already.
    pub fn abort(&mut self) -> Vec<LinkOp> {
        let Switch::Begun(next) = &self.switch else { return Vec::new() };
        let mask = next.topology().tags();
        self.switch = Switch::None;
        self.choice.moved();
        self.links.clear_all(mask);
        self.links.settle(&self.members)
    }

    /// The plan's number: it rises with each change of topology that is begun.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How the room is linked.
    pub fn topology(&self) -> Topology {
        self.plan.topology()
    }

    /// The topology that has been begun and has not taken over.
    pub fn switching(&self) -> Option<Topology> {
        match &self.switch {
            Switch::Begun(next) => Some(next.topology()),
            _ => None,
        }
    }

    /// The topology whose links are still to be retired.
    pub fn retiring(&self) -> Option<Topology> {
        match &self.switch {
            Switch::Committed(old) => Some(old.topology()),
            _ => None,
        }
    }

    /// Whether a member is said to leave soon, by [`Event::Drain`].
    pub fn is_draining(&self, id: MemberId) -> bool {
        self.members.slot(id).is_some_and(|slot| self.members.draining(slot))
    }

    /// Whether that is so of any.
    pub fn is_anybody_draining(&self) -> bool {
        self.members.leaving().next().is_some()
    }

    /// The topology that the room should move to now, as [`Event::Pin`], [`Event::Stats`] and [`Event::Tick`] have it;
    /// `None` where it has it, or is moving.
    pub fn due(&self) -> Option<Topology> {
        let idle = matches!(self.switch, Switch::None);
        self.choice.due(&self.members, self.topology()).filter(|_| idle)
    }

    /// Whether the room would be a star, as it fits it, if there were a relay.
    pub fn lacks_relay(&self) -> bool {
        self.choice.lacks_relay()
    }

    /// Whether time alone may move the room to another topology: else [`Event::Tick`] is of use for what the topology itself
    /// looks after only.
    pub fn is_restless(&self) -> bool {
        self.choice.is_restless(&self.members, self.topology(), self.config.degree)
    }

    /// Begins with this topology in place of [`Config::topology`]. Nothing where somebody is in the room, or where it cannot
    /// be had.
    pub fn begin_as(&mut self, topology: Topology) {
        let is_empty = self.members.all().next().is_none() && matches!(self.switch, Switch::None);
        if is_empty && self.offers(topology) {
            self.config.topology = topology;
            self.plan = Plan::new(&self.config, topology, &self.choice.stats);
            self.links.set_eager(topology.eager(), &self.members);
        }
    }

    /// Whether the room can be linked in this way now. A star needs relays; a tree takes its place.
    pub fn offers(&self, topology: Topology) -> bool {
        choose::offers(&self.members, topology, self.topology())
    }

    /// Whether two members are to be linked.
    pub fn linked(&self, a: MemberId, b: MemberId) -> bool {
        match (self.members.slot(a), self.members.slot(b)) {
            (Some(a), Some(b)) => self.links.linked(a, b),
            _ => false,
        }
    }

    /// Whom a member is to be linked to, and whether it is the one who offers.
    pub fn links_of(&self, id: MemberId) -> impl Iterator<Item = (MemberId, bool)> {
        let slot = self.members.slot(id);
        slot.into_iter().flat_map(move |slot| {
            self.links.of(slot).map(move |peer| (self.members.id(peer), self.members.offers(slot, peer)))
        })
    }

    /// Whom a member pushes new messages to.
    pub fn eager_of(&self, id: MemberId) -> impl Iterator<Item = MemberId> {
        let slot = self.members.slot(id);
        slot.into_iter().flat_map(move |slot| self.links.eager(slot).map(move |peer| self.members.id(peer)))
    }

    /// A member's next two neighbours on either side in each of its cycles: whom it closes ranks with where the hub
    /// cannot say so. Empty outside of the small world.
    pub fn rings_of(&self, id: MemberId) -> Vec<Ring> {
        let (Plan::SmallWorld(world), Some(slot)) = (&self.plan, self.members.slot(id)) else { return Vec::new() };
        let ids = |slots: Vec<Slot>| slots.into_iter().map(|slot| self.members.id(slot)).collect();
        let rings = world.neighbours(slot, limits::RING_REACH);
        rings.map(|(before, after)| Ring { predecessors: ids(before), successors: ids(after) }).collect()
    }

    /// How far a member is from the root of the eager tree; `None` in a mesh, and for who is not in it.
    pub fn depth_of(&self, id: MemberId) -> Option<u32> {
        let slot = self.members.slot(id)?;
        self.plan.depth(slot, 0)
    }

    /// Under whom a member is in a stripe of the tree, or in the star (which has one).
    pub fn parent_of(&self, id: MemberId, stripe: usize) -> Option<MemberId> {
        let slot = self.members.slot(id)?;
        let parent = match &self.plan {
            Plan::Mesh | Plan::SmallWorld(_) => None,
            Plan::Forest(forest) => forest.stripes().get(stripe)?.parent(slot),
            Plan::Star(star) => star.tree().parent(slot),
        };
        parent.map(|parent| self.members.id(parent))
    }

    /// How far a member is from the root of a stripe of the tree.
    pub fn stripe_depth_of(&self, id: MemberId, stripe: usize) -> Option<u32> {
        let slot = self.members.slot(id)?;
        matches!(self.plan, Plan::Forest(_)).then(|| self.plan.depth(slot, stripe))?
    }

    /// A member has measured some of its links.
    fn measured(&mut self, slot: Slot, ways: &[(MemberId, Micros)]) {
        for (peer, way) in ways.iter().take(limits::DISTANCES_TOLD) {
            if let Some(peer) = self.members.slot(*peer).filter(|peer| *peer != slot) {
                self.links.measured(slot, peer, Way::of(*way));
            }
        }
        self.settle(slot);
    }

    /// Looks anew where some members are, since their neighbours are known better by now.
    fn settle_some(&mut self) {
        let count = self.members.live.len().div_ceil(limits::PLACES_SHARE).min(limits::PLACES_MAX);
        let mut rng = rng(self.seed, self.events, 1);
        for _ in 0..count {
            if let Some(slot) = self.members.draw(&mut rng) {
                self.settle(slot);
            }
        }
    }

    /// Finds where a member is. Where that was not known before it may be the first neighbour of others by which they are
    /// found, and so on.
    fn settle(&mut self, slot: Slot) {
        let mut todo = VecDeque::from([slot]);
        for _ in 0..limits::PLACES_SPREAD {
            let Some(slot) = todo.pop_front() else { break };
            if self.find(slot) {
                let lost = |peer: &Slot| !self.members.place(*peer).is_known();
                todo.extend(self.links.measured_by(slot).filter(lost).take(limits::PLACES_SPREAD));
            }
        }
    }

    /// Finds where a member is from what it has measured, and says whether nothing was known of that before.
    fn find(&mut self, slot: Slot) -> bool {
        let before = self.members.place(slot);
        let tie = |(peer, mine, theirs)| Tie::new(self.members.place(peer), mine, theirs);
        let ties: Ties = self.links.ways(slot).filter_map(tie).take(limits::DISTANCES_TOLD).collect();
        let after = if self.members.placed == 0 && self.links.ways(slot).next().is_some() {
            // Somebody has to be the first.
            Place::MIDDLE
        } else {
            before.settled(&ties, self.events.wrapping_mul(31).wrapping_add(u64::from(slot.0)))
        };
        self.members.set_place(slot, after);
        if !before.is_found() && after.is_found() {
            self.plans().for_each(|plan| plan.placed(slot));
        }
        !before.is_known() && after.is_known()
    }

    fn plans(&mut self) -> impl Iterator<Item = &mut Plan> {
        let other = match &mut self.switch {
            Switch::None => None,
            Switch::Begun(plan) | Switch::Committed(plan) => Some(plan),
        };
        [&mut self.plan].into_iter().chain(other)
    }

    fn with_slot(&mut self, id: MemberId, f: impl FnOnce(&mut Planner, Slot) -> Vec<LinkOp>) -> Vec<LinkOp> {
        self.members.slot(id).map(|slot| f(self, slot)).unwrap_or_default()
    }

    /// Has every topology that links are wanted for plan the same.
    fn each(&mut self, distance: &dyn Distance, held: &[Slot], f: impl Fn(&mut Plan, &mut Draft<'_>)) -> Vec<LinkOp> {
        let mut draft = draft_of(self.seed, self.events, &self.members, &mut self.links, distance, held);
        f(&mut self.plan, &mut draft);
        if let Switch::Begun(plan) | Switch::Committed(plan) = &mut self.switch {
            f(plan, &mut draft);
        }
        self.links.settle(&self.members)
    }
}

fn draft_of<'a>(
    seed: u64,
    event: u64,
    members: &'a Members,
    links: &'a mut Links,
    distance: &'a dyn Distance,
    held: &'a [Slot],
) -> Draft<'a> {
    let (knows_distances, rng) = (distance.knows_any(), rng(seed, event, 0));
    Draft { members, links, distance, knows_distances, rng, held }
}

/// Numbers drawn for an event, and a part of what is done for it.
fn rng(seed: u64, event: u64, part: u8) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&event.to_le_bytes());
    key[16] = part;
    ChaCha8Rng::from_seed(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> MemberId {
        MemberId::from(number)
    }

    fn join(planner: &mut Planner, number: u64) -> Vec<LinkOp> {
        planner.apply(&Event::Join { id: id(number), profile: Profile::default(), held: &[] }, &NoDistance)
    }

    #[test]
    fn everybody_present_is_linked_and_the_earlier_offers() {
        let mut planner = Planner::new(7);
        for number in [5, 1, 3] {
            join(&mut planner, number);
        }
        let mut links: Vec<_> = planner.links_of(id(1)).collect();
        links.sort();
        assert_eq!(links, [(id(3), true), (id(5), false)]);
        assert!(planner.linked(id(3), id(5)) && planner.linked(id(5), id(3)));
    }

    #[test]
    fn newcomer_is_linked_to_an_away_member_when_that_is_back() {
        let mut planner = Planner::new(7);
        join(&mut planner, 1);
        join(&mut planner, 2);
        assert_eq!(planner.apply(&Event::Away(id(1)), &NoDistance), []);
        assert_eq!(join(&mut planner, 3), [LinkOp::Open { offerer: id(2), answerer: id(3) }]);
        assert_eq!(planner.apply(&Event::Back(id(1)), &NoDistance), [LinkOp::Open { offerer: id(1), answerer: id(3) }]);
        assert_eq!(planner.apply(&Event::Back(id(1)), &NoDistance), []);
    }

    #[test]
    fn held_links_are_adopted_even_to_the_away() {
        let mut planner = Planner::new(7);
        join(&mut planner, 1);
        planner.apply(&Event::Away(id(1)), &NoDistance);
        let ops = planner
            .apply(&Event::Join { id: id(2), profile: Profile::default(), held: &[id(1), id(2), id(9)] }, &NoDistance);
        assert_eq!(ops, [LinkOp::Open { offerer: id(1), answerer: id(2) }]);
    }

    #[test]
    fn a_leaver_takes_its_links_along_and_its_slot_is_used_again() {
        let mut planner = Planner::new(7);
        for number in 1..=3 {
            join(&mut planner, number);
        }
        let ops = planner.apply(&Event::Leave(id(2)), &NoDistance);
        assert_eq!(ops, [LinkOp::Close(id(2), id(1)), LinkOp::Close(id(2), id(3))]);
        assert_eq!(planner.links_of(id(2)).count(), 0);
        assert_eq!(join(&mut planner, 4).len(), 2);
        assert_eq!(planner.members.spots.len(), 3);
        assert!(planner.links_of(id(4)).all(|(_, offers)| !offers));
    }

    #[test]
    fn events_about_strangers_change_nothing() {
        let mut planner = Planner::new(7);
        join(&mut planner, 1);
        for event in [
            Event::Away(id(2)),
            Event::Back(id(2)),
            Event::Leave(id(2)),
            Event::Join { id: id(1), profile: Profile::default(), held: &[] },
        ] {
            assert_eq!(planner.apply(&event, &NoDistance), []);
        }
    }
}
