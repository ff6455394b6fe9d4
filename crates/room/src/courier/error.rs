//! What ends links.

use super::window::Violation;
use crate::wire::frame;

/// How the other end of a link broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Not a frame.
    #[error("bad_frame: {0}")]
    Frame(#[from] frame::FrameError),
    /// A frame that does not belong on a link's reliable lane, or not yet.
    #[error("bad_frame: a frame before HELLO, or a second HELLO")]
    Hello,
    /// It brought what its origin has not said, or not here.
    #[error("forged: it passed on what its origin did not say")]
    Forged,
    /// A frame that does not belong on a link's lossy lane.
    #[error("bad_frame: a frame that is not lossy on the lossy lane")]
    Lane,
    /// A version that this member does not speak.
    #[error("bad_frame: version {0}")]
    Version(u64),
    /// It passed on what breaks the rules of messages.
    #[error("bad_frame: {0}")]
    Message(#[from] Violation),
    /// It claims to have what was never sent.
    #[error("bad_frame: an acknowledgement of what was never sent")]
    Acknowledged,
    /// More than the credit allows.
    #[error("over_credit")]
    OverCredit,
}
