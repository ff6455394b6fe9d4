// @ts-check
/**
 * HELLO: what the two ends of a link tell each other first, and what a newcomer learns from it of where streams begin.
 *
 * @module
 */

import { VERSION } from "../frame.js";
import { ANNOUNCE_DELAY, GAP_PATIENCE, HOLDINGS_MAX } from "../limits.js";
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
/** @import {StreamKind} from "./stream.js" */

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
    const first = stream.hasBegun ? offered(core, link, s) : undefined;
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
 * @param {number} s
 */
function offered(core, { peer, offerFrom }, s) {
  const { kind, id, log, next } = core.streams.at(s);
  const since = () => (offerFrom === undefined ? log.first : log.firstSince(offerFrom));
  switch (kind) {
    case "own":
      return Math.max(core.expected.get(peer)?.from ?? since(), 1);
    case "room":
      // Whoever is not told of a stream knows that it has yet to begin. Of one that others have heard of, and this member has
      // not, somebody else must say where it begins.
      return next <= 1 && !isHeardOf(core, s) ? undefined : since();
    case "sent":
      return id.to === peer ? log.first : undefined;
    case "received":
      return id.origin === peer ? next : undefined;
    case "passing":
      return undefined;
  }
}

/**
 * Whether a neighbour has some of a stream.
 *
 * @param {Core} core
 * @param {number} s
 */
function isHeardOf(core, s) {
  return core.links.things().some((link) => link.endsOf(s).theirs > 1);
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
  for (const stream of core.streams.things()) if (stream.kind === "room" && !stream.hasBegun) stream.begin();
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
  const owed = core.expected.get(peer);
  if (owed && core.plan.relayed) {
    core.expected.delete(peer);
    // It never had a link while it was owed this, and nobody else may have kept all of it.
    link.ends(core.own).wanted = true;
  } else if (owed) {
    core.expected.set(peer, undefined);
  }
  core.events.push({ type: "open", peer });
  const to = core.known({ origin: self, to: peer });
  if (to !== undefined) {
    const stream = core.streams.at(to);
    stream.toward = at;
    stream.bereft = false;
    stream.route = [];
    const ends = link.ends(to);
    // It may be newer than this end's HELLO.
    ends.cursor = Math.max(ends.cursor, stream.log.first);
    ends.moved = now;
  }
  // Caches may have let go of what there was when this member entered.
  const isLate = core.metAt !== undefined && now - core.metAt > GAP_PATIENCE;
  for (const { stream: id, first, next } of holdings) {
    if (first > next) throw neverSent();
    const kind = kindOf(core, id, peer);
    // Of a stream that has yet to begin, its first chunk will tell.
    if (kind && next <= 1 && core.isToBegin(id, kind)) continue;
    const s = kind && core.stream(id, kind);
    if (s === undefined) {
      if (kind === "room") toldOfDeparted(core, at, id.origin, offers(link, id, first, next), next);
      continue;
    }
    const stream = core.streams.at(s);
    if (stream.isOwn && next > stream.next) throw neverSent();
    const ends = link.ends(s);
    ends.offered = first;
    const isOrigin = kind === "room" && id.origin === peer;
    if (kind === "room" && link.vouches && !isOrigin && next > 1) stream.offer(first, isLate);
    if (kind === "received") {
      stream.parent = at;
      lost(core, s, stream.start(first));
      continue;
    }
    ends.has(next, now);
    ends.cursor = next;
    // An origin knows best where it begins.
    if (isOrigin && !stream.hasBegun) stream.start(first);
    else if (isOrigin && stream.isUntouched && first > stream.next) {
      // In a mesh it has kept what it owes; else it may have let go of that, and what the hub has yet to tell of begins with its
      // first chunk.
      if (!core.plan.relayed || (stream.isNamed && stream.mayBeginAt(first))) stream.beginAt(first);
    }
  }
  if (link.vouches && isSure) vouchedBy(core, at);
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
  for (const { stream: id, first, next } of holdings) {
    if (id.to !== undefined) continue;
    const s = core.stream(id, "room");
    if (s === undefined) {
      toldOfDeparted(core, at, id.origin, offers(link, id, first, next), next);
      continue;
    }
    link.ends(s).offered = first;
    if (link.vouches && next > 1) core.streams.at(s).offer(first, true);
  }
  if (link.vouches) vouchedBy(core, at);
}

/**
 * From where on somebody who was here before offers a stream that is not its own, and has some of it.
 *
 * @param {Link} link
 * @param {StreamId} id
 * @param {number} first
 * @param {number} next
 */
function offers(link, { origin }, first, next) {
  return link.vouches && origin !== link.peer && next > 1 ? first : undefined;
}

/**
 * The other end of a link has everything below `next` of the stream of a member that went, and offers it from `first` on.
 *
 * @param {Core} core
 * @param {number} at
 * @param {MemberId} origin
 * @param {number | undefined} first
 * @param {number} next
 */
export function toldOfDeparted(core, at, origin, first, next) {
  const position = core.departed.get(origin);
  if (!position) return;
  if (first !== undefined) position.offered = Math.min(position.offered ?? first, first);
  const { departed } = core.links.at(at);
  departed.set(origin, Math.max(departed.get(origin) ?? 0, next));
}

/**
 * Others have told of the stream of a member that had gone: what they have of it is wanted now.
 *
 * @param {Core} core
 * @param {number} s
 */
export function askForDeparted(core, s) {
  const { origin } = core.streams.at(s).id;
  for (const at of core.links.places()) {
    const link = core.links.at(at);
    const theirs = link.departed.get(origin);
    if (theirs === undefined) continue;
    link.departed.delete(origin);
    link.ends(s).has(theirs, core.now);
    const stream = core.streams.at(s);
    if (stream.hasBegun && theirs > stream.next) want(core, at, s, theirs);
  }
}

/**
 * Members pass on what others say from now on: where streams begin, that no origin has said, those know who were here before.
 *
 * @param {Core} core
 */
export function learnBeginnings(core) {
  const elder = core.links.places().find((at) => {
    const link = core.links.at(at);
    return link.vouches && link.open && !link.isUnsure;
  });
  if (core.vouched) beginUnknown(core);
  else if (elder !== undefined) vouchedBy(core, elder);
}

/**
 * Somebody who was here before, and knows where streams begin, said so in its HELLO.
 *
 * @param {Core} core
 * @param {number} at
 */
function vouchedBy(core, at) {
  if (core.vouched || !core.plan.relayed) return;
  const link = core.links.at(at);
  for (const s of core.streams.places()) {
    const stream = core.streams.at(s);
    const isKnown = stream.offered !== undefined || link.endsOf(s).offered > 0;
    if (stream.kind === "room" && !stream.hasBegun && isKnown) stream.meet();
  }
  beginUnknown(core);
  for (const s of core.streams.places()) {
    const { theirs } = link.endsOf(s);
    const stream = core.streams.at(s);
    if (stream.kind === "room" && theirs > stream.next) want(core, at, s, theirs);
  }
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
