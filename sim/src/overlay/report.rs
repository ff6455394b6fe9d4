//! What came of an overlay run.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::scenario::Scenario;

/// What came of an overlay run. All but the times of the machine that ran it is determined by the scenario.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What the run shows.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Members at the start.
    pub members: usize,
    /// How the room was linked at the start.
    pub topology: String,
    /// What determined the run.
    pub seed: u64,
    /// Virtual time of work.
    pub seconds: u64,
    /// Members who came, and who went.
    pub joins: u64,
    /// See `joins`.
    pub leaves: u64,
    /// Ours.
    #[serde(flatten)]
    pub ours: Figures,
    /// Plain flooding, in the same room.
    #[serde(flatten, serialize_with = "flooding")]
    pub flood: Option<Figures>,
    /// GossipSub's rule, in the same room.
    #[serde(flatten, serialize_with = "gossipsub")]
    pub gossipsub: Option<Figures>,
    /// Links within which a member reaches everybody at best, at the largest degree that the plan gives (Moore).
    pub moore_hops: u32,
    /// Time in which a message reaches everybody at best, as uplinks allow, in ms.
    pub fluid_ms: f64,
    /// Latency of 99 in 100 of what was published during a switch, in ms; zero where there was none.
    pub switch_p99_ms: f64,
    /// New links a join.
    pub links_per_join: f64,
    /// New links a leave.
    pub links_per_leave: f64,
    /// Most links that a member had at one time.
    pub degree_max: u64,
    /// The planner's time for an event, in µs of this machine.
    pub planner_us_per_event: f64,
    /// A hash of all deliveries.
    pub hash: String,
    /// What must not have been. Empty in a good run.
    pub violations: Vec<String>,
    /// The command that runs it again.
    pub rerun: String,
    /// This machine's time for our part, in s.
    pub wall_s: f64,
}

/// How one way of getting messages to everybody fared.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Messages published.
    pub sent: u64,
    /// Deliveries owed to those who are there at the end.
    pub deliveries_expected: u64,
    /// How many of them happened.
    pub delivered: u64,
    /// How many did not.
    pub missed: u64,
    /// Deliveries that happened again.
    pub duplicated: u64,
    /// Deliveries before an earlier one.
    pub reordered: u64,
    /// Copies of a message that arrived beyond the one needed, for each delivery; without each origin's first message.
    pub rmr: f64,
    /// The same of each origin's first message.
    pub rmr_first: f64,
    /// Links to the last member that a message reaches, at the mean.
    pub last_hop_mean: f64,
    /// And at the most.
    pub last_hop_max: u32,
    /// Latency of half of the deliveries, in ms.
    pub p50_ms: f64,
    /// Latency of 99 in 100.
    pub p99_ms: f64,
    /// Latency of 999 in 1,000.
    pub p999_ms: f64,
    /// Frames that arrived, for each delivery.
    pub frames_per_delivery: f64,
    /// Bytes that arrived, for each delivery.
    pub bytes_per_delivery: f64,
    /// Events that the simulator played.
    pub events: u64,
}

impl Report {
    /// Whether everything held.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.about.is_empty() {
            writeln!(f, "{}", self.about)?;
        }
        writeln!(
            f,
            "{} members, {}, {} s, seed {}: {} joined, {} left",
            self.members, self.topology, self.seconds, self.seed, self.joins, self.leaves
        )?;
        let columns: Vec<(&str, &Figures)> = [
            Some(("ours", &self.ours)),
            self.flood.as_ref().map(|figures| ("flooding", figures)),
            self.gossipsub.as_ref().map(|figures| ("gossipsub", figures)),
        ]
        .into_iter()
        .flatten()
        .collect();
        write!(f, "{:<22}", "")?;
        columns.iter().try_for_each(|(name, _)| write!(f, "{name:>14}"))?;
        writeln!(f)?;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, cell: &dyn Fn(&Figures) -> String| {
            write!(f, "{name:<22}")?;
            columns.iter().try_for_each(|(_, figures)| write!(f, "{:>14}", cell(figures)))?;
            writeln!(f)
        };
        row(f, "delivered", &|x| x.delivered.to_string())?;
        row(f, "missed", &|x| x.missed.to_string())?;
        row(f, "doubled, out of order", &|x| format!("{}, {}", x.duplicated, x.reordered))?;
        row(f, "RMR; first message", &|x| format!("{:.3}; {:.3}", x.rmr, x.rmr_first))?;
        row(f, "last hop; most", &|x| format!("{:.1}; {}", x.last_hop_mean, x.last_hop_max))?;
        row(f, "p50, ms", &|x| format!("{:.0}", x.p50_ms))?;
        row(f, "p99, ms", &|x| format!("{:.0}", x.p99_ms))?;
        row(f, "p99.9, ms", &|x| format!("{:.0}", x.p999_ms))?;
        row(f, "frames a delivery", &|x| format!("{:.2}", x.frames_per_delivery))?;
        row(f, "bytes a delivery", &|x| format!("{:.0}", x.bytes_per_delivery))?;
        writeln!(f, "bounds: {} hops (Moore), {:.1} ms (fluid)", self.moore_hops, self.fluid_ms)?;
        if self.switch_p99_ms > 0.0 {
            writeln!(f, "p99 of what was published during switches: {:.0} ms", self.switch_p99_ms)?;
        }
        writeln!(
            f,
            "links: {:.2} a join, {:.2} a leave, {} at most; planner: {:.2} µs an event",
            self.links_per_join, self.links_per_leave, self.degree_max, self.planner_us_per_event
        )?;
        writeln!(f, "{} events in {:.2} s; hash {}", self.ours.events, self.wall_s, self.hash)?;
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
pub(super) fn rerun(scenario: &Scenario) -> String {
    if *scenario == Scenario::random(scenario.seed) {
        return format!("roomful simulate --overlay --random --seed {}", scenario.seed);
    }
    let flagged = Scenario {
        seed: scenario.seed,
        members: scenario.members,
        topology: scenario.topology.clone(),
        seconds: scenario.seconds,
        churn_per_min: scenario.churn_per_min,
        ..Scenario::default()
    };
    let from = match &scenario.file {
        Some(file) => format!("--scenario {file}"),
        None if *scenario == flagged => "--overlay".to_owned(),
        // What has no flag stands in some file.
        None => "--scenario FILE".to_owned(),
    };
    format!(
        "roomful simulate {from} --seed {} --members {} --topology {} --seconds {} --churn {}%/min",
        scenario.seed,
        scenario.members,
        scenario.topology,
        scenario.seconds,
        scenario.churn_per_min * 100.0
    )
}

fn flooding<S: Serializer>(figures: &Option<Figures>, serializer: S) -> Result<S::Ok, S::Error> {
    prefixed("flood", figures.as_ref(), serializer)
}

fn gossipsub<S: Serializer>(figures: &Option<Figures>, serializer: S) -> Result<S::Ok, S::Error> {
    prefixed("gossipsub", figures.as_ref(), serializer)
}

/// Figures as fields of the object around them, with a word before each name.
fn prefixed<S: Serializer>(word: &str, figures: Option<&Figures>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    if let Some(figures) = figures
        && let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(figures)
    {
        for (name, value) in fields {
            map.serialize_entry(&format!("{word}_{name}"), &value)?;
        }
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_stand_beside_in_one_object() {
        let figures = Figures { rmr: 5.0, ..Figures::default() };
        let report = Report { members: 7, flood: Some(figures), ..Report::default() };
        let json = serde_json::to_value(&report).expect("a report is plain data");
        assert_eq!((&json["members"], &json["flood_rmr"], &json["rmr"]), (&7.into(), &5.0.into(), &0.0.into()));
        assert!(json.get("gossipsub_rmr").is_none());
    }
}
