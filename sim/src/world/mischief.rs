//! What a member does that does not pass on what it was given: its machine is an honest one, and this is its edge.

use bytes::{Bytes, BytesMut};
use room::{
    id::{Digest, MemberId, Signature},
    wire::frame::{Data, Frame, PacketReader, Signed, push_frame},
};

use super::World;
use crate::scenario::Mischief;

/// The one who makes mischief, where there is one.
pub(super) const ADVERSARY: usize = 1;

impl World {
    /// Whether an actor is not to be trusted, and so is promised nothing.
    pub(super) fn is_adversary(&self, actor: usize) -> bool {
        actor == ADVERSARY && self.mischief.is_some()
    }

    /// What leaves an actor in the place of a packet.
    pub(super) fn garbled(&mut self, actor: usize, packet: Bytes) -> Bytes {
        let Some(mischief) = self.mischief.filter(|_| actor == ADVERSARY) else { return packet };
        let this = self.actors[actor].id;
        let Ok(reader) = PacketReader::new(packet.clone()) else { return packet };
        let mut frames: Vec<Bytes> = Vec::new();
        for bytes in reader.raw().map_while(Result::ok) {
            let frame = Frame::decode(bytes.clone()).ok().filter(|frame| origin(frame).is_some_and(|of| of != this));
            match frame {
                Some(frame) if self.now < self.end && self.dice.chance(0.3) => {
                    self.garble(mischief, frame, bytes, &mut frames);
                }
                _ => frames.push(bytes),
            }
        }
        let mut garbled = BytesMut::new();
        frames.iter().for_each(|frame| push_frame(&mut garbled, frame));
        garbled.freeze()
    }

    /// An application hears that somebody forged: nobody but the adversary is to be named, unless by the adversary.
    pub(super) fn forgery_heard(&mut self, actor: usize, peer: MemberId) {
        let named = self.numbers[&peer];
        if !self.is_adversary(actor) {
            *self.checks.named.entry(named).or_default() += 1;
            if !self.is_adversary(named) {
                self.checks.violation(self.now, format!("{actor} is told that {named} forged, and it did not"));
            }
        }
    }

    fn garble(&mut self, mischief: Mischief, frame: Frame, bytes: Bytes, frames: &mut Vec<Bytes>) {
        match mischief {
            Mischief::Alter => frames.push(altered(frame).encode()),
            Mischief::Invent => {
                let (invented, signature) = (altered(frame), Signature(self.dice.bytes()));
                if let Frame::Data(data) = &invented {
                    let digests = vec![Digest::of(&data.encode())];
                    let signed = Signed { stream: data.stream, first: data.seq, digests, signature };
                    frames.push(Frame::Signed(signed).encode());
                }
                frames.push(invented.with_signature(signature).encode());
            }
            Mischief::Impersonate => {
                frames.push(bytes);
                frames.push(by_nobody(frame, MemberId(self.dice.bytes())).encode());
            }
            Mischief::Drop => {}
            Mischief::Replay => {
                frames.push(bytes.clone());
                frames.push(bytes);
            }
            Mischief::Reorder => {
                let before = frames.len().saturating_sub(1);
                frames.insert(before, bytes);
            }
        }
    }
}

/// Whose words a frame carries, where it carries any.
fn origin(frame: &Frame) -> Option<MemberId> {
    match frame {
        Frame::Data(Data { stream, .. }) | Frame::Latest { stream, .. } | Frame::Datagram { stream, .. } => {
            Some(stream.origin)
        }
        _ => None,
    }
}

/// The same with other words in it.
fn altered(mut frame: Frame) -> Frame {
    if let Frame::Data(Data { payload, .. }) | Frame::Latest { payload, .. } | Frame::Datagram { payload, .. } =
        &mut frame
    {
        let mut words = payload.to_vec();
        match words.last_mut() {
            Some(last) => *last ^= 1,
            None => words.push(7),
        }
        *payload = words.into();
    }
    frame
}

/// The same, as if somebody had said it who is not there.
fn by_nobody(mut frame: Frame, nobody: MemberId) -> Frame {
    if let Frame::Data(Data { stream, seq, .. })
    | Frame::Latest { stream, seq, .. }
    | Frame::Datagram { stream, seq, .. } = &mut frame
    {
        (stream.origin, *seq) = (nobody, 1);
    }
    frame
}
