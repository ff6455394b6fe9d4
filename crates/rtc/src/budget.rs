//! How much SCTP may hold: little on short paths, about two round trips' worth on long ones.
//!
//! All that SCTP holds is sent first come, first served, and `sctp-proto` walks it for each packet,
//! so more than the path needs costs latency and time. Less than a round trip's worth leaves the
//! path idle. The round trip is that of STUN checks, which do not wait in SCTP's queue: growing on
//! a round trip that our own queue made longer would never stop.

use std::time::{Duration, Instant};

use crate::limits::{SCTP_BUDGET_BYTES, SCTP_BUDGET_MAX_BYTES};

/// The shortest time over which a rate is measured.
const WINDOW: Duration = Duration::from_millis(20);

pub(crate) struct Budget {
    bytes: usize,
    /// The shortest round trip seen on this path.
    round_trip: Option<Duration>,
    since: Instant,
    acknowledged: usize,
    /// Whether something waited for the budget in this window.
    limited: bool,
}

impl Budget {
    pub(crate) fn new(now: Instant) -> Budget {
        Budget { bytes: SCTP_BUDGET_BYTES, round_trip: None, since: now, acknowledged: 0, limited: false }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A STUN check was answered after this time.
    pub(crate) fn measured(&mut self, round_trip: Duration) {
        self.round_trip = Some(self.round_trip.map_or(round_trip, |known| known.min(round_trip)));
    }

    /// Datagrams now take another way.
    pub(crate) fn path_changed(&mut self) {
        self.round_trip = None;
    }

    /// The remote acknowledged so many bytes (or they were given up).
    pub(crate) fn acknowledged(&mut self, bytes: usize) {
        self.acknowledged += bytes;
    }

    /// A message had to wait for room.
    pub(crate) fn limited(&mut self) {
        self.limited = true;
    }

    /// Adapts to the rate of the window that ends now, if one does.
    pub(crate) fn adapt(&mut self, now: Instant) {
        let Some(round_trip) = self.round_trip else { return };
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < WINDOW.max(4 * round_trip) {
            return;
        }
        if self.limited {
            let per_trip = self.acknowledged as f64 * round_trip.as_secs_f64() / elapsed.as_secs_f64();
            self.bytes = ((2.0 * per_trip) as usize).clamp(SCTP_BUDGET_BYTES, SCTP_BUDGET_MAX_BYTES);
        }
        (self.since, self.acknowledged, self.limited) = (now, 0, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a path of this round trip and rate for three seconds, with always more to send.
    fn settle(round_trip: Duration, bytes_per_second: f64) -> usize {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        budget.measured(round_trip);
        let step = Duration::from_millis(1);
        for tick in 1..3000 {
            let by_path = bytes_per_second * step.as_secs_f64();
            let by_budget = budget.bytes() as f64 * step.as_secs_f64() / round_trip.as_secs_f64();
            budget.acknowledged(by_path.min(by_budget) as usize);
            budget.limited();
            budget.adapt(start + tick * step);
        }
        budget.bytes()
    }

    #[test]
    fn a_short_path_keeps_the_small_budget() {
        assert_eq!(settle(Duration::from_micros(300), 100e6), SCTP_BUDGET_BYTES);
    }

    #[test]
    fn a_long_fast_path_gets_the_large_one() {
        assert_eq!(settle(Duration::from_millis(50), 100e6), SCTP_BUDGET_MAX_BYTES);
    }

    #[test]
    fn a_long_slow_path_gets_two_round_trips_worth() {
        let bytes = settle(Duration::from_millis(50), 1e6);
        assert!((95_000..=100_000).contains(&bytes), "{bytes}");
    }
}
