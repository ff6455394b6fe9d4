//! The members of a room as its plan sees them: what each can carry, and who is present.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;
use rand_core::RngCore;

use super::{LinkOp, place::Place};
use crate::{id::MemberId, limits, time::Micros};

/// What a member can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The most links that it holds; [`limits::MEMBER_LINKS_MIN`] where it says less. In a mesh it holds as many as
    /// there are others.
    pub max_links: u16,
    /// What it can send, in kbit/s.
    pub uplink_kbps: u32,
    /// A member of the server's, or a machine that is lent to the room: it is there to pass on what others say.
    pub relay: bool,
    /// Its address translator gives each peer another port: two such members reach each other over TURN only.
    pub symmetric_nat: bool,
    /// It reaches others over TURN only. Nothing is passed on by it unless nobody else can.
    pub turn: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Profile {
            max_links: limits::MEMBER_LINKS,
            uplink_kbps: limits::UPLINK_KBPS,
            relay: false,
            symmetric_nat: false,
            turn: false,
        }
    }
}

/// What is known of how far members are from each other beside what they have [measured](super::Event::Measured): in a
/// simulation, all of it. The same question must have the same answer while an event is planned.
pub trait Distance {
    /// The time that a message takes one way.
    fn between(&self, a: MemberId, b: MemberId) -> Option<Micros>;

    /// Whether it may know any of them. Where not, it is not asked.
    fn knows_any(&self) -> bool {
        true
    }
}

/// Nothing is known but what was measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDistance;

impl Distance for NoDistance {
    fn between(&self, _: MemberId, _: MemberId) -> Option<Micros> {
        None
    }

    fn knows_any(&self) -> bool {
        false
    }
}

/// A member's place in the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) u32);

impl Slot {
    /// No member's.
    pub(super) const NONE: Slot = Slot(u32::MAX);

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }

    /// Itself, unless it is nobody's.
    pub(super) fn some(self) -> Option<Slot> {
        (self != Slot::NONE).then_some(self)
    }
}

/// A slab of all members, in two parts, and a dense vector of the present ones for drawing from. A newcomer looks at dozens
/// of others, each of which is at another end of memory: of these it needs the first part, which is as small as can be.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) spots: Vec<Spot>,
    nodes: Vec<Node>,
    free: Vec<Slot>,
    slots: BTreeMap<MemberId, Slot>,
    pub(super) live: Vec<Slot>,
    arrivals: u64,
    relays: BTreeSet<Slot>,
    draining: BTreeSet<Slot>,
    /// How many of whom it is known where they are.
    pub(super) placed: usize,
    pub(super) supply: Supply,
}

/// Who a member is, where, and whether and how it can be linked.
#[derive(Clone, Copy, Debug)]
#[repr(align(16))]
pub(super) struct Spot {
    id: MemberId,
    place: Place,
    /// `PRESENT`, `RELAY`, `SYMMETRIC_NAT`, `TURN`.
    flags: u8,
    max_links: u16,
}

/// The rest.
#[derive(Debug)]
struct Node {
    arrival: u64,
    /// Place in `live`, while present.
    live: u32,
    uplink_kbps: u32,
}

const _: () = assert!(size_of::<Spot>() == 16 && size_of::<Node>() == 16);
const PRESENT: u8 = 1;
const RELAY: u8 = 2;
const SYMMETRIC_NAT: u8 = 4;
const TURN: u8 = 8;

impl Spot {
    fn is(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether two members reach each other over TURN only.
    pub(super) fn needs_turn(self, other: Spot) -> bool {
        self.is(TURN) || other.is(TURN) || self.is(SYMMETRIC_NAT) && other.is(SYMMETRIC_NAT)
    }

    pub(super) fn id(self) -> MemberId {
        self.id
    }

    /// Where it is, as far as that is known.
    pub(super) fn place(self) -> Place {
        self.place
    }
}

/// What the members that are no relays can send together.
#[derive(Debug)]
pub(super) struct Supply {
    /// kbit/s of all that do not depend on TURN.
    pub(super) total_kbps: u64,
    /// How many there are for each power of two.
    uplinks: [u32; 33],
    pub(super) count: u32,
}

impl Default for Supply {
    fn default() -> Self {
        Supply { total_kbps: 0, uplinks: [0; 33], count: 0 }
    }
}

impl Supply {
    fn count(&mut self, profile: &Profile, more: bool) {
        if profile.relay {
            return;
        }
        let step = |count: &mut u32| *count = if more { *count + 1 } else { *count - 1 };
        step(&mut self.uplinks[(u32::BITS - profile.uplink_kbps.leading_zeros()) as usize]);
        step(&mut self.count);
        if !profile.turn {
            let kbps = u64::from(profile.uplink_kbps);
            self.total_kbps = if more { self.total_kbps + kbps } else { self.total_kbps - kbps };
        }
    }

    /// The median of the uplinks, to within a third: the middle of its power of two.
    pub(super) fn median_kbps(&self) -> u64 {
        let mut below = 0;
        for (power, count) in self.uplinks.iter().enumerate() {
            below += count;
            if below * 2 >= self.count.max(1) {
                return (3 << power) / 4;
            }
        }
        0
    }
}

impl Members {
    /// Takes a member in, present. `None` where it is in already.
    pub(super) fn join(&mut self, id: MemberId, profile: Profile) -> Option<Slot> {
        if self.slots.contains_key(&id) {
            return None;
        }
        self.arrivals += 1;
        let spot = Spot { id, place: Place::UNKNOWN, flags: 0, max_links: 0 };
        let node = Node { arrival: self.arrivals, live: 0, uplink_kbps: 0 };
        let slot = match self.free.pop() {
            Some(slot) => {
                (self.spots[slot.index()], self.nodes[slot.index()]) = (spot, node);
                slot
            }
            None => {
                let slot = Slot(u32::try_from(self.spots.len()).expect("a room has fewer than 2^32 members"));
                self.spots.push(spot);
                self.nodes.push(node);
                slot
            }
        };
        self.shape(slot, profile);
        self.slots.insert(id, slot);
        self.count(slot, true);
        self.back(slot);
        Some(slot)
    }

    pub(super) fn leave(&mut self, slot: Slot) {
        self.away(slot);
        self.count(slot, false);
        self.draining.remove(&slot);
        self.set_place(slot, Place::UNKNOWN);
        self.slots.remove(&self.id(slot));
        self.free.push(slot);
    }

    pub(super) fn away(&mut self, slot: Slot) {
        if self.present(slot) {
            self.spots[slot.index()].flags &= !PRESENT;
            let place = self.nodes[slot.index()].live;
            self.live.swap_remove(place as usize);
            if let Some(moved) = self.live.get(place as usize) {
                self.nodes[moved.index()].live = place;
            }
        }
    }

    pub(super) fn back(&mut self, slot: Slot) {
        if !self.present(slot) {
            self.spots[slot.index()].flags |= PRESENT;
            let place = u32::try_from(self.live.len()).expect("no more are present than there are slots");
            self.nodes[slot.index()].live = place;
            self.live.push(slot);
        }
    }

    pub(super) fn set_profile(&mut self, slot: Slot, profile: Profile) {
        self.count(slot, false);
        self.shape(slot, profile);
        self.count(slot, true);
    }

    fn shape(&mut self, slot: Slot, profile: Profile) {
        let flag = |holds: bool, flag: u8| if holds { flag } else { 0 };
        let (relay, nat) = (flag(profile.relay, RELAY), flag(profile.symmetric_nat, SYMMETRIC_NAT));
        let spot = &mut self.spots[slot.index()];
        spot.flags = spot.flags & PRESENT | relay | nat | flag(profile.turn, TURN);
        spot.max_links = profile.max_links.max(limits::MEMBER_LINKS_MIN);
        self.nodes[slot.index()].uplink_kbps = profile.uplink_kbps;
    }

    pub(super) fn drain(&mut self, slot: Slot) {
        self.draining.insert(slot);
        self.relays.remove(&slot);
    }

    fn count(&mut self, slot: Slot, more: bool) {
        let (profile, draining) = (self.profile(slot), self.draining(slot));
        self.supply.count(&profile, more);
        if more && profile.relay && !draining {
            self.relays.insert(slot);
        } else {
            self.relays.remove(&slot);
        }
    }

    /// All members, by id.
    pub(super) fn all(&self) -> impl Iterator<Item = Slot> {
        self.slots.values().copied()
    }

    /// The relays that stay, present or not.
    pub(super) fn relays(&self) -> impl Iterator<Item = Slot> {
        self.relays.iter().copied()
    }

    pub(super) fn slot(&self, id: MemberId) -> Option<Slot> {
        self.slots.get(&id).copied()
    }

    pub(super) fn id(&self, slot: Slot) -> MemberId {
        self.spot(slot).id
    }

    pub(super) fn profile(&self, slot: Slot) -> Profile {
        let spot = self.spot(slot);
        Profile {
            max_links: spot.max_links,
            uplink_kbps: self.nodes[slot.index()].uplink_kbps,
            relay: spot.is(RELAY),
            symmetric_nat: spot.is(SYMMETRIC_NAT),
            turn: spot.is(TURN),
        }
    }

    /// Has what is known of some members at hand: see [`Draft`](super::Draft::fetch).
    pub(super) fn fetch(&self, slots: &[Slot]) {
        let known = slots.iter().map(|slot| u32::from(self.spot(*slot).flags) ^ self.nodes[slot.index()].live);
        std::hint::black_box(known.fold(0, |all, one| all ^ one));
    }

    pub(super) fn spot(&self, slot: Slot) -> Spot {
        self.spots[slot.index()]
    }

    /// The most links that a member holds.
    pub(super) fn max_links(&self, slot: Slot) -> u16 {
        self.spot(slot).max_links
    }

    /// Where a member is, as far as that is known.
    pub(super) fn place(&self, slot: Slot) -> Place {
        self.spot(slot).place
    }

    pub(super) fn set_place(&mut self, slot: Slot, place: Place) {
        self.placed += usize::from(place.is_known());
        self.placed -= usize::from(self.place(slot).is_known());
        self.spots[slot.index()].place = place;
    }

    pub(super) fn draining(&self, slot: Slot) -> bool {
        self.draining.contains(&slot)
    }

    /// Those who are about to leave, present or not.
    pub(super) fn leaving(&self) -> impl Iterator<Item = Slot> {
        self.draining.iter().copied()
    }

    pub(super) fn present(&self, slot: Slot) -> bool {
        self.spots.get(slot.index()).is_some_and(|spot| spot.is(PRESENT))
    }

    /// A present member, drawn; `None` where nobody is.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Option<Slot> {
        self.drawn(rng.next_u32())
    }

    /// The present member that a drawn number stands for.
    pub(super) fn drawn(&self, number: u32) -> Option<Slot> {
        let place = (u64::from(number) * self.live.len() as u64) >> 32;
        self.live.get(usize::try_from(place).ok()?).copied()
    }

    /// Whether `slot` is the one who offers on its link with `peer`: the earlier one, so that a newcomer spends
    /// nothing on a member that is not really there.
    pub(super) fn offers(&self, slot: Slot, peer: Slot) -> bool {
        self.nodes[slot.index()].arrival < self.nodes[peer.index()].arrival
    }

    pub(super) fn open(&self, a: Slot, b: Slot) -> LinkOp {
        let (offerer, answerer) = if self.offers(a, b) { (a, b) } else { (b, a) };
        LinkOp::Open { offerer: self.id(offerer), answerer: self.id(answerer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_uplink_is_known_to_within_a_third() {
        let mut members = Members::default();
        for (id, uplink_kbps) in [100, 3_000, 3_000, 900_000, 0].into_iter().enumerate() {
            members.join(MemberId::from(id as u64), Profile { uplink_kbps, ..Profile::default() });
        }
        assert_eq!(members.supply.median_kbps(), 3_072);
        assert_eq!(members.supply.total_kbps, 906_100);
        let slot = members.slot(MemberId::from(3)).expect("it joined");
        members.set_profile(slot, Profile { turn: true, ..Profile::default() });
        assert_eq!(members.supply.total_kbps, 6_100);
        members.leave(slot);
        assert_eq!(members.supply.count, 4);
    }
}
