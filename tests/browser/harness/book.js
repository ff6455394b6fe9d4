// @ts-check
// What a member in a page said and heard, in the words of the crowds of Rust members (bench/src/crowd.rs): so that it
// notices by itself what is lost, doubled or out of order.

/** @import { Room } from "/sdk/roomful.js" */

/**
 * @typedef {{ first: number, last: number }} Heard  all numbers between these came, in order
 * @typedef {Object} Report
 * @property {string} id
 * @property {string} name
 * @property {string} topology
 * @property {number} sent       the number of its last message
 * @property {Record<string, Heard>} heard  by who said it
 * @property {Record<string, number>} owed  from which of its messages on each of the others must have all
 * @property {Record<string, string>} gone  who went, and why
 * @property {string[]} links    to whom, now
 * @property {number} links_max
 * @property {string[]} faults   what should never happen, in words
 * @property {string[]} troubles the last of its links that fell silent or ended, and why, in words
 */

/** Where they talk: each message is `[number, time]`, counted from 1, in µs since 1970. */
const CHANNEL = "count";
/** What became of its links that is kept in words: the last of it. */
const TROUBLES_KEPT = 16;
/** Deliveries whose times are kept. */
const SAMPLES_KEPT = 100_000;

export class Book {
  #sent = 0;
  #links_max = 0;
  /** @type {Record<string, Heard>} */
  #heard = {};
  /** @type {Record<string, number>} */
  #owed;
  /** @type {Record<string, string>} */
  #gone = {};
  /** @type {string[]} */
  #faults = [];
  /** @type {string[]} */
  #troubles = [];
  /** Deliveries: when they came, and how long they took, both in µs. @type {[number, number][]} */
  #samples = [];
  #room;
  #talks = 0;

  /** @param {Room} room just entered */
  constructor(room) {
    this.#room = room;
    this.#owed = Object.fromEntries([...room.members.keys()].map((id) => [id, 1]));
    room.addEventListener("memberjoin", ({ member }) => {
      delete this.#gone[member.id];
      this.#owed[member.id] ??= this.#sent + 1;
    });
    room.addEventListener("memberleave", ({ member, reason }) => (this.#gone[member.id] = reason));
    room.addEventListener("link", (link) => {
      this.#links_max = Math.max(this.#links_max, this.#links().length);
      this.#trouble(link);
    });
    room.addEventListener("gap", ({ member, from_seq, to_seq }) =>
      this.#faults.push(`a gap from ${from_seq} to ${to_seq} of ${member}`));
    room.addEventListener("close", ({ reason }) => {
      if (reason !== "left") this.#faults.push(`put out: ${reason}`);
    });
    room.channel(CHANNEL).addEventListener("message", ({ from, data: [number, sent] }) => {
      this.#hear(from.id, number);
      const came = now();
      if (this.#samples.length < SAMPLES_KEPT) this.#samples.push([came, Math.max(0, came - sent)]);
    });
  }

  /** @param {{ member: { id: string }, state: string, reason?: string }} link */
  #trouble({ member: { id }, state, reason }) {
    if (reason === undefined) return;
    if (this.#troubles.length >= TROUBLES_KEPT) this.#troubles.shift();
    this.#troubles.push(`${Math.floor(now() / 1_000_000) % 1_000} s: ${id} ${state}: ${reason}`);
  }

  /** @param {string} from @param {number} number */
  #hear(from, number) {
    const heard = this.#heard[from];
    if (heard === undefined) {
      this.#heard[from] = { first: number, last: number };
      return;
    }
    if (number !== heard.last + 1) this.#faults.push(`${number} of ${from} after ${heard.last}`);
    heard.last = Math.max(heard.last, number);
  }

  /** Says something so often from now on. @param {number | null} everyMs null: nothing any more */
  async talk(everyMs) {
    const talk = ++this.#talks;
    if (everyMs === null) return;
    const channel = this.#room.channel(CHANNEL);
    while (talk === this.#talks && this.#room.status !== "closed") {
      await new Promise((resolve) => setTimeout(resolve, everyMs));
      if (talk !== this.#talks) return;
      // Counted before it is sent: who is seen to enter while it is under way may, and need not, get it.
      this.#sent += 1;
      await channel.send([this.#sent, now()]);
    }
  }

  /**
   * How long those deliveries took, in ms, that were on their way at any time between these, in µs since 1970.
   *
   * @param {number} since
   * @param {number} until
   */
  delays(since, until) {
    return this.#samples.filter(([came, took]) => came >= since && came - took <= until).map(([, took]) => Math.floor(took / 1_000));
  }

  /** @returns {Report} */
  report() {
    const { self: { id, name }, topology } = this.#room;
    return {
      id, name, topology, sent: this.#sent, heard: this.#heard, owed: this.#owed, gone: this.#gone, links: this.#links(),
      links_max: this.#links_max, faults: this.#faults.slice(0, 16), troubles: this.#troubles,
    };
  }

  #links() {
    return [...this.#room.members.values()].filter(({ link }) => link.state === "open").map(({ id }) => id);
  }
}

/** µs since 1970. */
function now() {
  return Math.round((performance.timeOrigin + performance.now()) * 1_000);
}
