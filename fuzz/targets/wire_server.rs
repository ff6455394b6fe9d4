//! What a member does with the text of a hub.

#![no_main]

use libfuzzer_sys::fuzz_target;
use room::wire::signal::{Negotiation, ServerMessage};

fuzz_target!(|text: &str| {
    if let Ok(message) = ServerMessage::decode(text) {
        let again = message.encode();
        assert_eq!(ServerMessage::decode(&again).expect("what was encoded can be decoded"), message, "{again}");
        if let ServerMessage::Signal(signal) = message {
            // What the hub passes on unread is read here.
            let _ = signal.data.to::<Negotiation>();
        }
    }
});
