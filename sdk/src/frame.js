// @ts-check
/**
 * Frames: what members say to each other on a link. Binary; see PROTOCOL.md, "Frames".
 *
 * A data channel message is a packet of frames, each after its length: {@link framesOf} walks it without copying,
 * {@link PacketWriter} builds it.
 *
 * @module
 */

import { fromHex, toHex } from "./id.js";
import { CHANNEL_NAME_MAX, CHUNK, HOLDINGS_MAX, LOSSY_MAX, PACKET_MAX, ROUTE_MAX, SIGNED_CHUNKS } from "./limits.js";

/** @import {MemberId} from "./id.js" */

/**
 * An ordered sequence of messages: an origin's to the room, or to one member (`to`).
 * @typedef {{ origin: MemberId, to?: MemberId }} Stream
 */
/** "Of this stream I hold `first` to `next − 1`." @typedef {{ stream: Stream, first: number, next: number }} Holding */
/** "Of this stream I have everything below `next`." @typedef {{ stream: Stream, next: number }} Ack */
/** What a reliable message is. @typedef {"message" | "call" | "reply" | "failure"} Kind */
/** What a message's first chunk says of it; `channel` is the method's name of a call. @typedef {{ kind: Kind, channel: string }} Head */
/**
 * "Of what this origin says to the room I have everything below `next`, over `hop` links"; {@link HOP_UNKNOWN} where
 * nothing came yet.
 * @typedef {{ origin: MemberId, next: number, hop: number, delayMs: number }} Have
 */
/**
 * One chunk of a reliable message: `seq` counts from 1 in its stream, `head` is there on a message's first chunk.
 * @typedef {{ type: "data", stream: Stream, seq: number, head?: Head, last: boolean, payload: Uint8Array }} Data
 */
/**
 * "These chunks are mine", as their origin says: the digest of each, from `first` on, and the origin's signature of what
 * {@link signedText} makes of the frame.
 * @typedef {{ stream: Stream, first: number, digests: Uint8Array[], signature: Uint8Array }} Signed
 */
/**
 * The newest value of a `latest` channel. `signature`: the origin's, of what {@link signedText} makes of the frame; of what
 * is said to the room only.
 * @typedef {{ type: "latest", stream: Stream, seq: number, channel: string, payload: Uint8Array, signature?: Uint8Array }} Latest
 */
/**
 * A message that is sent once; `signature` as of {@link Latest}.
 * @typedef {{ type: "datagram", stream: Stream, seq: number, channel: string, payload: Uint8Array, signature?: Uint8Array }} Datagram
 */
/**
 * What one member says to another over their link.
 *
 * @typedef {(
 *   | { type: "hello", version: number, epoch: number, credit: number, holdings: Holding[] }
 *   | Data
 *   | { type: "ack", acks: Ack[] }
 *   | { type: "credit", total: number }
 *   | { type: "skip", stream: Stream, upto: number }
 *   | Latest
 *   | { type: "seen", origin: MemberId, seq: number, channel: string }
 *   | Datagram
 *   | { type: "ping", token: number }
 *   | { type: "pong", token: number }
 *   | { type: "have", haves: Have[] }
 *   | { type: "graft", origin: MemberId, next: number }
 *   | { type: "prune", origin: MemberId }
 *   | { type: "route", stream: Stream, first: number, path: MemberId[] }
 *   | { type: "broken", stream: Stream }
 *   | ({ type: "signed" } & Signed)
 * )} Frame
 */
/** @typedef {"truncated" | "leftover" | "type" | "flags" | "number" | "text" | "kind" | "too_large"} FrameErrorCode */

/** The version that HELLO carries. */
export const VERSION = 1;
/** The number of links of a way that is not known. */
export const HOP_UNKNOWN = 255;
/** Bytes of a signature. */
export const SIGNATURE = 64;
/** Bytes of a chunk's digest. */
const DIGEST = 16;

const ADDRESSED = 1;
const FIRST = 2;
const LAST = 4;
const SIGNED = 8;

/** @type {readonly Kind[]} */
const KINDS = ["message", "call", "reply", "failure"];

/** @type {Record<FrameErrorCode, string>} */
const MESSAGES = {
  truncated: "truncated",
  leftover: "bytes left over",
  type: "unknown frame type",
  flags: "unknown flags",
  number: "bad number",
  text: "bad text",
  kind: "unknown message kind",
  too_large: "too large",
};

/** A frame, or a packet of frames, that breaks the protocol. */
export class FrameError extends Error {
  /**
   * @param {FrameErrorCode} code
   * @param {string | number} [what] was found
   */
  constructor(code, what) {
    super(what === undefined ? MESSAGES[code] : `${MESSAGES[code]} ${what}`);
    this.name = "FrameError";
    /** What is wrong, by a stable name. */
    this.code = code;
  }
}

/**
 * Walks the frames of a packet; payloads are views of it. Throws {@link FrameError} at the first frame that breaks the
 * protocol, after those before it were given.
 *
 * @param {Uint8Array} packet
 * @returns {Generator<{ frame: Frame, length: number }, void, void>} each frame and its length in bytes
 */
export function* framesOf(packet) {
  if (packet.length > PACKET_MAX) throw new FrameError("too_large");
  const reader = new Reader(packet);
  while (reader.left > 0) {
    const length = reader.varint();
    yield { frame: decodeFrame(reader.take(length)), length };
  }
}

/**
 * The frames of a packet, not looked into yet; views of it.
 *
 * @param {Uint8Array} packet
 * @returns {Generator<Uint8Array, void, void>}
 * @throws {FrameError} at the first that is cut off, after those before it were given
 */
export function* framesIn(packet) {
  if (packet.length > PACKET_MAX) throw new FrameError("too_large");
  const reader = new Reader(packet);
  while (reader.left > 0) yield reader.take(reader.varint());
}

/**
 * Reads one frame, without copying its payload.
 *
 * @param {Uint8Array} bytes
 * @returns {Frame}
 * @throws {FrameError}
 */
export function decodeFrame(bytes) {
  const reader = new Reader(bytes);
  const frame = decodeBody(reader);
  if (reader.left > 0) throw new FrameError("leftover");
  return frame;
}

/**
 * The frame's bytes.
 *
 * @param {Frame} frame
 * @returns {Uint8Array}
 */
export function encodeFrame(frame) {
  const out = new Writer("payload" in frame ? frame.payload.length + HEAD_GUESS : HEAD_GUESS);
  switch (frame.type) {
    case "hello":
      out.byte(1);
      out.varint(frame.version);
      out.varint(frame.epoch);
      out.varint(frame.credit);
      out.varint(frame.holdings.length);
      for (const { stream, first, next } of frame.holdings) {
        out.stream(stream);
        out.varint(first);
        out.varint(next);
      }
      break;
    case "data": {
      const { stream, head } = frame;
      out.byte(2);
      out.byte((stream.to === undefined ? 0 : ADDRESSED) | (head ? FIRST : 0) | (frame.last ? LAST : 0));
      out.ends(stream);
      out.varint(frame.seq);
      if (head) {
        out.byte(KINDS.indexOf(head.kind));
        out.text(head.channel);
      }
      out.bytes(frame.payload);
      break;
    }
    case "ack":
      out.byte(3);
      out.varint(frame.acks.length);
      for (const { stream, next } of frame.acks) {
        out.stream(stream);
        out.varint(next);
      }
      break;
    case "credit":
      out.byte(4);
      out.varint(frame.total);
      break;
    case "skip":
      out.byte(5);
      out.stream(frame.stream);
      out.varint(frame.upto);
      break;
    case "latest":
      out.byte(6);
      out.lossy(frame);
      break;
    case "seen":
      out.byte(7);
      out.id(frame.origin);
      out.varint(frame.seq);
      out.text(frame.channel);
      break;
    case "datagram":
      out.byte(8);
      out.lossy(frame);
      break;
    case "ping":
      out.byte(9);
      out.varint(frame.token);
      break;
    case "pong":
      out.byte(10);
      out.varint(frame.token);
      break;
    case "have":
      out.byte(16);
      out.varint(frame.haves.length);
      for (const { origin, next, hop, delayMs } of frame.haves) {
        out.id(origin);
        out.varint(next);
        out.byte(hop);
        out.varint(delayMs);
      }
      break;
    case "graft":
      out.byte(17);
      out.id(frame.origin);
      out.varint(frame.next);
      break;
    case "prune":
      out.byte(18);
      out.id(frame.origin);
      break;
    case "route":
      out.byte(19);
      out.stream(frame.stream);
      out.varint(frame.first);
      out.varint(frame.path.length);
      frame.path.forEach((id) => out.id(id));
      break;
    case "broken":
      out.byte(20);
      out.stream(frame.stream);
      break;
    case "signed":
      out.byte(21);
      out.stream(frame.stream);
      out.varint(frame.first);
      out.varint(frame.digests.length);
      frame.digests.forEach((digest) => out.bytes(digest));
      out.bytes(frame.signature);
      break;
  }
  return out.finish();
}

/**
 * What is signed of a frame that ends with a signature: all before that, and which room it is said in.
 *
 * @param {string} room
 * @param {Uint8Array} frame
 */
export function signedText(room, frame) {
  const out = new Writer(frame.length);
  out.bytes(UTF8.encode(`roomful v1 frame\0${room}\0`));
  out.bytes(frame.subarray(0, Math.max(0, frame.length - SIGNATURE)));
  return out.finish();
}

/** Gathers encoded frames into one packet. */
export class PacketWriter {
  /** @type {Uint8Array[]} */
  #frames = [];
  #length = 0;

  /** Bytes so far. */
  get length() {
    return this.#length;
  }

  /** @param {Uint8Array} frame an encoded frame */
  push(frame) {
    this.#frames.push(frame);
    this.#length += varintLength(frame.length) + frame.length;
  }

  /** The packet; the writer starts anew. */
  take() {
    const out = new Writer(this.#length);
    for (const frame of this.#frames) {
      out.varint(frame.length);
      out.bytes(frame);
    }
    this.#frames = [];
    this.#length = 0;
    return out.finish();
  }
}

/**
 * Puts a number in front of a payload.
 *
 * @param {number} number
 * @param {Uint8Array} payload
 */
export function joinVarint(number, payload) {
  const out = new Writer(payload.length + 8);
  out.varint(number);
  out.bytes(payload);
  return out.finish();
}

/**
 * Reads a number from the front of a payload; gives it and what follows.
 *
 * @param {Uint8Array} payload
 * @returns {[number, Uint8Array]}
 * @throws {FrameError} Where it is cut off, too large or not in its shortest form.
 */
export function splitVarint(payload) {
  const reader = new Reader(payload);
  const number = reader.varint();
  return [number, reader.take(reader.left)];
}

/**
 * @param {Reader} reader
 * @returns {Frame}
 */
function decodeBody(reader) {
  const type = reader.byte();
  switch (type) {
    case 1:
      return {
        type: "hello",
        version: reader.varint(),
        epoch: reader.varint(),
        credit: reader.varint(),
        holdings: reader.list(() => ({ stream: reader.stream(), first: reader.varint(), next: reader.varint() })),
      };
    case 2:
      return reader.data();
    case 3:
      return { type: "ack", acks: reader.list(() => ({ stream: reader.stream(), next: reader.varint() })) };
    case 4:
      return { type: "credit", total: reader.varint() };
    case 5:
      return { type: "skip", stream: reader.stream(), upto: reader.varint() };
    case 6:
      return { type: "latest", ...reader.lossy() };
    case 7:
      return { type: "seen", origin: reader.id(), seq: reader.varint(), channel: reader.channel() };
    case 8:
      return { type: "datagram", ...reader.lossy() };
    case 9:
      return { type: "ping", token: reader.varint() };
    case 10:
      return { type: "pong", token: reader.varint() };
    case 16:
      return {
        type: "have",
        haves: reader.list(() => ({
          origin: reader.id(),
          next: reader.varint(),
          hop: reader.byte(),
          delayMs: reader.varint(),
        })),
      };
    case 17:
      return { type: "graft", origin: reader.id(), next: reader.varint() };
    case 18:
      return { type: "prune", origin: reader.id() };
    case 19:
      return {
        type: "route",
        stream: reader.stream(),
        first: reader.varint(),
        path: reader.list(() => reader.id(), ROUTE_MAX),
      };
    case 20:
      return { type: "broken", stream: reader.stream() };
    case 21:
      return { type: "signed", ...reader.signed() };
    default:
      throw new FrameError("type", type);
  }
}

/** Bytes that a frame's head seldom exceeds. */
const HEAD_GUESS = 64;
const UTF8 = new TextEncoder();
const FROM_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @param {number} number */
function varintLength(number) {
  let length = 1;
  for (; number >= 0x80; number = Math.floor(number / 0x80)) length += 1;
  return length;
}

class Writer {
  #buffer;
  #at = 0;

  /** @param {number} capacity a first guess, in bytes */
  constructor(capacity) {
    this.#buffer = new Uint8Array(capacity);
  }

  get length() {
    return this.#at;
  }

  finish() {
    return this.#buffer.subarray(0, this.#at);
  }

  /** @param {number} length */
  #reserve(length) {
    if (this.#at + length <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(2 * this.#buffer.length, this.#at + length));
    grown.set(this.#buffer.subarray(0, this.#at));
    this.#buffer = grown;
  }

  /** @param {number} byte */
  byte(byte) {
    this.#reserve(1);
    this.#buffer[this.#at++] = byte;
  }

  /** @param {Uint8Array} bytes */
  bytes(bytes) {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** @param {number} number */
  varint(number) {
    if (!Number.isSafeInteger(number) || number < 0) throw new RangeError("numbers on the wire stay below 2^53");
    // Bit operations see 32 bits only, so the upper part goes by division.
    while (number >= 0x80) {
      this.byte((number % 0x80) | 0x80);
      number = Math.floor(number / 0x80);
    }
    this.byte(number);
  }

  /** @param {string} text */
  text(text) {
    const bytes = UTF8.encode(text);
    this.varint(bytes.length);
    this.bytes(bytes);
  }

  /** @param {MemberId} id */
  id(id) {
    this.bytes(fromHex(id));
  }

  /** @param {Stream} stream */
  stream(stream) {
    this.byte(stream.to === undefined ? 0 : ADDRESSED);
    this.ends(stream);
  }

  /** @param {Latest | Datagram} frame */
  lossy({ stream, seq, channel, payload, signature }) {
    this.byte((stream.to === undefined ? 0 : ADDRESSED) | (signature ? SIGNED : 0));
    this.ends(stream);
    this.varint(seq);
    this.text(channel);
    this.bytes(payload);
    if (signature) this.bytes(signature);
  }

  /** @param {Stream} stream */
  ends(stream) {
    this.id(stream.origin);
    if (stream.to !== undefined) this.id(stream.to);
  }
}

class Reader {
  #bytes;
  #at = 0;

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.#bytes = bytes;
  }

  /** Bytes not read yet. */
  get left() {
    return this.#bytes.length - this.#at;
  }

  byte() {
    if (this.left === 0) throw new FrameError("truncated");
    return this.#bytes[this.#at++];
  }

  /** @param {number} length */
  take(length) {
    if (length > this.left) throw new FrameError("truncated");
    return this.#bytes.subarray(this.#at, (this.#at += length));
  }

  /** @param {number} max */
  rest(max) {
    if (this.left > max) throw new FrameError("too_large");
    return this.take(this.left);
  }

  varint() {
    let number = 0;
    for (let scale = 1; scale < 2 ** 56; scale *= 0x80) {
      const byte = this.byte();
      // Exact as long as the sum stays below 2^53; beyond, it is refused whatever it was rounded to.
      number += (byte & 0x7f) * scale;
      if ((byte & 0x80) === 0) {
        if ((byte === 0 && scale > 1) || number > Number.MAX_SAFE_INTEGER) throw new FrameError("number");
        return number;
      }
    }
    throw new FrameError("number");
  }

  id() {
    return toHex(this.take(8));
  }

  channel() {
    const length = this.varint();
    if (length > CHANNEL_NAME_MAX) throw new FrameError("text");
    const bytes = this.take(length);
    try {
      return FROM_UTF8.decode(bytes);
    } catch {
      throw new FrameError("text");
    }
  }

  stream() {
    const flags = this.byte();
    if ((flags & ~ADDRESSED) !== 0) throw new FrameError("flags", hexByte(flags));
    return this.ends(flags);
  }

  /**
   * @param {number} flags
   * @returns {Stream}
   */
  ends(flags) {
    const origin = this.id();
    return (flags & ADDRESSED) === 0 ? { origin } : { origin, to: this.id() };
  }

  /** What `latest` and `datagram` are made of. Nobody passes on what is said to one member: that has no signature. */
  lossy() {
    const flags = this.byte();
    if (![0, ADDRESSED, SIGNED].includes(flags)) throw new FrameError("flags", hexByte(flags));
    const head = { stream: this.ends(flags), seq: this.varint(), channel: this.channel() };
    if (flags !== SIGNED) return { ...head, payload: this.rest(LOSSY_MAX) };
    if (this.left < SIGNATURE) throw new FrameError("truncated");
    if (this.left - SIGNATURE > LOSSY_MAX) throw new FrameError("too_large");
    return { ...head, payload: this.take(this.left - SIGNATURE), signature: this.take(SIGNATURE) };
  }

  /** @returns {Data} */
  data() {
    const flags = this.byte();
    if ((flags & ~(ADDRESSED | FIRST | LAST)) !== 0) throw new FrameError("flags", hexByte(flags));
    const stream = this.ends(flags);
    const seq = this.varint();
    // What is said to be missing is one above it.
    if (seq === Number.MAX_SAFE_INTEGER) throw new FrameError("number");
    const head = (flags & FIRST) === 0 ? undefined : this.head();
    const body = { stream, seq, last: (flags & LAST) !== 0, payload: this.rest(CHUNK) };
    return head ? { type: "data", ...body, head } : { type: "data", ...body };
  }

  /** @returns {Head} */
  head() {
    const kind = this.byte();
    if (kind >= KINDS.length) throw new FrameError("kind", kind);
    return { kind: KINDS[kind], channel: this.channel() };
  }

  /** @returns {Signed} */
  signed() {
    const [stream, first] = [this.stream(), this.varint()];
    const digests = this.list(() => this.take(DIGEST), SIGNED_CHUNKS);
    // Chunks count from 1, and what is said to be missing is one above the last.
    if (first === 0 || digests.length === 0 || first > Number.MAX_SAFE_INTEGER - digests.length) throw new FrameError("number");
    return { stream, first, digests, signature: this.take(SIGNATURE) };
  }

  /**
   * @template T
   * @param {() => T} item
   * @param {number} [max]
   * @returns {T[]}
   */
  list(item, max = HOLDINGS_MAX) {
    const count = this.varint();
    if (count > max) throw new FrameError("too_large");
    return Array.from({ length: count }, item);
  }
}

/** @param {number} byte */
function hexByte(byte) {
  return `0x${byte.toString(16).padStart(2, "0")}`;
}
