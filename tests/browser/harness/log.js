// @ts-check
// What one participant saw, in order, and waiting for what it will see. Browsers and Rust members write the same
// entries: those of `roomful join --json`.

/**
 * One line of `roomful join --json`, or its like from a page.
 * @typedef {{ event: string, [field: string]: any }} Entry
 */

/** How long something may take on a busy machine of two cores before a test gives up on it. */
export const PATIENCE_MS = 60_000;
/** Entries that a failed wait shows. */
const SHOWN = 15;

export class EventLog {
  /** @type {Entry[]} */
  entries = [];
  /** @type {Set<() => void>} */
  #watchers = new Set();
  /** @type {string | undefined} */
  #ended;

  /** @param {string} owner whose log this is, for messages */
  constructor(owner) {
    this.owner = owner;
  }

  /** @param {Entry} entry */
  push(entry) {
    this.entries.push(entry);
    for (const watcher of [...this.#watchers]) watcher();
  }

  /**
   * Nothing comes any more: whoever still waits is told why.
   * @param {string} why
   */
  end(why) {
    this.#ended ??= why;
    for (const watcher of [...this.#watchers]) watcher();
  }

  /**
   * Waits until something holds; it is asked again after each entry.
   * @template T
   * @param {string} what   for the message when it does not come
   * @param {(entries: Entry[]) => T | undefined | null | false} holds
   * @param {number} [patienceMs]
   * @returns {Promise<T>}
   */
  until(what, holds, patienceMs = PATIENCE_MS) {
    return new Promise((resolve, reject) => {
      const finish = () => {
        this.#watchers.delete(check);
        clearTimeout(timer);
      };
      const fail = (/** @type {string} */ why) => {
        finish();
        const last = this.entries.slice(-SHOWN).map((entry) => JSON.stringify(entry).slice(0, 200));
        reject(new Error(`${this.owner}: ${what}: ${why}; last seen:\n  ${last.join("\n  ")}`));
      };
      const check = () => {
        const value = holds(this.entries);
        if (value) {
          finish();
          resolve(value);
        } else if (this.#ended !== undefined) fail(this.#ended);
      };
      const timer = setTimeout(() => fail(`not within ${patienceMs} ms`), patienceMs);
      this.#watchers.add(check);
      check();
    });
  }

  /**
   * Waits for an entry that has all of these fields.
   * @param {Partial<Entry>} fields
   * @param {number} [patienceMs]
   * @returns {Promise<Entry>}
   */
  entry(fields, patienceMs) {
    const wanted = Object.entries(fields);
    const fits = (/** @type {Entry} */ entry) => wanted.every(([name, value]) => entry[name] === value);
    return this.until(JSON.stringify(fields), (entries) => entries.find(fits), patienceMs);
  }

  /**
   * All entries of one kind so far.
   * @param {string} event
   */
  all(event) {
    return this.entries.filter((entry) => entry.event === event);
  }
}
