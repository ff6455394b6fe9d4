//! `roomful simulate`

use std::{
    fmt::Display,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use serde::{Serialize, de::DeserializeOwned};
use sim::{Scenario, overlay};

use crate::failure::Failure;

/// Play rooms over a made-up network, and check what they promise.
///
/// The hub and the members are the real machines; time, network and faults are made up and determined by the seed, so
/// that a run that went wrong goes wrong again. Says how to run it again where it did.
///
/// Rooms of more than 300 members, and topologies other than the mesh, are played as overlays: the real planner and, on
/// each member, the real courier, with flooding and GossipSub's rule beside them in the same room.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  roomful simulate --members 30 --churn 10%/min --seed 7 --seconds 60
  roomful simulate --random --seed 1234
  roomful simulate --members 1000 --rooms 100 --json
  roomful simulate --scenario bad-train.toml
  roomful simulate --topology small-world --members 10000 --churn 10%/min --seconds 20 --svg overlay.svg
  roomful simulate --scenario sim/scenarios/hub-away.toml

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
    /// How rooms are linked [default: mesh; of large rooms small-world]
    #[arg(long, value_parser = ["auto", "mesh", "small-world", "tree", "star"])]
    topology: Option<String>,
    /// Part of the members that is replaced by others, as 10%/min [default: 0%/min]
    #[arg(long, value_parser = churn)]
    churn: Option<f64>,
    /// Virtual time of work and faults; then the rooms settle [default: 60; of overlays 20]
    #[arg(long)]
    seconds: Option<u64>,
    /// Play one room as an overlay, however small it is
    #[arg(long, conflicts_with = "rooms")]
    overlay: bool,
    /// Draw the overlay and the curve of its deliveries into a file
    #[arg(long, value_name = "FILE", conflicts_with = "rooms")]
    svg: Option<PathBuf>,
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

/// Members of a room beyond which it is played as an overlay: each member of a whole room knows every other.
const WHOLE_ROOM_MAX: usize = 300;

/// One of the two kinds of runs.
#[derive(Debug)]
enum Run {
    Rooms(Scenario),
    Overlay(overlay::Scenario),
}

impl Simulate {
    pub fn run(self) -> Result<(), Failure> {
        match self.scenario()? {
            Run::Rooms(scenario) => {
                let report = sim::run(&scenario);
                self.show(&report, &report.violations, &report.rerun)
            }
            Run::Overlay(scenario) => {
                let report = match &self.svg {
                    None => overlay::run(&scenario),
                    Some(path) => {
                        let (report, drawing) = overlay::draw(&scenario);
                        fs::write(path, drawing).map_err(|error| {
                            Failure::failed(format!("the drawing {} cannot be written: {error}", path.display()))
                        })?;
                        report
                    }
                };
                self.show(&report, &report.violations, &report.rerun)
            }
        }
    }

    fn show(&self, report: &(impl Serialize + Display), violations: &[String], rerun: &str) -> Result<(), Failure> {
        let shown = if self.json {
            serde_json::to_string(report).map_err(Failure::failed)?
        } else {
            report.to_string().trim_end().to_owned()
        };
        writeln!(io::stdout(), "{shown}")
            .map_err(|error| Failure::failed(format!("the report cannot be written: {error}")))?;
        match violations.len() {
            0 => Ok(()),
            times => Err(Failure::failed(format!("{times} times something did not hold")).hint(rerun)),
        }
    }

    fn scenario(&self) -> Result<Run, Failure> {
        if self.random {
            let seed = self.seed.unwrap_or(1);
            let overlays = self.overlay || self.svg.is_some();
            return Ok(if overlays {
                Run::Overlay(overlay::Scenario::random(seed))
            } else {
                Run::Rooms(Scenario::random(seed))
            });
        }
        let run = match &self.scenario {
            Some(path) => read(path)?,
            None if self.is_overlay() => Run::Overlay(overlay::Scenario::default()),
            None => Run::Rooms(Scenario::default()),
        };
        match run {
            Run::Rooms(_) if self.overlay || self.svg.is_some() => {
                Err(Failure::usage("this scenario plays whole rooms, and no overlay")
                    .hint("one whose file has a table [overlay] can be drawn"))
            }
            Run::Rooms(base) => self.rooms(base),
            Run::Overlay(base) => self.one_overlay(base),
        }
    }

    /// Whether what the flags say is to be played as an overlay.
    fn is_overlay(&self) -> bool {
        let room = self.members.unwrap_or(0) / self.rooms.unwrap_or(1).max(1);
        let meshed = matches!(self.topology.as_deref(), None | Some("auto" | "mesh"));
        self.overlay || self.svg.is_some() || !meshed || room > WHOLE_ROOM_MAX
    }

    fn rooms(&self, base: Scenario) -> Result<Run, Failure> {
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
        Ok(Run::Rooms(scenario))
    }

    fn one_overlay(&self, base: overlay::Scenario) -> Result<Run, Failure> {
        let topology = self.topology.clone().filter(|topology| topology != "auto");
        let scenario = overlay::Scenario {
            seed: self.seed.unwrap_or(base.seed),
            members: self.members.unwrap_or(base.members),
            topology: topology.unwrap_or(base.topology),
            churn_per_min: self.churn.unwrap_or(base.churn_per_min),
            seconds: self.seconds.unwrap_or(base.seconds),
            ..base
        };
        if self.rooms.is_some_and(|rooms| rooms != 1) {
            return Err(Failure::usage("an overlay is one room"));
        }
        if scenario.members > MEMBERS_MAX || scenario.seconds > SECONDS_MAX {
            return Err(Failure::usage("this is too much for one run")
                .hint(format!("at most {MEMBERS_MAX} members and {SECONDS_MAX} seconds")));
        }
        scenario.check().map_err(Failure::usage)?;
        Ok(Run::Overlay(scenario))
    }
}

/// Reads a scenario: of an overlay, where the file has a table of that name.
fn read(path: &Path) -> Result<Run, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("the scenario {} cannot be read: {error}", path.display())))?;
    let parsed = match toml::from_str::<toml::Table>(&text) {
        Ok(table) if table.contains_key("overlay") => parse(&text).map(|OverlayFile { overlay }| {
            Run::Overlay(overlay::Scenario { file: Some(path.display().to_string()), ..overlay })
        }),
        _ => parse(&text).map(Run::Rooms),
    };
    parsed.map_err(|error| {
        Failure::usage(format!("the scenario {} cannot be used: {error}", path.display()))
            .hint("its fields are those of `Scenario` in sim/src/scenario.rs or, in a table [overlay], sim/src/overlay/scenario.rs")
    })
}

/// A file with the scenario of an overlay.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct OverlayFile {
    overlay: overlay::Scenario,
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, toml::de::Error> {
    toml::from_str(text)
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

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        simulate: Simulate,
    }

    fn planned(line: &str) -> Result<Run, Failure> {
        let line: Line = clap::Parser::try_parse_from(line.split(' ')).expect("arguments that parse");
        line.simulate.scenario()
    }

    #[test]
    fn large_rooms_and_other_topologies_are_overlays() {
        let mesh = |run| matches!(run, Ok(Run::Rooms(_)));
        assert!(mesh(planned("simulate --members 300")) && mesh(planned("simulate --members 1000 --rooms 100")));
        for line in ["simulate --members 301", "simulate --topology star", "simulate --overlay", "simulate --svg x.svg"]
        {
            assert!(matches!(planned(line), Ok(Run::Overlay(_))), "{line}");
        }
        let Ok(Run::Overlay(scenario)) = planned("simulate --topology tree --members 50 --churn 10%/min --seed 3")
        else {
            panic!("a tree is an overlay");
        };
        assert!(matches!(planned("simulate --overlay --random --seed 5"), Ok(Run::Overlay(_))));
        assert_eq!((scenario.topology.as_str(), scenario.members, scenario.seed), ("tree", 50, 3));
        assert!(planned("simulate --topology tree --rooms 2 --members 50").is_err());
    }

    #[test]
    fn the_scenarios_that_come_along_can_be_used() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sim/scenarios");
        let mut files = 0;
        for file in fs::read_dir(folder).expect("the folder is there") {
            let path = file.expect("its entries can be read").path();
            let Ok(Run::Overlay(scenario)) = read(&path) else { panic!("{}", path.display()) };
            scenario.check().expect("it can be run");
            assert!(scenario.file.is_some_and(|file| file.ends_with(".toml")));
            files += 1;
        }
        assert!(files > 5, "{files} scenarios");
    }
}
