//! What a run is made of.

use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// A run: who takes part, over which network, with which work to do and which faults to bear. Every field has a
/// default, so that a file needs to name only what matters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// Determines everything.
    pub seed: u64,
    /// Members at the start, over all rooms.
    pub members: usize,
    /// Rooms, each with its share of the members.
    pub rooms: usize,
    /// How rooms are linked: `auto`, `mesh`, `small-world`, `tree` or `star`; for a star, or a tour, the server has a relay.
    pub topology: String,
    /// Virtual time of work and faults. Afterwards the rooms get time to settle.
    pub seconds: u64,
    /// Part of the members that is replaced by others, a minute: 0.1 is ten in a hundred.
    pub churn_per_min: f64,
    /// Whether everybody enters in the same instant, else over a second.
    pub flash: bool,
    /// Where it is not 0, somebody asks every so many seconds for another topology, until the room went from each to each.
    pub tour_s: u64,
    /// How many more enter each room after a while, and leave it again about the middle of the run: the room grows and shrinks.
    pub crowd: usize,
    /// The network.
    pub network: Network,
    /// What members say.
    pub work: Work,
    /// What goes wrong.
    pub faults: Faults,
}

/// How messages travel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Places around which members live.
    pub clusters: usize,
    /// The longest way between two places, one way, in ms.
    pub span_ms: u64,
    /// Most that a packet is late beyond that, in ms.
    pub jitter_ms: u64,
    /// Part of the packets lost while a path is good.
    pub loss: f64,
    /// Part of the packets lost while it is bad (Gilbert–Elliott).
    pub burst_loss: f64,
    /// Part of the packets at which a good path turns bad; it recovers at one in ten.
    pub burst_starts: f64,
    /// What a member can send, in kbit/s; 0 is without bound.
    pub uplink_kbps: u64,
    /// Part of the attempts at a link that never open, while there is work to do.
    pub connect_failures: f64,
    /// Part of the closed connections whose other end is told.
    pub close_notices: f64,
    /// Part of the members whom no connection ever joins to anybody; the hub they reach.
    pub barred: f64,
}

/// What members say. Rates are per member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Work {
    /// Reliable messages to the room, a second.
    pub messages_per_s: f64,
    /// Reliable messages to one member, a second.
    pub addressed_per_s: f64,
    /// Calls, a second.
    pub calls_per_s: f64,
    /// Values on `latest` channels, a second.
    pub latest_per_s: f64,
    /// Datagrams, a second.
    pub datagrams_per_s: f64,
    /// Writes to the room's state, a second.
    pub state_per_s: f64,
    /// Changes of own attributes, a second.
    pub attributes_per_s: f64,
    /// Part of the reliable messages that are several chunks long.
    pub long: f64,
    /// Part of the reliable messages that are longer than 1 MiB.
    pub huge: f64,
}

/// What goes wrong. Rates are for a whole room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Part of the churn that is crashes.
    pub crashes: f64,
    /// Part of the crashes after which the socket stays as if nothing had happened.
    pub hangs: f64,
    /// Sockets cut, a minute.
    pub cuts_per_min: f64,
    /// Partitions of the link network, a minute.
    pub partitions_per_min: f64,
    /// The longest partition, in s.
    pub partition_s: u64,
    /// Members whose links pass nothing for a while, and whose way to the hub does, a minute.
    pub blocks_per_min: f64,
    /// The longest such time, in s.
    pub block_s: u64,
    /// Restarts of the hub, a minute.
    pub restarts_per_min: f64,
    /// The longest time that the hub is down, in s.
    pub restart_s: u64,
    /// Members that sleep for some seconds, a minute.
    pub sleeps_per_min: f64,
    /// Applications that take nothing for some seconds, a minute.
    pub stalls_per_min: f64,
    /// Changes of topology that somebody asks for, a minute.
    pub pins_per_min: f64,
    /// Links whose path changes, so that only an ICE restart or another attempt mends them, a minute.
    pub rebinds_per_min: f64,
    /// Crashes of the server's relay, a minute.
    pub relay_crashes_per_min: f64,
    /// Whether many members crash in one instant, once.
    pub massacre: bool,
    /// What the second member does with what it passes on.
    pub mischief: Option<Mischief>,
    /// Part of the members that leave within a second, once.
    pub exodus: f64,
}

/// What a member does that does not pass on what it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mischief {
    /// It changes what others say.
    Alter,
    /// It makes up what they say, with a signature of its own making.
    Invent,
    /// It makes up who speaks.
    Impersonate,
    /// It passes less on than it was given.
    Drop,
    /// It says again what others said.
    Replay,
    /// It turns the order round.
    Reorder,
}

impl Default for Scenario {
    fn default() -> Scenario {
        Scenario {
            seed: 1,
            members: 10,
            rooms: 1,
            topology: "mesh".to_owned(),
            seconds: 60,
            churn_per_min: 0.0,
            flash: false,
            tour_s: 0,
            crowd: 0,
            network: Network::default(),
            work: Work::default(),
            faults: Faults::default(),
        }
    }
}

impl Default for Network {
    fn default() -> Network {
        Network {
            clusters: 4,
            span_ms: 60,
            jitter_ms: 5,
            loss: 0.005,
            burst_loss: 0.3,
            burst_starts: 0.001,
            uplink_kbps: 0,
            connect_failures: 0.0,
            close_notices: 0.5,
            barred: 0.0,
        }
    }
}

impl Default for Work {
    fn default() -> Work {
        Work {
            messages_per_s: 1.0,
            addressed_per_s: 0.1,
            calls_per_s: 0.1,
            latest_per_s: 0.5,
            datagrams_per_s: 0.5,
            state_per_s: 0.05,
            attributes_per_s: 0.02,
            long: 0.02,
            huge: 0.0,
        }
    }
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            crashes: 0.5,
            hangs: 0.3,
            cuts_per_min: 0.0,
            partitions_per_min: 0.0,
            partition_s: 6,
            blocks_per_min: 0.0,
            block_s: 30,
            restarts_per_min: 0.0,
            restart_s: 5,
            sleeps_per_min: 0.0,
            stalls_per_min: 0.0,
            pins_per_min: 0.0,
            rebinds_per_min: 0.0,
            relay_crashes_per_min: 0.0,
            massacre: false,
            mischief: None,
            exodus: 0.0,
        }
    }
}

impl Scenario {
    /// How a room goes that is on [tour](Scenario::tour_s): each step from one topology to another is taken once.
    pub const TOUR: [&str; 13] = [
        "mesh",
        "small-world",
        "mesh",
        "tree",
        "small-world",
        "tree",
        "mesh",
        "star",
        "small-world",
        "star",
        "tree",
        "star",
        "mesh",
    ];

    /// Whether the server has relays of its own.
    pub(crate) fn has_relays(&self) -> bool {
        self.topology == "star" || self.tour_s > 0
    }

    /// A short run of which the seed determines everything: size, network, work, and which faults come together.
    pub fn random(seed: u64) -> Scenario {
        let mut dice = Dice::new(seed, 0, 0x5eed);
        let mut rate = |chance: f64, most: u64| {
            let drawn = dice.between(1, most) as f64;
            if dice.chance(chance) { drawn } else { 0.0 }
        };
        let faults = Faults {
            crashes: 0.5,
            hangs: 0.4,
            cuts_per_min: rate(0.4, 20),
            partitions_per_min: rate(0.3, 6),
            partition_s: 12,
            blocks_per_min: 0.0,
            block_s: 30,
            restarts_per_min: rate(0.25, 4),
            restart_s: 10,
            sleeps_per_min: rate(0.25, 6),
            stalls_per_min: rate(0.3, 6),
            pins_per_min: 0.0,
            rebinds_per_min: rate(0.25, 10),
            relay_crashes_per_min: 0.0,
            massacre: rate(0.1, 1) > 0.0,
            mischief: None,
            exodus: 0.0,
        };
        let churn_per_min = rate(0.5, 4);
        let work = Work {
            messages_per_s: 0.5 + rate(0.5, 10),
            addressed_per_s: rate(0.5, 3),
            calls_per_s: rate(0.5, 3),
            latest_per_s: rate(0.5, 20),
            datagrams_per_s: rate(0.5, 20),
            state_per_s: rate(0.5, 2),
            attributes_per_s: rate(0.3, 1),
            long: 0.05,
            huge: rate(0.1, 1) * 0.02,
        };
        let network = match dice.below(4) {
            // One office.
            0 => Network { clusters: 1, span_ms: 1, jitter_ms: 1, loss: 0.0, burst_starts: 0.0, ..Network::default() },
            // Good lines around the world.
            1 => Network { clusters: 6, span_ms: 150, jitter_ms: 10, ..Network::default() },
            // Trains and cafés.
            2 => Network {
                span_ms: 80,
                jitter_ms: 120,
                loss: 0.02,
                burst_starts: 0.01,
                connect_failures: 0.2,
                ..Network::default()
            },
            // Narrow uplinks.
            _ => Network { uplink_kbps: dice.between(1, 20) * 1_000, ..Network::default() },
        };
        Scenario {
            seed,
            members: usize::try_from(dice.between(2, 12)).unwrap_or(2),
            rooms: 1,
            topology: "mesh".to_owned(),
            seconds: dice.between(5, 25),
            churn_per_min,
            flash: dice.chance(0.5),
            tour_s: 0,
            crowd: 0,
            network: Network { close_notices: dice.unit(), ..network },
            work,
            faults,
        }
    }

    /// Two members are joined by a crowd that leaves again, and nobody asks for a topology: it is for the hub to find what fits.
    pub fn growing(seed: u64) -> Scenario {
        let work = Work { messages_per_s: 0.5, latest_per_s: 0.2, datagrams_per_s: 0.2, ..Work::default() };
        Scenario {
            seed,
            members: 2,
            crowd: 44,
            topology: "auto".to_owned(),
            seconds: 170,
            churn_per_min: 0.1,
            work,
            ..Scenario::default()
        }
    }

    /// Like [`Scenario::random`], in a room that is moved from one topology to another.
    pub fn moving(seed: u64) -> Scenario {
        let mut dice = Dice::new(seed, 0, 0x0070_b010_6e00);
        let base = Scenario::random(seed);
        let pins_per_min = dice.between(1, 12) as f64;
        Scenario {
            members: base.members + usize::try_from(dice.below(12)).unwrap_or(0),
            topology: "auto".to_owned(),
            seconds: base.seconds + 20,
            faults: Faults { pins_per_min, ..base.faults.clone() },
            ..base
        }
    }
}
