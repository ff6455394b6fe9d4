// @ts-check
/**
 * How far away the origin of a stream is.
 *
 * @module
 */

import { HOP_UNKNOWN } from "../frame.js";
import { COST_NEWS_MS, DELAY_MAX_MS, DELAY_NEWS_MS, HOP_COST_MS } from "../limits.js";

/** A way from an origin: how many links it has, and how long a chunk takes over them. */
export class Distance {
  hop;
  delayMs;

  /**
   * As somebody tells it.
   *
   * @param {number} hop
   * @param {number} delayMs
   */
  constructor(hop, delayMs) {
    this.hop = hop;
    this.delayMs = hop === HOP_UNKNOWN ? 0 : Math.min(delayMs, DELAY_MAX_MS);
  }

  /**
   * One link farther, which takes as long as `way` one way.
   *
   * @param {number} way
   */
  over(way) {
    if (this.hop >= HOP_UNKNOWN - 1) return UNKNOWN;
    return new Distance(this.hop + 1, this.delayMs + Math.floor((way + 500) / 1_000));
  }

  /**
   * As far in links, and so many ms farther.
   *
   * @param {number} ms
   */
  delayed(ms) {
    return new Distance(this.hop, this.delayMs + ms);
  }

  get isKnown() {
    return this.hop !== HOP_UNKNOWN;
  }

  /** What ways are compared by. A link costs more than its delay: on each a chunk may be late, or a member be lost. */
  get cost() {
    return this.isKnown ? this.delayMs + this.hop * HOP_COST_MS : Infinity;
  }

  /**
   * Whether somebody who was told `told` is to be told this.
   *
   * @param {Distance} told
   */
  isNewsTo(told) {
    return this.hop !== told.hop || Math.abs(this.delayMs - told.delayMs) >= DELAY_NEWS_MS;
  }

  /**
   * Whether somebody who was told `told` is to be told this soon, whatever else there is to say.
   *
   * @param {Distance} told
   */
  isGreatNewsTo(told) {
    return told.isKnown && this.isKnown && Math.abs(this.cost - told.cost) >= COST_NEWS_MS;
  }
}

/** Where the origin is. */
export const ORIGIN = Object.freeze(new Distance(0, 0));
export const UNKNOWN = Object.freeze(new Distance(HOP_UNKNOWN, 0));
