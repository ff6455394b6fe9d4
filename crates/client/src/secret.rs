//! A room's secret, as it stands in the room's address: `https://host/standup#key=…`.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};

/// What an address's fragment begins with where it carries a key.
const PREFIX: &str = "key=";

/// The secret of a room: 32 random bytes, written as 43 letters, digits, `-` and `_` (base64url, RFC 4648, 5).
///
/// Members that have it read each other; the server, members that pass on, and whoever else is in the room do not. It
/// travels from person to person in the fragment of the room's address, which is never sent to a server.
///
/// ```
/// let key = roomful::RoomKey::random()?;
/// let address = format!("https://example.org/standup#{}", key.fragment());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RoomKey([u8; 32]);

/// Text that is no room's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a room's key is 43 letters, digits, - and _")]
pub struct RoomKeyError;

impl RoomKey {
    /// A new key.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn random() -> std::io::Result<RoomKey> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(RoomKey(bytes))
    }

    /// `key=…`, to be put behind the `#` of an address. It is the secret itself: nothing for logs.
    pub fn fragment(&self) -> String {
        format!("{PREFIX}{}", BASE64URL.encode(self.0))
    }

    /// The key in a fragment; `None` where the fragment speaks of something else.
    pub(crate) fn of_fragment(fragment: &str) -> Result<Option<RoomKey>, RoomKeyError> {
        if let Some(key) = fragment.strip_prefix(PREFIX) {
            return key.parse().map(Some);
        }
        // What was meant to be a key and was changed on its way, as by a program that escapes the `=`: to enter without
        // it would be to speak in the clear where nobody expects that.
        let lower = fragment.to_ascii_lowercase();
        let is_key = |part: &str| part.starts_with(PREFIX) || part.starts_with("key%3d");
        if lower.split(['&', ';', '?', '/']).any(is_key) { Err(RoomKeyError) } else { Ok(None) }
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for RoomKey {
    type Err = RoomKeyError;

    fn from_str(text: &str) -> Result<RoomKey, RoomKeyError> {
        let bytes = BASE64URL.decode(text).map_err(|_| RoomKeyError)?;
        bytes.try_into().map(RoomKey).map_err(|_| RoomKeyError)
    }
}

impl fmt::Debug for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let key: RoomKey = KEY.parse().expect("a key");
        assert_eq!(key.bytes()[..4], [0, 1, 2, 3]);
        assert_eq!(key.fragment(), format!("key={KEY}"));
        assert_eq!(RoomKey::of_fragment(&key.fragment()), Ok(Some(key.clone())));
        assert!(!format!("{key:?}").contains(KEY));
        assert_ne!(RoomKey::random().expect("randomness"), RoomKey::random().expect("randomness"));
    }

    #[test]
    fn what_was_meant_to_be_a_key_is_never_passed_over() {
        let long = format!("{KEY}A");
        // The last letter of the third has bits that belong to no byte.
        for wrong in ["", &KEY[1..], &format!("{}9", &KEY[..42]), &long, &KEY.replace('A', "+"), "AAEC"] {
            assert_eq!(RoomKey::of_fragment(&format!("key={wrong}")), Err(RoomKeyError), "{wrong}");
        }
        for wrong in [format!("KEY={KEY}"), format!("key%3D{KEY}"), format!("a=b&key={KEY}")] {
            assert_eq!(RoomKey::of_fragment(&wrong), Err(RoomKeyError), "{wrong}");
        }
        for other in ["", "people", "monkey=1"] {
            assert_eq!(RoomKey::of_fragment(other), Ok(None), "{other}");
        }
    }
}
