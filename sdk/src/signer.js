// @ts-check
/**
 * The key pair of a session, and signatures: Ed25519 (RFC 8032), by WebCrypto, or by a library where the browser does not know
 * these signatures (Chrome before 137, Firefox before 129, Safari before 17) or keeps them from pages that came over plain HTTP.
 *
 * @module
 */

import { fromHex, toHex } from "./id.js";
import { sha512 } from "./sha512.js";

/** Keys of others that are kept in the form in which they are used. */
const KEYS_KEPT = 1_024;

/** Signs what this member says, and verifies what others are said to say. */
export class Signer {
  /** The public key, as hex digits. @readonly */
  key;
  #secret;
  /** @type {Map<string, Promise<CryptoKey>>} */
  #keys = new Map();

  /**
   * @param {CryptoKey} secret
   * @param {string} key
   */
  constructor(secret, key) {
    this.#secret = secret;
    this.key = key;
  }

  /**
   * A new pair.
   *
   * @returns {Promise<Signer | LibrarySigner>}
   */
  static async create() {
    try {
      const pair = /** @type {CryptoKeyPair} */ (await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]));
      const raw = await crypto.subtle.exportKey("raw", pair.publicKey);
      return new Signer(pair.privateKey, toHex(new Uint8Array(raw)));
    } catch {
      return LibrarySigner.create();
    }
  }

  /**
   * The signature of a text.
   *
   * @param {Uint8Array} text
   */
  async sign(text) {
    return new Uint8Array(await crypto.subtle.sign("Ed25519", this.#secret, own(text)));
  }

  /**
   * Whether a signature is a key's, of a text.
   *
   * @param {string} key as hex digits
   * @param {Uint8Array} text
   * @param {Uint8Array} signature
   */
  async verify(key, text, signature) {
    try {
      return await crypto.subtle.verify("Ed25519", await this.#imported(key), own(signature), own(text));
    } catch {
      // As where the key is no point of the curve.
      return false;
    }
  }

  /** @param {string} key */
  #imported(key) {
    let imported = this.#keys.get(key);
    if (!imported) {
      if (this.#keys.size >= KEYS_KEPT) this.#keys.clear();
      imported = crypto.subtle.importKey("raw", fromHex(key), "Ed25519", false, ["verify"]);
      this.#keys.set(key, imported);
    }
    return imported;
  }
}

/**
 * What is used of the library.
 *
 * @typedef {object} Library
 * @property {(secret: Uint8Array) => Uint8Array} getPublicKey
 * @property {(text: Uint8Array, secret: Uint8Array) => Uint8Array} sign
 * @property {(signature: Uint8Array, text: Uint8Array, key: Uint8Array, how: { zip215: boolean }) => boolean} verify
 */

/** The same by a library, some ten times as slow: loaded only where there is nothing better. */
export class LibrarySigner {
  /** The public key, as hex digits. @readonly */
  key;
  #library;
  #secret;

  /**
   * @param {Library} library
   * @param {Uint8Array} secret
   */
  constructor(library, secret) {
    this.#library = library;
    this.#secret = secret;
    this.key = toHex(library.getPublicKey(secret));
  }

  /** A new pair. */
  static async create() {
    const library = await import("./vendor/noble-ed25519.js");
    library.hashes.sha512 = sha512;
    return new LibrarySigner(library, crypto.getRandomValues(new Uint8Array(32)));
  }

  /**
   * The signature of a text.
   *
   * @param {Uint8Array} text
   */
  async sign(text) {
    return this.#library.sign(text, this.#secret);
  }

  /**
   * Whether a signature is a key's, of a text.
   *
   * @param {string} key as hex digits
   * @param {Uint8Array} text
   * @param {Uint8Array} signature
   */
  async verify(key, text, signature) {
    try {
      // By the letter of RFC 8032, as others do it: who passes something on must find true what they do.
      return this.#library.verify(signature, text, fromHex(key), { zip215: false });
    } catch {
      return false;
    }
  }
}

/**
 * Bytes in memory of their own kind, as WebCrypto takes them.
 *
 * @param {Uint8Array} bytes
 */
function own(bytes) {
  return /** @type {Uint8Array<ArrayBuffer>} */ (bytes);
}
