//! Forest: trees over the whole room, one for each stripe of the traffic, in which nobody has children in more than one
//! tree. Castro et al., "SplitStream: High-Bandwidth Multicast in Cooperative Environments", SOSP 2003. With one stripe
//! it is the topology `tree`.
//!
//! A member has as many slots for children as its uplink carries, all in its *home*: the stripe that lacked slots most
//! when it came. Each child also has links to *backup parents*, members not below it, which carry only what it asks
//! for, so that it goes on at once when its parent is gone.

use super::{
    Draft, Slot,
    links::{BACKUPS, STRIPES, Tag},
    stripe::{Class, FREE, Stripe},
};
use crate::limits;

/// The stripes of a room.
#[derive(Debug)]
pub(super) struct Forest {
    stripes: Vec<Stripe>,
    homes: Vec<u8>,
    /// What is published, rounded up to a power of two, so that not each change of it changes all slots.
    rate_kbps: u32,
    turns: usize,
    cursor: u32,
}

impl Forest {
    pub(super) fn new(stripes: usize, rate_kbps: u32) -> Forest {
        let stripes =
            (0..stripes.clamp(1, limits::STRIPES_MAX)).map(|number| Stripe::new(Tag::Stripe(number), shallowest));
        let mut forest = Forest { stripes: stripes.collect(), homes: Vec::new(), rate_kbps: 1, turns: 0, cursor: 0 };
        forest.set_rate(rate_kbps);
        forest
    }

    /// What all publishers send together. Members' slots follow one after another, with the events.
    pub(super) fn set_rate(&mut self, rate_kbps: u32) {
        self.rate_kbps = rate_kbps.max(1).checked_next_power_of_two().unwrap_or(u32::MAX);
    }

    /// How many children a member can have.
    pub(super) fn capacity(&self, draft: &Draft<'_>, slot: Slot) -> u16 {
        let profile = draft.members.profile(slot);
        if profile.turn || draft.members.draining(slot) {
            return 0;
        }
        let stripes = self.stripes.len() as u64;
        // A parent in each stripe, and the backup parents; but a tree that does not branch would be a chain.
        let others = u16::try_from(self.stripes.len() + limits::BACKUP_PARENTS).unwrap_or(u16::MAX);
        let links = profile.max_links.saturating_sub(others).max(2);
        let uplink = u64::from(profile.uplink_kbps) * stripes * 7 / (10 * u64::from(self.rate_kbps));
        u16::try_from(uplink).unwrap_or(u16::MAX).min(links)
    }

    pub(super) fn join(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        self.enter(draft, slot);
        self.tend(draft, slot);
        self.go_on(draft);
    }

    pub(super) fn back(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        if self.stripes.iter().all(|stripe| !stripe.knows(slot)) {
            self.enter(draft, slot);
        } else {
            for number in 0..self.stripes.len() {
                self.find_room(draft, number);
                self.stripes[number].back(draft, slot);
            }
        }
        self.tend(draft, slot);
        self.go_on(draft);
    }

    pub(super) fn leave(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        let backup_of = |peer: &Slot| draft.links.tags(slot, *peer) & Tag::Backup { lower: *peer < slot }.bit() != 0;
        let bereft: Vec<Slot> = draft.links.among(slot, BACKUPS).filter(backup_of).collect();
        let backups: Vec<Slot> = draft.links.among(slot, BACKUPS).collect();
        for peer in backups {
            draft.links.clear(slot, peer, BACKUPS);
        }
        for number in 0..self.stripes.len() {
            if self.stripes[number].knows(slot) && self.stripes[number].has_children(slot) {
                self.find_room(draft, number);
            }
            self.stripes[number].leave(draft, slot);
        }
        for child in bereft {
            self.tend(draft, child);
        }
        self.go_on(draft);
    }

    pub(super) fn lift(&mut self, draft: &Draft<'_>, slot: Slot) {
        for stripe in &mut self.stripes {
            stripe.lift(draft.members, slot);
        }
    }

    pub(super) fn drain(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        let backups: Vec<Slot> = draft.links.among(slot, BACKUPS).collect();
        for peer in &backups {
            draft.links.take(slot, *peer, Tag::Parting);
            draft.links.clear(slot, *peer, BACKUPS);
        }
        for stripe in &mut self.stripes {
            stripe.drain(draft, slot);
        }
        for peer in backups {
            self.tend(draft, peer);
        }
    }

    pub(super) fn reshape(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        self.reslot(draft, slot);
        for stripe in &mut self.stripes {
            stripe.abdicate(draft);
        }
        self.tend(draft, slot);
        self.go_on(draft);
    }

    pub(super) fn adopt(&mut self, draft: &mut Draft<'_>, slot: Slot) -> bool {
        self.stripes.iter_mut().all(|stripe| stripe.adopt(draft, slot))
    }

    pub(super) fn tick(&mut self, draft: &mut Draft<'_>) {
        for _ in 0..limits::TICK_TENDED {
            self.go_on(draft);
        }
    }

    pub(super) fn stripes(&self) -> &[Stripe] {
        &self.stripes
    }

    fn enter(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        let poorest = (0..self.stripes.len()).min_by_key(|number| self.stripes[*number].room).unwrap_or_default();
        self.set_home(slot, poorest);
        let slots = self.capacity(draft, slot);
        self.stripes[poorest].enter(draft, slot, slots);
        for number in (0..self.stripes.len()).filter(|number| *number != poorest) {
            self.find_room(draft, number);
            self.stripes[number].enter(draft, slot, 0);
        }
    }

    /// Where a stripe has no free slot, a childless member of the richest stripe moves its slots here.
    fn find_room(&mut self, draft: &Draft<'_>, number: usize) {
        if FREE.iter().any(|class| self.stripes[number].class(*class).next().is_some()) {
            return;
        }
        let richest = (0..self.stripes.len()).max_by_key(|other| self.stripes[*other].room);
        let Some(richest) = richest.filter(|other| *other != number) else { return };
        let able = self.stripes[richest].class(Class::Able).rev().take(limits::PARENT_SAMPLES);
        let moves = able
            .filter(|able| self.stripes[number].placed(*able))
            .max_by_key(|able| self.stripes[richest].slots(*able));
        if let Some(moved) = moves {
            self.stripes[richest].set_slots(draft.members, moved, 0);
            self.set_home(moved, number);
            let slots = self.capacity(draft, moved);
            self.stripes[number].set_slots(draft.members, moved, slots);
        }
    }

    /// What each event does beside what it is about: one member is looked at, and one improving move made.
    fn go_on(&mut self, draft: &mut Draft<'_>) {
        let slot = Slot(self.cursor);
        self.cursor = if (self.cursor as usize) + 1 < self.homes.len() { self.cursor + 1 } else { 0 };
        if self.stripes[0].placed(slot) {
            self.reslot(draft, slot);
            self.tend(draft, slot);
        }
        self.turns = (self.turns + 1) % self.stripes.len();
        let stripe = self.turns;
        self.stripes[stripe].improve(draft);
    }

    fn reslot(&mut self, draft: &Draft<'_>, slot: Slot) {
        let slots = self.capacity(draft, slot);
        let home = self.home(slot);
        self.stripes[home].set_slots(draft.members, slot, slots);
    }

    fn home(&self, slot: Slot) -> usize {
        self.homes.get(slot.index()).map_or(0, |home| usize::from(*home))
    }

    fn set_home(&mut self, slot: Slot, stripe: usize) {
        if self.homes.len() <= slot.index() {
            self.homes.resize(slot.index() + 1, 0);
        }
        self.homes[slot.index()] = u8::try_from(stripe).unwrap_or_default();
    }

    /// Sees to it that a member has backup parents which are of use to it, as far as links are to be had.
    fn tend(&mut self, draft: &mut Draft<'_>, slot: Slot) {
        let home = &self.stripes[self.home(slot)];
        let is_there = home.placed(slot) && draft.members.present(slot) && !draft.members.draining(slot);
        if !is_there || home.root() == Some(slot) {
            return;
        }
        let tag = |peer: Slot| Tag::Backup { lower: slot < peer };
        let backups: Vec<Slot> = draft
            .links
            .among(slot, BACKUPS)
            .filter(|peer| draft.links.tags(slot, *peer) & tag(*peer).bit() != 0)
            .collect();
        let mut count = backups.len();
        for peer in backups {
            if draft.links.tags(slot, peer) & STRIPES != 0 || draft.members.draining(peer) || home.is_under(peer, slot)
            {
                draft.links.give_back(slot, peer, tag(peer));
                count -= 1;
            }
        }
        let parent = home.parent(slot);
        for last in [false, true] {
            for _ in 0..limits::BACKUP_TRIES {
                if count >= limits::BACKUP_PARENTS || self.links(draft, slot) == 0 {
                    return;
                }
                let Some(peer) = draft.members.draw(&mut draft.rng) else { return };
                // Who is not deeper is not below. A sibling loses its parent at the same time.
                let better = home.placed(peer) && home.depth(peer) <= home.depth(slot) && home.parent(peer) != parent;
                let of_use = peer != slot
                    && (better || last && home.placed(peer) && !home.is_under(peer, slot))
                    && (self.stripes.len() == 1 || last || self.stripes.iter().any(|stripe| stripe.has_children(peer)));
                if of_use
                    && !draft.members.draining(peer)
                    && draft.links.tags(slot, peer) & (STRIPES | BACKUPS) == 0
                    && self.links(draft, peer) > 0
                {
                    draft.links.take(slot, peer, tag(peer));
                    count += 1;
                }
            }
        }
    }

    /// How many more links a member may have for backups: one stays free.
    fn links(&self, draft: &Draft<'_>, slot: Slot) -> usize {
        let links = draft.links.among(slot, STRIPES | BACKUPS).count();
        usize::from(draft.members.profile(slot).max_links).saturating_sub(links + 1)
    }
}

/// The free slots nearest to the root are the best; among them the nearest.
fn shallowest(stripe: &Stripe, draft: &mut Draft<'_>, slot: Slot) -> Option<Slot> {
    stripe.nearest_of_shallowest(draft, slot, &FREE)
}
