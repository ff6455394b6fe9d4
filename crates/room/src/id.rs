//! Who and where: member ids, session secrets, room names.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};

use crate::limits;

/// A text that is no identity of the wanted kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Not the right number of lower-case hex digits.
    #[error("not {0} lower-case hex digits")]
    Hex(usize),
    /// Not a room's name.
    #[error(
        "a room's name has 1 to {} letters, digits, dots, dashes or underscores and starts with a letter or digit",
        limits::ROOM_NAME_MAX
    )]
    RoomName,
    /// A word that the server keeps for itself.
    #[error("this name is reserved")]
    Reserved,
}

/// One session of a member: 8 bytes, written as 16 lower-case hex digits.
///
/// It is the hash of the session's [`Secret`], so that any hub can check a member's claim to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub [u8; 8]);

impl MemberId {
    /// The id as a number, for seeding and sampling.
    pub fn to_u64(self) -> u64 {
        u64::from_be_bytes(self.0)
    }
}

impl From<u64> for MemberId {
    fn from(number: u64) -> Self {
        MemberId(number.to_be_bytes())
    }
}

/// What only the member and its hubs know of a session: 16 random bytes. Never logged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

impl Secret {
    /// The id that this secret proves.
    pub fn member_id(&self) -> MemberId {
        let hash = Sha256::digest(self.0);
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        MemberId(id)
    }
}

/// A session's public Ed25519 key (RFC 8032): what the member says can be told from what others invent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub [u8; 32]);

/// An Ed25519 signature (RFC 8032).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl Signature {
    /// Its length in bytes.
    pub const LENGTH: usize = 64;
}

/// What stands for a chunk where it is signed: the first 16 bytes of the SHA-256 of its frame. Whoever passes a chunk on
/// would have to find another one with the same digest, which takes 2^128 tries; that its origin could find two with
/// 2^64 gives it nothing that saying two things does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// Its length in bytes.
    pub const LENGTH: usize = 16;

    /// The digest of a frame.
    pub fn of(frame: &[u8]) -> Digest {
        let hash = Sha256::digest(frame);
        let mut digest = [0; Digest::LENGTH];
        digest.copy_from_slice(&hash[..Digest::LENGTH]);
        Digest(digest)
    }
}

/// A room's name, as it stands in its address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RoomName(String);

/// Words that no room can have as its name.
pub const RESERVED: [&str; 9] =
    ["sdk", "app", "api", "metrics", "healthz", "deepstream", "deepstream-v3", "whip", "whep"];

impl RoomName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoomName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !starts_well || text.len() > limits::ROOM_NAME_MAX || !text.bytes().all(allowed) {
            return Err(IdError::RoomName);
        }
        if RESERVED.contains(&text) {
            return Err(IdError::Reserved);
        }
        Ok(RoomName(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for RoomName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads exactly `N` bytes written as lower-case hex digits.
fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return Err(IdError::Hex(2 * N));
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        match (digit(*high), digit(*low)) {
            (Some(high), Some(low)) => *byte = high << 4 | low,
            _ => return Err(IdError::Hex(2 * N)),
        }
    }
    Ok(bytes)
}

/// Text form of a fixed number of bytes: `Display`, `FromStr` and serde as lower-case hex.
macro_rules! hex_text {
    ($name:ident) => {
        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                from_hex(text).map($name)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut text = String::with_capacity(2 * self.0.len());
                push_hex(&mut text, &self.0);
                serializer.serialize_str(&text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

hex_text!(MemberId);
hex_text!(Secret);
hex_text!(Key);
hex_text!(Signature);
hex_text!(Digest);

/// Appends bytes as lower-case hex digits.
pub(crate) fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.to_u64())
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(…)")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_the_hash_of_the_secret() {
        let id = Secret([0; 16]).member_id();
        assert_eq!(id.to_string(), "374708fff7719dd5");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn hex_is_strict() {
        for text in
            ["", "374708fff7719dd", "374708fff7719dd5a", "374708FFF7719DD5", "374708fff7719dg5", "ä74708fff7719d"]
        {
            assert_eq!(text.parse::<MemberId>(), Err(IdError::Hex(16)), "{text}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", Secret([7; 16])), "Secret(…)");
    }

    #[test]
    fn room_names_are_path_segments() {
        for text in ["standup", "a", "Team-1_x.y", "9"] {
            assert_eq!(text.parse::<RoomName>().map(|n| n.to_string()), Ok(text.to_owned()));
        }
        for text in ["", ".", "-a", "a/b", "a b", "ä", "a%20", &"a".repeat(65)] {
            assert_eq!(text.parse::<RoomName>(), Err(IdError::RoomName), "{text}");
        }
        assert_eq!("sdk".parse::<RoomName>(), Err(IdError::Reserved));
    }
}
