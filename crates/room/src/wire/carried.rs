//! What a hub carries from one member to another whom no connection joins: binary messages on their WebSockets.
//!
//! A message begins with a member id (to the hub: whom it is for; from the hub: whom it is from) and the number of the
//! carriage that the two have agreed on. The hub reads no further.

use bytes::{BufMut, Bytes, BytesMut};

use super::frame::{FrameError, put_varint, split_varint};
use crate::{id::MemberId, limits};

/// A carried message as its ends see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The other end.
    pub peer: MemberId,
    /// Which carriage of the pair.
    pub episode: u32,
    /// What is carried.
    pub freight: Freight,
}

/// What is carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Freight {
    /// A packet of the reliable lane, at most [`limits::PACKET_MAX`] bytes.
    Reliable(Bytes),
    /// A packet of the lossy lane, at most [`limits::PACKET_MAX`] bytes.
    Lossy(Bytes),
    /// Bytes of packets that came over this carriage so far.
    Taken {
        /// On the reliable lane.
        reliable: u64,
        /// On the lossy lane.
        lossy: u64,
    },
}

/// The part of a carried message that a hub reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The other end.
    pub peer: MemberId,
    /// Which carriage of the pair.
    pub episode: u32,
    /// All that follows the id, the number of the carriage included.
    pub rest: Bytes,
}

impl Carried {
    /// The message.
    pub fn encode(&self) -> Bytes {
        let packet = match &self.freight {
            Freight::Reliable(bytes) | Freight::Lossy(bytes) => bytes.len(),
            Freight::Taken { .. } => 16,
        };
        let mut out = BytesMut::with_capacity(limits::CARRIED_HEAD + packet);
        out.put_slice(&self.peer.0);
        put_varint(&mut out, u64::from(self.episode));
        match &self.freight {
            Freight::Reliable(bytes) => {
                out.put_u8(RELIABLE);
                out.put_slice(bytes);
            }
            Freight::Lossy(bytes) => {
                out.put_u8(LOSSY);
                out.put_slice(bytes);
            }
            Freight::Taken { reliable, lossy } => {
                out.put_u8(TAKEN);
                put_varint(&mut out, *reliable);
                put_varint(&mut out, *lossy);
            }
        }
        out.freeze()
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Where it is no carried message, or beyond [`limits::CARRIED_MAX`].
    pub fn decode(message: Bytes) -> Result<Carried, FrameError> {
        let Address { peer, episode, rest } = Address::read(message)?;
        let (_, mut rest) = split_varint(rest)?;
        if rest.is_empty() {
            return Err(FrameError::Truncated);
        }
        let kind = rest.split_to(1)[0];
        let freight = match kind {
            RELIABLE | LOSSY if rest.len() > limits::PACKET_MAX => return Err(FrameError::TooLarge),
            RELIABLE => Freight::Reliable(rest),
            LOSSY => Freight::Lossy(rest),
            TAKEN => {
                let (reliable, rest) = split_varint(rest)?;
                let (lossy, rest) = split_varint(rest)?;
                if !rest.is_empty() {
                    return Err(FrameError::Leftover);
                }
                Freight::Taken { reliable, lossy }
            }
            kind => return Err(FrameError::Type(kind)),
        };
        Ok(Carried { peer, episode, freight })
    }
}

impl Address {
    /// Reads where a message goes, or comes from, and nothing else.
    ///
    /// # Errors
    /// Where that cannot be read, or the message is beyond [`limits::CARRIED_MAX`].
    pub fn read(mut message: Bytes) -> Result<Address, FrameError> {
        if message.len() > limits::CARRIED_MAX {
            return Err(FrameError::TooLarge);
        }
        if message.len() < ID_BYTES {
            return Err(FrameError::Truncated);
        }
        let id = message.split_to(ID_BYTES);
        let peer = MemberId(id[..].try_into().expect("8 bytes were taken"));
        let (episode, _) = split_varint(message.clone())?;
        let episode = u32::try_from(episode).map_err(|_| FrameError::Number)?;
        Ok(Address { peer, episode, rest: message })
    }
}

const ID_BYTES: usize = 8;
const RELIABLE: u8 = 0;
const LOSSY: u8 = 1;
const TAKEN: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(freight: Freight) -> Carried {
        Carried { peer: MemberId([7; 8]), episode: 300, freight }
    }

    #[test]
    fn messages_are_read_back_and_a_hub_can_readdress_them() {
        for freight in [
            Freight::Reliable(Bytes::from_static(b"abc")),
            Freight::Lossy(Bytes::new()),
            Freight::Reliable(Bytes::from(vec![1; limits::PACKET_MAX])),
            Freight::Taken { reliable: 1 << 40, lossy: 0 },
        ] {
            let sent = message(freight);
            let bytes = sent.encode();
            assert!(bytes.len() <= limits::CARRIED_MAX);
            assert_eq!(Carried::decode(bytes.clone()), Ok(sent.clone()));
            let Address { peer, episode, rest } = Address::read(bytes).expect("it was just made");
            assert_eq!((peer, episode), (sent.peer, sent.episode));
            let from = MemberId([9; 8]);
            let passed_on = Bytes::from([&from.0[..], &rest].concat());
            assert_eq!(Carried::decode(passed_on), Ok(Carried { peer: from, ..sent }));
        }
    }

    #[test]
    fn what_is_no_carried_message_is_refused() {
        let good = message(Freight::Taken { reliable: 5, lossy: 6 }).encode();
        for length in 0..good.len() {
            assert!(Carried::decode(good.slice(..length)).is_err(), "{length}");
        }
        let of = |parts: &[&[u8]]| Carried::decode(Bytes::from(parts.concat()));
        assert_eq!(of(&[&good, &[0]]), Err(FrameError::Leftover));
        assert_eq!(of(&[&[7; 8], &[1, 3]]), Err(FrameError::Type(3)));
        assert_eq!(of(&[&[7; 8], &[0xff, 0xff, 0xff, 0xff, 0x7f, 0]]), Err(FrameError::Number));
        assert_eq!(of(&[&[7; 8], &[0x80, 0, 0]]), Err(FrameError::Number));
        assert_eq!(of(&[&[7; 8], &[1, 0], &vec![0; limits::PACKET_MAX + 1]]), Err(FrameError::TooLarge));
        assert_eq!(of(&[&vec![0; limits::CARRIED_MAX + 1]]), Err(FrameError::TooLarge));
    }
}
