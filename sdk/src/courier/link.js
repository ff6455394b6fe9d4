// @ts-check
/**
 * One link as the courier sees it: what its other end has of each stream, and what waits to go over it.
 *
 * @module
 */

import { DELAY_UNKNOWN } from "../limits.js";
import { UNKNOWN } from "./distance.js";
import { cost } from "./log.js";
import { Queue } from "./queue.js";

/** @import {Frame} from "../frame.js" */
/** @import {MemberId} from "../id.js" */
/** @import {LinkUp} from "./core.js" */
/** @import {Distance} from "./distance.js" */
/** @import {Covers} from "./proof.js" */

/** The two ends of a link, with regard to one stream. */
export class Ends {
  /** What the other end said last: push or do not. Undefined: nothing; the plan decides. @type {boolean | undefined} */
  wanted = undefined;
  /** The other end has everything below. */
  theirs = 0;
  /** The next chunk to push. */
  cursor = 0;
  /** What it asked for last, if it has not asked for the opposite since, and when. @type {{ next: number, at: number } | undefined} */
  asked = undefined;
  /** How far from its origin the other end is, as it said last. @type {Distance} */
  far = UNKNOWN;
  /** What it was told last of how far this end is. @type {Distance} */
  told = UNKNOWN;
  /** Whether this side has asked not to be sent the stream. */
  pruned = false;
  /** Announcements, one after another, that came before the chunk itself. */
  ahead = 0;
  /** How often it proved slower than it claims. */
  slow = 0;
  /** Until when it is not taken as the better way. */
  restsUntil = 0;
  /** The first chunk that the other end offered in its HELLO. */
  offered = 0;
  /** The first chunk that the other end can supply, where it said that it lacks earlier ones. */
  floor = 0;
  /** When the other end last got on, or was first behind. */
  moved = 0;
  /** It did not for too long: nothing is kept for it any more. */
  passedOver = false;
  /** Where the range begins that it was shown last whose chunks are. */
  proved = 0;
  /** It was told where this addressed stream goes, and from where on. */
  routed = false;
  inReady = false;
  inTelling = false;

  /**
   * The other end has everything below `next`. Gives whether that is news.
   *
   * @param {number} next
   * @param {number} now
   */
  has(next, now) {
    if (next <= this.theirs) return false;
    this.theirs = next;
    this.cursor = Math.max(this.cursor, next);
    this.moved = now;
    this.passedOver = false;
    return true;
  }
}

/** Where nothing was said yet. @type {Readonly<Ends>} */
const NOTHING = Object.freeze(new Ends());

/** A link that carries frames. */
export class Link {
  peer;
  /** Whether the other end has said HELLO. */
  open = false;
  /** When it did. */
  opened = 0;
  /** Whether it said that it does not know where streams begin. */
  isUnsure = false;
  /** Whether it has fallen silent. */
  suspect = false;
  /** How long a chunk takes over it; undefined where that was not measured. @type {number | undefined} */
  delay = undefined;
  /** Whether the plan has it no more. */
  draining = false;
  /** Whether the plan wants streams of which nothing was said to go over it. */
  eager;
  /** Whether its HELLO says where streams begin for us: the other end was in the room before this member, or is a relay. */
  vouches;
  /** The other end has everything below of what these say to the room, who went. @type {Map<MemberId, number>} */
  departed = new Map();
  /** Since when the other end is offered what there is. @type {number | undefined} */
  offerFrom;
  /** Whether the other end was told where streams begin, by a member that knew. */
  vouchedFor;
  /** What is known of each stream's ends, by the stream's place. @type {(Ends | undefined)[]} */
  #streams = [];
  /** Goes before anything else. @type {Queue<Frame>} */
  control = new Queue();
  /** Streams with chunks to push, each once. @type {Queue<number>} */
  #ready = new Queue();
  /** Streams with news to tell, each once. @type {number[]} */
  #telling = [];
  /** Those of which nothing is told before a time. @type {{ stream: number, at: number }[]} */
  #tellingLater = [];
  /** When the news is to be told. @type {number | undefined} */
  tellAt = undefined;
  /** Chunks that came since the last news were told. */
  untold = 0;
  /** What the other end has shown of the chunks of others that it brings, by stream. @type {Map<number, Covers>} */
  covers = new Map();
  /** Cost of chunks that came and wait until it is known whose they are. */
  unproved = 0;
  /** A frame that did not fit into the last packet. @type {Uint8Array | undefined} */
  spilt = undefined;
  /** Whether it stands in the list of links that may have frames to send. */
  listed = false;

  credit = 0;
  spent = 0;
  /** Bytes in the send buffer. */
  buffered = 0;
  received = 0;
  granted;

  /**
   * @param {MemberId} peer
   * @param {boolean} eager
   * @param {LinkUp} how
   * @param {number} granted
   * @param {boolean} vouchedFor
   */
  constructor(peer, eager, { vouches, offerFrom }, granted, vouchedFor) {
    this.peer = peer;
    this.eager = eager;
    this.vouches = vouches;
    this.offerFrom = offerFrom;
    this.vouchedFor = vouchedFor;
    this.granted = granted;
  }

  /** Whether somebody can be asked over it. */
  get isSound() {
    return this.open && !this.suspect;
  }

  /** @param {number} stream */
  ends(stream) {
    // Filled up in order: an array with holes is slow.
    while (this.#streams.length <= stream) this.#streams.push(undefined);
    return (this.#streams[stream] ??= new Ends());
  }

  /**
   * The same, to read only: also where nothing was said yet.
   *
   * @param {number} stream
   * @returns {Readonly<Ends>}
   */
  endsOf(stream) {
    return this.#streams[stream] ?? NOTHING;
  }

  /**
   * A chunk went over it and back in so long.
   *
   * @param {number} rtt
   */
  measured(rtt) {
    const way = Math.floor(rtt / 2);
    // A single round trip may have waited for anything.
    this.delay = this.delay === undefined ? way : Math.floor((3 * this.delay + way) / 4);
  }

  /**
   * How far from its origin a stream would be that came over this link.
   *
   * @param {number} stream
   */
  farOver(stream) {
    return this.endsOf(stream).far.over(this.delay ?? DELAY_UNKNOWN);
  }

  /**
   * There are chunks to push.
   *
   * @param {number} stream
   */
  ready(stream) {
    const ends = this.ends(stream);
    if (ends.inReady) return;
    ends.inReady = true;
    this.#ready.push(stream);
  }

  /** The stream whose turn it is. */
  get firstReady() {
    return this.#ready.first;
  }

  /** The stream whose turn it was has no more. */
  dropReady() {
    const stream = this.#ready.shift();
    if (stream !== undefined) this.ends(stream).inReady = false;
  }

  /** The stream whose turn it was waits for the next. */
  rotateReady() {
    const stream = this.#ready.shift();
    if (stream !== undefined) this.#ready.push(stream);
  }

  /**
   * There is news to tell by then.
   *
   * @param {number} stream
   * @param {number} by
   */
  tell(stream, by) {
    const ends = this.ends(stream);
    if (!ends.inTelling) {
      ends.inTelling = true;
      this.#telling.push(stream);
    }
    this.tellAt = Math.min(this.tellAt ?? by, by);
  }

  /**
   * There is news to tell then, and not before, even if there is other news.
   *
   * @param {number} stream
   * @param {number} at
   */
  tellLater(stream, at) {
    const ends = this.ends(stream);
    if (ends.inTelling) return;
    ends.inTelling = true;
    this.#tellingLater.push({ stream, at });
    this.tellAt = Math.min(this.tellAt ?? at, at);
  }

  /**
   * The streams with news, which are about to be told.
   *
   * @param {number} now
   */
  takeTelling(now) {
    const due = this.#tellingLater.filter(({ at }) => at <= now).map(({ stream }) => stream);
    const telling = [...this.#telling, ...due];
    this.#telling = [];
    if (due.length > 0) this.#tellingLater = this.#tellingLater.filter(({ at }) => at > now);
    this.tellAt = undefined;
    for (const { at } of this.#tellingLater) this.tellAt = Math.min(this.tellAt ?? at, at);
    return telling;
  }

  /**
   * What was shown of a stream counts no more, and what waits is let go of.
   *
   * @param {number} stream
   */
  dropCovers(stream) {
    for (const { waiting } of this.covers.get(stream)?.queue ?? []) {
      for (const { frame } of waiting) this.unproved -= cost(frame.length);
    }
    this.covers.delete(stream);
  }

  /**
   * A stream is forgotten; its place will be another's.
   *
   * @param {number} stream
   */
  forget(stream) {
    this.dropCovers(stream);
    const ends = this.#streams[stream];
    if (!ends) return;
    this.#streams[stream] = undefined;
    if (ends.inReady) this.#ready.retain((other) => other !== stream);
    if (!ends.inTelling) return;
    this.#telling = this.#telling.filter((other) => other !== stream);
    this.#tellingLater = this.#tellingLater.filter((other) => other.stream !== stream);
  }
}
