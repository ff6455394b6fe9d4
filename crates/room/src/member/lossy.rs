//! Lossy channels towards and from one peer: the newest value of each `latest` channel until it was seen, datagrams
//! that are sent once, and the small frames that keep a link's pulse.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use crate::{
    id::MemberId,
    limits,
    time::{Micros, Time},
    wire::frame::{self, Frame, Stream},
};

/// The values that this member keeps for whoever enters later.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// Numbers all values of this member, so that each channel's rise.
    seq: u64,
    latest: BTreeMap<String, (u64, Bytes)>,
}

impl Published {
    /// Numbers a value and makes its frame; keeps it where it is for everybody.
    pub fn value(&mut self, stream: Stream, channel: &str, payload: Bytes) -> Value {
        self.seq += 1;
        let frame = Frame::Latest { stream, seq: self.seq, channel: channel.to_owned(), payload }.encode();
        if stream.to.is_none() {
            if !self.latest.contains_key(channel) && self.latest.len() >= limits::LATEST_CHANNELS {
                let oldest = self.latest.iter().min_by_key(|(_, (seq, _))| *seq).map(|(name, _)| name.clone());
                self.latest.remove(&oldest.expect("it is full, so not empty"));
            }
            self.latest.insert(channel.to_owned(), (self.seq, frame.clone()));
        }
        Value { seq: self.seq, frame, sent: None }
    }

    fn all(&self) -> impl Iterator<Item = (&String, Value)> {
        self.latest.iter().map(|(name, (seq, frame))| (name, Value { seq: *seq, frame: frame.clone(), sent: None }))
    }
}

/// A value on its way to one peer.
#[derive(Clone, Debug)]
pub(super) struct Value {
    seq: u64,
    frame: Bytes,
    sent: Option<Time>,
}

#[derive(Debug, Default)]
pub(super) struct LossyFlow {
    /// The newest value of each channel that the peer has not seen.
    unseen: BTreeMap<String, Value>,
    /// The newest number seen of each of the peer's channels, of those used last.
    seen: BTreeMap<String, u64>,
    /// The highest number that was forgotten of the others: nothing up to it is news.
    forgotten: u64,
    queue: Vec<Bytes>,
    queued: usize,
    /// Bytes in the lossy lane's send buffer.
    pub buffered: usize,
    /// Bytes of lossy messages that the application has not consumed.
    held: u64,
}

impl LossyFlow {
    /// A flow to a peer that has just entered.
    pub fn new(published: &Published) -> LossyFlow {
        let unseen = published.all().map(|(name, value)| (name.clone(), value)).collect();
        LossyFlow { unseen, ..LossyFlow::default() }
    }

    /// A new link: whatever was under way is sent again.
    pub fn link_up(&mut self) {
        self.buffered = 0;
        self.queue.clear();
        self.queued = 0;
        for value in self.unseen.values_mut() {
            value.sent = None;
        }
    }

    /// Supersedes a channel's value.
    pub fn publish(&mut self, channel: &str, value: Value) {
        if !self.unseen.contains_key(channel) && self.unseen.len() >= limits::LATEST_CHANNELS {
            let oldest = self.unseen.iter().min_by_key(|(_, value)| value.seq).map(|(name, _)| name.clone());
            self.unseen.remove(&oldest.expect("it is full, so not empty"));
        }
        self.unseen.insert(channel.to_owned(), value);
    }

    /// The peer has seen a value.
    pub fn acknowledged(&mut self, channel: &str, seq: u64) {
        if self.unseen.get(channel).is_some_and(|value| value.seq <= seq) {
            self.unseen.remove(channel);
        }
    }

    /// A frame that is sent once: PING, PONG, SEEN, DATAGRAM. Dropped where the buffer is full.
    pub fn send(&mut self, frame: Bytes) {
        if self.buffered + self.queued + frame.len() <= limits::LOSSY_PAUSE {
            self.queued += frame.len();
            self.queue.push(frame);
        }
    }

    /// When a value is to be sent (again).
    pub fn resend_at(&self, rtt: Option<Micros>) -> Option<Time> {
        if self.buffered >= limits::LOSSY_PAUSE {
            return None;
        }
        self.unseen.values().map(|value| value.sent.map_or(Time(0), |sent| sent + resend_after(rtt))).min()
    }

    /// Builds the next packet for the lossy lane.
    pub fn next_packet(&mut self, rtt: Option<Micros>, now: Time) -> Option<Bytes> {
        if self.queue.is_empty() && self.buffered < limits::LOSSY_PAUSE {
            let due = |value: &Value| value.sent.is_none_or(|sent| sent + resend_after(rtt) <= now);
            if let Some(value) = self.unseen.values_mut().find(|value| due(value)) {
                value.sent = Some(now);
                self.queued += value.frame.len();
                self.queue.push(value.frame.clone());
            }
        }
        let mut packet = BytesMut::new();
        let mut taken = 0;
        for frame in &self.queue {
            if !packet.is_empty() && packet.len() + frame.len() > LOSSY_PACKET {
                break;
            }
            frame::push_frame(&mut packet, frame);
            taken += 1;
        }
        self.queue.drain(..taken).for_each(|frame| self.queued -= frame.len());
        self.buffered += packet.len();
        (!packet.is_empty()).then(|| packet.freeze())
    }

    /// A `latest` value came. `fresh`: newer than what was seen, and the application has room for it.
    pub fn value(&mut self, origin: MemberId, channel: &str, seq: u64, length: usize) -> bool {
        let fresh = seq > self.seen.get(channel).copied().unwrap_or(self.forgotten);
        if fresh {
            if !self.hold(length) {
                return false;
            }
            if !self.seen.contains_key(channel) && self.seen.len() >= limits::LATEST_CHANNELS {
                self.forget_oldest();
            }
            self.seen.insert(channel.to_owned(), seq);
        }
        self.send(Frame::Seen { origin, seq, channel: channel.to_owned() }.encode());
        fresh
    }

    fn forget_oldest(&mut self) {
        let oldest = self.seen.iter().min_by_key(|(_, seq)| **seq).map(|(name, seq)| (name.clone(), *seq));
        if let Some((name, seq)) = oldest {
            self.seen.remove(&name);
            self.forgotten = self.forgotten.max(seq);
        }
    }

    /// Makes room for a message; false where the application has not taken enough of the earlier ones.
    pub fn hold(&mut self, length: usize) -> bool {
        if self.held >= limits::LOSSY_HELD {
            return false;
        }
        self.held += length as u64 + limits::FRAME_COST;
        true
    }

    pub fn consumed(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes as u64 + limits::FRAME_COST);
    }
}

/// One lossy packet fits one datagram where its frames do.
const LOSSY_PACKET: usize = 1_100;

fn resend_after(rtt: Option<Micros>) -> Micros {
    rtt.map_or(limits::LATEST_RESEND, |rtt| rtt.times(2).max(limits::LATEST_RESEND))
}
