//! `cargo xtask test`: every check there is, each timed. All Rust is built in the profile `checked` and for the whole
//! workspace at once, so that nothing is built twice for another set of features.

use std::time::{Duration, Instant};

use crate::{shell::Command, tidy};

/// One part of the tests.
struct Part {
    name: &'static str,
    /// The part without which this one cannot run.
    needs: Option<&'static str>,
    run: fn() -> Result<Outcome, String>,
}

enum Outcome {
    Passed,
    /// A runner said that this many tests passed.
    Counted(u32),
    /// Some of it could not run here, and why.
    Partly(&'static str),
}

/// In the order in which they say most, soonest.
const PARTS: &[Part] = &[
    Part { name: "fmt", needs: None, run: fmt },
    Part { name: "tidy", needs: None, run: || tidy::run().map(|()| Outcome::Passed) },
    Part { name: "sdk", needs: None, run: sdk },
    Part { name: "app", needs: None, run: app },
    Part { name: "clippy", needs: None, run: clippy },
    Part { name: "build", needs: None, run: build },
    Part { name: "rust", needs: Some("build"), run: rust },
    Part { name: "doc", needs: Some("build"), run: doc },
    Part { name: "deepstream", needs: Some("build"), run: deepstream },
    Part { name: "browser", needs: Some("build"), run: browser },
    Part { name: "deny", needs: None, run: deny },
];

/// Runs all parts, or those named and what they need. Goes on after a failure, so that one run tells everything.
pub fn run(wanted: &[&str]) -> Result<(), String> {
    let part = |name: &str| PARTS.iter().find(|part| part.name == name);
    if let Some(unknown) = wanted.iter().find(|name| part(name).is_none()) {
        return Err(format!("there is no part \"{unknown}\" of the tests; there are: {}", names()));
    }
    let needed: Vec<&str> = wanted.iter().filter_map(|name| part(name)?.needs).collect();
    let start = Instant::now();
    let mut lines = Vec::new();
    let mut failed: Vec<&str> = Vec::new();
    for part in PARTS.iter().filter(|p| wanted.is_empty() || wanted.contains(&p.name) || needed.contains(&p.name)) {
        println!("\n== {}", part.name);
        let began = Instant::now();
        let verdict = match part.needs.filter(|needed| failed.contains(needed)) {
            Some(needed) => {
                failed.push(part.name);
                format!("not run: {needed} failed")
            }
            None => match (part.run)() {
                Ok(Outcome::Passed) => "passed".to_owned(),
                Ok(Outcome::Counted(tests)) => format!("passed: {tests} tests"),
                Ok(Outcome::Partly(but)) => format!("passed, but {but}"),
                Err(reason) => {
                    println!("{reason}");
                    failed.push(part.name);
                    "FAILED".to_owned()
                }
            },
        };
        println!("== {}: {verdict} in {}", part.name, seconds(began.elapsed()));
        lines.push(format!("{:>9}  {:<10} {verdict}", seconds(began.elapsed()), part.name));
    }
    println!("\n{}", lines.join("\n"));
    println!("{:>9}  in all", seconds(start.elapsed()));
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(" "))) }
}

/// The names of all parts.
pub fn names() -> String {
    let names: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
    names.join(" ")
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f32())
}

/// Runs commands one after another, up to the first that fails.
fn all(commands: impl IntoIterator<Item = Command>) -> Result<Outcome, String> {
    commands.into_iter().try_for_each(Command::run)?;
    Ok(Outcome::Passed)
}

fn fmt() -> Result<Outcome, String> {
    all([Command::cargo("fmt --all --check")])
}

fn clippy() -> Result<Outcome, String> {
    all([Command::cargo("clippy --workspace --all-targets --profile checked -- -D warnings")])
}

fn build() -> Result<Outcome, String> {
    all([Command::cargo("build --workspace --all-targets --profile checked")])
}

fn rust() -> Result<Outcome, String> {
    count(Command::cargo("nextest run --workspace --cargo-profile checked --no-fail-fast"))
}

fn doc() -> Result<Outcome, String> {
    count(Command::cargo("test --workspace --doc --profile checked"))
}

fn sdk() -> Result<Outcome, String> {
    node("sdk")
}

fn app() -> Result<Outcome, String> {
    node("app")
}

fn deepstream() -> Result<Outcome, String> {
    node("tests/deepstream")
}

fn browser() -> Result<Outcome, String> {
    node("tests/browser")
}

/// Types, then tests, of a folder with JavaScript.
fn node(folder: &str) -> Result<Outcome, String> {
    Command::new("npm").words("run --silent check").dir(folder).run()?;
    count(Command::new("npm").words("test --silent").dir(folder))
}

fn count(runner: Command) -> Result<Outcome, String> {
    match runner.count()? {
        0 => Err("no test ran".to_owned()),
        tests => Ok(Outcome::Counted(tests)),
    }
}

/// Licences, sources and bans always; advisories where their database can be had.
fn deny() -> Result<Outcome, String> {
    Command::cargo("deny check bans licenses sources").run()?;
    if Command::cargo("deny fetch db").output().is_none() {
        return Ok(Outcome::Partly("advisories were not looked at: their database cannot be reached"));
    }
    all([Command::cargo("deny check --disable-fetch advisories")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_need_is_a_part_that_runs_before() {
        for (place, part) in PARTS.iter().enumerate() {
            if let Some(needed) = part.needs {
                assert!(PARTS[..place].iter().any(|earlier| earlier.name == needed), "{}", part.name);
            }
        }
    }
}
