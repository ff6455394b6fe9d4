// @ts-check
/**
 * What goes wrong, by stable names.
 *
 * @module
 */

/** @import {RefusalCode} from "./wire.js" */

/**
 * Why something was not done.
 *
 * - A {@link RefusalCode}: the server's word, as in PROTOCOL.md.
 * - `bad_address`: the address is not a room's. `bad_key`: the key at its end is not whole. `insecure`: it has a key, and
 *   this page cannot encrypt. `unreachable`: the server did not answer.
 * - Pinning: `not_allowed`, `topology_unavailable`, `rate_limited`, `unreachable` (the server may have taken it before).
 * - `token_failed`: the token function threw; see `cause`.
 * - Sending: `too_large`, `too_many` (await each send), `unknown_member`, `not_allowed`, `closed` (the room was left).
 * - Calling: `no_handler`, `handler_failed`, `timeout`, `member_left`, `too_many_calls`, `unreadable` (the two have not the
 *   same key of the room), and as for sending.
 *
 * @typedef {RefusalCode | "bad_address" | "bad_key" | "insecure" | "unreachable" | "token_failed" | "too_many" | "closed"
 *   | "no_handler" | "handler_failed" | "timeout" | "member_left" | "too_many_calls" | "unreadable"} RoomErrorCode
 */

/** An error with a stable `code` and a `hint` at what to do about it. */
export class RoomError extends Error {
  /**
   * @param {RoomErrorCode} code
   * @param {string} message one plain sentence
   * @param {string} [hint]
   * @param {ErrorOptions} [options]
   */
  constructor(code, message, hint = "", options) {
    super(message, options);
    this.name = "RoomError";
    /** A stable name. @type {RoomErrorCode} */
    this.code = code;
    /** What to do about it; may be empty. @type {string} */
    this.hint = hint;
  }
}
