//! What goes over the wire: [`signal`] messages (JSON, member and hub) and [`frame`]s (binary, member and
//! member). The prose is `protocol/PROTOCOL.md`; `protocol/golden/` pins every shape.

pub mod frame;
pub mod signal;
