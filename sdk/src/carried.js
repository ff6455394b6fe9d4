// @ts-check
/**
 * What a hub carries from one member to another whom no connection joins: binary messages on their WebSockets. The twin of
 * `crates/room/src/wire/carried.rs`.
 *
 * A message begins with a member id (to the hub: whom it is for; from the hub: whom it is from) and the number of the
 * carriage that the two have agreed on. The hub reads no further.
 *
 * @module
 */

import { FrameError, splitVarint } from "./frame.js";
import { fromHex, toHex } from "./id.js";
import { CARRIED_HEAD, CARRIED_MAX, PACKET_MAX } from "./limits.js";

/** @import {MemberId} from "./id.js" */

/**
 * What is carried: a packet of a lane, or how many bytes of packets came so far on either.
 *
 * @typedef {(
 *   | { type: "reliable" | "lossy", bytes: Uint8Array }
 *   | { type: "taken", reliable: number, lossy: number }
 * )} Freight
 */
/** A carried message as its ends see it. @typedef {{ peer: MemberId, episode: number, freight: Freight }} Carried */

const ID_BYTES = 8;
const RELIABLE = 0;
const LOSSY = 1;
const TAKEN = 2;
/** Two numbers. */
const TAKEN_MAX = 16;

/**
 * @param {Carried} carried
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encodeCarried({ peer, episode, freight }) {
  const length = freight.type === "taken" ? TAKEN_MAX : freight.bytes.length;
  const out = new Uint8Array(CARRIED_HEAD + length);
  out.set(fromHex(peer));
  let at = putVarint(out, ID_BYTES, episode);
  if (freight.type === "taken") {
    out[at++] = TAKEN;
    at = putVarint(out, at, freight.reliable);
    at = putVarint(out, at, freight.lossy);
  } else {
    out[at++] = freight.type === "reliable" ? RELIABLE : LOSSY;
    out.set(freight.bytes, at);
    at += length;
  }
  return out.subarray(0, at);
}

/**
 * Where a message goes, or comes from, and nothing else.
 *
 * @param {Uint8Array} message
 * @returns {{ peer: MemberId, episode: number, rest: Uint8Array }} `rest`: what follows the number
 * @throws {FrameError}
 */
export function readAddress(message) {
  if (message.length > CARRIED_MAX) throw new FrameError("too_large");
  if (message.length < ID_BYTES) throw new FrameError("truncated");
  const peer = toHex(message.subarray(0, ID_BYTES));
  const [episode, rest] = splitVarint(message.subarray(ID_BYTES));
  if (episode >= 2 ** 32) throw new FrameError("number");
  return { peer, episode, rest };
}

/**
 * @param {Uint8Array} message
 * @returns {Carried}
 * @throws {FrameError}
 */
export function decodeCarried(message) {
  const { peer, episode, rest } = readAddress(message);
  if (rest.length === 0) throw new FrameError("truncated");
  return { peer, episode, freight: readFreight(rest[0], rest.subarray(1)) };
}

/**
 * @param {number} kind
 * @param {Uint8Array} bytes
 * @returns {Freight}
 */
function readFreight(kind, bytes) {
  switch (kind) {
    case RELIABLE:
    case LOSSY:
      if (bytes.length > PACKET_MAX) throw new FrameError("too_large");
      return { type: kind === RELIABLE ? "reliable" : "lossy", bytes };
    case TAKEN: {
      const [reliable, after] = splitVarint(bytes);
      const [lossy, left] = splitVarint(after);
      if (left.length > 0) throw new FrameError("leftover");
      return { type: "taken", reliable, lossy };
    }
    default:
      throw new FrameError("type", kind);
  }
}

/**
 * Writes an unsigned LEB128 number; gives the place behind it.
 *
 * @param {Uint8Array} out
 * @param {number} at
 * @param {number} number
 */
function putVarint(out, at, number) {
  for (; number >= 0x80; number = Math.floor(number / 0x80)) out[at++] = (number % 0x80) | 0x80;
  out[at++] = number;
  return at;
}
