//! Refusals, one small enum for each operation.

use std::io;

/// Why [`Endpoint::bind`](crate::Endpoint::bind) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The socket could not be made.
    #[error("cannot bind the UDP socket: {0}")]
    Socket(#[from] io::Error),
    /// There is no tokio runtime to wait on.
    #[error("needs a tokio runtime")]
    NoRuntime,
    /// There are no channels, or too many.
    #[error("an endpoint has 1 to 16 channels")]
    Channels,
    /// There is no randomness or no certificate.
    #[error("cannot make a DTLS certificate")]
    Certificate,
}

/// Why [`Endpoint::connect`](crate::Endpoint::connect) failed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// As many peers as [`Config::max_peers`](crate::Config::max_peers) exist.
    #[error("too many peers")]
    Full,
    /// The system gave no random bytes.
    #[error("no randomness")]
    Randomness,
    /// The peer could not be made: a bug.
    #[error("an internal error")]
    Bug,
}

/// Why [`Endpoint::signal`](crate::Endpoint::signal) refused a signal. The peer stays as it was,
/// unless [`Event::Down`](crate::Event::Down) says otherwise.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignalError {
    /// No such peer (any more).
    #[error("no such peer")]
    NoPeer,
    /// Not a description that this side understands.
    #[error("malformed session description")]
    Description,
    /// Not a candidate.
    #[error("malformed candidate")]
    Candidate,
    /// Longer than [`MAX_SDP_BYTES`](crate::MAX_SDP_BYTES) or
    /// [`MAX_CANDIDATE_BYTES`](crate::MAX_CANDIDATE_BYTES).
    #[error("too long")]
    TooLong,
    /// More candidates than [`MAX_REMOTE_CANDIDATES`](crate::MAX_REMOTE_CANDIDATES).
    #[error("too many candidates")]
    TooManyCandidates,
    /// An answer that nobody waits for, or a first offer to the side that makes it.
    #[error("out of order")]
    OutOfOrder,
    /// Both sides offered; ours stands, and the other side gives way.
    #[error("our own offer is under way")]
    Glare,
}

/// Why [`Endpoint::restart`](crate::Endpoint::restart) refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestartError {
    /// No such peer (any more).
    #[error("no such peer")]
    NoPeer,
    /// The first negotiation, or another restart, is not finished.
    #[error("a negotiation is under way")]
    Busy,
}

/// Why [`Endpoint::send`](crate::Endpoint::send) refused a message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// No such peer (any more).
    #[error("no such peer")]
    NoPeer,
    /// The peer is not open yet.
    #[error("not open yet")]
    NotOpen,
    /// No such lane.
    #[error("no such lane")]
    NoLane,
    /// Empty messages do not survive all implementations.
    #[error("empty message")]
    Empty,
    /// Longer than this peer takes.
    #[error("message longer than {max} bytes")]
    TooLong {
        /// The longest it takes.
        max: usize,
    },
    /// The lane's queue has no room: wait for [`Event::Buffered`](crate::Event::Buffered).
    #[error("lane full")]
    Full,
}
