// @ts-check
/**
 * Who and where: member ids, session secrets, room names.
 *
 * @module
 */

import { ROOM_NAME_MAX } from "./limits.js";

/** One session of a member: 16 lower-case hex digits, 8 bytes in frames. @typedef {string} MemberId */

/** Words that no room can have as its name. */
export const RESERVED = Object.freeze([
  "sdk", "app", "api", "metrics", "healthz", "deepstream", "deepstream-v3", "whip", "whep",
]);

/**
 * Whether a room can have this name.
 *
 * @param {string} text
 */
export function isRoomName(text) {
  return text.length <= ROOM_NAME_MAX && /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(text) && !RESERVED.includes(text);
}

/**
 * Whether a text is a member id.
 *
 * @param {unknown} text
 * @returns {text is MemberId}
 */
export function isMemberId(text) {
  return typeof text === "string" && /^[0-9a-f]{16}$/.test(text);
}

/**
 * Whether a text is a session secret.
 *
 * @param {unknown} text
 * @returns {text is string}
 */
export function isSecret(text) {
  return typeof text === "string" && /^[0-9a-f]{32}$/.test(text);
}

const HEX = Object.freeze(Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0")));

/**
 * Bytes as lower-case hex digits.
 *
 * @param {Uint8Array} bytes
 */
export function toHex(bytes) {
  let text = "";
  for (const byte of bytes) text += HEX[byte];
  return text;
}

/**
 * Bytes from hex digits.
 *
 * @param {string} text
 * @throws {TypeError} Where it is not pairs of hex digits.
 */
export function fromHex(text) {
  if (text.length % 2 !== 0 || /[^0-9a-fA-F]/.test(text)) throw new TypeError("not pairs of hex digits");
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at++) bytes[at] = Number.parseInt(text.slice(2 * at, 2 * at + 2), 16);
  return bytes;
}

/**
 * The id that a session secret proves: the first 8 bytes of the SHA-256 of its 16 bytes.
 *
 * Written out rather than asked of WebCrypto, which is asynchronous and missing on pages served over plain HTTP.
 *
 * @param {Uint8Array} secret 16 bytes
 * @returns {MemberId}
 */
export function memberIdOf(secret) {
  if (secret.length !== 16) throw new TypeError("a session secret has 16 bytes");
  const [high, low] = hashBlock(secret);
  return [high, low].map((word) => word.toString(16).padStart(8, "0")).join("");
}

// prettier-ignore
/** The constants of SHA-256 (FIPS 180-4, 4.2.2 and 5.3.3). */
const [ROUNDS, START] = [
  [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
  ],
  [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19],
];

/**
 * SHA-256 of a message that fits one block: at most 55 bytes. Gives the eight words.
 *
 * @param {Uint8Array} message
 */
function hashBlock(message) {
  const view = new DataView(new ArrayBuffer(64));
  message.forEach((byte, at) => view.setUint8(at, byte));
  view.setUint8(message.length, 0x80);
  view.setUint32(60, 8 * message.length);
  const words = new Uint32Array(64);
  const rotate = (/** @type {number} */ x, /** @type {number} */ n) => (x >>> n) | (x << (32 - n));
  for (let t = 0; t < 16; t++) words[t] = view.getUint32(4 * t);
  for (let t = 16; t < 64; t++) {
    const [x, y] = [words[t - 15], words[t - 2]];
    const s0 = rotate(x, 7) ^ rotate(x, 18) ^ (x >>> 3);
    const s1 = rotate(y, 17) ^ rotate(y, 19) ^ (y >>> 10);
    words[t] = words[t - 16] + s0 + words[t - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = START;
  for (let t = 0; t < 64; t++) {
    const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + ROUNDS[t] + words[t]) | 0;
    const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
  }
  return [a, b, c, d, e, f, g, h].map((word, i) => (word + START[i]) >>> 0);
}
