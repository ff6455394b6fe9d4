//! Who is linked to whom: events in, link operations out. Pure, incremental, deterministic.
//!
//! A [`Planner`] holds the members in a slab, with the present ones in a dense vector, and the links that the
//! topology wants, each for the reasons ([`links::Tag`]s) that it is wanted for. A link is opened for its first
//! reason and closed with its last, so that two topologies can overlap while one takes over from the other. Each
//! topology is a file of its own, which turns an event into reasons taken and given back; [`mesh`] is the one there is.
//!
//! The state is a function of the seed and the events. Numbers are drawn from ChaCha8, keyed by seed and event
//! number.

mod links;
mod mesh;

use std::collections::BTreeMap;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::id::MemberId;
use links::Links;

/// A room's plan.
#[derive(Debug)]
pub struct Planner {
    seed: u64,
    events: u64,
    members: Members,
    links: Links,
}

/// What happens to a room, as far as its plan is concerned.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A member enters, present. `held`: the members that it is linked to already, as after a restart of the hub.
    Join {
        /// Who.
        id: MemberId,
        /// Strangers among them are ignored.
        held: &'a [MemberId],
    },
    /// A member cannot be reached through the hub. It keeps its links and gets no new ones.
    Away(MemberId),
    /// An away member can be reached again.
    Back(MemberId),
    /// A member is gone for good, and its links with it.
    Leave(MemberId),
}

/// What is to be done to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkOp {
    /// Connect two members.
    Open {
        /// The one who was in the room earlier.
        offerer: MemberId,
        /// The other.
        answerer: MemberId,
    },
    /// Give the link up.
    Close(MemberId, MemberId),
}

impl Planner {
    /// An empty room's plan.
    pub fn new(seed: u64) -> Planner {
        Planner { seed, events: 0, members: Members::default(), links: Links::default() }
    }

    /// Takes an event in and says what follows from it. An event about a stranger, or a second join, is ignored.
    pub fn apply(&mut self, event: &Event<'_>) -> Vec<LinkOp> {
        self.events += 1;
        let mut ops = Vec::new();
        match *event {
            Event::Join { id, held } => {
                if let Some(slot) = self.members.join(id) {
                    self.links.make_room(slot);
                    let held: Vec<Slot> = held.iter().filter_map(|peer| self.members.slot(*peer)).collect();
                    let mut rng = self.rng();
                    mesh::join(&self.members, &mut self.links, slot, &held, &mut rng, &mut ops);
                }
            }
            Event::Away(id) => {
                if let Some(slot) = self.members.slot(id) {
                    self.members.away(slot);
                }
            }
            Event::Back(id) => {
                if let Some(slot) = self.members.slot(id) {
                    self.members.back(slot);
                    let mut rng = self.rng();
                    mesh::join(&self.members, &mut self.links, slot, &[], &mut rng, &mut ops);
                }
            }
            Event::Leave(id) => {
                if let Some(slot) = self.members.slot(id) {
                    mesh::leave(&self.members, &mut self.links, slot, &mut ops);
                    self.members.leave(slot);
                }
            }
        }
        ops
    }

    /// The plan's number: it rises with each change of topology.
    pub fn epoch(&self) -> u64 {
        1
    }

    /// How the room is linked.
    pub fn topology(&self) -> &'static str {
        mesh::NAME
    }

    /// Whether a room can be linked in the way that a member asks for.
    pub fn offers(topology: &str) -> bool {
        matches!(topology, "auto" | mesh::NAME)
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

    fn rng(&self) -> ChaCha8Rng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&self.events.to_le_bytes());
        ChaCha8Rng::from_seed(key)
    }
}

/// A member's place in the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot(u32);

impl Slot {
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// The members of a room: a slab of all of them, and a dense vector of the present ones for drawing from.
#[derive(Debug, Default)]
struct Members {
    slab: Vec<Node>,
    free: Vec<Slot>,
    slots: BTreeMap<MemberId, Slot>,
    live: Vec<Slot>,
    arrivals: u64,
}

#[derive(Debug)]
struct Node {
    id: MemberId,
    arrival: u64,
    /// Place in `live`; `None` while away.
    live: Option<usize>,
}

impl Members {
    /// Takes a member in, present. `None` where it is in already.
    fn join(&mut self, id: MemberId) -> Option<Slot> {
        if self.slots.contains_key(&id) {
            return None;
        }
        self.arrivals += 1;
        let node = Node { id, arrival: self.arrivals, live: None };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slab[slot.index()] = node;
                slot
            }
            None => {
                let slot = Slot(u32::try_from(self.slab.len()).expect("a room has fewer than 2^32 members"));
                self.slab.push(node);
                slot
            }
        };
        self.slots.insert(id, slot);
        self.back(slot);
        Some(slot)
    }

    fn leave(&mut self, slot: Slot) {
        self.away(slot);
        self.slots.remove(&self.id(slot));
        self.free.push(slot);
    }

    fn away(&mut self, slot: Slot) {
        if let Some(place) = self.slab[slot.index()].live.take() {
            self.live.swap_remove(place);
            if let Some(moved) = self.live.get(place) {
                self.slab[moved.index()].live = Some(place);
            }
        }
    }

    fn back(&mut self, slot: Slot) {
        let node = &mut self.slab[slot.index()];
        if node.live.is_none() {
            node.live = Some(self.live.len());
            self.live.push(slot);
        }
    }

    fn slot(&self, id: MemberId) -> Option<Slot> {
        self.slots.get(&id).copied()
    }

    fn id(&self, slot: Slot) -> MemberId {
        self.slab[slot.index()].id
    }

    /// Whether `slot` is the one who offers on its link with `peer`: the earlier one, so that a newcomer spends
    /// nothing on a member that is not really there.
    fn offers(&self, slot: Slot, peer: Slot) -> bool {
        self.slab[slot.index()].arrival < self.slab[peer.index()].arrival
    }

    fn open(&self, a: Slot, b: Slot) -> LinkOp {
        let (offerer, answerer) = if self.offers(a, b) { (a, b) } else { (b, a) };
        LinkOp::Open { offerer: self.id(offerer), answerer: self.id(answerer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> MemberId {
        MemberId::from(number)
    }

    fn join(planner: &mut Planner, number: u64) -> Vec<LinkOp> {
        planner.apply(&Event::Join { id: id(number), held: &[] })
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
        assert_eq!(planner.apply(&Event::Away(id(1))), []);
        assert_eq!(join(&mut planner, 3), [LinkOp::Open { offerer: id(2), answerer: id(3) }]);
        assert_eq!(planner.apply(&Event::Back(id(1))), [LinkOp::Open { offerer: id(1), answerer: id(3) }]);
        assert_eq!(planner.apply(&Event::Back(id(1))), []);
    }

    #[test]
    fn held_links_are_adopted_even_to_the_away() {
        let mut planner = Planner::new(7);
        join(&mut planner, 1);
        planner.apply(&Event::Away(id(1)));
        let ops = planner.apply(&Event::Join { id: id(2), held: &[id(1), id(2), id(9)] });
        assert_eq!(ops, [LinkOp::Open { offerer: id(1), answerer: id(2) }]);
    }

    #[test]
    fn a_leaver_takes_its_links_along_and_its_slot_is_used_again() {
        let mut planner = Planner::new(7);
        for number in 1..=3 {
            join(&mut planner, number);
        }
        let ops = planner.apply(&Event::Leave(id(2)));
        assert_eq!(ops, [LinkOp::Close(id(2), id(1)), LinkOp::Close(id(2), id(3))]);
        assert_eq!(planner.links_of(id(2)).count(), 0);
        assert_eq!(join(&mut planner, 4).len(), 2);
        assert_eq!(planner.members.slab.len(), 3);
        assert!(planner.links_of(id(4)).all(|(_, offers)| !offers));
    }

    #[test]
    fn events_about_strangers_change_nothing() {
        let mut planner = Planner::new(7);
        join(&mut planner, 1);
        for event in [Event::Away(id(2)), Event::Back(id(2)), Event::Leave(id(2)), Event::Join { id: id(1), held: &[] }]
        {
            assert_eq!(planner.apply(&event), []);
        }
    }
}
