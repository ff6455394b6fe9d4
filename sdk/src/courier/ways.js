// @ts-check
/**
 * The ways that streams come by: mending them, and finding better ones.
 *
 * @module
 */

import {
  AHEAD_COUNT,
  COST_NEWS_DELAY,
  COST_NEWS_MS,
  DRAIN_QUIET,
  GAP_PATIENCE,
  GAP_PATIENCE_MAX,
  GRAFT_AGAIN,
  GRAFT_DOUBLINGS,
  GRAFT_FIRST,
  IMPROVE_AFTER,
  IMPROVE_BY_MS,
  RESCUE_PATIENCE,
  SLOW_DOUBLINGS,
  SLOW_FOR,
  STALL_OPEN,
  SWEEP_EVERY,
} from "../limits.js";
import { pushes } from "./core.js";
import { giveUpBelow, measure } from "./receive.js";
import { originMayHave } from "./rescue.js";
import { graft, prune } from "./send.js";

/** @import {MemberId} from "../id.js" */
/** @import {Core} from "./core.js" */
/** @import {Distance} from "./distance.js" */
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
  const [stream, link] = [core.streams.at(s), core.links.at(at)];
  const way = hasWay(core, stream);
  // Whoever was asked for a part of it was asked for all of it.
  if (stream.repair && (way || stream.repair.asked.length > 0)) return;
  if (way) {
    // Before anything of a stream has come, it is not known how long the plan's tree takes: whoever asks too early is
    // brought it twice, and so is everybody below.
    const patience = stream.parent === undefined ? GRAFT_FIRST : core.lateness.patience;
    miss(core, s, upto, patience, []);
  } else if (link.isSound && link.endsOf(s).floor <= stream.next) {
    graft(core, at, s);
    miss(core, s, upto, GRAFT_AGAIN, [at]);
  } else {
    miss(core, s, upto, 0, []);
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
 * What comes below `upto` is missing from now on; somebody is asked for it, who was not yet, when patience is over.
 *
 * @param {Core} core
 * @param {number} s
 * @param {number} upto
 * @param {number} patience
 * @param {number[]} asked
 */
function miss(core, s, upto, patience, asked) {
  const since = core.now;
  repair(core, s, { upto, since, due: since + patience, asked, tries: 0 });
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
  goDirect(core, s);
  // Others may have got on meanwhile.
  let upto = 0;
  for (const link of core.links.things()) if (link.isSound) upto = Math.max(upto, link.endsOf(s).theirs);
  if (upto > next) miss(core, s, upto, core.lateness.patience, []);
}

/**
 * In a mesh others bring what is missing, and then the origin goes on: whoever stayed with others would lose what they
 * cannot keep.
 *
 * @param {Core} core
 * @param {number} s
 */
function goDirect(core, s) {
  if (core.plan.relayed) return;
  const { origin } = core.streams.at(s).id;
  const direct = core.links.places().find((at) => {
    const link = core.links.at(at);
    return link.peer === origin && link.isSound && link.endsOf(s).pruned;
  });
  if (direct !== undefined) graft(core, direct, s);
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
    // An origin in a mesh tells nobody how far it is, and is the one to say that something is lost.
    const may = theirs > next || (!core.plan.relayed && link.peer === stream.id.origin);
    return link.isSound && may && floor <= next;
  });
  if (holders.every((at) => due.asked.includes(at))) due.asked = [];
  /** @type {number | undefined} */
  let nearest;
  let least = Infinity;
  for (const at of holders) {
    if (due.asked.includes(at)) continue;
    const { cost } = core.links.at(at).farOver(s);
    if (nearest === undefined || cost < least) [nearest, least] = [at, cost];
  }
  if (nearest === undefined) {
    due.due = core.now + GRAFT_AGAIN;
    repair(core, s, due);
    settleGap(core, s);
    core.sweepBy(core.now + SWEEP_EVERY);
    return;
  }
  graft(core, nearest, s);
  due.asked.push(nearest);
  // Over narrow links what was asked for may take its time: whoever asks everybody gets it from everybody.
  due.due = core.now + GRAFT_AGAIN * 2 ** due.tries;
  due.tries = Math.min(due.tries + 1, GRAFT_DOUBLINGS);
  repair(core, s, due);
}

/**
 * Somebody lacks what it was asked for: the next who may have it is asked at once.
 *
 * @param {Core} core
 * @param {number} s
 */
export function askOn(core, s) {
  const { repair, next } = core.streams.at(s);
  if (!repair || repair.due <= core.now) return;
  const mayHave = core.links.places().some((at) => {
    const link = core.links.at(at);
    const { theirs, floor } = link.endsOf(s);
    return link.isSound && theirs > next && floor <= next && !repair.asked.includes(at);
  });
  if (!mayHave) return;
  core.repairs.delete(repair.due, s);
  repair.due = core.now;
  core.repairs.add(repair.due, s);
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
  // So may a neighbour that is no farther itself. In a mesh nobody else need have kept it.
  const mayGet = core.links.things().some((link) => link.isSound && link.endsOf(s).floor <= next);
  // And so may the origin, to which there will be a link where it is asked for.
  const reaches = core.plan.relayed && originMayHave(stream);
  let patience = GAP_PATIENCE;
  if (core.plan.relayed && (core.hopeful || mayGet || reaches)) patience = GAP_PATIENCE_MAX;
  else if (!core.plan.relayed && !mayGet) patience = 0;
  const isAsked = reaches && (!stream.rescue || stream.rescue.since + RESCUE_PATIENCE > core.now);
  const patient = isAsked || (!stream.gaveUp && core.now < since + patience);
  // Where a stream begins for a newcomer those know who were here before: who lacks it came too late for that.
  const elderLacks = (/** @type {Link} */ link) => {
    const { floor } = link.endsOf(s);
    return link.vouches && floor > next && stream.mayBeginAt(floor);
  };
  // Between two who met at a new hub nobody knows it but the origin, to whom a link may come.
  const knowsBest = core.hopeful && stream.beginning === "anywhere";
  const late = !knowsBest && core.links.things().some(elderLacks);
  // Of somebody who is gone, what nobody brings in time is lost without further ado.
  if (!late && (patient || stream.forgetAt !== undefined)) return false;
  // The parent may be about to bring it, for as long as what the origin has no more may still be under way.
  const mayBring = stream.lostBelow <= next || core.now < since + GAP_PATIENCE_MAX;
  let least = Infinity;
  for (const at of core.links.places()) {
    const link = core.links.at(at);
    const { theirs, floor } = link.endsOf(s);
    if (link.open && (theirs > next || (mayBring && stream.parent === at))) least = Math.min(least, floor);
  }
  if (least === Infinity || least <= next) return false;
  // Where a stream begins later than was thought nothing is lost.
  if (!stream.mayBeginAt(least)) stream.gaveUp = true;
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
 * In a mesh nobody announces anything: a neighbour that could not be asked when streams lost their parents, as it was silent
 * itself, is asked when it is heard again.
 *
 * @param {Core} core
 * @param {number} at
 */
export function askForOrphans(core, at) {
  if (core.plan.relayed) return;
  const link = core.links.at(at);
  for (const s of core.streams.places()) {
    const { kind, bereft, parent, id, next } = core.streams.at(s);
    const isLost = kind === "room" && bereft && parent === undefined;
    if (isLost && id.origin !== link.peer && link.isSound && link.endsOf(s).floor <= next) graft(core, at, s);
  }
}

/**
 * Members tell from now on what they have: how long it was missing before, when nobody did, does not count.
 *
 * @param {Core} core
 */
export function hopeAnew(core) {
  for (const s of core.streams.places()) {
    const { repair } = core.streams.at(s);
    if (repair) repair.since = core.now;
  }
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
 * The best of those who have what this member has of a stream, not from here, so that what follows can come from there.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function otherWay(core, at, s) {
  const { next, id: { origin } } = core.streams.at(s);
  /** @type {{ place: number, isOther: number, cost: number } | undefined} */
  let best;
  for (const place of core.links.places()) {
    const link = core.links.at(place);
    const { floor, offered } = link.endsOf(s);
    const stays = place !== at && link.isSound && !link.draining;
    // A newcomer has what came last, and not what is missing here.
    const isKnown = Math.max(floor, offered) <= next;
    if (!stays || !isKnown || !isLevel(core, place, s) || pushes(core, place, s)) continue;
    const way = { place, isOther: Number(link.peer !== origin), cost: link.farOver(s).cost };
    if (!best || (way.isOther - best.isOther || way.cost - best.cost || way.place - best.place) < 0) best = way;
  }
  return best?.place;
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
      const other = otherWay(core, at, s);
      if (other !== undefined && core.plan.relayed && stream.isActive(core.now)) {
        change(core, other, s);
      } else if (other !== undefined) {
        prune(core, at, s);
        orphan(core, at, s);
      } else {
        isUsed ||= core.now - stream.freshAt < DRAIN_QUIET;
        measure(core, s);
        tellCost(core, s);
      }
    } else if (stream.isOfRoom && pushes(core, at, s) && !passedOver) {
      isUsed ||= Math.max(theirs, 1) < stream.next && core.now - moved < STALL_OPEN;
    }
  }
  return isUsed;
}

/**
 * A link that was to go stays.
 *
 * @param {Core} core
 * @param {number} at
 */
export function drainNoMore(core, at) {
  core.links.at(at).draining = false;
  for (const s of core.streams.places()) {
    if (core.streams.at(s).parent !== at) continue;
    measure(core, s);
    tellCost(core, s);
  }
}

/**
 * Finds another parent for a stream that lost its own. What was missing before has been for as long.
 *
 * @param {Core} core
 * @param {number} s
 * @param {number} [but] not this one
 */
export function adopt(core, s, but) {
  const stream = core.streams.at(s);
  const since = stream.repair?.since;
  dropRepair(core, s);
  seekParent(core, s, but);
  if (since !== undefined && stream.repair) stream.repair.since = since;
}

/**
 * Asks a neighbour that is no farther from the origin than this member, so that it does not have the stream from here. Where
 * none is known, announcements will show one.
 *
 * @param {Core} core
 * @param {number} s
 * @param {number} [but] not this one
 */
function seekParent(core, s, but) {
  const stream = core.streams.at(s);
  const { origin } = stream.id;
  /** @type {number | undefined} */
  let nearest;
  /** Who has most, of those who have more than there is here. @type {number | undefined} */
  let holder;
  const { next } = stream;
  let upto = next;
  const hasIt = (/** @type {Link} */ link) => link.isSound && !link.draining && link.endsOf(s).floor <= next;
  for (const at of core.links.places()) {
    const link = core.links.at(at);
    if (at === but || !hasIt(link)) continue;
    const { theirs, far } = link.endsOf(s);
    if (theirs > upto || (theirs === upto && holder !== undefined)) [holder, upto] = [at, theirs];
    const near = link.peer === origin || !core.plan.relayed || (far.isKnown && far.cost <= stream.far.cost);
    if (near && (nearest === undefined || isBetter(link, core.links.at(nearest), s, origin))) nearest = at;
  }
  if (!core.plan.relayed && (nearest === undefined || core.links.at(nearest).peer !== origin)) {
    // Nobody announces anything in a mesh, and any of them may have lost its own link to the origin: all are asked, and all
    // but the first who sends something are told that they need not.
    const asked = core.links.places().filter((at) => at !== but && hasIt(core.links.at(at)));
    for (const at of asked) graft(core, at, s);
    // Where none of them has it, it is lost.
    let theirs = 0;
    for (const link of core.links.things()) theirs = Math.max(theirs, link.endsOf(s).theirs);
    if (theirs > next) miss(core, s, theirs, GRAFT_AGAIN, asked);
    return;
  }
  if (nearest === undefined) {
    if (holder !== undefined) want(core, holder, s, upto);
    return;
  }
  graft(core, nearest, s);
  if (holder === undefined) return;
  miss(core, s, upto, GRAFT_AGAIN, [nearest]);
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
  const [mine, theirs] = [link.farOver(s).cost, other.farOver(s).cost];
  return mine === theirs ? link.endsOf(s).theirs > other.endsOf(s).theirs : mine < theirs;
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
    // Where one who knows lists what it has, and this stream is not there, that has yet to begin.
    const isKnown = core.links.things().some((link) => link.vouches && link.isSound && !link.isUnsure);
    if (stream.beginning !== "before") stream.begin();
    else if (stream.offered !== undefined || isKnown) stream.meet();
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
 * Somebody announced a chunk before it came: if that happens again and again, the parent's way is slower than it claims.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
export function ahead(core, at, s) {
  const ends = core.links.at(at).ends(s);
  ends.ahead = Math.min(ends.ahead + 1, 255);
  if (ends.ahead < AHEAD_COUNT || !mayChange(core, at, s)) return;
  const { parent } = core.streams.at(s);
  if (parent !== undefined) {
    const old = core.links.at(parent).ends(s);
    old.restsUntil = core.now + SLOW_FOR * 2 ** old.slow;
    old.slow = Math.min(old.slow + 1, SLOW_DOUBLINGS);
  }
  change(core, at, s);
}

/**
 * Somebody who has as much of a stream tells how far away it is: the best of those who have takes the parent's place where
 * its way is better.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
export function nearer(core, at, s) {
  const cost = (/** @type {number} */ place) => core.links.at(place).farOver(s).cost;
  if (cost(at) + IMPROVE_BY_MS >= core.streams.at(s).far.cost || !mayChange(core, at, s)) return;
  let best = at;
  for (const place of core.links.places()) {
    const better = cost(place) < cost(best) || (cost(place) === cost(best) && place < best);
    if (better && mayChange(core, place, s)) best = place;
  }
  change(core, best, s);
}

/**
 * The parent tells of a way that is much longer than it was `before`, as where it is about to go: the best of the others takes
 * its place. Only of those nearer than this member was is it certain that they have nothing from here.
 *
 * @param {Core} core
 * @param {number} s
 * @param {Distance} before
 */
export function evade(core, s, before) {
  const ours = core.streams.at(s).far.cost;
  if (ours < before.cost + COST_NEWS_MS) return;
  const cost = (/** @type {number} */ place) => core.links.at(place).farOver(s).cost;
  /** @type {number | undefined} */
  let best;
  for (const place of core.links.places()) {
    const isNearer = core.links.at(place).endsOf(s).far.cost < before.cost && cost(place) + IMPROVE_BY_MS < ours;
    const better = best === undefined || cost(place) < cost(best) || (cost(place) === cost(best) && place < best);
    if (isNearer && better && couldChange(core, place, s)) best = place;
  }
  if (best !== undefined) change(core, best, s);
}

/**
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function mayChange(core, at, s) {
  return core.streams.at(s).settledUntil <= core.now && couldChange(core, at, s);
}

/**
 * Whether a stream may be asked of a neighbour instead of its parent: of one who has as much, and not from here.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function couldChange(core, at, s) {
  const [stream, link] = [core.streams.at(s), core.links.at(at)];
  return (
    core.plan.relayed &&
    stream.parent !== undefined &&
    stream.parent !== at &&
    link.isSound &&
    !link.draining &&
    link.endsOf(s).restsUntil <= core.now &&
    isLevel(core, at, s) &&
    !pushes(core, at, s)
  );
}

/**
 * Whether a neighbour has as much of a stream as is here, as its origin has.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function isLevel(core, at, s) {
  const [stream, link] = [core.streams.at(s), core.links.at(at)];
  return link.peer === stream.id.origin || link.endsOf(s).theirs >= stream.next;
}

/**
 * Another link becomes the way. The old one is told to stop when the new one is told to go on from here, so that nothing
 * comes twice but what is under way just then.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function change(core, at, s) {
  const stream = core.streams.at(s);
  stream.settledUntil = core.now + IMPROVE_AFTER;
  const old = stream.parent;
  stream.parent = at;
  if (old !== undefined) prune(core, old, s);
  core.links.at(at).ends(s).ahead = 0;
  graft(core, at, s);
  measure(core, s);
  tellCost(core, s);
}

/**
 * Where a way has become much better or worse, the neighbours learn it before the next chunk comes: so their ways are good
 * after seconds, and not after so many messages, of which there may be few.
 *
 * @param {Core} core
 * @param {number} s
 */
export function tellCost(core, s) {
  const { claim, parent } = core.streams.at(s);
  if (!core.plan.relayed) return;
  for (const at of core.links.places()) {
    const link = core.links.at(at);
    const hears = link.open && !link.draining && parent !== at;
    if (hears && claim.isGreatNewsTo(link.endsOf(s).told)) link.tell(s, core.now + COST_NEWS_DELAY);
  }
}
