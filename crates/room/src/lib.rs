//! Rooms without I/O: identities, limits, the wire, the plan, the hub's side and the member's side.
//!
//! Nothing here reads a clock, opens a socket, starts a thread or draws from a global source of randomness. Every
//! machine has the same four methods: `new(config, …)`, `handle(now, Input)`, `poll_output() -> Option<Output>` and
//! `poll_timeout() -> Option<Time>`. Drain the outputs after each `handle`; call `handle(now, Input::Timeout)` when
//! the timeout is due. The same inputs at the same times give the same outputs.

pub mod courier;
pub mod hub;
pub mod id;
pub mod limits;
pub mod member;
pub mod plan;
pub mod time;
pub mod wire;
