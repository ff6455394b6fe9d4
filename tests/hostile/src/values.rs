//! What a member does with the value in a message of another: a value or an error, and a value that is shown in JSON
//! can be read back.

use bytes::Bytes;
use roomful::Payload;

/// Reads a value in every way that there is.
pub fn run(bytes: &[u8]) {
    let payload = Payload::from_cbor(Bytes::copy_from_slice(bytes));
    let _ = (payload.text(), payload.bytes(), payload.typed_array(), payload.to::<serde_json::Value>());
    let shown = payload.to_json();
    assert_eq!(payload.check().is_ok(), shown.is_ok());
    if let Ok(json) = shown {
        let again = Payload::from_json(&json).expect("what was shown can be read");
        assert_eq!(again.to_json().expect("what was written can be shown"), json);
    }
}
