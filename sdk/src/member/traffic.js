// @ts-check
/**
 * What a member says to the room, and how its links go, as the hub is told of it to choose how the room is linked.
 *
 * @module
 */

import { STATS_EVERY, STATS_KBPS_MAX, STATS_TALK_KBPS, STATS_TURN_NEWS } from "../limits.js";

/** @import {Core} from "./core.js" */

/** The path of a link that goes over TURN. */
const OVER_TURN = "relayed";

/**
 * Measures what is said in spans of `STATS_EVERY`, and only while something is. What counts is what is said in one span and the
 * next: a single large message is no reason to link the room in another way.
 */
export class Meter {
  #bytes = 0;
  /** When the span began. @type {number | undefined} */
  #since;
  /** What was said in the span before it, in kbit/s. */
  #before = 0;
  /** What the hub was told last; undefined: it has it from another socket, and hears it again. @type {{ kbps: number, turnPercent: number } | undefined} */
  #told;

  /**
   * Something of so many bytes was said to the room.
   *
   * @param {number} bytes
   * @param {number} now
   */
  said(bytes, now) {
    this.#bytes += bytes;
    this.watch(now);
  }

  /**
   * There may be news of the links soon.
   *
   * @param {number} now
   */
  watch(now) {
    this.#since ??= now;
  }

  /**
   * The hub has welcomed this member. Unless the session was resumed, it knows nothing of its traffic.
   *
   * @param {number} now
   * @param {boolean} resumed
   */
  welcomed(now, resumed) {
    this.#bytes = 0;
    this.#since = now;
    this.#told = resumed ? undefined : { kbps: 0, turnPercent: 0 };
  }

  /**
   * What the hub is to be told now, if anything.
   *
   * @param {number} now
   * @param {() => { open: number, overTurn: number }} links
   */
  tick(now, links) {
    if (this.#since === undefined || this.#since + STATS_EVERY > now) return undefined;
    const said = Math.min(Math.floor((this.#bytes * 8_000) / Math.max(now - this.#since, 1)), STATS_KBPS_MAX);
    this.#bytes = 0;
    const span = said < STATS_TALK_KBPS ? 0 : said;
    const kbps = Math.min(span, this.#before);
    this.#before = span;
    const { open, overTurn } = links();
    const turnPercent = Math.floor((overTurn * 100) / Math.max(open, 1));
    this.#since = span > 0 || turnPercent > 0 ? now : undefined;
    if (this.#told && !isNews({ kbps, turnPercent }, this.#told)) return undefined;
    this.#told = { kbps, turnPercent };
    return { ...(kbps > 0 && { kbps }), ...(turnPercent > 0 && { turn_percent: turnPercent }) };
  }

  /** When {@link Meter.tick} is due. */
  get timeout() {
    return this.#since === undefined ? undefined : this.#since + STATS_EVERY;
  }
}

/**
 * Whether the hub would choose otherwise, perhaps: not for a little more or less.
 *
 * @param {{ kbps: number, turnPercent: number }} traffic
 * @param {{ kbps: number, turnPercent: number }} told
 */
function isNews(traffic, told) {
  const [more, less] = [Math.max(traffic.kbps, told.kbps), Math.min(traffic.kbps, told.kbps)];
  const turned = Math.abs(traffic.turnPercent - told.turnPercent);
  return more * 2 > less * 3 || turned >= STATS_TURN_NEWS || (turned > 0 && traffic.turnPercent === 0);
}

/**
 * Whether a link goes over TURN.
 *
 * @param {string | undefined} path
 */
export function isOverTurn(path) {
  return path === OVER_TURN;
}

/**
 * Tells the hub what has changed in what this member says to the room, and in how its links go.
 *
 * @param {Core} core
 */
export function tellTraffic(core) {
  if (!core.session.isJoined || core.isRelay) return;
  const traffic = core.meter.tick(core.now, () => {
    let [open, overTurn] = [0, 0];
    for (const { link } of core.peers.values()) {
      if (!link.isOpen) continue;
      open += 1;
      if (isOverTurn(link.path)) overTurn += 1;
    }
    return { open, overTurn };
  });
  if (traffic) core.tell({ type: "stats", ...traffic });
}
