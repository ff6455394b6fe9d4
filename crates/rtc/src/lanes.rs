//! The queues in front of SCTP: one per lane, served by priority, within one budget.
//!
//! SCTP has a single send buffer for all channels of a peer and serves it first come, first
//! served, so a message of any priority waits behind all that was written before it. Therefore
//! little is written ahead, as much as [`Budget`] says, and the rest waits here where order can still
//! be chosen.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::budget::Budget;
use crate::limits::{
    LANE_PAUSE_BYTES, LANE_QUEUE_BYTES, LANE_QUEUE_MESSAGES, LANE_RESUME_BYTES, SCTP_URGENT_BYTES, STARVATION_BYTES,
};

pub(crate) struct Lanes {
    lanes: Vec<Queue>,
    /// The smallest priority number of all lanes.
    urgent: u8,
    served: u64,
    pub(crate) budget: Budget,
}

struct Queue {
    priority: u8,
    messages: VecDeque<Bytes>,
    queued: usize,
    /// Bytes in SCTP: written there and not acknowledged or abandoned yet.
    in_sctp: usize,
    /// Bytes of more urgent lanes that went past this one while it waited.
    passed_over: usize,
    /// When this lane was last served, to take turns among equals.
    last_served: u64,
    /// What the lane held when last looked at, here and in SCTP.
    seen: usize,
    /// Bytes pushed since the writer was last told what is buffered. It may add them up.
    untold: usize,
}

/// A lane's queue has no room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Lanes {
    pub(crate) fn new(priorities: impl Iterator<Item = u8>, now: Instant) -> Lanes {
        let lanes: Vec<_> = priorities
            .map(|priority| Queue {
                priority,
                messages: VecDeque::new(),
                queued: 0,
                in_sctp: 0,
                passed_over: 0,
                last_served: 0,
                seen: 0,
                untold: 0,
            })
            .collect();
        let urgent = lanes.iter().map(|lane| lane.priority).min().unwrap_or(0);
        Lanes { lanes, urgent, served: 0, budget: Budget::new(now) }
    }

    pub(crate) fn len(&self) -> usize {
        self.lanes.len()
    }

    pub(crate) fn push(&mut self, lane: usize, message: Bytes) -> Result<(), Full> {
        let lane = &mut self.lanes[lane];
        if lane.queued + message.len() > LANE_QUEUE_BYTES || lane.messages.len() >= LANE_QUEUE_MESSAGES {
            return Err(Full);
        }
        lane.queued += message.len();
        lane.untold += message.len();
        lane.messages.push_back(message);
        lane.seen = lane.queued + lane.in_sctp;
        Ok(())
    }

    /// Bytes of this lane, here and in SCTP.
    pub(crate) fn buffered(&self, lane: usize) -> usize {
        self.lanes.get(lane).map_or(0, |lane| lane.queued + lane.in_sctp)
    }

    pub(crate) fn in_sctp(&self, lane: usize) -> usize {
        self.lanes[lane].in_sctp
    }

    /// What SCTP now says it holds of this lane. Returns what is still buffered if a paused writer
    /// may go on.
    pub(crate) fn set_in_sctp(&mut self, lane: usize, bytes: usize) -> Option<usize> {
        let resume_at = self.budget.bytes().min(LANE_PAUSE_BYTES / 4 * 3);
        let lane = &mut self.lanes[lane];
        self.budget.acknowledged(lane.in_sctp.saturating_sub(bytes));
        lane.in_sctp = bytes;
        let total = lane.queued + lane.in_sctp;
        let before = std::mem::replace(&mut lane.seen, total);
        let crossed = [LANE_RESUME_BYTES, resume_at].into_iter().any(|at| before > at && total <= at);
        // A lane that drains as fast as it is filled crosses nothing: its writer would never hear of it.
        let overdue = total <= LANE_RESUME_BYTES && lane.untold > LANE_RESUME_BYTES;
        if crossed || overdue {
            lane.untold = 0;
        }
        (crossed || overdue).then_some(total)
    }

    /// The lane whose first message should be written to SCTP now, if any fits.
    pub(crate) fn next(&mut self) -> Option<(usize, &Bytes)> {
        let budget = self.budget.bytes();
        let total: usize = self.lanes.iter().map(|lane| lane.in_sctp).sum();
        let fits = |lane: &Queue, message: &Bytes| {
            let extra = if lane.priority == self.urgent { SCTP_URGENT_BYTES } else { 0 };
            total == 0 || total + message.len() <= budget + extra
        };
        let waiting = || {
            let lanes = self.lanes.iter().enumerate();
            lanes.filter_map(|(index, lane)| Some((index, lane, lane.messages.front()?)))
        };
        let starved = waiting()
            .filter(|(_, lane, message)| lane.passed_over >= STARVATION_BYTES && fits(lane, message))
            .max_by_key(|(_, lane, _)| lane.passed_over);
        // Only the most urgent lane is asked whether its message fits: if a less urgent, smaller
        // one took the room instead, the first could wait for ever.
        let urgent = || {
            waiting()
                .min_by_key(|(_, lane, _)| (lane.priority, lane.last_served))
                .filter(|(_, lane, message)| fits(lane, message))
        };
        let found = starved.or_else(urgent).map(|(index, ..)| index);
        if found.is_none() && waiting().next().is_some() {
            self.budget.limited();
        }
        let index = found?;
        Some((index, self.lanes[index].messages.front()?))
    }

    /// SCTP took the first message of this lane.
    pub(crate) fn written(&mut self, lane: usize) {
        self.served += 1;
        let Some(message) = self.lanes[lane].messages.pop_front() else { return };
        let priority = self.lanes[lane].priority;
        for other in &mut self.lanes {
            if other.priority > priority && !other.messages.is_empty() {
                other.passed_over += message.len();
            }
        }
        let lane = &mut self.lanes[lane];
        lane.queued -= message.len();
        lane.in_sctp += message.len();
        lane.passed_over = 0;
        lane.last_served = self.served;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Bytes {
        Bytes::from(vec![1; length])
    }

    /// Writes as long as something fits; returns lane numbers in order.
    fn write_all(lanes: &mut Lanes) -> Vec<usize> {
        let mut order = Vec::new();
        while let Some((lane, _)) = lanes.next() {
            lanes.written(lane);
            order.push(lane);
        }
        order
    }

    fn acknowledge(lanes: &mut Lanes) {
        for lane in 0..lanes.len() {
            let _ = lanes.set_in_sctp(lane, 0);
        }
    }

    #[test]
    fn lower_numbers_go_first_and_equals_take_turns() {
        let mut lanes = Lanes::new([5, 1, 5].into_iter(), Instant::now());
        for lane in [0, 0, 1, 2, 2] {
            lanes.push(lane, message(100)).expect("room");
        }
        assert_eq!(write_all(&mut lanes), [1, 0, 2, 0, 2]);
    }

    #[test]
    fn bulk_stops_at_the_budget_and_urgent_lanes_have_more() {
        let mut lanes = Lanes::new([0, 9].into_iter(), Instant::now());
        for _ in 0..8 {
            lanes.push(1, message(16 * 1024)).expect("room");
        }
        assert_eq!(write_all(&mut lanes), [1; 4]);
        lanes.push(0, message(200)).expect("room");
        assert_eq!(write_all(&mut lanes), [0]);
    }

    #[test]
    fn a_writer_that_adds_up_what_it_wrote_hears_that_it_went() {
        let mut lanes = Lanes::new([0].into_iter(), Instant::now());
        let (mut believed, mut told) = (0, 0);
        for _ in 0..4_096 {
            lanes.push(0, message(1024)).expect("room");
            believed += 1024;
            write_all(&mut lanes);
            if let Some(bytes) = lanes.set_in_sctp(0, 0) {
                believed = bytes;
                told += 1;
            }
            assert!(believed < LANE_PAUSE_BYTES, "nobody would write any more");
        }
        assert!(told <= 4_096 * 1024 / LANE_RESUME_BYTES, "told {told} times");
    }

    #[test]
    fn a_flood_on_an_urgent_lane_does_not_starve_the_others() {
        let mut lanes = Lanes::new([0, 9].into_iter(), Instant::now());
        lanes.push(1, message(1000)).expect("room");
        let mut served = 0;
        for _ in 0..20 {
            for _ in 0..4 {
                lanes.push(0, message(16 * 1024)).expect("room");
            }
            served += write_all(&mut lanes).iter().filter(|lane| **lane == 1).count();
            acknowledge(&mut lanes);
        }
        assert_eq!(served, 1);
    }

    #[test]
    fn a_message_as_long_as_the_budget_goes_when_nothing_else_is_in_flight() {
        let mut lanes = Lanes::new([0, 1].into_iter(), Instant::now());
        lanes.push(1, message(10)).expect("room");
        assert_eq!(write_all(&mut lanes), [1]);
        lanes.push(1, message(crate::MAX_MESSAGE_BYTES)).expect("room");
        assert_eq!(write_all(&mut lanes), []);
        acknowledge(&mut lanes);
        assert_eq!(write_all(&mut lanes), [1]);
    }

    #[test]
    fn queues_are_bounded_in_bytes_and_in_messages() {
        let mut lanes = Lanes::new([0, 0].into_iter(), Instant::now());
        while lanes.push(0, message(50_000)).is_ok() {}
        assert!(lanes.buffered(0) <= LANE_QUEUE_BYTES);
        for _ in 0..LANE_QUEUE_MESSAGES {
            lanes.push(1, message(1)).expect("room");
        }
        assert_eq!(lanes.push(1, message(1)), Err(Full));
    }

    #[test]
    fn a_paused_writer_is_told_when_it_may_go_on() {
        let mut lanes = Lanes::new([0].into_iter(), Instant::now());
        for _ in 0..7 {
            lanes.push(0, message(16 * 1024)).expect("room");
        }
        assert_eq!(write_all(&mut lanes).len(), 5);
        assert_eq!(lanes.set_in_sctp(0, 3 * 16 * 1024), None);
        assert_eq!(lanes.set_in_sctp(0, 2 * 16 * 1024), Some(4 * 16 * 1024));
        assert_eq!(lanes.set_in_sctp(0, 1024), None);
    }
}
