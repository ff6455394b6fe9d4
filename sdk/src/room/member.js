// @ts-check
/**
 * Somebody in a room, as applications see them.
 *
 * @module
 */

/** @import {MemberInfo} from "../wire.js" */

/**
 * How the connection to a member is: being set up; carrying messages; silent for too long; broken and tried again; not
 * wanted (any more).
 *
 * @typedef {"connecting" | "open" | "suspect" | "failed" | "closed"} LinkState
 */

/**
 * The connection to a member. `path` is `host`, `reflexive` (through a NAT), `relayed` or `socket` (through the server), where open; `rtt_ms` the
 * round-trip time in milliseconds, where measured; `reason` says in plain words why it failed.
 *
 * @typedef {{ readonly state: LinkState, readonly path?: string, readonly rtt_ms?: number, readonly reason?: string }} Link
 */

/** Somebody in a room. The same object for as long as they are in it. */
export class Member {
  #info;
  /** @type {Link} */
  #link = Object.freeze({ state: "closed" });

  /**
   * @internal
   * @param {MemberInfo} info
   */
  constructor(info) {
    this.#info = frozen(info);
  }

  /** Names this stay in the room: 16 hex digits. */
  get id() {
    return this.#info.id;
  }

  /** The display name. */
  get name() {
    return this.#info.name;
  }

  /** Who they are to the application, as their token says. */
  get identity() {
    return this.#info.identity;
  }

  /** What they say of themselves. @type {Readonly<Record<string, string>>} */
  get attributes() {
    return this.#info.attributes;
  }

  /** Whether their token forbids them to send. */
  get mute() {
    return this.#info.mute ?? false;
  }

  /** The connection to them. */
  get link() {
    return this.#link;
  }

  toString() {
    return `${this.name} (${this.id})`;
  }

  /** What a member is in `JSON.stringify` and in logs. */
  toJSON() {
    const { id, name, identity, attributes, link } = this;
    return { id, name, identity, attributes, link };
  }

  /**
   * @internal
   * @param {MemberInfo} info
   */
  _update(info) {
    this.#info = frozen(info);
  }

  /**
   * @internal
   * @param {Link} link
   */
  _setLink(link) {
    this.#link = Object.freeze(link);
  }
}

/** @param {MemberInfo} info */
function frozen(info) {
  return Object.freeze({ ...info, attributes: Object.freeze({ ...info.attributes }) });
}
