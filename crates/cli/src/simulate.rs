//! `roomful simulate`

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use sim::Scenario;

use crate::failure::Failure;

/// Play rooms over a made-up network, and check what they promise.
///
/// The hub and the members are the real machines; time, network and faults are made up and determined by the seed, so
/// that a run that went wrong goes wrong again. Says how to run it again where it did.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  roomful simulate --members 30 --churn 10%/min --seed 7 --seconds 60
  roomful simulate --random --seed 1234
  roomful simulate --members 1000 --rooms 100 --json
  roomful simulate --scenario bad-train.toml

Exit codes: 0 everything held, 1 something did not, 2 asked for something that cannot be.")]
pub struct Simulate {
    /// What determines everything [default: 1]
    #[arg(long)]
    seed: Option<u64>,
    /// Size, network, work and faults determined by the seed, too
    #[arg(long, conflicts_with_all = ["scenario", "members", "rooms", "topology", "churn", "seconds"])]
    random: bool,
    /// A TOML file of what has no flag; flags go over it
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Members at the start, over all rooms [default: 10]
    #[arg(long)]
    members: Option<usize>,
    /// Rooms, each with its share of the members [default: 1]
    #[arg(long)]
    rooms: Option<usize>,
    /// How rooms are linked [default: mesh]
    #[arg(long, value_parser = ["auto", "mesh"])]
    topology: Option<String>,
    /// Part of the members that is replaced by others, as 10%/min [default: 0%/min]
    #[arg(long, value_parser = churn)]
    churn: Option<f64>,
    /// Virtual time of work and faults; then the rooms settle [default: 60]
    #[arg(long)]
    seconds: Option<u64>,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

/// Members that a run may have, and virtual seconds: what a machine can bear.
const MEMBERS_MAX: usize = 1_000_000;
const SECONDS_MAX: u64 = 86_400;

/// A part a minute: `10%/min` is 0.1.
fn churn(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix("/min").unwrap_or(text).strip_suffix('%');
    let percent: Option<f64> = percent.and_then(|percent| percent.trim().parse().ok());
    match percent.filter(|percent| (0.0..=10_000.0).contains(percent)) {
        Some(percent) => Ok(percent / 100.0),
        None => Err("write it as 10%/min".to_owned()),
    }
}

impl Simulate {
    pub fn run(self) -> Result<(), Failure> {
        let scenario = self.scenario()?;
        let report = sim::run(&scenario);
        let shown = if self.json {
            serde_json::to_string(&report).map_err(Failure::failed)?
        } else {
            report.to_string().trim_end().to_owned()
        };
        writeln!(io::stdout(), "{shown}")
            .map_err(|error| Failure::failed(format!("the report cannot be written: {error}")))?;
        if report.is_good() {
            return Ok(());
        }
        let violations = report.violations.len();
        Err(Failure::failed(format!("{violations} times something did not hold")).hint(&report.rerun))
    }

    fn scenario(&self) -> Result<Scenario, Failure> {
        if self.random {
            return Ok(Scenario::random(self.seed.unwrap_or(1)));
        }
        let base = self.scenario.as_deref().map_or(Ok(Scenario::default()), read)?;
        let scenario = Scenario {
            seed: self.seed.unwrap_or(base.seed),
            members: self.members.unwrap_or(base.members),
            rooms: self.rooms.unwrap_or(base.rooms),
            topology: self.topology.clone().unwrap_or(base.topology),
            churn_per_min: self.churn.unwrap_or(base.churn_per_min),
            seconds: self.seconds.unwrap_or(base.seconds),
            ..base
        };
        if scenario.members > MEMBERS_MAX || scenario.rooms > scenario.members.max(1) || scenario.seconds > SECONDS_MAX
        {
            return Err(Failure::usage("this is too much for one run")
                .hint(format!("at most {MEMBERS_MAX} members, as many rooms as members, and {SECONDS_MAX} seconds")));
        }
        Ok(scenario)
    }
}

fn read(path: &Path) -> Result<Scenario, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("the scenario {} cannot be read: {error}", path.display())))?;
    toml::from_str(&text).map_err(|error| {
        Failure::usage(format!("the scenario {} cannot be used: {error}", path.display()))
            .hint("its fields are those of `Scenario` in sim/src/scenario.rs")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn churn_is_a_part_a_minute() {
        assert_eq!(churn("10%/min"), Ok(0.1));
        assert_eq!(churn("250%"), Ok(2.5));
        for text in ["10", "ten%/min", "-1%/min", "NaN%/min", "10%/s"] {
            assert!(churn(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_scenario_file_may_name_only_what_matters() {
        let scenario: Scenario = toml::from_str("members = 3\n[network]\nloss = 0.1\n").expect("known fields");
        assert_eq!((scenario.members, scenario.network.loss), (3, 0.1));
        assert!(toml::from_str::<Scenario>("membres = 3").is_err());
    }
}
