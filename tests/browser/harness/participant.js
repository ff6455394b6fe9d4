// @ts-check
// What a page and a Rust member have in common for a test: a name, an id, and a log of what they saw.

import assert from "node:assert/strict";

import { EventLog } from "./log.js";
import { describe, sample } from "./values.js";

/** @import { Entry } from "./log.js" */

export class Participant {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
    this.log = new EventLog(name);
    /** Its id, once it has joined. */
    this.id = "";
  }

  /**
   * Says something on channel "chat".
   * @param {unknown} value
   * @returns {Promise<void>}
   */
  say(value) {
    throw new Error(`${this.name} cannot say ${value}`);
  }

  /**
   * Says its own samples, in order.
   * @param {number} from
   * @param {number} until
   */
  async saySamples(from, until) {
    for (let at = from; at < until; at++) await this.say(sample(this.name, at));
  }

  /** Waits until it is in the room. */
  async joined() {
    const { self } = await this.log.entry({ event: "joined" });
    this.id = self;
  }

  /** The ids of everybody else that it counts as in the room now. */
  get roster() {
    /** @type {Set<string>} */
    const ids = new Set();
    for (const entry of this.log.entries) {
      if (entry.event === "joined") for (const { id } of entry.members) ids.add(id);
      if (entry.event === "memberjoin") ids.add(entry.member);
      if (entry.event === "memberleave") ids.delete(entry.member);
    }
    return ids;
  }

  /** The ids of those to whom its link is open now. */
  get linked() {
    return linksOf(this.log.entries);
  }

  /**
   * Waits until its links are open to exactly these.
   * @param {Participant[]} others
   * @param {number} [patienceMs]
   */
  linkedTo(others, patienceMs) {
    const wanted = others.filter((other) => other !== this).map((other) => other.id);
    const names = others.map((other) => other.name).join(", ");
    return this.log.until(`links to ${names}`, () => {
      const { linked } = this;
      return linked.size === wanted.length && wanted.every((id) => linked.has(id));
    }, patienceMs);
  }

  /**
   * What came from somebody on a channel so far, in order.
   * @param {Participant} from
   * @param {string} [channel]
   */
  heard(from, channel = "chat") {
    const fits = (/** @type {Entry} */ e) => e.event === "message" && e.from === from.id && e.channel === channel;
    return this.log.entries.filter(fits).map((entry) => entry.data);
  }

  /**
   * Waits until this many messages of somebody have come, and gives them.
   * @param {Participant} from
   * @param {number} count
   * @param {string} [channel]
   */
  async hears(from, count, channel = "chat") {
    await this.log.until(`${count} messages from ${from.name}`, () => this.heard(from, channel).length >= count);
    return this.heard(from, channel);
  }
}

/** @param {Entry[]} entries */
function linksOf(entries) {
  /** @type {Set<string>} */
  const open = new Set();
  for (const entry of entries) {
    if (entry.event === "link" && entry.state === "open") open.add(entry.member);
    else if (entry.event === "link" || entry.event === "memberleave") open.delete(entry.member);
  }
  return open;
}

/**
 * Waits until everybody is linked to everybody else.
 * @param {Participant[]} all
 * @param {number} [patienceMs]
 */
export async function meshed(all, patienceMs) {
  await Promise.all(all.map((one) => one.linkedTo(all, patienceMs)));
}

/**
 * All say their samples at the same time.
 * @param {Participant[]} all
 * @param {number} from
 * @param {number} until
 */
export async function talk(all, from, until) {
  await Promise.all(all.map((one) => one.saySamples(from, until)));
}

/**
 * Waits until each has heard the first samples of each other, and sees that they are what was said, once and in order.
 * @param {Participant[]} all
 * @param {number} count
 */
export async function assertAllHear(all, count) {
  for (const listener of all) {
    for (const speaker of all.filter((one) => one !== listener)) {
      const expected = Array.from({ length: count }, (_, at) => describe(sample(speaker.name, at)));
      assert.deepEqual(await listener.hears(speaker, count), expected, `what ${listener.name} heard from ${speaker.name}`);
    }
  }
}
