//! What deepstream's clients expect of a server, without I/O: events, records and lists, calls, presence.
//!
//! Two protocols, of the older client (`deepstream.io-client-js` 2.3, text) and of the newer one (`@deepstream/client`
//! 7, protobuf), are two codecs before one [`Engine`], so that clients of both kinds talk to each other. This crate
//! does not open sockets, does not check passwords and does not write to disks: whoever owns an engine does that, and
//! tells it what happened. Nothing here reads a clock or draws from a global source of randomness: the same inputs at
//! the same times give the same outputs.
//!
//! ```
//! use deepstream::{Config, ConnId, Engine, Frame, Identity, Input, Output, Wire, time::Time};
//!
//! let mut now = Time(0);
//! let mut engine = Engine::new(Config::default(), 1, now);
//! let conn = ConnId(1);
//! let mut inputs = vec![Input::Connected { conn, wire: Some(Wire::Text) }];
//! let said = ["C\u{1f}CHR\u{1f}ws://127.0.0.1/deepstream\u{1e}", "A\u{1f}REQ\u{1f}{}\u{1e}", "R\u{1f}CR\u{1f}users\u{1e}"];
//! inputs.extend(said.map(|text| Input::Received { conn, frame: Frame::Text(text.into()) }));
//! let mut heard = String::new();
//! for input in inputs {
//!     engine.handle(now, input);
//!     while let Some(output) = engine.poll_output() {
//!         match output {
//!             Output::Send { to, frame } => {
//!                 assert_eq!(to, [conn]);
//!                 heard += str::from_utf8(frame.bytes())?;
//!             }
//!             Output::Authenticate { conn, .. } => {
//!                 engine.handle(now, Input::Authenticated { conn, result: Ok(Identity::default()) });
//!             }
//!             output => panic!("{output:?}"),
//!         }
//!     }
//! }
//! assert_eq!(heard.replace('\u{1f}', "|").replace('\u{1e}', "+"), "C|CH+C|A+A|A+R|A|S|users+R|R|users|0|{}+");
//! // … and whenever this time comes, without other input:
//! now = engine.poll_timeout().expect("somebody is there, so that heartbeats are due");
//! engine.handle(now, Input::Timeout);
//! # Ok::<(), std::str::Utf8Error>(())
//! ```

mod engine;
mod json;
pub mod limits;
mod message;
pub mod name;
pub mod pattern;
mod payload;
pub mod permission;
#[cfg(test)]
mod tests;
pub mod time;
mod wire;

pub use engine::{Config, ConnId, Counters, Engine, Identity, Input, Loaded, Output, Rejection, StoredRecord, Ticket};
pub use wire::{Frame, Wire};
