//! What the server's own members have in common, relays and bridges: they come back whatever ends their membership, until
//! the server closes.

use std::{ops::RangeInclusive, time::Duration};

use tokio::sync::watch;

/// How long to wait before joining a room anew: twice as long each time, up to a bound.
#[derive(Debug)]
pub(crate) struct Pauses {
    bounds: RangeInclusive<Duration>,
    next: Duration,
}

impl Pauses {
    pub(crate) fn new(bounds: RangeInclusive<Duration>) -> Pauses {
        Pauses { next: *bounds.start(), bounds }
    }

    /// The pause after a try that went well for so long: one that did so for long enough is followed by a short one.
    pub(crate) fn after(&mut self, well: Duration) -> Duration {
        let (least, most) = (*self.bounds.start(), *self.bounds.end());
        let pause = if well > most { least } else { self.next };
        self.next = (pause * 2).min(most);
        pause
    }
}

/// Waits until the server closes.
pub(crate) async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error is that there is no server any more.
    let _ = closing.wait_for(|closing| *closing).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_it_goes_well() {
        let secs = Duration::from_secs;
        let mut pauses = Pauses::new(secs(1)..=secs(5));
        assert_eq!([0, 1, 5, 0, 0].map(|well| pauses.after(secs(well))), [1, 2, 4, 5, 5].map(secs));
        assert_eq!([6, 0].map(|well| pauses.after(secs(well))), [1, 2].map(secs));
    }
}
