// @ts-check
/**
 * Channels: named streams of messages from everybody to everybody.
 *
 * @module
 */

import { RoomError } from "../errors.js";
import { CHANNEL_NAME_MAX } from "../limits.js";
import { byteLength } from "../wire.js";
import { ChannelErrorEvent, ChannelMessageEvent, Emitter } from "./events.js";

/** @import {Member} from "./member.js" */

/**
 * How a channel treats its messages.
 *
 * - `reliable`: each message reaches every member exactly once, in its sender's order.
 * - `latest`: newer messages of a sender supersede older ones; the last one always arrives, to those who enter later too.
 * - `datagram`: sent once; may be lost or come out of order.
 *
 * @typedef {"reliable" | "latest" | "datagram"} ChannelMode
 */

/**
 * @template [Data=any]
 * @typedef {{ readonly from: Member, readonly data: Data }} ChannelMessage
 */

/** Messages that are held for channels that nobody reads yet, all channels of a room together. */
export const HELD_MESSAGES = 1_024;
/** Bytes in those messages. */
export const HELD_BYTES = 1024 * 1024;

/** A message on its way to the application; `taken` is called once it has it. @typedef {{ from: Member, data: unknown, bytes: number, taken: () => void }} Arrival */
/** @typedef {(payload: unknown, to: Member | string | undefined) => Promise<void>} SendFunction */

/**
 * A named stream of messages. Read it with `for await`, or listen to `message`; what comes before anybody does is held,
 * up to {@link HELD_BYTES}, for the first who does.
 *
 * A reader of a reliable channel that falls behind makes its senders wait, and is passed over in the end (`gap`); so
 * leave the loop (`break`) where you do not read any more.
 *
 * @template [Data=any]
 * @extends {Emitter<{ message: ChannelMessageEvent<Data>, messageerror: ChannelErrorEvent }>}
 * @implements {AsyncIterable<ChannelMessage<Data>>}
 */
export class Channel extends Emitter {
  /** The channel's name. @readonly */
  name;
  /** How it treats its messages. @readonly @type {ChannelMode} */
  mode;
  #send;
  #held;
  /** @type {Set<Reader>} */
  #readers = new Set();
  #listening = false;
  #closed = false;

  /**
   * @internal
   * @param {string} name
   * @param {ChannelMode} mode
   * @param {SendFunction} send
   * @param {Held} held
   */
  constructor(name, mode, send, held) {
    super();
    this.name = name;
    this.mode = mode;
    this.#send = send;
    this.#held = held;
  }

  /**
   * Sends a value to everybody in the room, or to one member. See `value.js` for what a value can be.
   *
   * On a reliable channel the promise is fulfilled when the message is in the outbox: await it, and a slow network slows
   * you down instead of filling your memory. On lossy ones it is fulfilled at once.
   *
   * @param {Data} value at most 16 MiB encoded; 16 KiB on a lossy channel
   * @param {{ to?: Member | string }} [options] `to`: one member only, or their id
   * @returns {Promise<void>}
   * @throws {TypeError} Where the value has no form on the wire.
   * @throws {RoomError} `too_large`, `too_many`, `unknown_member`, `not_allowed`, `closed`
   */
  async send(value, { to } = {}) {
    await this.#send(value, to);
  }

  /**
   * Reads the messages from now on (and those that were held). Several readers get each message each. The iteration ends
   * when the room is closed.
   *
   * @returns {AsyncIterableIterator<ChannelMessage<Data>, void, void>}
   */
  [Symbol.asyncIterator]() {
    const reader = new Reader(this.mode === "latest", () => this.#readers.delete(reader));
    this.#readers.add(reader);
    for (const arrival of this.#held.take(keyOf(this.mode, this.name))) reader.push(arrival);
    if (this.#closed) reader.finish();
    return reader;
  }

  /**
   * @override
   * @template {"message" | "messageerror"} Type
   * @param {Type} type
   * @param {((event: { message: ChannelMessageEvent<Data>, messageerror: ChannelErrorEvent }[Type]) => void) | null} listener
   * @param {AddEventListenerOptions | boolean} [options]
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, listener, options);
    if (type !== "message" || this.#listening) return;
    this.#listening = true;
    for (const { from, data } of this.#held.take(keyOf(this.mode, this.name))) {
      this.dispatchEvent(new ChannelMessageEvent(from, data));
    }
  }

  /**
   * @internal
   * @param {Arrival} arrival
   */
  _deliver(arrival) {
    if (this.#readers.size === 0 && !this.#listening) {
      this.#held.add(keyOf(this.mode, this.name), arrival);
      return;
    }
    let pending = this.#readers.size;
    const taken = () => (--pending === 0 ? arrival.taken() : undefined);
    if (pending === 0) arrival.taken();
    for (const reader of this.#readers) reader.push({ ...arrival, taken });
    this.dispatchEvent(new ChannelMessageEvent(arrival.from, arrival.data));
  }

  /**
   * @internal
   * @param {Member} from
   * @param {Error} error
   */
  _fail(from, error) {
    this.dispatchEvent(new ChannelErrorEvent(from, error));
  }

  /** @internal */
  _close() {
    this.#closed = true;
    for (const reader of [...this.#readers]) reader.finish();
  }
}

/**
 * What names a channel among all channels of a room.
 *
 * @param {ChannelMode} mode
 * @param {string} name
 */
export function keyOf(mode, name) {
  return `${mode} ${name}`;
}

/**
 * @param {string} name of a channel or method
 * @throws {RoomError} `too_large`
 * @throws {TypeError}
 */
export function checkName(name) {
  if (typeof name !== "string" || !name.isWellFormed()) throw new TypeError("a name is a well-formed string");
  if (byteLength(name) > CHANNEL_NAME_MAX) {
    throw new RoomError("too_large", `the name “${name}” has more than ${CHANNEL_NAME_MAX} bytes`, "use a shorter name");
  }
}

/** Messages that nobody reads yet. They count as taken; where there are too many, the oldest are dropped. */
export class Held {
  /** @type {{ key: string, arrival: Arrival }[]} */
  #arrivals = [];
  #bytes = 0;

  /**
   * @param {string} key
   * @param {Arrival} arrival
   */
  add(key, arrival) {
    arrival.taken();
    this.#arrivals.push({ key, arrival: { ...arrival, taken: () => {} } });
    this.#bytes += arrival.bytes;
    while (this.#arrivals.length > HELD_MESSAGES || this.#bytes > HELD_BYTES) {
      this.#bytes -= /** @type {{ arrival: Arrival }} */ (this.#arrivals.shift()).arrival.bytes;
    }
  }

  /**
   * @param {string} key
   * @returns {Arrival[]}
   */
  take(key) {
    const taken = this.#arrivals.filter((held) => held.key === key).map(({ arrival }) => arrival);
    this.#arrivals = this.#arrivals.filter((held) => held.key !== key);
    for (const { bytes } of taken) this.#bytes -= bytes;
    return taken;
  }
}

/**
 * One iteration over a channel. Its queue is bounded by the senders' windows: what is queued here is not reported as
 * consumed.
 *
 * @implements {AsyncIterableIterator<ChannelMessage, void, void>}
 */
class Reader {
  /** @type {Arrival[]} */
  #queue = [];
  /** @type {((result: IteratorResult<ChannelMessage, void>) => void)[]} */
  #waiting = [];
  #newestOnly;
  #onend;
  #ended = false;

  /**
   * @param {boolean} newestOnly a sender's message supersedes its earlier ones that were not read yet
   * @param {() => void} onend
   */
  constructor(newestOnly, onend) {
    this.#newestOnly = newestOnly;
    this.#onend = onend;
  }

  /** @param {Arrival} arrival */
  push(arrival) {
    const waiting = this.#waiting.shift();
    if (waiting) {
      arrival.taken();
      waiting({ done: false, value: { from: arrival.from, data: arrival.data } });
      return;
    }
    const older = this.#newestOnly ? this.#queue.findIndex(({ from }) => from === arrival.from) : -1;
    if (older >= 0) this.#queue.splice(older, 1)[0].taken();
    this.#queue.push(arrival);
  }

  /** No more will come; what is queued can still be read. */
  finish() {
    this.#ended = true;
    this.#onend();
    for (const waiting of this.#waiting.splice(0)) waiting({ done: true, value: undefined });
  }

  /** @returns {Promise<IteratorResult<ChannelMessage, void>>} */
  next() {
    const arrival = this.#queue.shift();
    if (arrival) {
      arrival.taken();
      return Promise.resolve({ done: false, value: { from: arrival.from, data: arrival.data } });
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** @returns {Promise<IteratorResult<ChannelMessage, void>>} */
  return() {
    for (const arrival of this.#queue.splice(0)) arrival.taken();
    this.finish();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}
