// @ts-check
/**
 * Lossy channels: the newest value of each `latest` channel, sent over each link until it was seen there; datagrams, sent
 * once; and the small frames that keep a link's pulse.
 *
 * Where members pass on what others say, a new value goes along the ways of its origin's stream at once, and after a while
 * over all other links to whoever has not got it meanwhile.
 *
 * @module
 */

import { PacketWriter, SIGNATURE, encodeFrame } from "../frame.js";
import {
  FRAME_COST, LATEST_CHANNELS, LATEST_RESEND, LATEST_RESEND_MAX, LATEST_UNSEEN, LOSSY_HELD, LOSSY_PAUSE,
} from "../limits.js";
import { compareTexts, sortedEntries } from "./order.js";

/** @import {Latest, Stream} from "../frame.js" */
/** @import {MemberId} from "../id.js" */

/** A value on its way over one link; `due`: when it is to be sent (again). @typedef {{ seq: number, frame: Uint8Array, due: number }} Value */
/**
 * The newest value of an own channel, as it was said last; `isAsked`: a signature is awaited, of this value or an older one.
 *
 * @typedef {{ seq: number, said: Latest, isAsked: boolean }} Own
 */
/** A value that is on its way to a peer, whose it is, and how often it was sent. @typedef {Value & { origin: MemberId, tries: number }} Unseen */
/** A value that came: `frame` where it is for everybody and passed on. @typedef {{ seq: number, frame?: Uint8Array }} Seen */
/** What became of a value: it is news, it is not, or the application has not taken enough of the earlier ones. @typedef {"fresh" | "again" | "refused"} Came */

/** One lossy packet fits one datagram where its frames do. */
const LOSSY_PACKET = 1_100;

/** What this member said last on its own lossy channels, for whoever enters later. */
export class Published {
  /** Numbers all values and datagrams of this member, so that each channel's rise. */
  #seq = 0;
  /** @type {Map<string, Own>} */
  #latest = new Map();

  /** The next number. */
  number() {
    return ++this.#seq;
  }

  /**
   * Numbers a value and makes its frame; keeps it where it is for everybody.
   *
   * @param {Stream} stream
   * @param {string} channel
   * @param {Uint8Array} payload
   * @returns {Value}
   */
  value(stream, channel, payload) {
    const seq = this.number();
    /** @type {Latest} */
    const said = { type: "latest", stream, seq, channel, payload };
    if (stream.to === undefined) {
      makeRoom(this.#latest, channel);
      this.#latest.set(channel, { seq, said, isAsked: this.#latest.get(channel)?.isAsked ?? false });
    }
    return { seq, frame: encodeFrame(said), due: 0 };
  }

  /** All that is kept, by channel. @returns {[string, Value][]} */
  all() {
    return sortedEntries(this.#latest).map(([channel, { seq, said }]) => [channel, { seq, frame: encodeFrame(said), due: 0 }]);
  }

  /** The channels that have a value. */
  channels() {
    return sortedEntries(this.#latest).map(([channel]) => channel);
  }

  /**
   * A channel's value with room for a signature, and its number; undefined where it has one, or one is awaited.
   *
   * @param {string} channel
   */
  unsigned(channel) {
    const own = this.#latest.get(channel);
    if (!own || own.isAsked || own.said.signature) return undefined;
    return { seq: own.seq, frame: { ...own.said, signature: new Uint8Array(SIGNATURE) } };
  }

  /**
   * A signature is awaited.
   *
   * @param {string} channel
   */
  asked(channel) {
    const own = this.#latest.get(channel);
    if (own) own.isAsked = true;
  }

  /**
   * The signature of a value came. Gives the value with it, unless there is a newer one.
   *
   * @param {string} channel
   * @param {number} seq
   * @param {Uint8Array} signature
   * @returns {Value | undefined}
   */
  signed(channel, seq, signature) {
    const own = this.#latest.get(channel);
    if (!own) return undefined;
    own.isAsked = false;
    if (own.seq !== seq) return undefined;
    own.said = { ...own.said, signature };
    return { seq, frame: encodeFrame(own.said), due: 0 };
  }
}

/** Towards one peer. */
export class LossyFlow {
  /** The newest value of each member's channels that the peer has not seen, as far as is known. @type {Map<string, Unseen>} */
  #unseen = new Map();
  /** When the first of them is due; undefined where that has to be looked up. @type {number | undefined} */
  #due = undefined;
  /** @type {Uint8Array[]} */
  #queue = [];
  #queued = 0;
  /** Bytes in the lossy lane's send buffer. */
  buffered = 0;

  /** A new link: whatever was under way is sent again. */
  linkUp() {
    this.buffered = 0;
    this.#queue = [];
    this.#queued = 0;
    for (const value of this.#unseen.values()) [value.due, value.tries] = [0, 0];
    this.#due = undefined;
  }

  /**
   * Supersedes a channel's value; with itself where it has a signature now, which makes it longer.
   *
   * @param {MemberId} origin
   * @param {string} channel
   * @param {Value} value
   */
  publish(origin, channel, { seq, frame, due }) {
    const key = origin + channel;
    const old = this.#unseen.get(key);
    if (old && (old.seq > seq || (old.seq === seq && old.frame.length >= frame.length))) return;
    if (!old) {
      this.#makeRoom(origin);
      if (this.#unseen.size >= LATEST_UNSEEN) return;
    }
    this.#unseen.set(key, { seq, frame, due, origin, tries: 0 });
    this.#due = undefined;
  }

  /**
   * Lets go of the oldest value of a member's channels where one more would be too many.
   *
   * @param {MemberId} origin
   */
  #makeRoom(origin) {
    let count = 0;
    let [oldest, least] = ["", Infinity];
    for (const [key, value] of this.#unseen) {
      if (value.origin !== origin) continue;
      count += 1;
      if (value.seq < least) [oldest, least] = [key, value.seq];
    }
    if (count < LATEST_CHANNELS) return;
    this.#unseen.delete(oldest);
    this.#due = undefined;
  }

  /**
   * The peer has a value, or a newer one.
   *
   * @param {MemberId} origin
   * @param {string} channel
   * @param {number} seq
   */
  acknowledged(origin, channel, seq) {
    const key = origin + channel;
    const value = this.#unseen.get(key);
    if (!value || value.seq > seq) return;
    this.#unseen.delete(key);
    this.#due = undefined;
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
   * @returns {number | undefined}
   */
  get resendAt() {
    if (this.buffered >= LOSSY_PAUSE || this.#unseen.size === 0) return undefined;
    if (this.#due === undefined) {
      this.#due = Infinity;
      for (const { due } of this.#unseen.values()) this.#due = Math.min(this.#due, due);
    }
    return this.#due;
  }

  /**
   * Builds the next packet for the lossy lane.
   *
   * @param {number | undefined} rtt
   * @param {number} now
   * @returns {Uint8Array<ArrayBuffer> | undefined}
   */
  nextPacket(rtt, now) {
    if (this.#queue.length === 0 && (this.resendAt ?? Infinity) <= now) this.#queueDueValue(rtt, now);
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
   * Of the values that are due, the first in the order of origins and channels.
   *
   * @param {number | undefined} rtt
   * @param {number} now
   */
  #queueDueValue(rtt, now) {
    /** @type {string | undefined} */
    let first;
    for (const [key, { due }] of this.#unseen) {
      if (due <= now && (first === undefined || compareTexts(key, first) < 0)) first = key;
    }
    const value = first === undefined ? undefined : this.#unseen.get(first);
    if (!value) return;
    value.due = now + resendAfter(rtt, value.tries);
    value.tries += 1;
    this.#due = undefined;
    this.#queued += value.frame.length;
    this.#queue.push(value.frame);
  }
}

/** Datagrams before the last one of which it is remembered whether they came. */
const DATAGRAMS = 64;

/** What came of one member's lossy channels, over whatever links. */
export class Heard {
  /** The newest value of each channel, of those used last. @type {Map<string, Seen>} */
  #seen = new Map();
  /** The highest number that was forgotten of the others: nothing up to it is news. */
  #forgotten = 0;
  /** The highest number of its datagrams, and which of those before it came: the lowest bit is its own. */
  #datagram = 0;
  #datagrams = 0n;
  /** Bytes of lossy messages that the application has not consumed. */
  #held = 0;

  /**
   * A `latest` value came.
   *
   * @param {string} channel
   * @param {number} seq
   * @param {number} length
   * @returns {Came}
   */
  value(channel, seq, length) {
    if (!this.isNews(channel, seq)) return "again";
    if (!this.#hold(length)) return "refused";
    this.#forgotten = Math.max(this.#forgotten, makeRoom(this.#seen, channel));
    this.#seen.set(channel, { seq });
    return "fresh";
  }

  /**
   * Whether a value is newer than the last.
   *
   * @param {string} channel
   * @param {number} seq
   */
  isNews(channel, seq) {
    return seq > (this.#seen.get(channel)?.seq ?? this.#forgotten);
  }

  /**
   * Whether a value is the last, and is not kept to be passed on.
   *
   * @param {string} channel
   * @param {number} seq
   */
  lacks(channel, seq) {
    const seen = this.#seen.get(channel);
    return seen !== undefined && seen.seq === seq && seen.frame === undefined;
  }

  /**
   * Keeps a value's frame for those who come later.
   *
   * @param {string} channel
   * @param {Uint8Array} frame
   */
  keep(channel, frame) {
    const seen = this.#seen.get(channel);
    if (seen) seen.frame = frame;
  }

  /** The values that are kept, by channel. */
  kept() {
    return sortedEntries(this.#seen).flatMap(([channel, { seq, frame }]) => (frame ? [{ channel, seq, frame }] : []));
  }

  /**
   * Whether a datagram has not come yet, as far as that is remembered.
   *
   * @param {number} seq
   */
  isNewDatagram(seq) {
    return seq > this.#datagram || (mark(this.#datagram - seq) & ~this.#datagrams) !== 0n;
  }

  /**
   * A datagram came: whether for the first time, as far as that is remembered, and there is room for it.
   *
   * @param {number} seq
   * @param {number} length
   */
  datagram(seq, length) {
    if (!this.isNewDatagram(seq)) return false;
    if (seq > this.#datagram) {
      const ahead = seq - this.#datagram;
      this.#datagrams = ahead < DATAGRAMS ? BigInt.asUintN(DATAGRAMS, this.#datagrams << BigInt(ahead)) : 0n;
      this.#datagram = seq;
    }
    this.#datagrams |= mark(this.#datagram - seq);
    return this.#hold(length);
  }

  /** Its member goes: so much is remembered that nothing old is news where it comes back. */
  remember() {
    for (const seen of this.#seen.values()) seen.frame = undefined;
    this.#held = 0;
  }

  /**
   * Makes room for a message; false where the application has not taken enough of the earlier ones.
   *
   * @param {number} length
   */
  #hold(length) {
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

/**
 * The mark of a datagram so far before the newest one; none where that is too far.
 *
 * @param {number} back
 */
function mark(back) {
  return back < DATAGRAMS ? 1n << BigInt(back) : 0n;
}

/**
 * How long a value that was sent so often before waits until it is sent again: twice as long each time, so that a link that is
 * too slow for what is said is not filled with what was said before.
 *
 * @param {number | undefined} rtt
 * @param {number} tries
 */
function resendAfter(rtt, tries) {
  const first = Math.max(2 * (rtt ?? 0), LATEST_RESEND);
  return Math.min(first * 2 ** Math.min(tries, 16), Math.max(first, LATEST_RESEND_MAX));
}
