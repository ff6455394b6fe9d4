//! WebSocket frames to clients (RFC 6455, section 5.2), made once for all who are sent the same.

use bytes::Bytes;
use room::{id::MemberId, wire::signal::ServerMessage};
use serde::Serialize;

/// The longest head of an unmasked frame.
const HEAD_MAX: usize = 10;
/// What most messages fit into.
const USUAL: usize = 256;

/// FIN and the opcodes of whole messages, and of closing.
const FINAL_TEXT: u8 = 0x81;
const FINAL_BINARY: u8 = 0x82;
const FINAL_CLOSE: u8 = 0x88;

/// The text frame that carries a message of the hub.
pub(crate) fn signal(message: &ServerMessage) -> Bytes {
    let mut buffer = Vec::with_capacity(USUAL);
    buffer.resize(HEAD_MAX, 0);
    let mut json = serde_json::Serializer::new(&mut buffer);
    message.serialize(&mut json).expect("signalling messages have string keys only, and memory takes all bytes");
    with_head(FINAL_TEXT, buffer)
}

/// The binary frame that carries something from one member to another.
pub(crate) fn carried(from: MemberId, rest: &[u8]) -> Bytes {
    with_head(FINAL_BINARY, [&[0; HEAD_MAX], &from.0[..], rest].concat())
}

/// The text frame that carries this.
pub(crate) fn text(payload: &[u8]) -> Bytes {
    with_head(FINAL_TEXT, [&[0; HEAD_MAX], payload].concat())
}

/// The binary frame that carries this.
pub(crate) fn binary(payload: &[u8]) -> Bytes {
    with_head(FINAL_BINARY, [&[0; HEAD_MAX], payload].concat())
}

/// Puts the head, whose length only the payload's tells, into the room for the longest that is before the payload.
fn with_head(opcode: u8, mut buffer: Vec<u8>) -> Bytes {
    let payload = buffer.len() - HEAD_MAX;
    let mut head = [0; HEAD_MAX];
    let length = match (u8::try_from(payload), u16::try_from(payload)) {
        (Ok(short @ ..126), _) => {
            head[1] = short;
            2
        }
        (_, Ok(medium)) => {
            head[1] = 126;
            head[2..4].copy_from_slice(&medium.to_be_bytes());
            4
        }
        _ => {
            head[1] = 127;
            head[2..].copy_from_slice(&(payload as u64).to_be_bytes());
            10
        }
    };
    head[0] = opcode;
    let start = HEAD_MAX - length;
    buffer[start..HEAD_MAX].copy_from_slice(&head[..length]);
    let mut frame = Bytes::from(buffer);
    drop(frame.split_to(start));
    frame
}

/// The shortest that a frame from a client with such a payload can be.
pub(crate) fn masked_length(payload: usize) -> usize {
    const MASK: usize = 4;
    let head = match payload {
        ..126 => 2,
        126..65_536 => 4,
        _ => HEAD_MAX,
    };
    head + MASK + payload
}

/// The frame that closes a connection. Without a code it says nothing.
pub(crate) fn close(code: Option<u16>, reason: &str) -> Bytes {
    let Some(code) = code else { return Bytes::from_static(&[FINAL_CLOSE, 0]) };
    // A control frame has at most 125 bytes; reasons are the refusals' names.
    let length = u8::try_from(2 + reason.len()).ok().filter(|length| *length <= 125);
    let length = length.expect("refusals have short names");
    let mut frame = vec![FINAL_CLOSE, length];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason.as_bytes());
    Bytes::from(frame)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use room::wire::signal::{Closing, RefusalCode};
    use tungstenite::{Message, WebSocket, protocol::Role};

    use super::*;

    #[test]
    fn frames_of_every_length_are_read_back() {
        for length in [0, 1, 70, 80, 81, 82, 83, 84, 85, 90, 65_480, 65_490, 65_491, 65_492, 65_500, 200_000] {
            let closing = ServerMessage::Closing(Closing { reason: "x".repeat(length), retry_ms: 1 });
            let mut client = WebSocket::from_raw_socket(Cursor::new(signal(&closing).to_vec()), Role::Client, None);
            let Message::Text(read) = client.read().unwrap() else { panic!("no text") };
            assert_eq!(ServerMessage::decode(&read).unwrap(), closing, "{length}");
            let payload = vec![b'x'; length];
            for (frame, message) in [
                (text(&payload), Message::text("x".repeat(length))),
                (binary(&payload), Message::binary(payload.clone())),
            ] {
                let mut client = WebSocket::from_raw_socket(Cursor::new(frame.to_vec()), Role::Client, None);
                assert_eq!(client.read().unwrap(), message);
            }
        }
    }

    #[test]
    fn closes_are_read_back() {
        for code in RefusalCode::ALL {
            let frame = close(Some(code.close_code()), code.as_str());
            let mut client = WebSocket::from_raw_socket(Cursor::new(frame.to_vec()), Role::Client, None);
            let Message::Close(Some(read)) = client.read().unwrap() else { panic!("no close") };
            assert_eq!((u16::from(read.code), read.reason.as_str()), (code.close_code(), code.as_str()));
        }
        let mut client = WebSocket::from_raw_socket(Cursor::new(close(None, "").to_vec()), Role::Client, None);
        assert_eq!(client.read().unwrap(), Message::Close(None));
    }
}
