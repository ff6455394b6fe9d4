//! Values as serde's types, borrowing from the bytes.

use std::borrow::Cow;

use room::limits::VALUE_DEPTH;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
    value::{BorrowedStrDeserializer, StringDeserializer},
};

use super::{
    BIG_NEGATIVE, BIG_POSITIVE,
    array::{ArrayKind, Number},
    reader::{DecodeError, Item, Reader, array_bytes, big_integer, check, half},
};

/// A value as a type that serde knows.
///
/// Whole numbers fit where floats are wanted, byte strings where sequences are, and typed arrays are both. Tags that
/// are not known are passed over, as is a date's, which is the number of its seconds since 1970.
pub(crate) fn from_bytes<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, DecodeError> {
    check(bytes)?;
    T::deserialize(&mut Value { reader: Reader::new(bytes), depth: VALUE_DEPTH })
}

struct Value<'de> {
    reader: Reader<'de>,
    /// Levels that may still be entered.
    depth: usize,
}

/// What is wanted of bytes and typed arrays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Any,
    Bytes,
    Sequence,
}

impl<'de> Value<'de> {
    fn visit<V: Visitor<'de>>(&mut self, item: Item<'de>, wanted: Wanted, visitor: V) -> Result<V::Value, DecodeError> {
        match item {
            Item::Unsigned(n) => visitor.visit_u64(n),
            Item::Negative(n) => match i64::try_from(n) {
                Ok(n) => visitor.visit_i64(-1 - n),
                Err(_) => visitor.visit_i128(-1 - i128::from(n)),
            },
            Item::Bytes(bytes) if wanted == Wanted::Sequence => visit_numbers(ArrayKind::U8, &bytes, visitor),
            Item::Bytes(Cow::Borrowed(bytes)) => visitor.visit_borrowed_bytes(bytes),
            Item::Bytes(Cow::Owned(bytes)) => visitor.visit_byte_buf(bytes),
            Item::Text(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Item::Text(Cow::Owned(text)) => visitor.visit_string(text),
            Item::Array(left) => self.enter(|value| visitor.visit_seq(Items { value, left })),
            Item::Map(left) => self.enter(|value| visitor.visit_map(Items { value, left })),
            Item::Tag(tag) => self.enter(|value| value.visit_tagged(tag, wanted, visitor)),
            Item::Bool(value) => visitor.visit_bool(value),
            Item::Null | Item::Undefined => visitor.visit_unit(),
            Item::Float(x) => visitor.visit_f64(x),
        }
    }

    fn visit_tagged<V: Visitor<'de>>(&mut self, tag: u64, wanted: Wanted, visitor: V) -> Result<V::Value, DecodeError> {
        let item = self.reader.item()?;
        if tag == BIG_POSITIVE || tag == BIG_NEGATIVE {
            return visit_big(tag == BIG_NEGATIVE, &big_integer(item)?, visitor);
        }
        match ArrayKind::of_tag(tag) {
            Some(kind) if wanted != Wanted::Bytes => visit_numbers(kind, &array_bytes(kind, item)?, visitor),
            Some(_) | None => self.visit(item, wanted, visitor),
        }
    }

    /// One level down, and up again.
    fn enter<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T, DecodeError>) -> Result<T, DecodeError> {
        self.depth = self.depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
        let result = inside(self);
        self.depth += 1;
        result
    }
}

fn visit_big<'de, V: Visitor<'de>>(negative: bool, magnitude: &[u8], visitor: V) -> Result<V::Value, DecodeError> {
    let mut wide = [0; 16];
    let Some(start) = wide.len().checked_sub(magnitude.len()) else {
        return Err(DecodeError::Shape("an integer of more than 128 bits".to_owned()));
    };
    wide[start..].copy_from_slice(magnitude);
    let n = u128::from_be_bytes(wide);
    if !negative {
        return match u64::try_from(n) {
            Ok(n) => visitor.visit_u64(n),
            Err(_) => visitor.visit_u128(n),
        };
    }
    let n = i128::try_from(n).map_err(|_| DecodeError::Shape("an integer of more than 128 bits".to_owned()))?;
    match i64::try_from(-1 - n) {
        Ok(n) => visitor.visit_i64(n),
        Err(_) => visitor.visit_i128(-1 - n),
    }
}

fn visit_numbers<'de, V: Visitor<'de>>(kind: ArrayKind, bytes: &[u8], visitor: V) -> Result<V::Value, DecodeError> {
    fn numbers<'a, T: Number + 'a>(bytes: &'a [u8]) -> impl ExactSizeIterator<Item = T> + 'a {
        bytes.chunks_exact(T::KIND.size()).map(T::from_little_endian)
    }
    macro_rules! visit {
        ($type:ty) => {
            visitor.visit_seq(de::value::SeqDeserializer::new(numbers::<$type>(bytes)))
        };
    }
    match kind {
        ArrayKind::U8 | ArrayKind::U8Clamped => visit!(u8),
        ArrayKind::U16 => visit!(u16),
        ArrayKind::U32 => visit!(u32),
        ArrayKind::U64 => visit!(u64),
        ArrayKind::I8 => visit!(i8),
        ArrayKind::I16 => visit!(i16),
        ArrayKind::I32 => visit!(i32),
        ArrayKind::I64 => visit!(i64),
        ArrayKind::F16 => visitor.visit_seq(de::value::SeqDeserializer::new(numbers::<u16>(bytes).map(half))),
        ArrayKind::F32 => visit!(f32),
        ArrayKind::F64 => visit!(f64),
    }
}

impl<'de> Deserializer<'de> for &mut Value<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let item = self.reader.item()?;
        self.visit(item, Wanted::Any, visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let item = self.reader.item()?;
        self.visit(item, Wanted::Bytes, visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let item = self.reader.item()?;
        self.visit(item, Wanted::Sequence, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let mut ahead = self.reader.clone();
        if matches!(ahead.item()?, Item::Null | Item::Undefined) {
            self.reader = ahead;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    /// As serde's JSON: a variant without content is its name, one with content a map of one entry.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.reader.item()? {
            Item::Text(Cow::Borrowed(name)) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
            Item::Text(Cow::Owned(name)) => visitor.visit_enum(de::IntoDeserializer::into_deserializer(name)),
            Item::Map(mut left) => self.enter(|value| {
                if !value.reader.more(&mut left)? {
                    return Err(DecodeError::Shape("an empty map where a variant is expected".to_owned()));
                }
                let result = visitor.visit_enum(Variant { value: &mut *value })?;
                if value.reader.more(&mut left)? {
                    return Err(DecodeError::Shape("a map of more than one variant".to_owned()));
                }
                Ok(result)
            }),
            _ => Err(DecodeError::Shape("neither a name nor a map where a variant is expected".to_owned())),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string unit unit_struct map struct identifier
        ignored_any
    }
}

/// What is inside of an array or map.
struct Items<'a, 'de> {
    value: &'a mut Value<'de>,
    left: Option<u64>,
}

impl Items<'_, '_> {
    /// At most what the bytes received can hold: a head only claims.
    fn hint(&self) -> Option<usize> {
        let claimed = usize::try_from(self.left?).unwrap_or(usize::MAX);
        Some(claimed.min(self.value.reader.left()))
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        if !self.value.reader.more(&mut self.left)? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.value).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        seed.deserialize(&mut *self.value)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

/// A map of one entry, read as a variant.
struct Variant<'a, 'de> {
    value: &'a mut Value<'de>,
}

impl<'a, 'de> EnumAccess<'de> for Variant<'a, 'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), DecodeError> {
        let name = String::deserialize(&mut *self.value)?;
        let variant = seed.deserialize(StringDeserializer::<DecodeError>::new(name))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        Deserialize::deserialize(self.value)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DecodeError> {
        seed.deserialize(self.value)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.value.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, DecodeError> {
        self.value.deserialize_any(visitor)
    }
}

impl de::Error for DecodeError {
    fn custom<T: std::fmt::Display>(message: T) -> DecodeError {
        DecodeError::Shape(message.to_string())
    }
}
