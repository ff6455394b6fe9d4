// @ts-check
/**
 * What a member keeps of one stream, to hand it on.
 *
 * @module
 */

import { CACHE_AGE, FRAME_COST, MARKS, MARK_EVERY } from "../limits.js";
import { Queue } from "./queue.js";

/** `stamp` is its place among all chunks of this member, where it is one's own. @typedef {{ frame: Uint8Array, at: number, stamp: number }} Chunk */

/** Bytes of a buffer that a frame may keep from being freed although they are not its own, beyond as many as it has. */
const SPARE = 256;

/** The chunks `first … next − 1` of a stream, each as the frame that its origin made of it. */
export class Log {
  #first;
  /** @type {Queue<Chunk>} */
  #chunks = new Queue();
  #bytes = 0;
  /** When some of the chunks came that were let go of, the oldest first: a newcomer may be owed them. @type {{ at: number, seq: number }[]} */
  #marks = [];
  /** When the last of them came. @type {number | undefined} */
  #droppedAt;

  /** @param {number} next the number of the next chunk */
  constructor(next) {
    this.#first = next;
  }

  /** The first chunk that can be supplied. */
  get first() {
    return this.#first;
  }

  /** The first chunk that is missing. */
  get next() {
    return this.#first + this.#chunks.length;
  }

  /**
   * The first chunk that came at `time` or later. Where some were let go of that did, one of those, or a little earlier.
   *
   * @param {number} time
   */
  firstSince(time) {
    if (this.#droppedAt !== undefined && this.#droppedAt >= time) {
      const mark = this.#marks.findLast(({ at }) => at <= time) ?? this.#marks[0];
      return mark?.seq ?? this.#first;
    }
    let [low, high] = [0, this.#chunks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (/** @type {Chunk} */ (this.#chunks.at(middle)).at < time) low = middle + 1;
      else high = middle;
    }
    return this.#first + low;
  }

  get isEmpty() {
    return this.#chunks.length === 0;
  }

  /** What it costs, as do chunks that go over a link. */
  get bytes() {
    return this.#bytes;
  }

  /**
   * @param {number} seq
   * @returns {Chunk | undefined}
   */
  chunk(seq) {
    return seq < this.#first ? undefined : this.#chunks.at(seq - this.#first);
  }

  /**
   * Appends a chunk. `stamp` is of use for one's own only.
   *
   * A frame is a view of the packet that it came in, and keeps all of it from being freed. Where most of the packet is
   * none of this stream's, the frame is copied out: what a log keeps takes at most twice its bytes.
   *
   * @param {Uint8Array} frame
   * @param {number} stamp
   * @param {number} at
   */
  push(frame, stamp, at) {
    const lean = frame.buffer.byteLength <= 2 * frame.length + SPARE;
    this.#bytes += cost(frame.length);
    this.#chunks.push({ frame: lean ? frame : new Uint8Array(frame), at, stamp });
  }

  /**
   * Goes on at `next`: what comes before is not to be had.
   *
   * @param {number} next
   */
  restart(next) {
    this.#first = next;
    this.#chunks.take();
    this.#bytes = 0;
    this.#marks = [];
    this.#droppedAt = undefined;
  }

  /**
   * Lets go of chunks below `floor` that are old, or more than `share` bytes.
   *
   * @param {number} floor
   * @param {number} share
   * @param {number} now
   */
  trim(floor, share, now) {
    for (let chunk; this.#first < floor && (chunk = this.#chunks.first); ) {
      if (this.#bytes <= share && chunk.at + CACHE_AGE > now) return;
      this.#mark(chunk.at);
      this.#dropFirst();
    }
  }

  /**
   * Notes when the first chunk came.
   *
   * @param {number} at
   */
  #mark(at) {
    this.#droppedAt = at;
    const last = this.#marks.at(-1);
    if (last && last.at + MARK_EVERY > at) return;
    if (this.#marks.length >= MARKS) this.#marks.shift();
    this.#marks.push({ at, seq: this.#first });
  }

  /**
   * Lets go of all chunks below `floor`.
   *
   * @param {number} floor
   */
  trimTo(floor) {
    while (this.#first < floor && this.#chunks.length > 0) this.#dropFirst();
  }

  #dropFirst() {
    const chunk = this.#chunks.shift();
    if (!chunk) return;
    this.#bytes -= cost(chunk.frame.length);
    this.#first += 1;
  }

  /**
   * How much more than `share` bytes it holds: somebody has yet to get it.
   *
   * @param {number} share
   */
  overhang(share) {
    return Math.max(0, this.#bytes - share);
  }
}

/**
 * What a DATA frame counts for, in credit and in what is kept.
 *
 * @param {number} frame its length
 */
export function cost(frame) {
  return frame + FRAME_COST;
}
