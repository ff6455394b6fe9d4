// @ts-check
/**
 * Messages that wait for room in the log of one's own stream.
 *
 * @module
 */

import { encodeFrame } from "../frame.js";
import { CHUNK, OUTBOX_MAX, WAITING_BYTES, WAITING_SENDS } from "../limits.js";
import { Queue } from "./queue.js";

/** @import {Head, Stream} from "../frame.js" */
/** @import {Log} from "./log.js" */

/** `ticket`: to be answered once the whole message is in; none for calls and replies. @typedef {{ ticket: number | undefined, head: Head | undefined, rest: Uint8Array }} Message */

export class Waiting {
  /** @type {Queue<Message>} */
  #messages = new Queue();
  #bytes = 0;

  get isEmpty() {
    return this.#messages.length === 0;
  }

  /**
   * Whether one more message may wait.
   *
   * @param {number} payload its length
   */
  hasRoomFor(payload) {
    return this.isEmpty || (this.#messages.length < WAITING_SENDS && this.#bytes + payload <= WAITING_BYTES);
  }

  /**
   * @param {number | undefined} ticket
   * @param {Head} head
   * @param {Uint8Array} payload
   */
  push(ticket, head, payload) {
    this.#bytes += payload.length;
    this.#messages.push({ ticket, head, rest: payload });
  }

  /**
   * Cuts what waits into chunks for the log, as far as there is room; gives the tickets of the messages that are in.
   *
   * @param {Stream} stream
   * @param {Log} log
   * @param {{ stamp: number }} last the stamp that was given last
   * @param {number} now
   */
  fill(stream, log, last, now) {
    /** @type {number[]} */
    const sent = [];
    for (let message; log.bytes < OUTBOX_MAX && (message = this.#messages.first); ) {
      const { ticket, head } = message;
      const payload = message.rest.subarray(0, CHUNK);
      message.rest = message.rest.subarray(payload.length);
      message.head = undefined;
      this.#bytes -= payload.length;
      const ends = message.rest.length === 0;
      if (ends) {
        this.#messages.shift();
        if (ticket !== undefined) sent.push(ticket);
      }
      last.stamp += 1;
      log.push(encodeFrame({ type: "data", stream, seq: log.next, head, last: ends, payload }), last.stamp, now);
    }
    return sent;
  }

  /** Lets go of everything; gives the tickets. */
  clear() {
    this.#bytes = 0;
    return this.#messages.take().flatMap(({ ticket }) => (ticket === undefined ? [] : [ticket]));
  }
}
