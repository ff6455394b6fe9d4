//! Values on the wire: one CBOR item (RFC 8949), in the profile of PROTOCOL.md, "Values".
//!
//! - [`reader`] reads items one by one and checks whole values; [`decode`] gives them to serde.
//! - [`encode`] writes what serde gives, as the JavaScript member would.
//! - [`json`] turns values into JSON and back, for people and scripts.
//!
//! The codec is ours because general ones differ where the profile does not: they write floats in the shortest form,
//! refuse a whole number where a float is expected (JavaScript has no other way to send `2.0`), and lose typed arrays.

pub(crate) mod array;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod json;
pub(crate) mod reader;

/// Tag of a date: seconds since 1970 (RFC 8949, 3.4.2).
pub(crate) const DATE: u64 = 1;
/// Tag of a non-negative big integer: bytes, highest first (RFC 8949, 3.4.3).
pub(crate) const BIG_POSITIVE: u64 = 2;
/// Tag of a negative big integer: −1 minus the bytes.
pub(crate) const BIG_NEGATIVE: u64 = 3;
/// The largest whole number that JavaScript counts with: 2^53 − 1. Beyond, whole numbers are big integers.
pub(crate) const SAFE_INTEGER: u64 = (1 << 53) - 1;
/// The furthest date of JavaScript from 1970, in ms (ECMA-262, 21.4.1.1).
pub(crate) const DATE_MS_MAX: f64 = 8.64e15;
