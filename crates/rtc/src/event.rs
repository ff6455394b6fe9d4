//! What an endpoint says, and what it is told about peers.

use std::fmt;

use bytes::Bytes;

use crate::Lane;

/// Names a peer for as long as its endpoint lives: ids are never used twice, so a stale one is
/// harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub(crate) u64);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Who begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We make the offer.
    Offer,
    /// We wait for the remote's.
    Answer,
}

/// A piece of negotiation, to be carried to the other side by the application, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A session description (RFC 8866).
    Offer(String),
    /// The answer to one (RFC 3264).
    Answer(String),
    /// An ICE candidate, `candidate:…` (RFC 8839, section 5.1). Empty: there are no more.
    Candidate(String),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Carry this to the remote.
    Signal {
        /// From this peer.
        peer: PeerId,
        /// As given to [`Endpoint::signal`](crate::Endpoint::signal) over there.
        signal: Signal,
    },
    /// The lanes are open. Sent once, before any data.
    Open {
        /// The peer.
        peer: PeerId,
        /// How it is reached.
        path: Path,
    },
    /// The peer is now reached in another way.
    Path {
        /// The peer.
        peer: PeerId,
        /// How it is reached.
        path: Path,
    },
    /// A message arrived: 1 to [`MAX_MESSAGE_BYTES`](crate::MAX_MESSAGE_BYTES) bytes.
    Data {
        /// From this peer.
        peer: PeerId,
        /// On this lane.
        lane: Lane,
        /// The message.
        bytes: Bytes,
    },
    /// A writer that paused at [`LANE_PAUSE_BYTES`](crate::LANE_PAUSE_BYTES) may go on: what the lane
    /// holds fell to [`LANE_RESUME_BYTES`](crate::LANE_RESUME_BYTES), or far enough for this path.
    Buffered {
        /// The peer.
        peer: PeerId,
        /// The lane.
        lane: Lane,
        /// What it still holds.
        bytes: usize,
    },
    /// ICE lost its path. A [restart](crate::Endpoint::restart) may find another within
    /// [`INTERRUPTION_TIMEOUT`](crate::INTERRUPTION_TIMEOUT).
    Interrupted {
        /// The peer.
        peer: PeerId,
    },
    /// The peer is gone, and so is what waited for it. Not sent after
    /// [`Endpoint::close`](crate::Endpoint::close).
    Down {
        /// The peer.
        peer: PeerId,
        /// Why.
        reason: DownReason,
    },
}

/// How two peers reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// Our side.
    pub local: CandidateKind,
    /// Their side.
    pub remote: CandidateKind,
}

/// Kind of an ICE candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandidateKind {
    /// An address of the host itself.
    Host,
    /// An address seen from outside, behind address translation.
    Reflexive,
    /// An address of a TURN server.
    Relayed,
}

impl fmt::Display for CandidateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CandidateKind::Host => "host",
            CandidateKind::Reflexive => "reflexive",
            CandidateKind::Relayed => "relayed",
        })
    }
}

/// Why a peer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DownReason {
    /// The remote closed the connection or a data channel.
    #[error("closed by the other side")]
    Closed,
    /// Not open within [`HANDSHAKE_TIMEOUT`](crate::HANDSHAKE_TIMEOUT).
    #[error("no connection could be made in time")]
    HandshakeTimeout,
    /// ICE found no working path any more.
    #[error("the network path was lost")]
    PathLost,
    /// DTLS failed, for instance because the certificate is not the announced one.
    #[error("the encrypted connection failed")]
    Dtls,
    /// The SCTP association failed.
    #[error("the data channels failed")]
    Sctp,
    /// The description leaves nothing to connect to.
    #[error("the session description cannot be used")]
    Description,
    /// A bug in this program ended this peer.
    #[error("an internal error")]
    Bug,
}

/// Counters since the endpoint was bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams received.
    pub packets_in: u64,
    /// Datagrams sent.
    pub packets_out: u64,
    /// Bytes of the datagrams received.
    pub bytes_in: u64,
    /// Bytes of the datagrams sent.
    pub bytes_out: u64,
    /// Datagrams received that no peer claimed.
    pub unclaimed_in: u64,
    /// Datagrams received that a peer could not read.
    pub malformed_in: u64,
    /// Datagrams not sent: no route, or no room.
    pub dropped_out: u64,
    /// Peers now.
    pub peers: u64,
    /// Peers ended by a bug.
    pub bugs: u64,
}
