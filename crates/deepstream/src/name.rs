//! Names: of events, records, calls, users; and the regular expressions that listeners give.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

use crate::limits;

/// The name of something, shared by all who hold it: 1 to [`limits::NAME_MAX`] bytes without control characters. The
/// text protocol separates by control characters and has no escapes, so that a name with one in it would forge
/// messages.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// A text that is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {} bytes and no control characters", limits::NAME_MAX)]
pub struct NameError;

impl Name {
    /// The name with this text.
    ///
    /// # Errors
    /// Where it is empty, too long, or has control characters.
    pub fn new(text: &str) -> Result<Name, NameError> {
        let fits = !text.is_empty() && text.len() <= limits::NAME_MAX;
        // All control characters below 0x80 are single bytes; the others (C1) mean nothing to anybody.
        let is_clean = !text.bytes().any(|byte| byte.is_ascii_control());
        if fits && is_clean { Ok(Name(text.into())) } else { Err(NameError) }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl TryFrom<&str> for Name {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Name, NameError> {
        Name::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_in_no_name() {
        for text in ["", "a\u{1f}b", "a\u{1e}", "\n", "\u{7f}", &"x".repeat(limits::NAME_MAX + 1)] {
            assert_eq!(Name::new(text), Err(NameError), "{text:?}");
        }
        for text in ["a", "rtc-signal/k3x9-2b", "ü ☃", "^rooms/.*$", &"x".repeat(limits::NAME_MAX)] {
            assert_eq!(Name::new(text).unwrap().as_str(), text);
        }
    }
}
