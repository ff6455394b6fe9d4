//! What comes over a link.

use super::*;
use crate::wire::frame::Have;

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
            Frame::Hello { version, epoch, credit, holdings } if !open => {
                self.hello(at, version, credit, epoch > 0, &holdings)?;
            }
            Frame::Hello { epoch, holdings, .. } if epoch > 0 && self.links[at].is_unsure => {
                self.hello_again(at, &holdings);
            }
            _ if !open => return Err(LinkError::Hello),
            Frame::Data(data) => self.data(at, data, bytes)?,
            Frame::Have(list) => {
                for have in list {
                    self.have(at, have)?;
                }
            }
            Frame::Ack(list) => {
                for ack in list {
                    self.acknowledged(at, ack)?;
                }
            }
            Frame::Graft { origin, next } => self.grafted(at, origin, next)?,
            Frame::Prune { origin } => self.pruned(at, origin),
            Frame::Skip { stream, upto } => self.skipped(at, stream, upto),
            Frame::Route { stream, first, path } => self.routed(at, stream, first, &path),
            Frame::Broken { stream } => self.broken(at, stream),
            Frame::Signed(signed) => self.proof_came(at, signed, bytes)?,
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
    fn hello(
        &mut self,
        at: usize,
        version: u64,
        credit: u64,
        is_sure: bool,
        holdings: &[Holding],
    ) -> Result<(), LinkError> {
        if version != frame::VERSION {
            return Err(LinkError::Version(version));
        }
        let (this, peer, now) = (self.this, self.links[at].peer, self.now);
        let link = &mut self.links[at];
        link.is_unsure = !is_sure;
        (link.open, link.opened) = (true, now);
        link.credit = credit;
        let owed = match self.expected.get_mut(&peer) {
            Some(expected) => expected.take(),
            None => None,
        };
        if self.plan.relayed && owed.is_some() {
            self.expected.remove(&peer);
            // It never had a link while it was owed this, and nobody else may have kept all of it.
            self.links[at].ends(self.own).wanted = Some(true);
        }
        self.events.push_back(Event::Open { peer });
        if let Some(&s) = self.by_id.get(&StreamId::addressed(this, peer)) {
            let stream = &mut self.streams[s];
            stream.toward = Some(at);
            stream.bereft = false;
            stream.route.clear();
            let (first, ends) = (stream.log.first(), self.links[at].ends(s));
            // It may be newer than this end's HELLO.
            (ends.cursor, ends.moved) = (ends.cursor.max(first), now);
        }
        // Caches may have let go of what there was when this member entered.
        let is_late = self.met_at.is_some_and(|met| now.since(met) > limits::GAP_PATIENCE);
        for holding in holdings {
            if holding.first > holding.next {
                return Err(LinkError::Acknowledged);
            }
            let id = holding.stream;
            let kind = match id.to {
                None if id.origin == this => Kind::Own,
                None => Kind::Room,
                Some(to) if id.origin == this && to == peer => Kind::Sent,
                Some(to) if id.origin == peer && to == this => Kind::Received,
                Some(_) => continue,
            };
            // Of a stream that has yet to begin, its first chunk will tell.
            if holding.next <= 1 && self.is_to_begin(&id, kind) {
                continue;
            }
            let Some(s) = self.stream(id, kind) else {
                if kind == Kind::Room {
                    self.told_of_departed(at, id.origin, self.offers(at, holding), holding.next);
                }
                continue;
            };
            let stream = &mut self.streams[s];
            if stream.is_own() && holding.next > stream.next() {
                return Err(LinkError::Acknowledged);
            }
            let (is_elder, ends) = (self.links[at].vouches, self.links[at].ends(s));
            ends.offered = holding.first;
            if kind == Kind::Room && is_elder && id.origin != peer && holding.next > 1 {
                stream.offer(holding.first, is_late);
            }
            if kind != Kind::Received {
                ends.has(holding.next, now);
                ends.cursor = holding.next;
            }
            match kind {
                // An origin knows best where it begins.
                Kind::Room if id.origin == peer && !stream.has_begun() => {
                    stream.start(holding.first);
                }
                // In a mesh it has kept what it owes; else it may have let go of that, and what the hub has yet to tell of begins
                // with its first chunk.
                Kind::Room
                    if id.origin == peer
                        && stream.is_untouched
                        && holding.first > stream.next()
                        && (!self.plan.relayed || (stream.is_named && stream.may_begin_at(holding.first))) =>
                {
                    stream.begin_at(holding.first);
                }
                Kind::Received => {
                    stream.parent = Some(at);
                    let lost = stream.start(holding.first);
                    self.lost(s, lost);
                }
                _ => {}
            }
        }
        if is_sure && self.links[at].vouches {
            self.vouched_by(at);
        }
        self.settle_beginnings();
        self.greet(at);
        self.fill_own();
        Ok(())
    }

    /// From where on somebody who was here before offers a stream that is not its own, and has some of it.
    fn offers(&self, at: usize, holding: &Holding) -> Option<u64> {
        let link = &self.links[at];
        let is_offer = link.vouches && holding.stream.origin != link.peer && holding.next > 1;
        is_offer.then_some(holding.first)
    }

    /// The other end has learned where streams begin.
    fn hello_again(&mut self, at: usize, holdings: &[Holding]) {
        self.links[at].is_unsure = false;
        for holding in holdings.iter().filter(|holding| holding.stream.to.is_none()) {
            let Some(s) = self.stream(holding.stream, Kind::Room) else {
                self.told_of_departed(at, holding.stream.origin, self.offers(at, holding), holding.next);
                continue;
            };
            self.links[at].ends(s).offered = holding.first;
            if self.links[at].vouches && holding.next > 1 {
                self.streams[s].offer(holding.first, true);
            }
        }
        if self.links[at].vouches {
            self.vouched_by(at);
        }
    }

    /// Both ends of a link know how far the other is: what one lacks begins to go over it.
    fn greet(&mut self, at: usize) {
        for s in self.streams.places() {
            let stream = &self.streams[s];
            let theirs = self.links[at].ends_of(s).theirs;
            let of_room = matches!(stream.kind, Kind::Own | Kind::Room);
            if self.pushes(at, s) {
                // What was shown last may have been lost with the link before.
                self.links[at].ends(s).proved = 0;
                self.links[at].ends(s).moved = self.now;
                self.links[at].ready(s);
            } else if of_room && self.plan.relayed && theirs < stream.next() {
                self.links[at].tell(s, self.now + limits::ANNOUNCE_DELAY);
            }
            let stream = &self.streams[s];
            if stream.kind != Kind::Room {
                self.trim(s);
            } else if stream.has_begun() && theirs > stream.next() {
                self.want(at, s, theirs);
            }
            // In a mesh there is no better way than the origin's own.
            let stream = &mut self.streams[s];
            if stream.kind == Kind::Room && !self.plan.relayed && stream.id.origin == self.links[at].peer {
                if let Some(old) = stream.parent.replace(at).filter(|old| *old != at) {
                    self.prune(old, s);
                }
                self.streams[s].bereft = false;
                self.links[at].ends(s).far = Distance::ORIGIN;
                self.measure(s);
            }
        }
        self.decline(at);
        self.list(at);
    }

    fn data(&mut self, at: usize, data: Data, bytes: Bytes) -> Result<(), LinkError> {
        self.charge(at, &bytes)?;
        let s = match data.stream.to {
            None => self.stream(data.stream, Kind::Room),
            Some(_) => self.by_id.get(&data.stream).copied(),
        };
        if let Some(s) = s {
            if data.stream.to.is_none() {
                self.links[at].ends(s).has(data.seq + 1, self.now);
            }
            let is_origin = self.links[at].peer == data.stream.origin;
            let stream = &mut self.streams[s];
            // Its HELLO, before the room was a mesh, did not name it, as it had said nothing.
            let is_unheard = stream.kind == Kind::Room && !stream.is_named && !stream.has_begun();
            if is_unheard && is_origin && !self.plan.relayed {
                stream.beginning = Beginning::Anywhere;
                stream.begin();
            }
            let is_news = match stream.kind {
                Kind::Own | Kind::Sent => false,
                Kind::Room => stream.begins() && data.seq >= stream.next(),
                Kind::Received => stream.has_begun() && data.seq >= stream.next(),
                Kind::Passing => stream.parent == Some(at),
            };
            if is_news {
                if let Some((data, bytes)) = self.authentic(at, s, data, bytes)? {
                    self.take(at, s, data, bytes)?;
                }
            } else if self.differs(s, data.seq, &bytes) {
                return Err(LinkError::Forged);
            } else {
                self.take(at, s, data, bytes)?;
            }
        }
        self.grant(at);
        Ok(())
    }

    /// DATA and SIGNED are paid for.
    pub(super) fn charge(&mut self, at: usize, frame: &Bytes) -> Result<(), LinkError> {
        let link = &mut self.links[at];
        link.received += cost(frame.len());
        if link.received > link.granted { Err(LinkError::OverCredit) } else { Ok(()) }
    }

    /// Takes a chunk that is its origin's, or of no use.
    pub(super) fn take(&mut self, at: usize, s: usize, data: Data, bytes: Bytes) -> Result<(), LinkError> {
        match self.streams[s].kind {
            Kind::Own | Kind::Room => self.room_chunk(at, s, data, bytes)?,
            Kind::Received => self.chunk_for_this(at, s, data)?,
            Kind::Passing => self.pass(at, s, &data, bytes),
            Kind::Sent => {}
        }
        Ok(())
    }

    fn room_chunk(&mut self, at: usize, s: usize, data: Data, bytes: Bytes) -> Result<(), LinkError> {
        let seq = data.seq;
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
            self.keep_proof(at, s, seq);
            let stream = &mut self.streams[s];
            stream.log.push(bytes, 0, self.now);
            stream.fresh_at = self.now;
            stream.is_untouched = false;
            stream.gave_up = false;
            self.came_by(at, s);
            self.deliver(at, s, seq, accepted);
            self.spread(s, Some(at));
            self.repaired(s);
            self.trim(s);
            self.sweep_by(self.now + limits::SWEEP_EVERY);
        }
        Ok(())
    }

    fn chunk_for_this(&mut self, at: usize, s: usize, data: Data) -> Result<(), LinkError> {
        let seq = data.seq;
        let stream = &mut self.streams[s];
        if stream.next() != seq {
            self.counters.duplicates += 1;
        } else {
            let accepted = stream.window.accept(data)?;
            self.counters.fresh += 1;
            self.deliver(at, s, seq, accepted);
        }
        self.streams[s].parent = Some(at);
        self.acknowledge(at, s);
        Ok(())
    }

    fn deliver(&mut self, at: usize, s: usize, seq: u64, accepted: window::Accepted) {
        self.lost(s, accepted.lost);
        let Some((head, payload)) = accepted.message else { return };
        let (id, hop) = (self.streams[s].id, self.streams[s].far.hop);
        let old = std::mem::replace(&mut self.unconsumed.entry(id.origin).or_default().link, at);
        if old != at {
            // What the application has yet to take holds that link back no longer.
            self.grant(old);
        }
        let addressed = id.to.is_some();
        self.events.push_back(Event::Message { origin: id.origin, addressed, seq, hop, head, payload });
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

    /// A stream is as far away as its parent says, and one link more.
    pub(super) fn measure(&mut self, s: usize) {
        let stream = &mut self.streams[s];
        let Some(parent) = stream.parent else { return };
        stream.far = self.links[parent].far_over(s);
        stream.leaving = self.links[parent].draining;
    }

    /// The other end sends what is not missing. In a mesh nobody's way is better than the origin's own.
    fn unwanted(&mut self, at: usize, s: usize) {
        let stream = &mut self.streams[s];
        let direct = !self.plan.relayed && stream.id.origin == self.links[at].peer;
        if !stream.is_own() && (direct || stream.parent.is_none()) && !self.links[at].ends(s).pruned {
            if let Some(old) = stream.parent.replace(at).filter(|old| *old != at) {
                self.prune(old, s);
            }
            self.measure(s);
        }
        if self.streams[s].parent != Some(at) {
            self.prune(at, s);
        }
    }

    fn have(&mut self, at: usize, have: Have) -> Result<(), LinkError> {
        let Some(s) = self.stream(StreamId::room(have.origin), Kind::Room) else {
            self.told_of_departed(at, have.origin, None, have.next);
            return Ok(());
        };
        let now = self.now;
        let ends = self.links[at].ends(s);
        ends.far = Distance::told(have.hop, have.delay_ms);
        let got_on = ends.has(have.next, now);
        let stream = &mut self.streams[s];
        if stream.is_own() && have.next > stream.next() {
            return Err(LinkError::Acknowledged);
        }
        if stream.parent == Some(at) {
            let before = stream.far;
            self.measure(s);
            self.tell_cost(s);
            self.evade(s, before);
        }
        if got_on {
            self.trim(s);
            self.list(at);
            if self.streams[s].is_own() {
                self.fill_own();
            }
        }
        let stream = &mut self.streams[s];
        if stream.is_own() {
            return Ok(());
        }
        if !stream.begins() {
            self.sweep_by(now + limits::SWEEP_EVERY);
            return Ok(());
        }
        let stream = &self.streams[s];
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
        let Some(s) = self.stream(StreamId::room(origin), Kind::Room) else { return Ok(()) };
        let now = self.now;
        let stream = &mut self.streams[s];
        if stream.is_own() && next > stream.next() {
            return Err(LinkError::Acknowledged);
        }
        let ends = self.links[at].ends(s);
        ends.wanted = Some(true);
        ends.has(next, now);
        // Whoever asks again for the same is impatient: it is on its way.
        if ends.asked.is_none_or(|(asked, at)| asked != next || at + limits::GRAFT_HEED <= now) {
            ends.asked = Some((next, now));
            ends.cursor = ends.theirs;
            ends.moved = now;
            ends.proved = if stream.kind == Kind::Own { stream.proofs.last_below(ends.theirs) } else { 0 };
        }
        ends.told = Distance::UNKNOWN;
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
        if let Some(s) = self.stream(StreamId::room(origin), Kind::Room) {
            let ends = self.links[at].ends(s);
            (ends.wanted, ends.asked) = (Some(false), None);
            self.trim(s);
        }
    }

    /// The other end cannot supply chunks below `upto`; others may, of a stream to the room.
    fn skipped(&mut self, at: usize, id: StreamId, upto: u64) {
        let Some(&s) = self.by_id.get(&id) else { return };
        let stream = &mut self.streams[s];
        match stream.kind {
            Kind::Room if stream.has_begun() && upto > stream.next() => {
                let ends = self.links[at].ends(s);
                ends.floor = upto;
                ends.has(upto, self.now);
                if id.origin == self.links[at].peer {
                    stream.lost_below = stream.lost_below.max(upto);
                }
                if stream.parent == Some(at) {
                    stream.parent = None;
                    stream.bereft = true;
                }
                // Where nobody else has it, it is lost in the end; until then this one is of no use.
                if !self.settle_gap(s) {
                    self.prune(at, s);
                    // Whoever passed it on before the room became a mesh may have it still.
                    if !self.plan.relayed && self.streams[s].parent.is_none() {
                        self.adopt(s, Some(at));
                    }
                    self.want(at, s, upto);
                    if self.plan.relayed {
                        self.ask_on(s);
                    }
                }
            }
            Kind::Received => {
                let lost = stream.start(upto);
                self.lost(s, lost);
                self.acknowledge(at, s);
            }
            _ => {}
        }
    }

    /// Chunks below `upto` are not to be had. For a newcomer that had none yet the stream begins there.
    pub(super) fn give_up_below(&mut self, s: usize, upto: u64) {
        let stream = &mut self.streams[s];
        if stream.may_begin_at(upto) {
            stream.begin_at(upto);
        } else {
            let lost = stream.start(upto);
            self.lost(s, lost);
        }
        self.spread(s, None);
    }

    pub(super) fn lost(&mut self, s: usize, lost: Option<Lost>) {
        if let Some(Lost { from, to }) = lost {
            self.counters.lost += to + 1 - from;
            let StreamId { origin, to: addressee } = self.streams[s].id;
            self.events.push_back(Event::Gap { origin, addressed: addressee.is_some(), from, to });
        }
    }

    /// Opens a link's window again once a quarter of it has been used up.
    pub(super) fn grant(&mut self, at: usize) {
        let Some(link) = self.links.get(at) else { return };
        let (wide, most) = (link.granted + limits::RECEIVE_WINDOW / 4, link.received + limits::RECEIVE_WINDOW);
        // Mostly it is too early, whatever is held.
        if most < wide {
            return;
        }
        let laden = self.laden.iter().filter(|s| self.streams[**s].parent == Some(at)).map(|s| self.weight(*s));
        let unconsumed = self.unconsumed.values().filter(|unconsumed| unconsumed.link == at);
        let held = laden.chain(unconsumed.map(|unconsumed| unconsumed.cost)).sum::<u64>() + link.unproved;
        let total = most.saturating_sub(held);
        if total >= wide {
            let link = &mut self.links[at];
            link.granted = total;
            link.control.retain(|frame| !matches!(frame, Frame::Credit { .. }));
            link.control.push_back(Frame::Credit { total });
            self.list(at);
        }
    }
}
