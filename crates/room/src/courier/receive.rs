//! What comes over a link.

use super::*;
use crate::{
    member::cost,
    wire::frame::{HOP_UNKNOWN, Have},
};

impl Courier {
    /// Takes a frame of a link's reliable lane. A frame of a link that is not up is ignored.
    ///
    /// # Errors
    /// How the other end broke the protocol: the link is of no use any more.
    pub fn frame(&mut self, now: Time, peer: MemberId, bytes: Bytes) -> Result<(), LinkError> {
        self.now = now;
        let Some(&at) = self.by_peer.get(&peer) else { return Ok(()) };
        let frame = Frame::decode(bytes.clone())?;
        let open = self.links[at].open;
        match frame {
            Frame::Hello { version, credit, holdings, .. } if !open => self.hello(at, version, credit, &holdings)?,
            _ if !open => return Err(LinkError::Hello),
            Frame::Data(data) if data.stream.to.is_none() => self.data(at, data, bytes)?,
            Frame::Have(list) => {
                for have in list {
                    self.have(at, have)?;
                }
            }
            Frame::Graft { origin, next } => self.grafted(at, origin, next)?,
            Frame::Prune { origin } => self.pruned(at, origin),
            Frame::Skip { stream, upto } if stream.to.is_none() => self.skipped(at, stream.origin, upto),
            Frame::Credit { total } => {
                let link = &mut self.links[at];
                link.credit = link.credit.max(total);
                self.list(at);
            }
            _ => return Err(LinkError::Hello),
        }
        Ok(())
    }

    /// The other end says how far it is, and what it can supply.
    fn hello(&mut self, at: usize, version: u64, credit: u64, holdings: &[Holding]) -> Result<(), LinkError> {
        if version != frame::VERSION {
            return Err(LinkError::Version(version));
        }
        let vouches = self.links[at].vouches && !self.vouched;
        for holding in holdings.iter().filter(|holding| holding.stream.to.is_none()) {
            if holding.first > holding.next {
                return Err(LinkError::Acknowledged);
            }
            let Some(s) = self.stream_of(holding.stream.origin) else { continue };
            let stream = &mut self.streams[s];
            if stream.is_own() && holding.next > stream.next() {
                return Err(LinkError::Acknowledged);
            }
            // An origin knows best where it begins.
            if !stream.has_begun() && (vouches || stream.origin == self.links[at].peer) {
                stream.start(holding.first);
            }
            let ends = self.links[at].ends(s);
            ends.has(holding.next, self.now);
            ends.cursor = holding.next;
        }
        if vouches {
            self.vouched = true;
            self.streams.iter_mut().filter(|(_, stream)| !stream.has_begun()).for_each(|(_, stream)| {
                stream.start(1);
            });
        }
        let link = &mut self.links[at];
        link.open = true;
        link.credit = credit;
        for s in self.streams.places() {
            let stream = &self.streams[s];
            let theirs = self.links[at].ends_of(s).theirs;
            if self.pushes(at, s) {
                self.links[at].ready(s);
            } else if self.plan.relayed && theirs < stream.next() {
                self.links[at].tell(s, self.now + limits::ANNOUNCE_DELAY);
            }
            if self.streams[s].has_begun() && theirs > self.streams[s].next() {
                self.want(at, s, theirs);
            }
        }
        self.list(at);
        Ok(())
    }

    fn data(&mut self, at: usize, data: Data, bytes: Bytes) -> Result<(), LinkError> {
        let link = &mut self.links[at];
        link.received += cost(bytes.len());
        if link.received > link.granted {
            return Err(LinkError::OverCredit);
        }
        let (origin, seq) = (data.stream.origin, data.seq);
        let Some(s) = self.stream_of(origin) else { return Ok(()) };
        self.links[at].ends(s).has(seq + 1, self.now);
        let stream = &mut self.streams[s];
        if !stream.has_begun() {
            return Ok(());
        }
        if stream.is_own() || seq < stream.next() {
            self.counters.duplicates += 1;
            self.unwanted(at, s);
        } else if seq > stream.next() {
            self.counters.early += 1;
            self.unwanted(at, s);
            self.want(at, s, seq + 1);
        } else {
            let accepted = stream.window.accept(data)?;
            self.counters.fresh += 1;
            stream.log.push(bytes, self.now);
            stream.fresh_at = self.now;
            self.came_by(at, s);
            self.lost(s, accepted.lost);
            if let Some((head, payload)) = accepted.message {
                let stream = &mut self.streams[s];
                stream.held += cost(payload.len());
                let hop = stream.hop;
                self.events.push_back(Event::Message { origin, seq, hop, head, payload });
            }
            self.spread(s, Some(at));
            self.repaired(s);
            self.weigh(s);
            self.sweep_by(self.now + limits::SWEEP_EVERY);
        }
        self.grant(at);
        Ok(())
    }

    /// A chunk that was missing came over a link: that is the way now, unless it was asked not to be.
    fn came_by(&mut self, at: usize, s: usize) {
        let stream = &mut self.streams[s];
        let ends = self.links[at].ends(s);
        ends.ahead = 0;
        stream.bereft = false;
        if stream.parent != Some(at)
            && !ends.pruned
            && let Some(old) = stream.parent.replace(at)
        {
            self.prune(old, s);
        }
        self.measure(s);
    }

    /// A stream is as far away as its parent says, and one more.
    fn measure(&mut self, s: usize) {
        let stream = &mut self.streams[s];
        let Some(parent) = stream.parent else { return };
        let hop = self.links[parent].ends_of(s).hop;
        stream.hop = if hop >= HOP_UNKNOWN - 1 { HOP_UNKNOWN } else { hop + 1 };
    }

    /// The other end sends what is not missing.
    fn unwanted(&mut self, at: usize, s: usize) {
        let stream = &mut self.streams[s];
        if !stream.is_own() && stream.parent.is_none() && !self.links[at].ends(s).pruned {
            stream.parent = Some(at);
            self.measure(s);
        }
        if self.streams[s].parent != Some(at) {
            self.prune(at, s);
        }
    }

    fn have(&mut self, at: usize, have: Have) -> Result<(), LinkError> {
        let Some(s) = self.stream_of(have.origin) else { return Ok(()) };
        let now = self.now;
        let ends = self.links[at].ends(s);
        ends.hop = have.hop;
        let got_on = ends.has(have.next, now);
        let stream = &mut self.streams[s];
        if stream.is_own() && have.next > stream.next() {
            return Err(LinkError::Acknowledged);
        }
        if stream.parent == Some(at) {
            self.measure(s);
        }
        if got_on {
            self.trim(s);
            self.list(at);
        }
        let stream = &self.streams[s];
        if stream.is_own() || !stream.has_begun() {
            return Ok(());
        }
        if have.next > stream.next() {
            if stream.parent != Some(at) {
                self.ahead(at, s);
            }
            self.want(at, s, have.next);
        } else {
            self.links[at].ends(s).ahead = 0;
            self.nearer(at, s);
        }
        Ok(())
    }

    fn grafted(&mut self, at: usize, origin: MemberId, next: u64) -> Result<(), LinkError> {
        let Some(s) = self.stream_of(origin) else { return Ok(()) };
        let now = self.now;
        let stream = &mut self.streams[s];
        if stream.is_own() && next > stream.next() {
            return Err(LinkError::Acknowledged);
        }
        let ends = self.links[at].ends(s);
        ends.wanted = Some(true);
        ends.has(next, now);
        ends.cursor = ends.theirs;
        ends.moved = now;
        ends.told_hop = HOP_UNKNOWN;
        self.links[at].ready(s);
        self.list(at);
        // Whom it came from has lost its own way.
        if self.streams[s].parent == Some(at) {
            self.streams[s].parent = None;
            self.streams[s].bereft = true;
            self.adopt(s, Some(at));
        }
        Ok(())
    }

    fn pruned(&mut self, at: usize, origin: MemberId) {
        if let Some(s) = self.stream_of(origin) {
            self.links[at].ends(s).wanted = Some(false);
            self.trim(s);
        }
    }

    /// The other end cannot supply chunks below `upto`. If it is the origin nobody can; else others may.
    fn skipped(&mut self, at: usize, origin: MemberId, upto: u64) {
        let Some(s) = self.stream_of(origin) else { return };
        let stream = &mut self.streams[s];
        if stream.is_own() || !stream.has_begun() || upto <= stream.next() {
            return;
        }
        if self.links[at].peer == origin {
            return self.give_up_below(s, upto);
        }
        self.links[at].ends(s).floor = upto;
        self.prune(at, s);
        if self.streams[s].parent == Some(at) {
            self.streams[s].parent = None;
            self.streams[s].bereft = true;
        }
        self.want(at, s, upto);
        self.settle_gap(s);
    }

    /// Chunks below `upto` are not to be had.
    pub(super) fn give_up_below(&mut self, s: usize, upto: u64) {
        let lost = self.streams[s].start(upto);
        self.lost(s, lost);
        self.spread(s, None);
    }

    fn lost(&mut self, s: usize, lost: Option<Lost>) {
        if let Some(Lost { from, to }) = lost {
            self.counters.lost += to + 1 - from;
            self.events.push_back(Event::Gap { origin: self.streams[s].origin, from, to });
        }
    }

    /// Opens a link's window again once a quarter of it has been used up.
    pub(super) fn grant(&mut self, at: usize) {
        let laden = self.laden.iter().map(|s| &self.streams[*s]).filter(|stream| stream.parent == Some(at));
        let held: u64 = laden.map(|stream| stream.held + stream.log.overhang()).sum();
        let link = &mut self.links[at];
        let total = (link.received + limits::RECEIVE_WINDOW).saturating_sub(held);
        if total >= link.granted + limits::RECEIVE_WINDOW / 4 {
            link.granted = total;
            link.control.retain(|frame| !matches!(frame, Frame::Credit { .. }));
            link.control.push_back(Frame::Credit { total });
            self.list(at);
        }
    }
}
