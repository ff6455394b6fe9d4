//! Typed arrays (RFC 8746, little-endian): numbers of one kind, as bytes.

use bytes::Bytes;

/// What numbers a typed array has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArrayKind {
    /// `Uint8Array` with its tag. Without one it is a plain byte string.
    U8,
    /// `Uint8ClampedArray`.
    U8Clamped,
    /// `Uint16Array`.
    U16,
    /// `Uint32Array`.
    U32,
    /// `BigUint64Array`.
    U64,
    /// `Int8Array`.
    I8,
    /// `Int16Array`.
    I16,
    /// `Int32Array`.
    I32,
    /// `BigInt64Array`.
    I64,
    /// `Float16Array`.
    F16,
    /// `Float32Array`.
    F32,
    /// `Float64Array`.
    F64,
}

/// Kinds with their tag (RFC 8746, 2.1), size in bytes and name in JSON.
const KINDS: [(ArrayKind, u64, usize, &str); 12] = [
    (ArrayKind::U8, 64, 1, "uint8"),
    (ArrayKind::U8Clamped, 68, 1, "uint8clamped"),
    (ArrayKind::U16, 69, 2, "uint16"),
    (ArrayKind::U32, 70, 4, "uint32"),
    (ArrayKind::U64, 71, 8, "uint64"),
    (ArrayKind::I8, 72, 1, "int8"),
    (ArrayKind::I16, 77, 2, "int16"),
    (ArrayKind::I32, 78, 4, "int32"),
    (ArrayKind::I64, 79, 8, "int64"),
    (ArrayKind::F16, 84, 2, "float16"),
    (ArrayKind::F32, 85, 4, "float32"),
    (ArrayKind::F64, 86, 8, "float64"),
];

impl ArrayKind {
    pub(crate) fn of_tag(tag: u64) -> Option<ArrayKind> {
        KINDS.iter().find(|(_, of, _, _)| *of == tag).map(|(kind, ..)| *kind)
    }

    pub(crate) fn of_name(name: &str) -> Option<ArrayKind> {
        KINDS.iter().find(|(_, _, _, of)| *of == name).map(|(kind, ..)| *kind)
    }

    fn row(self) -> &'static (ArrayKind, u64, usize, &'static str) {
        // Every kind has its row, in the order of the declaration.
        &KINDS[self as usize]
    }

    pub(crate) fn tag(self) -> u64 {
        self.row().1
    }

    /// Bytes of one number.
    pub fn size(self) -> usize {
        self.row().2
    }

    /// The name, as in JSON: `float32`.
    pub fn name(self) -> &'static str {
        self.row().3
    }
}

/// A typed array as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedArray {
    /// What numbers.
    pub kind: ArrayKind,
    /// The numbers one after another, lowest byte first: a multiple of [`ArrayKind::size`].
    pub bytes: Bytes,
}

impl TypedArray {
    /// The numbers, where they are of this type.
    ///
    /// ```
    /// let payload = roomful::Payload::array(&[0.5f32, 1.0]);
    /// assert_eq!(payload.typed_array().and_then(|array| array.numbers()), Some(vec![0.5f32, 1.0]));
    /// ```
    pub fn numbers<T: Number>(&self) -> Option<Vec<T>> {
        let of_kind = self.kind == T::KIND || (self.kind == ArrayKind::U8Clamped && T::KIND == ArrayKind::U8);
        of_kind.then(|| self.bytes.chunks_exact(T::KIND.size()).map(T::from_little_endian).collect())
    }
}

/// A number that typed arrays may have.
pub trait Number: Copy + sealed::Sealed {
    #[doc(hidden)]
    const KIND: ArrayKind;
    #[doc(hidden)]
    fn from_little_endian(bytes: &[u8]) -> Self;
    #[doc(hidden)]
    fn push_little_endian(self, bytes: &mut Vec<u8>);
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! numbers {
    ($($type:ty = $kind:ident;)*) => {
        $(
            impl sealed::Sealed for $type {}

            impl Number for $type {
                const KIND: ArrayKind = ArrayKind::$kind;

                fn from_little_endian(bytes: &[u8]) -> $type {
                    <$type>::from_le_bytes(bytes.try_into().expect("chunks have the number's size"))
                }

                fn push_little_endian(self, bytes: &mut Vec<u8>) {
                    bytes.extend_from_slice(&self.to_le_bytes());
                }
            }
        )*
    };
}

numbers! {
    u8 = U8;
    u16 = U16;
    u32 = U32;
    u64 = U64;
    i8 = I8;
    i16 = I16;
    i32 = I32;
    i64 = I64;
    f32 = F32;
    f64 = F64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_row() {
        for (place, (kind, tag, size, name)) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            assert_eq!((kind.tag(), kind.size(), kind.name()), (tag, size, name));
            assert_eq!((ArrayKind::of_tag(tag), ArrayKind::of_name(name)), (Some(kind), Some(kind)));
        }
    }
}
