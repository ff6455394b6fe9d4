// @ts-check
/**
 * A link's way over the hub, for as long as no connection joins its ends.
 *
 * The offerer asks, the answerer consents by asking back under the same number, and the hub carries. Neither the hub nor a
 * WebSocket says how much of it the other end has taken, so the other end does: what is under way stands for what a
 * connection has in its send buffer.
 *
 * @module
 */

import { CONNECT_TIMEOUT, LINK_RESUME, LOSSY_PAUSE } from "../limits.js";

/** @import {Freight} from "../carried.js" */
/** @import {Lane} from "./io.js" */

/**
 * Bytes of packets on one lane since the two agreed: of those `sent` the other end has `taken`; of those `received` it was
 * `told`.
 *
 * @typedef {{ sent: number, taken: number, received: number, told: number }} Flow
 */

/** @returns {Record<Lane, Flow>} */
const noFlow = () => ({
  reliable: { sent: 0, taken: 0, received: 0, told: 0 },
  lossy: { sent: 0, taken: 0, received: 0, told: 0 },
});

export class Carriage {
  /** The number that either side asked under last. */
  episode = 0;
  /** `asking`: this side has; `greeting`: agreed on, HELLO is next. @type {"idle" | "asking" | "greeting" | "open"} */
  state = "idle";
  /** Until when it is asked for or greeting. */
  until = 0;
  #lanes = noFlow();

  /** Whether frames go over it. */
  get isUp() {
    return this.state === "greeting" || this.state === "open";
  }

  /**
   * Whether it is of this number that frames go over it.
   *
   * @param {number} episode
   */
  isCurrent(episode) {
    return this.isUp && this.episode === episode;
  }

  /**
   * Both sides want it under this number.
   *
   * @param {number} episode
   * @param {number} now
   */
  agreed(episode, now) {
    this.episode = episode;
    this.state = "greeting";
    this.until = now + CONNECT_TIMEOUT;
    this.#lanes = noFlow();
  }

  /**
   * A packet of so many bytes goes out.
   *
   * @param {Lane} lane
   * @param {number} bytes
   */
  sent(lane, bytes) {
    this.#lanes[lane].sent += bytes;
  }

  /**
   * A packet of so many bytes came. Gives what the other end is to be told of that, where it is time to.
   *
   * @param {Lane} lane
   * @param {number} bytes
   * @returns {Freight | undefined}
   */
  received(lane, bytes) {
    const { reliable, lossy } = this.#lanes;
    this.#lanes[lane].received += bytes;
    if (reliable.received - reliable.told < LINK_RESUME / 2 && lossy.received - lossy.told < LOSSY_PAUSE / 4) {
      return undefined;
    }
    reliable.told = reliable.received;
    lossy.told = lossy.received;
    return { type: "taken", reliable: reliable.told, lossy: lossy.told };
  }

  /**
   * The other end has taken so much. Gives the bytes still under way on each lane; undefined where that cannot be.
   *
   * @param {Record<Lane, number>} totals
   * @returns {Record<Lane, number> | undefined}
   */
  taken(totals) {
    const left = { reliable: 0, lossy: 0 };
    for (const lane of /** @type {Lane[]} */ (["reliable", "lossy"])) {
      const flow = this.#lanes[lane];
      if (totals[lane] < flow.taken || totals[lane] > flow.sent) return undefined;
      flow.taken = totals[lane];
      left[lane] = flow.sent - flow.taken;
    }
    return left;
  }
}
