//! What is kept of streams, for whom, and when it is let go of.

use super::*;

impl Courier {
    /// A member is gone: what a survivor has of its stream the others get, and then it is forgotten.
    pub fn gone(&mut self, now: Time, id: MemberId) {
        self.now = now;
        let Some(s) = self.stream(StreamId::room(id), Kind::Room).filter(|s| *s != self.own) else { return };
        self.streams[s].forget_at = Some(now + limits::FIN_GRACE);
        for at in self.links.places() {
            let link = &mut self.links[at];
            if link.peer != id && link.open {
                link.tell(s, now);
                self.list(at);
            }
        }
        self.sweep_by(now + limits::FIN_GRACE);
    }

    /// Forgets a member that is gone at once. Gives the tickets of messages to it that were not taken yet.
    pub fn forget(&mut self, now: Time, id: MemberId) -> Vec<u64> {
        self.now = now;
        let mut position = Position::default();
        let mut unsent = Vec::new();
        let mut theirs = Vec::new();
        for stream in [StreamId::room(id), StreamId::addressed(id, self.this), StreamId::addressed(self.this, id)] {
            let Some(&s) = self.by_id.get(&stream).filter(|s| **s != self.own) else { continue };
            let stream = &mut self.streams[s];
            match stream.kind {
                Kind::Room => {
                    position.room = stream.window.next().or(stream.first());
                    theirs = self.links.iter().map(|(at, link)| (at, link.ends_of(s).theirs)).collect();
                }
                Kind::Received => position.received = stream.window.next(),
                _ => position.sent = Some(stream.log.next()),
            }
            unsent.extend(stream.waiting.clear());
            self.drop_stream(s);
        }
        self.unconsumed.remove(&id);
        self.expected.remove(&id);
        self.forget_key(id);
        if !self.has_departed(id) {
            if self.departed.len() >= limits::DEPARTED_MAX
                && let Some((oldest, _)) = self.departed.pop_front()
            {
                for (_, link) in self.links.iter_mut() {
                    link.departed.remove(&oldest);
                }
            }
            self.departed.push_back((id, position));
            theirs.into_iter().for_each(|(at, next)| self.told_of_departed(at, id, None, next));
        }
        self.settle_beginnings();
        self.fill_own();
        unsent
    }

    /// Looks after caches, laggards, lost routes and streams of those who went.
    pub(super) fn sweep(&mut self) {
        self.sweep_at = None;
        let cached = self.streams.iter().filter(|(_, stream)| !stream.log.is_empty()).count();
        self.share = limits::CACHE_BYTES.min(limits::CACHE_TOTAL / cached.max(1));
        for s in self.streams.places() {
            let Some(stream) = self.streams.get(s) else { continue };
            // Somebody who was gone before this member came, of whom others had not forgotten everything.
            let stranger = self.names_members && stream.kind == Kind::Room && !stream.is_named;
            if stream.forget_at.is_some_and(|due| due <= self.now) || (stranger && !stream.is_active(self.now)) {
                let origin = stream.id.origin;
                self.forget(self.now, origin);
                continue;
            }
            self.drop_strangers(s);
            self.pass_over_laggards(s);
            self.trim(s);
            self.doubt_route(s);
            self.retire_route(s);
            // A route may have been retired.
            if self.streams.get(s).is_some() {
                self.look_for_rescue(s);
            }
        }
        let now = self.now;
        self.expected
            .retain(|_, expected| expected.and_then(|expected| expected.until).is_none_or(|until| until > now));
        self.fill_own();
        let is_kept = |stream: &Stream| {
            let is_looked_after = stream.forget_at.is_some() || stream.rescue.is_some();
            !stream.log.is_empty() || is_looked_after || stream.kind == Kind::Passing
        };
        if self.streams.iter().any(|(_, stream)| is_kept(stream)) {
            self.sweep_by(self.now + limits::SWEEP_EVERY);
        }
    }

    pub(super) fn drop_stream(&mut self, s: usize) {
        let Some(stream) = self.streams.remove(s) else { return };
        self.by_id.remove(&stream.id);
        self.forget_proofs(s);
        self.laden.remove(&s);
        if let Some(repair) = stream.repair {
            self.repairs.remove(&(repair.due, s));
        }
        for (_, link) in self.links.iter_mut() {
            link.forget(s);
        }
        if let Some(parent) = stream.parent {
            self.grant(parent);
        }
    }

    /// Lets go of what everybody has whom it is pushed to: of a room's stream as far as it is too old or too much, of an
    /// addressed one at once.
    pub(super) fn trim(&mut self, s: usize) {
        let stream = &self.streams[s];
        // Most streams have nothing to let go of most of the time.
        if stream.log.is_empty() {
            let stream = &mut self.streams[s];
            stream.proofs.trim(stream.log.first());
            return self.weigh(s);
        }
        let share = if stream.kind == Kind::Own { limits::CACHE_OWN } else { self.share };
        if matches!(stream.kind, Kind::Own | Kind::Room) && !stream.log.is_ripe(share, self.now) {
            return self.weigh(s);
        }
        let followers = self.links.iter().filter(|(at, _)| self.pushes(*at, s)).map(|(_, link)| link.ends_of(s));
        let floor = followers.filter(|ends| !ends.passed_over).map(|ends| ends.theirs).min();
        let expected = || self.expected.values().flatten().map(|expected| expected.from).min();
        let expected = if stream.kind == Kind::Own { expected() } else { None };
        let now = self.now;
        match stream.kind {
            Kind::Own | Kind::Room => {
                let floor = floor.into_iter().chain(expected).min().unwrap_or(u64::MAX);
                self.streams[s].log.trim(floor, share, now);
            }
            Kind::Sent | Kind::Passing => self.streams[s].log.trim_to(floor.unwrap_or(0)),
            Kind::Received => {}
        }
        let stream = &mut self.streams[s];
        stream.proofs.trim(stream.log.first());
        self.weigh(s);
    }

    /// Whoever has not got on for too long holds a stream back no longer.
    pub(super) fn pass_over_laggards(&mut self, s: usize) {
        let stream = &self.streams[s];
        let first = stream.log.first();
        let full = match stream.kind {
            Kind::Own => !stream.waiting.is_empty(),
            Kind::Room => stream.log.overhang(self.share) > 0,
            _ => false,
        };
        if !full {
            return;
        }
        for at in self.links.places() {
            let link = &self.links[at];
            let ends = link.ends_of(s);
            if ends.theirs > first || ends.passed_over || !self.pushes(at, s) {
                continue;
            }
            let patience = ends.moved + limits::STALL_OPEN;
            if link.suspect || patience <= self.now {
                self.links[at].ends(s).passed_over = true;
            } else {
                self.sweep_by(patience);
            }
        }
        if self.streams[s].kind == Kind::Own {
            let now = self.now;
            let end = |expected: &Expected| expected.since + limits::STALL_LINKING;
            let waits = |expected: &Expected| expected.from > first || end(expected) > now;
            self.expected.values_mut().for_each(|expected| *expected = expected.filter(waits));
            let due = self.expected.values().flatten().filter(|expected| expected.from <= first).map(end).min();
            due.into_iter().for_each(|due| self.sweep_by(due));
        }
    }

    /// Notes whether a stream holds back whoever sends it, and lets that one know.
    pub(super) fn weigh(&mut self, s: usize) {
        let heavy = self.weight(s) > 0;
        let was_heavy = if heavy { !self.laden.insert(s) } else { self.laden.remove(&s) };
        if was_heavy && let Some(parent) = self.streams[s].parent {
            self.grant(parent);
        }
    }

    /// What a stream keeps that has yet to go on, of what its parent sent.
    pub(super) fn weight(&self, s: usize) -> u64 {
        let stream = &self.streams[s];
        match stream.kind {
            Kind::Room => stream.log.overhang(self.share),
            Kind::Passing => stream.log.bytes() as u64,
            _ => 0,
        }
    }
}
