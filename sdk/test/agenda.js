// What happens when, in order.

/** A binary heap of what is to be run, by time; at the same time, in the order in which it was added. */
export class Agenda {
  #entries = [];
  #count = 0;

  add(at, run) {
    const entry = { at, order: this.#count++, run };
    let place = this.#entries.push(entry) - 1;
    for (let parent; place > 0 && before(entry, this.#entries[(parent = (place - 1) >> 1)]); place = parent) {
      this.#entries[place] = this.#entries[parent];
    }
    this.#entries[place] = entry;
  }

  /** The next entry, where it is due by then. */
  next(until) {
    const first = this.#entries[0];
    if (!first || first.at > until) return undefined;
    const last = this.#entries.pop();
    if (this.#entries.length > 0) this.#sink(last);
    return first;
  }

  #sink(entry) {
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child + 1 < this.#entries.length && before(this.#entries[child + 1], this.#entries[child])) child += 1;
      if (child >= this.#entries.length || before(entry, this.#entries[child])) break;
      this.#entries[place] = this.#entries[child];
      place = child;
    }
    this.#entries[place] = entry;
  }
}

const before = (a, b) => a.at < b.at || (a.at === b.at && a.order < b.order);
