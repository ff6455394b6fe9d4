//! What a member does that does not pass on what it was given: its machine is an honest one, and this is its edge.

use bytes::{Bytes, BytesMut};
use room::{
    id::{Digest, MemberId, Signature},
    member::Lane,
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
    pub(super) fn garbled(&mut self, actor: usize, lane: Lane, packet: Bytes) -> Bytes {
        let Some(mischief) = self.mischief.filter(|_| actor == ADVERSARY && lane == Lane::Reliable) else {
            return packet;
        };
        let this = self.actors[actor].id;
        let Ok(reader) = PacketReader::new(packet.clone()) else { return packet };
        let mut frames: Vec<Bytes> = Vec::new();
        for frame in reader.raw().map_while(Result::ok) {
            match Frame::decode(frame.clone()) {
                Ok(Frame::Data(data)) if data.stream.origin != this && self.now < self.end && self.dice.chance(0.3) => {
                    self.garble(mischief, &data, frame, &mut frames);
                }
                _ => frames.push(frame),
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

    fn garble(&mut self, mischief: Mischief, data: &Data, frame: Bytes, frames: &mut Vec<Bytes>) {
        match mischief {
            Mischief::Alter => frames.push(altered(data)),
            Mischief::Invent => {
                let invented = altered(data);
                let digests = vec![Digest::of(&invented)];
                let signature = Signature(self.dice.bytes());
                let signed = Signed { stream: data.stream, first: data.seq, digests, signature };
                frames.push(Frame::Signed(signed).encode());
                frames.push(invented);
            }
            Mischief::Impersonate => {
                let stream = room::wire::frame::Stream { origin: MemberId(self.dice.bytes()), ..data.stream };
                frames.push(frame);
                frames.push(Data { stream, seq: 1, ..data.clone() }.encode());
            }
            Mischief::Drop => {}
            Mischief::Replay => {
                frames.push(frame.clone());
                frames.push(frame);
            }
            Mischief::Reorder => {
                let before = frames.len().saturating_sub(1);
                frames.insert(before, frame);
            }
        }
    }
}

/// The same chunk with other words in it.
fn altered(data: &Data) -> Bytes {
    let mut payload = data.payload.to_vec();
    match payload.last_mut() {
        Some(last) => *last ^= 1,
        None => payload.push(7),
    }
    Data { payload: payload.into(), ..data.clone() }.encode()
}
