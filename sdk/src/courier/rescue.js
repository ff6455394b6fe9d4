// @ts-check
/**
 * Links to origins, where no neighbour can help.
 *
 * Neighbours keep what they pass on for a while, and those who came later have only what was said since. Whoever has fallen
 * behind all of them, as in a part of the room that was cut off while the rest moved on, asks the hub for a link to the
 * origin: that keeps most of what it says, and knows best where its stream begins.
 *
 * @module
 */

import { GAP_PATIENCE, RESCUE_AFTER, RESCUE_AGAIN } from "../limits.js";

/** @import {Core} from "./core.js" */
/** @import {Stream} from "./stream.js" */

/**
 * Asks for a link to a stream's origin, once no neighbour has been able to bring the stream for a while.
 *
 * @param {Core} core
 * @param {number} s
 */
export function lookForRescue(core, s) {
  const stream = core.streams.at(s);
  if (!isBeyondReach(core, s)) {
    stream.rescue = undefined;
    return;
  }
  stream.rescue ??= { since: core.now, due: core.now + RESCUE_AFTER };
  if (stream.rescue.due > core.now) return;
  stream.rescue.due = core.now + RESCUE_AGAIN;
  core.events.push({ type: "unreached", origin: stream.id.origin });
}

/**
 * Whether a stream's origin is there, and may have what is missing here, by all that is known.
 *
 * @param {Stream} stream
 */
export function originMayHave({ isNamed, forgetAt, lostBelow, next }) {
  return isNamed && forgetAt === undefined && lostBelow <= next;
}

/**
 * Whether neighbours have some of a member's stream, and none of them what is missing here, and there is no link to its origin.
 *
 * @param {Core} core
 * @param {number} s
 */
function isBeyondReach(core, s) {
  const stream = core.streams.at(s);
  const { id, kind, next, hasBegun, freshAt } = stream;
  if (!core.plan.relayed || kind !== "room" || !originMayHave(stream)) return false;
  const direct = core.byPeer.get(id.origin);
  if (direct !== undefined && core.links.at(direct).open) return false;
  const ends = core.links.things().filter((link) => link.isSound).map((link) => link.endsOf(s));
  if (!hasBegun) {
    // A newcomer's first neighbours are about to tell where it begins.
    const isLate = core.metAt !== undefined && core.metAt + GAP_PATIENCE <= core.now;
    return isLate && ends.some(({ theirs }) => theirs > 1);
  }
  const holders = ends.filter(({ theirs }) => theirs > next);
  return freshAt + RESCUE_AFTER <= core.now && holders.length > 0 && holders.every(({ floor }) => floor > next);
}
