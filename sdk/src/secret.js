// @ts-check
/**
 * A room's secret, and what is sealed with it: AES-256-GCM (NIST SP 800-38D) under a key of each sender's own, bound to
 * where it belongs. See PROTOCOL.md, "Sealed payloads"; the same as `crates/client/src/{secret,seal}.rs`.
 *
 * @module
 */

import { RoomError } from "./errors.js";
import { fromHex } from "./id.js";

/** @import {MemberId} from "./id.js" */

/** The secret of a room: nothing can be read out of it. @typedef {CryptoKey} RoomSecret */
/** What a sealed payload is. @typedef {"message" | "call" | "reply" | "failure" | "latest" | "datagram" | "state"} SealKind */
/**
 * What a sealed payload is bound to beside its sender and its room: elsewhere it cannot be opened. `to`: the only member
 * that it is for; `name`: the channel, the method, or the state entry's key, empty for what ends a call; `call`: the nonce
 * of the call that it ends.
 *
 * @typedef {{ kind: SealKind, to?: MemberId, name: string, call?: Uint8Array }} Place
 */
/** A sealed payload, taken apart. Nothing of it is to be believed before it is opened. @typedef {{ kind: SealKind, addressed: boolean, nonce: Uint8Array, body: Uint8Array }} Sealed */

/** Their places are their numbers. @type {readonly SealKind[]} */
const KINDS = ["message", "call", "reply", "failure", "latest", "datagram", "state"];
/** What a sealed payload begins with: no CBOR item does (RFC 8949, 3.3), so none is ever taken for a value. */
const MARK = 0xfc;
/** Set beside the kind where the payload is for one member only. */
const ADDRESSED = 0x10;
const HEADER = 2;
const NONCE = 12;
/** Random bytes at the beginning of a session's nonces; the rest of each counts. */
const SALT = 5;
const TAG = 16;
/** Bytes that sealing adds. */
export const OVERHEAD = HEADER + NONCE + TAG;
/** Senders whose keys are kept ready. */
const KEYS_KEPT = 2_024;

const UTF8 = new TextEncoder();
const LABEL = UTF8.encode("roomful sender 1");

// ---- the key in an address ----------------------------------------------------------------------

/**
 * A new key for a room's address: put it behind the `#`, as `key=…`. It is the secret itself: nothing for logs.
 *
 * @returns {string} `key=` and 43 letters, digits, `-` and `_`
 */
export function newKey() {
  return `key=${toBase64Url(crypto.getRandomValues(new Uint8Array(32)))}`;
}

/**
 * The key in an address's fragment; undefined where the fragment speaks of something else.
 *
 * @param {string} fragment with its `#`, or empty
 * @returns {Uint8Array<ArrayBuffer> | undefined} 32 bytes
 * @throws {RoomError} `bad_key`
 */
export function keyOfFragment(fragment) {
  const text = fragment.replace(/^#/, "");
  // What was meant to be a key and was changed on its way, as by a program that escapes the `=`, counts too: to enter
  // without it would be to speak in the clear where nobody expects that.
  if (!/(?:^|[&;?/])key(?:=|%3d)/i.test(text)) return undefined;
  const [, key] = /^key=([A-Za-z0-9_-]{43})$/.exec(text) ?? [];
  const bytes = key === undefined ? undefined : fromBase64Url(key);
  if (bytes?.length === 32 && toBase64Url(bytes) === key) return bytes;
  const hint = "copy the whole address again, up to its end; it ends in #key= and the key";
  throw new RoomError("bad_key", "the room's key is not whole: it is 43 letters, digits, - and _", hint);
}

/**
 * Makes what keys are derived from; from then on the secret cannot be read any more.
 *
 * @param {Uint8Array<ArrayBuffer>} bytes 32
 * @returns {Promise<RoomSecret>}
 * @throws {RoomError} `insecure`: the page has no WebCrypto
 */
export async function importSecret(bytes) {
  if (!globalThis.crypto?.subtle) {
    const hint = "open it over https, or on localhost";
    throw new RoomError("insecure", "this page cannot encrypt: it was opened over plain http", hint);
  }
  return crypto.subtle.importKey("raw", bytes, "HKDF", false, ["deriveKey"]);
}

// ---- sealing ------------------------------------------------------------------------------------

/** The keys of all senders of a room. */
export class Keys {
  #secret;
  #room;
  /** Those heard last come last. @type {Map<MemberId, Promise<CryptoKey>>} */
  #kept = new Map();

  /**
   * @param {RoomSecret} secret
   * @param {string} room
   */
  constructor(secret, room) {
    this.#secret = secret;
    this.#room = UTF8.encode(room);
  }

  /**
   * The key that a member seals with (RFC 5869). An id names one session, so no key is used by two of them.
   *
   * @param {MemberId} sender
   * @returns {Promise<CryptoKey>}
   */
  of(sender) {
    const key = this.#kept.get(sender) ?? this.#derive(sender);
    this.#kept.delete(sender);
    this.#kept.set(sender, key);
    if (this.#kept.size > KEYS_KEPT) this.#kept.delete(/** @type {MemberId} */ (this.#kept.keys().next().value));
    return key;
  }

  /** @param {MemberId} sender */
  #derive(sender) {
    const info = joined(LABEL, fromHex(sender), this.#room);
    const derivation = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info };
    return crypto.subtle.deriveKey(derivation, this.#secret, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  }
}

/**
 * One session's nonces. They count, so that none comes twice and receivers can tell new from old. They begin with random
 * bytes, so that two sessions that by chance have the same id, and so the same key, do not share them.
 */
export class Nonces {
  #salt;
  #count;

  /**
   * @param {Uint8Array} [salt] 5 bytes, random unless given
   * @param {number} [count] how many there were before
   */
  constructor(salt = crypto.getRandomValues(new Uint8Array(SALT)), count = 0) {
    this.#salt = salt;
    this.#count = count;
  }

  /** @returns {Uint8Array<ArrayBuffer>} */
  next() {
    this.#count += 1;
    const nonce = new Uint8Array(NONCE);
    const view = new DataView(nonce.buffer);
    view.setUint32(SALT - 1, Math.floor(this.#count / 2 ** 32));
    view.setUint32(NONCE - 4, this.#count % 2 ** 32);
    nonce.set(this.#salt);
    return nonce;
  }
}

/**
 * How many payloads a nonce's sender had sealed when it sealed this one, this one included.
 *
 * @param {Uint8Array} nonce
 */
export function countOf(nonce) {
  const view = new DataView(nonce.buffer, nonce.byteOffset, NONCE);
  return (view.getUint32(SALT - 1) & 0xff_ffff) * 2 ** 32 + view.getUint32(NONCE - 4);
}

/**
 * @param {CryptoKey} key the sender's
 * @param {Uint8Array<ArrayBuffer>} nonce never used before with this key
 * @param {Place} place
 * @param {Uint8Array} plain
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function seal(key, nonce, place, plain) {
  const parameters = { name: "AES-GCM", iv: nonce, additionalData: boundOf(place) };
  const body = await crypto.subtle.encrypt(parameters, key, /** @type {Uint8Array<ArrayBuffer>} */ (plain));
  return joined(headerOf(place), nonce, new Uint8Array(body));
}

/**
 * What was sealed; undefined where it was not sealed with this key, or not for this place.
 *
 * @param {CryptoKey} key the sender's
 * @param {Place} place
 * @param {Sealed} sealed
 * @returns {Promise<Uint8Array<ArrayBuffer> | undefined>}
 */
export async function open(key, place, { nonce, body }) {
  const iv = /** @type {Uint8Array<ArrayBuffer>} */ (nonce);
  const parameters = { name: "AES-GCM", iv, additionalData: boundOf(place) };
  try {
    return new Uint8Array(await crypto.subtle.decrypt(parameters, key, /** @type {Uint8Array<ArrayBuffer>} */ (body)));
  } catch {
    return undefined;
  }
}

/**
 * Whether a payload says that it is sealed.
 *
 * @param {Uint8Array} payload
 */
export function isSealed(payload) {
  return payload[0] === MARK;
}

/**
 * Takes a sealed payload apart; undefined where it has not the form of one.
 *
 * @param {Uint8Array} payload
 * @returns {Sealed | undefined}
 */
export function parseSealed(payload) {
  if (payload.length < OVERHEAD || !isSealed(payload)) return undefined;
  const kind = KINDS[payload[1] & ~ADDRESSED];
  if (kind === undefined) return undefined;
  const [nonce, body] = [payload.subarray(HEADER, HEADER + NONCE), payload.subarray(HEADER + NONCE)];
  return { kind, addressed: (payload[1] & ADDRESSED) !== 0, nonce, body };
}

/** @param {Place} place */
function headerOf({ kind, to }) {
  return Uint8Array.of(MARK, KINDS.indexOf(kind) | (to === undefined ? 0 : ADDRESSED));
}

/** Whether there are an addressee and a call is in the header, so that the name needs no length. @param {Place} place */
function boundOf(place) {
  const { to, name, call } = place;
  const nothing = new Uint8Array(0);
  return joined(headerOf(place), to === undefined ? nothing : fromHex(to), call ?? nothing, UTF8.encode(name));
}

/** @param {...Uint8Array} parts */
export function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

// ---- base64url (RFC 4648, 5), without padding ----------------------------------------------------

/** Bytes that are turned into text at once: arguments of one call. */
const PIECE = 8_192;

/** @param {Uint8Array} bytes */
export function toBase64Url(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += PIECE) text += String.fromCharCode(...bytes.subarray(at, at + PIECE));
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** @param {string} text @returns {Uint8Array<ArrayBuffer> | undefined} */
export function fromBase64Url(text) {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) return undefined;
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
}
