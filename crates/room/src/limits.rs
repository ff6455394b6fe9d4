//! Every bound of the system, by name: how much, how many, how long. Durations are in µs where a
//! type does not say otherwise.

use crate::time::Micros;

// ---- names and messages -------------------------------------------------------------------------

/// Bytes in a signalling message to the hub.
pub const SIGNAL_MAX: usize = 64 * 1024;
/// Bytes in a signalling message from the hub: a welcome names every member.
pub const WELCOME_MAX: usize = 4 * 1024 * 1024;
/// Characters in a room's name.
pub const ROOM_NAME_MAX: usize = 64;
/// Characters in a member's display name.
pub const NAME_MAX: usize = 64;
/// Bytes in an identity, as a token names it.
pub const IDENTITY_MAX: usize = 128;
/// Attributes of one member.
pub const ATTRIBUTES_MAX: usize = 32;
/// Bytes in the keys and values of one member's attributes together.
pub const ATTRIBUTES_BYTES: usize = 4 * 1024;
/// Entries in a room's shared state, removals included.
pub const STATE_ENTRIES: usize = 256;
/// Bytes in the key of a state entry.
pub const STATE_KEY_MAX: usize = 128;
/// Bytes in the JSON of one state value.
pub const STATE_VALUE_MAX: usize = 16 * 1024;
/// Bytes in all keys and values of a room's state, so that a welcome and a resume carry it whole.
pub const STATE_BYTES: usize = 32 * 1024;
/// How far ahead of a hub's clock the version of an entry may be that a member brings from another hub: what clocks
/// differ by. Beyond, nobody could overwrite the entry for as long.
pub const STATE_AHEAD_MAX: Micros = Micros::from_secs(600);
/// Bytes of JSON in all members of a room together, so that a welcome carries them.
pub const ROSTER_BYTES: usize = 3 * 1024 * 1024;
/// Bytes in a channel's or a method's name.
pub const CHANNEL_NAME_MAX: usize = 64;

// ---- rooms and sessions -------------------------------------------------------------------------

/// Members of a room, unless the configuration says less.
pub const ROOM_MEMBERS: usize = 1_000;
/// Time between opening a socket and a valid `join`.
pub const JOIN_TIMEOUT: Micros = Micros::from_secs(10);
/// How long a member whose socket ended may come back unnoticed.
pub const RESUME_WINDOW: Micros = Micros::from_secs(30);
/// How long a member that is away is kept where nobody was ever linked to it.
pub const UNVOUCHED_GRACE: Micros = Micros::from_secs(5);
/// How long a member that everybody suspects has to answer the hub's ping.
pub const PROBE_TIMEOUT: Micros = Micros::from_secs(2);
/// Links that a member may hold to members that the hub does not know yet, as after the hub's restart.
pub const CLAIMS_MAX: usize = ROOM_MEMBERS;
/// Silence after which a member pings the hub; see PROTOCOL.md, "Heartbeats".
pub const HUB_PING: Micros = Micros::from_secs(10);
/// How long a member tries to enter a room for the first time before it gives up.
pub const ENTER_TIMEOUT: Micros = Micros::from_secs(15);
/// The first pause between a member's attempts to reach the hub; doubled each time, until it was in the room for
/// [`RECONNECT_MAX`].
pub const RECONNECT_MIN: Micros = Micros::from_millis(100);
/// The longest pause between a member's attempts to reach the hub.
pub const RECONNECT_MAX: Micros = Micros::from_secs(5);
/// How long reports about links are gathered before they are sent to the hub.
pub const REPORT_DELAY: Micros = Micros::from_millis(50);
/// Changes (state, attributes) that a member holds until the hub has confirmed them.
pub const PENDING_CHANGES: usize = 256;

// ---- links --------------------------------------------------------------------------------------

/// Candidates that wait for their description, an attempt.
pub const CANDIDATES_MAX: usize = 64;
/// Bytes in a description or candidate that a member accepts.
pub const DESCRIPTION_MAX: usize = 32 * 1024;
/// Time for an attempt to open.
pub const CONNECT_TIMEOUT: Micros = Micros::from_secs(10);
/// Pause before the first new attempt, doubled each time.
pub const RETRY_MIN: Micros = Micros::from_millis(250);
/// The longest pause between attempts.
pub const RETRY_MAX: Micros = Micros::from_secs(8);
/// Silence on a link after which it is pinged.
pub const PING_AFTER: Micros = Micros::from_millis(500);
/// Age of a round-trip sample after which a link is pinged although it is busy.
pub const RTT_AFTER: Micros = Micros::from_secs(2);
/// Others in a room up to whom nobody tells the hub how far they are: all are neighbours of each other.
pub const DISTANCES_ABOVE: usize = 8;
/// Links of which a member tells the hub at once how far their other ends are.
pub const DISTANCES_TOLD: usize = 16;
/// How long a member gathers what it has measured of its links before it tells the hub.
pub const DISTANCES_AFTER: Micros = Micros::from_secs(2);
/// How often it does at most.
pub const DISTANCES_EVERY: Micros = Micros::from_secs(10);
/// By how many ms, and a quarter of what was told, a link's round trip must have changed to be told again.
pub const DISTANCE_NEWS_MS: u64 = 10;
/// Silence on a link after which its peer is suspected.
pub const SUSPECT_AFTER: Micros = Micros::from_millis(1_500);
/// Silence after which the offerer restarts ICE.
pub const RESTART_AFTER: Micros = Micros::from_secs(3);
/// Silence after which the offerer starts a new attempt.
pub const RELINK_AFTER: Micros = Micros::from_secs(8);
/// How long a link that its peer closed is not said to have failed, and not tried again: the peer may be leaving, and
/// the hub's word of that still on its way.
pub const PARTING_GRACE: Micros = Micros::from_secs(1);
/// How long a link may have no connection before its two ends ask the hub to carry its frames.
pub const CARRY_AFTER: Micros = Micros::from_secs(3);
/// How long they wait to ask again where the hub has refused.
pub const CARRY_AGAIN: Micros = Micros::from_secs(10);
/// Links of one member that a hub carries, unless the configuration says otherwise.
pub const CARRIED_LINKS: usize = 16;
/// The longest pause between attempts at a connection while the hub carries the link.
pub const CONNECT_BESIDE: Micros = Micros::from_secs(15);
/// How long somebody who was reached over the hub alone is believed to come back to one that restarted.
pub const CARRIED_RETURN: Micros = Micros::from_secs(10);
/// A pause in a member's own turns after which it knows that it slept.
pub const SLEPT_AFTER: Micros = Micros::from_secs(1);

// ---- frames and streams -------------------------------------------------------------------------

/// Bytes in a packet that a receiver takes.
pub const PACKET_MAX: usize = 64 * 1024;
/// Bytes of a carried message before the frames: a member id, the number of the carriage, and what kind it is of.
pub const CARRIED_HEAD: usize = 8 + 5 + 1;
/// Bytes in a carried message.
pub const CARRIED_MAX: usize = PACKET_MAX + CARRIED_HEAD;
/// Bytes at which a sender closes a packet.
pub const PACKET_TARGET: usize = 16 * 1024;
/// Payload bytes in one chunk: a value of 16 KiB with its head still goes in one piece.
pub const CHUNK: usize = 16 * 1024 + 128;
/// Bytes in one message.
pub const MESSAGE_MAX: usize = 16 * 1024 * 1024;
/// Bytes in one message of a lossy channel.
pub const LOSSY_MAX: usize = 16 * 1024 + 128;
/// Holdings or acknowledgements in one frame.
pub const HOLDINGS_MAX: usize = 1_024;
/// The longest wait before a chunk is acknowledged.
pub const ACK_DELAY: Micros = Micros::from_millis(20);
/// Chunks after which the acknowledgement is not delayed.
pub const ACK_EVERY: u32 = 32;
/// What a DATA frame costs beside its bytes.
pub const FRAME_COST: u64 = 64;
/// Cost of DATA frames under way or unconsumed on one link.
pub const RECEIVE_WINDOW: u64 = 2 * 1024 * 1024;
/// Bytes in an outbox: the room's, and each addressed member's.
pub const OUTBOX_MAX: usize = 32 * 1024 * 1024;
/// Messages accepted by `send` that wait for room in an outbox.
pub const WAITING_SENDS: usize = 1_024;
/// Bytes of messages accepted by `send` that wait for room in an outbox, beyond the first.
pub const WAITING_BYTES: usize = 32 * 1024 * 1024;
/// Bytes in a link's send buffer at which the courier pauses.
pub const LINK_PAUSE: usize = 256 * 1024;
/// Bytes in a link's send buffer at which the edge says that it may go on.
pub const LINK_RESUME: usize = 64 * 1024;
/// How long a member may hold the outbox back on an open link without acknowledging anything.
pub const STALL_OPEN: Micros = Micros::from_secs(4);
/// How long a member may hold the outbox back without an open link.
pub const STALL_LINKING: Micros = Micros::from_secs(10);
/// Departed members whose stream positions are remembered.
pub const DEPARTED_MAX: usize = 1_024;
/// `latest` channels of one origin.
pub const LATEST_CHANNELS: usize = 64;
/// The shortest wait before a `latest` value is sent again.
pub const LATEST_RESEND: Micros = Micros::from_millis(100);
/// The longest such wait, unless two round trips take longer.
pub const LATEST_RESEND_MAX: Micros = Micros::from_secs(2);
/// Bytes in a link's lossy buffer at which lossy messages are dropped or wait.
pub const LOSSY_PAUSE: usize = 64 * 1024;
/// Bytes of lossy messages that the application has not consumed yet; beyond, they are dropped.
pub const LOSSY_HELD: u64 = 256 * 1024;
/// Wishes how the room should be linked that a member's hub has yet to answer.
pub const PINS_MAX: usize = 16;
/// Calls under way, a caller.
pub const CALLS_MAX: usize = 1_024;
/// Time for a call's reply, unless the caller says otherwise.
pub const CALL_TIMEOUT: Micros = Micros::from_secs(15);
/// How long `leave` waits for messages to be acknowledged.
pub const LEAVE_FLUSH: Micros = Micros::from_secs(5);
/// How long a member that passes on what others say stays when it is asked to leave, so that whoever lacks something can ask:
/// it answers for what came in the first half.
pub const LEAVE_LINGER: Micros = Micros::from_secs(1);
/// How often it looks meanwhile whether it may go.
pub const LEAVE_LOOK: Micros = Micros::from_millis(100);
/// Nesting of a value.
pub const VALUE_DEPTH: usize = 64;
/// Items in a value, those within it and the keys of maps included: an item takes one byte on the wire and a hundred
/// in memory.
pub const VALUE_ITEMS: usize = 1024 * 1024;

// ---- relaying -----------------------------------------------------------------------------------

/// How long news of a stream is gathered before it is announced on links that do not carry the stream.
pub const ANNOUNCE_DELAY: Micros = Micros::from_millis(50);
/// How long the same is gathered of a stream whose way here is to go: neighbours say first that they have it too.
pub const LEAVING_ANNOUNCE_DELAY: Micros = Micros::from_millis(250);
/// By how many ms such a way is said to be longer than it is, so that those who have the stream from here look for another.
pub const LEAVING_MS: u64 = 1_000;
/// The shortest wait for a chunk that others have announced before it is asked of them.
pub const GRAFT_MIN: Micros = Micros::from_millis(100);
/// The longest such wait.
pub const GRAFT_MAX: Micros = Micros::from_millis(500);
/// The same before anything of a stream has come: how late it is by the plan's tree is not known yet.
pub const GRAFT_FIRST: Micros = Micros::from_millis(250);
/// How long somebody who was asked for a stream has to send it before somebody else is asked.
pub const GRAFT_AGAIN: Micros = Micros::from_millis(250);
/// How often that time is doubled where nobody sends it.
pub const GRAFT_DOUBLINGS: u32 = 4;
/// How long somebody who asks for the same again is not sent it again: it is on its way.
pub const GRAFT_HEED: Micros = Micros::from_secs(8);
/// How long a chunk that no neighbour has any more is waited for, where others may have it.
pub const GAP_PATIENCE: Micros = Micros::from_secs(5);
/// The same while links are to come: somebody may have it to whom there will be one.
pub const GAP_PATIENCE_MAX: Micros = Micros::from_secs(30);
/// How long no neighbour can bring a stream before a link to its origin is asked for.
pub const RESCUE_AFTER: Micros = Micros::from_secs(1);
/// How often it is asked for while it is not there.
pub const RESCUE_AGAIN: Micros = Micros::from_secs(5);
/// How long, at least, a chunk that no neighbour has is waited for once that link could be asked for.
pub const RESCUE_PATIENCE: Micros = Micros::from_secs(10);
/// Origins that are named in one report as out of reach.
pub const RESCUES_ASKED: usize = 8;
/// What each link of a way costs beside its delay, in ms.
pub const HOP_COST_MS: u64 = 5;
/// The delay of a link that was not measured yet, one way.
pub const DELAY_UNKNOWN: Micros = Micros::from_millis(50);
/// The longest delay of a way, in ms: what is beyond counts as this.
pub const DELAY_MAX_MS: u64 = 60_000;
/// By how many ms the delay of a way must have changed to be told again.
pub const DELAY_NEWS_MS: u64 = 2;
/// By how much, in ms, a way must cost less than a stream's own to be taken instead.
pub const IMPROVE_BY_MS: u64 = 3;
/// How long a stream keeps the way that it comes by before a better one is taken.
pub const IMPROVE_AFTER: Micros = Micros::from_millis(500);
/// By how much, in ms, the cost of a way must have changed to be told before there is a chunk to tell it with.
pub const COST_NEWS_MS: u64 = 25;
/// How long such changes are gathered.
pub const COST_NEWS_DELAY: Micros = Micros::from_millis(200);
/// How long a way that has proved slower than it claims is not taken again.
pub const SLOW_FOR: Micros = Micros::from_secs(10);
/// How often that time is doubled where it proves so again.
pub const SLOW_DOUBLINGS: u8 = 5;
/// Announcements, one after another, by which a neighbour must be ahead of the parent to take its place.
pub const AHEAD_COUNT: u8 = 8;
/// Bytes of a stream that are kept after everybody whom they were sent to has them, for neighbours that lose theirs.
pub const CACHE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of all streams that are so kept.
pub const CACHE_TOTAL: usize = 32 * 1024 * 1024;
/// Bytes that a member so keeps of what it says itself to the room: it is asked when nobody else has it any more.
pub const CACHE_OWN: usize = 16 * 1024 * 1024;
/// How long they are kept.
pub const CACHE_AGE: Micros = Micros::from_secs(60);
/// How long a stream is looked after whose origin has fallen silent: a lost way is mended at once.
pub const ACTIVE_FOR: Micros = Micros::from_secs(30);
/// How long the stream of a member that went is kept: what a survivor has, the others get.
pub const FIN_GRACE: Micros = Micros::from_secs(5);
/// How long before a newcomer was heard of something may have been said by somebody who had heard of it already: it is
/// offered that, too.
pub const ENTRY_MARGIN: Micros = Micros::from_secs(1);
/// How many times are remembered at which chunks came that are not kept any more …
pub const MARKS: usize = 64;
/// … and how far they are apart at least.
pub const MARK_EVERY: Micros = ENTRY_MARGIN;
/// The same where a relay is the newcomer: since the one before it fell silent nobody may have got anything, and is waiting.
pub const RELAY_MARGIN: Micros = GAP_PATIENCE_MAX;
/// How long a `latest` value of somebody else waits before it goes over links that its origin's stream does not take.
pub const LATEST_LAZY: Micros = Micros::from_millis(500);
/// `latest` values, of all members, that wait to go over one link.
pub const LATEST_UNSEEN: usize = 4_096;
/// Messages of members of whom the hub has not told yet.
pub const EARLY_MAX: usize = 256;
/// Bytes of such messages: one of any size has room.
pub const EARLY_BYTES: usize = MESSAGE_MAX;
/// How long what a member said before it went may still be on its way from link to link.
pub const PARTING_WORDS: Micros = Micros::from_secs(1);
/// How long a link that the plan gives up stays at most, for what one end has from the other only.
pub const DRAIN_MAX: Micros = Micros::from_secs(60);
/// How long such a link stays after the last chunk that nobody else could have brought.
pub const DRAIN_QUIET: Micros = Micros::from_secs(3);
/// How often it is looked whether such a link is of use still.
pub const DRAIN_LOOK: Micros = Micros::from_millis(250);
/// How often a way to a member is asked for while there is none.
pub const ROUTE_EVERY: Micros = Micros::from_secs(1);
/// How often caches and laggards are looked after.
pub const SWEEP_EVERY: Micros = Micros::from_secs(1);
/// Members that an addressed stream is passed on to, one after another, the addressee included.
pub const ROUTE_MAX: usize = 32;
/// Chunks of an addressed stream that are under way to a member that has no link to its origin.
pub const ROUTE_CHUNKS: u64 = 128;
/// How long an addressed stream may make no progress over others before another way is asked for.
pub const ROUTE_PATIENCE: Micros = Micros::from_secs(3);
/// How long a relay that is to leave waits until nobody depends on it any more.
pub const DRAIN_TIMEOUT: Micros = Micros::from_secs(25);
/// Streams of a room that a member knows.
pub const STREAMS_MAX: usize = 16 * 1024;

/// How often a member tells the hub what it says to the room, where that has changed.
pub const STATS_EVERY: Micros = Micros::from_secs(10);
/// The most that it says, in kbit/s, as the hub believes.
pub const STATS_KBPS_MAX: u32 = 1_000_000;
/// What is less than this, in kbit/s, is talk, and not worth a word.
pub const STATS_TALK_KBPS: u32 = 16;
/// By how much, in percent of its links, those over TURN must have become more or fewer to be worth one.
pub const STATS_TURN_NEWS: u32 = 20;
// ---- signatures ---------------------------------------------------------------------------------

/// Chunks that one signature covers.
pub const SIGNED_CHUNKS: usize = 32;
/// How long after its last signature a member gathers what it says before it signs again; after silence it signs at once.
pub const SIGN_DELAY: Micros = Micros::from_millis(10);
/// How long chunks wait for the hub's word of who it is that they are said to be from.
pub const STRANGER_GRACE: Micros = Micros::from_secs(10);
/// How long a link stays closed whose other end passed on what its origin has not said.
pub const FORGED_REST: Micros = Micros::from_secs(60);
/// Members that must say of another that it forges before the plan has it pass on as little as it can.
pub const FORGED_ACCUSERS: usize = 3;
/// Lossy messages of a member that wait for its signature.
pub const LOSSY_SIGNING: usize = 256;
/// Lossy messages that came over one link and wait to be verified.
pub const LOSSY_CHECKING: usize = 256;

// ---- the plan -----------------------------------------------------------------------------------

/// How often a room's plan is looked after where it is not a small mesh.
pub const PLAN_EVERY: Micros = Micros::from_secs(1);
/// How long a newcomer may hold on to its first links: an attempt at one, and another.
pub const SETTLE_BY: Micros = Micros::from_secs(20);
/// Links to earlier members that a newcomer holds on to, where the plan leaves it fewer.
pub const ELDERS_HELD: usize = 1;
/// Links that newcomers of a room hold on to.
pub const OVERLAP_MAX: usize = 16_384;
/// Links of a member to others that cannot reach it, or that it cannot reach, over their neighbours …
pub const RESCUE_LINKS: usize = 8;
/// … and how long they stay after they were last asked for: an attempt, and time to get what was missing.
pub const RESCUE_FOR: Micros = Micros::from_secs(12);
/// How often a change of topology is looked after.
pub const SWITCH_LOOK: Micros = Micros::from_millis(100);
/// How long the links of a new topology have to open.
pub const SWITCH_TIMEOUT: Micros = Micros::from_secs(8);
/// Beyond that, how long to wait for another of them, where fewer than half are open.
pub const SWITCH_LULL: Micros = Micros::from_secs(2);
/// When a change of topology is given up, though its links keep coming.
pub const SWITCH_BY: Micros = Micros::from_secs(60);
/// How long the old links stay after a new topology has taken over, at least.
pub const RETIRE_AFTER: Micros = Micros::from_secs(1);
/// How long they stay at most, where somebody has no new one.
pub const RETIRE_BY: Micros = Micros::from_secs(15);
/// Members among whom a way is looked for.
pub const ROUTE_SEARCH: usize = 20_000;
/// Links that a member may hold where it does not say.
pub const MEMBER_LINKS: u16 = 16;
/// Links that every member may hold, whatever it says: two neighbours, and two more while it moves.
pub const MEMBER_LINKS_MIN: u16 = 4;
/// What a member can send, in kbit/s, where it does not say.
pub const UPLINK_KBPS: u32 = 5_000;
/// Links of a member of the small world.
pub const SMALL_WORLD_DEGREE: usize = 6;
/// The most links of a member of the small world.
pub const SMALL_WORLD_DEGREE_MAX: usize = 8;
/// Edges of a cycle that a newcomer compares, drawn together …
pub const EDGE_SAMPLES: usize = 16;
/// … so many times …
pub const EDGE_DRAWS: usize = 4;
/// … unless the room is larger than this: each look costs a wait for memory then.
pub const EDGES_COMPARED_UPTO: usize = 100_000;
/// Edges drawn in vain after which a newcomer makes do.
pub const EDGE_TRIES: usize = 8;
/// How often the small world moves one member to a better place.
pub const REBALANCE_EVERY: Micros = Micros::from_secs(10);
/// Members among whom the worst placed is looked for.
pub const REBALANCE_SAMPLES: usize = 64;
/// Members below which nobody is moved: all are neighbours of each other anyway.
pub const REBALANCE_MEMBERS: usize = 16;
/// When time passes, one member in so many is moved where its place in a cycle is far from the best …
pub const REDRAWN_SHARE: usize = 128;
/// … and at most so many are looked at.
pub const REDRAWN_MAX: usize = 256;
/// Links of a member in excess of those of the plan, while some are changed for better ones …
pub const SPARE_LINKS: usize = 2;
/// … for so long: new links open meanwhile, and old ones go.
pub const SPARE_FOR: Micros = Micros::from_secs(3);
/// Newcomers whose first place in the cycles was drawn before it was known where they are, and who wait for a better one.
pub const REDRAWN_WAITING: usize = 16 * 1024;
/// Neighbours on either side in a cycle that a member is told.
pub const RING_REACH: usize = 2;
/// Members that an event looks at for a shallower place in the spanning tree.
pub const SPAN_LOOKS: usize = 32;
/// Members that every event looks at for one, in turn.
pub const SPAN_TENDED: usize = 2;
/// Members that are looked at for one when time passes.
pub const SPAN_SWEPT: usize = 256;
/// Stripes of the tree.
pub const STRIPES_MAX: usize = 4;
/// Parents that are compared.
pub const PARENT_SAMPLES: usize = 16;
/// Backup parents of a member of the tree.
pub const BACKUP_PARENTS: usize = 2;
/// Members drawn in the search for them.
pub const BACKUP_TRIES: usize = 8;
/// Relays of a room.
pub const ROOM_RELAYS: usize = 64;
/// Links that a relay holds where it does not say.
pub const RELAY_LINKS: u16 = 1_024;
/// What a relay is believed to be able to send, in kbit/s: its links are what bounds it.
pub const RELAY_UPLINK_KBPS: u32 = 1_000_000;
/// How long a wish for a star waits for a relay of the server's.
pub const RELAY_TIMEOUT: Micros = Micros::from_secs(10);
/// Relays that hang on one relay.
pub const RELAY_FAN: u16 = 4;
/// Relays that are compared.
pub const RELAYS_COMPARED: usize = 64;
/// Members that are looked after when time passes.
pub const TICK_TENDED: usize = 16;
/// How much nearer a relay must be for a member to move there, or how much shorter a cycle for one to move within it.
pub const NEARER: Micros = Micros::from_millis(20);
/// The distance of members of whom it is not known, one way.
pub const DISTANCE_UNKNOWN: Micros = Micros::from_millis(50);
/// The longest way that is believed, one way.
pub const DISTANCE_MAX: Micros = Micros::from_secs(1);
/// When time passes, one member in so many is looked for where its neighbours have it now …
pub const PLACES_SHARE: usize = 16;
/// … and at most so many are.
pub const PLACES_MAX: usize = 512;
/// Members that are looked for after one that was found, by way of it.
pub const PLACES_SPREAD: usize = 64;
/// What a link over TURN costs beside its distance.
pub const TURN_PENALTY: Micros = Micros::from_millis(100);
