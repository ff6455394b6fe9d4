// @ts-check
/**
 * Things that begin with something asynchronous, begun side by side and done one after another.
 *
 * @module
 */

import { Queue } from "./courier/queue.js";

/** Things of one line that are begun and not ready yet. */
export const AT_ONCE = 64;

/** @typedef {{ begin?: () => Promise<any>, done: (result: any) => void, ready: boolean, result?: any }} Thing */

/** A line. What stands in it is bounded by whoever puts it there. */
export class Line {
  /** @type {Queue<Thing>} */
  #things = new Queue();
  /** How many of them, from the first on, are begun. */
  #begun = 0;
  #running = 0;
  #isDoing = false;
  #isClosed = false;

  get length() {
    return this.#things.length;
  }

  /**
   * Calls `begin` at once, or when fewer are running; and `done` with what it gave when all that was put in before is
   * done. Without `begin`, and where nothing stands before it, that is now. Where `begin` fails it gave nothing.
   *
   * @template [Result=undefined]
   * @param {(() => Promise<Result>) | undefined} begin
   * @param {(result: Result | undefined) => void} done
   */
  push(begin, done) {
    if (this.#isClosed) return;
    this.#things.push({ begin, done, ready: begin === undefined });
    this.#go();
  }

  /** Fulfilled when all that is in line now is done. @returns {Promise<void>} */
  drained() {
    return new Promise((resolve) => this.push(undefined, () => resolve()));
  }

  /** Lets go of everything; nothing is done any more. */
  close() {
    this.#isClosed = true;
    this.#things.take();
  }

  #go() {
    // What is done may put more in line; that is seen to by the loop that does it.
    if (this.#isDoing) return;
    this.#isDoing = true;
    try {
      for (;;) {
        this.#begin();
        if (!this.#things.first?.ready) break;
        const { done, result } = /** @type {Thing} */ (this.#things.shift());
        this.#begun -= 1;
        done(result);
      }
    } finally {
      this.#isDoing = false;
    }
  }

  #begin() {
    while (this.#begun < this.#things.length && this.#running < AT_ONCE) {
      const thing = /** @type {Thing} */ (this.#things.at(this.#begun));
      this.#begun += 1;
      if (thing.begin) void this.#run(thing, thing.begin);
    }
  }

  /**
   * @param {Thing} thing
   * @param {() => Promise<any>} begin
   */
  async #run(thing, begin) {
    this.#running += 1;
    thing.result = await begin().catch(() => undefined);
    thing.ready = true;
    this.#running -= 1;
    if (!this.#isClosed) this.#go();
  }
}
