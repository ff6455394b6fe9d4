//! A link's way over the hub, for as long as no connection joins its ends.
//!
//! The offerer asks, the answerer consents by asking back under the same number, and the hub carries. Neither the hub nor a
//! WebSocket says how much of it the other end has taken, so the other end does: what is under way stands for what a
//! connection has in its send buffer.

use crate::{
    limits,
    time::Time,
    wire::{carried::Freight, signal::CarryEnd},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    /// This side has asked.
    Asking {
        until: Time,
    },
    /// Agreed on; HELLO is next.
    Greeting {
        until: Time,
    },
    Open,
}

#[derive(Debug)]
pub(super) struct Carriage {
    /// The number that either side asked under last.
    pub episode: u32,
    pub state: State,
    lanes: [Flow; 2],
}

/// Bytes of packets on one lane since the two agreed.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    sent: u64,
    /// Of these the other end has.
    taken: u64,
    received: u64,
    /// Of these the other end was told.
    told: u64,
}

impl Carriage {
    pub fn new() -> Carriage {
        Carriage { episode: 0, state: State::Idle, lanes: Default::default() }
    }

    /// Whether frames go over it.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Greeting { .. } | State::Open)
    }

    /// Whether it is of this number that frames go over it.
    pub fn is_current(&self, episode: u32) -> bool {
        self.is_up() && self.episode == episode
    }

    /// Both sides want it under this number.
    pub fn agreed(&mut self, episode: u32, now: Time) {
        self.episode = episode;
        self.state = State::Greeting { until: now + limits::CONNECT_TIMEOUT };
        self.lanes = Default::default();
    }

    /// A packet of so many bytes goes out.
    pub fn sent(&mut self, lane: usize, bytes: usize) {
        self.lanes[lane].sent += bytes as u64;
    }

    /// A packet of so many bytes came. Gives what the other end is to be told of that, where it is time to.
    pub fn received(&mut self, lane: usize, bytes: usize) -> Option<Freight> {
        self.lanes[lane].received += bytes as u64;
        let untold = |lane: usize| self.lanes[lane].received - self.lanes[lane].told;
        if untold(0) < limits::LINK_RESUME as u64 / 2 && untold(1) < limits::LOSSY_PAUSE as u64 / 4 {
            return None;
        }
        let [reliable, lossy] = self.lanes.each_mut().map(|flow| {
            flow.told = flow.received;
            flow.told
        });
        Some(Freight::Taken { reliable, lossy })
    }

    /// The other end has taken so much. Gives the bytes still under way on each lane; `None` where that cannot be.
    pub fn taken(&mut self, totals: [u64; 2]) -> Option<[usize; 2]> {
        let mut left = [0; 2];
        for ((flow, total), left) in self.lanes.iter_mut().zip(totals).zip(&mut left) {
            if total < flow.taken || total > flow.sent {
                return None;
            }
            flow.taken = total;
            *left = usize::try_from(flow.sent - total).ok()?;
        }
        Some(left)
    }
}

/// Why the hub does not carry, in plain words.
pub(super) fn reason(end: CarryEnd) -> &'static str {
    match end {
        CarryEnd::Closed => "the other side gave up its way over the server",
        CarryEnd::Away => "the other side has lost the server",
        CarryEnd::NotLinked => "the plan has no link here",
        CarryEnd::TooMany => "the server carries no more links of this member, or of the other",
        CarryEnd::TooSlow => "more waited at the server than it holds",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_told_in_portions_and_what_was_never_sent_cannot_be_taken() {
        let (mut a, mut b) = (Carriage::new(), Carriage::new());
        a.agreed(1, Time(0));
        b.agreed(1, Time(0));
        let packet = limits::LINK_RESUME / 4;
        assert_eq!(b.received(0, packet), None);
        assert_eq!(b.received(1, 10), None);
        let told = Freight::Taken { reliable: 2 * packet as u64, lossy: 10 };
        assert_eq!(b.received(0, packet), Some(told));
        assert_eq!(b.received(0, packet), None, "told once");

        (0..3).for_each(|_| a.sent(0, packet));
        a.sent(1, 10);
        assert_eq!(a.taken([2 * packet as u64, 10]), Some([packet, 0]));
        assert_eq!(a.taken([2 * packet as u64, 9]), None, "less than before");
        assert_eq!(a.taken([4 * packet as u64, 10]), None, "more than was sent");
    }
}
