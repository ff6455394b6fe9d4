//! Messages that wait for room in the log of one's own stream.

use std::collections::VecDeque;

use bytes::Bytes;

use super::log::Log;
use crate::{
    limits,
    time::Time,
    wire::frame::{Data, Head, Stream},
};

#[derive(Debug, Default)]
pub(super) struct Waiting {
    messages: VecDeque<Message>,
    bytes: usize,
}

#[derive(Debug)]
struct Message {
    /// To be answered once the whole message is in; `None` for calls and replies.
    ticket: Option<u64>,
    head: Option<Head>,
    rest: Bytes,
}

impl Waiting {
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether one more message may wait.
    pub fn has_room_for(&self, payload: usize) -> bool {
        self.messages.is_empty()
            || (self.messages.len() < limits::WAITING_SENDS
                && self.bytes.saturating_add(payload) <= limits::WAITING_BYTES)
    }

    pub fn push(&mut self, ticket: Option<u64>, head: Head, payload: Bytes) {
        self.bytes += payload.len();
        self.messages.push_back(Message { ticket, head: Some(head), rest: payload });
    }

    /// Cuts what waits into chunks for the log, as far as there is room; gives the tickets of the messages that are in.
    pub fn fill(&mut self, stream: Stream, log: &mut Log, stamp: &mut u64, now: Time) -> Vec<u64> {
        let mut sent = Vec::new();
        while log.bytes() < limits::OUTBOX_MAX
            && let Some(message) = self.messages.front_mut()
        {
            let payload = message.rest.split_to(message.rest.len().min(limits::CHUNK));
            let last = message.rest.is_empty();
            self.bytes -= payload.len();
            let head = message.head.take();
            let ticket = message.ticket;
            if last {
                self.messages.pop_front();
                sent.extend(ticket);
            }
            *stamp += 1;
            log.push(Data { stream, seq: log.next(), head, last, payload }.encode(), *stamp, now);
        }
        sent
    }

    /// Lets go of everything; gives the tickets.
    pub fn clear(&mut self) -> Vec<u64> {
        self.bytes = 0;
        self.messages.drain(..).filter_map(|message| message.ticket).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::MemberId, wire::frame::Kind};

    const STREAM: Stream = Stream::room(MemberId([7; 8]));

    fn head() -> Head {
        Head { kind: Kind::Message, channel: "chat".into() }
    }

    #[test]
    fn a_message_is_cut_into_chunks_and_an_empty_one_is_a_chunk_too() {
        let (mut waiting, mut log, mut stamp) = (Waiting::default(), Log::at(1), 0);
        waiting.push(Some(1), head(), Bytes::from(vec![1; 2 * limits::CHUNK + 1]));
        waiting.push(Some(2), head(), Bytes::new());
        assert_eq!(waiting.fill(STREAM, &mut log, &mut stamp, Time(0)), [1, 2]);
        assert_eq!((log.first(), log.next(), stamp), (1, 5, 4));
        assert_eq!((log.stamp(1), log.stamp(4), log.stamp(5)), (Some(1), Some(4), None));
    }

    #[test]
    fn what_does_not_fit_waits_and_too_much_is_refused() {
        let (mut waiting, mut log, mut stamp) = (Waiting::default(), Log::at(1), 0);
        let large = Bytes::from(vec![1; limits::MESSAGE_MAX]);
        let mut tickets = 0;
        while waiting.has_room_for(large.len()) {
            tickets += 1;
            waiting.push(Some(tickets), head(), large.clone());
            let sent = waiting.fill(STREAM, &mut log, &mut stamp, Time(0));
            assert!(sent.is_empty() || sent == [tickets]);
        }
        assert!((3..8).contains(&tickets), "{tickets}");
        assert!(log.bytes() < limits::OUTBOX_MAX + 2 * limits::CHUNK);
        log.trim_to(log.next());
        assert!(!waiting.fill(STREAM, &mut log, &mut stamp, Time(0)).is_empty());
        assert_eq!(waiting.clear().len() + 2, tickets as usize - 1);
    }
}
