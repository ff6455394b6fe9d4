//! Lossy channels: the newest value of each `latest` channel, sent over each link until it was seen there; datagrams,
//! sent once; and the small frames that keep a link's pulse.
//!
//! Where members pass on what others say, a new value goes along the ways of its origin's stream at once, and after a
//! while over all other links to whoever has not got it meanwhile.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use crate::{
    id::{MemberId, Signature},
    limits,
    time::{Micros, Time},
    wire::frame::{self, Frame, Stream},
};

/// What this member said last on its own lossy channels, for whoever enters later.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// Numbers all values and datagrams of this member, so that each channel's rise.
    seq: u64,
    latest: BTreeMap<String, Own>,
}

/// The newest value of an own channel.
#[derive(Debug)]
struct Own {
    seq: u64,
    /// As it was said last.
    said: Frame,
    is_signed: bool,
    /// Whether a signature is awaited, of this value or an older one.
    is_asked: bool,
}

impl Published {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// Numbers a value and makes its frame; keeps it where it is for everybody.
    pub fn value(&mut self, stream: Stream, channel: &str, payload: Bytes) -> Value {
        let seq = self.number();
        let said = Frame::Latest { stream, seq, channel: channel.to_owned(), payload, signature: None };
        let frame = said.encode();
        if stream.to.is_none() {
            if !self.latest.contains_key(channel) && self.latest.len() >= limits::LATEST_CHANNELS {
                let oldest = self.latest.iter().min_by_key(|(_, own)| own.seq).map(|(name, _)| name.clone());
                self.latest.remove(&oldest.expect("it is full, so not empty"));
            }
            let is_asked = self.latest.get(channel).is_some_and(|own| own.is_asked);
            self.latest.insert(channel.to_owned(), Own { seq, said, is_signed: false, is_asked });
        }
        Value::of(seq, frame, Time(0))
    }

    pub fn all(&self) -> impl Iterator<Item = (&String, Value)> {
        self.latest.iter().map(|(name, own)| (name, Value::of(own.seq, own.said.encode(), Time(0))))
    }

    /// The channels that have a value.
    pub fn channels(&self) -> Vec<String> {
        self.latest.keys().cloned().collect()
    }

    /// A channel's value with room for a signature, and its number; `None` where it has one, or one is awaited.
    pub fn unsigned(&self, channel: &str) -> Option<(u64, Frame)> {
        let own = self.latest.get(channel).filter(|own| !own.is_signed && !own.is_asked)?;
        Some((own.seq, own.said.clone().with_signature(Signature([0; Signature::LENGTH]))))
    }

    /// A signature is awaited.
    pub fn asked(&mut self, channel: &str) {
        self.latest.get_mut(channel).into_iter().for_each(|own| own.is_asked = true);
    }

    /// The signature of a value came. Gives the value with it, unless there is a newer one.
    pub fn signed(&mut self, channel: &str, seq: u64, signature: Signature) -> Option<Value> {
        let own = self.latest.get_mut(channel)?;
        own.is_asked = false;
        if own.seq != seq {
            return None;
        }
        own.said = own.said.clone().with_signature(signature);
        own.is_signed = true;
        Some(Value::of(seq, own.said.encode(), Time(0)))
    }
}

/// A value on its way over one link.
#[derive(Clone, Debug)]
pub(super) struct Value {
    seq: u64,
    frame: Bytes,
    /// When it is to be sent (again).
    due: Time,
    /// How often it was sent over this link.
    tries: u32,
}

impl Value {
    /// A value that is to be sent at a time.
    pub fn of(seq: u64, frame: Bytes, due: Time) -> Value {
        Value { seq, frame, due, tries: 0 }
    }
}

/// Towards one peer.
#[derive(Debug, Default)]
pub(super) struct LossyFlow {
    /// The newest value of each member's channels that the peer has not seen, as far as is known.
    unseen: BTreeMap<(MemberId, String), Value>,
    /// When the first of them is due: that is asked for at every turn.
    due: Option<Time>,
    queue: Vec<Bytes>,
    queued: usize,
    /// Bytes in the lossy lane's send buffer.
    pub buffered: usize,
}

impl LossyFlow {
    /// A new link: whatever was under way is sent again.
    pub fn link_up(&mut self) {
        self.buffered = 0;
        self.queue.clear();
        self.queued = 0;
        for value in self.unseen.values_mut() {
            (value.due, value.tries) = (Time(0), 0);
        }
        self.look();
    }

    fn look(&mut self) {
        self.due = self.unseen.values().map(|value| value.due).min();
    }

    /// Supersedes a channel's value; with itself where it has a signature now, which makes it longer.
    pub fn publish(&mut self, origin: MemberId, channel: &str, value: Value) {
        let key = (origin, channel.to_owned());
        if self.unseen.get(&key).is_some_and(|old| (old.seq, old.frame.len()) >= (value.seq, value.frame.len())) {
            return;
        }
        let room = if self.unseen.contains_key(&key) {
            true
        } else {
            let of_origin = self.unseen.range((origin, String::new())..).take_while(|((id, _), _)| *id == origin);
            let (count, oldest) =
                of_origin.fold((0, None), |(count, oldest): (usize, Option<(u64, String)>), ((_, name), value)| {
                    let older = oldest.as_ref().is_none_or(|(seq, _)| value.seq < *seq);
                    (count + 1, if older { Some((value.seq, name.clone())) } else { oldest })
                });
            if let Some((_, oldest)) = oldest.filter(|_| count >= limits::LATEST_CHANNELS) {
                self.unseen.remove(&(origin, oldest));
            }
            self.unseen.len() < limits::LATEST_UNSEEN
        };
        if room {
            self.unseen.insert(key, value);
        }
        self.look();
    }

    /// The peer has a value, or a newer one.
    pub fn acknowledged(&mut self, origin: MemberId, channel: &str, seq: u64) {
        let key = (origin, channel.to_owned());
        if self.unseen.get(&key).is_some_and(|value| value.seq <= seq) {
            self.unseen.remove(&key);
            self.look();
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
    pub fn resend_at(&self) -> Option<Time> {
        self.due.filter(|_| self.buffered < limits::LOSSY_PAUSE)
    }

    /// Builds the next packet for the lossy lane.
    pub fn next_packet(&mut self, rtt: Option<Micros>, now: Time) -> Option<Bytes> {
        if self.queue.is_empty()
            && self.resend_at().is_some_and(|due| due <= now)
            && let Some(value) = self.unseen.values_mut().find(|value| value.due <= now)
        {
            value.due = now + resend_after(rtt, value.tries);
            value.tries += 1;
            self.queued += value.frame.len();
            self.queue.push(value.frame.clone());
            self.look();
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
}

/// What came of one member's lossy channels, over whatever links.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The newest number of each channel, of those used last, and its value where it is for everybody and passed on.
    seen: BTreeMap<String, (u64, Option<Bytes>)>,
    /// The highest number that was forgotten of the others: nothing up to it is news.
    forgotten: u64,
    /// The highest number of its datagrams, and which of the 64 before it came.
    datagram: u64,
    datagrams: u64,
    /// Bytes of lossy messages that the application has not consumed.
    held: u64,
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// It is news.
    Fresh,
    /// It is not.
    Again,
    /// The application has not taken enough of the earlier ones.
    Refused,
}

impl Heard {
    /// A `latest` value came.
    pub fn value(&mut self, channel: &str, seq: u64, length: usize) -> Came {
        if !self.is_news(channel, seq) {
            return Came::Again;
        }
        if !self.hold(length) {
            return Came::Refused;
        }
        if !self.seen.contains_key(channel) && self.seen.len() >= limits::LATEST_CHANNELS {
            self.forget_oldest();
        }
        self.seen.insert(channel.to_owned(), (seq, None));
        Came::Fresh
    }

    /// Whether a value is newer than the last.
    pub fn is_news(&self, channel: &str, seq: u64) -> bool {
        seq > self.seen.get(channel).map_or(self.forgotten, |(seen, _)| *seen)
    }

    /// Whether a value is the last, and is not kept to be passed on.
    pub fn lacks(&self, channel: &str, seq: u64) -> bool {
        self.seen.get(channel).is_some_and(|(seen, kept)| *seen == seq && kept.is_none())
    }

    /// Keeps a value's frame for those who come later.
    pub fn keep(&mut self, channel: &str, frame: Bytes) {
        if let Some((_, kept)) = self.seen.get_mut(channel) {
            *kept = Some(frame);
        }
    }

    /// The values that are kept.
    pub fn kept(&self) -> impl Iterator<Item = (&String, u64, &Bytes)> {
        self.seen.iter().filter_map(|(name, (seq, frame))| Some((name, *seq, frame.as_ref()?)))
    }

    /// Whether a datagram has not come yet, as far as that is remembered.
    pub fn is_new_datagram(&self, seq: u64) -> bool {
        seq > self.datagram || bit(self.datagram - seq) & !self.datagrams != 0
    }

    /// A datagram came: whether for the first time, as far as that is remembered, and there is room for it.
    pub fn datagram(&mut self, seq: u64, length: usize) -> bool {
        if !self.is_new_datagram(seq) {
            return false;
        }
        if seq > self.datagram {
            self.datagrams =
                self.datagrams.checked_shl(u32::try_from(seq - self.datagram).unwrap_or(u32::MAX)).unwrap_or(0);
            self.datagram = seq;
        }
        self.datagrams |= bit(self.datagram - seq);
        self.hold(length)
    }

    /// What is remembered of a member that goes: so much that nothing old is news where it comes back.
    pub fn remembered(mut self) -> Heard {
        self.seen.values_mut().for_each(|(_, kept)| *kept = None);
        self.held = 0;
        self
    }

    fn forget_oldest(&mut self) {
        let oldest = self.seen.iter().min_by_key(|(_, (seq, _))| *seq).map(|(name, (seq, _))| (name.clone(), *seq));
        if let Some((name, seq)) = oldest {
            self.seen.remove(&name);
            self.forgotten = self.forgotten.max(seq);
        }
    }

    /// Makes room for a message; false where the application has not taken enough of the earlier ones.
    fn hold(&mut self, length: usize) -> bool {
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

/// The mark of a datagram so far before the newest one; none where that is too far.
fn bit(back: u64) -> u64 {
    1_u64.checked_shl(u32::try_from(back).unwrap_or(u32::MAX)).unwrap_or(0)
}

/// How long a value that was sent so often before waits until it is sent again: twice as long each time, so that a link that
/// is too slow for what is said is not filled with what was said before.
fn resend_after(rtt: Option<Micros>, tries: u32) -> Micros {
    let first = rtt.map_or(limits::LATEST_RESEND, |rtt| rtt.times(2).max(limits::LATEST_RESEND));
    let most = first.max(limits::LATEST_RESEND_MAX);
    Micros((first.0 << tries.min(16)).min(most.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_comes_once_in_any_order() {
        let mut heard = Heard::default();
        let came: Vec<bool> = [5, 4, 5, 9, 4, 7, 100, 100, 37, 36, 35].map(|seq| heard.datagram(seq, 0)).into();
        assert_eq!(came, [true, true, false, true, false, true, true, false, true, false, false]);
    }
}
