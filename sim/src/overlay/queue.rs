//! Events in the order of time, millions of them at once: a radix heap.
//!
//! Time only goes forward, so what lies further ahead needs no order yet. An event lies in the bucket of the highest bit
//! in which its time differs from now; when that is the lowest bucket with anything in it, its events are spread over the
//! buckets below. Each moves a few times, always to the end of a vector. What is due at the same time comes in the order
//! in which it was planned: equal times are always in the same bucket.

use std::collections::VecDeque;

use room::time::Time;

/// What is due within 2^`NEAR` µs is near, at the latest.
const NEAR: usize = 5;

#[derive(Debug)]
pub(super) struct Queue<E> {
    now: Time,
    due: VecDeque<E>,
    /// By the highest differing bit, from the lowest.
    ahead: Vec<Vec<(Time, E)>>,
    /// An empty vector that keeps its memory.
    spare: Vec<(Time, E)>,
}

impl<E> Queue<E> {
    pub(super) fn new() -> Queue<E> {
        let ahead = (0..u64::BITS).map(|_| Vec::new()).collect();
        Queue { now: Time(0), due: VecDeque::new(), ahead, spare: Vec::new() }
    }

    /// Plans an event; what would be in the past is due now.
    pub(super) fn push(&mut self, at: Time, event: E) {
        match (at.0.max(self.now.0) ^ self.now.0).checked_ilog2() {
            None => self.due.push_back(event),
            Some(bit) => self.ahead[bit as usize].push((at, event)),
        }
    }

    /// The next event, where it is due by `end`. `foresee` is shown what comes [`NEAR`] to it, once it does.
    pub(super) fn pop(&mut self, end: Time, foresee: impl FnOnce(&[Vec<(Time, E)>])) -> Option<(Time, E)> {
        if self.due.is_empty() {
            let nearest = self.ahead.iter().position(|bucket| !bucket.is_empty())?;
            let next = self.ahead[nearest].iter().map(|(at, _)| *at).min()?;
            if next > end {
                return None;
            }
            self.now = next;
            let mut bucket = std::mem::replace(&mut self.ahead[nearest], std::mem::take(&mut self.spare));
            for (at, event) in bucket.drain(..) {
                self.push(at, event);
            }
            self.spare = bucket;
            if nearest >= NEAR {
                // The buckets below were empty.
                foresee(&self.ahead[..NEAR]);
            }
        }
        self.due.pop_front().map(|event| (self.now, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dice::Dice, queue};

    #[test]
    fn events_come_in_the_order_of_a_plain_heap() {
        let (mut radix, mut plain) = (Queue::new(), queue::Queue::new());
        let mut dice = Dice::new(7, 0, 0);
        let mut now = Time(0);
        for number in 0..20_000 {
            let ahead = 1_u64 << dice.below(24);
            let at = Time(now.0 + dice.below(ahead) / 3 * 3);
            radix.push(at, number);
            plain.push(at, number);
            if dice.chance(0.45) {
                let end = Time(now.0 + dice.below(1 << 20));
                let next = radix.pop(end, |_| ());
                assert_eq!(next, plain.pop(end));
                now = next.map_or(now, |(at, _)| at);
            }
        }
        while let Some(next) = plain.pop(Time(u64::MAX)) {
            assert_eq!(radix.pop(Time(u64::MAX), |_| ()), Some(next));
        }
        assert_eq!(radix.pop(Time(u64::MAX), |_| ()), None);
    }
}
