//! What is to be kept, and who waits until it is.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    engine::{
        ConnId, Output, StoredRecord, Ticket,
        outbox::{Outbox, Peer},
    },
    limits,
    message::{Action, Problem, Reply, WriteAck},
    name::Name,
};

/// The way to the store, if there is one.
#[derive(Debug)]
pub(crate) struct Store {
    is_there: bool,
    last: Ticket,
    /// In the order of their tickets.
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    peer: Peer,
    name: Name,
    /// `None`: a deletion.
    ack: Option<WriteAck>,
}

impl Store {
    pub(super) fn new(is_there: bool) -> Store {
        Store { is_there, last: Ticket(0), waiting: VecDeque::new() }
    }

    /// Numbers what is to be stored as if `before` had gone on.
    pub(crate) fn go_on_from(&mut self, before: &Store) {
        self.last = before.last;
    }

    /// A record was written. The writer is told when that is stored; at once where nothing is.
    pub(super) fn written(
        &mut self,
        name: &Name,
        version: u64,
        json: &Arc<str>,
        is_kept: bool,
        ack: Option<(Peer, WriteAck)>,
        out: &mut Outbox,
    ) {
        let record = StoredRecord { version, json: json.clone() };
        let ticket = if is_kept { self.store(name, Some(record), out) } else { None };
        let Some((peer, ack)) = ack else { return };
        match ticket {
            None => out.send(peer, &Reply::Written { name, ack: &ack, problem: None }),
            Some(ticket) => self.wait(Waiting { ticket, peer, name: name.clone(), ack: Some(ack) }, out),
        }
    }

    /// A record that should not be there is deleted.
    pub(super) fn clear(&mut self, name: &Name, out: &mut Outbox) {
        self.store(name, None, out);
    }

    /// A record was deleted.
    pub(super) fn deleted(&mut self, peer: Peer, name: &Name, is_kept: bool, out: &mut Outbox) {
        match if is_kept { self.store(name, None, out) } else { None } {
            None => out.send(peer, &Reply::DeleteDone(name)),
            Some(ticket) => self.wait(Waiting { ticket, peer, name: name.clone(), ack: None }, out),
        }
    }

    /// Everything up to a ticket is stored, or, with a problem, is not.
    pub(crate) fn done(&mut self, ticket: Ticket, problem: Option<Problem>, out: &mut Outbox) {
        while self.waiting.front().is_some_and(|waiting| waiting.ticket <= ticket) {
            let Some(waiting) = self.waiting.pop_front() else { break };
            waiting.tell(problem, out);
        }
    }

    pub(super) fn closed(&mut self, conn: ConnId) {
        self.waiting.retain(|waiting| waiting.peer.conn != conn);
    }

    fn store(&mut self, name: &Name, record: Option<StoredRecord>, out: &mut Outbox) -> Option<Ticket> {
        if !self.is_there {
            return None;
        }
        self.last = Ticket(self.last.0 + 1);
        out.push(Output::Store { ticket: self.last, name: name.clone(), record });
        Some(self.last)
    }

    fn wait(&mut self, waiting: Waiting, out: &mut Outbox) {
        if self.waiting.len() < limits::ACKS_WAITING {
            return self.waiting.push_back(waiting);
        }
        // A store so far behind is as good as none.
        waiting.tell(Some(Problem::StoreFailed), out);
    }
}

impl Waiting {
    fn tell(&self, problem: Option<Problem>, out: &mut Outbox) {
        let name = self.name.as_str();
        match (&self.ack, problem) {
            (Some(ack), problem) => out.send(self.peer, &Reply::Written { name, ack, problem }),
            (None, None) => out.send(self.peer, &Reply::DeleteDone(name)),
            (None, Some(problem)) => {
                let (action, name, id) = (Action::Delete, Some(name), None);
                out.send(self.peer, &Reply::Problem { problem, action, name, id });
            }
        }
    }
}
