//! What a member keeps of one stream, to hand it on.

use std::collections::VecDeque;

use bytes::Bytes;

use super::cost;
use crate::{limits, time::Time};

/// The chunks `first … next − 1` of a stream, each as the frame that its origin made of it.
#[derive(Debug)]
pub(super) struct Log {
    first: u64,
    chunks: VecDeque<Chunk>,
    bytes: usize,
    /// When some of the chunks came that were let go of, the oldest first: a newcomer may be owed them.
    marks: VecDeque<(Time, u64)>,
    /// When the last of them came.
    dropped_at: Option<Time>,
}

#[derive(Debug)]
struct Chunk {
    frame: Bytes,
    at: Time,
    /// Its place among all chunks of this member, where it is one's own.
    stamp: u64,
}

impl Log {
    /// An empty log whose next chunk has the number `next`.
    pub fn at(next: u64) -> Log {
        Log { first: next, chunks: VecDeque::new(), bytes: 0, marks: VecDeque::new(), dropped_at: None }
    }

    /// The first chunk that can be supplied.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The first chunk that is missing.
    pub fn next(&self) -> u64 {
        self.first + self.chunks.len() as u64
    }

    /// The first chunk that came at `time` or later. Where some were let go of that did, one of those, or a little earlier.
    pub fn first_since(&self, time: Time) -> u64 {
        if self.dropped_at.is_some_and(|at| at >= time) {
            let place = self.marks.partition_point(|(at, _)| *at <= time).saturating_sub(1);
            return self.marks.get(place).map_or(self.first, |(_, seq)| *seq);
        }
        self.first + self.chunks.partition_point(|chunk| chunk.at < time) as u64
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn frame(&self, seq: u64) -> Option<&Bytes> {
        self.chunk(seq).map(|chunk| &chunk.frame)
    }

    pub fn stamp(&self, seq: u64) -> Option<u64> {
        self.chunk(seq).map(|chunk| chunk.stamp)
    }

    fn chunk(&self, seq: u64) -> Option<&Chunk> {
        self.chunks.get(usize::try_from(seq.checked_sub(self.first)?).ok()?)
    }

    /// Appends a chunk. `stamp` is of use for one's own only.
    pub fn push(&mut self, frame: Bytes, stamp: u64, at: Time) {
        self.bytes += cost(frame.len()) as usize;
        self.chunks.push_back(Chunk { frame, at, stamp });
    }

    /// Goes on at `next`: what comes before is not to be had.
    pub fn restart(&mut self, next: u64) {
        *self = Log::at(next);
    }

    /// Whether there is more than `share` bytes, or an old chunk.
    pub fn is_ripe(&self, share: usize, now: Time) -> bool {
        self.chunks.front().is_some_and(|chunk| self.bytes > share || chunk.at + limits::CACHE_AGE <= now)
    }

    /// Lets go of chunks below `floor` that are old, or more than `share` bytes.
    pub fn trim(&mut self, floor: u64, share: usize, now: Time) {
        while self.first < floor && self.is_ripe(share, now) {
            self.mark();
            self.drop_first();
        }
    }

    /// Notes when the first chunk came.
    fn mark(&mut self) {
        let Some(at) = self.chunks.front().map(|chunk| chunk.at) else { return };
        self.dropped_at = Some(at);
        if self.marks.back().is_none_or(|(last, _)| *last + limits::MARK_EVERY <= at) {
            if self.marks.len() >= limits::MARKS {
                self.marks.pop_front();
            }
            self.marks.push_back((at, self.first));
        }
    }

    /// Lets go of all chunks below `floor`.
    pub fn trim_to(&mut self, floor: u64) {
        while self.first < floor && !self.chunks.is_empty() {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(chunk) = self.chunks.pop_front() {
            self.bytes -= cost(chunk.frame.len()) as usize;
            self.first += 1;
        }
    }

    /// How much more than `share` bytes it holds: somebody has yet to get it.
    pub fn overhang(&self, share: usize) -> u64 {
        self.bytes.saturating_sub(share) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(chunks: u64, size: usize) -> Log {
        let mut log = Log::at(5);
        (0..chunks).for_each(|n| log.push(Bytes::from(vec![0; size]), n, Time(n * 1_000_000)));
        log
    }

    #[test]
    fn chunks_stay_until_they_are_old_and_everybody_has_them() {
        let mut log = log(10, 100);
        assert_eq!((log.first(), log.next(), log.first_since(Time(3_500_000))), (5, 15, 9));
        log.trim(15, usize::MAX, Time(0) + limits::CACHE_AGE);
        assert_eq!((log.first(), log.next()), (6, 15));
        log.trim(8, usize::MAX, Time(u64::MAX));
        assert_eq!(log.first(), 8);
        assert!(log.frame(7).is_none() && log.frame(8).is_some() && log.frame(15).is_none());
    }

    #[test]
    fn where_a_newcomer_begins_is_known_of_what_is_not_kept_any_more() {
        let mut log = log(200, 100);
        log.trim(150, 0, Time(0));
        assert_eq!((log.first(), log.first_since(Time(160_000_000))), (150, 165));
        let second = |seconds: u64| log.first_since(Time(seconds * 1_000_000));
        assert_eq!((second(100), second(140), second(144)), (105, 145, 149));
        // Of what is too long ago nobody asks any more.
        assert_eq!(second(1), 150 - limits::MARKS as u64);
    }

    #[test]
    fn a_cache_is_bounded_but_for_what_somebody_has_yet_to_get() {
        let mut log = log(100, 1_000);
        log.trim(5, 50_000, Time(0));
        assert!(log.overhang(50_000) > 50_000);
        log.trim(log.next(), 50_000, Time(0));
        assert_eq!(log.overhang(50_000), 0);
        assert!(log.next() - log.first() > 40);
    }
}
