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
}

/// Nothing is known but what was measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDistance;

impl Distance for NoDistance {
    fn between(&self, _: MemberId, _: MemberId) -> Option<Micros> {
        None
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

/// A slab of all members, and a dense vector of the present ones for drawing from.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) slab: Vec<Node>,
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

/// Half a cache line, and never across two: a newcomer looks at dozens. So the profile stands here in pieces.
#[derive(Debug)]
#[repr(align(32))]
pub(super) struct Node {
    id: MemberId,
    arrival: u64,
    /// Place in `live`; `AWAY` while away.
    live: u32,
    uplink_kbps: u32,
    place: Place,
    max_links: u16,
    /// `RELAY`, `SYMMETRIC_NAT`, `TURN`.
    flags: u8,
}

const _: () = assert!(size_of::<Node>() == 32);
const AWAY: u32 = u32::MAX;
const RELAY: u8 = 1;
const SYMMETRIC_NAT: u8 = 2;
const TURN: u8 = 4;

impl Node {
    fn profile(&self) -> Profile {
        Profile {
            max_links: self.max_links,
            uplink_kbps: self.uplink_kbps,
            relay: self.flags & RELAY != 0,
            symmetric_nat: self.flags & SYMMETRIC_NAT != 0,
            turn: self.flags & TURN != 0,
        }
    }

    fn set_profile(&mut self, profile: Profile) {
        let flag = |holds: bool, flag: u8| if holds { flag } else { 0 };
        self.max_links = profile.max_links.max(limits::MEMBER_LINKS_MIN);
        self.uplink_kbps = profile.uplink_kbps;
        self.flags = flag(profile.relay, RELAY) | flag(profile.symmetric_nat, SYMMETRIC_NAT) | flag(profile.turn, TURN);
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
        let mut node = Node {
            id,
            arrival: self.arrivals,
            live: AWAY,
            uplink_kbps: 0,
            place: Place::UNKNOWN,
            max_links: 0,
            flags: 0,
        };
        node.set_profile(profile);
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
        let place = std::mem::replace(&mut self.slab[slot.index()].live, AWAY);
        if place != AWAY {
            self.live.swap_remove(place as usize);
            if let Some(moved) = self.live.get(place as usize) {
                self.slab[moved.index()].live = place;
            }
        }
    }

    pub(super) fn back(&mut self, slot: Slot) {
        let node = &mut self.slab[slot.index()];
        if node.live == AWAY {
            node.live = u32::try_from(self.live.len()).expect("no more are present than there are slots");
            self.live.push(slot);
        }
    }

    pub(super) fn set_profile(&mut self, slot: Slot, profile: Profile) {
        self.count(slot, false);
        self.slab[slot.index()].set_profile(profile);
        self.count(slot, true);
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
        self.slab[slot.index()].id
    }

    pub(super) fn profile(&self, slot: Slot) -> Profile {
        self.slab[slot.index()].profile()
    }

    /// Where a member is, as far as that is known.
    pub(super) fn place(&self, slot: Slot) -> Place {
        self.slab[slot.index()].place
    }

    pub(super) fn set_place(&mut self, slot: Slot, place: Place) {
        self.placed += usize::from(place.is_known());
        self.placed -= usize::from(self.place(slot).is_known());
        self.slab[slot.index()].place = place;
    }

    pub(super) fn draining(&self, slot: Slot) -> bool {
        self.draining.contains(&slot)
    }

    pub(super) fn present(&self, slot: Slot) -> bool {
        self.slab.get(slot.index()).is_some_and(|node| node.live != AWAY)
    }

    /// A present member, drawn; `None` where nobody is.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Option<Slot> {
        let place = (u64::from(rng.next_u32()) * self.live.len() as u64) >> 32;
        self.live.get(usize::try_from(place).ok()?).copied()
    }

    /// Whether `slot` is the one who offers on its link with `peer`: the earlier one, so that a newcomer spends
    /// nothing on a member that is not really there.
    pub(super) fn offers(&self, slot: Slot, peer: Slot) -> bool {
        self.slab[slot.index()].arrival < self.slab[peer.index()].arrival
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
