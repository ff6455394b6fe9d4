//! What applications send: a number, and a pattern from which every lost, doubled or foreign byte shows.
//!
//! Long ones have runs of equal bytes, so that they are short in traces; the pattern differs with the length, too.

use bytes::{BufMut, Bytes, BytesMut};
use room::wire::frame::{put_varint, split_varint};

/// From here on bytes come in runs.
const FINE: usize = 256;
/// Their length.
const RUN: usize = 64;

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The number, and every byte behind it as it was sent.
    Whole(u64),
    /// Something else.
    Torn,
}

/// A payload of so many bytes, or a few more where the number needs them.
pub(crate) fn make(number: u64, bytes: usize) -> Bytes {
    let mut payload = BytesMut::with_capacity(bytes.max(8));
    put_varint(&mut payload, number);
    let rest = bytes.saturating_sub(payload.len());
    payload.extend((0..rest).map(|place| pattern(number, rest, place)));
    payload.freeze()
}

/// What a payload says.
pub(crate) fn read(payload: &Bytes) -> Content {
    match split_varint(payload.clone()) {
        Ok((number, rest)) if (0..).zip(&rest).all(|(place, byte)| *byte == pattern(number, rest.len(), place)) => {
            Content::Whole(number)
        }
        _ => Content::Torn,
    }
}

/// A payload turned around: what a call is answered with.
pub(crate) fn turned(payload: &Bytes) -> Bytes {
    let mut turned = BytesMut::with_capacity(payload.len());
    payload.iter().rev().for_each(|byte| turned.put_u8(*byte));
    turned.freeze()
}

fn pattern(number: u64, length: usize, place: usize) -> u8 {
    let scatter = |number: u64| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
    let step = if place < FINE { place } else { FINE + place / RUN };
    scatter(step as u64) ^ scatter(number.rotate_left(32) ^ length as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts() {
        for bytes in [0, 1, 2, 300, 20_000] {
            let payload = make(300, bytes);
            assert_eq!(payload.len(), bytes.max(2));
            assert_eq!(read(&payload), Content::Whole(300));
            assert_eq!(turned(&turned(&payload)), payload);
        }
        let mut torn = make(7, 40_000).to_vec();
        torn.drain(16_000..32_000);
        assert_eq!(read(&Bytes::from(torn)), Content::Torn);
        let whole = make(7, 40_000);
        for length in [20, 39_999, 20_000, 40_000 - (1 << 14), 40_000 - (1 << 15)] {
            assert_eq!(read(&whole.slice(..length)), Content::Torn, "{length}");
        }
        assert_eq!(read(&Bytes::new()), Content::Torn);
    }
}
