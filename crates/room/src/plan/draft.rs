//! What a topology works with while it plans an event.

use rand_chacha::ChaCha8Rng;
use rand_core::RngCore;

use super::{Distance, Members, Slot, links::Links};
use crate::limits;

/// The room as it is, and the links as they shall be.
pub(super) struct Draft<'a> {
    pub(super) members: &'a Members,
    pub(super) links: &'a mut Links,
    pub(super) distance: &'a dyn Distance,
    pub(super) knows_distances: bool,
    pub(super) rng: ChaCha8Rng,
    /// Whom the member of the event is linked to already, whatever the plan says.
    pub(super) held: &'a [Slot],
}

impl Draft<'_> {
    /// What a link costs, in µs: its delay, and more where it needs TURN.
    pub(super) fn cost(&self, a: Slot, b: Slot) -> u64 {
        let (at_a, at_b) = (self.members.spot(a), self.members.spot(b));
        let penalty = if at_a.needs_turn(at_b) { limits::TURN_PENALTY.0 } else { 0 };
        let known = self.knows_distances.then(|| self.distance.between(at_a.id(), at_b.id()));
        let distance = known.flatten().or_else(|| at_a.place().way(at_b.place()));
        distance.unwrap_or(limits::DISTANCE_UNKNOWN).0.saturating_add(penalty)
    }

    /// Has what is known of some members at hand, and their links. Each is at another end of memory: here they are waited for
    /// together, where whatever is done to one after another would wait for each.
    pub(super) fn fetch(&self, slots: &[Slot]) {
        self.members.fetch(slots);
        self.links.fetch(slots);
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn draw(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        usize::try_from((u64::from(self.rng.next_u32()) * bound) >> 32).unwrap_or_default()
    }

    /// Whether a plan may link two members: each is told, or they are linked anyway.
    pub(super) fn may_link(&self, a: Slot, b: Slot) -> bool {
        self.members.present(a) && self.members.present(b) || self.links.linked(a, b)
    }
}
