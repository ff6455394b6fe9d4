// @ts-check
/**
 * Every bound of the system, by name: the names and values of `crates/room/src/limits.rs`, which a test compares.
 * Sizes are in bytes, durations in µs.
 *
 * @module
 */

/** @param {number} ms */
const millis = (ms) => ms * 1_000;
/** @param {number} s */
const secs = (s) => s * 1_000_000;

// ---- names and messages -------------------------------------------------------------------------

/** Bytes in a signalling message to the hub. */
export const SIGNAL_MAX = 64 * 1024;
/** Bytes in a signalling message from the hub: a welcome names every member. */
export const WELCOME_MAX = 4 * 1024 * 1024;
/** Characters in a room's name. */
export const ROOM_NAME_MAX = 64;
/** Characters in a member's display name. */
export const NAME_MAX = 64;
/** Bytes in an identity, as a token names it. */
export const IDENTITY_MAX = 128;
/** Attributes of one member. */
export const ATTRIBUTES_MAX = 32;
/** Bytes in the keys and values of one member's attributes together. */
export const ATTRIBUTES_BYTES = 4 * 1024;
/** Entries in a room's shared state, removals included. */
export const STATE_ENTRIES = 256;
/** Bytes in the key of a state entry. */
export const STATE_KEY_MAX = 128;
/** Bytes in the JSON of one state value. */
export const STATE_VALUE_MAX = 16 * 1024;
/** Bytes in all keys and values of a room's state, so that a welcome and a resume carry it whole. */
export const STATE_BYTES = 32 * 1024;
/**
 * How far ahead of a hub's clock the version of an entry may be that a member brings from another hub: what clocks
 * differ by. Beyond, nobody could overwrite the entry for as long.
 */
export const STATE_AHEAD_MAX = secs(600);
/** Bytes of JSON in all members of a room together, so that a welcome carries them. */
export const ROSTER_BYTES = 3 * 1024 * 1024;
/** Bytes in a channel's or a method's name. */
export const CHANNEL_NAME_MAX = 64;

// ---- rooms and sessions -------------------------------------------------------------------------

/** Members of a room, unless the configuration says less. */
export const ROOM_MEMBERS = 1_000;
/** Time between opening a socket and a valid `join`. */
export const JOIN_TIMEOUT = secs(10);
/** How long a member whose socket ended may come back unnoticed. */
export const RESUME_WINDOW = secs(30);
/** How long a member that is away is kept where nobody was ever linked to it. */
export const UNVOUCHED_GRACE = secs(5);
/** How long a member that everybody suspects has to answer the hub's ping. */
export const PROBE_TIMEOUT = secs(2);
/** Links that a member may hold to members that the hub does not know yet, as after the hub's restart. */
export const CLAIMS_MAX = ROOM_MEMBERS;
/** Silence after which a member pings the hub; see PROTOCOL.md, "Heartbeats". */
export const HUB_PING = secs(10);
/** How long a member tries to enter a room for the first time before it gives up. */
export const ENTER_TIMEOUT = secs(15);
/** The first pause between a member's attempts to reach the hub; doubled each time, until it was in the room for `RECONNECT_MAX`. */
export const RECONNECT_MIN = millis(100);
/** The longest pause between a member's attempts to reach the hub. */
export const RECONNECT_MAX = secs(5);
/** How long reports about links are gathered before they are sent to the hub. */
export const REPORT_DELAY = millis(50);
/** Changes (state, attributes) that a member holds until the hub has confirmed them. */
export const PENDING_CHANGES = 256;

// ---- links --------------------------------------------------------------------------------------

/** Candidates that wait for their description, an attempt. */
export const CANDIDATES_MAX = 64;
/** Bytes in a description or candidate that a member accepts. */
export const DESCRIPTION_MAX = 32 * 1024;
/** Time for an attempt to open. */
export const CONNECT_TIMEOUT = secs(10);
/** Pause before the first new attempt, doubled each time. */
export const RETRY_MIN = millis(250);
/** The longest pause between attempts. */
export const RETRY_MAX = secs(8);
/** Silence on a link after which it is pinged. */
export const PING_AFTER = millis(500);
/** Age of a round-trip sample after which a link is pinged although it is busy. */
export const RTT_AFTER = secs(2);
/** Others in a room up to whom nobody tells the hub how far they are: all are neighbours of each other. */
export const DISTANCES_ABOVE = 8;
/** Links of which a member tells the hub at once how far their other ends are. */
export const DISTANCES_TOLD = 16;
/** How long a member gathers what it has measured of its links before it tells the hub. */
export const DISTANCES_AFTER = secs(2);
/** How often it does at most. */
export const DISTANCES_EVERY = secs(10);
/** By how many ms, and a quarter of what was told, a link's round trip must have changed to be told again. */
export const DISTANCE_NEWS_MS = 10;
/** Silence on a link after which its peer is suspected. */
export const SUSPECT_AFTER = millis(1_500);
/** Silence after which the offerer restarts ICE. */
export const RESTART_AFTER = secs(3);
/** Silence after which the offerer starts a new attempt. */
export const RELINK_AFTER = secs(8);
/**
 * How long a link that its peer closed is not said to have failed, and not tried again: the peer may be leaving, and the
 * hub's word of that still on its way.
 */
export const PARTING_GRACE = secs(1);
/** How long a link may have no connection before its two ends ask the hub to carry its frames. */
export const CARRY_AFTER = secs(3);
/** How long they wait to ask again where the hub has refused. */
export const CARRY_AGAIN = secs(10);
/** Links of one member that a hub carries, unless the configuration says otherwise. */
export const CARRIED_LINKS = 16;
/** The longest pause between attempts at a connection while the hub carries the link. */
export const CONNECT_BESIDE = secs(15);
/** How long somebody who was reached over the hub alone is believed to come back to one that restarted. */
export const CARRIED_RETURN = secs(10);
/** A pause in a member's own turns after which it knows that it slept. */
export const SLEPT_AFTER = secs(1);

// ---- frames and streams -------------------------------------------------------------------------

/** Bytes in a packet that a receiver takes. */
export const PACKET_MAX = 64 * 1024;
/** Bytes of a carried message before the frames: a member id, the number of the carriage, and what kind it is of. */
export const CARRIED_HEAD = 8 + 5 + 1;
/** Bytes in a carried message. */
export const CARRIED_MAX = PACKET_MAX + CARRIED_HEAD;
/** Bytes at which a sender closes a packet. */
export const PACKET_TARGET = 16 * 1024;
/** Payload bytes in one chunk: a value of 16 KiB with its head still goes in one piece. */
export const CHUNK = 16 * 1024 + 128;
/** Bytes in one message. */
export const MESSAGE_MAX = 16 * 1024 * 1024;
/** Bytes in one message of a lossy channel. */
export const LOSSY_MAX = 16 * 1024 + 128;
/** Holdings or acknowledgements in one frame. */
export const HOLDINGS_MAX = 1_024;
/** The longest wait before a chunk is acknowledged. */
export const ACK_DELAY = millis(20);
/** Chunks after which the acknowledgement is not delayed. */
export const ACK_EVERY = 32;
/** What a DATA frame costs beside its bytes. */
export const FRAME_COST = 64;
/** Cost of DATA frames under way or unconsumed on one link. */
export const RECEIVE_WINDOW = 2 * 1024 * 1024;
/** Bytes in an outbox: the room's, and each addressed member's. */
export const OUTBOX_MAX = 32 * 1024 * 1024;
/** Messages accepted by `send` that wait for room in an outbox. */
export const WAITING_SENDS = 1_024;
/** Bytes of messages accepted by `send` that wait for room in an outbox, beyond the first. */
export const WAITING_BYTES = 32 * 1024 * 1024;
/** Bytes in a link's send buffer at which the courier pauses. */
export const LINK_PAUSE = 256 * 1024;
/** Bytes in a link's send buffer at which the edge says that it may go on. */
export const LINK_RESUME = 64 * 1024;
/** How long a member may hold the outbox back on an open link without acknowledging anything. */
export const STALL_OPEN = secs(4);
/** How long a member may hold the outbox back without an open link. */
export const STALL_LINKING = secs(10);
/** Departed members whose stream positions are remembered. */
export const DEPARTED_MAX = 1_024;
/** `latest` channels of one origin. */
export const LATEST_CHANNELS = 64;
/** The shortest wait before a `latest` value is sent again. */
export const LATEST_RESEND = millis(100);
/** The longest such wait, unless two round trips take longer. */
export const LATEST_RESEND_MAX = secs(2);
/** Bytes in a link's lossy buffer at which lossy messages are dropped or wait. */
export const LOSSY_PAUSE = 64 * 1024;
/** Bytes of lossy messages that the application has not consumed yet; beyond, they are dropped. */
export const LOSSY_HELD = 256 * 1024;
/** Wishes how the room should be linked that a member's hub has yet to answer. */
export const PINS_MAX = 16;
/** Calls under way, a caller. */
export const CALLS_MAX = 1_024;
/** Time for a call's reply, unless the caller says otherwise. */
export const CALL_TIMEOUT = secs(15);
/** How long `leave` waits for messages to be acknowledged. */
export const LEAVE_FLUSH = secs(5);
/**
 * How long a member that passes on what others say stays when it is asked to leave, so that whoever lacks something can ask:
 * it answers for what came in the first half.
 */
export const LEAVE_LINGER = secs(1);
/** How often it looks meanwhile whether it may go. */
export const LEAVE_LOOK = millis(100);
/** Nesting of a value. */
export const VALUE_DEPTH = 64;
/** Items in a value, those within it and the keys of maps included: an item takes one byte on the wire and a hundred in memory. */
export const VALUE_ITEMS = 1024 * 1024;

// ---- relaying -----------------------------------------------------------------------------------

/** How long news of a stream is gathered before it is announced on links that do not carry the stream. */
export const ANNOUNCE_DELAY = millis(50);
/** How long the same is gathered of a stream whose way here is to go: neighbours say first that they have it too. */
export const LEAVING_ANNOUNCE_DELAY = millis(250);
/** By how many ms such a way is said to be longer than it is, so that those who have the stream from here look for another. */
export const LEAVING_MS = 1_000;
/** The shortest wait for a chunk that others have announced before it is asked of them. */
export const GRAFT_MIN = millis(100);
/** The longest such wait. */
export const GRAFT_MAX = millis(500);
/** The same before anything of a stream has come: how late it is by the plan's tree is not known yet. */
export const GRAFT_FIRST = millis(250);
/** How long somebody who was asked for a stream has to send it before somebody else is asked. */
export const GRAFT_AGAIN = millis(250);
/** How often that time is doubled where nobody sends it. */
export const GRAFT_DOUBLINGS = 4;
/** How long somebody who asks for the same again is not sent it again: it is on its way. */
export const GRAFT_HEED = secs(8);
/** How long a chunk that no neighbour has any more is waited for, where others may have it. */
export const GAP_PATIENCE = secs(5);
/** The same while links are to come: somebody may have it to whom there will be one. */
export const GAP_PATIENCE_MAX = secs(30);
/** How long no neighbour can bring a stream before a link to its origin is asked for. */
export const RESCUE_AFTER = secs(1);
/** How often it is asked for while it is not there. */
export const RESCUE_AGAIN = secs(5);
/** How long, at least, a chunk that no neighbour has is waited for once that link could be asked for. */
export const RESCUE_PATIENCE = secs(10);
/** Origins that are named in one report as out of reach. */
export const RESCUES_ASKED = 8;
/** What each link of a way costs beside its delay, in ms. */
export const HOP_COST_MS = 5;
/** The delay of a link that was not measured yet, one way. */
export const DELAY_UNKNOWN = millis(50);
/** The longest delay of a way, in ms: what is beyond counts as this. */
export const DELAY_MAX_MS = 60_000;
/** By how many ms the delay of a way must have changed to be told again. */
export const DELAY_NEWS_MS = 2;
/** By how much, in ms, a way must cost less than a stream's own to be taken instead. */
export const IMPROVE_BY_MS = 3;
/** How long a stream keeps the way that it comes by before a better one is taken. */
export const IMPROVE_AFTER = millis(500);
/** By how much, in ms, the cost of a way must have changed to be told before there is a chunk to tell it with. */
export const COST_NEWS_MS = 25;
/** How long such changes are gathered. */
export const COST_NEWS_DELAY = millis(200);
/** How long a way that has proved slower than it claims is not taken again. */
export const SLOW_FOR = secs(10);
/** How often that time is doubled where it proves so again. */
export const SLOW_DOUBLINGS = 5;
/** Announcements, one after another, by which a neighbour must be ahead of the parent to take its place. */
export const AHEAD_COUNT = 8;
/** Bytes of a stream that are kept after everybody whom they were sent to has them, for neighbours that lose theirs. */
export const CACHE_BYTES = 4 * 1024 * 1024;
/** Bytes of all streams that are so kept. */
export const CACHE_TOTAL = 32 * 1024 * 1024;
/** Bytes that a member so keeps of what it says itself to the room: it is asked when nobody else has it any more. */
export const CACHE_OWN = 16 * 1024 * 1024;
/** How long they are kept. */
export const CACHE_AGE = secs(60);
/** How long a stream is looked after whose origin has fallen silent: a lost way is mended at once. */
export const ACTIVE_FOR = secs(30);
/** How long the stream of a member that went is kept: what a survivor has, the others get. */
export const FIN_GRACE = secs(5);
/**
 * How long before a newcomer was heard of something may have been said by somebody who had heard of it already: it is
 * offered that, too.
 */
export const ENTRY_MARGIN = secs(1);
/** How many times are remembered at which chunks came that are not kept any more … */
export const MARKS = 64;
/** … and how far they are apart at least. */
export const MARK_EVERY = ENTRY_MARGIN;
/** The same where a relay is the newcomer: since the one before it fell silent nobody may have got anything, and is waiting. */
export const RELAY_MARGIN = GAP_PATIENCE_MAX;
/** How long a `latest` value of somebody else waits before it goes over links that its origin's stream does not take. */
export const LATEST_LAZY = millis(500);
/** `latest` values, of all members, that wait to go over one link. */
export const LATEST_UNSEEN = 4_096;
/** Messages of members of whom the hub has not told yet. */
export const EARLY_MAX = 256;
/** Bytes of such messages: one of any size has room. */
export const EARLY_BYTES = MESSAGE_MAX;
/** How long what a member said before it went may still be on its way from link to link. */
export const PARTING_WORDS = secs(1);
/** How long a link that the plan gives up stays at most, for what one end has from the other only. */
export const DRAIN_MAX = secs(60);
/** How long such a link stays after the last chunk that nobody else could have brought. */
export const DRAIN_QUIET = secs(3);
/** How often it is looked whether such a link is of use still. */
export const DRAIN_LOOK = millis(250);
/** How often a way to a member is asked for while there is none. */
export const ROUTE_EVERY = secs(1);
/** How often caches and laggards are looked after. */
export const SWEEP_EVERY = secs(1);
/** Members that an addressed stream is passed on to, one after another, the addressee included. */
export const ROUTE_MAX = 32;
/** Chunks of an addressed stream that are under way to a member that has no link to its origin. */
export const ROUTE_CHUNKS = 128;
/** How long an addressed stream may make no progress over others before another way is asked for. */
export const ROUTE_PATIENCE = secs(3);
/** How long a relay that is to leave waits until nobody depends on it any more. */
export const DRAIN_TIMEOUT = secs(25);
/** Streams of a room that a member knows. */
export const STREAMS_MAX = 16 * 1024;
/** How often a member tells the hub what it says to the room, where that has changed. */
export const STATS_EVERY = secs(10);
/** The most that it says, in kbit/s, as the hub believes. */
export const STATS_KBPS_MAX = 1_000_000;
/** What is less than this, in kbit/s, is talk, and not worth a word. */
export const STATS_TALK_KBPS = 16;
/** By how much, in percent of its links, those over TURN must have become more or fewer to be worth one. */
export const STATS_TURN_NEWS = 20;

// ---- signatures ---------------------------------------------------------------------------------

/** Chunks that one signature covers. */
export const SIGNED_CHUNKS = 32;
/** How long after its last signature a member gathers what it says before it signs again; after silence it signs at once. */
export const SIGN_DELAY = millis(10);
/** How long chunks wait for the hub's word of who it is that they are said to be from. */
export const STRANGER_GRACE = secs(10);
/** How long a link stays closed whose other end passed on what its origin has not said. */
export const FORGED_REST = secs(60);
/** Members that must say of another that it forges before the plan has it pass on as little as it can. */
export const FORGED_ACCUSERS = 3;
/** Lossy messages of a member that wait for its signature. */
export const LOSSY_SIGNING = 256;
/** Lossy messages that came over one link and wait to be verified. */
export const LOSSY_CHECKING = 256;
