//! Every bound of this crate, by name.

use std::time::Duration;

/// The longest message that [`Endpoint::send`](crate::Endpoint::send) takes, in bytes; a remote
/// that announces a smaller limit lowers it for that peer. Also what we announce ourselves, so a
/// remote cannot make us reassemble more than this per message.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// A writer that sees this much in [`Endpoint::buffered`](crate::Endpoint::buffered) should pause
/// until the lane's next [`Event::Buffered`](crate::Event::Buffered).
pub const LANE_PAUSE_BYTES: usize = 256 * 1024;

/// [`Event::Buffered`](crate::Event::Buffered) is sent when what a lane holds falls to this; on long
/// paths also before that, at up to three quarters of [`LANE_PAUSE_BYTES`].
pub const LANE_RESUME_BYTES: usize = 64 * 1024;

/// Bytes that wait on one lane before [`SendError::Full`](crate::SendError::Full).
pub const LANE_QUEUE_BYTES: usize = 1024 * 1024;

/// Messages that wait on one lane before [`SendError::Full`](crate::SendError::Full).
pub const LANE_QUEUE_MESSAGES: usize = 16 * 1024;

/// Lanes that one endpoint may declare.
pub const MAX_LANES: usize = 16;

/// Peers that one endpoint may hold, whatever its configuration says.
pub const MAX_PEERS: usize = 60_000;

/// From [`Endpoint::connect`](crate::Endpoint::connect) (or a restart) to open lanes.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a peer that lost its ICE path may stay so before it is given up. A restart begun
/// meanwhile has [`HANDSHAKE_TIMEOUT`].
pub const INTERRUPTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest session description accepted, in bytes. Chromium's with audio and video and
/// every codec is about 12 KiB.
pub const MAX_SDP_BYTES: usize = 64 * 1024;

/// The longest candidate line accepted, in bytes.
pub const MAX_CANDIDATE_BYTES: usize = 512;

/// Remote candidates accepted per peer and ICE generation, whether in the description or trickled.
pub const MAX_REMOTE_CANDIDATES: usize = 48;

/// Host candidates that we offer.
pub const MAX_HOST_CANDIDATES: usize = 16;

/// How old the list of our interfaces may be when a peer is made.
pub(crate) const HOSTS_MAX_AGE: Duration = Duration::from_secs(2);

/// What we let SCTP hold, sent but unacknowledged or about to be sent, on short paths. `sctp-proto`
/// walks all of it for each packet, and bursts above this overflow a browser's socket buffer (then
/// a 1 s timeout).
pub(crate) const SCTP_BUDGET_BYTES: usize = 64 * 1024;

/// The same on long paths, where more must be under way to fill them. SCTP does not pace: a path
/// that only delays hands all of this to the remote's socket buffer in one burst.
pub(crate) const SCTP_BUDGET_MAX_BYTES: usize = 128 * 1024;

/// What the most urgent lanes may use beyond the budget, so that they never wait for bulk to be
/// acknowledged first.
pub(crate) const SCTP_URGENT_BYTES: usize = 16 * 1024;

/// A waiting lane is served out of turn after this many bytes of more urgent lanes went past it.
pub(crate) const STARVATION_BYTES: usize = 128 * 1024;

/// Remote addresses remembered per peer for demultiplexing.
pub(crate) const ADDRESSES_PER_PEER: usize = 8;

/// ICE user fragments a peer may own: the current one and the one of a restart under way.
pub(crate) const UFRAGS_PER_PEER: usize = 2;

/// Our own STUN checks in flight over all peers; older ones are forgotten.
pub(crate) const CHECKS_IN_FLIGHT: usize = 8 * 1024;

/// Receive buffers filled by one system call. Each takes a whole run of coalesced datagrams.
pub(crate) const RECEIVE_BATCH: usize = 32;

/// Size of a receive buffer: the longest coalesced run.
pub(crate) const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;

/// Encrypted datagrams given to a peer between two drains; `dimpl` holds 30.
pub(crate) const DATAGRAMS_PER_DRAIN: usize = 24;

/// Kernel socket buffers asked for; the kernel gives what it allows.
pub(crate) const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of one segmented send.
pub(crate) const RUN_BYTES: usize = 60_000;

/// Segments of one segmented send.
pub(crate) const RUN_SEGMENTS: usize = 40;

/// How often segmentation is tried again after an error that looked like its lack.
pub(crate) const SEGMENTATION_RENEWAL: Duration = Duration::from_secs(10);

/// Bytes kept while the kernel's send buffer is full; more is dropped, as UDP does.
pub(crate) const BACKLOG_BYTES: usize = 512 * 1024;

/// Stale entries the timer heap may hold per peer before it is rebuilt.
pub(crate) const TIMER_ENTRIES_PER_PEER: usize = 8;
