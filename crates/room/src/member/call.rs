//! Calls of other members' methods: numbering, deadlines, answers.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::io::Answer;
use crate::{
    id::MemberId,
    limits,
    time::Time,
    wire::frame::{Kind, put_varint, split_varint},
};

#[derive(Debug, Default)]
pub(super) struct Calls {
    last: u64,
    open: BTreeMap<u64, Call>,
}

#[derive(Debug)]
struct Call {
    ticket: u64,
    to: MemberId,
    deadline: Time,
}

#[derive(Serialize, Deserialize)]
struct Failure {
    code: String,
    message: String,
}

impl Calls {
    /// Begins a call: its payload on the wire. `None` where too many are open.
    pub fn begin(&mut self, ticket: u64, to: MemberId, argument: &Bytes, deadline: Time) -> Option<Bytes> {
        if self.open.len() >= limits::CALLS_MAX {
            return None;
        }
        self.last += 1;
        self.open.insert(self.last, Call { ticket, to, deadline });
        Some(numbered(self.last, argument))
    }

    /// Somebody answered: the ticket, where the call was theirs to answer and is still open.
    pub fn answered(&mut self, from: MemberId, kind: Kind, payload: Bytes) -> Option<(u64, Answer)> {
        let (number, rest) = split_varint(payload).ok()?;
        if self.open.get(&number)?.to != from {
            return None;
        }
        let answer = match kind {
            Kind::Reply => Answer::Result(rest),
            _ => {
                let failure: Failure = serde_json::from_slice(&rest).ok()?;
                Answer::Failure { code: failure.code, message: failure.message }
            }
        };
        Some((self.open.remove(&number)?.ticket, answer))
    }

    pub fn cancel(&mut self, ticket: u64) {
        self.open.retain(|_, call| call.ticket != ticket);
    }

    /// The tickets of calls to a member that went.
    pub fn member_left(&mut self, member: MemberId) -> Vec<u64> {
        self.open.extract_if(.., |_, call| call.to == member).map(|(_, call)| call.ticket).collect()
    }

    /// The tickets of calls whose time is over.
    pub fn expired(&mut self, now: Time) -> Vec<u64> {
        self.open.extract_if(.., |_, call| call.deadline <= now).map(|(_, call)| call.ticket).collect()
    }

    /// The tickets of all calls.
    pub fn close(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.open).into_values().map(|call| call.ticket).collect()
    }

    pub fn timeout(&self) -> Option<Time> {
        self.open.values().map(|call| call.deadline).min()
    }
}

/// An answer's kind and payload on the wire.
pub(super) fn encode(call: u64, answer: &Answer) -> (Kind, Bytes) {
    match answer {
        Answer::Result(result) => (Kind::Reply, numbered(call, result)),
        Answer::Failure { code, message } => {
            let failure = Failure { code: code.clone(), message: message.clone() };
            let json = serde_json::to_vec(&failure).expect("two texts have a JSON form");
            (Kind::Failure, numbered(call, &json))
        }
    }
}

fn numbered(call: u64, rest: &[u8]) -> Bytes {
    let mut payload = BytesMut::with_capacity(rest.len() + 8);
    put_varint(&mut payload, call);
    payload.put_slice(rest);
    payload.freeze()
}
