//! What goes over a link.

use super::*;
use crate::{
    member::cost,
    wire::frame::{HOP_UNKNOWN, Have},
};

impl Courier {
    /// The next frame for the other end of a link, as far as its credit and its send buffer allow.
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
        let mut list = Vec::new();
        while list.len() < limits::HOLDINGS_MAX
            && let Some(s) = link.telling.pop()
        {
            let stream = &self.streams[s];
            let ends = link.ends(s);
            ends.in_telling = false;
            // Whoever has as much, and is not waiting for an acknowledgement, need not be told.
            let acknowledges = stream.parent == Some(at);
            let news = ends.theirs < stream.next() || ends.told_hop != stream.hop;
            if stream.has_begun() && (acknowledges || news) {
                ends.told_hop = stream.hop;
                list.push(Have { origin: stream.origin, next: stream.next(), hop: stream.hop });
            }
        }
        if link.telling.is_empty() {
            link.tell_at = None;
        }
        self.counters.told += list.len() as u64;
        (!list.is_empty()).then_some(Frame::Have(list))
    }

    /// The next chunk of the streams that the other end is to be sent, which take turns.
    fn chunk(&mut self, at: usize) -> Option<Bytes> {
        loop {
            let link = &mut self.links[at];
            if link.buffered >= limits::LINK_PAUSE {
                return None;
            }
            let s = *link.ready.front()?;
            let stream = &self.streams[s];
            let cursor = link.ends_of(s).cursor;
            if cursor >= stream.next() || !self.pushes(at, s) {
                let link = &mut self.links[at];
                link.ready.pop_front();
                link.ends(s).in_ready = false;
                continue;
            }
            let stream = &self.streams[s];
            let link = &mut self.links[at];
            if cursor < stream.log.first() {
                let upto = stream.log.first();
                link.ends(s).cursor = upto;
                return Some(Frame::Skip { stream: StreamId::room(stream.origin), upto }.encode());
            }
            if link.ends(s).told_hop != stream.hop && stream.hop != HOP_UNKNOWN {
                link.ends(s).told_hop = stream.hop;
                self.counters.told += 1;
                let have = Have { origin: stream.origin, next: cursor, hop: stream.hop };
                return Some(Frame::Have(vec![have]).encode());
            }
            let frame = stream.log.frame(cursor).expect("it is between the log's ends").clone();
            let price = cost(frame.len());
            if link.spent + price > link.credit {
                return None;
            }
            link.spent += price;
            let ends = link.ends(s);
            if ends.theirs == cursor {
                ends.moved = self.now;
            }
            ends.cursor += 1;
            link.ready.rotate_left(1);
            self.counters.pushed += 1;
            return Some(frame);
        }
    }

    /// A stream has grown: whoever is to be sent it is, the others are told, and `from` gets its acknowledgement.
    pub(super) fn spread(&mut self, s: usize, from: Option<usize>) {
        for at in 0..self.links.places.len() {
            let Some(link) = self.links.get(at).filter(|link| link.open) else { continue };
            let ends = link.ends_of(s);
            if from == Some(at) {
                let link = &mut self.links[at];
                link.untold += 1;
                let at_once = link.untold >= limits::ACK_EVERY;
                link.tell(s, if at_once { self.now } else { self.now + limits::ACK_DELAY });
                if at_once {
                    self.list(at);
                }
            } else if self.pushes(at, s) {
                if ends.cursor < self.streams[s].next() {
                    self.links[at].ready(s);
                    self.list(at);
                }
            } else if self.plan.relayed && ends.theirs < self.streams[s].next() {
                self.links[at].tell(s, self.now + limits::ANNOUNCE_DELAY);
            }
        }
    }

    pub(super) fn graft(&mut self, at: usize, s: usize) {
        let (origin, next) = (self.streams[s].origin, self.streams[s].next());
        let link = &mut self.links[at];
        link.ends(s).pruned = false;
        link.control.push_back(Frame::Graft { origin, next });
        self.counters.grafts += 1;
        self.list(at);
    }

    pub(super) fn prune(&mut self, at: usize, s: usize) {
        let origin = self.streams[s].origin;
        let Some(link) = self.links.get_mut(at) else { return };
        if !std::mem::replace(&mut link.ends(s).pruned, true) {
            link.control.push_back(Frame::Prune { origin });
            self.counters.prunes += 1;
            self.list(at);
        }
    }
}
