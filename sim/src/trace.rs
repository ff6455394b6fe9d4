//! Traces: what one member was given and what it put out, for every implementation of the member to repeat.

use room::{
    member::{Config, Input, Output},
    time::Time,
};
use serde::{Deserialize, Serialize};

/// A line of a trace.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<Input>,
        /// What it wanted done, in order.
        outputs: Vec<Output>,
        /// When it wants its next turn at the latest.
        due: Option<Time>,
    },
}

/// Records one actor of a room.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) actor: usize,
    pub(crate) lines: Vec<Line>,
}

impl Recorder {
    pub(crate) fn begin(&mut self, config: &Config) {
        self.lines.push(Line::Begin { config: config.clone() });
    }

    pub(crate) fn turn(&mut self, at: Time, input: Option<Input>, outputs: Vec<Output>, due: Option<Time>) {
        self.lines.push(Line::Turn { at, input, outputs, due });
    }
}
