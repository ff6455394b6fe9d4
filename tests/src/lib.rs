//! Tests of whole rooms: real servers, members, browsers. Those with browsers are in `browser/`; what the documents
//! show in Rust is in `examples/`, which `tests/documents.rs` compares with them.
