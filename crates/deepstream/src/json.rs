//! JSON as text: what records are kept as. It is checked once, on arrival, and passed on as it came, so that neither
//! the order of keys nor a digit of a number changes on the way.

pub(crate) mod path;
pub(crate) mod splice;

use serde::de::IgnoredAny;

use crate::limits;

/// What a JSON text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    /// A string, number, boolean or null.
    Scalar,
}

/// A text that is no JSON, or nested too deeply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no JSON, or nested too deeply")]
pub(crate) struct JsonError;

/// Checks a text that is a value, and says what it is. What passes has no control characters but white space between
/// its tokens.
pub(crate) fn check(text: &str) -> Result<Kind, JsonError> {
    check_within(text, limits::VALUE_DEPTH)
}

/// Checks a text that is a record: an object or array, as deep as paths and the values at their ends make it.
pub(crate) fn check_record(text: &str) -> Result<Kind, JsonError> {
    let kind = check_within(text, limits::VALUE_DEPTH + limits::PATH_STEPS)?;
    if kind == Kind::Scalar { Err(JsonError) } else { Ok(kind) }
}

fn check_within(text: &str, depth_max: usize) -> Result<Kind, JsonError> {
    if depth(text) > depth_max {
        return Err(JsonError);
    }
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| JsonError)?;
    Ok(kind(text))
}

/// What a checked text is.
pub(crate) fn kind(text: &str) -> Kind {
    match text.trim_start().as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        _ => Kind::Scalar,
    }
}

/// The entries of a list: a checked text that is an array of strings. An empty object is an empty list: so records
/// begin, and so do the clients' lists see it.
pub(crate) fn entries(text: &str) -> Option<Vec<String>> {
    match kind(text) {
        Kind::Array => serde_json::from_str(text).ok(),
        Kind::Object if text.bytes().all(|byte| matches!(byte, b'{' | b'}') || is_space(byte)) => Some(Vec::new()),
        _ => None,
    }
}

/// Whether a checked text is a list without entries, as [`entries`] sees it.
pub(crate) fn is_empty_list(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'{' | b'}' | b'[' | b']') || is_space(byte)) && {
        entries(text).is_some_and(|entries| entries.is_empty())
    }
}

/// The JSON of a list, of a text, or of texts by name.
pub(crate) fn write<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("strings and maps with string keys have a JSON")
}

/// The deepest nesting of what may be JSON.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => loop {
                match bytes.next() {
                    Some(b'\\') => drop(bytes.next()),
                    Some(b'"') | None => break,
                    Some(_) => {}
                }
            },
            _ => {}
        }
    }
    deepest
}

/// White space of JSON (RFC 8259, section 2).
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_of_reasonable_depth_passes() {
        for (text, kind) in [
            ("{}", Kind::Object),
            (" [1, \"a]\\\"[\"]\n", Kind::Array),
            ("\"\\ud800\"", Kind::Scalar),
            ("-1.5e3", Kind::Scalar),
            ("null", Kind::Scalar),
        ] {
            assert_eq!(check(text), Ok(kind), "{text}");
        }
        for text in ["", "{", "{}{}", "undefined", "NaN", "\"\u{1f}\"", "{a:1}", "[1,]", "\u{1e}"] {
            assert_eq!(check(text), Err(JsonError), "{text:?}");
        }
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check(&nested(limits::VALUE_DEPTH)).is_ok());
        assert!(check(&nested(limits::VALUE_DEPTH + 1)).is_err());
        assert!(check_record(&nested(limits::VALUE_DEPTH + limits::PATH_STEPS)).is_ok() && check_record("1").is_err());
        assert!(check(&"[".repeat(1_000_000)).is_err());
    }

    #[test]
    fn lists_are_arrays_of_strings() {
        assert_eq!(entries("[\"a\", \"b\\u001f\"]"), Some(vec!["a".to_owned(), "b\u{1f}".to_owned()]));
        assert_eq!(entries(" { }"), Some(vec![]));
        for text in ["[1]", "{\"a\":1}", "\"a\"", "null"] {
            assert_eq!(entries(text), None, "{text}");
        }
    }
}
