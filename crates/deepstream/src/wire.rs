//! The two protocols: from bytes to [`Request`]s, from [`Reply`]s to bytes.

#[cfg(test)]
pub(crate) mod client;
#[cfg(test)]
mod golden;
mod protobuf;
mod schema;
mod text;

use bytes::Bytes;

use crate::message::{Garbage, Reply, Request};

/// A way of talking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wire {
    /// Parts separated by control characters, in text frames: `deepstream.io-client-js`, version 2.3.
    Text,
    /// Protocol Buffers, one message a binary frame: `@deepstream/client`, version 7.
    Protobuf,
}

/// What one WebSocket message carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A text message. What is sent is UTF-8; what is received need not be.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
}

impl Frame {
    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Frame::Text(bytes) | Frame::Binary(bytes) => bytes,
        }
    }

    /// Which protocol has such frames.
    pub(crate) fn wire(&self) -> Wire {
        match self {
            Frame::Text(_) => Wire::Text,
            Frame::Binary(_) => Wire::Protobuf,
        }
    }
}

/// The messages in a frame that a client sent, up to and with the first that is unreadable.
pub(crate) fn decode(frame: &Frame) -> Vec<Result<Request, Garbage>> {
    match frame {
        Frame::Text(bytes) => text::decode(bytes),
        Frame::Binary(bytes) => vec![protobuf::decode(bytes)],
    }
}

/// A frame with a message for a client. `None`: its protocol has no such message, because it needs none.
pub(crate) fn encode(wire: Wire, reply: &Reply<'_>) -> Option<Frame> {
    match wire {
        Wire::Text => text::encode(reply).map(|text| Frame::Text(text.into())),
        Wire::Protobuf => protobuf::encode(reply).map(|bytes| Frame::Binary(bytes.into())),
    }
}
