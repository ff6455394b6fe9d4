// @ts-check
/**
 * When the streams' next repairs are due.
 *
 * @module
 */

/** @typedef {{ due: number, s: number }} Entry */

/** Pairs of a time and a stream's place, each once, in their order. */
export class Repairs {
  /** Sorted: most are added at the end and taken from the beginning. @type {Entry[]} */
  #entries = [];

  /** The one that is due first. */
  get first() {
    return this.#entries.at(0);
  }

  /**
   * @param {number} due
   * @param {number} s
   */
  add(due, s) {
    this.#entries.splice(this.#find(due, s), 0, { due, s });
  }

  /**
   * @param {number} due
   * @param {number} s
   */
  delete(due, s) {
    const at = this.#find(due, s);
    const entry = this.#entries[at];
    if (entry?.due !== due || entry.s !== s) return;
    if (at === 0) this.#entries.shift();
    else this.#entries.splice(at, 1);
  }

  /**
   * Where a pair is or would be.
   *
   * @param {number} due
   * @param {number} s
   */
  #find(due, s) {
    let [low, high] = [0, this.#entries.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const entry = this.#entries[middle];
      if (entry.due < due || (entry.due === due && entry.s < s)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
