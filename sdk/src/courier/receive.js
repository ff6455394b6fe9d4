// @ts-check
/**
 * What comes over a link.
 *
 * @module
 */

import { FrameError, decodeFrame } from "../frame.js";
import { GRAFT_HEED, RECEIVE_WINDOW, SWEEP_EVERY } from "../limits.js";
import { acknowledged, broken, pass, routed } from "./addressed.js";
import { Distance, UNKNOWN } from "./distance.js";
import { LinkError, forged, helloOutOfPlace, neverSent } from "./error.js";
import { hello, helloAgain, toldOfDeparted } from "./greeting.js";
import { cost } from "./log.js";
import { fillOwn } from "./own.js";
import { acknowledge, prune, spread } from "./send.js";
import { differs, isAuthentic, keepProof, proofCame } from "./trust.js";
import { trim, weight } from "./upkeep.js";
import { adopt, ahead, askOn, evade, nearer, repaired, settleGap, tellCost, want } from "./ways.js";

/** @import {Data, Have, Stream as StreamId} from "../frame.js" */
/** @import {MemberId} from "../id.js" */
/** @import {Core} from "./core.js" */
/** @import {Came} from "./proof.js" */
/** @import {Accepted, Lost} from "./window.js" */

/**
 * Takes a frame of a link's reliable lane.
 *
 * @param {Core} core
 * @param {number} at
 * @param {Uint8Array} bytes
 * @throws {LinkError}
 */
export function take(core, at, bytes) {
  const frame = read(bytes);
  if (!core.links.at(at).open) {
    if (frame.type !== "hello") throw helloOutOfPlace();
    hello(core, at, frame.version, frame.credit, frame.epoch > 0, frame.holdings);
    return;
  }
  switch (frame.type) {
    case "data":
      return data(core, at, frame, bytes);
    case "have":
      for (const entry of frame.haves) have(core, at, entry);
      return undefined;
    case "ack":
      for (const ack of frame.acks) acknowledged(core, at, ack);
      return undefined;
    case "graft":
      return grafted(core, at, frame.origin, frame.next);
    case "prune":
      return pruned(core, at, frame.origin);
    case "skip":
      return skipped(core, at, frame.stream, frame.upto);
    case "route":
      return routed(core, at, frame.stream, frame.first, frame.path);
    case "broken":
      return broken(core, at, frame.stream);
    case "signed":
      return proofCame(core, at, frame, bytes);
    case "credit":
      core.links.at(at).credit = Math.max(core.links.at(at).credit, frame.total);
      return core.list(at);
    case "hello":
      return helloAgain(core, at, frame.epoch > 0, frame.holdings);
    default:
      throw helloOutOfPlace();
  }
}

/** @param {Uint8Array} bytes */
function read(bytes) {
  try {
    return decodeFrame(bytes);
  } catch (error) {
    throw error instanceof FrameError ? new LinkError(`bad_frame: ${error.message}`) : error;
  }
}

/**
 * @param {Core} core
 * @param {number} at
 * @param {Data} data
 * @param {Uint8Array} bytes its frame
 */
function data(core, at, data, bytes) {
  charge(core, at, bytes);
  const isOfRoom = data.stream.to === undefined;
  const s = isOfRoom ? core.stream(data.stream, "room") : core.known(data.stream);
  if (s !== undefined) {
    if (isOfRoom) core.links.at(at).ends(s).has(data.seq + 1, core.now);
    const stream = core.streams.at(s);
    // Its HELLO, before the room was a mesh, did not name it, as it had said nothing.
    const isUnheard = stream.kind === "room" && !stream.isNamed && !stream.hasBegun;
    if (isUnheard && core.links.at(at).peer === data.stream.origin && !core.plan.relayed) {
      stream.beginning = "anywhere";
      stream.begin();
    }
    const came = { data, frame: bytes };
    if (!isNews(core, at, s, data.seq)) {
      if (differs(core, s, data.seq, bytes)) throw forged();
      takeChunk(core, at, s, came);
    } else if (isAuthentic(core, at, s, came)) {
      takeChunk(core, at, s, came);
    }
  }
  grant(core, at);
}

/**
 * DATA and SIGNED are paid for.
 *
 * @param {Core} core
 * @param {number} at
 * @param {Uint8Array} frame
 * @throws {LinkError}
 */
export function charge(core, at, frame) {
  const link = core.links.at(at);
  link.received += cost(frame.length);
  if (link.received > link.granted) throw new LinkError("over_credit");
}

/**
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 * @param {number} seq
 */
function isNews(core, at, s, seq) {
  const stream = core.streams.at(s);
  switch (stream.kind) {
    case "own":
    case "sent":
      return false;
    case "room":
      return stream.begins() && seq >= stream.next;
    case "received":
      return stream.hasBegun && seq >= stream.next;
    case "passing":
      return stream.parent === at;
  }
}

/**
 * Takes a chunk that is its origin's, or of no use.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 * @param {Came} came
 * @throws {LinkError}
 */
export function takeChunk(core, at, s, { data, frame }) {
  switch (core.streams.at(s).kind) {
    case "own":
    case "room":
      return roomChunk(core, at, s, data, frame);
    case "received":
      return chunkForThis(core, at, s, data);
    case "passing":
      return pass(core, at, s, data, frame);
    case "sent":
      return undefined;
  }
}

/**
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 * @param {Data} data
 * @param {Uint8Array} bytes its frame
 */
function roomChunk(core, at, s, data, bytes) {
  const { seq } = data;
  const stream = core.streams.at(s);
  if (!stream.hasBegun) return;
  if (stream.isOwn || seq < stream.next) {
    core.counters.duplicates += 1;
    unwanted(core, at, s);
  } else if (seq > stream.next) {
    core.counters.early += 1;
    unwanted(core, at, s);
    want(core, at, s, seq + 1);
  } else {
    const accepted = stream.window.accept(data);
    core.counters.fresh += 1;
    keepProof(core, at, s, seq);
    stream.log.push(bytes, 0, core.now);
    stream.freshAt = core.now;
    stream.isUntouched = false;
    stream.gaveUp = false;
    cameBy(core, at, s);
    deliver(core, at, s, seq, accepted);
    spread(core, s, at);
    repaired(core, s);
    trim(core, s);
    core.sweepBy(core.now + SWEEP_EVERY);
  }
}

/**
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 * @param {Data} data
 */
function chunkForThis(core, at, s, data) {
  const { seq } = data;
  const stream = core.streams.at(s);
  if (stream.next === seq) {
    const accepted = stream.window.accept(data);
    core.counters.fresh += 1;
    deliver(core, at, s, seq, accepted);
  } else {
    core.counters.duplicates += 1;
  }
  stream.parent = at;
  acknowledge(core, at, s);
}

/**
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 * @param {number} seq
 * @param {Accepted} accepted
 */
function deliver(core, at, s, seq, accepted) {
  lost(core, s, accepted.lost);
  if (!accepted.message) return;
  const { head, payload } = accepted.message;
  const { id, far } = core.streams.at(s);
  const { hop } = far;
  let unconsumed = core.unconsumed.get(id.origin);
  if (!unconsumed) core.unconsumed.set(id.origin, (unconsumed = { cost: 0, link: 0 }));
  const old = unconsumed.link;
  unconsumed.link = at;
  // What the application has yet to take holds that link back no longer.
  if (old !== at) grant(core, old);
  core.events.push({ type: "message", origin: id.origin, addressed: id.to !== undefined, seq, hop, head, payload });
}

/**
 * A chunk that was missing came over a link: that is the way now, unless it was asked not to be.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function cameBy(core, at, s) {
  const stream = core.streams.at(s);
  const ends = core.links.at(at).ends(s);
  ends.ahead = 0;
  stream.bereft = false;
  const old = stream.parent;
  if (old !== at && !ends.pruned) {
    stream.parent = at;
    if (old !== undefined) prune(core, old, s);
  }
  measure(core, s);
}

/**
 * A stream is as far away as its parent says, and one link more.
 *
 * @param {Core} core
 * @param {number} s
 */
export function measure(core, s) {
  const stream = core.streams.at(s);
  if (stream.parent === undefined) return;
  const link = core.links.at(stream.parent);
  stream.far = link.farOver(s);
  stream.leaving = link.draining;
}

/**
 * The other end sends what is not missing. In a mesh nobody's way is better than the origin's own.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function unwanted(core, at, s) {
  const [stream, link] = [core.streams.at(s), core.links.at(at)];
  const direct = !core.plan.relayed && stream.id.origin === link.peer;
  if (!stream.isOwn && (direct || stream.parent === undefined) && !link.endsOf(s).pruned) {
    const old = stream.parent;
    stream.parent = at;
    if (old !== undefined && old !== at) prune(core, old, s);
    measure(core, s);
  }
  if (stream.parent !== at) prune(core, at, s);
}

/**
 * @param {Core} core
 * @param {number} at
 * @param {Have} have
 */
function have(core, at, { origin, next, hop, delayMs }) {
  const s = core.stream({ origin }, "room");
  if (s === undefined) {
    toldOfDeparted(core, at, origin, undefined, next);
    return;
  }
  const [stream, ends] = [core.streams.at(s), core.links.at(at).ends(s)];
  ends.far = new Distance(hop, delayMs);
  const gotOn = ends.has(next, core.now);
  if (stream.isOwn && next > stream.next) throw neverSent();
  if (stream.parent === at) {
    const before = stream.far;
    measure(core, s);
    tellCost(core, s);
    evade(core, s, before);
  }
  if (gotOn) {
    trim(core, s);
    core.list(at);
    if (stream.isOwn) fillOwn(core);
  }
  if (stream.isOwn) return;
  if (!stream.begins()) {
    core.sweepBy(core.now + SWEEP_EVERY);
    return;
  }
  if (next > stream.next) {
    if (stream.parent !== at) ahead(core, at, s);
    want(core, at, s, next);
  } else {
    ends.ahead = 0;
    nearer(core, at, s);
  }
}

/**
 * @param {Core} core
 * @param {number} at
 * @param {MemberId} origin
 * @param {number} next
 */
function grafted(core, at, origin, next) {
  const s = core.stream({ origin }, "room");
  if (s === undefined) return;
  const [stream, link] = [core.streams.at(s), core.links.at(at)];
  if (stream.isOwn && next > stream.next) throw neverSent();
  const ends = link.ends(s);
  ends.wanted = true;
  ends.has(next, core.now);
  // Whoever asks again for the same is impatient: it is on its way.
  if (ends.asked?.next !== next || ends.asked.at + GRAFT_HEED <= core.now) {
    ends.asked = { next, at: core.now };
    ends.cursor = ends.theirs;
    ends.moved = core.now;
    ends.proved = stream.kind === "own" ? stream.proofs.lastBelow(ends.theirs) : 0;
  }
  ends.told = UNKNOWN;
  link.ready(s);
  core.list(at);
  // Whom it came from has lost its own way.
  if (stream.parent !== at) return;
  stream.parent = undefined;
  stream.bereft = true;
  adopt(core, s, at);
}

/**
 * @param {Core} core
 * @param {number} at
 * @param {MemberId} origin
 */
function pruned(core, at, origin) {
  const s = core.stream({ origin }, "room");
  if (s === undefined) return;
  const ends = core.links.at(at).ends(s);
  ends.wanted = false;
  ends.asked = undefined;
  trim(core, s);
}

/**
 * The other end cannot supply chunks below `upto`; others may, of a stream to the room.
 *
 * @param {Core} core
 * @param {number} at
 * @param {StreamId} id
 * @param {number} upto
 */
function skipped(core, at, id, upto) {
  const s = core.known(id);
  if (s === undefined) return;
  const stream = core.streams.at(s);
  if (stream.kind === "room" && stream.hasBegun && upto > stream.next) {
    const ends = core.links.at(at).ends(s);
    ends.floor = upto;
    ends.has(upto, core.now);
    if (id.origin === core.links.at(at).peer) stream.lostBelow = Math.max(stream.lostBelow, upto);
    if (stream.parent === at) {
      stream.parent = undefined;
      stream.bereft = true;
    }
    // Where nobody else has it, it is lost in the end; until then this one is of no use.
    if (settleGap(core, s)) return;
    prune(core, at, s);
    // Whoever passed it on before the room became a mesh may have it still.
    if (!core.plan.relayed && stream.parent === undefined) adopt(core, s, at);
    want(core, at, s, upto);
    if (core.plan.relayed) askOn(core, s);
  } else if (stream.kind === "received") {
    lost(core, s, stream.start(upto));
    acknowledge(core, at, s);
  }
}

/**
 * Chunks below `upto` are not to be had. For a newcomer that had none yet the stream begins there.
 *
 * @param {Core} core
 * @param {number} s
 * @param {number} upto
 */
export function giveUpBelow(core, s, upto) {
  const stream = core.streams.at(s);
  if (stream.mayBeginAt(upto)) stream.beginAt(upto);
  else lost(core, s, stream.start(upto));
  spread(core, s);
}

/**
 * @param {Core} core
 * @param {number} s
 * @param {Lost | undefined} lost
 */
export function lost(core, s, lost) {
  if (!lost) return;
  const { from, to } = lost;
  core.counters.lost += to + 1 - from;
  const { origin, to: addressee } = core.streams.at(s).id;
  core.events.push({ type: "gap", origin, addressed: addressee !== undefined, from, to });
}

/**
 * Opens a link's window again once a quarter of it has been used up.
 *
 * @param {Core} core
 * @param {number} at
 */
export function grant(core, at) {
  const link = core.links.get(at);
  if (!link) return;
  const wide = link.granted + RECEIVE_WINDOW / 4;
  let total = link.received + RECEIVE_WINDOW;
  // Mostly it is too early whatever is held.
  if (total < wide) return;
  for (const s of core.laden) if (core.streams.at(s).parent === at) total -= weight(core, s);
  for (const { cost: held, link: last } of core.unconsumed.values()) if (last === at) total -= held;
  total = Math.max(0, total - link.unproved);
  if (total < wide) return;
  link.granted = total;
  link.control.retain(({ type }) => type !== "credit");
  link.control.push({ type: "credit", total });
  core.list(at);
}
