// @ts-check
/**
 * The state that a room's members share: a small map of JSON values, kept by the server.
 *
 * @module
 */

import { RoomError } from "../errors.js";
import { STATE_KEY_MAX, STATE_VALUE_MAX } from "../limits.js";
import { byteLength } from "../wire.js";
import { Emitter, StateChangeEvent } from "./events.js";

/** @import {Json} from "../wire.js" */
/** @import {Member} from "./member.js" */

/**
 * A map that all members see alike; the last write of an entry wins. Values are JSON and frozen: write a new one rather
 * than changing what `get` gave.
 *
 * @extends {Emitter<{ change: StateChangeEvent }>}
 */
export class RoomState extends Emitter {
  /** @type {Map<string, any>} */
  #entries = new Map();
  #write;
  #size;

  /**
   * @internal
   * @param {(key: string, value: Json) => void} write
   * @param {(bytes: number) => number} size of a value on its way to the server, by that of its JSON
   */
  constructor(write, size) {
    super();
    this.#write = write;
    this.#size = size;
  }

  /** How many entries there are. */
  get size() {
    return this.#entries.size;
  }

  /**
   * The value of an entry; undefined where there is none.
   *
   * @param {string} key
   * @returns {any}
   */
  get(key) {
    return this.#entries.get(key);
  }

  /** @param {string} key */
  has(key) {
    return this.#entries.has(key);
  }

  /**
   * Writes an entry. What the server does not take is told by the room's `refused` event.
   *
   * @param {string} key at most 128 bytes
   * @param {any} value anything that has a JSON form of at most 16 KiB; null or undefined removes the entry
   * @throws {TypeError} Where it has none.
   * @throws {RoomError} `too_large`
   */
  set(key, value) {
    const text = JSON.stringify(value ?? null);
    if (text === undefined) throw new TypeError(`a ${typeof value} has no JSON form`);
    checkSize("the entry's value", this.#size(byteLength(text)), STATE_VALUE_MAX);
    this.#write(checkedKey(key), JSON.parse(text, checkedText));
  }

  /**
   * Removes an entry.
   *
   * @param {string} key
   * @throws {RoomError} `too_large`
   */
  delete(key) {
    this.#write(checkedKey(key), null);
  }

  /** The names of the entries. */
  keys() {
    return this.#entries.keys();
  }

  /** The values of the entries. */
  values() {
    return this.#entries.values();
  }

  /** Names and values of the entries. */
  entries() {
    return this.#entries.entries();
  }

  /** Names and values of the entries. */
  [Symbol.iterator]() {
    return this.#entries.entries();
  }

  /**
   * @internal
   * @param {string} key
   * @param {Json} value
   * @param {Member} [by]
   */
  _apply(key, value, by) {
    if (value === null) this.#entries.delete(key);
    else this.#entries.set(key, deepFreeze(value));
    this.dispatchEvent(new StateChangeEvent(key, value ?? undefined, by));
  }

  /**
   * @internal
   * @param {Iterable<[string, { value: Json }]>} entries
   */
  _load(entries) {
    for (const [key, { value }] of entries) if (value !== null) this.#entries.set(key, deepFreeze(value));
  }
}

/** @param {string} key */
function checkedKey(key) {
  const text = String(key).toWellFormed();
  checkSize("the entry's key", byteLength(text), STATE_KEY_MAX);
  return text;
}

/**
 * The server refuses what not every language can read. For `JSON.parse`.
 *
 * @param {string} key
 * @param {unknown} value
 */
function checkedText(key, value) {
  if (!key.isWellFormed() || (typeof value === "string" && !value.isWellFormed())) {
    throw new TypeError("a string with half a surrogate pair cannot be shared");
  }
  return value;
}

/**
 * The server puts a member out for what is far too large.
 *
 * @param {string} what
 * @param {number} bytes
 * @param {number} max
 * @throws {RoomError} `too_large`
 */
export function checkSize(what, bytes, max) {
  if (bytes <= max) return;
  const hint = "share large things as messages";
  throw new RoomError("too_large", `${what} is too large: ${bytes} bytes, at most ${max}`, hint);
}

/**
 * @template Value
 * @param {Value} value
 * @returns {Value}
 */
function deepFreeze(value) {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(deepFreeze);
  }
  return value;
}
