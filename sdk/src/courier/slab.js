// @ts-check
/**
 * Things in numbered places. Who has a place's number finds the thing at once, and the numbers stay small.
 *
 * @module
 */

/** @template Thing */
export class Slab {
  /** @type {(Thing | undefined)[]} */
  #places = [];
  /** @type {number[]} */
  #free = [];

  /** No place has this number or a higher one. */
  get end() {
    return this.#places.length;
  }

  /** @param {Thing} thing */
  insert(thing) {
    const place = this.#free.pop() ?? this.#places.length;
    this.#places[place] = thing;
    return place;
  }

  /** @param {number} place */
  remove(place) {
    const thing = this.#places[place];
    if (thing === undefined) return undefined;
    this.#places[place] = undefined;
    this.#free.push(place);
    return thing;
  }

  /** @param {number} place */
  get(place) {
    return this.#places[place];
  }

  /**
   * What is in a place that is known to be taken.
   *
   * @param {number} place
   */
  at(place) {
    return /** @type {Thing} */ (this.#places[place]);
  }

  /** The places that are taken now. */
  places() {
    const taken = [];
    for (let place = 0; place < this.#places.length; place++) if (this.#places[place] !== undefined) taken.push(place);
    return taken;
  }

  /** What is in them. */
  things() {
    const things = [];
    for (const thing of this.#places) if (thing !== undefined) things.push(thing);
    return things;
  }
}
