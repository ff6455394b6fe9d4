// @ts-check
/**
 * HELLO: what the two ends of a link tell each other first, and what a newcomer learns from it of where streams begin.
 *
 * @module
 */

import { VERSION } from "../frame.js";
import { ANNOUNCE_DELAY, HOLDINGS_MAX } from "../limits.js";
import { pushes } from "./core.js";
import { ORIGIN } from "./distance.js";
import { LinkError, helloOutOfPlace, neverSent } from "./error.js";
import { fillOwn } from "./own.js";
import { lost, measure } from "./receive.js";
import { decline, prune } from "./send.js";
import { offer } from "./trust.js";
import { trim } from "./upkeep.js";
import { want } from "./ways.js";

/** @import {Frame, Holding, Stream as StreamId} from "../frame.js" */
/** @import {MemberId} from "../id.js" */
/** @import {Core} from "./core.js" */
/** @import {Link} from "./link.js" */
/** @import {Stream, StreamKind} from "./stream.js" */

/**
 * What this member has, and where it can begin to supply it.
 *
 * @param {Core} core
 * @param {number} at
 * @returns {Frame}
 */
export function greeting(core, at) {
  const link = core.links.at(at);
  /** @type {Holding[]} */
  const holdings = [];
  for (const s of core.streams.places()) {
    const stream = core.streams.at(s);
    const first = stream.hasBegun ? offered(core, link, stream) : undefined;
    if (first === undefined) continue;
    if (!link.open) link.ends(s).cursor = first;
    // Its origin is told what came, others what they can be given.
    const next = stream.id.origin === link.peer ? stream.next : Math.max(offer(core, s), first);
    holdings.push({ stream: stream.id, first, next });
  }
  // Where there are too many, the other end does not learn from this one where all streams begin.
  const isAll = holdings.length <= HOLDINGS_MAX;
  // What goes between the two goes no other way.
  if (!isAll) holdings.sort((a, b) => Number(a.stream.to === undefined) - Number(b.stream.to === undefined));
  const epoch = core.vouched && isAll ? Math.max(core.plan.epoch, 1) : 0;
  return { type: "hello", version: VERSION, epoch, credit: link.granted, holdings: holdings.slice(0, HOLDINGS_MAX) };
}

/**
 * The first chunk of a stream that is offered to a peer; undefined where the stream is none of its business.
 *
 * @param {Core} core
 * @param {Link} link
 * @param {Stream} stream
 */
function offered(core, { peer, offerFrom }, { kind, id, log, next }) {
  const since = () => (offerFrom === undefined ? log.first : log.firstSince(offerFrom));
  switch (kind) {
    case "own":
      return Math.max(core.expected.get(peer)?.from ?? since(), log.first);
    case "room":
      // Whoever is not told of a stream knows that it has yet to begin.
      return next <= 1 ? undefined : since();
    case "sent":
      return id.to === peer ? log.first : undefined;
    case "received":
      return id.origin === peer ? next : undefined;
    case "passing":
      return undefined;
  }
}

/**
 * Where all streams of earlier members have begun, it is known where streams begin.
 *
 * @param {Core} core
 */
export function settleBeginnings(core) {
  if (!core.metAll || core.vouched) return;
  const unknown = core.streams.things().some((stream) => stream.kind === "room" && !stream.hasBegun);
  if (!unknown) beginUnknown(core);
}

/**
 * It is known now where streams begin: those that have not been heard of begin with their first chunk. Whoever was told that
 * this member did not know is told again.
 *
 * @param {Core} core
 */
export function beginUnknown(core) {
  core.vouched = true;
  for (const stream of core.streams.things()) if (stream.kind === "room" && !stream.hasBegun) stream.start(1);
  for (const at of core.links.places()) {
    const link = core.links.at(at);
    if (link.vouchedFor) continue;
    link.vouchedFor = true;
    link.control.push(greeting(core, at));
    core.list(at);
  }
}

/**
 * The other end says how far it is, and what it can supply.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} version
 * @param {number} credit
 * @param {boolean} isSure whether it knows where streams begin
 * @param {Holding[]} holdings
 * @throws {import("./error.js").LinkError}
 */
export function hello(core, at, version, credit, isSure, holdings) {
  if (version !== VERSION) throw new LinkError(`bad_frame: version ${version}`);
  const { id: self, now } = core;
  const link = core.links.at(at);
  const { peer } = link;
  link.isUnsure = !isSure;
  link.open = true;
  link.opened = core.now;
  link.credit = credit;
  if (core.expected.has(peer)) core.expected.set(peer, undefined);
  core.events.push({ type: "open", peer });
  const to = core.known({ origin: self, to: peer });
  if (to !== undefined) {
    const stream = core.streams.at(to);
    stream.toward = at;
    stream.bereft = false;
    stream.route = [];
    const ends = link.ends(to);
    ends.routed = true;
    ends.moved = now;
  }
  for (const { stream: id, first, next } of holdings) {
    if (first > next) throw neverSent();
    const kind = kindOf(core, id, peer);
    const s = kind && core.stream(id, kind);
    if (s === undefined) continue;
    const stream = core.streams.at(s);
    if (stream.isOwn && next > stream.next) throw neverSent();
    const ends = link.ends(s);
    ends.offered = first;
    if (kind === "received") {
      stream.parent = at;
      lost(core, s, stream.start(first));
      continue;
    }
    ends.has(next, now);
    ends.cursor = next;
    // An origin knows best where it begins.
    if (kind === "room" && id.origin === peer && !stream.hasBegun) stream.start(first);
  }
  if (link.vouches && isSure) vouchedBy(core, at, holdings);
  settleBeginnings(core);
  greet(core, at);
  fillOwn(core);
}

/**
 * HELLO again: the other end has learned meanwhile where streams begin.
 *
 * @param {Core} core
 * @param {number} at
 * @param {boolean} isSure
 * @param {Holding[]} holdings
 * @throws {import("./error.js").LinkError}
 */
export function helloAgain(core, at, isSure, holdings) {
  const link = core.links.at(at);
  if (!isSure || !link.isUnsure) throw helloOutOfPlace();
  link.isUnsure = false;
  if (link.vouches) vouchedBy(core, at, holdings);
}

/**
 * Somebody who was here before, and knows where streams begin, says so.
 *
 * @param {Core} core
 * @param {number} at
 * @param {Holding[]} holdings
 */
function vouchedBy(core, at, holdings) {
  if (core.vouched) return;
  for (const { stream: id, first } of holdings) {
    const s = id.to === undefined ? core.stream(id, "room") : undefined;
    if (s !== undefined) meet(core.streams.at(s), first);
  }
  beginUnknown(core);
  const link = core.links.at(at);
  for (const s of core.streams.places()) {
    const { theirs } = link.endsOf(s);
    const stream = core.streams.at(s);
    if (stream.kind === "room" && theirs > stream.next) want(core, at, s, theirs);
  }
}

/**
 * A stream begins in the middle, unless it has begun already.
 *
 * @param {Stream} stream
 * @param {number} first
 */
function meet(stream, first) {
  if (stream.hasBegun) return;
  stream.start(first);
  stream.isUntouched = true;
}

/**
 * What a stream that a peer holds is to this member; undefined where it is none of both's business.
 *
 * @param {Core} core
 * @param {StreamId} id
 * @param {MemberId} peer
 * @returns {StreamKind | undefined}
 */
function kindOf(core, { origin, to }, peer) {
  if (to === undefined) return origin === core.id ? "own" : "room";
  if (origin === core.id && to === peer) return "sent";
  return origin === peer && to === core.id ? "received" : undefined;
}

/**
 * Both ends of a link know how far the other is: what one lacks begins to go over it.
 *
 * @param {Core} core
 * @param {number} at
 */
function greet(core, at) {
  const link = core.links.at(at);
  for (const s of core.streams.places()) {
    const stream = core.streams.at(s);
    const { theirs } = link.endsOf(s);
    if (pushes(core, at, s)) {
      // What was shown last may have been lost with the link before.
      link.ends(s).proved = 0;
      link.ends(s).moved = core.now;
      link.ready(s);
    } else if (stream.isOfRoom && core.plan.relayed && theirs < stream.next) {
      link.tell(s, core.now + ANNOUNCE_DELAY);
    }
    if (stream.kind !== "room") {
      trim(core, s);
      continue;
    }
    if (stream.hasBegun && theirs > stream.next) want(core, at, s, theirs);
    // In a mesh there is no better way than the origin's own.
    if (core.plan.relayed || stream.id.origin !== link.peer) continue;
    const old = stream.parent;
    stream.parent = at;
    if (old !== undefined && old !== at) prune(core, old, s);
    stream.bereft = false;
    link.ends(s).far = ORIGIN;
    measure(core, s);
  }
  decline(core, at);
  core.list(at);
}
