//! The project's own commands: `cargo xtask …`. They need nothing but the standard library, so that they are there a
//! second after a fresh clone.

mod setup;
mod shell;
mod test;
mod tidy;

use std::{env, process::ExitCode};

use shell::{Command, root};

/// `PARTS` stands for the names of the tests' parts.
const USAGE: &str = "\
Usage: cargo xtask COMMAND

  setup            install what the tests need: system packages (as root), npm packages, cargo-nextest, cargo-deny
  test [PART…]     run all tests, or these parts: PARTS
  tidy             check the rules of the house
  golden           write protocol/traces again, after the member has changed on purpose
  bench [ARG…]     run the benchmarks, as `roomful bench ARG…`
  fuzz [SECONDS]   run every fuzz target for that long (60), with a nightly compiler and cargo-fuzz

Exit codes: 0 done, 1 something failed, 2 a wrong command line.";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["setup"] => setup::run(),
        ["test", ref parts @ ..] => test::run(parts),
        ["tidy"] => tidy::run(),
        ["golden"] => golden(),
        ["bench", ref rest @ ..] => bench(rest),
        ["fuzz"] => fuzz("60"),
        ["fuzz", seconds] if seconds.parse::<u32>().is_ok() => fuzz(seconds),
        ["help" | "--help" | "-h"] => {
            println!("{}", usage());
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{}", usage());
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    USAGE.replace("PARTS", &test::names())
}

/// Writes the traces that both languages repeat.
fn golden() -> Result<(), String> {
    Command::cargo("run --profile checked --package roomful-tests --bin golden").run()
}

/// Measures; always the release profile, because figures of another say nothing.
fn bench(rest: &[&str]) -> Result<(), String> {
    Command::cargo("run --release --package roomful-cli -- bench").args(rest).run()
}

fn fuzz(seconds: &str) -> Result<(), String> {
    if Command::new("cargo").words("+nightly fuzz --version").output().is_none() {
        return Err("fuzzing needs a nightly compiler and cargo-fuzz:\n  rustup toolchain install nightly\n  \
                    cargo install cargo-fuzz --locked"
            .to_owned());
    }
    // What both languages agree on is what the targets start from.
    Command::cargo("run --quiet --profile checked --package roomful-tests --bin fuzz-seeds").run()?;
    let targets = Command::new("cargo").words("+nightly fuzz list").dir(root()).output().unwrap_or_default();
    for target in targets.split_whitespace() {
        Command::new("cargo")
            .words("+nightly fuzz run --release")
            .args(&[target, "--"])
            .args(&[&format!("-max_total_time={seconds}"), "-timeout=10", "-rss_limit_mb=2048"])
            .run()?;
    }
    Ok(())
}
