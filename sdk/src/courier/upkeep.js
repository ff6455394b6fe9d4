// @ts-check
/**
 * What is kept of streams, for whom, and when it is let go of.
 *
 * @module
 */

import { CACHE_BYTES, CACHE_OWN, CACHE_TOTAL, FIN_GRACE, STALL_LINKING, STALL_OPEN, SWEEP_EVERY } from "../limits.js";
import { doubtRoute, retireRoute } from "./addressed.js";
import { pushes } from "./core.js";
import { settleBeginnings, toldOfDeparted } from "./greeting.js";
import { fillOwn } from "./own.js";
import { grant } from "./receive.js";
import { lookForRescue } from "./rescue.js";
import { dropStrangers, forgetProofs } from "./trust.js";

/** @import {MemberId} from "../id.js" */
/** @import {Core, Position} from "./core.js" */
/** @import {Stream} from "./stream.js" */

/**
 * A member is gone: what a survivor has of its stream the others get, and then it is forgotten.
 *
 * @param {Core} core
 * @param {MemberId} id
 */
export function gone(core, id) {
  const s = core.stream({ origin: id }, "room");
  if (s === undefined || s === core.own) return;
  core.streams.at(s).forgetAt = core.now + FIN_GRACE;
  for (const at of core.links.places()) {
    const link = core.links.at(at);
    if (link.peer === id || !link.open) continue;
    link.tell(s, core.now);
    core.list(at);
  }
  core.sweepBy(core.now + FIN_GRACE);
}

/**
 * Forgets a member that is gone at once. Gives the tickets of messages to it that were not taken yet.
 *
 * @param {Core} core
 * @param {MemberId} id
 */
export function forget(core, id) {
  /** @type {Position} */
  const position = {};
  /** @type {number[]} */
  const unsent = [];
  /** @type {[number, number][]} */
  let theirs = [];
  for (const name of [{ origin: id }, { origin: id, to: core.id }, { origin: core.id, to: id }]) {
    const s = core.known(name);
    if (s === undefined || s === core.own) continue;
    const stream = core.streams.at(s);
    if (stream.kind === "room") {
      position.room = stream.window.next ?? stream.first;
      theirs = core.links.places().map((at) => [at, core.links.at(at).endsOf(s).theirs]);
    } else if (stream.kind === "received") position.received = stream.window.next;
    else position.sent = stream.log.next;
    unsent.push(...stream.waiting.clear());
    dropStream(core, s);
  }
  core.unconsumed.delete(id);
  core.expected.delete(id);
  core.signing?.keys.delete(id);
  if (!core.departed.has(id)) {
    core.depart(id, position);
    for (const [at, next] of theirs) toldOfDeparted(core, at, id, undefined, next);
  }
  settleBeginnings(core);
  fillOwn(core);
  return unsent;
}

/**
 * Looks after caches, laggards, lost routes and streams of those who went.
 *
 * @param {Core} core
 */
export function sweep(core) {
  core.sweepAt = undefined;
  const cached = core.streams.things().filter(({ log }) => !log.isEmpty).length;
  core.share = Math.min(CACHE_BYTES, Math.floor(CACHE_TOTAL / Math.max(cached, 1)));
  for (const s of core.streams.places()) {
    const stream = core.streams.get(s);
    if (!stream) continue;
    // Somebody who was gone before this member came, of whom others had not forgotten everything.
    const stranger = core.namesMembers && stream.kind === "room" && !stream.isNamed;
    if ((stream.forgetAt !== undefined && stream.forgetAt <= core.now) || (stranger && !stream.isActive(core.now))) {
      forget(core, stream.id.origin);
      continue;
    }
    dropStrangers(core, s);
    passOverLaggards(core, s);
    trim(core, s);
    doubtRoute(core, s);
    retireRoute(core, s);
    // A route may have been retired.
    if (core.streams.get(s)) lookForRescue(core, s);
  }
  for (const [peer, expected] of core.expected) {
    if (expected?.until !== undefined && expected.until <= core.now) core.expected.delete(peer);
  }
  fillOwn(core);
  const isKept = (/** @type {Stream} */ { kind, log, forgetAt, rescue }) =>
    !log.isEmpty || forgetAt !== undefined || rescue !== undefined || kind === "passing";
  if (core.streams.things().some(isKept)) {
    core.sweepBy(core.now + SWEEP_EVERY);
  }
}

/**
 * @param {Core} core
 * @param {number} s
 */
export function dropStream(core, s) {
  const stream = core.streams.remove(s);
  if (!stream) return;
  core.disown(stream.id);
  forgetProofs(core, s);
  core.laden.delete(s);
  if (stream.repair) core.repairs.delete(stream.repair.due, s);
  for (const link of core.links.things()) link.forget(s);
  if (stream.parent !== undefined) grant(core, stream.parent);
}

/**
 * Lets go of what everybody has whom it is pushed to: of a room's stream as far as it is too old or too much, of an
 * addressed one at once.
 *
 * @param {Core} core
 * @param {number} s
 */
export function trim(core, s) {
  const stream = core.streams.at(s);
  if (stream.kind !== "received") {
    let floor = Infinity;
    for (let at = 0; at < core.links.end; at++) {
      const link = core.links.get(at);
      if (!link || !pushes(core, at, s)) continue;
      const ends = link.endsOf(s);
      if (!ends.passedOver) floor = Math.min(floor, ends.theirs);
    }
    if (stream.isOfRoom) {
      if (stream.kind === "own") {
        for (const expected of core.expected.values()) floor = Math.min(floor, expected?.from ?? Infinity);
      }
      stream.log.trim(floor, stream.kind === "own" ? CACHE_OWN : core.share, core.now);
    } else {
      stream.log.trimTo(floor === Infinity ? 0 : floor);
    }
  }
  stream.proofs.trim(stream.log.first);
  weigh(core, s);
}

/**
 * Whoever has not got on for too long holds a stream back no longer.
 *
 * @param {Core} core
 * @param {number} s
 */
export function passOverLaggards(core, s) {
  const stream = core.streams.at(s);
  const { first } = stream.log;
  const full = stream.kind === "own" ? !stream.waiting.isEmpty : stream.kind === "room" && stream.log.overhang(core.share) > 0;
  if (!full) return;
  for (const at of core.links.places()) {
    const link = core.links.at(at);
    const { theirs, moved, passedOver } = link.endsOf(s);
    if (theirs > first || passedOver || !pushes(core, at, s)) continue;
    const patience = moved + STALL_OPEN;
    if (link.suspect || patience <= core.now) link.ends(s).passedOver = true;
    else core.sweepBy(patience);
  }
  if (stream.kind !== "own") return;
  for (const [peer, expected] of core.expected) {
    if (!expected || expected.from > first) continue;
    const patience = expected.since + STALL_LINKING;
    if (patience <= core.now) core.expected.set(peer, undefined);
    else core.sweepBy(patience);
  }
}

/**
 * Notes whether a stream holds back whoever sends it, and lets that one know.
 *
 * @param {Core} core
 * @param {number} s
 */
export function weigh(core, s) {
  const wasHeavy = core.laden.has(s);
  if (weight(core, s) > 0) core.laden.add(s);
  else if (wasHeavy) core.laden.delete(s);
  const { parent } = core.streams.at(s);
  if (wasHeavy && parent !== undefined) grant(core, parent);
}

/**
 * What a stream keeps that has yet to go on, of what its parent sent.
 *
 * @param {Core} core
 * @param {number} s
 */
export function weight(core, s) {
  const { kind, log } = core.streams.at(s);
  if (kind === "room") return log.overhang(core.share);
  return kind === "passing" ? log.bytes : 0;
}
