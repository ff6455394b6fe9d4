// @ts-check
/**
 * A queue that gives what was put in first, and anything in it by its place.
 *
 * @module
 */

/** Places that a queue has at first, and again once it is empty. A power of two, as it always has. */
const PLACES = 16;

/** @template Thing */
export class Queue {
  /** A ring: the first one is at `#head`. @type {(Thing | undefined)[]} */
  #ring = [];
  #head = 0;
  #length = 0;

  get length() {
    return this.#length;
  }

  /** The one that comes next. */
  get first() {
    return this.#length > 0 ? this.#ring[this.#head] : undefined;
  }

  /**
   * The one so many places behind the next.
   *
   * @param {number} place
   */
  at(place) {
    return place < this.#length ? this.#ring[(this.#head + place) & (this.#ring.length - 1)] : undefined;
  }

  /** @param {Thing} thing */
  push(thing) {
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#length) & (this.#ring.length - 1)] = thing;
    this.#length += 1;
  }

  shift() {
    if (this.#length === 0) return undefined;
    const thing = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#length -= 1;
    if (this.#length === 0 && this.#ring.length > PLACES) this.#ring = [];
    return thing;
  }

  /**
   * Lets go of those that are not wanted.
   *
   * @param {(thing: Thing) => boolean} wanted
   */
  retain(wanted) {
    for (const thing of this.take()) if (wanted(thing)) this.push(thing);
  }

  /** All of them; the queue is empty then. */
  take() {
    /** @type {Thing[]} */
    const things = [];
    for (let place = 0; place < this.#length; place++) things.push(/** @type {Thing} */ (this.at(place)));
    this.#ring = [];
    this.#head = 0;
    this.#length = 0;
    return things;
  }

  #grow() {
    const places = Math.max(PLACES, 2 * this.#ring.length);
    const things = this.#ring;
    const [head, length] = [this.#head, this.#length];
    this.#ring = Array.from({ length: places }, (_, place) =>
      place < length ? things[(head + place) & (things.length - 1)] : undefined,
    );
    this.#head = 0;
  }
}
