// @ts-check
/**
 * Who and where: member ids, session secrets, room names.
 *
 * @module
 */

import { ROOM_NAME_MAX } from "./limits.js";
import { sha256 } from "./sha256.js";

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
 * Whether a text is a session's public key.
 *
 * @param {unknown} text
 * @returns {text is string}
 */
export function isKey(text) {
  return typeof text === "string" && /^[0-9a-f]{64}$/.test(text);
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
 * @param {Uint8Array} secret 16 bytes
 * @returns {MemberId}
 */
export function memberIdOf(secret) {
  if (secret.length !== 16) throw new TypeError("a session secret has 16 bytes");
  return toHex(sha256(secret).subarray(0, 8));
}
