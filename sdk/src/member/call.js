// @ts-check
/**
 * Calls of other members' methods: numbering, deadlines, answers.
 *
 * @module
 */

import { joinVarint, splitVarint } from "../frame.js";
import { CALLS_MAX } from "../limits.js";

/** @import {Kind} from "../frame.js" */
/** @import {MemberId} from "../id.js" */
/** @import {Answer} from "./io.js" */

const TO_UTF8 = new TextEncoder();
const FROM_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class Calls {
  #last = 0;
  /** By number, which is by age. @type {Map<number, { ticket: number, to: MemberId, deadline: number }>} */
  #open = new Map();

  /**
   * Begins a call: its payload on the wire. Undefined where too many are open.
   *
   * @param {number} ticket
   * @param {MemberId} to
   * @param {Uint8Array} argument
   * @param {number} deadline
   */
  begin(ticket, to, argument, deadline) {
    if (this.#open.size >= CALLS_MAX) return undefined;
    this.#last += 1;
    this.#open.set(this.#last, { ticket, to, deadline });
    return joinVarint(this.#last, argument);
  }

  /**
   * Somebody answered: the ticket, where the call was theirs to answer and is still open.
   *
   * @param {MemberId} from
   * @param {Kind} kind
   * @param {Uint8Array} payload
   * @returns {{ ticket: number, answer: Answer } | undefined}
   */
  answered(from, kind, payload) {
    const split = trySplit(payload);
    if (!split) return undefined;
    const [number, rest] = split;
    const call = this.#open.get(number);
    if (call?.to !== from) return undefined;
    const answer = kind === "reply" ? { result: rest } : readFailure(rest);
    if (!answer) return undefined;
    this.#open.delete(number);
    return { ticket: call.ticket, answer };
  }

  /** @param {number} ticket */
  cancel(ticket) {
    this.#take((call) => call.ticket === ticket);
  }

  /**
   * The tickets of calls to a member that went.
   *
   * @param {MemberId} member
   */
  memberLeft(member) {
    return this.#take((call) => call.to === member);
  }

  /**
   * The tickets of calls whose time is over.
   *
   * @param {number} now
   */
  expired(now) {
    return this.#take((call) => call.deadline <= now);
  }

  /** The tickets of all calls. */
  close() {
    return this.#take(() => true);
  }

  /** @returns {number | undefined} */
  get timeout() {
    if (this.#open.size === 0) return undefined;
    let due = Infinity;
    for (const { deadline } of this.#open.values()) due = Math.min(due, deadline);
    return due;
  }

  /** @param {(call: { ticket: number, to: MemberId, deadline: number }) => boolean} which */
  #take(which) {
    /** @type {number[]} */
    const tickets = [];
    for (const [number, call] of this.#open) {
      if (!which(call)) continue;
      this.#open.delete(number);
      tickets.push(call.ticket);
    }
    return tickets;
  }
}

/**
 * An answer's kind and payload on the wire.
 *
 * @param {number} call
 * @param {Answer} answer
 * @returns {{ kind: Kind, payload: Uint8Array }}
 */
export function encodeAnswer(call, answer) {
  if ("result" in answer) return { kind: "reply", payload: joinVarint(call, answer.result) };
  const { code, message } = answer.failure;
  const json = JSON.stringify({ code: code.toWellFormed(), message: message.toWellFormed() });
  return { kind: "failure", payload: joinVarint(call, TO_UTF8.encode(json)) };
}

/**
 * A number and what follows it; undefined where there is none.
 *
 * @param {Uint8Array} payload
 */
export function trySplit(payload) {
  try {
    return splitVarint(payload);
  } catch {
    return undefined;
  }
}

/**
 * @param {Uint8Array} json
 * @returns {Answer | undefined}
 */
function readFailure(json) {
  try {
    const { code, message } = JSON.parse(FROM_UTF8.decode(json));
    return typeof code === "string" && typeof message === "string" ? { failure: { code, message } } : undefined;
  } catch {
    return undefined;
  }
}
