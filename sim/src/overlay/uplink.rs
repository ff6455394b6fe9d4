//! What a member can send, and what waits for it.

use room::{
    limits,
    time::{Micros, Time},
};

/// Everything that a frame costs an uplink beside its own bytes: UDP, DTLS, SCTP.
const OVERHEAD: usize = 60;

/// An uplink. One of 0 kbit/s is without bound.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Uplink {
    kbps: u64,
    /// When all that it was given will have left.
    free: Time,
}

impl Uplink {
    pub(super) fn new(kbps: u64) -> Uplink {
        Uplink { kbps, free: Time(0) }
    }

    /// When it takes something again, where it is full: the rest had better wait where it may still become needless.
    pub(super) fn full_until(&self, now: Time) -> Option<Time> {
        let full = Micros((limits::LINK_PAUSE as u64 * 8_000).checked_div(self.kbps)?);
        let waits = self.free.since(now);
        (waits > full).then(|| now + Micros(waits.0 - full.0))
    }

    /// Takes a frame; gives when it has left.
    pub(super) fn send(&mut self, now: Time, bytes: usize) -> Time {
        let busy = Micros(((bytes + OVERHEAD) as u64 * 8_000).checked_div(self.kbps).unwrap_or(0));
        self.free = self.free.max(now) + busy;
        self.free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_leave_one_after_another_and_a_full_uplink_says_so() {
        let mut uplink = Uplink::new(8);
        assert_eq!(uplink.send(Time(0), 940), Time(1_000_000));
        assert_eq!(uplink.send(Time(500_000), 940), Time(2_000_000));
        assert_eq!(uplink.full_until(Time(500_000)), None);
        (0..300).for_each(|_| {
            uplink.send(Time(0), 940);
        });
        let until = uplink.full_until(Time(0)).expect("300 kB wait");
        assert_eq!(uplink.full_until(until), None);
        assert_eq!(Uplink::new(0).send(Time(7), 1 << 20), Time(7));
    }
}
