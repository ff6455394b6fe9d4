//! Reads CBOR items one by one, and checks that bytes are one well-formed value.

use std::{borrow::Cow, collections::BTreeSet};

use room::limits::{VALUE_DEPTH, VALUE_ITEMS};

use super::{BIG_NEGATIVE, BIG_POSITIVE, DATE, DATE_MS_MAX, SAFE_INTEGER, array::ArrayKind};

/// Bytes that are not a value, or not one of the wanted shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It ends in the middle of an item.
    #[error("the value is cut off")]
    CutOff,
    /// Something stands after the value.
    #[error("there are bytes after the value")]
    Trailing,
    /// Not CBOR, or CBOR that values may not have; see PROTOCOL.md, "Values".
    #[error("not a value: {0}")]
    Malformed(&'static str),
    /// Nested deeper than [`room::limits::VALUE_DEPTH`].
    #[error("the value is nested deeper than {VALUE_DEPTH}")]
    TooDeep,
    /// Of more items than [`room::limits::VALUE_ITEMS`].
    #[error("the value has more than {VALUE_ITEMS} items")]
    TooMany,
    /// A value of another shape than the type that was asked for.
    #[error("the value has another shape: {0}")]
    Shape(String),
}

/// One item, without what is inside of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item<'de> {
    Unsigned(u64),
    /// −1 minus this.
    Negative(u64),
    Bytes(Cow<'de, [u8]>),
    Text(Cow<'de, str>),
    /// So many items follow, or items up to a break.
    Array(Option<u64>),
    /// So many pairs of items follow, or pairs up to a break.
    Map(Option<u64>),
    /// Says what the item that follows means.
    Tag(u64),
    Bool(bool),
    Null,
    Undefined,
    Float(f64),
}

/// What is left to read.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'de> {
    rest: &'de [u8],
    /// Begun so far.
    items: usize,
}

const BREAK: u8 = 0xff;

impl<'de> Reader<'de> {
    pub(crate) fn new(bytes: &'de [u8]) -> Reader<'de> {
        Reader { rest: bytes, items: 0 }
    }

    /// The next item.
    pub(crate) fn item(&mut self) -> Result<Item<'de>, DecodeError> {
        self.items += 1;
        if self.items > VALUE_ITEMS {
            return Err(DecodeError::TooMany);
        }
        let (major, info) = self.initial()?;
        if major == 7 {
            return self.simple(info);
        }
        let argument = self.argument(info)?;
        let definite = || argument.ok_or(DecodeError::Malformed("a number without its bytes"));
        Ok(match major {
            0 => Item::Unsigned(definite()?),
            1 => Item::Negative(definite()?),
            2 => Item::Bytes(match argument {
                Some(length) => Cow::Borrowed(self.take(length)?),
                None => Cow::Owned(self.parts(2, |_| Ok(()))?),
            }),
            3 => Item::Text(match argument {
                Some(length) => Cow::Borrowed(utf8(self.take(length)?)?),
                // Each part of a text is well-formed by itself (RFC 8949, 3.2.3).
                None => Cow::Owned(
                    String::from_utf8(self.parts(3, |part| utf8(part).map(drop))?).map_err(|_| NOT_UTF8.clone())?,
                ),
            }),
            4 => Item::Array(argument),
            5 => Item::Map(argument),
            _ => Item::Tag(definite()?),
        })
    }

    /// Whether another item of an array or map follows; takes the break where there is one.
    pub(crate) fn more(&mut self, left: &mut Option<u64>) -> Result<bool, DecodeError> {
        match left {
            Some(0) => Ok(false),
            Some(count) => {
                *count -= 1;
                Ok(true)
            }
            None => {
                let is_break = *self.rest.first().ok_or(DecodeError::CutOff)? == BREAK;
                if is_break {
                    self.rest = &self.rest[1..];
                }
                Ok(!is_break)
            }
        }
    }

    /// Bytes not read yet.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    fn initial(&mut self) -> Result<(u8, u8), DecodeError> {
        let initial = self.take(1)?[0];
        Ok((initial >> 5, initial & 0x1f))
    }

    fn argument(&mut self, info: u8) -> Result<Option<u64>, DecodeError> {
        Ok(Some(match info {
            0..24 => u64::from(info),
            24 => u64::from(self.fixed::<1>()?[0]),
            25 => u64::from(u16::from_be_bytes(self.fixed()?)),
            26 => u64::from(u32::from_be_bytes(self.fixed()?)),
            27 => u64::from_be_bytes(self.fixed()?),
            31 => return Ok(None),
            _ => return Err(DecodeError::Malformed("a head of a reserved kind")),
        }))
    }

    fn simple(&mut self, info: u8) -> Result<Item<'de>, DecodeError> {
        Ok(match info {
            20 => Item::Bool(false),
            21 => Item::Bool(true),
            22 => Item::Null,
            23 => Item::Undefined,
            25 => Item::Float(half(u16::from_be_bytes(self.fixed()?))),
            26 => Item::Float(f64::from(f32::from_be_bytes(self.fixed()?))),
            27 => Item::Float(f64::from_be_bytes(self.fixed()?)),
            _ => return Err(DecodeError::Malformed("an unknown simple value, or a break where none may be")),
        })
    }

    /// The parts of a string of indefinite length, joined. Not longer than what was received.
    fn parts(&mut self, major: u8, check: fn(&[u8]) -> Result<(), DecodeError>) -> Result<Vec<u8>, DecodeError> {
        let mut joined = Vec::new();
        while self.more(&mut None)? {
            let (kind, info) = self.initial()?;
            let length = self.argument(info)?.filter(|_| kind == major);
            let part = self.take(length.ok_or(DecodeError::Malformed("a part of another kind in a string"))?)?;
            check(part)?;
            joined.extend_from_slice(part);
        }
        Ok(joined)
    }

    fn take(&mut self, length: u64) -> Result<&'de [u8], DecodeError> {
        let length = usize::try_from(length).map_err(|_| DecodeError::CutOff)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::CutOff)?;
        self.rest = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::CutOff)?;
        self.rest = rest;
        Ok(*taken)
    }
}

/// Checks that bytes are one value as PROTOCOL.md allows them.
pub(crate) fn check(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut reader = Reader::new(bytes);
    check_value(&mut reader, VALUE_DEPTH)?;
    if reader.left() > 0 { Err(DecodeError::Trailing) } else { Ok(()) }
}

fn check_value(reader: &mut Reader<'_>, depth: usize) -> Result<(), DecodeError> {
    let item = reader.item()?;
    let inner = || depth.checked_sub(1).ok_or(DecodeError::TooDeep);
    match item {
        Item::Array(mut left) => {
            let depth = inner()?;
            while reader.more(&mut left)? {
                check_value(reader, depth)?;
            }
        }
        Item::Map(mut left) => {
            let depth = inner()?;
            let mut keys = Keys::default();
            while reader.more(&mut left)? {
                keys.take(Key::read(reader)?)?;
                check_value(reader, depth)?;
            }
        }
        Item::Tag(tag) => {
            let depth = inner()?;
            match tag {
                DATE => drop(date_ms(&reader.item()?)?),
                BIG_POSITIVE | BIG_NEGATIVE => drop(big_integer(reader.item()?)?),
                _ => match ArrayKind::of_tag(tag) {
                    Some(kind) => drop(array_bytes(kind, reader.item()?)?),
                    None => check_value(reader, depth)?,
                },
            }
        }
        _ => {}
    }
    Ok(())
}

/// A date's ms since 1970, from the number inside of its tag.
pub(crate) fn date_ms(item: &Item<'_>) -> Result<f64, DecodeError> {
    let seconds = match item {
        Item::Unsigned(n) if *n <= SAFE_INTEGER => *n as f64,
        Item::Negative(n) if *n < SAFE_INTEGER => -1.0 - *n as f64,
        Item::Float(x) => *x,
        _ => return Err(DecodeError::Malformed("a date that is not a number")),
    };
    // As JavaScript's `Math.round`, which rounds halves up.
    let ms = (seconds * 1_000.0 + 0.5).floor();
    if ms.abs() <= DATE_MS_MAX { Ok(ms) } else { Err(DecodeError::Malformed("a date out of range")) }
}

/// The magnitude of a big integer, highest byte first, without leading zeros.
pub(crate) fn big_integer(item: Item<'_>) -> Result<Cow<'_, [u8]>, DecodeError> {
    let Item::Bytes(bytes) = item else { return Err(DecodeError::Malformed("a big integer that is not bytes")) };
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Ok(match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[zeros..]),
        Cow::Owned(bytes) => Cow::Owned(bytes[zeros..].to_vec()),
    })
}

/// The bytes of a typed array.
pub(crate) fn array_bytes(kind: ArrayKind, item: Item<'_>) -> Result<Cow<'_, [u8]>, DecodeError> {
    match item {
        Item::Bytes(bytes) if bytes.len().is_multiple_of(kind.size()) => Ok(bytes),
        _ => Err(DecodeError::Malformed("a typed array of another size")),
    }
}

/// A map's key: equal where JavaScript's `Map` finds them equal.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key<'de> {
    Nothing,
    Undefined,
    Bool(bool),
    /// A double's bits.
    Number(u64),
    /// Big integers: whether negative, and the magnitude.
    Big(bool, Cow<'de, [u8]>),
    Text(Cow<'de, str>),
}

impl<'de> Key<'de> {
    fn read(reader: &mut Reader<'de>) -> Result<Key<'de>, DecodeError> {
        // A double is exact for the whole numbers that are not big; adding zero makes −0 the same as 0.
        let number = |x: f64| Key::Number(if x.is_nan() { f64::NAN.to_bits() } else { (x + 0.0).to_bits() });
        let big = |n: u64, negative| {
            let bytes = n.to_be_bytes();
            Key::Big(negative, Cow::Owned(bytes[n.leading_zeros() as usize / 8..].to_vec()))
        };
        let mut item = reader.item()?;
        let mut depth = VALUE_DEPTH;
        loop {
            return Ok(match item {
                Item::Unsigned(n) if n <= SAFE_INTEGER => number(n as f64),
                Item::Unsigned(n) => big(n, false),
                Item::Negative(n) if n < SAFE_INTEGER => number(-1.0 - n as f64),
                Item::Negative(n) => big(n, true),
                Item::Float(x) => number(x),
                Item::Text(text) => Key::Text(text),
                Item::Bool(value) => Key::Bool(value),
                Item::Null => Key::Nothing,
                Item::Undefined => Key::Undefined,
                Item::Tag(tag @ (BIG_POSITIVE | BIG_NEGATIVE)) => {
                    Key::Big(tag == BIG_NEGATIVE, big_integer(reader.item()?)?)
                }
                Item::Tag(tag) if tag != DATE && ArrayKind::of_tag(tag).is_none() => {
                    depth = depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
                    item = reader.item()?;
                    continue;
                }
                _ => return Err(DecodeError::Malformed("a map key that is not a plain value")),
            });
        }
    }
}

/// The keys of a map so far: few are compared one by one, which most maps never leave.
#[derive(Default)]
struct Keys<'de> {
    few: Vec<Key<'de>>,
    many: BTreeSet<Key<'de>>,
}

/// Keys up to which looking at each is quicker than a tree.
const FEW_KEYS: usize = 16;

impl<'de> Keys<'de> {
    fn take(&mut self, key: Key<'de>) -> Result<(), DecodeError> {
        if self.few.contains(&key) || self.many.contains(&key) {
            return Err(DecodeError::Malformed("a map key twice"));
        }
        if self.few.len() < FEW_KEYS {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
        Ok(())
    }
}

const NOT_UTF8: DecodeError = DecodeError::Malformed("a text that is not UTF-8");

fn utf8(bytes: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| NOT_UTF8.clone())
}

/// A half-precision number (RFC 8949, appendix D).
pub(crate) fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    match (exponent, bits & 0x3ff) {
        (0x1f, 0) => sign * f64::INFINITY,
        (0x1f, _) => f64::NAN,
        (0, _) => sign * fraction * 2f64.powi(-24),
        _ => sign * (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}
