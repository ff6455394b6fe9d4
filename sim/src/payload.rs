//! What applications send: a number, and a pattern from which every lost, doubled or foreign byte shows.

use bytes::{BufMut, Bytes, BytesMut};
use room::wire::frame::{put_varint, split_varint};

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
    payload.extend((0..rest).map(|place| pattern(number, place)));
    payload.freeze()
}

/// What a payload says.
pub(crate) fn read(payload: &Bytes) -> Content {
    match split_varint(payload.clone()) {
        Ok((number, rest)) if rest.iter().enumerate().all(|(place, byte)| *byte == pattern(number, place)) => {
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

fn pattern(number: u64, place: usize) -> u8 {
    ((place as u64).wrapping_mul(0x9e37) >> 7 ^ number.wrapping_mul(31)) as u8
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
        assert_eq!(read(&Bytes::new()), Content::Torn);
    }
}
