//! Relays: asking the server for one where a room needs it, and letting them go without anybody's losing anything.

use super::{
    Hub, Output,
    switch::{Move, opened},
};
use crate::{
    id::MemberId,
    limits,
    plan::{Event, LinkOp, NoDistance, Topology},
    time::Time,
    wire::signal::{RefusalCode, Refused},
};

/// Somebody wants a star, for which there is no relay yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    by: MemberId,
    until: Time,
}

impl Hub {
    /// The room is to be a star as soon as there is a relay.
    pub(super) fn await_star(&mut self, now: Time, by: MemberId) {
        self.star = Some(Wish { by, until: now + limits::RELAY_TIMEOUT });
    }

    /// Has the room become a star where the relay is there now; where none came in time, says so.
    pub(super) fn settle_star(&mut self, now: Time) {
        let Some(wish) = self.star else { return };
        if self.planner.offers(Topology::Star) {
            self.pin_to(Some(Topology::Star));
        } else if now >= wish.until {
            self.star = None;
            if let Some(conn) = self.roster.get(wish.by).and_then(|session| session.conn) {
                let message = "the server has no relay to spare, so the room stays as it is";
                let hint = "ask again later, or for `auto`, `mesh`, `small-world` or `tree`";
                self.refuse_message(conn, Refused::of_message(RefusalCode::TopologyUnavailable, message, hint));
            }
        }
    }

    /// Lets the server know whether the room wants a relay of its own. One that came is kept as long as the room is, or is
    /// to be, a star: it takes over when others fail.
    pub(super) fn tend_relay(&mut self, now: Time) {
        let star = self.star.is_some()
            || self.pinned == Some(Topology::Star)
            || self.planner.lacks_relay()
            || [Some(self.planner.topology()), self.planner.switching(), self.planner.retiring()]
                .contains(&Some(Topology::Star));
        let wanted = self.config.relay
            && star
            && self.roster.people() > 0
            && !self.shutting_down
            && (self.wants_relay || !self.planner.offers(Topology::Star));
        if std::mem::replace(&mut self.wants_relay, wanted) != wanted {
            self.relay_due = wanted.then(|| now + limits::RELAY_TIMEOUT);
            self.outputs.push_back(Output::Relay { wanted });
        }
    }

    /// Whether a tree would only take the place of a star whose relay is on its way, in a room that does well meanwhile: it is
    /// no star yet, or one by a relay that will leave.
    pub(super) fn is_stopgap(&self, now: Time, to: Topology) -> bool {
        to == Topology::Tree
            && self.pinned == Some(Topology::Star)
            && (self.planner.topology() != Topology::Star || self.planner.is_anybody_draining())
            && self.relay_due.is_some_and(|due| now < due)
    }

    /// A relay will leave: whoever hangs on it is linked elsewhere first. It leaves when its links are closed.
    pub(super) fn drain(&mut self, now: Time, id: MemberId, conn: super::ConnId) {
        if !self.roster.get(id).is_some_and(|session| session.member.relay) {
            let message = "only a relay is drained";
            let refused = Refused::of_message(RefusalCode::NotAllowed, message, "say leave to leave the room");
            return self.refuse_message(conn, refused);
        }
        if self.planner.is_draining(id) {
            return;
        }
        let ops = self.planner.apply(&Event::Drain(id), &NoDistance);
        self.tell_links(&ops, None);
        // Without links it leaves at once.
        if self.planner.links_of(id).next().is_some() {
            self.give_way(now, &ops);
        }
    }

    /// A relay's links are to go when those that take their place are up, which has as much time as a new topology's has.
    pub(super) fn give_way(&mut self, now: Time, ops: &[LinkOp]) {
        self.moving = match std::mem::replace(&mut self.moving, Move::None) {
            Move::None => Move::retiring(now, ops),
            Move::Committed { mut awaited, .. } => {
                awaited.extend(ops.iter().filter_map(opened));
                Move::Committed { from: now + limits::RETIRE_AFTER, by: now + limits::RETIRE_BY, awaited }
            }
            opening @ Move::Opening { .. } => opening,
        };
        let look = now + limits::SWITCH_LOOK;
        self.plan_at = Some(self.plan_at.map_or(look, |at| at.min(look)));
    }
}
