//! The time that hubs are handed, and waiting for it.

use std::{
    future::pending,
    pin::Pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use room::time::Time;
use tokio::time::{Instant, Sleep, sleep_until};

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

/// One sleep, moved only when the time has changed.
#[derive(Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Waits until then; `None` for ever.
    pub(crate) async fn until(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return pending().await };
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.await;
    }
}
