//! Bounds of this crate, by name. Those of the protocol are in [`room::limits`].

use std::time::Duration;

use room::limits::{DEPARTED_MAX, LINK_PAUSE, LOSSY_PAUSE, PACKET_MAX, RELAY_LINKS, ROOM_MEMBERS, WAITING_SENDS};

/// Messages and other requests of the application that wait for the driver. The member takes all of them at once when
/// it leaves, so there are no more than it lets wait.
pub(crate) const COMMANDS_MAX: usize = WAITING_SENDS / 2;
/// Bytes of messages that wait for the driver; one longer message may wait alone.
pub(crate) const COMMAND_BYTES: usize = 1024 * 1024;
/// What the shortest message takes of [`COMMAND_BYTES`], so that bytes bound their number too.
pub(crate) const COMMAND_COST_MIN: usize = COMMAND_BYTES / COMMANDS_MAX;
/// Lossy messages that wait for the driver, which never waits before it takes them.
pub(crate) const PUBLISHES_MAX: usize = 256;
/// Requests of each kind that the driver takes in one turn. What is sent in one turn shares packets.
pub(crate) const TAKEN_PER_TURN: usize = 256;
/// Events other than messages that wait for the application; beyond, they are counted in [`crate::Event::Missed`].
/// Messages are bounded by flow control: [`room::limits::RECEIVE_WINDOW`] and one message, of each member, on top of
/// [`room::limits::LOSSY_HELD`].
pub(crate) const EVENTS_HELD: usize = 4_096;
/// Bytes taken by the application of which the driver is told at once, while there is more to take.
pub(crate) const TAKEN_NOTICE_BYTES: usize = 256 * 1024;
/// Messages taken by the application of which the driver is told at once, while there are more to take.
pub(crate) const TAKEN_NOTICE_MESSAGES: usize = 256;
/// Calls of others that handlers work on at the same time; the rest waits, bounded by flow control.
pub(crate) const CALLS_HANDLED: usize = 64;

/// Members with the room's key of whom is remembered how far they have counted: those here, and as many that went as the
/// machine remembers, so that what they said is not believed again.
pub(crate) const SENDERS_KNOWN: usize = ROOM_MEMBERS + DEPARTED_MAX;
/// Datagrams of a member that are known again, as many as the machine knows.
pub(crate) const DATAGRAMS_KNOWN: usize = 64;

/// Time to look up the server, connect to it and upgrade to a WebSocket.
pub(crate) const SOCKET_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the server to answer a close frame.
pub(crate) const SOCKET_CLOSE: Duration = Duration::from_secs(1);
/// Bytes of signalling that wait because the server does not read; beyond, the socket is given up.
pub(crate) const SOCKET_QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that the hub is to carry, beyond those: what the machine lets be under way over all links that are carried, a relay's
/// too.
pub(crate) const CARRIED_BYTES: usize = RELAY_LINKS as usize * (LINK_PAUSE + LOSSY_PAUSE + 2 * PACKET_MAX);
/// Bytes read from the WebSocket at once. It carries little.
pub(crate) const SOCKET_READ_BYTES: usize = 4 * 1024;
