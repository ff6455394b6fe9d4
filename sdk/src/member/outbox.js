// @ts-check
/**
 * The sending end of one stream: messages cut into chunks, kept until everybody who is owed them has them.
 *
 * @module
 */

import { encodeFrame } from "../frame.js";
import { CHUNK, FRAME_COST, OUTBOX_MAX, WAITING_BYTES, WAITING_SENDS } from "../limits.js";

/** @import {Head, Stream} from "../frame.js" */

/** A chunk as it goes over every link; `stamp` is its place among all chunks of this member, whatever their stream. @typedef {{ frame: Uint8Array, stamp: number }} Chunk */
/** `ticket`: to be answered once the whole message is in; none for calls and replies. @typedef {{ ticket?: number, head?: Head, rest: Uint8Array }} Waiting */

/**
 * What a DATA frame counts for, in credit and in the outbox.
 *
 * @param {number} length
 */
export function cost(length) {
  return length + FRAME_COST;
}

export class Outbox {
  #stream;
  /** The number of the first chunk kept. */
  #first;
  /** Chunks before `#gone` are let go of; they are cut off now and then. @type {(Chunk | undefined)[]} */
  #chunks = [];
  #gone = 0;
  /** Bytes and overhead of what is kept. */
  #cost = 0;
  /** @type {Waiting[]} */
  #waiting = [];
  #waitingBytes = 0;

  /**
   * @param {Stream} stream
   * @param {number} next the number of the next chunk
   */
  constructor(stream, next) {
    this.#stream = stream;
    this.#first = next;
  }

  get first() {
    return this.#first;
  }

  /** The number of the chunk that comes next. */
  get next() {
    return this.#first + this.#chunks.length - this.#gone;
  }

  /**
   * @param {number} seq
   * @returns {Chunk | undefined}
   */
  chunk(seq) {
    return seq < this.#first ? undefined : this.#chunks[this.#gone + seq - this.#first];
  }

  /** Bytes and overhead of what is kept. */
  get cost() {
    return this.#cost;
  }

  /** Whether messages wait for room. */
  get isWaiting() {
    return this.#waiting.length > 0;
  }

  /**
   * Whether one more message may wait.
   *
   * @param {number} length
   */
  hasRoomFor(length) {
    return (
      this.#waiting.length === 0 ||
      (this.#waiting.length < WAITING_SENDS && this.#waitingBytes + length <= WAITING_BYTES)
    );
  }

  /**
   * @param {number | undefined} ticket
   * @param {Head} head
   * @param {Uint8Array} payload
   */
  push(ticket, head, payload) {
    this.#waitingBytes += payload.length;
    this.#waiting.push({ ticket, head, rest: payload });
  }

  /**
   * Moves what waits into the outbox as far as there is room; gives the tickets of the messages that are in.
   *
   * @param {() => number} nextStamp
   */
  fill(nextStamp) {
    /** @type {number[]} */
    const sent = [];
    while (this.#cost < OUTBOX_MAX && this.#waiting.length > 0) {
      const waiting = this.#waiting[0];
      const { ticket, head } = waiting;
      const payload = waiting.rest.subarray(0, CHUNK);
      waiting.rest = waiting.rest.subarray(payload.length);
      waiting.head = undefined;
      this.#waitingBytes -= payload.length;
      const last = waiting.rest.length === 0;
      if (last) {
        this.#waiting.shift();
        if (ticket !== undefined) sent.push(ticket);
      }
      const frame = encodeFrame({ type: "data", stream: this.#stream, seq: this.next, head, last, payload });
      this.#cost += cost(frame.length);
      this.#chunks.push({ frame, stamp: nextStamp() });
    }
    return sent;
  }

  /**
   * Lets go of the chunks below `seq`.
   *
   * @param {number} seq
   */
  trim(seq) {
    while (this.#first < seq && this.#gone < this.#chunks.length) {
      this.#cost -= cost(/** @type {Chunk} */ (this.#chunks[this.#gone]).frame.length);
      this.#chunks[this.#gone] = undefined;
      this.#gone += 1;
      this.#first += 1;
    }
    if (2 * this.#gone > this.#chunks.length) {
      this.#chunks.splice(0, this.#gone);
      this.#gone = 0;
    }
  }

  /** Lets go of everything; gives the tickets of the messages that were not in yet. */
  clear() {
    this.trim(this.next);
    this.#waitingBytes = 0;
    return this.#waiting.splice(0).flatMap(({ ticket }) => (ticket === undefined ? [] : [ticket]));
  }
}
