//! Bytes as hex digits in the JSON of golden files and traces, short where many of them are the same: `0a[07*100]ff`.
//!
//! For fields: `#[serde(with = "hex")]`.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

use crate::id::push_hex;

/// Equal bytes that are written as a number of them.
const RUN: usize = 16;
/// Bytes that may be written as a run: no packet or message is longer.
const RUN_MAX: usize = crate::limits::MESSAGE_MAX;

/// Writes bytes, runs of equal ones as their number.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = String::new();
    for run in bytes.chunk_by(|a, b| a == b) {
        if run.len() >= RUN {
            text.push('[');
            push_hex(&mut text, &run[..1]);
            text.push_str(&format!("*{}]", run.len()));
        } else {
            push_hex(&mut text, run);
        }
    }
    serializer.serialize_str(&text)
}

/// Reads bytes.
///
/// # Errors
/// Where the text has anything but pairs of hex digits and runs.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(deserializer)?;
    read(&text).map(Bytes::from).ok_or_else(|| D::Error::custom("neither hex digits nor runs of them"))
}

fn read(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return Some(bytes),
            [b'[', high, low, b'*', after @ ..] => {
                let end = after.iter().position(|b| *b == b']')?;
                let count: usize = str::from_utf8(&after[..end]).ok()?.parse().ok()?;
                if count > RUN_MAX - bytes.len().min(RUN_MAX) {
                    return None;
                }
                bytes.resize(bytes.len() + count, byte(*high, *low)?);
                &after[end + 1..]
            }
            [high, low, after @ ..] => {
                bytes.push(byte(*high, *low)?);
                after
            }
            [_] => return None,
        };
    }
}

fn byte(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Field(#[serde(with = "super")] Bytes);

    #[test]
    fn runs_are_short_and_come_back() {
        let all = [&[7; 15][..], &[1, 2], &[9; 16], &[0; 40_000], &[255]].concat();
        let text = serde_json::to_string(&Field(all.clone().into())).expect("a string");
        assert_eq!(text, format!("\"{}0102[09*16][00*40000]ff\"", "07".repeat(15)));
        assert_eq!(serde_json::from_str::<Field>(&text).expect("bytes").0, all);
        assert_eq!(read(""), Some(Vec::new()));
    }

    #[test]
    fn what_is_not_hex_is_refused() {
        let huge = format!("[00*{}]", RUN_MAX + 1);
        for text in ["0", "0g", "+1", "[00*2", "[00*]", "[00*-1]", "[0*2]", "[00*2]0", "[00*1][0", &huge] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
