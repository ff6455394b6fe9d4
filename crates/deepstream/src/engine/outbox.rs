//! What the engine wants done.

use std::collections::VecDeque;

use super::{ConnId, Counters, Output, registry::Recipients};
use crate::{
    limits,
    message::Reply,
    wire::{self, Wire},
};

/// A connection that messages can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Peer {
    pub conn: ConnId,
    pub wire: Wire,
}

/// Outputs, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    outputs: VecDeque<Output>,
    /// Bytes of messages and records in them.
    bytes: usize,
    /// What the client whose turn it is has taken so far.
    work: u64,
    /// What clients have taken, to be told.
    bills: VecDeque<(ConnId, u64)>,
    pub(crate) counters: Counters,
}

impl Outbox {
    pub(crate) fn send(&mut self, to: Peer, reply: &Reply<'_>) {
        if let Some(frame) = wire::encode(to.wire, reply) {
            self.counters.sent += 1;
            self.push(Output::Send { to: vec![to.conn], frame });
        }
    }

    /// Sends the same to many, but for one. It is encoded once for each protocol.
    pub(crate) fn tell(&mut self, to: &Recipients, but: Option<ConnId>, reply: &Reply<'_>) {
        for wire in [Wire::Text, Wire::Protobuf] {
            let conns: Vec<ConnId> = to.of(wire).iter().copied().filter(|conn| Some(*conn) != but).collect();
            if !conns.is_empty()
                && let Some(frame) = wire::encode(wire, reply)
            {
                self.counters.sent += conns.len() as u64;
                self.push(Output::Send { to: conns, frame });
            }
        }
    }

    pub(crate) fn push(&mut self, output: Output) {
        if let Output::Send { to, frame } = &output {
            self.charge(frame.bytes().len() as u64 + limits::SEND_WORK * to.len() as u64);
        }
        self.bytes += bytes(&output);
        self.outputs.push_back(output);
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front()?;
        self.bytes -= bytes(&output);
        Some(output)
    }

    /// Whether more waits here than one frame of a client may bring about.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes > limits::TURN_BYTES
    }

    // ---- work ------------------------------------------------------------------------------------------------------

    /// Notes what was done for whoever has its turn, in units of [`limits::TURN_WORK`].
    pub(crate) fn charge(&mut self, work: u64) {
        self.work = self.work.saturating_add(work);
    }

    /// Whether whoever has its turn has had enough for now.
    pub(crate) fn is_turn_over(&self) -> bool {
        self.work >= limits::TURN_WORK
    }

    /// Begins a turn.
    pub(crate) fn begin_turn(&mut self) {
        self.work = 0;
    }

    /// Ends a connection's turn, which is billed for it.
    pub(crate) fn end_turn(&mut self, conn: ConnId) {
        let work = std::mem::take(&mut self.work);
        self.bill(conn, work);
    }

    /// Bills a connection for what was done for it in another's turn, or in nobody's.
    pub(crate) fn bill(&mut self, conn: ConnId, work: u64) {
        if work > 0 {
            self.bills.push_back((conn, work));
        }
    }

    pub(crate) fn pop_bill(&mut self) -> Option<(ConnId, u64)> {
        self.bills.pop_front()
    }
}

/// Bytes that an output holds beside what came in with a frame.
fn bytes(output: &Output) -> usize {
    match output {
        Output::Send { to, frame } => size_of_val(to.as_slice()) + frame.bytes().len(),
        Output::Store { record: Some(record), .. } => record.json.len(),
        _ => 0,
    }
}
