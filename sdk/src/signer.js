// @ts-check
/**
 * The key pair of a session, and signatures: Ed25519 (RFC 8032), by WebCrypto.
 *
 * @module
 */

import { fromHex, toHex } from "./id.js";

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
   * A new pair; undefined where the browser does not know these signatures, or keeps them from pages that came over plain
   * HTTP.
   *
   * @returns {Promise<Signer | undefined>}
   */
  static async create() {
    try {
      const pair = /** @type {CryptoKeyPair} */ (await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]));
      const raw = await crypto.subtle.exportKey("raw", pair.publicKey);
      return new Signer(pair.privateKey, toHex(new Uint8Array(raw)));
    } catch {
      return undefined;
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
 * Bytes in memory of their own kind, as WebCrypto takes them.
 *
 * @param {Uint8Array} bytes
 */
function own(bytes) {
  return /** @type {Uint8Array<ArrayBuffer>} */ (bytes);
}
