//! What is done with signalling messages: a message or a refusal, and a message means the same after another trip.

use room::wire::signal::{ClientMessage, Negotiation, ServerMessage};

/// What a hub does with the text of a member.
pub fn client(text: &str) {
    if let Ok(message) = ClientMessage::decode(text) {
        let again = message.encode();
        assert_eq!(ClientMessage::decode(&again).as_ref(), Ok(&message), "{again}");
    }
}

/// What a member does with the text of a hub.
pub fn server(text: &str) {
    if let Ok(message) = ServerMessage::decode(text) {
        let again = message.encode();
        assert_eq!(ServerMessage::decode(&again).expect("what was encoded can be decoded"), message, "{again}");
        if let ServerMessage::Signal(signal) = message {
            // What the hub passes on unread is read here.
            let _ = signal.data.to::<Negotiation>();
        }
    }
}
