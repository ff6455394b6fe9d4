// @ts-check
/**
 * What is said to one member only, by way of others where there is no link to it.
 *
 * A route is named by its origin, link by link: ROUTE tells the next member to whom it passes the stream on, and the rest
 * of the way. Each keeps what the next has not acknowledged, and acknowledges no more than that: so the origin knows what
 * has arrived, and says the rest again where a route breaks.
 *
 * @module
 */

import { ACK_DELAY, ROUTE_CHUNKS, ROUTE_PATIENCE, SWEEP_EVERY } from "../limits.js";
import { neverSent } from "./error.js";
import { fill } from "./own.js";
import { lost } from "./receive.js";
import { spread } from "./send.js";
import { keepProof, unseal } from "./trust.js";
import { dropStream, trim, weigh } from "./upkeep.js";

/** @import {Ack, Data, Stream as StreamId} from "../frame.js" */
/** @import {MemberId} from "../id.js" */
/** @import {Core} from "./core.js" */

/**
 * Members that what is said to `to` is passed on by, one after another; `to` is the last. False where there is no link to
 * the first.
 *
 * @param {Core} core
 * @param {MemberId} to
 * @param {MemberId[]} path
 */
export function route(core, to, [first, ...rest]) {
  const at = core.byPeer.get(first);
  if (at === undefined || !core.links.at(at).open) return false;
  const s = core.stream({ origin: core.id, to }, "sent");
  if (s === undefined) return false;
  const [stream, link] = [core.streams.at(s), core.links.at(at)];
  const cursor = stream.log.first;
  stream.toward = at;
  stream.bereft = false;
  stream.route = rest;
  const ends = link.ends(s);
  ends.routed = false;
  ends.theirs = cursor;
  ends.cursor = cursor;
  ends.moved = core.now;
  ends.proved = 0;
  unseal(core, s);
  if (cursor < stream.log.next) {
    link.ready(s);
    core.list(at);
  }
  return true;
}

/**
 * The stream to a member, which begins when something is said to it: most members say nothing to most others.
 *
 * @param {Core} core
 * @param {MemberId} to
 */
export function addressedTo(core, to) {
  const id = { origin: core.id, to };
  const known = core.known(id);
  if (known !== undefined) return known;
  const s = core.stream(id, "sent");
  if (s !== undefined) route(core, to, [to]);
  return s;
}

/**
 * Something is to go to a member to whom there is no way.
 *
 * @param {Core} core
 * @param {number} s
 */
export function wantRoute(core, s) {
  const stream = core.streams.at(s);
  const { to } = stream.id;
  if (stream.kind !== "sent" || stream.toward !== undefined || to === undefined) return;
  if (stream.log.isEmpty || stream.bereft) return;
  stream.bereft = true;
  core.events.push({ type: "unroutable", to });
}

/**
 * A route over others on which nothing has arrived for too long is no good.
 *
 * @param {Core} core
 * @param {number} s
 */
export function doubtRoute(core, s) {
  const stream = core.streams.at(s);
  if (stream.toward === undefined || stream.kind !== "sent" || stream.route.length === 0) return;
  const { moved } = core.links.at(stream.toward).endsOf(s);
  if (stream.log.isEmpty || core.now - moved < ROUTE_PATIENCE) return;
  stream.toward = undefined;
  wantRoute(core, s);
}

/**
 * What is passed on here and has long been silent makes room for others. Where there is more of it its origin asks for a way
 * again.
 *
 * @param {Core} core
 * @param {number} s
 */
export function retireRoute(core, s) {
  const stream = core.streams.at(s);
  if (stream.kind === "passing" && !stream.isActive(core.now)) breakRoute(core, s);
}

/**
 * A link is gone, and with it the ways that went over it.
 *
 * @param {Core} core
 * @param {number} at
 */
export function loseRoutes(core, at) {
  for (const s of core.streams.places()) {
    const stream = core.streams.at(s);
    if (stream.kind === "sent" && stream.toward === at) {
      stream.toward = undefined;
      wantRoute(core, s);
    } else if (stream.kind === "passing" && stream.toward === at) {
      breakRoute(core, s);
    } else if (stream.kind === "passing" && stream.parent === at) {
      dropStream(core, s);
    }
  }
}

/**
 * What is passed on here cannot be any more: whoever sent it is told.
 *
 * @param {Core} core
 * @param {number} s
 */
function breakRoute(core, s) {
  const { id, parent } = core.streams.at(s);
  const link = parent === undefined ? undefined : core.links.get(parent);
  if (link && parent !== undefined) {
    link.control.push({ type: "broken", stream: id });
    core.list(parent);
  }
  dropStream(core, s);
}

/**
 * The other end of a link wants an addressed stream passed on, or begins to say something to this member.
 *
 * @param {Core} core
 * @param {number} at
 * @param {StreamId} id
 * @param {number} first
 * @param {MemberId[]} path
 */
export function routed(core, at, id, first, path) {
  if (id.to === undefined || id.origin === core.id) return;
  if (id.to === core.id) {
    const s = core.stream(id, "received");
    if (s === undefined) return;
    const stream = core.streams.at(s);
    const gap = stream.start(first);
    stream.parent = at;
    lost(core, s, gap);
    core.links.at(at).tell(s, core.now + ACK_DELAY);
    return;
  }
  const old = core.known(id);
  if (old !== undefined) dropStream(core, old);
  const toward = path.length === 0 ? undefined : core.byPeer.get(path[0]);
  const fit = toward !== undefined && toward !== at && core.links.at(toward).open;
  const s = fit ? core.stream(id, "passing") : undefined;
  if (toward === undefined || s === undefined) {
    core.links.at(at).control.push({ type: "broken", stream: id });
    core.list(at);
    return;
  }
  const stream = core.streams.at(s);
  first = Math.max(first, 1);
  stream.log.restart(first);
  stream.parent = at;
  stream.toward = toward;
  stream.route = path.slice(1);
  const ends = core.links.at(toward).ends(s);
  ends.theirs = first;
  ends.cursor = first;
  core.sweepBy(core.now + SWEEP_EVERY);
}

/**
 * A member on the way cannot pass a stream on.
 *
 * @param {Core} core
 * @param {number} at
 * @param {StreamId} id
 */
export function broken(core, at, id) {
  const s = core.known(id);
  if (s === undefined) return;
  const stream = core.streams.at(s);
  if (stream.toward !== at) return;
  if (stream.kind === "sent") {
    stream.toward = undefined;
    wantRoute(core, s);
  } else {
    breakRoute(core, s);
  }
}

/**
 * The other end has so much of addressed streams, or whoever it passes them on to.
 *
 * @param {Core} core
 * @param {number} at
 * @param {Ack} ack
 */
export function acknowledged(core, at, ack) {
  const s = core.known(ack.stream);
  if (s === undefined) return;
  const stream = core.streams.at(s);
  if (stream.toward !== at) return;
  if (stream.isOwn && ack.next > stream.next) throw neverSent();
  const link = core.links.at(at);
  // The addressee may have more than was passed on here, from an earlier way.
  if (!link.ends(s).has(Math.min(ack.next, stream.next), core.now)) return;
  trim(core, s);
  if (stream.parent !== undefined) {
    core.links.at(stream.parent).tell(s, core.now + ACK_DELAY);
    core.list(stream.parent);
  }
  // What is under way over others is bounded: there is room again.
  link.ready(s);
  core.list(at);
  if (stream.kind === "sent") fill(core, s);
}

/**
 * A chunk that is to be passed on.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 * @param {Data} data
 * @param {Uint8Array} bytes its frame
 */
export function pass(core, at, s, data, bytes) {
  const stream = core.streams.at(s);
  if (stream.parent !== at || data.seq !== stream.log.next) return;
  keepProof(core, at, s, data.seq);
  if (stream.log.next - stream.log.first >= 2 * ROUTE_CHUNKS) {
    breakRoute(core, s);
    return;
  }
  stream.log.push(bytes, 0, core.now);
  stream.freshAt = core.now;
  spread(core, s);
  weigh(core, s);
}

/**
 * How far the addressee of a stream is, as far as is known here.
 *
 * @param {Core} core
 * @param {number} s
 */
export function arrived(core, s) {
  const stream = core.streams.at(s);
  if (stream.toward !== undefined && stream.kind === "passing") return core.links.at(stream.toward).endsOf(s).theirs;
  return stream.next;
}
