//! When each peer wants to be polled: a heap whose entries may go stale.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::limits::TIMER_ENTRIES_PER_PEER;

/// Deadlines by slot. Moving a deadline later costs nothing: the entry in the heap comes up early,
/// is compared with what is wanted now, and goes back.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, u32)>>,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// When the peer wants to be polled.
    due: Option<Instant>,
    /// Its earliest entry in the heap. Other entries of this slot are stale.
    armed: Option<Instant>,
}

impl Timers {
    pub(crate) fn set(&mut self, slot: u32, due: Option<Instant>) {
        let index = slot as usize;
        if index >= self.slots.len() {
            self.slots.resize(index + 1, Slot::default());
        }
        let entry = &mut self.slots[index];
        entry.due = due;
        if let Some(due) = due
            && entry.armed.is_none_or(|armed| due < armed)
        {
            entry.armed = Some(due);
            self.heap.push(Reverse((due, slot)));
            if self.heap.len() > 64 + self.slots.len() * TIMER_ENTRIES_PER_PEER {
                self.rebuild();
            }
        }
    }

    /// The next slot that is due, once.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<u32> {
        while let Some(&Reverse((at, slot))) = self.heap.peek()
            && at <= now
        {
            self.heap.pop();
            let entry = &mut self.slots[slot as usize];
            if entry.armed != Some(at) {
                continue;
            }
            entry.armed = None;
            match entry.due {
                Some(due) if due <= now => {
                    entry.due = None;
                    return Some(slot);
                }
                due => self.set(slot, due),
            }
        }
        None
    }

    /// When [`Timers::expired`] is worth calling again; may be early, never late.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    fn rebuild(&mut self) {
        self.heap.clear();
        for (slot, entry) in self.slots.iter_mut().enumerate() {
            entry.armed = entry.due;
            if let Some(due) = entry.due {
                self.heap.push(Reverse((due, slot as u32)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_deadline_moved_later_fires_once_and_on_time() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set(3, Some(at(10)));
        timers.set(3, Some(at(30)));
        assert_eq!(timers.expired(at(20)), None);
        assert_eq!(timers.expired(at(30)), Some(3));
        assert_eq!(timers.expired(at(99)), None);
    }

    #[test]
    fn a_deadline_moved_earlier_fires_early_and_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set(0, Some(at(50)));
        timers.set(0, Some(at(5)));
        assert_eq!(timers.next(), Some(at(5)));
        assert_eq!(timers.expired(at(5)), Some(0));
        assert_eq!(timers.expired(at(60)), None);
    }

    #[test]
    fn a_cleared_deadline_never_fires() {
        let start = Instant::now();
        let mut timers = Timers::default();
        timers.set(0, Some(start));
        timers.set(0, None);
        assert_eq!(timers.expired(start + Duration::from_secs(1)), None);
    }

    #[test]
    fn the_heap_stays_bounded_under_ever_earlier_deadlines() {
        let start = Instant::now();
        let mut timers = Timers::default();
        for ms in (0..10_000).rev() {
            timers.set(0, Some(start + Duration::from_millis(ms)));
        }
        assert!(timers.heap.len() <= 64 + TIMER_ENTRIES_PER_PEER + 1);
        assert_eq!(timers.expired(start), Some(0));
    }
}
