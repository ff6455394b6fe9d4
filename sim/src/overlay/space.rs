//! Where members are, and how long messages take between them.

use room::{id::MemberId, plan::Distance, time::Micros};

use super::{ids, scenario::Network};
use crate::dice::Dice;

/// Pairs whose mean way is the unit of the map.
const SAMPLED_PAIRS: usize = 4_096;
/// The shortest way, in µs: nobody is nearer.
const WAY_MIN: f64 = 500.0;

/// Coordinates in µs of way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// The map: clusters in a square, members around them, the hub and its TURN relay in the middle.
#[derive(Debug)]
pub(super) struct Space {
    seed: u64,
    config: Network,
    clusters: Vec<Place>,
    scale: f64,
    places: Vec<Place>,
}

impl Space {
    pub(super) fn new(config: &Network, seed: u64) -> Space {
        let mut dice = Dice::new(seed, 0, 20);
        let clusters = (0..config.clusters.max(1)).map(|_| scatter(&mut dice, Place::default(), 1.0)).collect();
        let mut space = Space { seed, config: config.clone(), clusters, scale: 1.0, places: Vec::new() };
        let sum: f64 =
            (0..SAMPLED_PAIRS).map(|_| distance(space.somewhere(&mut dice), space.somewhere(&mut dice))).sum();
        space.scale = config.way_ms * 1_000.0 / (sum / SAMPLED_PAIRS as f64);
        space
    }

    /// Places the member of a number, and those before it.
    pub(super) fn settle(&mut self, number: u32) {
        while self.places.len() <= number as usize {
            let mut dice = Dice::new(self.seed, self.places.len(), 21);
            let place = self.somewhere(&mut dice);
            self.places.push(Place { x: place.x * self.scale, y: place.y * self.scale });
        }
    }

    pub(super) fn place(&self, number: u32) -> Place {
        self.places[number as usize]
    }

    /// One way between two members.
    pub(super) fn way(&self, a: u32, b: u32) -> Micros {
        let direct = distance(self.place(a), self.place(b));
        let way = if self.by_turn(a, b) {
            let middle = Place::default();
            direct.max(distance(self.place(a), middle) + distance(middle, self.place(b)))
        } else {
            direct
        };
        Micros(way.max(WAY_MIN) as u64)
    }

    /// The round trip that a member has measured to another: up to a tenth more than it is, now and then late by more.
    pub(super) fn measured(&self, member: u32, peer: u32) -> Micros {
        let rtt = 2 * self.way(member, peer).0;
        let drawn = mix(self.seed ^ u64::from(member) << 32 ^ u64::from(peer), 25);
        let late = if drawn.is_multiple_of(50) { self.config.late_ms * 1_000 } else { 0 };
        Micros(rtt + rtt * (drawn >> 8 & 0xff) / 2_560 + late)
    }

    /// One way between a member and the hub: 20 to 40 ms where the mean is 30.
    pub(super) fn hub_way(&self, number: u32) -> Micros {
        let mean = self.config.hub_way_ms * 1_000;
        Micros(mean * 2 / 3 + mix(self.seed ^ u64::from(number), 22) % (mean * 2 / 3).max(1))
    }

    /// How long a link takes to open once both ends were told.
    pub(super) fn set_up(&self, a: u32, b: u32) -> Micros {
        Micros(3 * self.way(a, b).0 + self.draw(a, b) % (self.config.link_ms * 1_000).max(1))
    }

    /// A number drawn for a pair, always the same.
    pub(super) fn draw(&self, a: u32, b: u32) -> u64 {
        mix(self.seed ^ pair(a, b), 23)
    }

    /// Whether a member's address translator gives each peer another port.
    pub(super) fn symmetric_nat(&self, number: u32) -> bool {
        let drawn = mix(self.seed ^ u64::from(number), 24) >> 11;
        (drawn as f64) < self.config.turn.sqrt() * (1_u64 << 53) as f64
    }

    /// Whether two members reach each other by TURN only.
    fn by_turn(&self, a: u32, b: u32) -> bool {
        self.config.turn > 0.0 && self.symmetric_nat(a) && self.symmetric_nat(b)
    }

    fn somewhere(&self, dice: &mut Dice) -> Place {
        let center = dice.pick(&self.clusters).copied().unwrap_or_default();
        scatter(dice, center, 0.12)
    }
}

impl Distance for Space {
    fn between(&self, a: MemberId, b: MemberId) -> Option<Micros> {
        Some(self.way(ids::number(a), ids::number(b)))
    }
}

/// Whether a link delivers late just now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    bad: bool,
}

impl Weather {
    /// How late the next message is.
    pub(super) fn late(&mut self, config: &Network, dice: &mut Dice) -> Micros {
        if config.burst_starts > 0.0 {
            let turns = if self.bad { 0.1 } else { config.burst_starts };
            self.bad ^= dice.chance(turns);
        }
        let part = if self.bad { config.burst_late } else { config.late };
        if part > 0.0 && dice.chance(part) { Micros::from_millis(config.late_ms) } else { Micros(0) }
    }
}

fn scatter(dice: &mut Dice, center: Place, radius: f64) -> Place {
    let mut offset = || (dice.unit() * 2.0 - 1.0) * radius;
    Place { x: center.x + offset(), y: center.y + offset() }
}

fn distance(a: Place, b: Place) -> f64 {
    (a.x - b.x).hypot(a.y - b.y)
}

fn pair(a: u32, b: u32) -> u64 {
    u64::from(a.min(b)) << 32 | u64::from(a.max(b))
}

/// A number that looks drawn, the same each time it is asked for (splitmix64).
fn mix(key: u64, purpose: u64) -> u64 {
    let mut mixed = key.wrapping_add(purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_have_their_mean_and_are_the_same_both_ways() {
        let config = Network { turn: 0.12, ..Network::default() };
        let mut space = Space::new(&config, 3);
        space.settle(999);
        let pairs: Vec<(u32, u32)> =
            (0..998).flat_map(|a| [(a, a + 1), (a, 999 - a)]).filter(|(a, b)| a != b).collect();
        let mean = |turn| {
            let ways: Vec<u64> =
                pairs.iter().filter(|(a, b)| space.by_turn(*a, *b) == turn).map(|(a, b)| space.way(*a, *b).0).collect();
            (ways.iter().sum::<u64>() / ways.len() as u64, ways.len() as f64 / pairs.len() as f64)
        };
        let ((direct, _), (relayed, part)) = (mean(false), mean(true));
        assert!((33_000..39_000).contains(&direct), "{direct}");
        assert!(relayed > direct && (0.09..0.15).contains(&part), "{relayed}, {part}");
        assert!(pairs.iter().all(|(a, b)| space.way(*a, *b) == space.way(*b, *a)));
        assert!((0..999).all(|member| (20_000..=40_000).contains(&space.hub_way(member).0)));
    }

    #[test]
    fn lateness_comes_in_bursts() {
        let config = Network { late: 0.0, burst_late: 0.5, burst_starts: 0.01, ..Network::default() };
        let (mut weather, mut dice) = (Weather::default(), Dice::new(1, 0, 0));
        let late: Vec<bool> = (0..100_000).map(|_| weather.late(&config, &mut dice).0 > 0).collect();
        let all = late.iter().filter(|late| **late).count() as f64 / late.len() as f64;
        let after_late = late.windows(2).filter(|pair| pair[0] && pair[1]).count() as f64 / (all * late.len() as f64);
        assert!((0.03..0.06).contains(&all), "{all}");
        assert!(after_late > 5.0 * all, "{after_late}");
    }
}
