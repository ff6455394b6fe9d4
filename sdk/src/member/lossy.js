// @ts-check
/**
 * Lossy channels towards and from one peer: the newest value of each `latest` channel until it was seen, datagrams that
 * are sent once, and the small frames that keep a link's pulse.
 *
 * @module
 */

import { PacketWriter, encodeFrame } from "../frame.js";
import { FRAME_COST, LATEST_CHANNELS, LATEST_RESEND, LOSSY_HELD, LOSSY_PAUSE } from "../limits.js";
import { sortedEntries } from "./order.js";

/** @import {Stream} from "../frame.js" */
/** @import {MemberId} from "../id.js" */

/** A value on its way to one peer. @typedef {{ seq: number, frame: Uint8Array, sent?: number }} Value */

/** One lossy packet fits one datagram where its frames do. */
const LOSSY_PACKET = 1_100;

/** The values that this member keeps for whoever enters later. */
export class Published {
  /** Numbers all values of this member, so that each channel's rise. */
  #seq = 0;
  /** @type {Map<string, Value>} */
  #latest = new Map();

  /**
   * Numbers a value and makes its frame; keeps it where it is for everybody.
   *
   * @param {Stream} stream
   * @param {string} channel
   * @param {Uint8Array} payload
   * @returns {Value}
   */
  value(stream, channel, payload) {
    const seq = ++this.#seq;
    const value = { seq, frame: encodeFrame({ type: "latest", stream, seq, channel, payload }) };
    if (stream.to === undefined) {
      makeRoom(this.#latest, channel);
      this.#latest.set(channel, value);
    }
    return value;
  }

  /** @returns {Map<string, Value>} */
  all() {
    return new Map([...this.#latest].map(([channel, { seq, frame }]) => [channel, { seq, frame }]));
  }
}

export class LossyFlow {
  /** The newest value of each channel that the peer has not seen. */
  #unseen;
  /** The newest number seen of each of the peer's channels, of those used last. @type {Map<string, { seq: number }>} */
  #seen = new Map();
  /** The highest number that was forgotten of the others: nothing up to it is news. */
  #forgotten = 0;
  /** @type {Uint8Array[]} */
  #queue = [];
  #queued = 0;
  /** Bytes in the lossy lane's send buffer. */
  buffered = 0;
  /** Bytes of lossy messages that the application has not consumed. */
  #held = 0;

  /**
   * A flow to a peer that has just entered.
   *
   * @param {Published} published
   */
  constructor(published) {
    this.#unseen = published.all();
  }

  /** A new link: whatever was under way is sent again. */
  linkUp() {
    this.buffered = 0;
    this.#queue = [];
    this.#queued = 0;
    for (const value of this.#unseen.values()) value.sent = undefined;
  }

  /**
   * Supersedes a channel's value.
   *
   * @param {string} channel
   * @param {Value} value
   */
  publish(channel, { seq, frame }) {
    makeRoom(this.#unseen, channel);
    this.#unseen.set(channel, { seq, frame });
  }

  /**
   * The peer has seen a value.
   *
   * @param {string} channel
   * @param {number} seq
   */
  acknowledged(channel, seq) {
    const value = this.#unseen.get(channel);
    if (value && value.seq <= seq) this.#unseen.delete(channel);
  }

  /**
   * A frame that is sent once: PING, PONG, SEEN, DATAGRAM. Dropped where the buffer is full.
   *
   * @param {Uint8Array} frame
   */
  send(frame) {
    if (this.buffered + this.#queued + frame.length > LOSSY_PAUSE) return;
    this.#queued += frame.length;
    this.#queue.push(frame);
  }

  /**
   * When a value is to be sent (again).
   *
   * @param {number | undefined} rtt
   * @returns {number | undefined}
   */
  resendAt(rtt) {
    if (this.buffered >= LOSSY_PAUSE || this.#unseen.size === 0) return undefined;
    let due = Infinity;
    for (const { sent } of this.#unseen.values()) due = Math.min(due, sent === undefined ? 0 : sent + resendAfter(rtt));
    return due;
  }

  /**
   * Builds the next packet for the lossy lane.
   *
   * @param {number | undefined} rtt
   * @param {number} now
   * @returns {Uint8Array<ArrayBuffer> | undefined}
   */
  nextPacket(rtt, now) {
    if (this.#queue.length === 0 && this.buffered < LOSSY_PAUSE) this.#queueDueValue(rtt, now);
    const packet = new PacketWriter();
    let taken = 0;
    for (const frame of this.#queue) {
      if (packet.length > 0 && packet.length + frame.length > LOSSY_PACKET) break;
      packet.push(frame);
      taken += 1;
    }
    for (const frame of this.#queue.splice(0, taken)) this.#queued -= frame.length;
    this.buffered += packet.length;
    return packet.length > 0 ? packet.take() : undefined;
  }

  /**
   * @param {number | undefined} rtt
   * @param {number} now
   */
  #queueDueValue(rtt, now) {
    if (this.#unseen.size === 0) return;
    const isDue = (/** @type {Value} */ { sent }) => sent === undefined || sent + resendAfter(rtt) <= now;
    const due = sortedEntries(this.#unseen).find(([, value]) => isDue(value))?.[1];
    if (!due) return;
    due.sent = now;
    this.#queued += due.frame.length;
    this.#queue.push(due.frame);
  }

  /**
   * A `latest` value came. True where it is newer than what was seen, and the application has room for it.
   *
   * @param {MemberId} origin
   * @param {string} channel
   * @param {number} seq
   * @param {number} length
   */
  value(origin, channel, seq, length) {
    const fresh = seq > (this.#seen.get(channel)?.seq ?? this.#forgotten);
    if (fresh) {
      if (!this.hold(length)) return false;
      this.#forgotten = Math.max(this.#forgotten, makeRoom(this.#seen, channel));
      this.#seen.set(channel, { seq });
    }
    this.send(encodeFrame({ type: "seen", origin, seq, channel }));
    return fresh;
  }

  /**
   * Makes room for a message; false where the application has not taken enough of the earlier ones.
   *
   * @param {number} length
   */
  hold(length) {
    if (this.#held >= LOSSY_HELD) return false;
    this.#held += length + FRAME_COST;
    return true;
  }

  /** @param {number} bytes */
  consumed(bytes) {
    this.#held = Math.max(0, this.#held - bytes - FRAME_COST);
  }
}

/**
 * Lets go of the oldest value where one of another channel would be too many; gives its number, else 0.
 *
 * @param {Map<string, { seq: number }>} values
 * @param {string} channel
 */
function makeRoom(values, channel) {
  if (values.has(channel) || values.size < LATEST_CHANNELS) return 0;
  let oldest = "";
  let least = Infinity;
  for (const [name, { seq }] of values) if (seq < least) [oldest, least] = [name, seq];
  values.delete(oldest);
  return least;
}

/** @param {number | undefined} rtt */
function resendAfter(rtt) {
  return rtt === undefined ? LATEST_RESEND : Math.max(2 * rtt, LATEST_RESEND);
}
