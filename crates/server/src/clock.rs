//! The time that hubs are handed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use room::time::Time;
use tokio::time::Instant;

/// Time since 1970 as it was at the start, and from then on as the steady clock says: it never jumps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    start_since_1970: Duration,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        // A clock set before 1970 only makes for odd versions.
        let start_since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { start: Instant::now(), start_since_1970 }
    }

    pub(crate) fn now(&self) -> Time {
        Time(u64::try_from((self.start_since_1970 + self.start.elapsed()).as_micros()).unwrap_or(u64::MAX))
    }

    /// When it will be that time, at the earliest.
    pub(crate) fn at(&self, time: Time) -> Instant {
        // Rounded up: a timer that is early by less than a µs would fire and find nothing due.
        self.start + (Duration::from_micros(time.0) + Duration::from_micros(1)).saturating_sub(self.start_since_1970)
    }
}
