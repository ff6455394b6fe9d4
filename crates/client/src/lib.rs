//! A Roomful member in Rust: join a room, talk to everyone in it.
mod payload;
mod value;
pub use payload::Payload;
pub use value::{
    array::{ArrayKind, Number, TypedArray},
    encode::EncodeError,
    json::FromJsonError,
    reader::DecodeError,
};
