//! The receiving end of one stream: duplicates, gaps, and chunks put together to messages.

use bytes::{Bytes, BytesMut};

use crate::{
    limits,
    wire::frame::{Data, Head},
};

/// A range of chunks that will never come, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub from: u64,
    pub to: u64,
}

/// How a chunk breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Nobody said where its stream begins.
    #[error("a chunk of a stream that was not announced")]
    Unannounced,
    /// Chunks before it did not come.
    #[error("a chunk out of order")]
    Order,
    /// A message begins before the one before it has ended.
    #[error("a message within a message")]
    Nested,
    /// The message is longer than [`limits::MESSAGE_MAX`].
    #[error("a message beyond the bound")]
    TooLarge,
}

/// What became of a chunk.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// False where it had come before.
    pub fresh: bool,
    pub lost: Option<Lost>,
    pub message: Option<(Head, Bytes)>,
}

#[derive(Debug, Default)]
pub(crate) struct Window {
    /// The first chunk that is missing; 0 while the stream is unknown.
    next: u64,
    assembly: Option<Assembly>,
    /// Where a message began whose rest is of no use.
    orphaned: Option<u64>,
    /// The stream was met in the middle: the rest of a message that began before is none of ours.
    joined_late: bool,
}

#[derive(Debug)]
struct Assembly {
    first: u64,
    head: Head,
    payload: BytesMut,
}

impl Window {
    /// A window that goes on where an earlier one of the same stream stood.
    pub fn at(next: u64) -> Window {
        Window { next, ..Window::default() }
    }

    /// The first chunk that is missing, once the stream is known.
    pub fn next(&self) -> Option<u64> {
        (self.next > 0).then_some(self.next)
    }

    /// The sender has nothing below `first` for us (any more).
    pub fn start(&mut self, first: u64) -> Option<Lost> {
        let first = first.max(1);
        if self.next == 0 {
            self.next = first;
            self.joined_late = true;
            return None;
        }
        if first <= self.next {
            return None;
        }
        let from = self.assembly.take().map(|a| a.first).or(self.orphaned.take()).unwrap_or(self.next);
        self.next = first;
        Some(Lost { from, to: first - 1 })
    }

    /// Takes a chunk.
    pub fn accept(&mut self, data: Data) -> Result<Accepted, Violation> {
        if self.next == 0 {
            return Err(Violation::Unannounced);
        }
        if data.seq < self.next {
            return Ok(Accepted::default());
        }
        if data.seq > self.next {
            return Err(Violation::Order);
        }
        self.next += 1;
        let mut accepted = Accepted { fresh: true, ..Accepted::default() };
        match (data.head, self.assembly.take()) {
            (Some(_), Some(_)) => return Err(Violation::Nested),
            (Some(head), None) => {
                self.joined_late = false;
                accepted.lost = self.orphaned.take().map(|from| Lost { from, to: data.seq - 1 });
                if data.last {
                    accepted.message = Some((head, data.payload));
                } else {
                    self.assembly = Some(Assembly { first: data.seq, head, payload: BytesMut::from(data.payload) });
                }
            }
            (None, Some(mut assembly)) => {
                if assembly.payload.len() + data.payload.len() > limits::MESSAGE_MAX {
                    return Err(Violation::TooLarge);
                }
                assembly.payload.extend_from_slice(&data.payload);
                if data.last {
                    accepted.message = Some((assembly.head, assembly.payload.freeze()));
                } else {
                    self.assembly = Some(assembly);
                }
            }
            (None, None) if self.joined_late => {}
            // The rest of a message whose beginning was lost.
            (None, None) => {
                let from = *self.orphaned.get_or_insert(data.seq);
                if data.last {
                    self.orphaned = None;
                    accepted.lost = Some(Lost { from, to: data.seq });
                }
            }
        }
        Ok(accepted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::MemberId,
        wire::frame::{Kind, Stream},
    };

    fn chunk(seq: u64, first: bool, last: bool, payload: &'static [u8]) -> Data {
        Data {
            stream: Stream::room(MemberId::from(7)),
            seq,
            head: first.then(|| Head { kind: Kind::Message, channel: "chat".into() }),
            last,
            payload: Bytes::from_static(payload),
        }
    }

    fn message(accepted: Result<Accepted, Violation>) -> Option<Bytes> {
        accepted.unwrap().message.map(|(_, payload)| payload)
    }

    #[test]
    fn chunks_become_messages_once() {
        let mut window = Window::default();
        assert_eq!(window.accept(chunk(1, true, true, b"a")), Err(Violation::Unannounced));
        assert_eq!(window.start(5), None);
        assert_eq!(message(window.accept(chunk(5, true, true, b"a"))).as_deref(), Some(&b"a"[..]));
        assert_eq!(message(window.accept(chunk(6, true, false, b"b"))), None);
        assert_eq!(window.accept(chunk(6, true, false, b"b")), Ok(Accepted::default()));
        assert_eq!(message(window.accept(chunk(7, false, false, b"c"))), None);
        assert_eq!(message(window.accept(chunk(8, false, true, b"d"))).as_deref(), Some(&b"bcd"[..]));
        assert_eq!(window.next(), Some(9));
        assert_eq!(window.accept(chunk(10, true, true, b"x")), Err(Violation::Order));
    }

    #[test]
    fn gaps_name_every_chunk_that_the_application_will_not_see() {
        let mut window = Window::at(1);
        window.accept(chunk(1, true, false, b"a")).unwrap();
        // The message that began at 1 is lost with what was skipped …
        assert_eq!(window.start(4), Some(Lost { from: 1, to: 3 }));
        // … and so is the rest of the one that was under way at 4.
        assert_eq!(window.accept(chunk(4, false, false, b"b")).unwrap().lost, None);
        assert_eq!(window.accept(chunk(5, false, true, b"c")).unwrap().lost, Some(Lost { from: 4, to: 5 }));
        assert_eq!(message(window.accept(chunk(6, true, true, b"d"))).as_deref(), Some(&b"d"[..]));
        assert_eq!(window.start(3), None);
    }

    #[test]
    fn the_end_of_a_message_from_before_is_no_gap() {
        let mut window = Window::default();
        window.start(3);
        assert_eq!(window.accept(chunk(3, false, false, b"a")).unwrap().lost, None);
        assert_eq!(
            window.accept(chunk(4, false, true, b"b")).unwrap(),
            Accepted { fresh: true, ..Accepted::default() }
        );
        assert_eq!(message(window.accept(chunk(5, true, true, b"c"))).as_deref(), Some(&b"c"[..]));
    }

    #[test]
    fn a_message_does_not_nest_or_outgrow_its_bound() {
        let mut window = Window::at(1);
        window.accept(chunk(1, true, false, b"a")).unwrap();
        assert_eq!(window.accept(chunk(2, true, true, b"a")), Err(Violation::Nested));

        static PIECE: [u8; limits::CHUNK] = [0; limits::CHUNK];
        let mut window = Window::at(1);
        window.accept(chunk(1, true, false, &PIECE)).unwrap();
        let end = (2..).find(|seq| window.accept(chunk(*seq, false, false, &PIECE)).is_err());
        assert_eq!(end, Some(limits::MESSAGE_MAX as u64 / limits::CHUNK as u64 + 1));
    }
}
