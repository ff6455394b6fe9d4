//! How far away the origin of a stream is.

use crate::{limits, time::Micros, wire::frame::HOP_UNKNOWN};

/// A way from an origin: how many links it has, and how long a chunk takes over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Distance {
    pub hop: u8,
    pub delay_ms: u32,
}

impl Distance {
    /// Where the origin is.
    pub const ORIGIN: Distance = Distance { hop: 0, delay_ms: 0 };
    pub const UNKNOWN: Distance = Distance { hop: HOP_UNKNOWN, delay_ms: 0 };

    /// As somebody tells it.
    pub fn told(hop: u8, delay_ms: u64) -> Distance {
        if hop == HOP_UNKNOWN { Distance::UNKNOWN } else { Distance::new(hop, delay_ms) }
    }

    /// One link farther, which takes as long as `way` one way.
    pub fn over(self, way: Micros) -> Distance {
        if self.hop >= HOP_UNKNOWN - 1 {
            return Distance::UNKNOWN;
        }
        Distance::new(self.hop + 1, u64::from(self.delay_ms) + (way.0 + 500) / 1_000)
    }

    pub fn is_known(self) -> bool {
        self.hop != HOP_UNKNOWN
    }

    /// What ways are compared by. A link costs more than its delay: on each a chunk may be late, or a member be lost.
    pub fn cost(self) -> u64 {
        if self.is_known() { u64::from(self.delay_ms) + u64::from(self.hop) * limits::HOP_COST_MS } else { u64::MAX }
    }

    /// Whether somebody who was told `told` is to be told this.
    pub fn is_news_to(self, told: Distance) -> bool {
        self.hop != told.hop || u64::from(self.delay_ms.abs_diff(told.delay_ms)) >= limits::DELAY_NEWS_MS
    }

    /// Whether somebody who was told `told` is to be told this soon, whatever else there is to say.
    pub fn is_great_news_to(self, told: Distance) -> bool {
        told.is_known() && self.is_known() && self.cost().abs_diff(told.cost()) >= limits::COST_NEWS_MS
    }

    /// As far in links, and so many ms farther.
    pub fn delayed(self, ms: u64) -> Distance {
        Distance::told(self.hop, u64::from(self.delay_ms) + ms)
    }

    fn new(hop: u8, delay_ms: u64) -> Distance {
        let delay_ms = u32::try_from(delay_ms.min(limits::DELAY_MAX_MS)).unwrap_or(u32::MAX);
        Distance { hop, delay_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_more_is_taken_where_it_saves_enough() {
        let direct = Distance::ORIGIN.over(Micros::from_millis(100));
        let around = |ms| Distance::ORIGIN.over(Micros::from_millis(ms)).over(Micros::from_millis(ms));
        assert_eq!(direct, Distance { hop: 1, delay_ms: 100 });
        assert!(around(47).cost() < direct.cost() && direct.cost() < around(48).cost());
        assert!(direct.is_news_to(around(50)) && direct.is_news_to(Distance::UNKNOWN));
        assert!(!direct.is_news_to(Distance { delay_ms: 101, ..direct }));
        assert!(direct.is_great_news_to(Distance { delay_ms: 75, ..direct }));
        assert!(!direct.is_great_news_to(Distance { delay_ms: 76, ..direct }));
        assert!(!direct.is_great_news_to(Distance::UNKNOWN) && !Distance::UNKNOWN.is_great_news_to(direct));
    }

    #[test]
    fn nothing_is_farther_than_the_unknown_and_no_claim_overflows() {
        let far = Distance::told(HOP_UNKNOWN - 2, u64::MAX).over(Micros(u64::MAX / 2));
        assert_eq!(u64::from(far.delay_ms), limits::DELAY_MAX_MS);
        assert!(far.cost() < Distance::UNKNOWN.cost());
        assert_eq!(far.over(Micros(0)), Distance::UNKNOWN);
        assert_eq!(Distance::told(HOP_UNKNOWN, 7), Distance::UNKNOWN);
    }
}
