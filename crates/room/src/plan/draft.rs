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
    pub(super) rng: ChaCha8Rng,
    /// Whom the member of the event is linked to already, whatever the plan says.
    pub(super) held: &'a [Slot],
}

impl Draft<'_> {
    /// What a link costs, in µs: its delay, and more where it needs TURN.
    pub(super) fn cost(&self, a: Slot, b: Slot) -> u64 {
        let (of_a, of_b) = (self.members.profile(a), self.members.profile(b));
        let turn = of_a.turn || of_b.turn || of_a.symmetric_nat && of_b.symmetric_nat;
        let penalty = if turn { limits::TURN_PENALTY.0 } else { 0 };
        let distance = self.distance.between(self.members.id(a), self.members.id(b));
        let distance = distance.or_else(|| self.members.place(a).way(self.members.place(b)));
        distance.unwrap_or(limits::DISTANCE_UNKNOWN).0.saturating_add(penalty)
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
