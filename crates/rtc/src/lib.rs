//! WebRTC for many peers over one UDP socket.
//!
//! An [`Endpoint`] negotiates (offer, answer, candidates), finds a path (ICE), encrypts (DTLS) and
//! carries messages on the same set of pre-negotiated data channels ([`Lane`]s) with each of its
//! peers, natively and with browsers.
//!
//! What it deliberately does not do: carry signals (the application does, see [`Signal`]), repair or
//! order messages beyond what a lane promises, ping (a dead peer is noticed by whoever needs to
//! know soon), reconnect, or know what a room is. It starts no task and no thread: everything
//! happens inside the calls and the one future below.
//!
//! ```
//! use rtc::{ChannelConfig, Config, Endpoint, Event, Lane, Reliability, Role};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let channels = vec![ChannelConfig {
//!     label: "chat".to_owned(),
//!     ordered: true,
//!     reliability: Reliability::Reliable,
//!     priority: 0,
//! }];
//! let config = Config { loopback: true, ..Config::new(channels) };
//! let (mut ada, mut bob) = (Endpoint::bind(config.clone())?, Endpoint::bind(config)?);
//! let to_bob = ada.connect(Role::Offer)?;
//! let to_ada = bob.connect(Role::Answer)?;
//!
//! let greeting = 'met: loop {
//!     // Take all events after each call and each wait, then wait again.
//!     while let Some(event) = ada.poll_event() {
//!         match event {
//!             // Usually over a WebSocket.
//!             Event::Signal { signal, .. } => bob.signal(to_ada, signal)?,
//!             Event::Open { peer, .. } => ada.send(peer, Lane(0), "hello".into())?,
//!             Event::Down { reason, .. } => return Err(reason.into()),
//!             _ => {}
//!         }
//!     }
//!     while let Some(event) = bob.poll_event() {
//!         match event {
//!             Event::Signal { signal, .. } => ada.signal(to_bob, signal)?,
//!             Event::Data { bytes, .. } => break 'met bytes,
//!             Event::Down { reason, .. } => return Err(reason.into()),
//!             _ => {}
//!         }
//!     }
//!     tokio::select! {
//!         () = ada.wait() => {}
//!         () = bob.wait() => {}
//!     }
//! };
//! assert_eq!(greeting, "hello");
//! # Ok(())
//! # }
//! ```
//!
//! Inside: [`Endpoint`] owns the socket (`socket`) and the table of peers (`peers`), which guards
//! each of them against the bugs of the others. `demux` finds the peer of a datagram, `timers` the
//! peers that are due, `peer` drives one `str0m::Rtc`, `lanes` and `budget` decide
//! what it sends next.

mod budget;
mod candidates;
mod config;
mod demux;
mod dtls;
mod endpoint;
mod error;
mod event;
mod lanes;
mod limits;
mod peer;
mod peers;
mod socket;
mod timers;

pub use config::{ChannelConfig, Config, Lane, Reliability};
pub use endpoint::Endpoint;
pub use error::{BindError, ConnectError, RestartError, SendError, SignalError};
pub use event::{CandidateKind, DownReason, Event, Path, PeerId, Role, Signal, Stats};
pub use limits::{
    HANDSHAKE_TIMEOUT, INTERRUPTION_TIMEOUT, LANE_PAUSE_BYTES, LANE_QUEUE_BYTES, LANE_QUEUE_MESSAGES,
    LANE_RESUME_BYTES, MAX_CANDIDATE_BYTES, MAX_HOST_CANDIDATES, MAX_LANES, MAX_MESSAGE_BYTES, MAX_PEERS,
    MAX_REMOTE_CANDIDATES, MAX_SDP_BYTES,
};
