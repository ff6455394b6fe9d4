//! What an overlay run is made of.

use room::{plan::Topology, time::Time};
use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// An overlay run: one room of up to a million members, over which network, with which lives, work and misfortunes, and
/// how well it must fare. Every field has a default, so that a file needs to name only what matters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// What the run shows, for a report.
    pub about: String,
    /// The file that this was read from, for the command that runs it again.
    #[serde(skip)]
    pub file: Option<String>,
    /// Determines everything.
    pub seed: u64,
    /// Members at the start, linked already.
    pub members: usize,
    /// How the room is linked: `mesh`, `small-world`, `tree`, `star`.
    pub topology: String,
    /// Virtual time of work and misfortunes.
    pub seconds: u64,
    /// What is published before counts in no figure of cost or speed: streams find their ways meanwhile.
    pub warm_up_s: u64,
    /// Virtual time after `seconds` in which nobody comes, goes or publishes.
    pub settle_s: u64,
    /// Part of the members that is replaced by others, a minute: 0.1 is ten in a hundred.
    pub churn_per_min: f64,
    /// The shape of the distribution of sessions (Weibull): below 1, most are short and some are long.
    pub session_shape: f64,
    /// Part of the departures that is crashes.
    pub crashes: f64,
    /// Members that publish at any time. When one departs, another takes its turn.
    pub publishers: usize,
    /// Messages of each publisher, a second.
    pub messages_per_s: f64,
    /// Bytes in a message, in one chunk.
    pub bytes: usize,
    /// Relays of servers among the members.
    pub relays: usize,
    /// Links of a member, unless it is a relay.
    pub max_links: usize,
    /// Whether flooding and GossipSub's rule run beside ours: same graph, same seed.
    pub compare: bool,
    /// What the planner knows of how far members are from each other.
    pub distances: Distances,
    /// The network.
    pub network: Network,
    /// Many enter at once.
    pub flash: Option<Flash>,
    /// Many crash at once.
    pub massacre: Option<Massacre>,
    /// The hub does nothing for a while.
    pub hub_away: Option<HubAway>,
    /// Changes of topology, in the order of time.
    pub switches: Vec<Switch>,
    /// What the run must keep to.
    pub bounds: Bounds,
}

/// What the planner knows of how far members are from each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distances {
    /// Nothing.
    Unknown,
    /// What members measure of their links, and report as they do in a real room.
    #[default]
    Measured,
    /// All, from the start.
    True,
}

/// How messages travel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Places around which members live.
    pub clusters: usize,
    /// The mean way between two members, one way, in ms.
    pub way_ms: f64,
    /// Part of the messages that a good link delivers late: a lost packet, repaired.
    pub late: f64,
    /// Part of the messages that a bad link delivers late.
    pub burst_late: f64,
    /// Part of the messages at which a good link turns bad; it recovers at one in ten (Gilbert–Elliott).
    pub burst_starts: f64,
    /// How late, in ms.
    pub late_ms: u64,
    /// What a member can send, in kbit/s; 0 is without bound.
    pub uplink_kbps: u64,
    /// Part of the pairs that reach each other by TURN only.
    pub turn: f64,
    /// The way between a member and the hub, in ms, at the mean.
    pub hub_way_ms: u64,
    /// Most that setting a link up takes beyond 1.5 round trips, in ms.
    pub link_ms: u64,
}

/// Many enter within a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flash {
    /// When, in s.
    pub at_s: f64,
    /// How many.
    pub members: usize,
}

/// Many crash in one instant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Massacre {
    /// When, in s.
    pub at_s: f64,
    /// Which part of the room.
    pub part: f64,
}

/// The hub hears nothing and says nothing; what it was told meanwhile it does afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubAway {
    /// From when, in s.
    pub from_s: f64,
    /// How long, in s.
    pub seconds: f64,
}

/// The room changes its topology.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// When it begins, in s.
    pub at_s: f64,
    /// To what.
    pub to: String,
}

/// What a run must keep to: each is a most. That nothing is missed, doubled or out of order always holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// Redundancy after an origin's first message.
    pub rmr: Option<f64>,
    /// Redundancy of first messages.
    pub rmr_first: Option<f64>,
    /// Mean hops to the last member beyond the Moore bound.
    pub hops_over_moore: Option<f64>,
    /// Mean hops to the last member.
    pub last_hop_mean: Option<f64>,
    /// Half of the deliveries, as a multiple of flooding's.
    pub p50_of_flooding: Option<f64>,
    /// Latency of 99 in 100, in ms.
    pub p99_ms: Option<f64>,
    /// Latency of 999 in 1,000, in ms.
    pub p999_ms: Option<f64>,
    /// Latency of 99 in 100 of what is published during switches, in ms.
    pub switch_p99_ms: Option<f64>,
    /// New links a join.
    pub links_per_join: Option<f64>,
    /// New links a leave.
    pub links_per_leave: Option<f64>,
    /// Links of a member.
    pub degree_max: Option<u64>,
}

impl Default for Scenario {
    fn default() -> Scenario {
        Scenario {
            about: String::new(),
            file: None,
            seed: 1,
            members: 1_000,
            topology: "small-world".to_owned(),
            seconds: 20,
            warm_up_s: 0,
            settle_s: 10,
            churn_per_min: 0.0,
            session_shape: 0.5,
            crashes: 0.5,
            publishers: 4,
            messages_per_s: 1.0,
            bytes: 100,
            relays: 0,
            max_links: 12,
            compare: true,
            distances: Distances::default(),
            network: Network::default(),
            flash: None,
            massacre: None,
            hub_away: None,
            switches: Vec::new(),
            bounds: Bounds::default(),
        }
    }
}

impl Default for Network {
    fn default() -> Network {
        Network {
            clusters: 12,
            way_ms: 36.0,
            late: 0.01,
            burst_late: 0.2,
            burst_starts: 0.0,
            late_ms: 200,
            uplink_kbps: 0,
            turn: 0.0,
            hub_way_ms: 30,
            link_ms: 200,
        }
    }
}

impl Scenario {
    /// A small room of which the seed determines everything: size, topology, network, and which misfortunes come together.
    pub fn random(seed: u64) -> Scenario {
        let mut dice = Dice::new(seed, 0, 0x0_5eed);
        let topology = |dice: &mut Dice| Topology::ALL[dice.below(4) as usize].as_str().to_owned();
        let seconds = dice.between(10, 40);
        let at_s = |dice: &mut Dice| dice.between(2, seconds - 4) as f64 + dice.unit();
        let mut switches: Vec<Switch> =
            (0..dice.below(4)).map(|_| Switch { at_s: at_s(&mut dice), to: topology(&mut dice) }).collect();
        switches.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        let members = if dice.chance(0.2) { dice.between(100, 400) } else { dice.between(3, 60) };
        let hard = dice.chance(0.5);
        let network = Network {
            late: if hard { 0.05 } else { 0.01 },
            burst_starts: if hard { 0.01 } else { 0.0 },
            late_ms: dice.between(50, 500),
            uplink_kbps: if dice.chance(0.2) { dice.between(1, 10) * 1_000 } else { 0 },
            turn: if dice.chance(0.3) { 0.12 } else { 0.0 },
            ..Network::default()
        };
        let hub_away = HubAway { from_s: at_s(&mut dice), seconds: dice.between(1, 20) as f64 };
        let massacre = Massacre { at_s: at_s(&mut dice), part: 0.3 };
        let flash = Flash { at_s: at_s(&mut dice), members: dice.between(1, members) as usize };
        Scenario {
            seed,
            members: members as usize,
            topology: topology(&mut dice),
            seconds,
            settle_s: 20,
            churn_per_min: if dice.chance(0.7) { dice.unit() * 3.0 } else { 0.0 },
            crashes: dice.unit(),
            publishers: dice.between(1, 6) as usize,
            messages_per_s: dice.between(1, 10) as f64,
            bytes: dice.between(1, 1_000) as usize,
            relays: dice.below(4) as usize,
            compare: false,
            network,
            flash: dice.chance(0.2).then_some(flash),
            massacre: dice.chance(0.2).then_some(massacre),
            hub_away: dice.chance(0.2).then_some(hub_away),
            switches,
            ..Scenario::default()
        }
    }

    /// From when on what is published counts in the figures: after the warm-up, or in the second half of a run that is shorter.
    pub(super) fn figures_from(&self) -> Time {
        Time(self.warm_up_s.min(self.seconds / 2) * 1_000_000)
    }

    /// Why this cannot be run, if it cannot.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> Result<(), String> {
        let parts = [self.crashes, self.network.late, self.network.burst_late, self.network.burst_starts];
        let massacre = self.massacre.map_or(0.0, |massacre| massacre.part);
        if parts.into_iter().chain([self.network.turn, massacre]).any(|part| !(0.0..=1.0).contains(&part)) {
            return Err("a part of something is between 0 and 1".to_owned());
        }
        let rates = [self.churn_per_min, self.messages_per_s, self.network.way_ms, self.session_shape];
        if rates.iter().any(|rate| !(0.0..=1e6).contains(rate)) || self.session_shape < 0.1 {
            return Err("a rate, a way or a shape is out of bounds".to_owned());
        }
        if self.bytes > room::limits::CHUNK {
            return Err(format!("a message has at most {} bytes here: one chunk", room::limits::CHUNK));
        }
        let mut topologies = self.switches.iter().map(|switch| switch.to.as_str()).chain([self.topology.as_str()]);
        if let Some(unknown) = topologies.find(|topology| topology.parse::<Topology>().is_err()) {
            return Err(format!("there is no topology `{unknown}`: mesh, small-world, tree and star there are"));
        }
        Ok(())
    }
}
