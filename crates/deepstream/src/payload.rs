//! Values that pass through: the data of events and calls, and of changes to parts of records.
//!
//! The text protocol writes a value with its type in front (`Shello`, `N5`, `T`, `O{"a":1}`), the protobuf protocol as
//! JSON or not at all. A payload is kept as it came, and turned over only where a client of the other kind wants it.

use std::borrow::Cow;

use crate::json;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// As the text protocol writes it.
    Typed(String),
    /// As the protobuf protocol writes it. `None` is `undefined`.
    Json(Option<String>),
}

/// A text that is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no value of a known type")]
pub(crate) struct PayloadError;

const UNDEFINED: &str = "U";

impl Payload {
    /// `undefined`.
    pub(crate) const NONE: Payload = Payload::Json(None);

    /// Takes a value with its type in front.
    pub(crate) fn typed(text: &str) -> Result<Payload, PayloadError> {
        let mut rest = text.chars();
        let is_good = match (rest.next(), rest.as_str()) {
            (Some('S'), _) => true,
            (Some('O'), json) => json::check(json).is_ok(),
            (Some('N'), number) => is_number(number),
            (Some('T' | 'F' | 'L' | 'U'), rest) => rest.is_empty(),
            _ => false,
        };
        if is_good { Ok(Payload::Typed(text.to_owned())) } else { Err(PayloadError) }
    }

    /// Takes a value in JSON.
    pub(crate) fn json(text: Option<&str>) -> Result<Payload, PayloadError> {
        if let Some(text) = text {
            json::check(text).map_err(|_| PayloadError)?;
        }
        Ok(Payload::Json(text.map(str::to_owned)))
    }

    /// Bytes of its text.
    pub(crate) fn len(&self) -> usize {
        match self {
            Payload::Typed(text) => text.len(),
            Payload::Json(json) => json.as_ref().map_or(0, String::len),
        }
    }

    /// The value with its type in front. What it holds has no separators.
    pub(crate) fn to_typed(&self) -> Cow<'_, str> {
        match self {
            Payload::Typed(text) => Cow::Borrowed(text),
            Payload::Json(None) => Cow::Borrowed(UNDEFINED),
            Payload::Json(Some(json)) => Cow::Owned(typed_of(json)),
        }
    }

    /// The value in JSON; `None` where it is `undefined`. What JSON cannot say (NaN, the infinities) is null, as
    /// JavaScript has it.
    pub(crate) fn to_json(&self) -> Option<Cow<'_, str>> {
        let text = match self {
            Payload::Json(json) => return json.as_deref().map(Cow::Borrowed),
            Payload::Typed(text) => text,
        };
        match text.split_at(1) {
            ("S", text) => Some(Cow::Owned(json::write(text))),
            ("O", json) => Some(Cow::Borrowed(json)),
            ("N", number) if json::check(number).is_ok() => Some(Cow::Borrowed(number)),
            ("N" | "L", _) => Some(Cow::Borrowed("null")),
            ("T", _) => Some(Cow::Borrowed("true")),
            ("F", _) => Some(Cow::Borrowed("false")),
            _ => None,
        }
    }

    /// What it says, where it is a text; else its JSON.
    pub(crate) fn to_words(&self) -> Cow<'_, str> {
        if let Payload::Typed(text) = self
            && let Some(text) = text.strip_prefix('S')
        {
            return Cow::Borrowed(text);
        }
        let Some(json) = self.to_json() else { return Cow::Borrowed("undefined") };
        match serde_json::from_str::<String>(&json) {
            Ok(text) if is_clean(&text) => Cow::Owned(text),
            _ => Cow::Owned(json.into_owned()),
        }
    }
}

/// JSON with its type in front.
fn typed_of(json: &str) -> String {
    let json = json.trim();
    match json.as_bytes().first() {
        Some(b'"') => match serde_json::from_str::<String>(json) {
            Ok(text) if is_clean(&text) => format!("S{text}"),
            // The text protocol has no escapes, but the client reads what has type O as any JSON, which has.
            _ => format!("O{json}"),
        },
        Some(b't') => "T".to_owned(),
        Some(b'f') => "F".to_owned(),
        Some(b'n') => "L".to_owned(),
        Some(b'{' | b'[') => format!("O{json}"),
        _ => format!("N{json}"),
    }
}

/// Whether a text can stand in a text message.
fn is_clean(text: &str) -> bool {
    !text.contains(['\u{1e}', '\u{1f}'])
}

/// Whether a text is a number as JavaScript prints it.
fn is_number(text: &str) -> bool {
    matches!(text, "NaN" | "Infinity" | "-Infinity")
        || text.len() <= 32
            && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'+' | b'-'))
            && text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_cross_between_the_protocols() {
        for (typed, json) in [
            ("Shello", Some("\"hello\"")),
            ("S", Some("\"\"")),
            ("O{\"a\":[1]}", Some("{\"a\":[1]}")),
            ("N-1.5", Some("-1.5")),
            ("N1e+21", Some("1e+21")),
            ("T", Some("true")),
            ("F", Some("false")),
            ("L", Some("null")),
            ("U", None),
        ] {
            let from_text = Payload::typed(typed).unwrap();
            assert_eq!(from_text.to_json().as_deref(), json);
            let from_json = Payload::json(json).unwrap();
            assert_eq!(from_json.to_typed(), typed);
        }
        assert_eq!(Payload::typed("NNaN").unwrap().to_json().as_deref(), Some("null"));
        assert_eq!(Payload::json(Some(" true ")).unwrap().to_typed(), "T");
    }

    #[test]
    fn separators_never_get_into_text() {
        let payload = Payload::json(Some("\"a\\u001eE\\u001fEVT\"")).unwrap();
        assert_eq!(payload.to_typed(), "O\"a\\u001eE\\u001fEVT\"");
        assert_eq!(payload.to_words(), "\"a\\u001eE\\u001fEVT\"");
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in ["", "X", "Tx", "U1", "O{", "O", "N", "Nx", "N0x10", "Ninf", "L "] {
            assert_eq!(Payload::typed(text), Err(PayloadError), "{text}");
        }
        assert!(Payload::json(Some("")).is_err());
    }

    proptest! {
        #[test]
        fn any_text_survives_both_ways(text in "\\PC*|[\u{0}-\u{2f}]*") {
            let json = json::write(text.as_str());
            let payload = Payload::json(Some(&json)).unwrap();
            let typed = payload.to_typed().into_owned();
            prop_assert!(is_clean(&typed));
            let back = Payload::typed(&typed).unwrap();
            let back = serde_json::from_str::<String>(&back.to_json().unwrap()).unwrap();
            prop_assert_eq!(back, text);
        }
    }
}
