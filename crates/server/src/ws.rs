//! Members' connections: WebSockets from their `join` to their end.

pub(crate) mod connection;
pub(crate) mod flow;
pub(crate) mod frame;
pub(crate) mod socket;
