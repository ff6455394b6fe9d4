// @ts-check
/**
 * The ways that streams come by: mending them, and finding better ones.
 *
 * @module
 */

import { HOP_UNKNOWN } from "../frame.js";
import {
  AHEAD_COUNT, DRAIN_QUIET, GAP_PATIENCE, GAP_PATIENCE_MAX, GRAFT_AGAIN, IMPROVE_AFTER, IMPROVE_DOUBLINGS, STALL_OPEN,
} from "../limits.js";
import { pushes } from "./core.js";
import { giveUpBelow } from "./receive.js";
import { graft, prune } from "./send.js";

/** @import {MemberId} from "../id.js" */
/** @import {Core} from "./core.js" */
/** @import {Link} from "./link.js" */
/** @import {Repair, Stream} from "./stream.js" */

/**
 * The other end of a link has everything below `upto`, and that is more than there is here.
 *
 * Where the stream has a way it is given time: what is missing is probably about to come by it.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 * @param {number} upto
 */
export function want(core, at, s, upto) {
  const { now } = core;
  const [stream, link] = [core.streams.at(s), core.links.at(at)];
  const way = hasWay(core, stream);
  // Whoever was asked for a part of it was asked for all of it.
  if (stream.repair && (way || stream.repair.asked.length > 0)) return;
  if (way) {
    repair(core, s, { upto, since: now, due: now + core.lateness.patience, asked: [] });
  } else if (link.isSound && link.endsOf(s).floor <= stream.next) {
    graft(core, at, s);
    repair(core, s, { upto, since: now, due: now + GRAFT_AGAIN, asked: [at] });
  } else {
    repair(core, s, { upto, since: now, due: now, asked: [] });
  }
}

/**
 * Whether a stream has a parent, or is so new that it may yet come along the eager links.
 *
 * @param {Core} core
 * @param {Stream} stream
 */
function hasWay(core, stream) {
  if (stream.parent !== undefined) return !core.links.at(stream.parent).suspect;
  return !stream.bereft && core.links.things().some((link) => link.eager && link.isSound);
}

/**
 * @param {Core} core
 * @param {number} s
 * @param {Repair} repair
 */
function repair(core, s, repair) {
  dropRepair(core, s);
  core.streams.at(s).repair = repair;
  core.repairs.add(repair.due, s);
}

/**
 * @param {Core} core
 * @param {number} s
 */
function dropRepair(core, s) {
  const stream = core.streams.at(s);
  if (!stream.repair) return;
  core.repairs.delete(stream.repair.due, s);
  stream.repair = undefined;
}

/**
 * Chunks came: whatever was waited for may be there.
 *
 * @param {Core} core
 * @param {number} s
 */
export function repaired(core, s) {
  const { now } = core;
  const stream = core.streams.at(s);
  const { repair: old, next } = stream;
  if (!old || old.upto > next) return;
  dropRepair(core, s);
  core.lateness.sample(Math.max(0, now - old.since));
  // Others may have got on meanwhile.
  let upto = 0;
  for (const link of core.links.things()) if (link.isSound) upto = Math.max(upto, link.endsOf(s).theirs);
  if (upto > next) repair(core, s, { upto, since: now, due: now + core.lateness.patience, asked: [] });
}

/**
 * What is missing has not come in time: somebody else who has it is asked, the nearest to the origin first.
 *
 * @param {Core} core
 * @param {number} s
 */
export function repairDue(core, s) {
  const stream = core.streams.at(s);
  const { repair: due, next } = stream;
  if (!due) return;
  dropRepair(core, s);
  const holders = core.links.places().filter((at) => {
    const link = core.links.at(at);
    const { theirs, floor } = link.endsOf(s);
    return link.isSound && theirs > next && floor <= next;
  });
  if (holders.every((at) => due.asked.includes(at))) due.asked = [];
  /** @type {number | undefined} */
  let nearest;
  let least = Infinity;
  for (const at of holders) {
    const { hop } = core.links.at(at).endsOf(s);
    if (hop < least && !due.asked.includes(at)) [nearest, least] = [at, hop];
  }
  if (nearest === undefined) {
    due.due = core.now + GRAFT_AGAIN;
    repair(core, s, due);
    settleGap(core, s);
    return;
  }
  graft(core, nearest, s);
  due.asked.push(nearest);
  due.due = core.now + GRAFT_AGAIN;
  repair(core, s, due);
}

/**
 * Where all who have more lack what is missing here, nobody has it any more. Gives whether that is so.
 *
 * @param {Core} core
 * @param {number} s
 */
export function settleGap(core, s) {
  const stream = core.streams.at(s);
  const { next } = stream;
  // In a mesh an origin keeps what it owes until it can send it, whatever others have let go.
  const originMay = !core.plan.relayed && stream.forgetAt === undefined;
  const originLacks = (/** @type {Link} */ link) => link.peer === stream.id.origin && link.endsOf(s).floor > next;
  if (originMay && !core.links.things().some(originLacks)) return false;
  // Somebody may have it to whom there will be a link: whoever has left its neighbours behind gets others.
  const since = stream.repair?.since ?? core.now;
  // So may a neighbour that is no farther itself.
  const hopeful = core.hopeful || core.links.things().some((link) => link.isSound && link.endsOf(s).floor <= next);
  const patience = hopeful ? GAP_PATIENCE_MAX : GAP_PATIENCE;
  const patient = core.plan.relayed && !stream.gaveUp && core.now < since + patience;
  // Where a stream begins for a newcomer those know who were here before: who lacks it came too late for that.
  const late = stream.isUntouched && core.links.things().some((link) => link.vouches && link.endsOf(s).floor > next);
  // Of somebody who is gone, what nobody brings in time is lost without further ado.
  if (!late && (patient || stream.forgetAt !== undefined)) return false;
  let least = Infinity;
  for (const at of core.links.places()) {
    const link = core.links.at(at);
    const { theirs, floor } = link.endsOf(s);
    // The parent may be about to bring it.
    if (link.open && (theirs > next || (core.plan.relayed && stream.parent === at))) least = Math.min(least, floor);
  }
  if (least === Infinity || least <= next) return false;
  stream.gaveUp = true;
  giveUpBelow(core, s, least);
  dropRepair(core, s);
  for (const at of core.links.places()) {
    const link = core.links.at(at);
    const { theirs } = link.endsOf(s);
    if (!link.isSound || theirs <= stream.next) continue;
    want(core, at, s, theirs);
    break;
  }
  return true;
}

/**
 * A link is gone or silent: what came by it must come by another.
 *
 * @param {Core} core
 * @param {number} at
 */
export function bereave(core, at) {
  for (const s of core.streams.places()) if (core.streams.at(s).parent === at) orphan(core, at, s);
}

/**
 * A stream has lost its parent.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function orphan(core, at, s) {
  const stream = core.streams.at(s);
  stream.parent = undefined;
  stream.bereft = true;
  if (stream.kind === "room" && stream.isActive(core.now)) adopt(core, s, at);
}

/**
 * Whether somebody else has what this member has of a stream, not from here, so that what follows can come from there.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function hasOtherWay(core, at, s) {
  const { next } = core.streams.at(s);
  return core.links.places().some((other) => {
    const link = core.links.at(other);
    const { theirs, floor } = link.endsOf(s);
    const stays = other !== at && link.isSound && !link.draining;
    return stays && theirs >= next && floor <= next && !pushes(core, other, s);
  });
}

/**
 * A link is to go; gives whether it is of use still.
 *
 * @param {Core} core
 * @param {number} at
 */
export function drain(core, at) {
  const link = core.links.at(at);
  link.draining = true;
  let isUsed = false;
  for (const s of core.streams.places()) {
    const stream = core.streams.at(s);
    const { theirs, moved, passedOver } = link.endsOf(s);
    if (stream.kind === "room" && stream.parent === at) {
      if (hasOtherWay(core, at, s)) {
        prune(core, at, s);
        orphan(core, at, s);
      } else {
        isUsed ||= core.now - stream.freshAt < DRAIN_QUIET;
      }
    } else if (stream.isOfRoom && pushes(core, at, s) && !passedOver) {
      isUsed ||= Math.max(theirs, 1) < stream.next && core.now - moved < STALL_OPEN;
    }
  }
  return isUsed;
}

/**
 * Finds another parent for a stream that lost its own: a neighbour that is no farther from the origin than this member, so
 * that it does not have the stream from here. Where none is known, announcements will show one.
 *
 * @param {Core} core
 * @param {number} s
 * @param {number} [but] not this one
 */
export function adopt(core, s, but) {
  const stream = core.streams.at(s);
  const { origin } = stream.id;
  /** @type {number | undefined} */
  let nearest;
  /** Who has most, of those who have more than there is here. @type {number | undefined} */
  let holder;
  let upto = stream.next;
  for (const at of core.links.places()) {
    const link = core.links.at(at);
    if (at === but || !link.isSound || link.draining) continue;
    const { theirs, hop } = link.endsOf(s);
    if (theirs > upto || (theirs === upto && holder !== undefined)) [holder, upto] = [at, theirs];
    const near = link.peer === origin || !core.plan.relayed || (hop <= stream.hop && hop !== HOP_UNKNOWN);
    if (near && (nearest === undefined || isBetter(link, core.links.at(nearest), s, origin))) nearest = at;
  }
  dropRepair(core, s);
  if (!core.plan.relayed && (nearest === undefined || core.links.at(nearest).peer !== origin)) {
    // Nobody announces anything in a mesh, and any of them may have lost its own link to the origin: all are asked, and all
    // but the first who sends something are told that they need not.
    for (const at of core.links.places()) {
      const link = core.links.at(at);
      if (at !== but && link.isSound && !link.draining) graft(core, at, s);
    }
    return;
  }
  if (nearest === undefined) {
    if (holder !== undefined) want(core, holder, s, upto);
    return;
  }
  graft(core, nearest, s);
  if (holder === undefined) return;
  repair(core, s, { upto, since: core.now, due: core.now + GRAFT_AGAIN, asked: [nearest] });
}

/**
 * Whether one link is a better way for a stream than another: to the origin itself, shorter, or with more of it.
 *
 * @param {Link} link
 * @param {Link} other
 * @param {number} s
 * @param {MemberId} origin
 */
function isBetter(link, other, s, origin) {
  if ((link.peer === origin) !== (other.peer === origin)) return link.peer === origin;
  const [mine, theirs] = [link.endsOf(s), other.endsOf(s)];
  return mine.hop === theirs.hop ? mine.theirs > theirs.theirs : mine.hop < theirs.hop;
}

/**
 * In a mesh, there is no link to an origin: its stream is asked of somebody else, one who knows where it begins for this
 * member.
 *
 * @param {Core} core
 * @param {MemberId} origin
 */
export function detour(core, origin) {
  const s = core.known({ origin });
  if (s === undefined) return;
  const stream = core.streams.at(s);
  if (!stream.hasBegun) {
    const elder = core.links.things().find((link) => link.vouches && link.isSound && !link.isUnsure);
    // Where it lists what it has, and this stream is not there, that has yet to begin.
    if (stream.beginning !== "before") stream.begin();
    else if (elder) stream.start(elder.endsOf(s).offered);
    else return;
  }
  if (stream.parent === undefined) adopt(core, s);
}

/**
 * The room is a mesh from now on: every stream is asked of its origin, where there is a link to it.
 *
 * @param {Core} core
 */
export function takeFromOrigins(core) {
  for (const s of core.streams.places()) {
    const { id, kind, parent } = core.streams.at(s);
    const at = core.byPeer.get(id.origin);
    if (at === undefined || !core.links.at(at).isSound || kind !== "room" || parent === at) continue;
    graft(core, at, s);
  }
}

/**
 * Somebody announced a chunk before it came: if that happens again and again, its way is the faster one.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
export function ahead(core, at, s) {
  const ends = core.links.at(at).ends(s);
  ends.ahead = Math.min(ends.ahead + 1, 255);
  if (ends.ahead >= AHEAD_COUNT) race(core, at, s);
}

/**
 * Somebody is nearer to the origin than the parent.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
export function nearer(core, at, s) {
  const { parent, hop: ours } = core.streams.at(s);
  const { hop } = core.links.at(at).endsOf(s);
  const isNearer = hop < HOP_UNKNOWN - 1 && hop + 1 < ours;
  if (isNearer && parent !== undefined && parent !== at) race(core, at, s);
}

/**
 * Asks for a stream also over another link: the one that brings the next chunk first stays. A link that loses rests twice as
 * long each time.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function race(core, at, s) {
  const { now } = core;
  const [stream, link] = [core.streams.at(s), core.links.at(at)];
  if (stream.settledUntil > now || !link.isSound) return;
  const ends = link.ends(s);
  if (ends.restsUntil > now) return;
  stream.settledUntil = now + IMPROVE_AFTER;
  ends.ahead = 0;
  ends.restsUntil = now + IMPROVE_AFTER * 2 ** ends.tries;
  ends.tries = Math.min(ends.tries + 1, IMPROVE_DOUBLINGS);
  graft(core, at, s);
}
