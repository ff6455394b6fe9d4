// @ts-check
/**
 * One stream as a member has it.
 *
 * @module
 */

import { ACTIVE_FOR, GRAFT_MAX, GRAFT_MIN } from "../limits.js";
import { ORIGIN, UNKNOWN } from "./distance.js";
import { Log } from "./log.js";
import { Proofs } from "./proof.js";
import { Waiting } from "./waiting.js";
import { Window } from "./window.js";

/** @import {Have, Stream as StreamId} from "../frame.js" */
/** @import {MemberId} from "../id.js" */
/** @import {Distance} from "./distance.js" */

/**
 * What a stream is to this member: what it says to the room itself, what another says to the room, what it says to one
 * other, what another says to it only, what one member says to another by way of this one.
 *
 * @typedef {"own" | "room" | "sent" | "received" | "passing"} StreamKind
 */
/**
 * Somebody has announced chunks that are missing here: they have everything below `upto`; `due`: when (the next) one is
 * asked for them; `asked`: links that were.
 *
 * @typedef {{ upto: number, since: number, due: number, asked: number[] }} Repair
 */

export class Stream {
  id;
  kind;
  /** What is kept of it to hand it on; of no use where it is received here only. */
  log = new Log(1);
  /** What shows whose the chunks of the log are. */
  proofs = new Proofs();
  /** When its chunks were last given to be signed, where it is one's own. @type {number | undefined} */
  sealedAt = undefined;
  /** Whether a signature is awaited. */
  sealing = false;
  /** What puts messages together, of streams of others that are for this member too. */
  window = new Window();
  /** What waits for room in the log, of one's own. */
  waiting = new Waiting();
  /** Its origin is known to be in the room. */
  isNamed = false;
  /** It was met in the middle, and nothing of it came yet. */
  isUntouched = false;
  /** The link that it comes by. @type {number | undefined} */
  parent = undefined;
  /** It had a parent, and lost it. */
  bereft = false;
  /** How far it is from its origin to here. @type {Distance} */
  far;
  /** When the last chunk came. */
  freshAt;
  /** Others have what is missing here. @type {Repair | undefined} */
  repair = undefined;
  /** Until when the way that it comes by is kept, although another looks better. */
  settledUntil;
  /** Its origin is gone: until then it is kept for the other survivors. @type {number | undefined} */
  forgetAt = undefined;
  /** The link that it goes to its addressee by … @type {number | undefined} */
  toward = undefined;
  /** … and who passes it on from there. @type {MemberId[]} */
  route = [];

  /**
   * @param {StreamId} id
   * @param {StreamKind} kind
   * @param {number} now
   */
  constructor(id, kind, now) {
    this.id = id;
    this.kind = kind;
    this.far = kind === "own" || kind === "sent" ? ORIGIN : UNKNOWN;
    this.freshAt = now;
    this.settledUntil = now;
  }

  get isOwn() {
    return this.kind === "own" || this.kind === "sent";
  }

  /** Whether it is for the whole room. */
  get isOfRoom() {
    return this.kind === "own" || this.kind === "room";
  }

  /** Whether it is known where the stream begins for this member. */
  get hasBegun() {
    return (this.kind !== "room" && this.kind !== "received") || this.window.next !== undefined;
  }

  /** The first chunk that is missing. */
  get next() {
    return this.kind === "received" ? (this.window.next ?? 0) : this.log.next;
  }

  /**
   * Begins, or goes on, at `next`; gives the chunks that will never come.
   *
   * @param {number} next
   */
  start(next) {
    next = Math.max(next, 1);
    const lost = this.window.start(next);
    if (next > this.log.next || this.log.isEmpty) this.log.restart(this.window.next ?? next);
    return lost;
  }

  /**
   * Begins at `next`, whatever was believed before.
   *
   * @param {number} next
   */
  beginAt(next) {
    this.window = new Window();
    this.start(next);
  }

  /**
   * Goes on where an earlier one of the same origin stood.
   *
   * @param {number} next
   */
  resume(next) {
    this.window = new Window(next);
    this.log.restart(next);
  }

  /**
   * "Everything below `next` is here."
   *
   * @param {number} next
   * @returns {Have}
   */
  have(next) {
    const { hop, delayMs } = this.far;
    return { origin: this.id.origin, next, hop, delayMs };
  }

  /** @param {number} now */
  isActive(now) {
    return now - this.freshAt < ACTIVE_FOR;
  }
}

/** What lateness moves by with each sample. */
const STEP = 500;

/** How late chunks are after they were announced, as the 95th percentile: the base of how long to wait for one. */
export class Lateness {
  #late = GRAFT_MAX / 4;

  /**
   * A chunk came so long after it had been announced.
   *
   * @param {number} late
   */
  sample(late) {
    this.#late = late > this.#late ? Math.min(this.#late + 19 * STEP, GRAFT_MAX) : Math.max(0, this.#late - STEP);
  }

  /** How long to wait for a chunk that others have. */
  get patience() {
    return Math.min(Math.max(2 * this.#late, GRAFT_MIN), GRAFT_MAX);
  }
}
