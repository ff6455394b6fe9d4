//! Bytes as hex digits, short where many of them are the same.

use std::fmt::Write as _;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Equal bytes that are written as a number of them.
const RUN: usize = 16;

/// Bytes that are written as text: `0a[07*100]ff`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hex(pub Bytes);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        for run in self.0.chunk_by(|a, b| a == b) {
            if run.len() >= RUN {
                let _ = write!(text, "[{:02x}*{}]", run[0], run.len());
            } else {
                run.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap_or_default());
            }
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        read(&text)
            .map(|bytes| Hex(bytes.into()))
            .ok_or_else(|| D::Error::custom("neither hex digits nor runs of them"))
    }
}

fn read(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(run) = rest.strip_prefix('[') {
            let (run, after) = run.split_once(']')?;
            let (byte, count) = run.split_once('*')?;
            let (byte, count) = (u8::from_str_radix(byte, 16).ok()?, count.parse().ok()?);
            bytes.extend(std::iter::repeat_n(byte, count));
            rest = after;
        } else {
            bytes.push(u8::from_str_radix(rest.get(..2)?, 16).ok()?);
            rest = &rest[2..];
        }
    }
    Some(bytes)
}
