//! Star: one link each, to a relay that has room. Several relays are linked in a tree, and each member hangs on the
//! nearest of them.
//!
//! It is a tree in which only relays have slots. Where these do not suffice, members hang on each other, as in any tree
//! without free slots, until there is room.

use super::{
    Draft, Members, Slot,
    links::Tag,
    stripe::{Class, FREE, Stripe},
};
use crate::limits;

/// The tree of relays, with the members as its leaves.
#[derive(Debug)]
pub(super) struct Star {
    tree: Stripe,
}

impl Star {
    pub(super) fn new() -> Star {
        Star { tree: Stripe::new(Tag::Star, nearest) }
    }

    /// How many members hang on a relay at most: some of its links are for other relays.
    pub(super) fn capacity(members: &Members, slot: Slot) -> u16 {
        let profile = members.profile(slot);
        let relays = profile.relay && !members.draining(slot);
        if relays { profile.max_links.saturating_sub(limits::RELAY_FAN + 1).max(1) } else { 0 }
    }

    pub(super) fn join(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        self.enter(draft, slot);
        if Star::capacity(draft.members, slot) > 0 {
            // It takes over from those that have waited for it.
            for leaving in draft.members.leaving() {
                self.tree.lift(draft.members, leaving);
                self.tree.drain(draft, leaving);
            }
        }
        self.improve(draft);
    }

    pub(super) fn back(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        if self.tree.knows(slot) {
            self.tree.back(draft, slot);
        } else {
            self.enter(draft, slot);
        }
        self.improve(draft);
    }

    pub(super) fn leave(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        self.tree.leave(draft, slot);
        self.improve(draft);
    }

    pub(super) fn lift(&mut self, draft: &Draft<'_>, slot: Slot) {
        self.tree.lift(draft.members, slot);
    }

    pub(super) fn drain(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        self.tree.drain(draft, slot);
    }

    pub(super) fn reshape(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        self.tree.set_slots(draft.members, slot, Star::capacity(draft.members, slot));
        self.improve(draft);
    }

    pub(super) fn adopt(&mut self, draft: &mut Draft<'_>, slot: Slot) -> bool {
        self.tree.adopt(draft, slot)
    }

    /// Moves some members to nearer relays, as when a relay came after them.
    pub(super) fn tick(&mut self, draft: &mut Draft<'_>) {
        for _ in 0..limits::TICK_TENDED {
            self.improve(draft);
            let Some(slot) = draft.members.draw(&mut draft.rng) else { return };
            if Star::capacity(draft.members, slot) > 0 || !self.tree.placed(slot) {
                continue;
            }
            let nearest = nearest(&self.tree, draft, slot);
            let cost = |peer: Option<Slot>| peer.map_or(u64::MAX, |peer| draft.cost(slot, peer));
            let (now, then) = (cost(self.tree.parent(slot)), cost(nearest));
            if then.saturating_add(limits::NEARER.0) < now {
                self.tree.rehome(draft, slot, false);
            }
        }
    }

    pub(super) fn tree(&self) -> &Stripe {
        &self.tree
    }

    fn enter(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        let slots = Star::capacity(draft.members, slot);
        self.tree.enter(draft, slot, slots);
    }

    /// Makes a relay the root where there is one, then moves one member from another member to a relay.
    fn improve(&mut self, draft: &mut Draft<'_>) {
        self.tree.abdicate(draft);
        if FREE.iter().any(|class| self.tree.class(*class).next().is_some())
            && let Some(child) = self.tree.burden(draft)
        {
            self.tree.rehome(draft, child, false);
        }
    }
}

/// The relay for a member: the least distance counts, then the least load. A relay may use the links that are set aside
/// for relays.
fn nearest(tree: &Stripe, draft: &mut Draft<'_>, slot: Slot) -> Option<Slot> {
    let relay = Star::capacity(draft.members, slot) > 0;
    let full = tree.class(Class::Full).chain(tree.class(Class::Laden)).filter(|full| relay && tree.slots(*full) > 0);
    let relays = FREE.into_iter().flat_map(|class| tree.class(class)).chain(full).take(limits::RELAYS_COMPARED);
    let fan = |peer: Slot| {
        if !relay {
            return 0;
        }
        tree.children(draft.links, peer).filter(|child| tree.slots(*child) > 0).count()
    };
    let fits = relays.filter(|peer| !relay || fan(*peer) < usize::from(limits::RELAY_FAN));
    fits.min_by_key(|peer| {
        (if relay { u64::from(tree.depth(*peer)) } else { draft.cost(slot, *peer) }, tree.load(*peer), *peer)
    })
}
