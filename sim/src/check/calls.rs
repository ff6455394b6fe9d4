//! Every call ends once, with the right answer or a failure; no call is carried out twice.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use room::member::Answer;

use crate::payload;

#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// By caller and ticket: what the answer must be.
    open: BTreeMap<(usize, u64), Bytes>,
    /// Callee, caller, the caller's number.
    executed: BTreeSet<(usize, usize, u64)>,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
}

impl Calls {
    pub(crate) fn begun(&mut self, caller: usize, ticket: u64, argument: Bytes) {
        self.open.insert((caller, ticket), argument);
    }

    /// Whether a call is carried out for the first time.
    pub(crate) fn executed(&mut self, callee: usize, caller: usize, call: u64) -> bool {
        self.executed.insert((callee, caller, call))
    }

    /// A call ended: what is wrong with that, if anything is.
    pub(crate) fn answered(&mut self, caller: usize, ticket: u64, answer: &Answer) -> Option<String> {
        let Some(argument) = self.open.remove(&(caller, ticket)) else {
            return Some(format!("gets an answer to call {ticket}, which is not open"));
        };
        match answer {
            Answer::Result(result) => {
                self.answered += 1;
                (*result != payload::turned(&argument)).then(|| format!("gets a wrong answer to call {ticket}"))
            }
            Answer::Failure { code, .. } => {
                self.failed += 1;
                let known = matches!(code.as_str(), "timeout" | "member_left" | "unknown_member" | "closed");
                (!known).then(|| format!("hears that call {ticket} failed: {code}"))
            }
        }
    }

    /// Nobody waits for this caller's answers any more.
    pub(crate) fn caller_left(&mut self, caller: usize) {
        self.open.retain(|(who, _), _| *who != caller);
    }

    /// Calls and answers that arrived.
    pub(crate) fn delivered(&self) -> u64 {
        self.executed.len() as u64 + self.answered
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    pub(crate) fn finish(&self, standing: &[bool]) -> Vec<String> {
        let open = self.open.keys().filter(|(caller, _)| standing[*caller]);
        open.map(|(caller, ticket)| format!("{caller} never hears of its call {ticket}")).collect()
    }
}
