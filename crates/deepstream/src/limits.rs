//! Every bound of this crate, by name: how much, how many, how long.

use crate::time::Micros;

// ---- messages -----------------------------------------------------------------------------------

/// Bytes in a frame that a client sends.
pub const FRAME_MAX: usize = 1024 * 1024;
/// Messages in one text frame. The client sends at most 100.
pub const FRAME_MESSAGES: usize = 1_024;
/// Bytes of what one frame may bring about: messages, to all together, and records to be stored. A client that asks for
/// more is closed. It is more than what the 100 messages of a client's largest frame come to, with the largest record
/// each.
pub const TURN_BYTES: usize = 128 * 1024 * 1024;
/// Bytes in a frame of a client that has not logged in.
pub const FRAME_BEFORE_LOGIN: usize = 32 * 1024;
/// Bytes in a name: of an event, a record, a call, a user, and in the pattern of a listener.
pub const NAME_MAX: usize = 1_024;
/// Bytes in the id by which a client finds the answer to what it asked.
pub const CORRELATION_MAX: usize = 128;
/// Bytes in a path into a record.
pub const PATH_MAX: usize = 1_024;
/// Steps of a path into a record.
pub const PATH_STEPS: usize = 32;
/// How far beyond its end a path may lengthen an array.
pub const ARRAY_GAP: usize = 1_024;
/// Nesting of a value. A record's is at most this and [`PATH_STEPS`] together.
pub const VALUE_DEPTH: usize = 64;
/// Bytes of what a client sent that an error repeats to it.
pub const ECHO_MAX: usize = 128;

// ---- work ---------------------------------------------------------------------------------------

// Work is counted in bytes that are looked at once, a nanosecond or so; what else takes time is said in these.

/// What a client's frame may take before others have their turn.
pub const TURN_WORK: u64 = 4 * 1024 * 1024;
/// A message, however short.
pub const MESSAGE_WORK: u64 = 1_024;
/// A message to one more connection.
pub const SEND_WORK: u64 = 256;
/// A name that is looked for, or looked at.
pub const NAME_WORK: u64 = 256;
/// How often a write looks at each byte of a record.
pub const WRITE_PASSES: u64 = 4;
/// An entry of a list that is written: it is counted and compared, before and after.
pub const ENTRY_WORK: u64 = 4_096;
/// A pattern that is compiled.
pub const PATTERN_WORK: u64 = 512 * 1024;
/// How often a pattern's automaton looks at each byte of a name.
pub const PATTERN_PASSES: u64 = 8;

// ---- connections --------------------------------------------------------------------------------

/// Time between heartbeats; a client that misses two of them is gone. The clients' own default, which they rely on: one
/// that hears nothing for twice as long leaves.
pub const HEARTBEAT: Micros = Micros::from_secs(30);
/// Time between connecting and a successful login.
pub const LOGIN_TIMEOUT: Micros = Micros::from_secs(180);
/// Logins that may fail, a connection.
pub const LOGIN_ATTEMPTS: u32 = 3;
/// How long a client may be silent that could be of either kind, before it is greeted as one that waits for that.
pub const SNIFF: Micros = Micros::from_millis(50);
/// Messages that make no sense, a connection, before it is closed.
pub const STRIKES: u32 = 32;
/// Bytes in what a client gives to log in.
pub const LOGIN_MAX: usize = 16 * 1024;

// ---- subscriptions ------------------------------------------------------------------------------

/// Subscriptions of one connection: to events, records, users, and calls provided, together.
pub const SUBSCRIPTIONS: usize = 16_384;
/// Patterns that one connection listens to, for events and for records each.
pub const PATTERNS_EACH: usize = 64;
/// Different patterns that are listened to, for events and for records each.
pub const PATTERNS: usize = 1_024;
/// Bytes of a compiled pattern.
pub const PATTERN_COMPILED: usize = 64 * 1024;
/// Nesting of a pattern.
pub const PATTERN_DEPTH: u32 = 32;
/// Names that were subscribed to before and are offered to a new listener at a time.
pub const OFFERS: usize = 256;
/// Names examined in one go for new listeners.
pub const SCAN: usize = 4_096;
/// How long a listener has to accept or reject a name.
pub const LISTEN_TIMEOUT: Micros = Micros::from_millis(500);

// ---- records ------------------------------------------------------------------------------------

/// Records.
pub const RECORDS: usize = 262_144;
/// Bytes in one record.
pub const RECORD_MAX: usize = 1024 * 1024;
/// Bytes in all records together, names included.
pub const RECORDS_BYTES: usize = 512 * 1024 * 1024;
/// Below this the versions of ephemeral lists begin, each elsewhere. The newer client's versions have 31 bits: the other
/// half is to count in.
pub const START_MAX: u32 = 1 << 30;
/// Changes of a list that are remembered, so that writes made before them can be merged.
pub const HISTORY: usize = 4_096;
/// Bytes in the changes of a list that are remembered.
pub const HISTORY_BYTES: usize = 256 * 1024;
/// The same, of all lists together. Beyond, those that have not changed for longest are forgotten.
pub const HISTORIES_BYTES: usize = 32 * 1024 * 1024;
/// Bytes in the changes of its own that a connection may be ahead of a list.
pub const CHAIN_BYTES: usize = 64 * 1024;
/// Age of an update that a client has surely seen, for guessing which list a write of it started from.
pub const SURELY_SEEN: Micros = Micros::from_millis(250);
/// Acknowledgements that wait for the store.
pub const ACKS_WAITING: usize = 65_536;

// ---- calls --------------------------------------------------------------------------------------

/// Calls under way, a caller.
pub const CALLS: usize = 1_024;
/// How long a provider has to accept a call.
pub const ACCEPT_TIMEOUT: Micros = Micros::from_secs(1);
/// How long a provider has to answer a call.
pub const RESPONSE_TIMEOUT: Micros = Micros::from_secs(10);
