// @ts-check
/**
 * The values that applications send: one CBOR item (RFC 8949); see PROTOCOL.md, "Values".
 *
 * | JavaScript | CBOR | arrives as |
 * | --- | --- | --- |
 * | `null`, `undefined`, booleans, well-formed strings | the same | the same |
 * | whole numbers in ±(2^53 − 1) but −0 | integer | number |
 * | other numbers, −0, NaN, infinities | float64 | number |
 * | `bigint` | tags 2, 3 | `bigint` |
 * | `Date` | tag 1 | `Date` |
 * | arrays; plain objects and instances (own enumerable properties) | array; map | array; plain object |
 * | `Map` with primitive keys | map | plain object where all its keys are strings, else `Map` |
 * | `Uint8Array`, `ArrayBuffer` | byte string | `Uint8Array` |
 * | other typed arrays | tags 68–86 (RFC 8746) | the same |
 *
 * Everything else (functions, symbols, sets, blobs, cycles, …) is a `TypeError`.
 *
 * @module
 */

import { MESSAGE_MAX, VALUE_DEPTH, VALUE_ITEMS } from "./limits.js";

/** Bytes that are not a value. */
export class ValueError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "ValueError";
  }
}

/**
 * The CBOR of a value.
 *
 * @param {unknown} value
 * @returns {Uint8Array<ArrayBuffer>}
 * @throws {TypeError} Where something in it has no form on the wire, or contains itself.
 * @throws {RangeError} Where it is nested deeper than `VALUE_DEPTH`, longer than `MESSAGE_MAX` or of more than
 *   `VALUE_ITEMS` items.
 */
export function encodeValue(value) {
  const encoder = new Encoder();
  encoder.value(value);
  return encoder.finish();
}

/**
 * The value of CBOR that another member sent. Byte strings and typed arrays are copies.
 *
 * @param {Uint8Array} bytes
 * @returns {any}
 * @throws {ValueError} Where it is not exactly one well-formed item, nested at most `VALUE_DEPTH` deep.
 */
export function decodeValue(bytes) {
  const decoder = new Decoder(bytes);
  const value = decoder.value(0);
  if (decoder.left > 0) throw new ValueError("bytes after the value");
  return value;
}

/** Little-endian typed arrays (RFC 8746, 2.1) by tag. All platforms that run this are little-endian. */
const TYPED_ARRAYS = new Map(
  /** @type {[number, any][]} */ ([
    [64, Uint8Array],
    [68, Uint8ClampedArray],
    [69, Uint16Array],
    [70, Uint32Array],
    [71, BigUint64Array],
    [72, Int8Array],
    [77, Int16Array],
    [78, Int32Array],
    [79, BigInt64Array],
    [85, Float32Array],
    [86, Float64Array],
  ]),
);
const TAG_OF = new Map([...TYPED_ARRAYS].map(([tag, type]) => [type.name, tag]));
const HALF_ARRAY = 84;
TAG_OF.set("Float16Array", HALF_ARRAY);

const UTF8 = new TextEncoder();
const FROM_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

class Encoder {
  /** Items written so far. */
  #count = 0;
  #buffer = new Uint8Array(256);
  #view = new DataView(this.#buffer.buffer);
  #at = 0;
  /** What is being written around the current value, to notice cycles. @type {object[]} */
  #around = [];

  finish() {
    if (this.#at > MESSAGE_MAX) throw tooLong();
    return this.#buffer.slice(0, this.#at);
  }

  /** @param {unknown} value */
  value(value) {
    this.#item();
    switch (typeof value) {
      case "string":
        return this.#text(value);
      case "number":
        return this.#number(value);
      case "boolean":
        return this.#byte(value ? 0xf5 : 0xf4);
      case "undefined":
        return this.#byte(0xf7);
      case "bigint":
        return this.#bigint(value);
      case "object":
        return value === null ? this.#byte(0xf6) : this.#object(value);
      default:
        throw new TypeError(`a ${typeof value} cannot be sent`);
    }
  }

  /** @param {any} value an object */
  #object(value) {
    // By the name of its class rather than by instanceof, for objects of other realms.
    const kind = Object.prototype.toString.call(value).slice(8, -1);
    if (ArrayBuffer.isView(value)) return this.#typedArray(value, kind);
    if (kind === "ArrayBuffer") return this.#bytes(new Uint8Array(value));
    if (kind === "Date") return this.#date(value);
    if (this.#around.includes(value)) throw new TypeError("a value that contains itself cannot be sent");
    this.#checkDepth();
    this.#around.push(value);
    if (Array.isArray(value)) this.#array(value);
    else if (kind === "Map") this.#map(value);
    else if (kind === "Object") this.#record(value);
    else throw new TypeError(`a ${kind} cannot be sent`);
    this.#around.pop();
  }

  /** @param {unknown[]} array */
  #array(array) {
    const { length } = array;
    this.#head(4, length);
    for (let at = 0; at < length; at++) this.value(array[at]);
  }

  /** @param {Map<unknown, unknown>} map */
  #map(map) {
    const entries = [...map];
    this.#head(5, entries.length);
    for (const [key, entry] of entries) {
      if (typeof key === "object" && key !== null) throw new TypeError("a Map whose keys are objects cannot be sent");
      this.value(key);
      this.value(entry);
    }
  }

  /** @param {object} record */
  #record(record) {
    const entries = Object.entries(record);
    this.#head(5, entries.length);
    for (const [key, entry] of entries) {
      this.#item();
      this.#text(key);
      this.value(entry);
    }
  }

  /** @param {string} text */
  #text(text) {
    if (!text.isWellFormed()) throw new TypeError("a string with half a surrogate pair cannot be sent");
    if (text.length > MESSAGE_MAX) throw tooLong();
    const bytes = UTF8.encode(text);
    this.#head(3, bytes.length);
    this.#append(bytes);
  }

  /** @param {number} number */
  #number(number) {
    if (Number.isSafeInteger(number) && !Object.is(number, -0)) {
      return number < 0 ? this.#head(1, -1 - number) : this.#head(0, number);
    }
    this.#reserve(9);
    this.#view.setUint8(this.#at, 0xfb);
    this.#view.setFloat64(this.#at + 1, number);
    this.#at += 9;
  }

  /** @param {bigint} number */
  #bigint(number) {
    const negative = number < 0n;
    const magnitude = negative ? -1n - number : number;
    let digits = magnitude === 0n ? "" : magnitude.toString(16);
    if (digits.length % 2 === 1) digits = `0${digits}`;
    this.#tag(negative ? 3 : 2);
    this.#head(2, digits.length / 2);
    for (let at = 0; at < digits.length; at += 2) this.#byte(Number.parseInt(digits.slice(at, at + 2), 16));
  }

  /** @param {Date} date */
  #date(date) {
    const ms = date.getTime();
    if (Number.isNaN(ms)) throw new TypeError("an invalid Date cannot be sent");
    this.#tag(1);
    this.#number(ms / 1_000);
  }

  /**
   * @param {ArrayBufferView} array
   * @param {string} kind
   */
  #typedArray(array, kind) {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    if (kind === "Uint8Array") return this.#bytes(bytes);
    const tag = TAG_OF.get(kind);
    if (tag === undefined) throw new TypeError(`a ${kind} cannot be sent`);
    this.#tag(tag);
    this.#bytes(bytes);
  }

  /** @param {number} tag */
  #tag(tag) {
    this.#item();
    this.#checkDepth();
    this.#head(6, tag);
  }

  #item() {
    if (++this.#count > VALUE_ITEMS) throw new RangeError(`the value has more than ${VALUE_ITEMS} items`);
  }

  #checkDepth() {
    if (this.#around.length >= VALUE_DEPTH) throw new RangeError(`the value is nested deeper than ${VALUE_DEPTH}`);
  }

  /** @param {Uint8Array} bytes */
  #bytes(bytes) {
    this.#head(2, bytes.length);
    this.#append(bytes);
  }

  /**
   * @param {number} major
   * @param {number} argument a whole number below 2^53
   */
  #head(major, argument) {
    this.#reserve(9);
    const top = major << 5;
    if (argument < 24) {
      this.#view.setUint8(this.#at++, top | argument);
    } else if (argument < 0x100) {
      this.#view.setUint16(this.#at, ((top | 24) << 8) | argument);
      this.#at += 2;
    } else if (argument < 0x1_0000) {
      this.#view.setUint8(this.#at, top | 25);
      this.#view.setUint16(this.#at + 1, argument);
      this.#at += 3;
    } else if (argument < 0x1_0000_0000) {
      this.#view.setUint8(this.#at, top | 26);
      this.#view.setUint32(this.#at + 1, argument);
      this.#at += 5;
    } else {
      this.#view.setUint8(this.#at, top | 27);
      this.#view.setBigUint64(this.#at + 1, BigInt(argument));
      this.#at += 9;
    }
  }

  /** @param {number} byte */
  #byte(byte) {
    this.#reserve(1);
    this.#buffer[this.#at++] = byte;
  }

  /** @param {Uint8Array} bytes */
  #append(bytes) {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** @param {number} length */
  #reserve(length) {
    const needed = this.#at + length;
    // The longest head is always reserved whole; `finish` is exact.
    if (needed > MESSAGE_MAX + 9) throw tooLong();
    if (needed <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(2 * this.#buffer.length, needed));
    grown.set(this.#buffer.subarray(0, this.#at));
    this.#buffer = grown;
    this.#view = new DataView(grown.buffer);
  }
}

function tooLong() {
  return new RangeError(`the value has more than ${MESSAGE_MAX} bytes`);
}

/** The argument of a head whose length is not told: the item goes on until a break. */
const INDEFINITE = -1;
const BREAK = 0xff;

class Decoder {
  #bytes;
  #view;
  #at = 0;
  /** Items begun so far. */
  #count = 0;

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes not read yet. */
  get left() {
    return this.#bytes.length - this.#at;
  }

  /**
   * @param {number} depth arrays, maps and tags around this value
   * @returns {unknown}
   */
  value(depth) {
    if (++this.#count > VALUE_ITEMS) throw new ValueError(`more than ${VALUE_ITEMS} items`);
    const initial = this.#byte();
    const major = initial >> 5;
    const info = initial & 0x1f;
    if (major === 7) return this.#simple(info);
    const argument = this.#argument(info);
    if (argument === INDEFINITE && (major < 2 || major === 6)) throw new ValueError("a number without its bytes");
    switch (major) {
      case 0:
        return argument;
      case 1:
        return typeof argument === "bigint" || argument > Number.MAX_SAFE_INTEGER - 1
          ? -1n - BigInt(argument)
          : -1 - argument;
      case 2:
        return this.#string(argument, 2);
      case 3:
        return this.#text(argument);
    }
    if (depth >= VALUE_DEPTH) throw new ValueError(`nested deeper than ${VALUE_DEPTH}`);
    if (major === 4) return this.#array(argument, depth + 1);
    if (major === 5) return this.#map(argument, depth + 1);
    return this.#tagged(argument, depth + 1);
  }

  /** @param {number} info */
  #simple(info) {
    switch (info) {
      case 20:
        return false;
      case 21:
        return true;
      case 22:
        return null;
      case 23:
        return undefined;
      case 25:
        return half(this.#view.getUint16(this.#skip(2)));
      case 26:
        return this.#view.getFloat32(this.#skip(4));
      case 27:
        return this.#view.getFloat64(this.#skip(8));
      default:
        throw new ValueError("a simple value that is not known, or a break where none may be");
    }
  }

  /**
   * @param {number | bigint} length
   * @param {2 | 3} major
   * @returns {Uint8Array<ArrayBuffer>}
   */
  #string(length, major) {
    if (length !== INDEFINITE) {
      const start = this.#skip(Number(length));
      return this.#bytes.slice(start, this.#at);
    }
    /** @type {Uint8Array[]} */
    const parts = [];
    let total = 0;
    while (!this.#isBreak()) {
      const initial = this.#byte();
      const part = this.#argument(initial & 0x1f);
      if (initial >> 5 !== major || part === INDEFINITE) throw new ValueError("a part of another kind in a string");
      const start = this.#skip(Number(part));
      parts.push(this.#bytes.subarray(start, this.#at));
      total += Number(part);
      // Each part of a text has to be well-formed by itself (RFC 8949, 3.2.3).
      if (major === 3) fromUtf8(parts[parts.length - 1]);
    }
    const joined = new Uint8Array(total);
    let at = 0;
    for (const part of parts) {
      joined.set(part, at);
      at += part.length;
    }
    return joined;
  }

  /** @param {number | bigint} length */
  #text(length) {
    if (length === INDEFINITE) return fromUtf8(this.#string(length, 3));
    const start = this.#skip(Number(length));
    return fromUtf8(this.#bytes.subarray(start, this.#at));
  }

  /**
   * @param {number | bigint} count
   * @param {number} depth
   */
  #array(count, depth) {
    /** @type {unknown[]} */
    const items = [];
    // Nothing is reserved for what a head only claims.
    for (const _ of this.#items(count, 1)) items.push(this.value(depth));
    return items;
  }

  /**
   * @param {number | bigint} count
   * @param {number} depth
   */
  #map(count, depth) {
    /** @type {Map<unknown, unknown>} */
    const entries = new Map();
    let texts = true;
    for (const _ of this.#items(count, 2)) {
      const key = this.value(depth);
      if (typeof key === "object" && key !== null) throw new ValueError("a map key that is not a plain value");
      if (entries.has(key)) throw new ValueError("a map key twice");
      texts &&= typeof key === "string";
      entries.set(key, this.value(depth));
    }
    // fromEntries defines properties, so that a key named __proto__ is one like any other.
    return texts ? Object.fromEntries(entries) : entries;
  }

  /**
   * Yields once for each item of an array or map.
   *
   * @param {number | bigint} count
   * @param {number} least bytes that an item takes at least
   */
  *#items(count, least) {
    if (count === INDEFINITE) {
      while (!this.#isBreak()) yield;
    } else {
      if (Number(count) * least > this.left) throw new ValueError("cut off");
      for (let n = 0; n < Number(count); n++) yield;
    }
  }

  /**
   * @param {number | bigint} tag
   * @param {number} depth
   */
  #tagged(tag, depth) {
    const content = this.value(depth);
    if (tag === 1) return date(content);
    if (tag === 2 || tag === 3) {
      const magnitude = bigint(content);
      return tag === 2 ? magnitude : -1n - magnitude;
    }
    const type = typeof tag === "number" ? TYPED_ARRAYS.get(tag) : undefined;
    // What a tag that is not known says of its content is lost, as RFC 8949, 3.4 allows.
    if (tag !== HALF_ARRAY && !type) return content;
    const size = type?.BYTES_PER_ELEMENT ?? 2;
    if (!(content instanceof Uint8Array) || content.length % size !== 0) throw new ValueError("a typed array of another size");
    // Strings are copied when read, so the buffer is the array's own and aligned.
    const buffer = /** @type {ArrayBuffer} */ (content.buffer);
    return type ? new type(buffer) : halves(buffer);
  }

  /**
   * @param {number} info
   * @returns {number | bigint}
   */
  #argument(info) {
    if (info < 24) return info;
    switch (info) {
      case 24:
        return this.#byte();
      case 25:
        return this.#view.getUint16(this.#skip(2));
      case 26:
        return this.#view.getUint32(this.#skip(4));
      case 27: {
        const wide = this.#view.getBigUint64(this.#skip(8));
        return wide <= Number.MAX_SAFE_INTEGER ? Number(wide) : wide;
      }
      case 31:
        return INDEFINITE;
      default:
        throw new ValueError("a head of a reserved kind");
    }
  }

  #isBreak() {
    if (this.left === 0) throw new ValueError("cut off");
    if (this.#bytes[this.#at] !== BREAK) return false;
    this.#at += 1;
    return true;
  }

  #byte() {
    return this.#bytes[this.#skip(1)];
  }

  /** Goes over bytes; gives where they begin. @param {number} length */
  #skip(length) {
    if (length > this.left) throw new ValueError("cut off");
    const start = this.#at;
    this.#at += length;
    return start;
  }
}

/** @param {Uint8Array} bytes */
function fromUtf8(bytes) {
  try {
    return FROM_UTF8.decode(bytes);
  } catch {
    throw new ValueError("a text that is not UTF-8");
  }
}

/** @param {unknown} seconds */
function date(seconds) {
  if (typeof seconds !== "number") throw new ValueError("a date that is not a number");
  const moment = new Date(Math.round(seconds * 1_000));
  if (Number.isNaN(moment.getTime())) throw new ValueError("a date out of range");
  return moment;
}

/** @param {unknown} bytes */
function bigint(bytes) {
  if (!(bytes instanceof Uint8Array)) throw new ValueError("a big integer that is not bytes");
  let digits = "";
  for (const byte of bytes) digits += byte.toString(16).padStart(2, "0");
  return BigInt(`0x0${digits}`);
}

/**
 * The value of a half-precision number (RFC 8949, appendix D).
 *
 * @param {number} bits
 */
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/**
 * A `Float16Array`; where the platform has none, a `Float32Array` with the same numbers.
 *
 * @param {ArrayBuffer} buffer
 */
function halves(buffer) {
  const Float16Array = /** @type {any} */ (globalThis).Float16Array;
  return Float16Array ? new Float16Array(buffer) : Float32Array.from(new Uint16Array(buffer), half);
}
