//! Signatures. What a member says is signed before anybody passes it on, and what somebody else than its origin brings
//! counts, and is passed on, only where that is shown.
//!
//! A signature stands for up to [`limits::SIGNED_CHUNKS`] consecutive chunks by their digests ([`Proof`]), so that each
//! chunk can be told to be true when it comes, wherever in the stream one begins. It goes before the first of its chunks
//! over every link on which they are passed on. So whoever brings a chunk without has not verified it, and is to blame.
//!
//! In a mesh chunks go to everybody at once, since links say who is at their other end, and signatures follow: of use
//! where a third member has to bring them, or the room comes to be linked otherwise. They are verified when that happens.
//!
//! Signing and verifying is left to the edge, which answers when it can.

use super::{
    proof::{Covers, Proof},
    stream::Kind,
    *,
};
use crate::{
    id::{Digest, Key, Signature},
    wire::frame::{Signed, signed_text},
};

/// What a courier needs to sign and to verify.
#[derive(Debug)]
pub(super) struct Signing {
    /// The room's name: what is said in one room is not said in another.
    room: String,
    keys: BTreeMap<MemberId, Key>,
    /// Whether there ever was more than one other: somebody to pass something on.
    in_company: bool,
    /// Own streams with chunks that are not signed.
    unsealed: BTreeSet<usize>,
    /// Answers that are awaited, by number.
    asked: BTreeMap<u64, Asked>,
    numbers: u64,
}

#[derive(Debug)]
enum Asked {
    /// The signature of own chunks.
    Seal { s: usize, signed: Signed },
    /// Whether the proof in a stream's log that begins with `first` is true.
    Proof { s: usize, first: u64 },
    /// Whether a cover is true.
    Cover { at: usize, s: usize },
}

impl Asked {
    fn is_of(&self, stream: usize) -> bool {
        match self {
            Asked::Seal { s, .. } | Asked::Proof { s, .. } | Asked::Cover { s, .. } => *s == stream,
        }
    }
}

impl Courier {
    /// What is said in this room is signed from now on, and what is passed on is believed only where it is. A courier that
    /// was not told so believes its neighbours.
    pub fn sign(&mut self, room: &str) {
        self.signing.get_or_insert_with(|| Signing {
            room: room.to_owned(),
            keys: BTreeMap::new(),
            in_company: false,
            unsealed: BTreeSet::new(),
            asked: BTreeMap::new(),
            numbers: 0,
        });
    }

    /// Whether what is said is signed.
    pub fn signs(&self) -> bool {
        self.signing.is_some()
    }

    /// What is to be signed or verified of a frame that is not the courier's, and a number for the answer that none of its
    /// own has; `None` where nothing is signed.
    pub fn vouch(&mut self, frame: &[u8]) -> Option<(u64, Bytes)> {
        let signing = self.signing.as_mut()?;
        signing.numbers += 1;
        Some((signing.numbers, signed_text(&signing.room, frame)))
    }

    /// There is more than one other in the room.
    pub fn in_company(&mut self) {
        if let Some(signing) = &mut self.signing {
            signing.in_company = true;
            signing.unsealed.insert(self.own);
        }
    }

    /// A member's key, by the hub's word. The first one counts until the member is forgotten.
    pub fn key(&mut self, now: Time, id: MemberId, key: Key) {
        self.now = now;
        let Some(signing) = &mut self.signing else { return };
        if signing.keys.contains_key(&id) {
            return;
        }
        signing.keys.insert(id, key);
        for s in self.streams.places().filter(|s| self.streams[*s].id.origin == id).collect::<Vec<_>>() {
            for at in self.links.places() {
                self.check_covers(at, s);
            }
            self.ready_all(s);
        }
    }

    /// Asks for signatures that are due. To be called when what was said in one turn has been said.
    pub fn seal(&mut self, now: Time) {
        self.now = now;
        let unsealed: Vec<usize> = self.signing.iter().flat_map(|signing| &signing.unsealed).copied().collect();
        unsealed.into_iter().for_each(|s| self.seal_stream(s));
    }

    /// The answer to [`Event::Sign`].
    pub fn signed(&mut self, now: Time, token: u64, signature: Signature) {
        self.now = now;
        let Some(signing) = &mut self.signing else { return };
        let Some(Asked::Seal { s, mut signed }) = signing.asked.remove(&token) else { return };
        signed.signature = signature;
        let frame = Frame::Signed(signed.clone()).encode();
        let stream = &mut self.streams[s];
        stream.sealing = false;
        stream.proofs.keep(Proof { signed, frame, checked: true, by: self.this });
        stream.proofs.trim(stream.log.first());
        self.ready_all(s);
    }

    /// The answer to [`Event::Verify`].
    pub fn verified(&mut self, now: Time, token: u64, is_good: bool) {
        self.now = now;
        let Some(signing) = &mut self.signing else { return };
        match signing.asked.remove(&token) {
            Some(Asked::Proof { s, first }) => match self.streams[s].proofs.settle(first, is_good) {
                Some(bad) => self.blame(bad.by, LinkError::Forged),
                None => self.ready_all(s),
            },
            Some(Asked::Cover { at, s }) if is_good => {
                let covers = self.links[at].covers.get_mut(&s);
                let cover = covers.and_then(|covers| covers.queue.iter_mut().find(|cover| cover.asked == Some(token)));
                if let Some(cover) = cover {
                    cover.proof.checked = true;
                    self.drain_covers(at, s);
                }
            }
            Some(Asked::Cover { at, .. }) => self.blame(self.links[at].peer, LinkError::Forged),
            Some(Asked::Seal { .. }) | None => {}
        }
    }

    // ---- what this member says ------------------------------------------------------------------

    /// When a signature is due, where one is.
    pub(super) fn seal_at(&self) -> Option<Time> {
        let unsealed = self.signing.iter().flat_map(|signing| &signing.unsealed);
        let waiting = unsealed.filter_map(|s| self.streams.get(*s)).filter(|stream| !stream.sealing);
        waiting.map(|stream| stream.sealed_at.map_or(self.now, |at| at + limits::SIGN_DELAY)).min()
    }

    /// An own stream has chunks that may have to be signed.
    pub(super) fn unseal(&mut self, s: usize) {
        if let Some(signing) = &mut self.signing {
            signing.unsealed.insert(s);
        }
    }

    fn seal_stream(&mut self, s: usize) {
        let Some(signing) = &mut self.signing else { return };
        let stream = self.streams.get_mut(s).filter(|stream| match stream.kind {
            Kind::Own => signing.in_company || self.plan.relayed,
            Kind::Sent => !stream.route.is_empty(),
            _ => false,
        });
        let first = stream.as_ref().map_or(0, |stream| stream.proofs.end().max(stream.log.first()));
        let Some(stream) = stream.filter(|stream| first < stream.log.next()) else {
            signing.unsealed.remove(&s);
            return;
        };
        let end = stream.log.next().min(first + limits::SIGNED_CHUNKS as u64);
        let is_due = stream.sealed_at.is_none_or(|at| at + limits::SIGN_DELAY <= self.now);
        if stream.sealing || !(is_due || end - first == limits::SIGNED_CHUNKS as u64) {
            return;
        }
        stream.sealing = true;
        stream.sealed_at = Some(self.now);
        let digests = (first..end).filter_map(|seq| stream.log.frame(seq)).map(|frame| Digest::of(frame)).collect();
        let signed = Signed { stream: stream.id, first, digests, signature: Signature([0; Signature::LENGTH]) };
        let text = signed_text(&signing.room, &Frame::Signed(signed.clone()).encode());
        let token = signing.ask(Asked::Seal { s, signed });
        self.events.push_back(Event::Sign { token, text });
    }

    /// There may be more of a stream to push now.
    fn ready_all(&mut self, s: usize) {
        for at in self.links.places() {
            if self.pushes(at, s) {
                self.links[at].ready(s);
                self.list(at);
            }
        }
    }

    // ---- what goes over links -------------------------------------------------------------------

    /// Whether chunks of a stream are pushed only where it is shown whose they are.
    fn needs_proof(&self, s: usize) -> bool {
        let stream = &self.streams[s];
        self.signing.is_some()
            && match stream.kind {
                Kind::Own => self.plan.relayed,
                Kind::Sent => !stream.route.is_empty(),
                Kind::Room | Kind::Passing => true,
                Kind::Received => false,
            }
    }

    /// Whether a chunk may be pushed. Where it never may, but a later one, that one is told of.
    pub(super) fn is_proved(&self, s: usize, cursor: u64) -> bool {
        let stream = &self.streams[s];
        if !self.needs_proof(s) || cursor < stream.log.first() {
            return true;
        }
        match stream.proofs.of(cursor) {
            Some(proof) => proof.checked,
            None => stream.proofs.after(cursor).is_some_and(|proof| proof.first() < stream.log.next()),
        }
    }

    /// The first chunk, at `cursor` or above, that can be supplied, or will be.
    pub(super) fn supplied_from(&self, s: usize, cursor: u64) -> u64 {
        let stream = &self.streams[s];
        let cursor = cursor.max(stream.log.first());
        if !self.needs_proof(s) || stream.proofs.of(cursor).is_some() {
            return cursor;
        }
        stream.proofs.after(cursor).map_or(cursor, |proof| proof.first().min(stream.log.next()))
    }

    /// What is to be shown to the other end of a link before the next chunk, or after the last.
    pub(super) fn due_proof(&self, at: usize, s: usize) -> Option<&Proof> {
        self.signing.as_ref()?;
        let (stream, ends) = (&self.streams[s], self.links[at].ends_of(s));
        if !self.needs_proof(s) {
            let due = stream.proofs.after(ends.proved).filter(|proof| proof.first() <= ends.cursor);
            return due.filter(|_| stream.kind == Kind::Own);
        }
        let cursor = ends.cursor.max(stream.log.first());
        let due = stream.proofs.of(cursor).filter(|proof| proof.checked && proof.first() != ends.proved);
        due.filter(|_| cursor < stream.log.next())
    }

    /// Has the proof verified that the next chunk for a link waits for.
    pub(super) fn prove(&mut self, at: usize, s: usize) {
        if !self.streams.get(s).is_some_and(|_| self.pushes(at, s) && self.needs_proof(s)) {
            return;
        }
        let Some(signing) = &mut self.signing else { return };
        let stream = &mut self.streams[s];
        let cursor = self.links[at].ends_of(s).cursor.max(stream.log.first());
        let Some(proof) = stream.proofs.of(cursor).filter(|proof| !proof.checked && cursor < stream.log.next()) else {
            return;
        };
        let first = proof.first();
        let is_asked = |asked: &Asked| matches!(asked, Asked::Proof { s: of, first: at } if (*of, *at) == (s, first));
        let Some(key) = signing.keys.get(&stream.id.origin).copied() else { return };
        if signing.asked.values().any(is_asked) {
            return;
        }
        // Chunks that come later are compared when they do.
        let is_true = |seq: u64| stream.log.frame(seq).is_none_or(|frame| proof.digest(seq) == Some(Digest::of(frame)));
        if !(first..proof.end()).all(is_true) {
            let by = proof.by;
            stream.proofs.settle(first, false);
            return self.blame(by, LinkError::Forged);
        }
        let (text, signature) = (signed_text(&signing.room, &proof.frame), proof.signature());
        let token = signing.ask(Asked::Proof { s, first });
        self.events.push_back(Event::Verify { token, key, text, signature });
    }

    /// One above the last chunk of a stream that others can be given, or soon.
    pub(super) fn offer(&self, s: usize) -> u64 {
        let stream = &self.streams[s];
        match stream.kind {
            Kind::Room if self.signing.is_some() => stream.proofs.end().clamp(stream.log.first(), stream.log.next()),
            _ => stream.next(),
        }
    }

    // ---- what comes over links ------------------------------------------------------------------

    /// The other end shows that the chunks of a stream that it brings next, or has brought, are their origin's.
    pub(super) fn proof_came(&mut self, at: usize, signed: Signed, frame: Bytes) -> Result<(), LinkError> {
        self.charge(at, &frame)?;
        let s = match signed.stream.to {
            None => self.stream(signed.stream, Kind::Room),
            Some(_) => self.by_id.get(&signed.stream).copied(),
        };
        if let Some(s) = s.filter(|s| self.signing.is_some() && !self.streams[*s].is_own()) {
            let (stream, link) = (&mut self.streams[s], &mut self.links[at]);
            let known = stream.proofs.of(signed.first).filter(|proof| proof.signed == signed);
            let checked = known.is_some_and(|proof| proof.checked);
            let proof = Proof { signed, frame, checked, by: link.peer };
            if link.peer != stream.id.origin {
                link.covers.entry(s).or_default().show(proof);
            } else if proof.first() <= stream.next() && proof.end() > stream.log.first() && !checked {
                stream.proofs.keep(proof);
                self.spread(s, None);
            }
        }
        self.grant(at);
        Ok(())
    }

    /// Gives a chunk back where it is its origin's for certain. Else it waits until that is known.
    pub(super) fn authentic(
        &mut self,
        at: usize,
        s: usize,
        data: Data,
        frame: Bytes,
    ) -> Result<Option<(Data, Bytes)>, LinkError> {
        let (stream, link) = (&self.streams[s], &mut self.links[at]);
        let Some(signing) = &self.signing else { return Ok(Some((data, frame))) };
        if link.peer == stream.id.origin {
            let proved = stream.proofs.of(data.seq).filter(|proof| proof.checked);
            let is_other = proved.is_some_and(|proof| proof.digest(data.seq) != Some(Digest::of(&frame)));
            return if is_other { Err(LinkError::Forged) } else { Ok(Some((data, frame))) };
        }
        let covers = link.covers.entry(s).or_default();
        let is_first = covers.queue.len() == 1;
        let Some((cover, digest)) =
            covers.queue.back_mut().and_then(|cover| cover.proof.digest(data.seq).map(|digest| (cover, digest)))
        else {
            if !covers.miss() {
                return Err(LinkError::Forged);
            }
            self.counters.early += 1;
            // Nobody looks for what strangers are said to have said.
            if stream.kind == Kind::Room && signing.keys.contains_key(&stream.id.origin) {
                self.want(at, s, data.seq + 1);
            }
            return Ok(None);
        };
        if digest != Digest::of(&frame) {
            return Err(LinkError::Forged);
        }
        if is_first && cover.proof.checked && cover.waiting.is_empty() {
            return Ok(Some((data, frame)));
        }
        link.unproved += cost(frame.len());
        cover.waiting.push_back((data, frame));
        self.check_covers(at, s);
        Ok(None)
    }

    /// What came for a chunk of a stream that is known already says something else.
    pub(super) fn differs(&self, s: usize, seq: u64, frame: &Bytes) -> bool {
        let stream = &self.streams[s];
        let is_sure = || stream.is_own() || stream.proofs.of(seq).is_some_and(|proof| proof.checked);
        self.signing.is_some() && stream.log.frame(seq).is_some_and(|known| known != frame) && is_sure()
    }

    /// A chunk that came over a link is kept, and with it what shows whose it is.
    pub(super) fn keep_proof(&mut self, at: usize, s: usize, seq: u64) {
        let cover = self.links[at].covers.get(&s).and_then(|covers| covers.queue.front());
        let Some(proof) = cover.map(|cover| &cover.proof).filter(|proof| proof.digest(seq).is_some()) else { return };
        let known = self.streams[s].proofs.of(seq);
        if known.is_none_or(|known| !known.checked || known.signed != proof.signed) {
            let proof = proof.clone();
            self.streams[s].proofs.keep(proof);
        }
    }

    /// Has covers verified that chunks wait for.
    fn check_covers(&mut self, at: usize, s: usize) {
        let (Some(signing), Some(link)) = (&mut self.signing, self.links.get_mut(at)) else { return };
        let Some(covers) = link.covers.get_mut(&s) else { return };
        let Some(key) = signing.keys.get(&self.streams[s].id.origin).copied() else {
            return self.sweep_by(self.now + limits::STRANGER_GRACE);
        };
        let unasked =
            |cover: &&mut proof::Cover| cover.asked.is_none() && !cover.proof.checked && !cover.waiting.is_empty();
        for cover in covers.queue.iter_mut().filter(unasked) {
            let token = signing.ask(Asked::Cover { at, s });
            cover.asked = Some(token);
            let (text, signature) = (signed_text(&signing.room, &cover.proof.frame), cover.proof.signature());
            self.events.push_back(Event::Verify { token, key, text, signature });
        }
    }

    /// Takes the chunks whose covers turned out to be true, in the order in which they came.
    fn drain_covers(&mut self, at: usize, s: usize) {
        while let Some(link) = self.links.get_mut(at)
            && let Some(Covers { queue, .. }) = link.covers.get_mut(&s)
            && let Some(cover) = queue.front_mut().filter(|cover| cover.proof.checked)
        {
            if let Some((data, frame)) = cover.waiting.pop_front() {
                link.unproved -= cost(frame.len());
                let peer = link.peer;
                if let Err(error) = self.take(at, s, data, frame) {
                    return self.blame(peer, error);
                }
            } else if queue.len() > 1 {
                queue.pop_front();
            } else {
                break;
            }
        }
        self.grant(at);
    }

    /// Chunks that are said to be from somebody of whom the hub does not tell are let go of.
    pub(super) fn drop_strangers(&mut self, s: usize) {
        let (stream, now) = (&self.streams[s], self.now);
        let is_known = |signing: &Signing| stream.is_own() || signing.keys.contains_key(&stream.id.origin);
        if self.signing.as_ref().is_none_or(is_known) || stream.fresh_at + limits::STRANGER_GRACE > now {
            return;
        }
        for at in self.links.places() {
            self.links[at].drop_covers(s);
            self.grant(at);
        }
    }

    /// A stream is no more.
    pub(super) fn forget_proofs(&mut self, s: usize) {
        if let Some(signing) = &mut self.signing {
            signing.unsealed.remove(&s);
            signing.asked.retain(|_, asked| !asked.is_of(s));
        }
    }

    /// A member is forgotten.
    pub(super) fn forget_key(&mut self, id: MemberId) {
        if let Some(signing) = &mut self.signing {
            signing.keys.remove(&id);
        }
    }

    /// A link is no more.
    pub(super) fn forget_covers(&mut self, link: usize) {
        if let Some(signing) = &mut self.signing {
            signing.asked.retain(|_, asked| !matches!(asked, Asked::Cover { at, .. } if *at == link));
        }
    }

    fn blame(&mut self, peer: MemberId, error: LinkError) {
        self.events.push_back(Event::Faulty { peer, error });
    }
}

impl Signing {
    fn ask(&mut self, what: Asked) -> u64 {
        self.numbers += 1;
        self.asked.insert(self.numbers, what);
        self.numbers
    }
}
