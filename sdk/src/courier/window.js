// @ts-check
/**
 * The receiving end of one stream: duplicates, gaps, and chunks put together to messages.
 *
 * @module
 */

import { MESSAGE_MAX } from "../limits.js";
import { LinkError } from "./error.js";

/** @import {Data, Head} from "../frame.js" */

/** A range of chunks that will never come, both ends included. @typedef {{ from: number, to: number }} Lost */
/** @typedef {{ head: Head, payload: Uint8Array }} Whole */
/** What became of a chunk: a message is whole, or known to be lost. @typedef {{ lost?: Lost, message?: Whole }} Accepted */

export class Window {
  /** The first chunk that is missing; 0 while the stream is unknown. */
  #next;
  /** @type {{ first: number, head: Head, parts: Uint8Array[], length: number } | undefined} */
  #assembly;
  /** Where a message began whose rest is of no use. @type {number | undefined} */
  #orphaned;
  /** The stream was met in the middle: the rest of a message that began before is none of ours. */
  #joinedLate = false;

  /** @param {number} [next] where an earlier window of the same stream stood */
  constructor(next = 0) {
    this.#next = next;
  }

  /** The first chunk that is missing; undefined while the stream is unknown. */
  get next() {
    return this.#next > 0 ? this.#next : undefined;
  }

  /**
   * The sender has nothing below `first` for us (any more).
   *
   * @param {number} first
   * @returns {Lost | undefined}
   */
  start(first) {
    first = Math.max(first, 1);
    if (this.#next === 0) {
      this.#next = first;
      this.#joinedLate = true;
      return undefined;
    }
    if (first <= this.#next) return undefined;
    let from = this.#next;
    if (this.#assembly) {
      from = this.#assembly.first;
      this.#assembly = undefined;
    } else if (this.#orphaned !== undefined) {
      from = this.#orphaned;
      this.#orphaned = undefined;
    }
    this.#next = first;
    return { from, to: first - 1 };
  }

  /**
   * Takes a chunk.
   *
   * @param {Data} data
   * @returns {Accepted}
   * @throws {LinkError}
   */
  accept({ seq, head, last, payload }) {
    if (this.#next === 0) throw new LinkError("bad_frame: a chunk of a stream that was not announced");
    if (seq < this.#next) return {};
    if (seq > this.#next) throw new LinkError("bad_frame: a chunk out of order");
    this.#next += 1;
    const assembly = this.#assembly;
    this.#assembly = undefined;
    if (head) {
      if (assembly) throw new LinkError("bad_frame: a message within a message");
      return this.#begin(seq, head, last, payload);
    }
    if (assembly) {
      if (assembly.length + payload.length > MESSAGE_MAX) throw new LinkError("bad_frame: a message beyond the bound");
      assembly.parts.push(payload);
      assembly.length += payload.length;
      if (last) return { message: { head: assembly.head, payload: joined(assembly.parts, assembly.length) } };
      this.#assembly = assembly;
      return {};
    }
    if (this.#joinedLate) return {};
    // The rest of a message whose beginning was lost.
    const from = (this.#orphaned ??= seq);
    if (!last) return {};
    this.#orphaned = undefined;
    return { lost: { from, to: seq } };
  }

  /**
   * @param {number} seq
   * @param {Head} head
   * @param {boolean} last
   * @param {Uint8Array} payload
   * @returns {Accepted}
   */
  #begin(seq, head, last, payload) {
    this.#joinedLate = false;
    /** @type {Accepted} */
    const accepted = {};
    if (this.#orphaned !== undefined) accepted.lost = { from: this.#orphaned, to: seq - 1 };
    this.#orphaned = undefined;
    if (last) accepted.message = { head, payload };
    else this.#assembly = { first: seq, head, parts: [payload], length: payload.length };
    return accepted;
  }
}

/**
 * @param {Uint8Array[]} parts
 * @param {number} length
 */
function joined(parts, length) {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
