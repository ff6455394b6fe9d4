//! What a hub does with the text of a member: a message or a refusal, and a message means the same after another trip.

#![no_main]

use libfuzzer_sys::fuzz_target;
use room::wire::signal::ClientMessage;

fuzz_target!(|text: &str| {
    if let Ok(message) = ClientMessage::decode(text) {
        let again = message.encode();
        assert_eq!(ClientMessage::decode(&again).as_ref(), Ok(&message), "{again}");
    }
});
