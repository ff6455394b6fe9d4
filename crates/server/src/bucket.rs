//! A token bucket.

use std::time::Duration;

use tokio::time::Instant;

/// How much may come at once, and how much a second in the long run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) burst: u32,
    pub(crate) per_second: u32,
}

/// Grants what a [`Rate`] allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// What is left, in millionths.
    level: u64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(rate: Rate, now: Instant) -> Bucket {
        Bucket { level: u64::from(rate.burst) * 1_000_000, filled: now }
    }

    /// Takes `amount`, or nothing where there is less.
    pub(crate) fn take(&mut self, rate: Rate, amount: usize, now: Instant) -> bool {
        self.fill(rate, now);
        let amount = u64::try_from(amount).unwrap_or(u64::MAX).saturating_mul(1_000_000);
        match self.level.checked_sub(amount) {
            Some(rest) => {
                self.level = rest;
                true
            }
            None => false,
        }
    }

    /// Takes `amount` in any case; gives back how long to wait until the rate has caught up with it.
    pub(crate) fn charge(&mut self, rate: Rate, amount: usize, now: Instant) -> Duration {
        self.fill(rate, now);
        let amount = u64::try_from(amount).unwrap_or(u64::MAX).saturating_mul(1_000_000);
        let missing = amount.saturating_sub(self.level);
        self.level = self.level.saturating_sub(amount);
        self.filled += Duration::from_micros(missing / u64::from(rate.per_second.max(1)));
        self.filled.saturating_duration_since(now)
    }

    /// Whether anything is left to take.
    pub(crate) fn has_any(&mut self, rate: Rate, now: Instant) -> bool {
        self.fill(rate, now);
        self.level >= 1_000_000
    }

    /// Whether it holds all that it can.
    pub(crate) fn is_full(&mut self, rate: Rate, now: Instant) -> bool {
        self.fill(rate, now);
        self.level == u64::from(rate.burst) * 1_000_000
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        // In whole µs, so that what a short time brings is not lost to rounding.
        let elapsed = now.saturating_duration_since(self.filled).as_micros();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        self.filled += Duration::from_micros(elapsed);
        let more = elapsed.saturating_mul(u64::from(rate.per_second));
        self.level = self.level.saturating_add(more).min(u64::from(rate.burst) * 1_000_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate() {
        let rate = Rate { burst: 3, per_second: 2 };
        let start = Instant::now();
        let mut bucket = Bucket::new(rate, start);
        assert!(bucket.take(rate, 3, start));
        assert!(!bucket.take(rate, 1, start));
        assert!(!bucket.take(rate, 1, start + Duration::from_millis(499)));
        assert!(bucket.take(rate, 1, start + Duration::from_millis(500)));
        assert!(!bucket.take(rate, 4, start + Duration::from_secs(3600)));
        assert!(bucket.is_full(rate, start + Duration::from_secs(3600)));
    }

    #[test]
    fn charges_are_waited_for() {
        let rate = Rate { burst: 3, per_second: 2 };
        let start = Instant::now();
        let mut bucket = Bucket::new(rate, start);
        assert_eq!(bucket.charge(rate, 3, start), Duration::ZERO);
        assert_eq!(bucket.charge(rate, 4, start), Duration::from_secs(2));
        let later = start + Duration::from_secs(2);
        assert!(!bucket.has_any(rate, later), "what was waited for is used up");
        assert_eq!(bucket.charge(rate, 1, later), Duration::from_millis(500));
    }

    #[test]
    fn frequent_looks_lose_nothing() {
        let rate = Rate { burst: 1, per_second: 1 };
        let start = Instant::now();
        let mut bucket = Bucket::new(rate, start);
        assert!(bucket.take(rate, 1, start));
        for step in 0..1_000_000u32 {
            assert!(!bucket.has_any(rate, start + Duration::from_nanos(900) * step));
        }
        assert!(bucket.has_any(rate, start + Duration::from_secs(1)));
    }
}
