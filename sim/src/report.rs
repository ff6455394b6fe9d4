//! What came of a run.

use std::fmt;

use serde::Serialize;

use crate::scenario::Scenario;

/// What came of a run. All but the times of the machine that ran it is determined by the scenario.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Members at the start, over all rooms.
    pub members: usize,
    /// Rooms.
    pub rooms: usize,
    /// How rooms were linked.
    pub topology: String,
    /// How they came to be linked, one after another.
    pub topologies: Vec<String>,
    /// What determined the run.
    pub seed: u64,
    /// Virtual time of work and faults.
    pub seconds: u64,
    /// Reliable messages sent.
    pub sent: u64,
    /// How often such a message should have reached somebody.
    pub deliveries_expected: u64,
    /// How often it did.
    pub delivered: u64,
    /// How often it did not, without a word.
    pub missed: u64,
    /// How often it did so again.
    pub duplicated: u64,
    /// How often it did so behind a later one.
    pub reordered: u64,
    /// Gaps that receivers were told of.
    pub gaps: u64,
    /// Deliveries that did not happen and were covered by a gap.
    pub lost_in_gaps: u64,
    /// Deliveries without a word of it that did not happen because the sender had left since.
    pub last_words_missed: u64,
    /// Chunks that arrived beyond those needed, for each one needed.
    pub rmr: f64,
    /// Mean number of links that a message went over.
    pub last_hop_mean: f64,
    /// Most links that a message went over.
    pub last_hop_max: u32,
    /// Latency of half of the deliveries, in ms.
    pub p50_ms: f64,
    /// Latency of 99 in 100.
    pub p99_ms: f64,
    /// Latency of 999 in 1,000.
    pub p999_ms: f64,
    /// Links that a join opens.
    pub links_per_join: f64,
    /// Links that a leave opens.
    pub links_per_leave: f64,
    /// Most links of a member.
    pub degree_max: u64,
    /// The planner's time for a join or leave, in µs of this machine.
    pub planner_us_per_event: f64,
    /// How often the hub welcomed somebody new, or somebody that it had lost.
    pub joins: u64,
    /// How often the hub said that somebody is gone.
    pub leaves: u64,
    /// How often any application heard that somebody left.
    pub leaves_heard: u64,
    /// Messages that the hub carried between members whom no connection joined.
    pub carried: u64,
    /// How often any application heard that a link had failed.
    pub failures_heard: u64,
    /// How often an application heard that a link was cut because its other end forged.
    pub forgeries_heard: u64,
    /// The longest that a crashed member stood in the roster of anybody whom the hub reached, in ms.
    pub ghost_ms_max: u64,
    /// Calls that were answered.
    pub calls_answered: u64,
    /// Calls that failed: timeouts, and members that left.
    pub calls_failed: u64,
    /// Datagrams sent, and how often one arrived.
    pub datagrams: (u64, u64),
    /// Events that the simulator played.
    pub events: u64,
    /// Virtual time until the last room had settled, in s.
    pub settled_s: f64,
    /// A hash of all that all machines put out.
    pub hash: String,
    /// What must not have been. Empty in a good run.
    pub violations: Vec<String>,
    /// The command that runs it again.
    pub rerun: String,
    /// This machine's time, in s.
    pub wall_s: f64,
}

impl Report {
    /// Whether everything held.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rooms = if self.rooms == 1 { "room" } else { "rooms" };
        writeln!(f, "{} members in {} {rooms}, {} s of {}", self.members, self.rooms, self.seconds, self.topology)?;
        writeln!(
            f,
            "delivered {} of {} ({} sent), {} missed, {} duplicated, {} reordered, {} in gaps, {} last words missed",
            self.delivered,
            self.deliveries_expected,
            self.sent,
            self.missed,
            self.duplicated,
            self.reordered,
            self.lost_in_gaps,
            self.last_words_missed
        )?;
        writeln!(f, "latency {:.1} / {:.1} / {:.1} ms (p50, p99, p99.9)", self.p50_ms, self.p99_ms, self.p999_ms)?;
        writeln!(f, "{} events in {:.2} s; hash {}", self.events, self.wall_s, self.hash)?;
        for violation in &self.violations {
            writeln!(f, "violation: {violation}")?;
        }
        if !self.is_good() {
            writeln!(f, "run it again: {}", self.rerun)?;
        }
        Ok(())
    }
}

/// The command that runs a scenario again.
pub(crate) fn rerun(scenario: &Scenario) -> String {
    if *scenario == Scenario::random(scenario.seed) {
        return format!("roomful simulate --random --seed {}", scenario.seed);
    }
    let plain = Scenario {
        seed: scenario.seed,
        members: scenario.members,
        rooms: scenario.rooms,
        topology: scenario.topology.clone(),
        seconds: scenario.seconds,
        churn_per_min: scenario.churn_per_min,
        ..Scenario::default()
    };
    let mut command = format!(
        "roomful simulate --seed {} --members {} --rooms {} --topology {} --seconds {} --churn {}%/min",
        scenario.seed,
        scenario.members,
        scenario.rooms,
        scenario.topology,
        scenario.seconds,
        scenario.churn_per_min * 100.0
    );
    if *scenario != plain {
        // What has no flag stands in the scenario's file.
        command.push_str(" --scenario FILE");
    }
    command
}
