//! Values, as rooms and as deepstream's clients have them.
//!
//! What JSON lacks is an object of one key, as [`Payload::to_json`] has it: bytes are `{"$bytes": "base64"}`. It comes
//! back as what it was.

use deepstream::limits::FRAME_MAX;
use roomful::Payload;
use serde_json::{Value, json};

/// The JSON of a message, `None` within for `undefined`. `None` where that is too long, or the message is no value.
pub(super) fn json(payload: &Payload) -> Option<Option<String>> {
    // It is not shorter in JSON, by much.
    if payload.as_cbor().len() > FRAME_MAX {
        return None;
    }
    let value = payload.to_json().ok()?;
    if value == json!({ "$undefined": true }) {
        return Some(None);
    }
    let json = value.to_string();
    (json.len() <= FRAME_MAX).then_some(Some(json))
}

/// The message that an event is. `None` where no value is like it.
pub(super) fn payload(json: Option<&str>) -> Option<Payload> {
    let value = match json {
        Some(json) => serde_json::from_str(json).ok()?,
        None => json!({ "$undefined": true }),
    };
    match value {
        Value::String(text) => Some(text.into()),
        // An object that only looks as if it stood for something stands for itself.
        value => Payload::from_json(&value).or_else(|_| Payload::value(&value).map_err(drop)).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cross_and_come_back() {
        for text in [
            r#""hi""#,
            r#""""#,
            "null",
            "true",
            "-1.5",
            "12345678901",
            r#"{"a":[1,{"b":"\u001f"}]}"#,
            r#"{"$bytes":"aGk="}"#,
            r#"{"$bigint":"-18446744073709551616"}"#,
        ] {
            let payload = payload(Some(text)).unwrap();
            assert_eq!(json(&payload), Some(Some(text.to_owned())));
        }
        assert_eq!(payload(Some(r#""hi""#)).unwrap().text(), Some("hi"));
        assert_eq!(payload(Some(r#"{"$bytes":"aGk="}"#)).unwrap().bytes().as_deref(), Some(b"hi".as_slice()));
        assert_eq!(json(&payload(None).unwrap()), Some(None));
        assert_eq!(json(&Payload::from(b"hi")), Some(Some(r#"{"$bytes":"aGk="}"#.to_owned())));
    }

    #[test]
    fn what_only_looks_like_something_else_is_itself() {
        let set = payload(Some(r#"{"$set":{"a":1}}"#)).unwrap();
        assert_eq!(set.to::<Value>().unwrap(), json!({ "$set": { "a": 1 } }));
    }

    #[test]
    fn what_is_no_value_or_too_long_does_not_cross() {
        assert_eq!(json(&Payload::from_cbor(vec![0xff].into())), None);
        assert_eq!(json(&Payload::from("x".repeat(FRAME_MAX))), None);
        // Twice as long in JSON.
        assert_eq!(json(&Payload::from("\"".repeat(FRAME_MAX * 2 / 3))), None);
        for text in ["{", r#""\ud800""#] {
            assert_eq!(payload(Some(text)), None, "{text}");
        }
    }
}
