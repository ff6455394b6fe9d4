//! What serde gives, as bytes on the wire: definite lengths, shortest heads, numbers as JavaScript would write them.

use std::ops::Range;

use room::limits::{MESSAGE_MAX, VALUE_DEPTH, VALUE_ITEMS};
use serde::ser::{self, Serialize, Serializer};

use super::{
    BIG_NEGATIVE, BIG_POSITIVE, SAFE_INTEGER,
    reader::{DecodeError, check},
};

/// A value that has no form on the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Nested deeper than [`room::limits::VALUE_DEPTH`].
    #[error("the value is nested deeper than {VALUE_DEPTH}")]
    TooDeep,
    /// Of more items than [`room::limits::VALUE_ITEMS`].
    #[error("the value has more than {VALUE_ITEMS} items")]
    TooMany,
    /// A map whose keys are arrays, maps, bytes or the like.
    #[error("a map's keys can only be texts, numbers, booleans or nothing")]
    Key,
    /// Longer than [`room::limits::MESSAGE_MAX`].
    #[error("the value has more than {MESSAGE_MAX} bytes")]
    TooLarge,
    /// The type's own serialisation failed.
    #[error("the value cannot be written: {0}")]
    Custom(String),
}

/// The bytes of a value.
pub(crate) fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut encoder = Encoder { out: Vec::new(), depth: VALUE_DEPTH, raw: false };
    value.serialize(&mut encoder)?;
    bounded(encoder.out)
}

/// The bytes, where there are not too many items in them: each takes at least one.
pub(super) fn bounded(bytes: Vec<u8>) -> Result<Vec<u8>, EncodeError> {
    if bytes.len() > VALUE_ITEMS && check(&bytes) == Err(DecodeError::TooMany) {
        return Err(EncodeError::TooMany);
    }
    Ok(bytes)
}

/// The major types (RFC 8949, 3.1).
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Major {
    Unsigned = 0,
    Negative = 1,
    Bytes = 2,
    Text = 3,
    Array = 4,
    Map = 5,
    Tag = 6,
}

/// Appends a head in its shortest form.
pub(crate) fn push_head(out: &mut Vec<u8>, major: Major, argument: u64) {
    let (bytes, length) = head(major, argument);
    out.extend_from_slice(&bytes[..length]);
}

fn head(major: Major, argument: u64) -> ([u8; 9], usize) {
    let top = (major as u8) << 5;
    let wide = argument.to_be_bytes();
    let (info, width) = match argument {
        0..24 => (wide[7], 0),
        24..0x100 => (24, 1),
        0x100..0x1_0000 => (25, 2),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 8),
    };
    let mut bytes = [0; 9];
    bytes[0] = top | info;
    bytes[1..=width].copy_from_slice(&wide[8 - width..]);
    (bytes, 1 + width)
}

pub(crate) const FALSE: u8 = 0xf4;
pub(crate) const TRUE: u8 = 0xf5;
pub(crate) const NULL: u8 = 0xf6;
const DOUBLE: u8 = 0xfb;

/// Appends a number: an integer where it is whole and JavaScript can count so far, else a double.
pub(crate) fn push_number(out: &mut Vec<u8>, x: f64) {
    let is_minus_zero = x == 0.0 && x.is_sign_negative();
    if x.trunc() == x && x.abs() <= SAFE_INTEGER as f64 && !is_minus_zero {
        return push_integer(out, x as i128);
    }
    // All NaN are one, as in JavaScript.
    let x = if x.is_nan() { f64::NAN } else { x };
    out.push(DOUBLE);
    out.extend_from_slice(&x.to_be_bytes());
}

/// Appends a whole number: a big integer where JavaScript cannot count so far.
pub(crate) fn push_integer(out: &mut Vec<u8>, n: i128) {
    let (major, magnitude) = if n < 0 { (Major::Negative, (-1 - n) as u128) } else { (Major::Unsigned, n as u128) };
    if n.unsigned_abs() <= u128::from(SAFE_INTEGER) {
        return push_head(out, major, magnitude as u64);
    }
    push_big(out, n < 0, magnitude);
}

/// Appends a big integer: `magnitude`, or −1 minus it.
fn push_big(out: &mut Vec<u8>, negative: bool, magnitude: u128) {
    push_big_bytes(out, negative, &magnitude.to_be_bytes());
}

/// As [`push_big`], of any size; highest byte first.
pub(crate) fn push_big_bytes(out: &mut Vec<u8>, negative: bool, magnitude: &[u8]) {
    let zeros = magnitude.iter().take_while(|byte| **byte == 0).count();
    push_head(out, Major::Tag, if negative { BIG_NEGATIVE } else { BIG_POSITIVE });
    push_bytes(out, &magnitude[zeros..]);
}

/// The nearest number of half precision, of two equally near ones the even one.
pub(crate) fn half_bits(x: f64) -> u16 {
    let sign = if x.is_sign_negative() { 0x8000 } else { 0 };
    let magnitude = x.abs();
    if x.is_nan() {
        return 0x7e00;
    }
    // Halfway between the greatest number and what would come after it.
    if magnitude >= 65_520.0 {
        return sign | 0x7c00;
    }
    // Numbers below 2^-14 have the last place of those above.
    let exponent = ((magnitude.to_bits() >> 52) as i32 - 1_023).max(-14);
    let places = (magnitude / 2f64.powi(exponent - 10)).round_ties_even() as u16;
    // The leading one, which is not written, raises the exponent; so does rounding up to the next power of two.
    sign | ((((exponent + 14) as u16) << 10) + places)
}

pub(crate) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_head(out, Major::Bytes, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn push_text(out: &mut Vec<u8>, text: &str) {
    push_head(out, Major::Text, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// The name under which a [`crate::Payload`] gives its bytes to serde: they are a value already.
pub(crate) const RAW: &str = "$roomful::Payload";

struct Encoder {
    out: Vec<u8>,
    /// Levels that may still be entered.
    depth: usize,
    /// Whether the next bytes are a value.
    raw: bool,
}

impl Encoder {
    fn leave_room(&self, more: usize) -> Result<(), EncodeError> {
        if self.out.len() + more > MESSAGE_MAX { Err(EncodeError::TooLarge) } else { Ok(()) }
    }

    /// Begins an array or map. Where its length is not told, or told wrongly, its head is corrected at the end.
    fn begin(&mut self, major: Major, length: Option<usize>) -> Result<Inside<'_>, EncodeError> {
        self.depth = self.depth.checked_sub(1).ok_or(EncodeError::TooDeep)?;
        self.leave_room(9)?;
        let told = length.unwrap_or(0);
        let start = self.out.len();
        push_head(&mut self.out, major, told as u64);
        let content = self.out.len();
        Ok(Inside { encoder: self, major, head: start..content, told, count: 0, variant: false })
    }

    /// Begins a map of one entry, whose key is a variant's name.
    fn begin_variant(&mut self, name: &str) -> Result<(), EncodeError> {
        self.depth = self.depth.checked_sub(1).ok_or(EncodeError::TooDeep)?;
        self.leave_room(18 + name.len())?;
        push_head(&mut self.out, Major::Map, 1);
        push_text(&mut self.out, name);
        Ok(())
    }
}

/// An array or map that is being written.
struct Inside<'a> {
    encoder: &'a mut Encoder,
    major: Major,
    /// Where its head stands.
    head: Range<usize>,
    /// The length that the head says.
    told: usize,
    count: usize,
    /// Whether it is the content of a variant, whose own map ends with it.
    variant: bool,
}

impl<'a> Inside<'a> {
    fn of_variant(self) -> Inside<'a> {
        Inside { variant: true, ..self }
    }

    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        value.serialize(&mut *self.encoder)
    }

    fn end(self) -> Result<(), EncodeError> {
        self.encoder.depth += 1 + usize::from(self.variant);
        if self.told != self.count {
            let (bytes, length) = head(self.major, self.count as u64);
            self.encoder.out.splice(self.head, bytes[..length].iter().copied());
        }
        self.encoder.leave_room(0)
    }
}

impl<'a> Serializer for &'a mut Encoder {
    type Ok = ();
    type Error = EncodeError;
    type SerializeSeq = Inside<'a>;
    type SerializeTuple = Inside<'a>;
    type SerializeTupleStruct = Inside<'a>;
    type SerializeTupleVariant = Inside<'a>;
    type SerializeMap = Inside<'a>;
    type SerializeStruct = Inside<'a>;
    type SerializeStructVariant = Inside<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), EncodeError> {
        self.out.push(if value { TRUE } else { FALSE });
        Ok(())
    }

    fn serialize_i8(self, n: i8) -> Result<(), EncodeError> {
        self.serialize_i128(n.into())
    }

    fn serialize_i16(self, n: i16) -> Result<(), EncodeError> {
        self.serialize_i128(n.into())
    }

    fn serialize_i32(self, n: i32) -> Result<(), EncodeError> {
        self.serialize_i128(n.into())
    }

    fn serialize_i64(self, n: i64) -> Result<(), EncodeError> {
        self.serialize_i128(n.into())
    }

    fn serialize_i128(self, n: i128) -> Result<(), EncodeError> {
        push_integer(&mut self.out, n);
        Ok(())
    }

    fn serialize_u8(self, n: u8) -> Result<(), EncodeError> {
        self.serialize_i128(n.into())
    }

    fn serialize_u16(self, n: u16) -> Result<(), EncodeError> {
        self.serialize_i128(n.into())
    }

    fn serialize_u32(self, n: u32) -> Result<(), EncodeError> {
        self.serialize_i128(n.into())
    }

    fn serialize_u64(self, n: u64) -> Result<(), EncodeError> {
        self.serialize_i128(n.into())
    }

    fn serialize_u128(self, n: u128) -> Result<(), EncodeError> {
        match i128::try_from(n) {
            Ok(n) => push_integer(&mut self.out, n),
            Err(_) => push_big(&mut self.out, false, n),
        }
        Ok(())
    }

    fn serialize_f32(self, x: f32) -> Result<(), EncodeError> {
        self.serialize_f64(x.into())
    }

    fn serialize_f64(self, x: f64) -> Result<(), EncodeError> {
        push_number(&mut self.out, x);
        Ok(())
    }

    fn serialize_char(self, c: char) -> Result<(), EncodeError> {
        self.serialize_str(c.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<(), EncodeError> {
        self.leave_room(9 + text.len())?;
        push_text(&mut self.out, text);
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.leave_room(9 + bytes.len())?;
        if std::mem::take(&mut self.raw) {
            self.out.extend_from_slice(bytes);
        } else {
            push_bytes(&mut self.out, bytes);
        }
        Ok(())
    }

    fn serialize_none(self) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), EncodeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), EncodeError> {
        self.out.push(NULL);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), EncodeError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), EncodeError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<(), EncodeError> {
        self.raw = name == RAW;
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        self.begin_variant(variant)?;
        value.serialize(&mut *self)?;
        self.depth += 1;
        Ok(())
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Inside<'a>, EncodeError> {
        self.begin(Major::Array, length)
    }

    fn serialize_tuple(self, length: usize) -> Result<Inside<'a>, EncodeError> {
        self.begin(Major::Array, Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Inside<'a>, EncodeError> {
        self.begin(Major::Array, Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Inside<'a>, EncodeError> {
        self.begin_variant(variant)?;
        Ok(self.begin(Major::Array, Some(length))?.of_variant())
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Inside<'a>, EncodeError> {
        self.begin(Major::Map, length)
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Inside<'a>, EncodeError> {
        self.begin(Major::Map, Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Inside<'a>, EncodeError> {
        self.begin_variant(variant)?;
        Ok(self.begin(Major::Map, Some(length))?.of_variant())
    }
}

/// Arrays, by whichever name serde has for them.
macro_rules! elements {
    ($($trait:ident::$method:ident)*) => {
        $(
            impl ser::$trait for Inside<'_> {
                type Ok = ();
                type Error = EncodeError;

                fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                    self.count += 1;
                    self.push(value)
                }

                fn end(self) -> Result<(), EncodeError> {
                    Inside::end(self)
                }
            }
        )*
    };
}

elements! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
    SerializeTupleVariant::serialize_field
}

/// Maps with names as keys, by whichever name serde has for them.
macro_rules! fields {
    ($($trait:ident)*) => {
        $(
            impl ser::$trait for Inside<'_> {
                type Ok = ();
                type Error = EncodeError;

                fn serialize_field<T: Serialize + ?Sized>(
                    &mut self,
                    name: &'static str,
                    value: &T,
                ) -> Result<(), EncodeError> {
                    self.count += 1;
                    self.push(name)?;
                    self.push(value)
                }

                fn end(self) -> Result<(), EncodeError> {
                    Inside::end(self)
                }
            }
        )*
    };
}

fields! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Inside<'_> {
    type Ok = ();
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.count += 1;
        let start = self.encoder.out.len();
        self.push(key)?;
        let is_plain = |initial: u8| match initial >> 5 {
            0 | 1 | 3 | 7 => true,
            // Of the tags, only big integers.
            6 => u64::from(initial & 0x1f) == BIG_POSITIVE || u64::from(initial & 0x1f) == BIG_NEGATIVE,
            _ => false,
        };
        if self.encoder.out.get(start).copied().is_some_and(is_plain) { Ok(()) } else { Err(EncodeError::Key) }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.push(value)
    }

    fn end(self) -> Result<(), EncodeError> {
        Inside::end(self)
    }
}

impl ser::Error for EncodeError {
    fn custom<T: std::fmt::Display>(message: T) -> EncodeError {
        EncodeError::Custom(message.to_string())
    }
}
