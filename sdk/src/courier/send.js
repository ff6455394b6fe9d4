// @ts-check
/**
 * What goes over a link.
 *
 * @module
 */

import { encodeFrame } from "../frame.js";
import { ACK_DELAY, ACK_EVERY, ANNOUNCE_DELAY, HOLDINGS_MAX, LEAVING_ANNOUNCE_DELAY, LINK_PAUSE, ROUTE_CHUNKS } from "../limits.js";
import { arrived } from "./addressed.js";
import { pushes } from "./core.js";
import { cost } from "./log.js";
import { dueProof, isProved, offer, prove, suppliedFrom } from "./trust.js";

/** @import {Ack, Frame, Have} from "../frame.js" */
/** @import {Core} from "./core.js" */

/**
 * The next frame for the other end of a link, as far as its credit and its send buffer allow.
 *
 * @param {Core} core
 * @param {number} at
 * @returns {Uint8Array | undefined}
 */
export function nextFrame(core, at) {
  const link = core.links.at(at);
  const control = link.control.shift() ?? (link.open ? news(core, at) : undefined);
  const frame = control ? encodeFrame(control) : link.open ? chunk(core, at) : undefined;
  if (frame) link.buffered += frame.length;
  return frame;
}

/**
 * How far this member is, where that is to be told now.
 *
 * @param {Core} core
 * @param {number} at
 * @returns {Frame | undefined}
 */
function news(core, at) {
  const link = core.links.at(at);
  if (link.tellAt === undefined || link.tellAt > core.now) return undefined;
  link.untold = 0;
  /** @type {Have[]} */
  const haves = [];
  /** @type {Ack[]} */
  const acks = [];
  for (const s of link.takeTelling(core.now)) {
    const stream = core.streams.at(s);
    const ends = link.ends(s);
    ends.inTelling = false;
    const acknowledges = stream.parent === at;
    if (!stream.isOfRoom) {
      if (acknowledges && stream.kind !== "sent") acks.push({ stream: stream.id, next: arrived(core, s) });
    } else if (stream.hasBegun && stream.next > 1) {
      // Whoever has as much, and is not waiting for an acknowledgement, need not be told.
      const isOrigin = link.peer === stream.id.origin;
      const next = acknowledges || isOrigin ? stream.next : offer(core, s);
      const isNews = ends.theirs < next || stream.claim.isNewsTo(ends.told);
      if (!acknowledges && !isNews) continue;
      ends.told = stream.claim;
      haves.push(stream.have(next));
    }
  }
  core.counters.told += haves.length;
  for (const part of parts(haves)) link.control.push({ type: "have", haves: part });
  for (const part of parts(acks)) link.control.push({ type: "ack", acks: part });
  return link.control.shift();
}

/**
 * As many of a list's entries as fit into a frame, one after another.
 *
 * @template Entry
 * @param {Entry[]} list
 */
function parts(list) {
  const count = Math.ceil(list.length / HOLDINGS_MAX);
  return Array.from({ length: count }, (_, n) => list.slice(n * HOLDINGS_MAX, (n + 1) * HOLDINGS_MAX));
}

/**
 * The next chunk of the streams that the other end is to be sent, which take turns.
 *
 * @param {Core} core
 * @param {number} at
 * @returns {Uint8Array | undefined}
 */
function chunk(core, at) {
  const link = core.links.at(at);
  for (;;) {
    if (link.buffered >= LINK_PAUSE) return undefined;
    const turn = link.firstReady;
    if (turn === undefined) return undefined;
    if (!hasMore(core, at, turn)) {
      prove(core, at, turn);
      link.dropReady();
      continue;
    }
    const s = firstSaid(core, at, turn);
    if (!hasChunk(core, at, s)) return showProof(core, at, s);
    const { log } = core.streams.at(s);
    const { cursor } = link.endsOf(s);
    // What comes before a chunk goes when the chunk can go: a laggard is told once of what it missed.
    const frame = log.chunk(Math.max(cursor, log.first))?.frame;
    if (!frame) return before(core, at, s, cursor);
    const price = cost(frame.length);
    if (link.spent + price > link.credit) return undefined;
    const first = before(core, at, s, cursor);
    if (first) return first;
    if (dueProof(core, at, s)) return showProof(core, at, s);
    link.spent += price;
    link.ends(s).cursor += 1;
    link.rotateReady();
    core.counters.pushed += 1;
    return frame;
  }
}

/**
 * What shows whose chunks are that come next, or came.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function showProof(core, at, s) {
  const proof = dueProof(core, at, s);
  const link = core.links.at(at);
  if (!proof || link.spent + cost(proof.frame.length) > link.credit) return undefined;
  link.spent += cost(proof.frame.length);
  link.ends(s).proved = proof.first;
  return proof.frame;
}

/**
 * Whether there is something of a stream to push.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function hasMore(core, at, s) {
  if (!core.streams.get(s) || !pushes(core, at, s)) return false;
  return hasChunk(core, at, s) || dueProof(core, at, s) !== undefined;
}

/**
 * Whether there is a chunk of a stream that is pushed here.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function hasChunk(core, at, s) {
  const stream = core.streams.at(s);
  const { cursor, theirs } = core.links.at(at).endsOf(s);
  if (Math.max(cursor, 1) >= stream.next || !isProved(core, s, cursor)) return false;
  // Whoever passes it on keeps it until it has arrived.
  return stream.isOfRoom || stream.route.length === 0 || cursor - theirs < ROUTE_CHUNKS;
}

/**
 * Of what this member says to the room and what it says to the other end only, that which it said first.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function firstSaid(core, at, s) {
  const { kind, id } = core.streams.at(s);
  if (kind !== "own" && kind !== "sent") return s;
  const { peer } = core.links.at(at);
  let other;
  if (kind === "own") other = core.known({ origin: core.id, to: peer });
  else if (id.to === peer) other = core.own;
  if (other === undefined || !hasMore(core, at, other)) return s;
  return stamp(core, at, other) < stamp(core, at, s) ? other : s;
}

/**
 * When the next chunk of one's own stream was said.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function stamp(core, at, s) {
  return core.streams.at(s).log.chunk(core.links.at(at).endsOf(s).cursor)?.stamp ?? 0;
}

/**
 * What the other end must know before it gets a chunk.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 * @param {number} cursor
 */
function before(core, at, s, cursor) {
  const [stream, ends] = [core.streams.at(s), core.links.at(at).ends(s)];
  const { kind, id, claim } = stream;
  if (!ends.routed && (kind === "sent" || kind === "passing")) {
    ends.routed = true;
    return encodeFrame({ type: "route", stream: id, first: cursor, path: stream.route });
  }
  const from = suppliedFrom(core, s, cursor);
  if (cursor < from) {
    ends.cursor = from;
    return encodeFrame({ type: "skip", stream: id, upto: from });
  }
  const tells = kind === "room" || (kind === "own" && core.plan.relayed);
  if (!tells || !claim.isKnown || !claim.isNewsTo(ends.told)) return undefined;
  ends.told = claim;
  core.counters.told += 1;
  return encodeFrame({ type: "have", haves: [stream.have(cursor)] });
}

/**
 * A stream has grown: whoever is to be sent it is, the others are told, and `from` gets its acknowledgement.
 *
 * @param {Core} core
 * @param {number} s
 * @param {number} [from]
 */
export function spread(core, s, from) {
  const stream = core.streams.at(s);
  const { next, claim, leaving } = stream;
  const announced = core.plan.relayed && stream.isOfRoom;
  for (let at = 0; at < core.links.end; at++) {
    const link = core.links.get(at);
    if (!link?.open) continue;
    const { theirs, cursor, told } = link.endsOf(s);
    if (from === at) {
      acknowledge(core, at, s);
    } else if (pushes(core, at, s)) {
      if (cursor >= next) continue;
      if (theirs + 1 >= next) link.ends(s).moved = core.now;
      link.ready(s);
      core.list(at);
    } else if (announced && (theirs < next || claim.isNewsTo(told))) {
      if (leaving) link.tellLater(s, core.now + LEAVING_ANNOUNCE_DELAY);
      else link.tell(s, core.now + ANNOUNCE_DELAY);
    }
  }
}

/**
 * Something came over a link: that is told after a while, or at once where it is much.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
export function acknowledge(core, at, s) {
  // Along with what is announced to others.
  const gathered = core.plan.relayed && core.streams.at(s).kind === "room";
  const link = core.links.at(at);
  link.untold += 1;
  if (link.untold >= ACK_EVERY) {
    link.tell(s, core.now);
    core.list(at);
  } else {
    link.tell(s, core.now + (gathered ? ANNOUNCE_DELAY : ACK_DELAY));
  }
}

/**
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
export function graft(core, at, s) {
  const { id, next } = core.streams.at(s);
  const link = core.links.at(at);
  link.ends(s).pruned = false;
  link.control.push({ type: "graft", origin: id.origin, next });
  core.counters.grafts += 1;
  core.list(at);
}

/**
 * Streams of which nothing was said go over a link that is eager: those that have another way need not.
 *
 * @param {Core} core
 * @param {number} at
 */
export function decline(core, at) {
  const link = core.links.at(at);
  if (!core.plan.relayed || !link.eager || !link.open) return;
  for (const s of core.streams.places()) {
    const stream = core.streams.at(s);
    const hasWay = stream.kind === "room" && stream.parent !== undefined && stream.parent !== at;
    if (!hasWay || !stream.isActive(core.now)) continue;
    const ends = link.ends(s);
    if (ends.pruned) continue;
    ends.pruned = true;
    link.control.push({ type: "prune", origin: stream.id.origin });
    core.counters.prunes += 1;
  }
  core.list(at);
}

/**
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
export function prune(core, at, s) {
  const link = core.links.get(at);
  if (!link) return;
  const ends = link.ends(s);
  // Who sends it has it from somebody else.
  ends.wanted ??= false;
  if (ends.pruned) return;
  ends.pruned = true;
  link.control.push({ type: "prune", origin: core.streams.at(s).id.origin });
  core.counters.prunes += 1;
  core.list(at);
}
