//! Bounds of the server's edge: sockets, requests, queues. What rooms and messages may be is in [`room::limits`].

use std::{ops::RangeInclusive, time::Duration};

use crate::bucket::Rate;

// ---- HTTP ---------------------------------------------------------------------------------------

/// Bytes in a request's head.
pub const HEAD_BYTES: usize = 16 * 1024;
/// Headers in a request.
pub const HEADERS: usize = 64;
/// Time for a request's head to arrive, and for an idle connection to send its next one.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a TLS handshake.
pub const TLS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one connection may ask for pages and files before it is asked to connect anew. It is also the longest
/// that a client which does not read its response can hold on to a socket.
pub const HTTP_LIFETIME: Duration = Duration::from_secs(120);
/// How long a connection may take to finish the response under way when it is asked to end.
pub const HTTP_GRACE: Duration = Duration::from_secs(3);
/// Sockets beside those of members: for pages, files and refusals.
pub const SPARE_SOCKETS: usize = 1_024;
/// The same, of one address.
pub const SPARE_SOCKETS_PER_ADDRESS: u32 = 64;
/// How many more sockets than member connections one address may open in the same time.
pub const SOCKETS_PER_CONNECT: u32 = 8;
/// Connections that the kernel keeps until they are accepted.
pub const BACKLOG: u32 = 4_096;
/// Pause after the system has refused to accept a connection, as for want of file descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

// ---- addresses ----------------------------------------------------------------------------------

/// Addresses that are remembered for their limits.
pub const ADDRESSES: usize = 65_536;
/// The shortest time between two searches of a full table for addresses to forget.
pub const SWEEP_PAUSE: Duration = Duration::from_secs(1);
/// Joins, and logins of deepstream's clients, that may fail at once, an address.
pub const FAILED_JOINS: u32 = 64;
/// The same a second, in the long run.
pub const FAILED_JOINS_PER_SECOND: u32 = 1;

// ---- members' connections -----------------------------------------------------------------------

/// Bytes of a socket's read buffer. Larger messages have a larger one made for them.
pub const READ_BUFFER: usize = 2 * 1024;
/// Bytes of answers to pings that wait to be written.
pub const CONTROL_BYTES: usize = 4 * 1024;
/// Messages that one connection reads before others have their turn.
pub const READ_TURN: usize = 32;
/// Batches that one connection writes before it reads, and others have their turn.
pub const WRITE_TURN: usize = 16;
/// Messages that are written with one system call.
pub const WRITE_BATCH: usize = 64;
/// Bytes of messages that are copied together to be written, on the stack: so few cost less to copy than the system takes
/// to gather them.
pub const WRITE_COPY: usize = 2 * 1024;
/// Bytes that a connection takes from its queue at once, beyond the first message.
pub const WRITE_BYTES: usize = 64 * 1024;
/// Messages that wait to be written: a flash crowd of a full room, with candidates.
pub const QUEUE_MESSAGES: usize = 16 * 1024;
/// Bytes that wait to be written: a welcome and a flash crowd behind it.
pub const QUEUE_BYTES: usize = room::limits::WELCOME_MAX + 8 * 1024 * 1024;
/// Bytes that any queue may hold. What queues hold beyond comes out of [`QUEUES_BYTES`].
pub const QUEUE_OWN: usize = 64 * 1024;
/// Bytes that all queues together hold beyond what is their own.
pub const QUEUES_BYTES: usize = 512 * 1024 * 1024;
/// Time in which a socket with something to be written takes nothing, after which it is cut off.
pub const WRITE_STALL: Duration = Duration::from_secs(10);
/// Time for the last messages and the close frame to be written, and for the other side to close.
pub const LINGER: Duration = Duration::from_secs(2);
/// Bytes of what a refused connection still sends that are read, so that it gets to see why it was refused.
pub const LINGER_BYTES: usize = 4 * 1024 * 1024;
/// Messages that one member, or client of deepstream, may send at once: twice over what a flash crowd of 64 takes, for each of its candidates.
pub const MESSAGES_BURST: u32 = 4_096;
/// Messages that one member may send a second, in the long run.
pub const MESSAGES_PER_SECOND: u32 = 1_024;
/// Messages of deepstream's older client in one frame that count as one: it sends all of its subscriptions at once when
/// it comes back.
pub const MESSAGES_TOGETHER: usize = 16;
/// Bytes that one member may send: at once, and a second in the long run.
pub(crate) const BYTES: Rate = Rate { burst: 16 * 1024 * 1024, per_second: 4 * 1024 * 1024 };
/// What one member may have carried to others: bytes at once, and a second in the long run. Whoever sends more is not read
/// from meanwhile, which slows it as a narrow line does.
pub(crate) const CARRIED: Rate = Rate { burst: 4 * 1024 * 1024, per_second: 4 * 1024 * 1024 };
/// As how many of these bytes a carried message counts, at the least.
pub const CARRIED_MESSAGE: usize = 1024;
/// Bytes carried to one member that wait to be written: what the senders of a member's links have under way, and no more of a
/// relay's. Beyond, the link that adds to them is carried no more.
pub const CARRIED_BYTES: usize =
    room::limits::CARRIED_LINKS * (room::limits::LINK_PAUSE + room::limits::LOSSY_PAUSE + 2 * room::limits::PACKET_MAX);
/// Bytes in a token.
pub const TOKEN_BYTES: usize = 8 * 1024;
/// How far the clock of whoever made a token may be off, in seconds.
pub const TOKEN_LEEWAY_S: u64 = 10;
/// Bytes in the secret of a key, at least: fewer could be guessed (RFC 7518, section 3.2).
pub const KEY_SECRET_BYTES: usize = 32;

// ---- shards -------------------------------------------------------------------------------------

/// What waits for a shard. Members whose message finds no place are not read from until it does.
pub const INBOX: usize = 1_024;
/// What a shard handles before the connections have their turn.
pub const SHARD_TURN: usize = 128;
/// Entries of a shard's timers that are not needed any more, before they are cleared away.
pub const STALE_TIMERS: usize = 64;
/// When members of a room that ended by a bug are asked to come back.
pub const BUG_RETRY: room::time::Micros = room::time::Micros::from_millis(500);
/// When members are asked to come back after a shutdown.
pub const SHUTDOWN_RETRY: room::time::Micros = room::time::Micros::from_secs(1);
/// How long a shutdown waits for sockets to be drained.
pub const DRAIN: Duration = Duration::from_secs(5);

// ---- deepstream's clients -----------------------------------------------------------------------

/// How much of the desk's time one client may take, in the engine's units of work: at once, and a second in the long
/// run. Clients that take more wait.
pub(crate) const WORK: Rate = Rate { burst: 128 * 1024 * 1024, per_second: 64 * 1024 * 1024 };
/// Bytes of one client's frames that may be on their way, or wait to be dealt with.
pub const WINDOW_BYTES: usize = deepstream::limits::FRAME_MAX;
/// As how many of these a frame counts, at the least.
pub const WINDOW_FRAME: usize = 4 * 1024;
/// Bytes in a frame that is one of many in the desk's inbox.
pub const SMALL_FRAME: usize = 4 * 1024;
/// Bytes of larger frames in the desk's inbox.
pub const INBOX_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of frames that wait because their clients have taken too much time. Whoever adds to that is sent away.
pub const ARREARS_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of what clients give to log in, while it is being looked at.
pub const LOGINS_BYTES: usize = 8 * 1024 * 1024;
/// Passwords of one address that are checked, or wait to be, at a time: all others of it wait behind these.
pub const PASSWORD_CHECKS_PER_ADDRESS: usize = 1;
/// What times between heartbeats, and for a login, may be set to.
pub const DEEPSTREAM_TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);
/// Logins that may fail, a connection, whatever is configured.
pub const LOGIN_ATTEMPTS: usize = 1_000;
/// Bytes in a password.
pub const PASSWORD_BYTES: usize = 1_024;
/// What checking a password may take: KiB of memory, times the passes over it. Twenty times what is usual.
pub const PASSWORD_COST: u64 = 1_024 * 1_024;
/// Passwords that are checked at a time. Each takes a processor and some 20 MiB.
pub const PASSWORD_CHECKS: usize = 2;
/// How long a login may wait for its turn.
pub const LOGIN_TURN: Duration = Duration::from_secs(10);
/// How long a webhook may take to answer, if the configuration does not say.
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// What that may be set to.
pub const WEBHOOK_TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);
/// Questions to a webhook under way.
pub const WEBHOOK_CALLS: usize = 64;
/// Connections to a webhook that are kept for the next question.
pub const WEBHOOK_IDLE: usize = 8;
/// Bytes of a webhook's answer.
pub const WEBHOOK_ANSWER: usize = 64 * 1024;
/// Bytes of the store's file that are kept in memory. Records are read from it only at the start.
pub const STORE_CACHE: usize = 32 * 1024 * 1024;
/// How long a store that could not be written to is left alone.
pub const STORE_RETRY: Duration = Duration::from_secs(1);

// ---- bridges between rooms and deepstream's clients ---------------------------------------------

/// Events that wait for a room.
pub const BRIDGE_QUEUE: usize = 1_024;
/// Bytes of these.
pub const BRIDGE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes under way to a bridge's member, and from it.
pub const BRIDGE_PIPE: usize = 64 * 1024;
/// How long a bridge waits before it joins its room anew: at first, and in the long run.
pub const BRIDGE_PAUSES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30);
/// How long a shutdown waits for bridges to leave.
pub const BRIDGE_LEAVE: Duration = Duration::from_secs(2);
/// Rooms that have a relay of the server's own.
pub const RELAYS: usize = 256;
/// Relays of a room that it wanted no more and that have not left, beside which it may have another.
pub const RELAYS_GOING: usize = 2;
/// How long a relay waits before it joins its room anew: at first, and in the long run.
pub const RELAY_PAUSES: RangeInclusive<Duration> = Duration::from_millis(200)..=Duration::from_secs(10);
/// How long a bridge's token may be used. It has a new one whenever it connects.
pub const BRIDGE_TOKEN: Duration = Duration::from_secs(60);
