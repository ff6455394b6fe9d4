//! HELLO: what a member tells the other end of a link first, and what a newcomer learns of where streams begin.

use super::*;

impl Courier {
    /// HELLO: what this member has, and where it can begin to supply it.
    pub(super) fn greeting(&mut self, at: usize) -> Frame {
        let (peer, from) = (self.links[at].peer, self.links[at].offer_from);
        let to_peer = StreamId::addressed(self.this, peer);
        let mut holdings = Vec::new();
        for (s, stream) in self.streams.iter().filter(|(_, stream)| stream.has_begun()) {
            let (log, next) = (&stream.log, stream.next());
            let since = || from.map_or(log.first(), |since| log.first_since(since));
            let first = match stream.kind {
                Kind::Own => {
                    let expected = self.expected.get(&peer).copied().flatten();
                    expected.map_or(since(), |expected| expected.from).max(1)
                }
                // Whoever is not told of a stream knows that it has yet to begin. Of one that others have heard of, and this
                // member has not, somebody else must say where it begins.
                Kind::Room if next <= 1 && !self.is_heard_of(s) => continue,
                Kind::Room => since(),
                Kind::Sent if stream.id == to_peer => log.first(),
                Kind::Received if stream.id.origin == peer => next,
                _ => continue,
            };
            if !self.links[at].open {
                self.links[at].ends(s).cursor = first;
            }
            // Its origin is told what came, others what they can be given.
            let next = if stream.id.origin == peer { next } else { self.offer(s).max(first) };
            holdings.push(Holding { stream: stream.id, first, next });
        }
        // Where there are too many, the other end does not learn from this one where all streams begin.
        let is_all = holdings.len() <= limits::HOLDINGS_MAX;
        if !is_all {
            // What goes between the two goes no other way.
            holdings.sort_by_key(|holding| holding.stream.to.is_none());
        }
        holdings.truncate(limits::HOLDINGS_MAX);
        let epoch = if self.vouched && is_all { self.plan.epoch.max(1) } else { 0 };
        Frame::Hello { version: frame::VERSION, epoch, credit: self.links[at].granted, holdings }
    }

    /// Whether a neighbour has some of a stream.
    fn is_heard_of(&self, s: usize) -> bool {
        self.links.iter().any(|(_, link)| link.ends_of(s).theirs > 1)
    }

    /// Whether it is known where the streams of those begin who were here before.
    pub fn is_settled(&self) -> bool {
        self.vouched
    }

    /// Where all streams of earlier members have begun, it is known where streams begin.
    pub(super) fn settle_beginnings(&mut self) {
        let unknown = |stream: &Stream| stream.kind == Kind::Room && !stream.has_begun();
        if self.met_all && !self.vouched && !self.streams.iter().any(|(_, stream)| unknown(stream)) {
            self.begin_unknown();
        }
    }

    /// It is known now where streams begin: those that have not been heard of begin with their first chunk. Whoever was
    /// told that this member did not know is told again.
    pub(super) fn begin_unknown(&mut self) {
        self.vouched = true;
        let unknown = |stream: &&mut Stream| stream.kind == Kind::Room && !stream.has_begun();
        self.streams.iter_mut().map(|(_, stream)| stream).filter(unknown).for_each(Stream::begin);
        for at in self.links.places() {
            if !std::mem::replace(&mut self.links[at].vouched_for, true) {
                let hello = self.greeting(at);
                self.links[at].control.push_back(hello);
                self.list(at);
            }
        }
    }

    /// Somebody who was here before, and knows where streams begin, said so in its HELLO.
    pub(super) fn vouched_by(&mut self, at: usize) {
        if self.vouched || !self.plan.relayed {
            return;
        }
        for s in self.streams.places() {
            let (stream, ends) = (&mut self.streams[s], self.links[at].ends_of(s));
            let is_known = stream.offered.is_some() || ends.offered > 0;
            if stream.kind == Kind::Room && !stream.has_begun() && is_known {
                stream.meet();
            }
        }
        self.begin_unknown();
        for s in self.streams.places() {
            let theirs = self.links[at].ends_of(s).theirs;
            if self.streams[s].kind == Kind::Room && theirs > self.streams[s].next() {
                self.want(at, s, theirs);
            }
        }
    }

    /// Members pass on what others say from now on: where streams begin, that no origin has said, those know who were here
    /// before.
    pub(super) fn learn_beginnings(&mut self) {
        let knows = |link: &Link| link.vouches && link.open && !link.is_unsure;
        let elder = self.links.iter().find(|(_, link)| knows(link)).map(|(at, _)| at);
        if self.vouched {
            self.begin_unknown();
        } else if let Some(at) = elder {
            self.vouched_by(at);
        }
    }
}
