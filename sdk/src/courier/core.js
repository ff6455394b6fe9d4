// @ts-check
/**
 * What the chapters of a courier share: its parts, and what is asked of them everywhere.
 *
 * @module
 */

import { CACHE_BYTES, DEPARTED_MAX, STREAMS_MAX } from "../limits.js";
import { Queue } from "./queue.js";
import { Repairs } from "./repairs.js";
import { Slab } from "./slab.js";
import { Lateness, Stream } from "./stream.js";

/** @import {Head, Stream as StreamId} from "../frame.js" */
/** @import {MemberId} from "../id.js" */
/** @import {Link} from "./link.js" */
/** @import {StreamKind} from "./stream.js" */
/** @import {LinkError} from "./error.js" */
/** @import {Signing} from "./trust.js" */

/**
 * What the room's plan means for a member's streams. `epoch` is the plan's number. `relayed`: streams go from link to
 * link; else, in a mesh, every origin has a link to everybody. `eager`: the other ends of the links that streams take of
 * which nothing was heard yet.
 *
 * @typedef {{ epoch: number, relayed: boolean, eager: ReadonlySet<MemberId> }} Plan
 */
/**
 * How a new link stands to the room's history. `vouches`: the other end was in the room before this member, so that where
 * it says that streams begin is true for this member too. `offerFrom`: since when the other end is in the room, as this
 * member knows; it is offered what came since. Undefined: all there is.
 *
 * @typedef {{ vouches: boolean, offerFrom?: number }} LinkUp
 */
/**
 * What comes out of a courier.
 *
 * - `open`: the other end of a link has said HELLO.
 * - `sent`: a message was taken into its log: the next one may follow.
 * - `unroutable`: what was said to a member has no way to it; a route gives one.
 * - `unreached`: no neighbour can bring what a member says to the room: a link to it may.
 * - `message`: a message came: once, in its origin's order. `addressed`: it was said to this member only; `seq` is the
 *   number of its last chunk, `hop` how many links it took.
 * - `sign`, `verify`: a text is to be signed, or its signature verified; answered by `signed` and `verified`.
 * - `faulty`: what the other end of a link has brought turned out to break the rules: the link is of no use any more.
 * - `gap`: chunks of a stream will never come; both ends included.
 *
 * @typedef {(
 *   | { type: "open", peer: MemberId }
 *   | { type: "sent", ticket: number }
 *   | { type: "unroutable", to: MemberId }
 *   | { type: "unreached", origin: MemberId }
 *   | { type: "message", origin: MemberId, addressed: boolean, seq: number, hop: number, head: Head, payload: Uint8Array }
 *   | { type: "sign", token: number, text: Uint8Array }
 *   | { type: "verify", token: number, key: string, text: Uint8Array, signature: Uint8Array }
 *   | { type: "faulty", peer: MemberId, error: LinkError }
 *   | { type: "gap", origin: MemberId, addressed: boolean, from: number, to: number }
 * )} CourierEvent
 */
/**
 * Somebody who is owed what this member says, and has no link to get it by: the first chunk that it may lack. `until`: members pass
 * on what others say by now; until then it is still kept for it.
 *
 * @typedef {{ from: number, since: number, until?: number }} Expected
 */
/** Cost of messages that the application has not consumed, and the link that the last of them came by. @typedef {{ cost: number, link: number }} Unconsumed */
/**
 * Where the streams between two members stood when one of them went; `offered`: from where on others have offered the one to the
 * room since.
 *
 * @typedef {{ room?: number, offered?: number, received?: number, sent?: number }} Position
 */

/** What a courier has done so far. */
export class Counters {
  /** Chunks that came and were new. */
  fresh = 0;
  /** Chunks that came again. */
  duplicates = 0;
  /** Chunks that came before an earlier one, and were of no use. */
  early = 0;
  /** Chunks pushed. */
  pushed = 0;
  /** GRAFTs sent. */
  grafts = 0;
  /** PRUNEs sent. */
  prunes = 0;
  /** Entries of HAVE sent. */
  told = 0;
  /** Chunks that were given up. */
  lost = 0;
}

export class Core {
  now;
  /** This member. */
  id;
  /** @type {Slab<Stream>} */
  streams = new Slab();
  /** Their places, by {@link keyOf}. @type {Map<string, number>} */
  byId = new Map();
  /** What this member says to the room. */
  own;
  /** Numbers all chunks of this member, whatever their stream. */
  stamp = 0;
  /**
   * Members that this one's stream is kept for also while there is no link to them; undefined while there is one.
   *
   * @type {Map<MemberId, Expected | undefined>}
   */
  expected = new Map();
  /** What the application has not consumed yet of each member's messages. @type {Map<MemberId, Unconsumed>} */
  unconsumed = new Map();
  /** @type {Slab<Link>} */
  links = new Slab();
  /** @type {Map<MemberId, number>} */
  byPeer = new Map();
  /** @type {Plan} */
  plan = { epoch: 0, relayed: false, eager: new Set() };
  /** Whether members are named at all. */
  namesMembers = false;
  /** Whether all who were in the room before have been named. */
  metAll = false;
  /** When that was. @type {number | undefined} */
  metAt = undefined;
  /** Whether it is known where their streams begin. */
  vouched = false;
  /** Whether links are to come, so that what no neighbour has may yet be had. */
  hopeful = false;
  lateness = new Lateness();
  /** Members that went, and where the streams from and to them stood; the oldest first. @type {Map<MemberId, Position>} */
  departed = new Map();
  /** When a stream's next repair is due. */
  repairs = new Repairs();
  /** Streams that hold back those who send them. @type {Set<number>} */
  laden = new Set();
  /** @type {number | undefined} */
  sweepAt = undefined;
  /** Bytes of one stream that are cached. */
  share = CACHE_BYTES;
  /** What it takes to sign and to verify; undefined where neighbours are believed. @type {Signing | undefined} */
  signing = undefined;
  /** Links that may have frames to send. @type {Queue<number>} */
  dirty = new Queue();
  /** @type {Queue<CourierEvent>} */
  events = new Queue();
  counters = new Counters();

  /**
   * @param {MemberId} id
   * @param {number} now
   */
  constructor(id, now) {
    this.id = id;
    this.now = now;
    this.own = this.streams.insert(new Stream({ origin: id }, "own", now));
    this.byId.set(id, this.own);
  }

  /** Whether a stream that nobody has told of has yet to begin. */
  get knowsBeginnings() {
    return this.vouched && this.plan.relayed;
  }

  /**
   * Whether a stream of which somebody has nothing has yet to begin.
   *
   * @param {StreamId} id
   * @param {StreamKind} kind
   */
  isToBegin(id, kind) {
    const isNew = this.known(id) === undefined && !this.departed.has(id.origin);
    return isNew && (kind === "sent" || (kind === "room" && this.knowsBeginnings));
  }

  /**
   * The place of a stream; made where it is new and there is room. Undefined beyond that, and for members that went.
   *
   * @param {StreamId} id
   * @param {StreamKind} kind
   */
  stream(id, kind) {
    const key = keyOf(id);
    const known = this.byId.get(key);
    if (known !== undefined) return known;
    if (this.byId.size >= STREAMS_MAX || this.departed.has(id.origin)) return undefined;
    const stream = new Stream(id, kind, this.now);
    if (kind === "room" && this.knowsBeginnings) {
      // Whoever vouched did not know of it: it has only begun, or the hub will tell. In a mesh its origin says where.
      stream.beginning = "anywhere";
      stream.begin();
    }
    const s = this.streams.insert(stream);
    this.byId.set(key, s);
    return s;
  }

  /**
   * The place of a stream that is known.
   *
   * @param {StreamId} id
   */
  known(id) {
    return this.byId.get(keyOf(id));
  }

  /**
   * A stream is no more.
   *
   * @param {StreamId} id
   */
  disown(id) {
    this.byId.delete(keyOf(id));
  }

  /**
   * A link may have frames to send.
   *
   * @param {number} at
   */
  list(at) {
    const link = this.links.at(at);
    if (link.listed) return;
    link.listed = true;
    this.dirty.push(at);
  }

  /** @param {number} due */
  sweepBy(due) {
    this.sweepAt = Math.min(this.sweepAt ?? due, due);
  }

  /**
   * What is remembered of a member that went.
   *
   * @param {MemberId} id
   * @param {Position} position
   */
  depart(id, position) {
    if (this.departed.has(id)) return;
    if (this.departed.size >= DEPARTED_MAX) {
      for (const oldest of this.departed.keys()) {
        this.departed.delete(oldest);
        for (const link of this.links.things()) link.departed.delete(oldest);
        break;
      }
    }
    this.departed.set(id, position);
  }
}

/**
 * A stream by name.
 *
 * @param {StreamId} id
 */
export function keyOf({ origin, to }) {
  return to === undefined ? origin : origin + to;
}

/**
 * Whether the other end of a link is to be sent a stream.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
export function pushes(core, at, s) {
  const link = core.links.at(at);
  if (!link.open) return false;
  const stream = core.streams.at(s);
  switch (stream.kind) {
    case "own":
    case "room":
      // Its origin has it.
      if (stream.kind === "room" && link.peer === stream.id.origin) return false;
      return link.endsOf(s).wanted ?? defaultPush(core.plan.relayed, link.eager, stream);
    case "sent":
    case "passing":
      return stream.toward === at;
    case "received":
      return false;
  }
}

/**
 * Whether a stream goes over a link whose other end has said nothing of it.
 *
 * @param {boolean} relayed
 * @param {boolean} eager
 * @param {Stream} stream
 */
export function defaultPush(relayed, eager, stream) {
  return relayed ? eager : stream.kind === "own";
}
