//! Links beside those of the plan: some that it has closed stay for a newcomer's sake.
//!
//! Where others' streams begin for it a newcomer learns over its first links, from members that were here before. When many
//! enter at once, the plan soon puts others between it and them. Were its first links closed right then, it might be left among
//! members that entered after it, none of which can tell. So one of them stays, besides those of the plan, until it
//! says that it knows, or has had time enough. Whichever of its ends comes back on another connection meanwhile is told of
//! that link as of any other.
//!
//! So are links that somebody asks for, to members whom its neighbours cannot bring: they stay while they are asked for,
//! and a while longer.

use super::Hub;
use crate::{id::MemberId, limits, plan::LinkOp, time::Time};

impl Hub {
    /// Whether two members are linked: by the plan, or still, for one of them to settle.
    pub(super) fn linked(&self, a: MemberId, b: MemberId) -> bool {
        self.planner.linked(a, b) || self.overlap.contains(&ordered(a, b))
    }

    /// A member knows where the others' streams begin.
    pub(super) fn settled(&mut self, id: MemberId) {
        if let Some(session) = self.roster.get_mut(id)
            && session.settling.take().is_some()
        {
            self.end_overlap();
        }
    }

    /// A member asks for a link to another, as no neighbour of its brings what that one says.
    pub(super) fn rescue(&mut self, now: Time, id: MemberId, origin: MemberId) {
        let is_present = |id| self.roster.get(id).is_some_and(|session| session.conn.is_some());
        if id == origin || !self.is_relayed() || !is_present(id) || !is_present(origin) {
            return;
        }
        let (pair, until) = (ordered(id, origin), now + limits::RESCUE_FOR);
        if let Some(stays) = self.rescues.get_mut(&pair) {
            *stays = until;
            return;
        }
        let count = |id| self.rescues.keys().filter(|(a, b)| *a == id || *b == id).count();
        if count(id).max(count(origin)) >= limits::RESCUE_LINKS || self.overlap.len() >= limits::OVERLAP_MAX {
            return;
        }
        self.rescues.insert(pair, until);
        if !self.linked(id, origin) {
            self.overlap.insert(pair);
            let arrival = |id| self.roster.get(id).map(|session| session.arrival);
            let (offerer, answerer) = if arrival(id) < arrival(origin) { (id, origin) } else { (origin, id) };
            self.tell_changes(&[LinkOp::Open { offerer, answerer }], None);
        }
    }

    /// What members are told of a change of the plan: links that somebody holds on to stay, and take no new streams.
    pub(super) fn with_overlap(&mut self, ops: &[LinkOp]) -> Vec<LinkOp> {
        let mut told = Vec::with_capacity(ops.len());
        for op in ops {
            match *op {
                LinkOp::Close(a, b) if self.overlap.len() < limits::OVERLAP_MAX && self.is_held_on_to(a, b) => {
                    self.overlap.insert(ordered(a, b));
                    told.push(LinkOp::Lazy(a, b));
                }
                LinkOp::Close(a, b) => {
                    self.overlap.remove(&ordered(a, b));
                    told.push(*op);
                }
                // It is there already.
                LinkOp::Open { offerer: a, answerer: b } if self.overlap.remove(&ordered(a, b)) => {}
                _ => told.push(*op),
            }
        }
        told
    }

    /// Ends the time of those who have had enough.
    pub(super) fn tend_overlap(&mut self, now: Time) {
        self.roster.end_settling(now);
        self.rescues.retain(|_, until| *until > now);
        self.end_overlap();
    }

    /// Closes the links that nobody holds on to any more.
    fn end_overlap(&mut self) {
        let over = |(a, b): &&(MemberId, MemberId)| !self.is_held_on_to(*a, *b);
        let over: Vec<_> = self.overlap.iter().filter(over).copied().collect();
        let ops: Vec<LinkOp> = over.iter().map(|(a, b)| LinkOp::Close(*a, *b)).collect();
        for (a, b) in &over {
            self.overlap.remove(&(*a, *b));
        }
        self.tell_changes(&ops, None);
    }

    /// Links of a member that are not the plan's: the other ends, and whether it offers to them.
    pub(super) fn held_by(&self, id: MemberId) -> impl Iterator<Item = (MemberId, bool)> {
        let other = move |(a, b): &(MemberId, MemberId)| if *a == id { Some(*b) } else { (*b == id).then_some(*a) };
        let arrival = |id| self.roster.get(id).map(|session| session.arrival);
        self.overlap.iter().filter_map(other).map(move |peer| (peer, arrival(id) < arrival(peer)))
    }

    /// A member is gone, and its links with it.
    pub(super) fn drop_overlap(&mut self, id: MemberId) {
        self.overlap.retain(|(a, b)| *a != id && *b != id);
        self.rescues.retain(|(a, b), _| *a != id && *b != id);
    }

    fn is_held_on_to(&self, a: MemberId, b: MemberId) -> bool {
        let is_asked_for = || self.rescues.contains_key(&ordered(a, b));
        self.is_relayed() && (is_asked_for() || self.holds_on_to(a, b) || self.holds_on_to(b, a))
    }

    /// Whether a member that has yet to settle needs a link to an earlier one: besides it there are too few such links.
    fn holds_on_to(&self, id: MemberId, peer: MemberId) -> bool {
        let arrival = |id| self.roster.get(id).map(|session| session.arrival);
        let settles =
            |id| self.roster.get(id).is_some_and(|session| session.conn.is_some() && session.settling.is_some());
        if !settles(id) || arrival(peer) >= arrival(id) {
            return false;
        }
        let others = self.planner.links_of(id).chain(self.held_by(id)).map(|(other, _)| other);
        others.filter(|other| *other != peer && arrival(*other) < arrival(id)).count() < limits::ELDERS_HELD
    }
}

fn ordered(a: MemberId, b: MemberId) -> (MemberId, MemberId) {
    if a < b { (a, b) } else { (b, a) }
}
