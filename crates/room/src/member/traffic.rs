//! What a member says to the room, and how its links go, as the hub is told of it to choose how the room is linked.

use crate::{limits, time::Time, wire::signal::Traffic};

/// Measures what is said in spans of [`limits::STATS_EVERY`], and only while something is. What counts is what is said in one
/// span and the next: a single large message is no reason to link the room in another way.
#[derive(Debug, Default)]
pub(super) struct Meter {
    bytes: u64,
    /// When the span began.
    since: Option<Time>,
    /// What was said in the span before it, in kbit/s.
    before: u32,
    /// What the hub was told last; `None`: it has it from another socket, and hears it again.
    told: Option<Traffic>,
}

impl Meter {
    /// Something of so many bytes was said to the room.
    pub fn said(&mut self, bytes: usize, now: Time) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.watch(now);
    }

    /// There may be news of the links soon.
    pub fn watch(&mut self, now: Time) {
        self.since.get_or_insert(now);
    }

    /// The hub has welcomed this member. Unless the session was resumed, it knows nothing of its traffic.
    pub fn welcomed(&mut self, now: Time, resumed: bool) {
        let told = (!resumed).then(Traffic::default);
        *self = Meter { since: Some(now), told, before: self.before, bytes: 0 };
    }

    /// What the hub is to be told now, if anything. `links`: how many are open, and how many of them go over TURN.
    pub fn tick(&mut self, now: Time, links: impl FnOnce() -> (usize, usize)) -> Option<Traffic> {
        let since = self.since.filter(|since| *since + limits::STATS_EVERY <= now)?;
        let kbps = std::mem::take(&mut self.bytes).saturating_mul(8_000) / now.since(since).0.max(1);
        let kbps = u32::try_from(kbps).unwrap_or(u32::MAX).min(limits::STATS_KBPS_MAX);
        let kbps = if kbps < limits::STATS_TALK_KBPS { 0 } else { kbps };
        let lasting = kbps.min(std::mem::replace(&mut self.before, kbps));
        let (open, over_turn) = links();
        let turn_percent = u32::try_from(over_turn * 100 / open.max(1)).unwrap_or(100);
        let traffic = Traffic { kbps: lasting, turn_percent };
        self.since = (kbps > 0 || traffic != Traffic::default()).then_some(now);
        if !self.told.is_none_or(|told| is_news(traffic, told)) {
            return None;
        }
        self.told = Some(traffic);
        Some(traffic)
    }

    /// When [`Meter::tick`] is due.
    pub fn timeout(&self) -> Option<Time> {
        self.since.map(|since| since + limits::STATS_EVERY)
    }
}

/// Whether the hub would choose otherwise, perhaps: not for a little more or less.
fn is_news(traffic: Traffic, told: Traffic) -> bool {
    let (more, less) = (traffic.kbps.max(told.kbps), traffic.kbps.min(told.kbps));
    let turned = traffic.turn_percent.abs_diff(told.turn_percent);
    u64::from(more) * 2 > u64::from(less) * 3
        || turned >= limits::STATS_TURN_NEWS
        || (turned > 0 && traffic.turn_percent == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Micros;

    const LINKS: (usize, usize) = (4, 0);

    fn at(seconds: u64) -> Time {
        Time(0) + Micros::from_secs(seconds)
    }

    /// A member that has just been welcomed.
    fn meter() -> Meter {
        let mut meter = Meter::default();
        meter.welcomed(at(0), false);
        assert_eq!(meter.tick(at(10), || LINKS), None);
        meter
    }

    #[test]
    fn talk_is_not_worth_a_word() {
        let mut meter = meter();
        assert_eq!(meter.timeout(), None);
        meter.said(1_000, at(11));
        assert_eq!(meter.timeout(), Some(at(21)));
        assert_eq!(meter.tick(at(20), || LINKS), None);
        assert_eq!(meter.tick(at(21), || LINKS), None);
        assert_eq!(meter.timeout(), None, "nothing is measured while nothing is said");
    }

    #[test]
    fn the_hub_hears_what_lasts_when_it_changes_by_half_and_when_it_ends() {
        let mut meter = meter();
        let mut say = |from: u64, bytes: usize| {
            meter.said(bytes, at(from));
            meter.tick(at(from + 10), || LINKS).map(|traffic| traffic.kbps)
        };
        assert_eq!(say(10, 1_250_000), None, "it may be one large message");
        assert_eq!(say(20, 1_250_000), Some(1_000));
        assert_eq!(say(30, 2_000_000), None);
        assert_eq!(say(40, 1_500_000), None, "a fifth more is no news");
        assert_eq!(say(50, 4_000_000), None);
        assert_eq!(say(60, 3_000_000), Some(2_400));
        assert_eq!(say(70, 0), Some(0));
        assert_eq!(say(80, usize::MAX), None);
        assert_eq!(say(90, usize::MAX), Some(limits::STATS_KBPS_MAX));
        assert_eq!(meter.tick(at(110), || LINKS), Some(Traffic::default()));
        assert_eq!(meter.timeout(), None);
    }

    #[test]
    fn links_over_turn_are_told_of_and_another_hub_is_told_again() {
        let mut meter = meter();
        let tick = |meter: &mut Meter, from: u64, links| {
            meter.watch(at(from));
            meter.tick(at(from + 10), || links).map(|traffic| traffic.turn_percent)
        };
        assert_eq!(tick(&mut meter, 10, (4, 2)), Some(50));
        assert_eq!(tick(&mut meter, 20, (20, 11)), None);
        assert_eq!(tick(&mut meter, 30, (0, 0)), Some(0));
        assert_eq!(tick(&mut meter, 40, (1, 1)), Some(100));
        meter.welcomed(at(50), false);
        assert_eq!(tick(&mut meter, 50, (1, 1)), Some(100));
        // The hub that kept the session kept what it was told, and hears what it is now.
        meter.welcomed(at(60), true);
        assert_eq!(tick(&mut meter, 60, (1, 1)), Some(100));
        meter.welcomed(at(70), true);
        assert_eq!(tick(&mut meter, 70, (1, 0)), Some(0));
        assert_eq!(tick(&mut meter, 80, (1, 0)), None);
    }
}
