// @ts-check
/**
 * What this member says itself.
 *
 * @module
 */

import { LEAVE_LINGER, OUTBOX_MAX, SWEEP_EVERY } from "../limits.js";
import { addressedTo, wantRoute } from "./addressed.js";
import { pushes } from "./core.js";
import { cost } from "./log.js";
import { grant } from "./receive.js";
import { spread } from "./send.js";
import { unseal } from "./trust.js";
import { passOverLaggards, trim } from "./upkeep.js";

/** @import {Head} from "../frame.js" */
/** @import {MemberId} from "../id.js" */
/** @import {Core} from "./core.js" */
/** @import {Stream} from "./stream.js" */

/**
 * Whether everybody who can be reached has all that this member said.
 *
 * @param {Core} core
 */
export function isFlushed(core) {
  for (const s of core.streams.places()) {
    const stream = core.streams.at(s);
    if (stream.isOwn && (!stream.waiting.isEmpty || isOwed(core, stream) || isAwaited(core, s))) return false;
  }
  return true;
}

/**
 * Whether somebody without a link lacks some of a stream.
 *
 * @param {Core} core
 * @param {Stream} stream
 */
function isOwed(core, stream) {
  if (stream.kind !== "own") return stream.toward === undefined && !stream.log.isEmpty;
  return [...core.expected.values()].some((expected) => expected && expected.from < stream.next);
}

/**
 * Whether somebody who is sent a stream, and is there, lacks some of it.
 *
 * @param {Core} core
 * @param {number} s
 */
function isAwaited(core, s) {
  const { next } = core.streams.at(s);
  return core.links.places().some((at) => {
    const link = core.links.at(at);
    return !link.suspect && pushes(core, at, s) && Math.max(link.endsOf(s).theirs, 1) < next;
  });
}

/**
 * Whether all that was said to the room and came here before `until` is where it should go on to: those whom this member
 * sends it have it, and the others had time to ask for it.
 *
 * @param {Core} core
 * @param {number} now
 * @param {number} until
 */
export function isPassedOn(core, now, until) {
  const links = core.links.places().filter((at) => core.links.at(at).isSound);
  return core.streams.places().every((s) => {
    const { kind, hasBegun, log } = core.streams.at(s);
    if ((kind !== "own" && kind !== "room") || !hasBegun) return true;
    const upto = log.firstSince(until);
    return !links.some((at) => {
      const link = core.links.at(at);
      const mayAsk = pushes(core, at, s) || now < link.opened + LEAVE_LINGER;
      return mayAsk && Math.max(link.endsOf(s).theirs, 1) < upto;
    });
  });
}

/**
 * Says something to the room, or to a member: answered by `sent` where it has a ticket.
 *
 * @param {Core} core
 * @param {MemberId | undefined} to
 * @param {number | undefined} ticket
 * @param {Head} head
 * @param {Uint8Array} payload
 */
export function send(core, to, ticket, head, payload) {
  const s = to === undefined ? core.own : addressedTo(core, to);
  if (s === undefined) return;
  core.streams.at(s).waiting.push(ticket, head, payload);
  fill(core, s);
}

/**
 * Says something to the room and gives the number of its last chunk; undefined where the log is full.
 *
 * @param {Core} core
 * @param {Head} head
 * @param {Uint8Array} payload
 */
export function publish(core, head, payload) {
  const { waiting, log } = core.streams.at(core.own);
  if (!waiting.isEmpty || log.bytes >= OUTBOX_MAX) fillOwn(core);
  if (log.bytes >= OUTBOX_MAX) return undefined;
  send(core, undefined, undefined, head, payload);
  return log.next - 1;
}

/**
 * Moves what waits into the log, and lets go of what everybody has, as long as either helps.
 *
 * @param {Core} core
 * @param {number} s
 */
export function fill(core, s) {
  const stream = core.streams.at(s);
  const { waiting, log } = stream;
  for (;;) {
    const before = log.next;
    for (const ticket of waiting.fill(stream.id, log, core, core.now)) core.events.push({ type: "sent", ticket });
    if (log.next > before) {
      stream.freshAt = core.now;
      unseal(core, s);
      core.sweepBy(core.now + SWEEP_EVERY);
      spread(core, s);
      wantRoute(core, s);
    }
    if (waiting.isEmpty) return;
    passOverLaggards(core, s);
    const { first } = log;
    trim(core, s);
    if (log.first === first) return;
  }
}

/** @param {Core} core */
export function fillOwn(core) {
  if (!core.streams.at(core.own).waiting.isEmpty) fill(core, core.own);
}

/**
 * The application was given a message with a payload of `bytes`: until it has taken it, its origin's link is held back.
 *
 * @param {Core} core
 * @param {MemberId} origin
 * @param {number} bytes
 */
export function hold(core, origin, bytes) {
  const unconsumed = core.unconsumed.get(origin);
  if (unconsumed) unconsumed.cost += cost(bytes);
}

/**
 * The application took a message with a payload of `bytes`.
 *
 * @param {Core} core
 * @param {MemberId} origin
 * @param {number} bytes
 */
export function consumed(core, origin, bytes) {
  const unconsumed = core.unconsumed.get(origin);
  if (!unconsumed) return;
  unconsumed.cost = Math.max(0, unconsumed.cost - cost(bytes));
  grant(core, unconsumed.link);
}
