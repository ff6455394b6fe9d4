//! Plain flooding: whoever gets a message for the first time passes it on over all links but the one that it came by. What
//! is under way on a link that ends is lost.

use std::collections::VecDeque;

use bytes::Bytes;
use room::{
    courier::LinkUp,
    id::MemberId,
    time::{Micros, Time},
};

use super::protocol::{Arrival, Protocol};

/// A message under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copy {
    pub(super) origin: MemberId,
    pub(super) seq: u64,
    /// How many links it has taken where it arrives.
    pub(super) hop: u8,
    pub(super) bytes: u32,
}

#[derive(Debug)]
pub(super) struct Flood {
    this: MemberId,
    said: u64,
    links: Vec<MemberId>,
    seen: Seen,
    out: VecDeque<(MemberId, Copy)>,
    arrivals: VecDeque<Arrival>,
}

impl Flood {
    fn spread(&mut self, copy: Copy, but: Option<MemberId>) {
        let next = Copy { hop: copy.hop.saturating_add(1), ..copy };
        self.out.extend(self.links.iter().filter(|peer| Some(**peer) != but).map(|peer| (*peer, next)));
    }
}

impl Protocol for Flood {
    type Frame = Copy;
    const ORDERED: bool = false;

    fn new(this: MemberId, _: Time, _: bool) -> Flood {
        Flood {
            this,
            said: 0,
            links: Vec::new(),
            seen: Seen::default(),
            out: VecDeque::new(),
            arrivals: VecDeque::new(),
        }
    }

    fn link_up(&mut self, _: Time, peer: MemberId, _: LinkUp, _: Micros) {
        self.links.push(peer);
    }

    fn link_down(&mut self, _: Time, peer: MemberId) {
        self.links.retain(|other| *other != peer);
    }

    fn publish(&mut self, _: Time, payload: &Bytes) -> bool {
        self.said += 1;
        self.seen.insert(self.this, self.said);
        let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        self.spread(Copy { origin: self.this, seq: self.said, hop: 0, bytes }, None);
        true
    }

    fn frame(&mut self, _: Time, from: MemberId, copy: Copy) -> Result<(), String> {
        if self.seen.insert(copy.origin, copy.seq) {
            self.arrivals.push_back(Arrival::Message { origin: copy.origin, seq: copy.seq, hop: copy.hop });
            self.spread(copy, Some(from));
        }
        Ok(())
    }

    fn next_frame(&mut self, _: Time) -> Option<(MemberId, Copy)> {
        self.out.pop_front()
    }

    fn next_arrival(&mut self, _: Time) -> Option<Arrival> {
        self.arrivals.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        None
    }

    fn tick(&mut self, _: Time) {}

    fn size(copy: &Copy) -> usize {
        16 + copy.bytes as usize
    }

    fn message(copy: &Copy) -> Option<(MemberId, u64)> {
        Some((copy.origin, copy.seq))
    }
}

/// Which messages came, by origin: a bit each.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<(MemberId, Vec<u64>)>);

impl Seen {
    /// Whether it had not come before.
    pub(super) fn insert(&mut self, origin: MemberId, seq: u64) -> bool {
        let at = self.0.iter().position(|(known, _)| *known == origin).unwrap_or_else(|| {
            self.0.push((origin, Vec::new()));
            self.0.len() - 1
        });
        let (word, bit) = ((seq / 64) as usize, 1 << (seq % 64));
        let words = &mut self.0[at].1;
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        let new = words[word] & bit == 0;
        words[word] |= bit;
        new
    }

    pub(super) fn contains(&self, origin: MemberId, seq: u64) -> bool {
        let words = self.0.iter().find(|(known, _)| *known == origin).map(|(_, words)| words);
        words.and_then(|words| words.get((seq / 64) as usize)).is_some_and(|word| word >> (seq % 64) & 1 == 1)
    }
}
