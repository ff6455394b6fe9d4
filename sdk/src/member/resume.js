// @ts-check
/**
 * What a member that comes back tells the hub of what it knows, as far as that goes into one message.
 *
 * @module
 */

import { SIGNAL_MAX } from "../limits.js";
import { byteLength, encodeMessage } from "../wire.js";
import { sortedEntries } from "./order.js";

/** @import {MemberId} from "../id.js" */
/** @import {ClientMessage, StateEntry} from "../wire.js" */

/** The topology in which every pair has a link. */
export const MESH = "mesh";
/** What `,"up":[]` and `,"state":{}` take. */
const LISTS_BYTES = 19;
/** What an id in `up` takes, with its quotes and a comma. */
const ID_BYTES = 19;

/**
 * Makes a `join` that of a member that comes back; gives those of `up` that it has no room for.
 *
 * Links come first. Of the state, where not all of it fits, each member begins with the entry that its id points to, in
 * the order of the keys, and takes what fits: so different members leave out different entries, and a hub that has
 * nothing but what they bring gets all of them.
 *
 * @param {ClientMessage & { type: "join" }} join
 * @param {MemberId} id the member's own
 * @param {string} hub
 * @param {{ topology: string, wanted?: string }} linked how the room was linked, and what it was to be, when it heard of that last
 * @param {number} next the first chunk of its stream that it has not said yet
 * @param {MemberId[]} up
 * @param {Map<string, StateEntry>} state
 * @returns {MemberId[]}
 */
export function resume(join, id, hub, { topology, wanted }, next, up, state) {
  join.resume = { hub };
  // A mesh is what a hub begins with anyway.
  if (topology !== "" && topology !== MESH) join.resume.topology = topology;
  if (wanted !== undefined) join.resume.pin = wanted;
  if (next > 1) join.resume.next = next;
  let room = Math.max(0, SIGNAL_MAX - byteLength(encodeMessage(join)) - LISTS_BYTES);
  const listed = up.slice(0, Math.floor(room / ID_BYTES));
  room -= listed.length * ID_BYTES;

  const entries = sortedEntries(state);
  const first = entries.length > 0 ? Number.parseInt(id.slice(0, 8), 16) % entries.length : 0;
  /** @type {[string, StateEntry][]} */
  const taken = [];
  for (const [key, entry] of [...entries.slice(first), ...entries.slice(0, first)]) {
    const bytes = byteLength(JSON.stringify(key)) + byteLength(JSON.stringify(entry)) + 2;
    if (bytes > room) continue;
    room -= bytes;
    taken.push([key, entry]);
  }
  if (listed.length > 0) join.resume.up = listed;
  if (taken.length > 0) join.resume.state = Object.fromEntries(taken);
  return up.slice(listed.length);
}
