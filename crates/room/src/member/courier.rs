//! Reliable delivery to and from one peer: what it is owed, what it may be sent, what it has sent.
//!
//! The room's outbox is shared by all peers; each [`Flow`] keeps a cursor into it. A new link starts with HELLO, in
//! which both sides say how far they are, so whatever a dead link swallowed is sent again and nothing twice.

use bytes::{Bytes, BytesMut};

use super::outbox::{Outbox, cost};
use crate::{
    courier::window::{Lost, Violation, Window},
    id::MemberId,
    limits,
    time::{Micros, Time},
    wire::frame::{self, Ack, Data, Frame, Head, Holding, Stream},
};

/// How a peer broke the protocol; its link is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LinkError {
    #[error("bad_frame: {0}")]
    Frame(#[from] frame::FrameError),
    #[error("bad_frame: {0}")]
    Stream(#[from] Violation),
    #[error("bad_frame: a frame of somebody else's stream")]
    Forged,
    #[error("bad_frame: an acknowledgement of what was never sent")]
    Acknowledged,
    #[error("bad_frame: a frame before HELLO, or a second HELLO")]
    Hello,
    #[error("bad_frame: version {0}")]
    Version(u64),
    #[error("over_credit")]
    OverCredit,
}

/// How far a peer is in one of our streams.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    /// The first chunk that it lacks.
    acked: u64,
    /// The next chunk to send on the current link.
    cursor: u64,
}

impl Cursor {
    fn at(next: u64) -> Cursor {
        Cursor { acked: next, cursor: next }
    }
}

/// Where the streams between two members stood when one of them went; see PROTOCOL.md, "Streams".
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    room_in: u64,
    addressed_in: u64,
    addressed_out: u64,
}

#[derive(Debug)]
pub(super) struct Flow {
    this: MemberId,
    peer: MemberId,

    // Towards the peer.
    room: Cursor,
    addressed: Cursor,
    /// What was sent to this peer only.
    pub outbox: Outbox,
    /// When the peer last acknowledged something, or was first owed something.
    pub progress: Time,
    /// It stalled, and its progress does not count until it acknowledges something.
    passed_over: bool,
    credit: u64,
    spent: u64,
    /// Bytes in the reliable lane's send buffer.
    pub buffered: usize,
    /// Sent before anything else.
    control: Vec<Frame>,

    // From the peer.
    room_in: Window,
    addressed_in: Window,
    received: u64,
    granted: u64,
    /// Cost of messages that the application has not consumed.
    held: u64,
    ack_due: Option<Time>,
    unacknowledged: u32,
}

/// What came in a DATA frame.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    pub lost: Option<Lost>,
    pub message: Option<(Head, Bytes)>,
}

impl Flow {
    /// A flow to a peer that has just entered: it is owed what the room's outbox holds from `room_next` on.
    pub fn new(this: MemberId, peer: MemberId, room_next: u64, known: Option<Position>, now: Time) -> Flow {
        let out = known.map_or(1, |position| position.addressed_out);
        Flow {
            this,
            peer,
            room: Cursor::at(room_next),
            addressed: Cursor::at(out),
            outbox: Outbox::new(Stream::addressed(this, peer), out),
            progress: now,
            passed_over: false,
            credit: 0,
            spent: 0,
            buffered: 0,
            control: Vec::new(),
            room_in: known.map_or_else(Window::default, |position| Window::at(position.room_in)),
            addressed_in: known.map_or_else(Window::default, |position| Window::at(position.addressed_in)),
            received: 0,
            granted: 0,
            held: 0,
            ack_due: None,
            unacknowledged: 0,
        }
    }

    /// What to remember of a peer that goes.
    pub fn position(&self) -> Position {
        Position {
            room_in: self.room_in.next().unwrap_or(0),
            addressed_in: self.addressed_in.next().unwrap_or(0),
            addressed_out: self.outbox.next(),
        }
    }

    // ---- links ----------------------------------------------------------------------------------

    /// A new link is up: nothing is known of what went over the old one but what was acknowledged.
    pub fn link_up(&mut self, room: &Outbox, epoch: u64) {
        self.credit = 0;
        self.spent = 0;
        self.buffered = 0;
        self.received = 0;
        self.granted = limits::RECEIVE_WINDOW.saturating_sub(self.held);
        self.ack_due = None;
        self.unacknowledged = 0;
        let mine = |stream, cursor: Cursor, outbox: &Outbox| Holding {
            stream,
            first: cursor.acked.max(outbox.first()),
            next: outbox.next(),
        };
        let mut holdings = vec![
            mine(Stream::room(self.this), self.room, room),
            mine(Stream::addressed(self.this, self.peer), self.addressed, &self.outbox),
        ];
        for (stream, window) in
            [(Stream::room(self.peer), &self.room_in), (Stream::addressed(self.peer, self.this), &self.addressed_in)]
        {
            holdings.extend(window.next().map(|next| Holding { stream, first: next, next }));
        }
        self.control = vec![Frame::Hello { version: frame::VERSION, epoch, credit: self.granted, holdings }];
    }

    /// The peer's HELLO: it says how far it is, and what it can supply. Gives what is lost of its room stream and of
    /// its stream to us.
    pub fn hello(
        &mut self,
        room: &Outbox,
        credit: u64,
        holdings: &[Holding],
        now: Time,
    ) -> Result<[Option<Lost>; 2], LinkError> {
        let mut lost = [None, None];
        self.credit = credit;
        self.room.cursor = self.room.acked;
        self.addressed.cursor = self.addressed.acked;
        for holding in holdings {
            if holding.first > holding.next {
                return Err(LinkError::Acknowledged);
            }
            let stream = holding.stream;
            if stream == Stream::room(self.peer) {
                lost[0] = self.room_in.start(holding.first);
            } else if stream == Stream::addressed(self.peer, self.this) {
                lost[1] = self.addressed_in.start(holding.first);
            } else if stream.origin == self.this && (stream.to.is_none() || stream.to == Some(self.peer)) {
                self.acknowledged(room, Ack { stream, next: holding.next }, now)?;
                if stream.to.is_none() {
                    self.room.cursor = holding.next;
                } else {
                    // What the peer lacks of before it was given up is gone; our HELLO told it so.
                    self.addressed.cursor = holding.next.max(self.outbox.first());
                }
            }
        }
        Ok(lost)
    }

    // ---- towards the peer -----------------------------------------------------------------------

    /// Something was put into an outbox that this peer is owed: its time to make progress begins, where it had
    /// nothing to do.
    pub fn owed_more(&mut self, had_all: bool, now: Time) {
        if had_all && !self.passed_over {
            self.progress = now;
        }
    }

    /// Whether the peer has all that went to the room before `next`.
    pub fn has_all_before(&self, next: u64) -> bool {
        self.room.acked >= next
    }

    /// Whether nothing is under way to this peer.
    pub fn is_flushed(&self, room: &Outbox) -> bool {
        self.room.acked >= room.next() && self.addressed.acked >= self.outbox.next() && !self.outbox.is_waiting()
    }

    /// The first chunk of the room's stream that the peer lacks.
    pub fn room_acked(&self) -> u64 {
        self.room.acked
    }

    /// The peer has not kept up: the room's outbox waits for it no longer.
    pub fn pass_over(&mut self, room: &Outbox) {
        self.passed_over = true;
        self.room.acked = room.next();
    }

    pub fn acknowledged(&mut self, room: &Outbox, ack: Ack, now: Time) -> Result<(), LinkError> {
        let (cursor, next) = if ack.stream == Stream::room(self.this) {
            (&mut self.room, room.next())
        } else if ack.stream == Stream::addressed(self.this, self.peer) {
            (&mut self.addressed, self.outbox.next())
        } else {
            return Err(LinkError::Forged);
        };
        if ack.next > next {
            return Err(LinkError::Acknowledged);
        }
        if ack.next > cursor.acked || self.passed_over {
            self.progress = now;
            self.passed_over = false;
        }
        cursor.acked = cursor.acked.max(ack.next);
        if ack.stream.to.is_some() {
            self.outbox.trim(ack.next);
        }
        Ok(())
    }

    pub fn credited(&mut self, total: u64) {
        self.credit = self.credit.max(total);
    }

    /// Builds the next packet for the reliable lane, as far as credit and buffer allow.
    pub fn next_packet(&mut self, room: &Outbox, now: Time) -> Option<Bytes> {
        let mut packet = BytesMut::new();
        self.acknowledge(now);
        while !self.control.is_empty() {
            let frame = self.control[0].encode();
            if !packet.is_empty() && packet.len() + frame.len() > limits::PACKET_TARGET {
                return Some(self.sealed(packet));
            }
            frame::push_frame(&mut packet, &frame);
            self.control.remove(0);
        }
        while self.credit > 0 && self.buffered + packet.len() < limits::LINK_PAUSE {
            self.skip_what_is_gone(room, &mut packet);
            let Some((frame, of_room)) = self.next_chunk(room) else { break };
            let price = cost(frame.len());
            if self.spent + price > self.credit {
                break;
            }
            if !packet.is_empty() && packet.len() + frame.len() > limits::PACKET_TARGET {
                break;
            }
            frame::push_frame(&mut packet, &frame);
            self.spent += price;
            let cursor = if of_room { &mut self.room } else { &mut self.addressed };
            cursor.cursor += 1;
        }
        (!packet.is_empty()).then(|| self.sealed(packet))
    }

    fn sealed(&mut self, packet: BytesMut) -> Bytes {
        self.buffered += packet.len();
        packet.freeze()
    }

    /// Where the peer was passed over, what it missed is gone from the outbox: it is told so.
    fn skip_what_is_gone(&mut self, room: &Outbox, packet: &mut BytesMut) {
        if self.room.cursor < room.first() {
            let skip = Frame::Skip { stream: Stream::room(self.this), upto: room.first() };
            frame::push_frame(packet, &skip.encode());
            self.room.cursor = room.first();
        }
    }

    /// The chunk that comes next for this peer, in the order in which the application sent, and whether it is the
    /// room's.
    fn next_chunk(&self, room: &Outbox) -> Option<(Bytes, bool)> {
        let of_room = room.chunk(self.room.cursor);
        let addressed = self.outbox.chunk(self.addressed.cursor);
        match (of_room, addressed) {
            (Some(a), Some(b)) if b.stamp < a.stamp => Some((b.frame.clone(), false)),
            (Some(a), _) => Some((a.frame.clone(), true)),
            (None, Some(b)) => Some((b.frame.clone(), false)),
            (None, None) => None,
        }
    }

    // ---- from the peer --------------------------------------------------------------------------

    /// Takes a DATA frame of `length` bytes.
    pub fn data(&mut self, data: Data, length: usize, now: Time) -> Result<Delivery, LinkError> {
        self.received += cost(length);
        if self.received > self.granted {
            return Err(LinkError::OverCredit);
        }
        let window = if data.stream == Stream::room(self.peer) {
            &mut self.room_in
        } else if data.stream == Stream::addressed(self.peer, self.this) {
            &mut self.addressed_in
        } else {
            return Err(LinkError::Forged);
        };
        let accepted = window.accept(data)?;
        self.unacknowledged += 1;
        self.ack_due.get_or_insert(now + limits::ACK_DELAY);
        if self.unacknowledged >= limits::ACK_EVERY {
            self.ack_due = Some(now);
        }
        Ok(Delivery { lost: accepted.lost, message: accepted.message })
    }

    /// The peer will not send chunks below `upto`.
    pub fn skipped(&mut self, stream: Stream, upto: u64, now: Time) -> Result<Option<Lost>, LinkError> {
        let window = if stream == Stream::room(self.peer) {
            &mut self.room_in
        } else if stream == Stream::addressed(self.peer, self.this) {
            &mut self.addressed_in
        } else {
            return Err(LinkError::Forged);
        };
        self.ack_due.get_or_insert(now + limits::ACK_DELAY);
        Ok(window.start(upto))
    }

    /// The application was given a message with a payload of `bytes`.
    pub fn hold(&mut self, bytes: usize) {
        self.held += cost(bytes);
    }

    /// The application took a message with a payload of `bytes`.
    pub fn consumed(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(cost(bytes));
    }

    /// Opens the window again once a quarter of it has been used up.
    pub fn grant(&mut self) {
        let total = (self.received + limits::RECEIVE_WINDOW).saturating_sub(self.held);
        if total >= self.granted + limits::RECEIVE_WINDOW / 4 {
            self.granted = total;
            self.control.retain(|frame| !matches!(frame, Frame::Credit { .. }));
            self.control.push(Frame::Credit { total });
        }
    }

    /// When the next acknowledgement is due.
    pub fn ack_due(&self) -> Option<Time> {
        self.ack_due
    }

    fn acknowledge(&mut self, now: Time) {
        if self.ack_due.is_none_or(|due| due > now) {
            return;
        }
        self.ack_due = None;
        self.unacknowledged = 0;
        let acks: Vec<Ack> =
            [(Stream::room(self.peer), &self.room_in), (Stream::addressed(self.peer, self.this), &self.addressed_in)]
                .into_iter()
                .filter_map(|(stream, window)| Some(Ack { stream, next: window.next()? }))
                .collect();
        self.control.push(Frame::Ack(acks));
    }
}

/// Until when a peer may hold the room's outbox back.
pub(super) fn patience(open: bool) -> Micros {
    if open { limits::STALL_OPEN } else { limits::STALL_LINKING }
}
