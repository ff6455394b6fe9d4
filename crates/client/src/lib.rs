//! A Roomful member in Rust: join a room, talk to everyone in it.
