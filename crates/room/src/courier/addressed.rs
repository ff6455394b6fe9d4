//! What is said to one member only, by way of others where there is no link to it.
//!
//! A route is named by its origin, link by link: ROUTE tells the next member to whom it passes the stream on, and the rest
//! of the way. Each keeps what the next has not acknowledged, and acknowledges no more than that: so the origin knows what
//! has arrived, and says the rest again where a route breaks.

use super::*;
use crate::wire::frame::Ack;

impl Courier {
    /// Members that what is said to `to` is passed on by, one after another; `to` is the last. False where there is no link
    /// to the first.
    pub fn route(&mut self, now: Time, to: MemberId, path: &[MemberId]) -> bool {
        self.now = now;
        let Some((first, rest)) = path.split_first() else { return false };
        let Some(&at) = self.by_peer.get(first).filter(|at| self.links[**at].open) else { return false };
        let Some(s) = self.stream(StreamId::addressed(self.this, to), Kind::Sent) else { return false };
        let stream = &mut self.streams[s];
        let (cursor, next) = (stream.log.first(), stream.log.next());
        stream.toward = Some(at);
        stream.bereft = false;
        stream.route = rest.to_vec();
        let ends = self.links[at].ends(s);
        (ends.routed, ends.theirs, ends.cursor, ends.moved, ends.proved) = (false, cursor, cursor, now, 0);
        self.unseal(s);
        if cursor < next {
            self.links[at].ready(s);
            self.list(at);
        }
        true
    }

    /// The stream to a member, which begins when something is said to it: most members say nothing to most others.
    pub(super) fn addressed_to(&mut self, to: MemberId) -> Option<usize> {
        let id = StreamId::addressed(self.this, to);
        let known = self.by_id.get(&id).copied();
        known.or_else(|| {
            let s = self.stream(id, Kind::Sent)?;
            self.route(self.now, to, &[to]);
            Some(s)
        })
    }

    /// Something is to go to a member to whom there is no way.
    pub(super) fn want_route(&mut self, s: usize) {
        let stream = &mut self.streams[s];
        if let (Kind::Sent, None, Some(to)) = (stream.kind, stream.toward, stream.id.to)
            && !stream.log.is_empty()
            && !std::mem::replace(&mut stream.bereft, true)
        {
            self.events.push_back(Event::Unroutable { to });
        }
    }

    /// A route over others on which nothing has arrived for too long is no good.
    pub(super) fn doubt_route(&mut self, s: usize) {
        let stream = &self.streams[s];
        let Some(at) = stream.toward.filter(|_| stream.kind == Kind::Sent && !stream.route.is_empty()) else { return };
        let ends = self.links[at].ends_of(s);
        if !stream.log.is_empty() && self.now.since(ends.moved) >= limits::ROUTE_PATIENCE {
            self.streams[s].toward = None;
            self.want_route(s);
        }
    }

    /// What is passed on here and has long been silent makes room for others. Where there is more of it its origin asks for
    /// a way again.
    pub(super) fn retire_route(&mut self, s: usize) {
        let stream = &self.streams[s];
        if stream.kind == Kind::Passing && !stream.is_active(self.now) {
            self.break_route(s);
        }
    }

    /// A link is gone, and with it the ways that went over it.
    pub(super) fn lose_routes(&mut self, at: usize) {
        for s in self.streams.places() {
            let stream = &mut self.streams[s];
            match stream.kind {
                Kind::Sent if stream.toward == Some(at) => {
                    stream.toward = None;
                    self.want_route(s);
                }
                Kind::Passing if stream.toward == Some(at) => self.break_route(s),
                Kind::Passing if stream.parent == Some(at) => self.drop_stream(s),
                _ => {}
            }
        }
    }

    /// What is passed on here cannot be any more: whoever sent it is told.
    fn break_route(&mut self, s: usize) {
        let stream = &self.streams[s];
        let id = stream.id;
        if let Some(at) = stream.parent
            && let Some(link) = self.links.get_mut(at)
        {
            link.control.push_back(Frame::Broken { stream: id });
            self.list(at);
        }
        self.drop_stream(s);
    }

    /// The other end of a link wants an addressed stream passed on, or begins to say something to this member.
    pub(super) fn routed(&mut self, at: usize, id: StreamId, first: u64, path: &[MemberId]) {
        let Some(to) = id.to.filter(|_| id.origin != self.this) else { return };
        if to == self.this {
            let Some(s) = self.stream(id, Kind::Received) else { return };
            let lost = self.streams[s].start(first);
            self.streams[s].parent = Some(at);
            self.lost(s, lost);
            return self.links[at].tell(s, self.now + limits::ACK_DELAY);
        }
        if let Some(s) = self.by_id.get(&id) {
            self.drop_stream(*s);
        }
        let next = path.split_first().and_then(|(next, rest)| {
            let toward = self.by_peer.get(next).copied().filter(|toward| *toward != at && self.links[*toward].open)?;
            Some((toward, rest))
        });
        let s = next.and_then(|next| Some((next, self.stream(id, Kind::Passing)?)));
        let Some(((toward, rest), s)) = s else {
            self.links[at].control.push_back(Frame::Broken { stream: id });
            return self.list(at);
        };
        let stream = &mut self.streams[s];
        stream.log.restart(first.max(1));
        stream.parent = Some(at);
        stream.toward = Some(toward);
        stream.route = rest.to_vec();
        let ends = self.links[toward].ends(s);
        (ends.theirs, ends.cursor) = (first.max(1), first.max(1));
        self.sweep_by(self.now + limits::SWEEP_EVERY);
    }

    /// A member on the way cannot pass a stream on.
    pub(super) fn broken(&mut self, at: usize, id: StreamId) {
        let Some(&s) = self.by_id.get(&id).filter(|s| self.streams[**s].toward == Some(at)) else { return };
        match self.streams[s].kind {
            Kind::Sent => {
                self.streams[s].toward = None;
                self.want_route(s);
            }
            _ => self.break_route(s),
        }
    }

    /// The other end has so much of addressed streams, or whoever it passes them on to.
    pub(super) fn acknowledged(&mut self, at: usize, ack: Ack) -> Result<(), LinkError> {
        let Some(&s) = self.by_id.get(&ack.stream).filter(|s| self.streams[**s].toward == Some(at)) else {
            return Ok(());
        };
        let now = self.now;
        let stream = &self.streams[s];
        if stream.is_own() && ack.next > stream.next() {
            return Err(LinkError::Acknowledged);
        }
        // The addressee may have more than was passed on here, from an earlier way.
        if self.links[at].ends(s).has(ack.next.min(stream.next()), now) {
            self.trim(s);
            if let Some(parent) = self.streams[s].parent {
                self.links[parent].tell(s, now + limits::ACK_DELAY);
                self.list(parent);
            }
            // What is under way over others is bounded: there is room again.
            self.links[at].ready(s);
            self.list(at);
            if self.streams[s].kind == Kind::Sent {
                self.fill(s);
            }
        }
        Ok(())
    }

    /// A chunk that is to be passed on.
    pub(super) fn pass(&mut self, at: usize, s: usize, data: &Data, bytes: Bytes) {
        let stream = &self.streams[s];
        if stream.parent != Some(at) || data.seq != stream.log.next() {
            return;
        }
        self.keep_proof(at, s, data.seq);
        let stream = &mut self.streams[s];
        if stream.log.next() - stream.log.first() >= 2 * limits::ROUTE_CHUNKS {
            return self.break_route(s);
        }
        stream.log.push(bytes, 0, self.now);
        stream.fresh_at = self.now;
        self.spread(s, None);
        self.weigh(s);
    }

    /// How far the addressee of a stream is, as far as is known here.
    pub(super) fn arrived(&self, s: usize) -> u64 {
        let stream = &self.streams[s];
        match stream.toward {
            Some(at) if stream.kind == Kind::Passing => self.links[at].ends_of(s).theirs,
            _ => stream.next(),
        }
    }
}
