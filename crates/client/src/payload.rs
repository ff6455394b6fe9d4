//! What members say to each other: one value, as it is on the wire.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};

use crate::value::{
    array::{Number, TypedArray},
    decode,
    encode::{self, EncodeError, Major},
    json::{self, FromJsonError},
    reader::{self, DecodeError, Item, Reader},
};

/// One value: a text, bytes, a number, or anything that serde can write, the same for every language.
///
/// It is kept as it is on the wire, so passing it on costs nothing, and reading a text or bytes copies nothing.
///
/// ```
/// use roomful::Payload;
///
/// let hello = Payload::from("hello");
/// assert_eq!(hello.text(), Some("hello"));
///
/// let point = Payload::value(&(1, 2.5))?;
/// assert_eq!(point.to::<(f64, f64)>()?, (1.0, 2.5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Bytes);

impl Payload {
    /// A value of any type that serde can write. Structures become maps of their fields' names, as in JavaScript.
    ///
    /// Serde writes a `Vec<u8>` as an array of numbers; for bytes use [`Payload::from`].
    ///
    /// # Errors
    /// If it is too deep or too long, or its own serialisation fails.
    pub fn value<T: Serialize + ?Sized>(value: &T) -> Result<Payload, EncodeError> {
        encode::to_bytes(value).map(|bytes| Payload(bytes.into()))
    }

    /// Numbers as a typed array: `Float32Array` and its like in JavaScript.
    pub fn array<T: Number>(numbers: &[T]) -> Payload {
        let length = numbers.len() * T::KIND.size();
        let mut bytes = Vec::with_capacity(11 + length);
        encode::push_head(&mut bytes, Major::Tag, T::KIND.tag());
        encode::push_head(&mut bytes, Major::Bytes, length as u64);
        for number in numbers {
            number.push_little_endian(&mut bytes);
        }
        Payload(bytes.into())
    }

    /// The value that JSON stands for, as [`Payload::to_json`] writes it.
    ///
    /// # Errors
    /// If an object of one key that begins with `$` stands for nothing known, or the value is too deep or too long.
    pub fn from_json(json: &serde_json::Value) -> Result<Payload, FromJsonError> {
        json::from_json(json).map(|bytes| Payload(bytes.into()))
    }

    /// A value that is CBOR already. It is read, and perhaps refused, only by who receives it.
    pub fn from_cbor(bytes: Bytes) -> Payload {
        Payload(bytes)
    }

    /// The text, where it is one.
    pub fn text(&self) -> Option<&str> {
        match self.only_item()? {
            Item::Text(std::borrow::Cow::Borrowed(text)) => Some(text),
            _ => None,
        }
    }

    /// The bytes, where it is a byte string. Nothing is copied.
    pub fn bytes(&self) -> Option<Bytes> {
        match self.only_item()? {
            Item::Bytes(std::borrow::Cow::Borrowed(bytes)) => Some(self.0.slice_ref(bytes)),
            Item::Bytes(std::borrow::Cow::Owned(bytes)) => Some(bytes.into()),
            _ => None,
        }
    }

    /// The typed array, where it is one. Nothing is copied.
    pub fn typed_array(&self) -> Option<TypedArray> {
        let mut reader = Reader::new(&self.0);
        let Item::Tag(tag) = reader.item().ok()? else { return None };
        let kind = crate::ArrayKind::of_tag(tag)?;
        let bytes = reader::array_bytes(kind, reader.item().ok()?).ok().filter(|_| reader.left() == 0)?;
        let bytes = match bytes {
            std::borrow::Cow::Borrowed(bytes) => self.0.slice_ref(bytes),
            std::borrow::Cow::Owned(bytes) => bytes.into(),
        };
        Some(TypedArray { kind, bytes })
    }

    /// The value as a type that serde can read; it may borrow texts and bytes.
    ///
    /// Whole numbers fit where floats are wanted, byte strings and typed arrays where sequences are. A date is the
    /// number of its seconds since 1970.
    ///
    /// # Errors
    /// If it is not a value, or not of that shape.
    pub fn to<'de, T: Deserialize<'de>>(&'de self) -> Result<T, DecodeError> {
        decode::from_bytes(&self.0)
    }

    /// The value as JSON. What JSON lacks is an object of one key:
    ///
    /// | value | JSON |
    /// | --- | --- |
    /// | byte string | `{"$bytes": "base64"}` |
    /// | typed array | `{"$float32": [0.5, 1]}`, by [`ArrayKind::name`](crate::ArrayKind::name); base64 where it is long |
    /// | date | `{"$date": ms since 1970}` |
    /// | big integer | `{"$bigint": "-18446744073709551616"}` |
    /// | NaN, infinities, −0 | `{"$number": "NaN"}`, `"Infinity"`, `"-Infinity"`, `"-0"` |
    /// | undefined | `{"$undefined": true}` |
    /// | map whose keys are not all texts, or look like one of these | `{"$map": [[key, value], …]}` |
    ///
    /// # Errors
    /// If it is not a value.
    pub fn to_json(&self) -> Result<serde_json::Value, DecodeError> {
        json::to_json(&self.0)
    }

    /// Whether it is a value at all: what others send may not be. Everything that reads it checks as much.
    ///
    /// # Errors
    /// If it is not.
    pub fn check(&self) -> Result<(), DecodeError> {
        reader::check(&self.0)
    }

    /// As on the wire.
    pub fn as_cbor(&self) -> &Bytes {
        &self.0
    }

    /// As on the wire.
    pub fn into_cbor(self) -> Bytes {
        self.0
    }

    /// The item, where nothing comes after it.
    fn only_item(&self) -> Option<Item<'_>> {
        let mut reader = Reader::new(&self.0);
        let item = reader.item().ok()?;
        (reader.left() == 0).then_some(item)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        match self.text() {
            Some(text) if text.len() <= SHOWN => write!(f, "Payload({text:?})"),
            _ => write!(f, "Payload({} bytes)", self.0.len()),
        }
    }
}

/// Inside of another value, the value that it is. In formats other than Roomful's, its bytes as on the wire.
impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Raw<'a>(&'a [u8]);
        impl Serialize for Raw<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(self.0)
            }
        }
        serializer.serialize_newtype_struct(encode::RAW, &Raw(&self.0))
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Payload {
        let mut bytes = Vec::with_capacity(9 + text.len());
        encode::push_text(&mut bytes, text);
        Payload(bytes.into())
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Payload {
        text.as_str().into()
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Payload {
        let mut out = Vec::with_capacity(9 + bytes.len());
        encode::push_bytes(&mut out, bytes);
        Payload(out.into())
    }
}

impl<const N: usize> From<&[u8; N]> for Payload {
    fn from(bytes: &[u8; N]) -> Payload {
        bytes.as_slice().into()
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Payload {
        bytes.as_slice().into()
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Payload {
        bytes.as_ref().into()
    }
}

impl From<()> for Payload {
    fn from((): ()) -> Payload {
        Payload(Bytes::from_static(&[encode::NULL]))
    }
}

impl From<bool> for Payload {
    fn from(value: bool) -> Payload {
        Payload(Bytes::from_static(if value { &[encode::TRUE] } else { &[encode::FALSE] }))
    }
}

macro_rules! from_numbers {
    ($push:ident: $($type:ty)*) => {
        $(
            impl From<$type> for Payload {
                fn from(number: $type) -> Payload {
                    let mut bytes = Vec::with_capacity(9);
                    encode::$push(&mut bytes, number.into());
                    Payload(bytes.into())
                }
            }
        )*
    };
}

from_numbers!(push_integer: i8 i16 i32 i64 u8 u16 u32 u64);
from_numbers!(push_number: f32 f64);
