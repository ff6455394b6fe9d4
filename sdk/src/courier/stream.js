// @ts-check
/**
 * One stream as a member has it.
 *
 * @module
 */

import { ACTIVE_FOR, GRAFT_MAX, GRAFT_MIN, LEAVING_MS } from "../limits.js";
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
 * Where a member's stream begins for another, as far as those two heard of each other by the hub. `before`: it was in the room
 * before: others know. A number: it entered later, or came back to a hub that did not know it, and has said what comes before
 * to others only. `anywhere`: the two meet at a hub that neither was welcomed by before the other: nothing is owed of what was
 * said until then.
 *
 * @typedef {"before" | "anywhere" | number} Beginning
 */
/** No neighbour has what comes next; `due`: when a link to the origin is asked for (again). @typedef {{ since: number, due: number }} Rescue */
/**
 * Somebody has announced chunks that are missing here: they have everything below `upto`; `due`: when (the next) one is
 * asked for them; `asked`: links that were; `tries`: how often somebody was asked in vain.
 *
 * @typedef {{ upto: number, since: number, due: number, asked: number[], tries: number }} Repair
 */
/**
 * Where a stream was offered to a newcomer: somewhere between the two it begins, as caches and those who entered shortly before
 * the newcomer offer less than there is.
 *
 * @typedef {{ least: number, most: number }} Offered
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
  window;
  /** What waits for room in the log, of one's own. */
  waiting = new Waiting();
  /** Its origin is known to be in the room. */
  isNamed = false;
  /** Where it begins, as far as the hub's word tells. @type {Beginning} */
  beginning = "before";
  /** It was met in the middle, and nothing of it came yet. */
  isUntouched = false;
  /** Where those offered it that were in the room before this member. @type {Offered | undefined} */
  offered = undefined;
  /** The link that it comes by. @type {number | undefined} */
  parent = undefined;
  /** It had a parent, and lost it. */
  bereft = false;
  /** The link to its parent is to go, and nobody else is known to have it. */
  leaving = false;
  /** How far it is from its origin to here. @type {Distance} */
  far;
  /** When the last chunk came. */
  freshAt;
  /** What was missing was given up, and nothing came since. */
  gaveUp = false;
  /** Others have what is missing here. @type {Repair | undefined} */
  repair = undefined;
  /** Since when no neighbour can bring it, and when a link to its origin is asked for (again). @type {Rescue | undefined} */
  rescue = undefined;
  /** Its origin has nothing below any more, by its own word. */
  lostBelow = 0;
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
    // Who says something to this member alone begins with the first chunk: others know nothing of it.
    this.window = new Window(kind === "received" ? 1 : 0);
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
    return this.kind !== "room" || this.window.next !== undefined;
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

  /** Begins where the hub's word says; with its first chunk where that says nothing. */
  begin() {
    this.beginAt(Math.max(typeof this.beginning === "number" ? this.beginning : 1, this.next));
    this.isUntouched = this.beginning === "anywhere";
  }

  /**
   * Whether it has begun, now that somebody has some of it. In a mesh its origin says where it begins; when others come to bring
   * it, as in a room that has moved while the hub was out of reach, the hub's word must do.
   */
  begins() {
    if (!this.hasBegun && typeof this.beginning === "number") this.begin();
    return this.hasBegun;
  }

  /**
   * Somebody who was here before offers it from `first` on. `late`: that one may have had more.
   *
   * @param {number} first
   * @param {boolean} late
   */
  offer(first, late) {
    this.offered ??= { least: first, most: first };
    this.offered.least = Math.min(this.offered.least, first);
    if (!late) this.offered.most = Math.max(this.offered.most, first);
  }

  /**
   * Its origin was believed to be gone before it was known where the stream begins, and has said what comes before `next` to
   * those whom it knew, maybe to this member too.
   *
   * @param {number} next
   */
  reappear(next) {
    this.beginning = "anywhere";
    if (next > 1) this.offer(next, false);
  }

  /**
   * Whether it may begin as late as at `next`, as nothing of it came yet.
   *
   * @param {number} next
   */
  mayBeginAt(next) {
    return this.isUntouched && (this.offered === undefined || next <= this.offered.most);
  }

  /** Where it is to begin that has not begun yet, as far as that is known. */
  get first() {
    return typeof this.beginning === "number" ? this.beginning : this.offered?.least;
  }

  /** Begins where those who were here before offered it; with its first chunk, or later, where they know only that it has begun. */
  meet() {
    this.start(this.offered?.least ?? 1);
    this.isUntouched = true;
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
    this.isUntouched = false;
  }

  /**
   * "Everything below `next` is here."
   *
   * @param {number} next
   * @returns {Have}
   */
  have(next) {
    const { hop, delayMs } = this.claim;
    return { origin: this.id.origin, next, hop, delayMs };
  }

  /** How far others are told that it is: nobody is to come or stay for what is about to go. */
  get claim() {
    return this.leaving ? this.far.delayed(LEAVING_MS) : this.far;
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
