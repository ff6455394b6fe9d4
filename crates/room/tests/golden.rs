//! The files of `protocol/golden/`: every message and frame decodes, and encodes again to the same bytes; what is
//! broken is refused for the reason that the file names. `sdk/test/golden.test.js` does the same in JavaScript.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use bytes::{Bytes, BytesMut};
use room::wire::{
    frame::{Frame, FrameError, PacketReader, push_frame},
    signal::{ClientMessage, ServerMessage},
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// One file. Which fields are there depends on the kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    kind: String,
    #[serde(rename = "note")]
    _note: Option<String>,
    /// A signalling message in its canonical form.
    message: Option<Box<RawValue>>,
    /// What is refused as a signalling message.
    text: Option<String>,
    /// A frame as `serde` writes it.
    frame: Option<Box<RawValue>>,
    /// The frames of a packet, before its end or its error.
    frames: Option<Vec<String>>,
    hex: Option<String>,
    error: Option<String>,
    /// What a sealed payload is made of; `crates/client` seals and opens those.
    #[serde(rename = "seal")]
    _seal: Option<Box<RawValue>>,
    #[serde(rename = "json")]
    _json: Option<Box<RawValue>>,
}

impl Golden {
    fn message(&self) -> &str {
        self.message.as_ref().expect("a message").get()
    }

    fn bytes(&self) -> Bytes {
        bytes(self.hex.as_ref().expect("bytes"))
    }

    fn error(&self) -> &str {
        self.error.as_deref().expect("an error")
    }
}

/// The files of one kind, with their names.
fn golden(kind: &str) -> Vec<(String, Golden)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol/golden");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let golden: Golden =
            serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        if golden.kind == kind {
            files.push((name, golden));
        }
    }
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert!(!files.is_empty(), "no golden files of kind {kind}");
    files
}

fn bytes(hex: &str) -> Bytes {
    assert_eq!(hex.len() % 2, 0);
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn name_of(error: FrameError) -> &'static str {
    match error {
        FrameError::Truncated => "truncated",
        FrameError::Leftover => "leftover",
        FrameError::Type(_) => "type",
        FrameError::Flags(_) => "flags",
        FrameError::Number => "number",
        FrameError::Text => "text",
        FrameError::Kind(_) => "kind",
        FrameError::TooLarge => "too_large",
        _ => "new error: give it a name here and in sdk/src/frame.js",
    }
}

#[test]
fn client_messages_round_trip() {
    for (name, golden) in golden("client") {
        let message = ClientMessage::decode(golden.message()).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert_eq!(message.encode(), golden.message(), "{name}");
    }
}

#[test]
fn server_messages_round_trip() {
    for (name, golden) in golden("server") {
        let message = ServerMessage::decode(golden.message()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(message.encode(), golden.message(), "{name}");
    }
}

#[test]
fn broken_messages_are_refused() {
    for (name, golden) in golden("bad_client") {
        let refused = ClientMessage::decode(golden.text.as_ref().unwrap()).expect_err(&name);
        assert_eq!(refused.code.as_str(), golden.error(), "{name}");
        assert!(refused.fatal, "{name}");
    }
    for (name, golden) in golden("bad_server") {
        assert!(ServerMessage::decode(golden.text.as_ref().unwrap()).is_err(), "{name}");
    }
}

#[test]
fn frames_round_trip() {
    for (name, golden) in golden("frame") {
        let json = golden.frame.as_ref().unwrap().get();
        let frame: Frame = serde_json::from_str(json).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(frame.encode(), golden.bytes(), "{name}");
        assert_eq!(Frame::decode(golden.bytes()), Ok(frame.clone()), "{name}");
        assert_eq!(serde_json::to_string(&frame).unwrap(), json, "{name}");
    }
}

#[test]
fn broken_frames_are_refused() {
    for (name, golden) in golden("bad_frame") {
        assert_eq!(Frame::decode(golden.bytes()).map_err(name_of), Err(golden.error()), "{name}");
    }
}

#[test]
fn packets_give_their_frames_until_the_first_error() {
    for (name, golden) in golden("packet") {
        let mut packet = BytesMut::new();
        let mut error = None;
        for item in PacketReader::new(golden.bytes()).unwrap() {
            match item {
                Ok((frame, length)) => {
                    let encoded = frame.encode();
                    assert_eq!(encoded.len(), length, "{name}");
                    push_frame(&mut packet, &encoded);
                }
                Err(e) => error = Some(name_of(e)),
            }
        }
        let mut expected = BytesMut::new();
        golden.frames.iter().flatten().for_each(|frame| push_frame(&mut expected, &bytes(frame)));
        assert_eq!((packet, error), (expected, golden.error.as_deref()), "{name}");
    }
}

#[test]
fn a_packet_has_a_bound() {
    assert!(PacketReader::new(Bytes::from(vec![0; room::limits::PACKET_MAX])).is_ok());
    assert!(matches!(PacketReader::new(Bytes::from(vec![0; room::limits::PACKET_MAX + 1])), Err(FrameError::TooLarge)));
}
