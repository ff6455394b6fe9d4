//! What it costs that members sign what others pass on, and verify it: the digests of chunks, the text, the signature, on
//! both sides. Without links, and without anything else that a member does for a message.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use bytes::Bytes;
use room::{
    id::{Digest, MemberId, Signature},
    limits,
    wire::frame::{Data, Frame, Head, Kind, Signed, Stream, signed_text},
};
use serde::Serialize;

use crate::forward::processor_ns;

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Messages for each signature, at most [`limits::SIGNED_CHUNKS`].
    pub batch: usize,
    /// Bytes in a message, in one chunk.
    pub bytes: usize,
    /// Messages in all.
    pub messages: usize,
}

/// What it cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// Messages for each signature.
    pub batch: usize,
    /// Bytes in a message.
    pub bytes: usize,
    /// Microseconds of a processor for each message at its origin.
    pub sign_us: f64,
    /// The same at each member that hears or passes it on.
    pub verify_us: f64,
    /// Bytes on a link for each message, of the frame that carries the signature.
    pub wire_bytes: f64,
}

/// Signs messages of a room and verifies them.
///
/// # Panics
/// Where a signature does not hold.
pub fn run(options: &Options) -> Figures {
    let Options { bytes, messages, .. } = *options;
    let batch = options.batch.clamp(1, limits::SIGNED_CHUNKS);
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("any 32 bytes are a seed");
    let key = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref().to_vec());
    let stream = Stream::room(MemberId::from(1));
    let frames: Vec<Bytes> = (1..=messages as u64).map(|seq| chunk(stream, seq, bytes)).collect();

    let started = processor_ns();
    let signed: Vec<Bytes> = frames
        .chunks(batch)
        .zip((1..).step_by(batch))
        .map(|(frames, first)| {
            let digests = frames.iter().map(|frame| Digest::of(frame)).collect();
            let blank = Signed { stream, first, digests, signature: Signature([0; Signature::LENGTH]) };
            let text = signed_text(ROOM, &Frame::Signed(blank.clone()).encode());
            let signature = pair.sign(&text).as_ref().try_into().expect("a signature has 64 bytes");
            Frame::Signed(Signed { signature: Signature(signature), ..blank }).encode()
        })
        .collect();
    let sign_ns = processor_ns() - started;

    let started = processor_ns();
    for (frames, bytes) in frames.chunks(batch).zip(&signed) {
        let Ok(Frame::Signed(signed)) = Frame::decode(bytes.clone()) else { panic!("it is a frame SIGNED") };
        key.verify(&signed_text(ROOM, bytes), &signed.signature.0).expect("the signature holds");
        assert!(frames.iter().zip(&signed.digests).all(|(frame, digest)| Digest::of(frame) == *digest));
    }
    let verify_ns = processor_ns() - started;

    let per_message = |ns: f64| ns / 1e3 / messages as f64;
    let wire_bytes = signed.iter().map(Bytes::len).sum::<usize>() as f64 / messages as f64;
    Figures { batch, bytes, sign_us: per_message(sign_ns), verify_us: per_message(verify_ns), wire_bytes }
}

/// The room's name, which is signed too.
const ROOM: &str = "standup";

fn chunk(stream: Stream, seq: u64, bytes: usize) -> Bytes {
    let head = Some(Head { kind: Kind::Message, channel: "chat".to_owned() });
    Data { stream, seq, head, last: true, payload: vec![7; bytes.min(limits::CHUNK)].into() }.encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_of_many_cost_each_less() {
        let [alone, together] =
            [1, limits::SIGNED_CHUNKS].map(|batch| run(&Options { batch, bytes: 64, messages: 320 }));
        assert!(
            together.sign_us + together.verify_us < (alone.sign_us + alone.verify_us) / 4.0,
            "{alone:?} {together:?}"
        );
        assert!(together.wire_bytes < 24.0 && alone.wire_bytes > 80.0, "{alone:?} {together:?}");
    }
}
