//! Values as JSON, for people and scripts, and back.
//!
//! What JSON lacks is an object with one key that begins with `$`:
//!
//! | value | JSON |
//! | --- | --- |
//! | byte string | `{"$bytes": "base64"}` |
//! | typed array | `{"$float32": [0.5, 1]}`, by [`ArrayKind::name`]; `{"$float32": "base64"}` where it is long |
//! | date | `{"$date": ms since 1970}` |
//! | big integer | `{"$bigint": "-18446744073709551616"}` |
//! | NaN, infinities, −0 | `{"$number": "NaN"}`, `"Infinity"`, `"-Infinity"`, `"-0"` |
//! | undefined | `{"$undefined": true}` |
//! | map whose keys are not all texts, or look like one of these | `{"$map": [[key, value], …]}` |

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use room::limits::VALUE_DEPTH;
use serde_json::{Map, Value, json};

use super::{
    BIG_NEGATIVE, BIG_POSITIVE, DATE, DATE_MS_MAX, SAFE_INTEGER,
    array::{ArrayKind, Number},
    encode::{self, EncodeError, Major},
    reader::{DecodeError, Item, Reader, array_bytes, big_integer, check, date_ms, half},
};

/// Numbers of a typed array up to which JSON has them one by one: there each takes many times its size.
const ARRAY_NUMBERS_MAX: usize = 16 * 1024;

/// JSON of a value.
pub(crate) fn to_json(bytes: &[u8]) -> Result<Value, DecodeError> {
    // Checked first, so that its depth is bounded for what follows.
    check(bytes)?;
    value(&mut Reader::new(bytes))
}

fn value(reader: &mut Reader<'_>) -> Result<Value, DecodeError> {
    Ok(match reader.item()? {
        Item::Unsigned(n) if n <= SAFE_INTEGER => json!(n),
        Item::Unsigned(n) => json!({ "$bigint": n.to_string() }),
        Item::Negative(n) if n < SAFE_INTEGER => json!(-1 - i128::from(n) as i64),
        Item::Negative(n) => json!({ "$bigint": (-1 - i128::from(n)).to_string() }),
        Item::Bytes(bytes) => json!({ "$bytes": BASE64.encode(bytes) }),
        Item::Text(text) => Value::String(text.into_owned()),
        Item::Array(mut left) => {
            let mut items = Vec::new();
            while reader.more(&mut left)? {
                items.push(value(reader)?);
            }
            Value::Array(items)
        }
        Item::Map(left) => map(reader, left)?,
        Item::Tag(DATE) => json!({ "$date": integral(date_ms(&reader.item()?)?) }),
        Item::Tag(tag @ (BIG_POSITIVE | BIG_NEGATIVE)) => {
            json!({ "$bigint": decimal(tag == BIG_NEGATIVE, &big_integer(reader.item()?)?) })
        }
        Item::Tag(tag) => match ArrayKind::of_tag(tag) {
            Some(kind) => {
                let bytes = array_bytes(kind, reader.item()?)?;
                let key = format!("${}", kind.name());
                if bytes.len() / kind.size() > ARRAY_NUMBERS_MAX {
                    return Ok(json!({ key: BASE64.encode(bytes) }));
                }
                json!({ key: numbers(kind, &bytes) })
            }
            None => value(reader)?,
        },
        Item::Bool(value) => Value::Bool(value),
        Item::Null => Value::Null,
        Item::Undefined => json!({ "$undefined": true }),
        Item::Float(x) => number(x),
    })
}

fn map(reader: &mut Reader<'_>, mut left: Option<u64>) -> Result<Value, DecodeError> {
    let mut entries = Vec::new();
    while reader.more(&mut left)? {
        entries.push((value(reader)?, value(reader)?));
    }
    let is_plain = entries.iter().all(|(key, _)| key.is_string());
    let looks_special = matches!(&entries[..], [(Value::String(key), _)] if key.starts_with('$'));
    if !is_plain || looks_special {
        let pairs: Vec<Value> = entries.into_iter().map(|(key, value)| json!([key, value])).collect();
        return Ok(json!({ "$map": pairs }));
    }
    let named = entries.into_iter().filter_map(|(key, value)| match key {
        Value::String(key) => Some((key, value)),
        _ => None,
    });
    Ok(Value::Object(named.collect::<Map<_, _>>()))
}

fn number(x: f64) -> Value {
    let special = if x.is_nan() {
        "NaN"
    } else if x == f64::INFINITY {
        "Infinity"
    } else if x == f64::NEG_INFINITY {
        "-Infinity"
    } else if x == 0.0 && x.is_sign_negative() {
        "-0"
    } else {
        return integral(x);
    };
    json!({ "$number": special })
}

/// A finite number, without a fraction where it has none.
fn integral(x: f64) -> Value {
    if x.trunc() == x && x.abs() <= SAFE_INTEGER as f64 { json!(x as i64) } else { json!(x) }
}

fn numbers(kind: ArrayKind, bytes: &[u8]) -> Vec<Value> {
    fn each<T: Number>(bytes: &[u8], show: impl Fn(T) -> Value) -> Vec<Value> {
        bytes.chunks_exact(T::KIND.size()).map(|chunk| show(T::from_little_endian(chunk))).collect()
    }
    match kind {
        ArrayKind::U8 | ArrayKind::U8Clamped => each(bytes, |n: u8| json!(n)),
        ArrayKind::U16 => each(bytes, |n: u16| json!(n)),
        ArrayKind::U32 => each(bytes, |n: u32| json!(n)),
        ArrayKind::U64 => each(bytes, |n: u64| json!(n)),
        ArrayKind::I8 => each(bytes, |n: i8| json!(n)),
        ArrayKind::I16 => each(bytes, |n: i16| json!(n)),
        ArrayKind::I32 => each(bytes, |n: i32| json!(n)),
        ArrayKind::I64 => each(bytes, |n: i64| json!(n)),
        ArrayKind::F16 => each(bytes, |bits: u16| number(half(bits))),
        ArrayKind::F32 => each(bytes, |x: f32| number(x.into())),
        ArrayKind::F64 => each(bytes, number),
    }
}

/// A big integer in decimal digits; where its magnitude has more than 128 bits, in hexadecimal ones after `0x`.
fn decimal(negative: bool, magnitude: &[u8]) -> String {
    let mut wide = [0; 16];
    if let Some(start) = wide.len().checked_sub(magnitude.len()) {
        wide[start..].copy_from_slice(magnitude);
        let n = u128::from_be_bytes(wide);
        return match (negative, n.checked_add(1)) {
            (false, _) => n.to_string(),
            (true, Some(n)) => format!("-{n}"),
            (true, None) => format!("-0x1{}", "0".repeat(32)),
        };
    }
    // −1 − n: one more in magnitude.
    let mut magnitude = magnitude.to_vec();
    if negative {
        let carried = magnitude.iter_mut().rev().all(|byte| {
            *byte = byte.wrapping_add(1);
            *byte == 0
        });
        if carried {
            magnitude.insert(0, 1);
        }
    }
    let mut text = String::from(if negative { "-0x" } else { "0x" });
    for byte in magnitude {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// JSON that stands for no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FromJsonError {
    /// An object with one key that begins with `$`, which is none of those that are known, or whose content is not
    /// what it should be.
    #[error("{0} does not stand for a value")]
    Special(String),
    /// Too deep or too long.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// The bytes of a value that JSON stands for.
pub(crate) fn from_json(json: &Value) -> Result<Vec<u8>, FromJsonError> {
    let mut out = Vec::new();
    push(&mut out, json, VALUE_DEPTH)?;
    if out.len() > room::limits::MESSAGE_MAX {
        return Err(EncodeError::TooLarge.into());
    }
    Ok(encode::bounded(out)?)
}

fn push(out: &mut Vec<u8>, json: &Value, depth: usize) -> Result<(), FromJsonError> {
    let inner = || depth.checked_sub(1).ok_or(EncodeError::TooDeep);
    match json {
        Value::Null => out.push(encode::NULL),
        Value::Bool(value) => out.push(if *value { encode::TRUE } else { encode::FALSE }),
        Value::Number(number) => match number.as_f64() {
            // JSON's numbers are JavaScript's: of a whole one beyond 2^53 the double is what is meant.
            Some(x) => encode::push_number(out, x),
            None => return Err(FromJsonError::Special(number.to_string())),
        },
        Value::String(text) => encode::push_text(out, text),
        Value::Array(items) => {
            let depth = inner()?;
            encode::push_head(out, Major::Array, items.len() as u64);
            for item in items {
                push(out, item, depth)?;
            }
        }
        Value::Object(object) => {
            if let Some((key, content)) =
                object.iter().next().filter(|(key, _)| object.len() == 1 && key.starts_with('$'))
            {
                return push_special(out, key, content, depth)
                    .unwrap_or_else(|| Err(FromJsonError::Special(key.clone())));
            }
            let depth = inner()?;
            encode::push_head(out, Major::Map, object.len() as u64);
            for (key, value) in object {
                encode::push_text(out, key);
                push(out, value, depth)?;
            }
        }
    }
    Ok(())
}

/// `None` where the content is not what the key asks for.
fn push_special(out: &mut Vec<u8>, key: &str, content: &Value, depth: usize) -> Option<Result<(), FromJsonError>> {
    match key {
        "$bytes" => encode::push_bytes(out, &BASE64.decode(content.as_str()?).ok()?),
        "$date" => {
            let ms = content.as_f64().filter(|ms| ms.abs() <= DATE_MS_MAX)?;
            encode::push_head(out, Major::Tag, DATE);
            encode::push_number(out, ms / 1_000.0);
        }
        "$bigint" => {
            let (negative, magnitude) = big_integer_of(content.as_str()?)?;
            encode::push_big_bytes(out, negative, &magnitude);
        }
        "$number" => encode::push_number(out, special_number(content.as_str()?)?),
        "$undefined" => out.push(UNDEFINED),
        "$map" => {
            let pairs = content.as_array()?;
            encode::push_head(out, Major::Map, pairs.len() as u64);
            let depth = depth.checked_sub(1)?;
            for pair in pairs {
                let [key, value] = &pair.as_array()?[..] else { return None };
                if let Err(error) = push(out, key, depth).and_then(|()| push(out, value, depth)) {
                    return Some(Err(error));
                }
            }
        }
        _ => {
            let kind = ArrayKind::of_name(key.strip_prefix('$')?)?;
            let mut bytes = Vec::new();
            if let Some(text) = content.as_str() {
                bytes = BASE64.decode(text).ok().filter(|bytes| bytes.len().is_multiple_of(kind.size()))?;
            } else {
                for number in content.as_array()? {
                    push_element(&mut bytes, kind, number)?;
                }
            }
            encode::push_head(out, Major::Tag, kind.tag());
            encode::push_bytes(out, &bytes);
        }
    }
    Some(Ok(()))
}

const UNDEFINED: u8 = 0xf7;

fn special_number(name: &str) -> Option<f64> {
    Some(match name {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        "-0" => -0.0,
        _ => return None,
    })
}

/// What [`decimal`] shows: whether it is negative, and its magnitude, or one less where it is.
fn big_integer_of(text: &str) -> Option<(bool, Vec<u8>)> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let mut magnitude = match digits.strip_prefix("0x") {
        Some(hex) if !hex.is_empty() => {
            let nibbles = hex.chars().map(|c| Some(c.to_digit(16)? as u8)).collect::<Option<Vec<_>>>()?;
            nibbles.rchunks(2).rev().map(|pair| pair.iter().fold(0, |byte, nibble| byte << 4 | nibble)).collect()
        }
        _ => digits.parse::<u128>().ok()?.to_be_bytes().to_vec(),
    };
    if negative {
        let borrowed_all = magnitude.iter_mut().rev().all(|byte| {
            *byte = byte.wrapping_sub(1);
            *byte == u8::MAX
        });
        if borrowed_all {
            // −0 is 0.
            return Some((false, Vec::new()));
        }
    }
    Some((negative, magnitude))
}

fn push_element(bytes: &mut Vec<u8>, kind: ArrayKind, number: &Value) -> Option<()> {
    fn integer<T: Number + TryFrom<i128>>(bytes: &mut Vec<u8>, number: &Value) -> Option<()> {
        let n = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))?;
        T::try_from(n).ok()?.push_little_endian(bytes);
        Some(())
    }
    let float = || number.as_f64().or_else(|| special_number(number.get("$number")?.as_str()?));
    match kind {
        ArrayKind::U8 | ArrayKind::U8Clamped => integer::<u8>(bytes, number),
        ArrayKind::U16 => integer::<u16>(bytes, number),
        ArrayKind::U32 => integer::<u32>(bytes, number),
        ArrayKind::U64 => integer::<u64>(bytes, number),
        ArrayKind::I8 => integer::<i8>(bytes, number),
        ArrayKind::I16 => integer::<i16>(bytes, number),
        ArrayKind::I32 => integer::<i32>(bytes, number),
        ArrayKind::I64 => integer::<i64>(bytes, number),
        ArrayKind::F16 => {
            encode::half_bits(float()?).push_little_endian(bytes);
            Some(())
        }
        ArrayKind::F32 => {
            (float()? as f32).push_little_endian(bytes);
            Some(())
        }
        ArrayKind::F64 => {
            float()?.push_little_endian(bytes);
            Some(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_lacks_comes_back_the_same() {
        for json in [
            json!({ "$bytes": "AQID" }),
            json!({ "$float32": [0.5, 1, { "$number": "NaN" }] }),
            json!({ "$int64": [-1, 9_223_372_036_854_775_807_i64] }),
            json!({ "$date": 1_700_000_000_123_i64 }),
            json!({ "$float16": [1, -2, 0.5, 65_504, 5.960464477539063e-8, { "$number": "-Infinity" }] }),
            json!({ "$bigint": "-18446744073709551617" }),
            json!({ "$bigint": "340282366920938463463374607431768211455" }),
            json!({ "$bigint": "-0x100000000000000000000000000000000" }),
            json!({ "$bigint": "-0x01fe00000000000000000000000000000000" }),
            json!({ "$bigint": "0" }),
            json!({ "$number": "-0" }),
            json!({ "$undefined": true }),
            json!({ "$map": [[1, "a"], ["b", null]] }),
            json!({ "$map": [["$bytes", "not bytes"]] }),
            json!({ "text": "hi", "$n": [1, 2.5, -3, true, null] }),
        ] {
            let bytes = from_json(&json).expect("it stands for a value");
            assert_eq!(to_json(&bytes), Ok(json));
        }
    }

    #[test]
    fn long_typed_arrays_are_base64() {
        let long = crate::Payload::array(&[7_u16; ARRAY_NUMBERS_MAX + 1]);
        let json = long.to_json().expect("a value");
        assert!(json["$uint16"].is_string());
        assert_eq!(crate::Payload::from_json(&json), Ok(long));
    }

    #[test]
    fn numbers_are_rounded_to_half_precision() {
        for bits in 0..=u16::MAX {
            let x = half(bits);
            if !x.is_nan() {
                assert_eq!(encode::half_bits(x), bits, "{x}");
            }
        }
        for (x, nearest) in [
            (0.1, 0.099_975_585_937_5),
            (2_049.0, 2_048.0),
            (2_051.0, 2_052.0),
            (65_519.0, 65_504.0),
            (65_520.0, f64::INFINITY),
            (-1e300, f64::NEG_INFINITY),
            (2f64.powi(-25), 0.0),
            (1.5 * 2f64.powi(-25), 2f64.powi(-24)),
            (1e-320, 0.0),
        ] {
            assert_eq!(half(encode::half_bits(x)), nearest, "{x}");
        }
    }

    #[test]
    fn json_that_stands_for_nothing_is_refused() {
        for json in [
            json!({ "$what": 1 }),
            json!({ "$bytes": "%" }),
            json!({ "$uint8": [256] }),
            json!({ "$uint16": "AQID" }),
            json!({ "$date": "today" }),
            json!({ "$bigint": "" }),
            json!({ "$bigint": "0x" }),
            json!({ "$bigint": "-0x1g" }),
            json!({ "$bigint": "--1" }),
            json!({ "$map": [[1]] }),
        ] {
            assert!(matches!(from_json(&json), Err(FromJsonError::Special(_))), "{json}");
        }
    }

    #[test]
    fn big_integers_of_any_size_are_shown() {
        assert_eq!(decimal(false, &[]), "0");
        assert_eq!(decimal(true, &[]), "-1");
        assert_eq!(decimal(false, &[1, 0]), "256");
        assert_eq!(decimal(true, &[0xff; 16]), format!("-0x1{}", "0".repeat(32)));
        assert_eq!(decimal(true, &[0xff; 17]), format!("-0x01{}", "0".repeat(34)));
        assert_eq!(decimal(false, &[1; 17]), format!("0x{}", "01".repeat(17)));
    }
}
