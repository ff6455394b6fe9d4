//! The links that a plan wants, and why.

use std::collections::BTreeMap;

use super::Slot;

/// Why a link is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tag {
    /// Every pair has one.
    Mesh,
}

/// The links of each slot, both ways, with their reasons.
#[derive(Debug, Default)]
pub(super) struct Links {
    of: Vec<BTreeMap<Slot, Vec<Tag>>>,
}

impl Links {
    /// Makes room for a slot.
    pub(super) fn make_room(&mut self, slot: Slot) {
        if self.of.len() <= slot.index() {
            self.of.resize_with(slot.index() + 1, BTreeMap::new);
        }
    }

    /// Wants a link for one more reason; whether it was not wanted before.
    pub(super) fn take(&mut self, a: Slot, b: Slot, tag: Tag) -> bool {
        let mut new = false;
        for (a, b) in [(a, b), (b, a)] {
            let tags = self.of[a.index()].entry(b).or_default();
            new = tags.is_empty();
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        new
    }

    /// Wants a link for one reason less; whether that was the last.
    pub(super) fn give_back(&mut self, a: Slot, b: Slot, tag: Tag) -> bool {
        let mut last = false;
        for (a, b) in [(a, b), (b, a)] {
            if let Some(tags) = self.of[a.index()].get_mut(&b) {
                tags.retain(|held| *held != tag);
                last = tags.is_empty();
                if last {
                    self.of[a.index()].remove(&b);
                }
            }
        }
        last
    }

    pub(super) fn linked(&self, a: Slot, b: Slot) -> bool {
        self.of[a.index()].contains_key(&b)
    }

    /// The other ends of a slot's links.
    pub(super) fn of(&self, slot: Slot) -> impl Iterator<Item = Slot> {
        self.of[slot.index()].keys().copied()
    }
}
