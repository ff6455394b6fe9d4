//! Where members are, how long messages take between them, and what gets lost.

use std::collections::BTreeSet;

use room::time::Micros;

use crate::{dice::Dice, scenario};

/// The network under one room.
#[derive(Debug)]
pub(crate) struct Network {
    config: scenario::Network,
    dice: Dice,
    clusters: Vec<Place>,
    /// Of each actor.
    places: Vec<Place>,
    partitions: Vec<Partition>,
    /// Where counting those begins who are behind firewalls that no link passes: a part of all actors, whoever comes first.
    barred_from: f64,
}

/// Coordinates in µs of way; the hub is in the middle.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    x: f64,
    y: f64,
}

/// While it lasts, nothing passes between those on one side and all others.
#[derive(Debug)]
struct Partition {
    number: u64,
    side: BTreeSet<usize>,
    /// Whether the hub is on the other side.
    hub: bool,
}

/// Whether a path loses packets in bursts just now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Path {
    bad: bool,
}

impl Network {
    pub(crate) fn new(config: scenario::Network, mut dice: Dice) -> Network {
        let span = config.span_ms as f64 * 1_000.0;
        let clusters = (0..config.clusters.max(1)).map(|_| spread(&mut dice, Place::default(), span / 2.0)).collect();
        let barred_from = if config.barred > 0.0 { dice.unit() } else { 0.0 };
        Network { config, dice, clusters, places: Vec::new(), partitions: Vec::new(), barred_from }
    }

    /// Places the next actor.
    pub(crate) fn place(&mut self) {
        let center = self.dice.pick(&self.clusters).copied().unwrap_or_default();
        let near = self.config.span_ms as f64 * 100.0;
        let place = spread(&mut self.dice, center, near);
        self.places.push(place);
    }

    /// How long a packet takes from one actor to another. Varies from packet to packet.
    pub(crate) fn delay(&mut self, a: usize, b: usize) -> Micros {
        let way = self.way(a, Some(b));
        self.late(way)
    }

    /// How long a message takes between an actor and the hub.
    pub(crate) fn hub_delay(&mut self, actor: usize) -> Micros {
        let way = self.way(actor, None);
        self.late(way)
    }

    /// The mean time from one actor to another and back.
    pub(crate) fn round_trip(&self, a: usize, b: usize) -> Micros {
        Micros(2 * self.way(a, Some(b)).0 + self.config.jitter_ms * 1_000)
    }

    /// Whether the next packet on a path is lost.
    pub(crate) fn loses(&mut self, path: &mut Path) -> bool {
        if self.config.burst_starts > 0.0 {
            let turns = if path.bad { 0.1 } else { self.config.burst_starts };
            path.bad ^= self.dice.chance(turns);
        }
        self.dice.chance(if path.bad { self.config.burst_loss } else { self.config.loss })
    }

    /// How much later a lost packet of a reliable lane comes: often a neighbour's acknowledgement tells of it, else a
    /// timer.
    pub(crate) fn repair(&mut self, a: usize, b: usize) -> Micros {
        let round_trip = self.round_trip(a, b).0;
        let timer = if self.dice.chance(0.7) { 0 } else { self.dice.between(200_000, 1_000_000) };
        Micros(round_trip + timer)
    }

    /// How long a packet of so many bytes keeps an uplink busy.
    pub(crate) fn serialization(&self, bytes: usize) -> Micros {
        match self.config.uplink_kbps {
            0 => Micros(0),
            kbps => Micros(bytes as u64 * 8_000 / kbps),
        }
    }

    /// Faults are over: from now on connections open where both ends want them.
    pub(crate) fn mend(&mut self) {
        self.config.connect_failures = 0.0;
    }

    /// How a connection that both ends want fares: `Some`, the time until it opens; `None`, it never does.
    pub(crate) fn establish(&mut self, a: usize, b: usize) -> Option<Micros> {
        if self.is_cut(a, b) || self.dice.chance(self.config.connect_failures) {
            return None;
        }
        // ICE, DTLS and SCTP: some round trips, and the time that the ends think.
        let trips = self.dice.between(4, 6);
        let think = self.dice.between(2_000, 20_000);
        Some(Micros(self.round_trip(a, b).0 * trips / 2 + think))
    }

    /// Whether the other end hears that a connection was closed.
    pub(crate) fn tells_close(&mut self) -> bool {
        self.dice.chance(self.config.close_notices)
    }

    pub(crate) fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    // ---- partitions ----------------------------------------------------------------------------------------------

    pub(crate) fn part(&mut self, number: u64, side: BTreeSet<usize>, hub: bool) {
        self.partitions.push(Partition { number, side, hub });
    }

    pub(crate) fn heal(&mut self, number: u64) {
        self.partitions.retain(|partition| partition.number != number);
    }

    /// Whether nothing passes between two actors.
    pub(crate) fn is_cut(&self, a: usize, b: usize) -> bool {
        self.is_barred(a, b)
            || self.partitions.iter().any(|partition| partition.side.contains(&a) != partition.side.contains(&b))
    }

    /// Whether no link ever opens between two actors.
    pub(crate) fn is_barred(&self, a: usize, b: usize) -> bool {
        let before = |actor: usize| (self.barred_from + actor as f64 * self.config.barred).floor();
        [a, b].into_iter().any(|actor| before(actor + 1) > before(actor))
    }

    /// Whether nothing passes between an actor and the hub.
    pub(crate) fn is_cut_off(&self, actor: usize) -> bool {
        self.partitions.iter().any(|partition| partition.hub && partition.side.contains(&actor))
    }

    // ---- ways ----------------------------------------------------------------------------------------------------

    fn way(&self, a: usize, b: Option<usize>) -> Micros {
        let place = |actor: usize| self.places.get(actor).copied().unwrap_or_default();
        let (from, to) = (place(a), b.map(place).unwrap_or_default());
        let (dx, dy) = (from.x - to.x, from.y - to.y);
        Micros(200 + (dx * dx + dy * dy).sqrt() as u64)
    }

    fn late(&mut self, way: Micros) -> Micros {
        // Most packets are hardly late, some are much.
        let late = self.dice.unit();
        Micros(way.0 + (late * late * late * self.config.jitter_ms as f64 * 1_000.0) as u64)
    }
}

fn spread(dice: &mut Dice, center: Place, radius: f64) -> Place {
    let mut offset = || (dice.unit() * 2.0 - 1.0) * radius;
    Place { x: center.x + offset(), y: center.y + offset() }
}
