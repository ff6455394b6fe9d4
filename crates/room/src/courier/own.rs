//! What this member says itself.

use super::*;

impl Courier {
    /// Whether one more message to the room, or to a member, may wait for its turn.
    pub fn has_room_for(&self, to: Option<MemberId>, payload: usize) -> bool {
        let s = self.by_id.get(&StreamId { origin: self.this, to });
        s.is_none_or(|s| self.streams[*s].waiting.has_room_for(payload))
    }

    /// Whether messages wait for room in a log.
    pub fn is_waiting(&self) -> bool {
        self.streams.iter().any(|(_, stream)| !stream.waiting.is_empty())
    }

    /// Bytes, with overhead, that are kept of what this member said.
    pub fn kept(&self) -> usize {
        self.streams.iter().filter(|(_, stream)| stream.is_own()).map(|(_, stream)| stream.log.bytes()).sum()
    }

    /// Whether everybody who can be reached has all that this member said.
    pub fn is_flushed(&self) -> bool {
        self.streams.iter().filter(|(_, stream)| stream.is_own()).all(|(s, stream)| {
            let behind = |(at, link): (usize, &Link)| {
                !link.suspect && self.pushes(at, s) && link.ends_of(s).theirs.max(1) < stream.next()
            };
            let owed = match stream.kind {
                Kind::Own => self.expected.values().flatten().any(|expected| expected.from < stream.next()),
                _ => stream.toward.is_none() && !stream.log.is_empty(),
            };
            stream.waiting.is_empty() && !owed && !self.links.iter().any(behind)
        })
    }

    /// Whether all that was said to the room and came here before `until` is where it should go on to: those whom this member
    /// sends it have it, and the others had time to ask for it.
    pub fn is_passed_on(&self, now: Time, until: Time) -> bool {
        let is_awaited = |at: usize, link: &Link, s: usize, stream: &Stream| {
            let may_ask = self.pushes(at, s) || now < link.opened + limits::LEAVE_LINGER;
            may_ask && stream.has_begun() && link.ends_of(s).theirs.max(1) < stream.log.first_since(until)
        };
        let mut streams = self.streams.iter().filter(|(_, stream)| matches!(stream.kind, Kind::Own | Kind::Room));
        streams
            .all(|(s, stream)| !self.links.iter().any(|(at, link)| link.is_sound() && is_awaited(at, link, s, stream)))
    }

    /// Says something to the room, or to a member: answered by [`Event::Sent`] where it has a ticket.
    pub fn send(&mut self, now: Time, to: Option<MemberId>, ticket: Option<u64>, head: Head, payload: Bytes) {
        self.now = now;
        let Some(s) = to.map_or(Some(self.own), |to| self.addressed_to(to)) else { return };
        self.streams[s].waiting.push(ticket, head, payload);
        self.fill(s);
    }

    /// Says something to the room and gives the number of its last chunk; `None` where the log is full.
    pub fn publish(&mut self, now: Time, head: &Head, payload: Bytes) -> Option<u64> {
        if !self.streams[self.own].waiting.is_empty() || self.streams[self.own].log.bytes() >= limits::OUTBOX_MAX {
            self.now = now;
            self.fill_own();
        }
        if self.streams[self.own].log.bytes() >= limits::OUTBOX_MAX {
            return None;
        }
        self.send(now, None, None, head.clone(), payload);
        Some(self.streams[self.own].next() - 1)
    }

    /// A member is owed what this one says from now on over a link of their own, also while there is none.
    pub fn expect(&mut self, now: Time, peer: MemberId) {
        self.expect_from(now, peer, self.streams[self.own].next());
    }

    /// The same of what was said since a time, or of all that is kept: it was to come by others, and may not have.
    pub fn expect_since(&mut self, now: Time, peer: MemberId, since: Option<Time>) {
        let log = &self.streams[self.own].log;
        self.expect_from(now, peer, since.map_or(log.first(), |since| log.first_since(since)));
    }

    fn expect_from(&mut self, now: Time, peer: MemberId, from: u64) {
        let linked = self.by_peer.get(&peer).is_some_and(|at| self.links[*at].open);
        let expected = self.expected.entry(peer);
        let expected = expected.or_insert((!linked).then_some(Expected { from, since: now, until: None }));
        expected.iter_mut().for_each(|expected| expected.until = None);
    }

    /// A member gets this one's stream from others where there is no link to it. What it was owed until now, and had no link
    /// to get it by, is kept for a while: others may not have kept it.
    pub fn expect_no_more(&mut self, now: Time, peer: MemberId) {
        self.now = now;
        let next = self.streams[self.own].next();
        match self.expected.get_mut(&peer) {
            Some(Some(expected)) if expected.from < next => {
                let until = *expected.until.get_or_insert(now + limits::STALL_LINKING);
                self.sweep_by(until);
            }
            Some(_) => {
                self.expected.remove(&peer);
                self.fill_own();
            }
            None => {}
        }
    }

    /// Moves what waits into the log, and lets go of what everybody has, as long as either helps.
    pub(super) fn fill(&mut self, s: usize) {
        loop {
            let stream = &mut self.streams[s];
            let before = stream.log.next();
            let sent = stream.waiting.fill(stream.id, &mut stream.log, &mut self.stamp, self.now);
            self.events.extend(sent.into_iter().map(|ticket| Event::Sent { ticket }));
            let stream = &mut self.streams[s];
            if stream.log.next() > before {
                stream.fresh_at = self.now;
                self.unseal(s);
                self.sweep_by(self.now + limits::SWEEP_EVERY);
                self.spread(s, None);
                self.want_route(s);
            }
            if self.streams[s].waiting.is_empty() {
                return;
            }
            self.pass_over_laggards(s);
            let first = self.streams[s].log.first();
            self.trim(s);
            if self.streams[s].log.first() == first {
                return;
            }
        }
    }

    pub(super) fn fill_own(&mut self) {
        if !self.streams[self.own].waiting.is_empty() {
            self.fill(self.own);
        }
    }

    /// Lets go of all that waits; gives the tickets.
    pub fn close(&mut self) -> Vec<u64> {
        self.streams.iter_mut().flat_map(|(_, stream)| stream.waiting.clear()).collect()
    }

    /// The application was given a message with a payload of `bytes`: until it has taken it, its origin's link is held back.
    pub fn hold(&mut self, origin: MemberId, bytes: usize) {
        if let Some(unconsumed) = self.unconsumed.get_mut(&origin) {
            unconsumed.cost += cost(bytes);
        }
    }

    /// The application took a message with a payload of `bytes`.
    pub fn consumed(&mut self, now: Time, origin: MemberId, bytes: usize) {
        self.now = now;
        let Some(unconsumed) = self.unconsumed.get_mut(&origin) else { return };
        unconsumed.cost = unconsumed.cost.saturating_sub(cost(bytes));
        let link = unconsumed.link;
        self.grant(link);
    }
}
