//! Links to origins, where no neighbour can help.
//!
//! Neighbours keep what they pass on for a while, and those who came later have only what was said since. Whoever has fallen
//! behind all of them, as in a part of the room that was cut off while the rest moved on, asks the hub for a link to the
//! origin: that keeps most of what it says, and knows best where its stream begins.

use super::{stream::Rescue, *};

impl Courier {
    /// Asks for a link to a stream's origin, once no neighbour has been able to bring the stream for a while.
    pub(super) fn look_for_rescue(&mut self, s: usize) {
        let (now, is_beyond) = (self.now, self.is_beyond_reach(s));
        let stream = &mut self.streams[s];
        if !is_beyond {
            stream.rescue = None;
            return;
        }
        let rescue = stream.rescue.get_or_insert(Rescue { since: now, due: now + limits::RESCUE_AFTER });
        if rescue.due <= now {
            rescue.due = now + limits::RESCUE_AGAIN;
            let origin = stream.id.origin;
            self.events.push_back(Event::Unreached { origin });
        }
    }

    /// Whether a stream's origin is there, and may have what is missing here, by all that is known.
    pub(super) fn origin_may_have(&self, s: usize) -> bool {
        let stream = &self.streams[s];
        stream.is_named && stream.forget_at.is_none() && stream.lost_below <= stream.next()
    }

    /// Whether neighbours have some of a member's stream, and none of them what is missing here, and there is no link to its origin.
    fn is_beyond_reach(&self, s: usize) -> bool {
        let stream = &self.streams[s];
        let (next, origin) = (stream.next(), stream.id.origin);
        let may_ask = self.plan.relayed && stream.kind == Kind::Room && self.origin_may_have(s);
        if !may_ask || self.by_peer.get(&origin).is_some_and(|at| self.links[*at].open) {
            return false;
        }
        let mut holders = self.links.iter().filter(|(_, link)| link.is_sound()).map(|(_, link)| link.ends_of(s));
        if !stream.has_begun() {
            // A newcomer's first neighbours are about to tell where it begins.
            let is_late = self.met_at.is_some_and(|met| met + limits::GAP_PATIENCE <= self.now);
            return is_late && holders.any(|ends| ends.theirs > 1);
        }
        let mut holders = holders.filter(|ends| ends.theirs > next).peekable();
        let is_quiet = stream.fresh_at + limits::RESCUE_AFTER <= self.now;
        is_quiet && holders.peek().is_some() && holders.all(|ends| ends.floor > next)
    }
}
