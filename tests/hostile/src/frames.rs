//! What a member does with a packet of another: frames in their only form, or an error.

use bytes::{Bytes, BytesMut};
use room::{
    limits,
    wire::frame::{self, PacketReader},
};

/// Reads a packet, and writes it again where it can be read.
pub fn run(packet: &[u8]) {
    let Ok(reader) = PacketReader::new(Bytes::copy_from_slice(packet)) else {
        assert!(packet.len() > limits::PACKET_MAX);
        return;
    };
    let frames: Result<Vec<_>, _> = reader.collect();
    if let Ok(frames) = frames {
        // Every number has one form and every frame one order, so that bytes that can be read are the bytes written.
        let mut again = BytesMut::new();
        for (frame, length) in frames {
            let bytes = frame.encode();
            assert_eq!(bytes.len(), length);
            frame::push_frame(&mut again, &bytes);
        }
        assert_eq!(again, packet);
    }
}
