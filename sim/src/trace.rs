//! Traces: what one member, or its [`courier`] alone, was given and what it put out, for every implementation to repeat.
//!
//! A trace is a file of JSON lines. The first makes the member (`{"config": …}`); each other one is a turn: its time in
//! µs, what happened (`input`; nothing on the turn that makes the member), what the member wanted done (`outputs`, in
//! order), and when it wants its next turn at the latest (`due`). Bytes are hex digits, in which `[07*100]` stands for a
//! hundred bytes 7.

pub mod courier;
mod scripts;

use std::{fs, io, path::Path};

use room::{
    member::{Config, Input, Member, Output},
    time::Time,
};
use serde::{Deserialize, Serialize};

/// A recorded member.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What it shows; the file's name without its ending.
    pub name: &'static str,
    /// The lines of the file.
    pub lines: Vec<Line>,
}

/// A line of a trace.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Line {
    /// First: the member is made.
    Begin {
        /// Of what.
        config: Config,
    },
    /// A turn of the member.
    Turn {
        /// Its time, in µs since it was made.
        at: Time,
        /// What happened; nothing where it was just made.
        #[serde(skip_serializing_if = "Option::is_none")]
        input: Option<Input>,
        /// What it wanted done, in order.
        outputs: Vec<Output>,
        /// When it wants its next turn at the latest.
        due: Option<Time>,
    },
    /// A line of a courier's trace.
    Courier(courier::Line),
}

/// A line as it is read: JSON that is passed on as it came cannot be read into one of several shapes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    config: Option<Config>,
    at: Option<Time>,
    input: Option<Input>,
    #[serde(default)]
    outputs: Vec<Output>,
    due: Option<Time>,
}

/// How a member's turn differed from the recorded one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A line that is none.
    #[error("line {line} cannot be read: {error}")]
    Line {
        /// From 1.
        line: usize,
        /// Why.
        error: serde_json::Error,
    },
    /// The first line does not make a member, or another one does.
    #[error("line {0} is out of place")]
    Order(usize),
    /// The member wanted something else.
    #[error("line {line}: the member gave {seen}, and the trace has {recorded}")]
    Differs {
        /// From 1.
        line: usize,
        /// What it wanted, and when its next turn.
        seen: String,
        /// What the trace says.
        recorded: String,
    },
}

/// Records all traces anew.
///
/// # Panics
/// Where a script does not end as it should: then the traces would show something broken.
pub fn record_all() -> Vec<Trace> {
    scripts::all().into_iter().map(scripts::Script::record).chain(record_couriers(0)).collect()
}

/// Records the couriers' traces anew; with other seeds than theirs, other runs of the same kinds.
pub fn record_couriers(seed: u64) -> Vec<Trace> {
    let trace = |(name, lines): (_, Vec<courier::Line>)| {
        let lines = lines.into_iter().map(Line::Courier).collect();
        Trace { name, lines }
    };
    courier::all(seed).into_iter().map(trace).collect()
}

/// Writes traces into a folder, a file each.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(traces: &[Trace], folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for trace in traces {
        fs::write(folder.join(trace.name).with_extension("jsonl"), trace.text())?;
    }
    Ok(())
}

/// Gives a member or courier of the `room` crate what a trace gave the recorded one.
///
/// # Errors
/// At the first turn that differs.
pub fn replay(text: &str) -> Result<(), ReplayError> {
    if text.starts_with(courier::BEGINNING) {
        return courier::replay(text);
    }
    let mut member: Option<Member> = None;
    for (line, text) in (1..).zip(text.lines()) {
        let read: Read = serde_json::from_str(text).map_err(|error| ReplayError::Line { line, error })?;
        match (read.config, read.at, &mut member) {
            (Some(config), None, None) => member = Some(Member::new(config, Time(0))),
            (None, Some(at), Some(member)) => {
                if let Some(input) = read.input {
                    member.handle(at, input);
                }
                let outputs: Vec<Output> = std::iter::from_fn(|| member.poll_output()).collect();
                let (seen, recorded) = ((outputs, member.poll_timeout()), (read.outputs, read.due));
                if seen != recorded {
                    let (seen, recorded) = (format!("{seen:?}"), format!("{recorded:?}"));
                    return Err(ReplayError::Differs { line, seen, recorded });
                }
            }
            _ => return Err(ReplayError::Order(line)),
        }
    }
    Ok(())
}

impl Trace {
    /// The file's text.
    pub fn text(&self) -> String {
        let line = |line| serde_json::to_string(line).expect("traces have string keys only") + "\n";
        self.lines.iter().map(line).collect()
    }
}

/// Records one actor of a room.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) actor: usize,
    lines: Vec<Line>,
}

impl Recorder {
    pub(crate) fn of(actor: usize) -> Recorder {
        Recorder { actor, lines: Vec::new() }
    }

    pub(crate) fn begin(&mut self, config: &Config) {
        self.lines.push(Line::Begin { config: config.clone() });
    }

    pub(crate) fn turn(&mut self, at: Time, input: Option<Input>, outputs: Vec<Output>, due: Option<Time>) {
        self.lines.push(Line::Turn { at, input, outputs, due });
    }
}
