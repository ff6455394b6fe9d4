//! What shows that chunks are their origin's: signatures over ranges of a stream.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{
    id::{Digest, MemberId, Signature},
    limits,
    wire::frame::{Data, Signed},
};

/// That some chunks are their origin's.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub signed: Signed,
    /// As it came, to be passed on.
    pub frame: Bytes,
    /// Whether the signature was found to be the origin's.
    pub checked: bool,
    /// Who is to blame where it is not.
    pub by: MemberId,
}

impl Proof {
    /// The number of its first chunk.
    pub fn first(&self) -> u64 {
        self.signed.first
    }

    /// One above that of its last.
    pub fn end(&self) -> u64 {
        self.signed.first + self.signed.digests.len() as u64
    }

    /// The digest of a chunk; `None` where it says nothing of it.
    pub fn digest(&self, seq: u64) -> Option<Digest> {
        self.signed.digests.get(usize::try_from(seq.checked_sub(self.signed.first)?).ok()?).copied()
    }

    pub fn signature(&self) -> Signature {
        self.signed.signature
    }
}

/// The proofs of one stream's log, in order; no chunk has two.
#[derive(Debug, Default)]
pub(super) struct Proofs(VecDeque<Proof>);

impl Proofs {
    /// The one that says something of a chunk.
    pub fn of(&self, seq: u64) -> Option<&Proof> {
        let place = self.0.partition_point(|proof| proof.end() <= seq);
        self.0.get(place).filter(|proof| proof.first() <= seq)
    }

    /// The first that begins above a chunk.
    pub fn after(&self, seq: u64) -> Option<&Proof> {
        self.0.get(self.0.partition_point(|proof| proof.first() <= seq))
    }

    /// Where the last begins that says nothing of `next` and above; 0 where there is none.
    pub fn last_below(&self, next: u64) -> u64 {
        let place = self.0.partition_point(|proof| proof.end() <= next);
        place.checked_sub(1).map_or(0, |place| self.0[place].first())
    }

    /// One above the last chunk that has one; 0 where none has.
    pub fn end(&self) -> u64 {
        self.0.back().map_or(0, Proof::end)
    }

    /// Keeps one, in the place of those that say something of the same chunks.
    pub fn keep(&mut self, proof: Proof) {
        self.0.retain(|old| old.end() <= proof.first() || old.first() >= proof.end());
        let place = self.0.partition_point(|old| old.first() < proof.first());
        self.0.insert(place, proof);
    }

    /// The one that begins with a chunk was found to be its origin's, or is let go of, and given back.
    pub fn settle(&mut self, first: u64, is_good: bool) -> Option<Proof> {
        let place = self.0.iter().position(|proof| proof.first() == first)?;
        if is_good {
            self.0[place].checked = true;
            return None;
        }
        self.0.remove(place)
    }

    /// Lets go of those of which no chunk is at `first` or above.
    pub fn trim(&mut self, first: u64) {
        while self.0.front().is_some_and(|proof| proof.end() <= first) {
            self.0.pop_front();
        }
    }
}

/// What somebody who passes a stream on has shown for the chunks that come next over a link.
#[derive(Debug)]
pub(super) struct Cover {
    pub proof: Proof,
    /// Under which number the answer is awaited whether it holds.
    pub asked: Option<u64>,
    /// Chunks that came under it meanwhile, with their frames.
    pub waiting: VecDeque<(Data, Bytes)>,
}

/// The covers of one stream on one link, in the order in which they came. All but the last have chunks that wait.
#[derive(Debug, Default)]
pub(super) struct Covers {
    pub queue: VecDeque<Cover>,
    /// Chunks that came without any since the last.
    pub bare: usize,
}

impl Covers {
    /// Another one is shown.
    pub fn show(&mut self, proof: Proof) {
        self.bare = 0;
        if self.queue.back().is_some_and(|cover| cover.waiting.is_empty()) {
            self.queue.pop_back();
        }
        self.queue.push_back(Cover { proof, asked: None, waiting: VecDeque::new() });
    }

    /// A chunk came that nothing was shown for. Where a stream is forgotten and comes back that is nobody's fault, until
    /// the next cover; gives whether it still may be so.
    pub fn miss(&mut self) -> bool {
        self.bare += 1;
        self.bare < limits::SIGNED_CHUNKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::Stream;

    fn proof(first: u64, count: usize) -> Proof {
        let digests = vec![Digest([0; 16]); count];
        let signed = Signed { stream: Stream::room(MemberId::from(7)), first, digests, signature: Signature([0; 64]) };
        Proof { signed, frame: Bytes::new(), checked: false, by: MemberId::from(7) }
    }

    #[test]
    fn proofs_stand_in_order_and_the_newest_counts() {
        let mut proofs = Proofs::default();
        for (first, count) in [(9, 4), (1, 4), (5, 2)] {
            proofs.keep(proof(first, count));
        }
        let first_of = |proofs: &Proofs, seq| proofs.of(seq).map(Proof::first);
        assert_eq!([1, 4, 5, 6, 9].map(|seq| first_of(&proofs, seq)), [1, 1, 5, 5, 9].map(Some));
        assert_eq!([first_of(&proofs, 7), first_of(&proofs, 13)], [None, None]);
        assert_eq!((proofs.after(6).map(Proof::first), proofs.end(), proofs.last_below(8)), (Some(9), 13, 5));
        proofs.keep(proof(4, 4));
        assert_eq!([3, 4, 7, 8].map(|seq| first_of(&proofs, seq)), [None, Some(4), Some(4), None]);
        assert!(proofs.settle(4, true).is_none() && proofs.of(5).is_some_and(|proof| proof.checked));
        assert!(proofs.settle(9, false).is_some() && proofs.of(9).is_none());
        proofs.trim(8);
        assert_eq!(proofs.end(), 0);
    }

    #[test]
    fn only_the_last_cover_has_nothing_that_waits() {
        let mut covers = Covers::default();
        covers.show(proof(1, 2));
        covers.show(proof(3, 2));
        assert_eq!(covers.queue.len(), 1);
        let data =
            Data { stream: Stream::room(MemberId::from(7)), seq: 3, head: None, last: true, payload: Bytes::new() };
        covers.queue[0].waiting.push_back((data, Bytes::new()));
        assert!(covers.miss());
        covers.show(proof(5, 2));
        assert_eq!((covers.queue.len(), covers.bare), (2, 0));
        assert_eq!((0..limits::SIGNED_CHUNKS).filter(|_| covers.miss()).count(), limits::SIGNED_CHUNKS - 1);
    }
}
