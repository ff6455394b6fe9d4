//! What runs on each member: our courier, or what it is compared with.

use bytes::Bytes;
use room::{
    courier::{self, Courier, LinkUp},
    id::MemberId,
    time::{Micros, Time},
    wire::frame::{Head, Kind, split_varint},
};

/// What came out of a member for its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A message came, over so many links.
    Message { origin: MemberId, seq: u64, hop: u8 },
    /// Messages will not come; both ends included.
    Gap { origin: MemberId, from: u64, to: u64 },
}

/// A member's part of the plan.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) epoch: u64,
    /// Whether members pass on what others say.
    pub(super) relayed: bool,
    /// The other ends of its tree links.
    pub(super) eager: Box<[MemberId]>,
}

/// A way to get messages to all members, as one member plays it.
pub(super) trait Protocol: Sized {
    /// What it says on a link.
    type Frame;
    /// Whether messages come in their origin's order.
    const ORDERED: bool;

    /// A member that enters. A `resident` was there before anybody said anything.
    fn new(this: MemberId, now: Time, resident: bool) -> Self;
    /// A link opens; a frame takes as long as `way` over it.
    fn link_up(&mut self, now: Time, peer: MemberId, how: LinkUp, way: Micros);
    fn link_down(&mut self, now: Time, peer: MemberId);
    fn suspect(&mut self, _now: Time, _peer: MemberId) {}
    /// A link is to go; whether it is of use still.
    fn drain(&mut self, _now: Time, _peer: MemberId) -> bool {
        false
    }
    fn drain_no_more(&mut self, _peer: MemberId) {}
    fn plan(&mut self, _now: Time, _plan: &Plan) {}
    fn gone(&mut self, _now: Time, _origin: MemberId) {}
    /// The application says something; whether it was taken.
    fn publish(&mut self, now: Time, payload: &Bytes) -> bool;
    /// Something came over a link.
    ///
    /// # Errors
    /// What is wrong with it.
    fn frame(&mut self, now: Time, from: MemberId, frame: Self::Frame) -> Result<(), String>;
    /// Something to be sent.
    fn next_frame(&mut self, now: Time) -> Option<(MemberId, Self::Frame)>;
    fn next_arrival(&mut self, now: Time) -> Option<Arrival>;
    fn poll_timeout(&self) -> Option<Time>;
    fn tick(&mut self, now: Time);

    /// Bytes of a frame.
    fn size(frame: &Self::Frame) -> usize;
    /// The message that a frame carries, by origin and number.
    fn message(frame: &Self::Frame) -> Option<(MemberId, u64)>;
}

/// Ours: the real courier.
#[derive(Debug)]
pub(super) struct Ours {
    courier: Courier,
    /// Whose link is being emptied.
    sending: Option<MemberId>,
    /// Whether anything was taken for it.
    sent: bool,
    head: Head,
}

impl Protocol for Ours {
    type Frame = Bytes;
    const ORDERED: bool = true;

    fn new(this: MemberId, now: Time, resident: bool) -> Ours {
        let mut courier = Courier::new(this, now);
        if resident {
            courier.met_all();
        }
        Ours { courier, sending: None, sent: false, head: Head { kind: Kind::Message, channel: String::new() } }
    }

    fn link_up(&mut self, now: Time, peer: MemberId, how: LinkUp, way: Micros) {
        self.courier.link_up(now, peer, how);
        self.courier.measured(peer, way.times(2));
    }

    fn link_down(&mut self, now: Time, peer: MemberId) {
        self.courier.link_down(now, peer);
    }

    fn suspect(&mut self, now: Time, peer: MemberId) {
        self.courier.suspect(now, peer, true);
    }

    fn drain(&mut self, now: Time, peer: MemberId) -> bool {
        self.courier.drain(now, peer)
    }

    fn drain_no_more(&mut self, peer: MemberId) {
        self.courier.drain_no_more(peer);
    }

    fn plan(&mut self, now: Time, plan: &Plan) {
        let Plan { epoch, relayed, eager } = plan;
        let eager = eager.iter().copied().collect();
        self.courier.plan(now, courier::Plan { epoch: *epoch, relayed: *relayed, eager });
    }

    fn gone(&mut self, now: Time, origin: MemberId) {
        self.courier.gone(now, origin);
    }

    fn publish(&mut self, now: Time, payload: &Bytes) -> bool {
        self.courier.publish(now, &self.head, payload.clone()).is_some()
    }

    fn frame(&mut self, now: Time, from: MemberId, frame: Bytes) -> Result<(), String> {
        self.courier.frame(now, from, frame).map_err(|error| error.to_string())
    }

    fn next_frame(&mut self, now: Time) -> Option<(MemberId, Bytes)> {
        loop {
            let peer = match self.sending {
                Some(peer) => peer,
                None => *self.sending.insert(self.courier.poll_dirty()?),
            };
            if let Some(frame) = self.courier.next_frame(now, peer) {
                self.sent = true;
                return Some((peer, frame));
            }
            self.sending = None;
            // What was taken waits in the member's uplink, not in a buffer of the link.
            if std::mem::take(&mut self.sent) {
                self.courier.buffered(peer, 0);
            }
        }
    }

    fn next_arrival(&mut self, now: Time) -> Option<Arrival> {
        loop {
            match self.courier.poll_event()? {
                courier::Event::Message { origin, seq, hop, payload, .. } => {
                    self.courier.consumed(now, origin, payload.len());
                    return Some(Arrival::Message { origin, seq, hop });
                }
                courier::Event::Gap { origin, from, to, .. } => return Some(Arrival::Gap { origin, from, to }),
                _ => {}
            }
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.courier.poll_timeout()
    }

    fn tick(&mut self, now: Time) {
        self.courier.tick(now);
    }

    fn size(frame: &Bytes) -> usize {
        frame.len()
    }

    fn message(frame: &Bytes) -> Option<(MemberId, u64)> {
        // DATA, to the room: type, flags, origin, number.
        if frame.first() != Some(&2) {
            return None;
        }
        let origin = frame.get(2..10)?.try_into().ok()?;
        let (seq, _) = split_varint(frame.slice(10..)).ok()?;
        Some((MemberId(origin), seq))
    }
}
