//! What goes over a link.

use bytes::BytesMut;

use super::*;
use crate::wire::frame::Ack;

impl Courier {
    /// The next packet for the other end of a link, as far as its credit and its send buffer allow.
    pub fn next_packet(&mut self, now: Time, peer: MemberId) -> Option<Bytes> {
        let mut packet = BytesMut::new();
        let at = *self.by_peer.get(&peer)?;
        while let Some(frame) = self.links[at].spilt.take().or_else(|| self.next_frame(now, peer)) {
            if !packet.is_empty() && packet.len() + frame.len() > limits::PACKET_TARGET {
                self.links[at].spilt = Some(frame);
                self.list(at);
                break;
            }
            frame::push_frame(&mut packet, &frame);
        }
        (!packet.is_empty()).then(|| packet.freeze())
    }

    /// The next frame alone.
    pub fn next_frame(&mut self, now: Time, peer: MemberId) -> Option<Bytes> {
        self.now = now;
        let at = *self.by_peer.get(&peer)?;
        let link = &mut self.links[at];
        let frame = match link.control.pop_front() {
            Some(frame) => frame.encode(),
            None if !link.open => return None,
            None => match self.news(at) {
                Some(frame) => frame.encode(),
                None => self.chunk(at)?,
            },
        };
        self.links[at].buffered += frame.len();
        Some(frame)
    }

    /// How far this member is, where that is to be told now.
    fn news(&mut self, at: usize) -> Option<Frame> {
        let link = &mut self.links[at];
        if link.tell_at.is_none_or(|due| due > self.now) {
            return None;
        }
        link.untold = 0;
        let (mut haves, mut acks) = (Vec::new(), Vec::new());
        for s in link.take_telling(self.now) {
            let (stream, offer) = (&self.streams[s], self.offer(s));
            let link = &mut self.links[at];
            let is_origin = link.peer == stream.id.origin;
            let ends = link.ends(s);
            ends.in_telling = false;
            let acknowledges = stream.parent == Some(at);
            match stream.kind {
                Kind::Received | Kind::Passing if acknowledges => {
                    acks.push(Ack { stream: stream.id, next: self.arrived(s) });
                }
                Kind::Own | Kind::Room if stream.has_begun() && stream.next() > 1 => {
                    // Whoever has as much, and is not waiting for an acknowledgement, need not be told.
                    let next = if acknowledges || is_origin { stream.next() } else { offer };
                    let news = ends.theirs < next || stream.claim().is_news_to(ends.told);
                    if acknowledges || news {
                        ends.told = stream.claim();
                        haves.push(stream.have(next));
                    }
                }
                _ => {}
            }
        }
        self.counters.told += haves.len() as u64;
        let control = &mut self.links[at].control;
        control.extend(haves.chunks(limits::HOLDINGS_MAX).map(|haves| Frame::Have(haves.to_vec())));
        control.extend(acks.chunks(limits::HOLDINGS_MAX).map(|acks| Frame::Ack(acks.to_vec())));
        control.pop_front()
    }

    /// The next chunk of the streams that the other end is to be sent, which take turns.
    fn chunk(&mut self, at: usize) -> Option<Bytes> {
        loop {
            let link = &self.links[at];
            if link.buffered >= limits::LINK_PAUSE {
                return None;
            }
            let s = *link.ready.front()?;
            if !self.has_more(at, s) {
                self.prove(at, s);
                let link = &mut self.links[at];
                link.ready.pop_front();
                link.ends(s).in_ready = false;
                continue;
            }
            let s = self.first_said(at, s);
            if !self.has_chunk(at, s) {
                return self.proof(at, s);
            }
            let (log, cursor) = (&self.streams[s].log, self.links[at].ends_of(s).cursor);
            // What comes before a chunk goes when the chunk can go: a laggard is told once of what it missed.
            let Some(frame) = log.frame(cursor.max(log.first())).cloned() else { return self.before(at, s, cursor) };
            let price = cost(frame.len());
            if self.links[at].spent + price > self.links[at].credit {
                return None;
            }
            if let Some(frame) = self.before(at, s, cursor) {
                return Some(frame);
            }
            if self.due_proof(at, s).is_some() {
                return self.proof(at, s);
            }
            let link = &mut self.links[at];
            link.spent += price;
            link.ends(s).cursor += 1;
            link.ready.rotate_left(1);
            self.counters.pushed += 1;
            return Some(frame);
        }
    }

    /// What shows whose chunks are that come next, or came.
    fn proof(&mut self, at: usize, s: usize) -> Option<Bytes> {
        let (first, frame) = self.due_proof(at, s).map(|proof| (proof.first(), proof.frame.clone()))?;
        let link = &mut self.links[at];
        if link.spent + cost(frame.len()) > link.credit {
            return None;
        }
        link.spent += cost(frame.len());
        link.ends(s).proved = first;
        Some(frame)
    }

    /// Whether there is something of a stream to push.
    fn has_more(&self, at: usize, s: usize) -> bool {
        let pushes = self.streams.get(s).is_some() && self.pushes(at, s);
        pushes && (self.has_chunk(at, s) || self.due_proof(at, s).is_some())
    }

    /// Whether there is a chunk of a stream that is pushed here.
    fn has_chunk(&self, at: usize, s: usize) -> bool {
        let stream = &self.streams[s];
        let ends = self.links[at].ends_of(s);
        if ends.cursor.max(1) >= stream.next() || !self.is_proved(s, ends.cursor) {
            return false;
        }
        // Whoever passes it on keeps it until it has arrived.
        let over_others = matches!(stream.kind, Kind::Sent | Kind::Passing) && !stream.route.is_empty();
        !over_others || ends.cursor - ends.theirs < limits::ROUTE_CHUNKS
    }

    /// Of what this member says to the room and what it says to the other end only, that which it said first.
    fn first_said(&self, at: usize, s: usize) -> usize {
        let (this, peer) = (self.this, self.links[at].peer);
        let other = match self.streams[s].kind {
            Kind::Own => self.by_id.get(&StreamId::addressed(this, peer)).copied(),
            Kind::Sent if self.streams[s].id.to == Some(peer) => Some(self.own),
            _ => None,
        };
        let Some(other) = other.filter(|other| self.has_more(at, *other)) else { return s };
        let stamp = |s: usize| self.streams[s].log.stamp(self.links[at].ends_of(s).cursor).unwrap_or(0);
        if stamp(other) < stamp(s) { other } else { s }
    }

    /// What the other end must know before it gets a chunk.
    fn before(&mut self, at: usize, s: usize, cursor: u64) -> Option<Bytes> {
        let (stream, from) = (&self.streams[s], self.supplied_from(s, cursor));
        let ends = self.links[at].ends(s);
        let frame = match stream.kind {
            Kind::Sent | Kind::Passing if !ends.routed => {
                ends.routed = true;
                Frame::Route { stream: stream.id, first: cursor, path: stream.route.clone() }
            }
            _ if cursor < from => {
                ends.cursor = from;
                Frame::Skip { stream: stream.id, upto: from }
            }
            Kind::Room | Kind::Own
                if stream.far.is_known()
                    && stream.claim().is_news_to(ends.told)
                    && (stream.kind == Kind::Room || self.plan.relayed) =>
            {
                ends.told = stream.claim();
                self.counters.told += 1;
                Frame::Have(vec![stream.have(cursor)])
            }
            _ => return None,
        };
        Some(frame.encode())
    }

    /// A stream has grown: whoever is to be sent it is, the others are told, and `from` gets its acknowledgement.
    pub(super) fn spread(&mut self, s: usize, from: Option<usize>) {
        let stream = &self.streams[s];
        let (kind, claim, next, leaving) = (stream.kind, stream.claim(), stream.next(), stream.leaving);
        let announced = self.plan.relayed && matches!(kind, Kind::Own | Kind::Room);
        for at in 0..self.links.end() {
            let Some(link) = self.links.get(at).filter(|link| link.open) else { continue };
            let ends = *link.ends_of(s);
            if from == Some(at) {
                self.acknowledge(at, s);
            } else if self.pushes(at, s) {
                if ends.cursor < next {
                    let link = &mut self.links[at];
                    if ends.theirs + 1 >= next {
                        link.ends(s).moved = self.now;
                    }
                    link.ready(s);
                    self.list(at);
                }
            } else if announced && (ends.theirs < next || claim.is_news_to(ends.told)) {
                if leaving {
                    self.links[at].tell_later(s, self.now + limits::LEAVING_ANNOUNCE_DELAY);
                } else {
                    self.links[at].tell(s, self.now + limits::ANNOUNCE_DELAY);
                }
            }
        }
    }

    /// Something came over a link: that is told after a while, or at once where it is much.
    pub(super) fn acknowledge(&mut self, at: usize, s: usize) {
        let now = self.now;
        // Along with what is announced to others.
        let gathered = self.plan.relayed && self.streams[s].kind == Kind::Room;
        let link = &mut self.links[at];
        link.untold += 1;
        if link.untold >= limits::ACK_EVERY {
            link.tell(s, now);
            self.list(at);
        } else {
            let delay = if gathered { limits::ANNOUNCE_DELAY } else { limits::ACK_DELAY };
            link.tell(s, now + delay);
        }
    }

    pub(super) fn graft(&mut self, at: usize, s: usize) {
        let (origin, next) = (self.streams[s].id.origin, self.streams[s].next());
        let link = &mut self.links[at];
        link.ends(s).pruned = false;
        link.control.push_back(Frame::Graft { origin, next });
        self.counters.grafts += 1;
        self.list(at);
    }

    /// Streams of which nothing was said go over a link that is eager: those that have another way need not.
    pub(super) fn decline(&mut self, at: usize) {
        if !self.plan.relayed || !self.links[at].eager || !self.links[at].open {
            return;
        }
        for (s, stream) in self.streams.iter() {
            let link = &mut self.links[at];
            let has_way = stream.kind == Kind::Room && stream.parent.is_some_and(|parent| parent != at);
            if has_way && stream.is_active(self.now) && !std::mem::replace(&mut link.ends(s).pruned, true) {
                link.control.push_back(Frame::Prune { origin: stream.id.origin });
                self.counters.prunes += 1;
            }
        }
        self.list(at);
    }

    pub(super) fn prune(&mut self, at: usize, s: usize) {
        let origin = self.streams[s].id.origin;
        let Some(link) = self.links.get_mut(at) else { return };
        let ends = link.ends(s);
        // Who sends it has it from somebody else.
        ends.wanted = ends.wanted.or(Some(false));
        if !std::mem::replace(&mut ends.pruned, true) {
            link.control.push_back(Frame::Prune { origin });
            self.counters.prunes += 1;
            self.list(at);
        }
    }
}
