//! What goes over the wire: [`signal`] messages (JSON, member and hub), [`frame`]s (binary, member and member), and
//! what a hub [carries](carried) from one member to another. The prose is `protocol/PROTOCOL.md`; `protocol/golden/` pins every shape.

pub mod carried;
pub mod frame;
pub mod hex;
pub mod refusal;
pub mod signal;
