//! The sending end of one stream: messages cut into chunks, kept until everybody who is owed them has them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{
    limits,
    wire::frame::{Data, Head, Stream},
};

#[derive(Debug)]
pub(super) struct Outbox {
    stream: Stream,
    /// The number of the first chunk kept.
    first: u64,
    chunks: VecDeque<Chunk>,
    /// Bytes and overhead of what is kept.
    cost: usize,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
}

/// A chunk as it goes over every link.
#[derive(Debug)]
pub(super) struct Chunk {
    pub frame: Bytes,
    /// Its place among all chunks that this member sent, whatever their stream.
    pub stamp: u64,
}

#[derive(Debug)]
struct Waiting {
    /// To be answered once the whole message is in; `None` for calls and replies.
    ticket: Option<u64>,
    head: Option<Head>,
    rest: Bytes,
}

/// What a DATA frame counts for, in credit and in the outbox.
pub(crate) fn cost(frame: usize) -> u64 {
    frame as u64 + limits::FRAME_COST
}

impl Outbox {
    /// An empty outbox whose next chunk has the number `next`.
    pub fn new(stream: Stream, next: u64) -> Outbox {
        Outbox { stream, first: next, chunks: VecDeque::new(), cost: 0, waiting: VecDeque::new(), waiting_bytes: 0 }
    }

    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of the chunk that comes next.
    pub fn next(&self) -> u64 {
        self.first + self.chunks.len() as u64
    }

    pub fn chunk(&self, seq: u64) -> Option<&Chunk> {
        self.chunks.get(usize::try_from(seq.checked_sub(self.first)?).ok()?)
    }

    /// Bytes and overhead of what is kept.
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// Whether messages wait for room.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether one more message may wait.
    pub fn has_room_for(&self, payload: usize) -> bool {
        self.waiting.is_empty()
            || (self.waiting.len() < limits::WAITING_SENDS
                && self.waiting_bytes.saturating_add(payload) <= limits::WAITING_BYTES)
    }

    pub fn push(&mut self, ticket: Option<u64>, head: Head, payload: Bytes) {
        self.waiting_bytes += payload.len();
        self.waiting.push_back(Waiting { ticket, head: Some(head), rest: payload });
    }

    /// Moves what waits into the outbox as far as there is room; gives the tickets of the messages that are in.
    pub fn fill(&mut self, stamp: &mut u64) -> Vec<u64> {
        let mut sent = Vec::new();
        while self.cost < limits::OUTBOX_MAX
            && let Some(waiting) = self.waiting.front_mut()
        {
            let payload = waiting.rest.split_to(waiting.rest.len().min(limits::CHUNK));
            let last = waiting.rest.is_empty();
            self.waiting_bytes -= payload.len();
            let head = waiting.head.take();
            let ticket = waiting.ticket;
            if last {
                self.waiting.pop_front();
                sent.extend(ticket);
            }
            let data = Data { stream: self.stream, seq: self.next(), head, last, payload };
            let frame = data.encode();
            self.cost += cost(frame.len()) as usize;
            *stamp += 1;
            self.chunks.push_back(Chunk { frame, stamp: *stamp });
        }
        sent
    }

    /// Lets go of the chunks below `seq`.
    pub fn trim(&mut self, seq: u64) {
        while self.first < seq
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.cost -= cost(chunk.frame.len()) as usize;
            self.first += 1;
        }
    }

    /// Lets go of everything; gives the tickets of the messages that were not in yet.
    pub fn clear(&mut self) -> Vec<u64> {
        self.trim(self.next());
        self.waiting_bytes = 0;
        self.waiting.drain(..).filter_map(|waiting| waiting.ticket).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::MemberId, wire::frame::Kind};

    fn outbox() -> Outbox {
        Outbox::new(Stream::room(MemberId::from(7)), 1)
    }

    fn head() -> Head {
        Head { kind: Kind::Message, channel: "chat".into() }
    }

    #[test]
    fn a_message_is_cut_into_chunks_and_an_empty_one_is_a_chunk_too() {
        let (mut outbox, mut stamp) = (outbox(), 0);
        outbox.push(Some(1), head(), Bytes::from(vec![1; 2 * limits::CHUNK + 1]));
        outbox.push(Some(2), head(), Bytes::new());
        assert_eq!(outbox.fill(&mut stamp), [1, 2]);
        assert_eq!((outbox.first(), outbox.next(), stamp), (1, 5, 4));
        assert!(outbox.chunk(4).is_some() && outbox.chunk(5).is_none() && outbox.chunk(0).is_none());
    }

    #[test]
    fn what_does_not_fit_waits_and_too_much_is_refused() {
        let (mut outbox, mut stamp) = (outbox(), 0);
        let large = Bytes::from(vec![1; limits::MESSAGE_MAX]);
        let mut tickets = 0;
        while outbox.has_room_for(large.len()) {
            tickets += 1;
            outbox.push(Some(tickets), head(), large.clone());
            let sent = outbox.fill(&mut stamp);
            assert!(sent.is_empty() || sent == [tickets]);
        }
        assert!((3..8).contains(&tickets), "{tickets}");
        assert!(outbox.cost < limits::OUTBOX_MAX + 2 * limits::CHUNK);
        outbox.trim(outbox.next());
        assert!(!outbox.fill(&mut stamp).is_empty());
        assert_eq!(outbox.clear().len() + 2, tickets as usize - 1);
        assert_eq!(outbox.cost, 0);
    }
}
