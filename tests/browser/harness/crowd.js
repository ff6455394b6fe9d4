// @ts-check
// Many who talk all the time and keep books, and the audit of what they said against what they heard. Rust members of one
// crowd share a process, which can be killed; pages keep the same books.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

import { EventLog, PATIENCE_MS } from "./log.js";
import { BINARY, endWithThisProcess } from "./server.js";

/** @import { Report } from "./book.js" */
/** @import { Page } from "./page.js" */

/** The program of Rust members, built beside the binary. */
const CROWD = BINARY.replace(/roomful$/, "crowd");
/** How often is looked whether something holds. */
const LOOK_MS = 250;
/** What a failed audit shows. */
const SHOWN = 8;

export class Crowd {
  /** Orders are obeyed one after another. @type {Promise<unknown>} */
  #last = Promise.resolve();
  #answers = 0;

  /** @param {import("node:child_process").ChildProcessByStdio<import("node:stream").Writable, import("node:stream").Readable, null>} child */
  constructor(child) {
    this.child = child;
    this.log = new EventLog(`crowd ${child.pid}`);
  }

  /** Starts a process that has no members yet. */
  static start() {
    const child = spawn(CROWD, [], { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, RUST_BACKTRACE: "1" } });
    const crowd = new Crowd(child);
    createInterface({ input: child.stdout }).on("line", (line) => crowd.log.push({ event: "answer", ...JSON.parse(line) }));
    child.stdin.on("error", () => {});
    endWithThisProcess(child);
    child.on("error", (error) => crowd.log.end(`did not start: ${error.message}`));
    child.on("exit", (code, signal) => crowd.log.end(`ended with ${code ?? signal}`));
    return crowd;
  }

  /** @param {string} order @param {unknown} [body] @returns {Promise<any>} */
  order(order, body = {}) {
    const obeyed = this.#last.then(async () => {
      this.child.stdin.write(`${JSON.stringify({ [order]: body })}\n`);
      const place = this.#answers++;
      const answer = await this.log.until(order, (entries) => entries[place], 2 * PATIENCE_MS);
      // Reports are large, and read once.
      this.log.entries[place] = { event: order };
      if (answer.error !== undefined) throw new Error(`${order}: ${answer.error}`);
      return answer;
    });
    this.#last = obeyed.catch(() => {});
    return obeyed;
  }

  /** @param {string} address @param {string[]} names */
  enter(address, names) {
    return this.order("enter", { address, names });
  }

  /** @param {number | null} everyMs */
  talk(everyMs) {
    return this.order("talk", everyMs);
  }

  /** @param {string} topology */
  pin(topology) {
    return this.order("pin", topology);
  }

  /** @returns {Promise<Report[]>} */
  async reports() {
    return (await this.order("report")).report;
  }

  /** How long deliveries took, in ms, that were on their way between these, in µs since 1970. @param {number} since @param {number} until */
  async delays(since, until) {
    return /** @type {number[]} */ ((await this.order("delays", { since, until })).delays);
  }

  /** Those who entered last leave. @param {number} count @returns {Promise<Report[]>} what they said and heard in all */
  async leave(count) {
    return (await this.order("leave", count)).report;
  }

  /** Dies without a word. */
  async kill() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill("SIGKILL");
    await once(this.child, "exit");
  }
}

/** All who talk in a room: crowds, and pages that keep books. */
export class Company {
  /** @type {Set<Crowd>} */
  crowds = new Set();
  /** @type {Set<Page>} */
  pages = new Set();
  /** Final reports of those who left. @type {Report[]} */
  left = [];
  /** Ids of those who were killed. @type {Set<string>} */
  killed = new Set();

  /**
   * Lets members in, each time a fifth of those who are there: newcomers learn from those who were there before where everybody's
   * messages begin.
   * @param {Crowd} crowd
   * @param {string} address
   * @param {string[]} names
   */
  async grow(crowd, address, names) {
    let { length: size } = await this.reports();
    for (let entered = 0; entered < names.length; ) {
      const wave = names.slice(entered, entered + Math.max(1, Math.floor(size / 5)));
      await crowd.enter(address, wave);
      entered += wave.length;
      size += wave.length;
      await this.until("everybody is linked", (all) => all.length === size && all.every(({ links }) => links.length > 0 || size === 1));
    }
  }

  /** @param {number | null} everyMs */
  async talk(everyMs) {
    await Promise.all([
      ...[...this.crowds].map((crowd) => crowd.talk(everyMs)),
      // Talking lasts: it is not waited for.
      ...[...this.pages].map((page) => page.do("startTalking", everyMs)),
    ]);
  }

  /** @returns {Promise<Report[]>} */
  async reports() {
    const all = [...[...this.crowds].map((crowd) => crowd.reports()), ...[...this.pages].map((page) => page.do("report"))];
    return (await Promise.all(all)).flat();
  }

  /**
   * How long deliveries took that were on their way between these times, in ms.
   * @param {number} sinceMs as `Date.now()`
   * @param {number} untilMs
   */
  async delays(sinceMs, untilMs) {
    const [since, until] = [sinceMs * 1_000, untilMs * 1_000];
    const all = [...[...this.crowds].map((crowd) => crowd.delays(since, until)), ...[...this.pages].map((page) => page.do("delays", since, until))];
    return (await Promise.all(all)).flat();
  }

  /**
   * Waits until something holds for what everybody reports.
   * @param {string} what
   * @param {(reports: Report[]) => boolean} holds
   */
  async until(what, holds) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const reports = await this.reports();
      if (holds(reports)) return reports;
      if (Date.now() > deadline) throw new Error(`${what}: not in time;\n  ${describe(reports).join("\n  ")}`);
      await sleep(LOOK_MS);
    }
  }

  /**
   * The room moves, by the wish of `who`, and the links of the old topology are gone.
   * @param {string} topology
   * @param {Crowd | Page} who
   */
  async move(topology, who = [...this.crowds][0]) {
    await ("do" in who ? who.do("pin", topology) : who.pin(topology));
    await this.settle(topology);
  }

  /**
   * The room has moved, and the links of the old topology are gone.
   * @param {string} topology
   */
  async settle(topology) {
    await this.until(`moved to ${topology}`, (reports) => reports.every((report) => report.topology === topology));
    await this.until(`settled as ${topology}`, (reports) => isSettled(topology, reports));
  }

  /** @param {Crowd} crowd all of whose members die at once */
  async kill(crowd) {
    for (const { id } of await crowd.reports()) this.killed.add(id);
    this.crowds.delete(crowd);
    await crowd.kill();
  }

  /** Silence; then everybody must have heard what they are owed, and nothing may have gone wrong. */
  async audit() {
    await this.talk(null);
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const reports = await this.reports();
      const faults = reports.flatMap(({ name, faults }) => faults.map((fault) => `${name}: ${fault}`));
      // What went wrong stays wrong; what is late may come.
      const missing = faults.length > 0 ? [] : findMissing(reports, this.left, this.killed);
      if (faults.length === 0 && missing.length === 0) return reports;
      if (faults.length > 0 || Date.now() > deadline) {
        const shown = [...faults, ...missing].slice(0, SHOWN).join("\n  ");
        const named = [...reports, ...this.left].reduce((text, { id, name }) => text.replaceAll(id, `${id} (${name})`), shown);
        throw new Error(`${faults.length} faults, ${missing.length} missing:\n  ${named}`);
      }
      await sleep(LOOK_MS);
    }
  }
}

/** Those with the fewest links, and with the most. @param {Report[]} reports */
function describe(reports) {
  const line = (/** @type {Report} */ { name, id, topology, links, sent, troubles }) => {
    const linked = new Set(links);
    const lacks = reports.filter((other) => other.id !== id && !linked.has(other.id)).map((other) => `${other.name} (${other.id})`);
    const strangers = links.filter((id) => reports.every((other) => other.id !== id));
    return `${name} (${id}): ${topology}, ${links.length} links, said ${sent}; lacks ${lacks.slice(0, 3)}; strangers ${strangers}; ${troubles.slice(-6).join(", ")}`;
  };
  const ranked = reports.toSorted((a, b) => a.links.length - b.links.length).map(line);
  return ranked.length <= SHOWN ? ranked : [...ranked.slice(0, SHOWN - 1), ...ranked.slice(-1)];
}

/** Few links outside of a mesh: three or so a member; in it, all. @param {string} topology @param {Report[]} reports */
function isSettled(topology, reports) {
  const ends = reports.reduce((sum, { links }) => sum + links.length, 0);
  const others = reports.length - 1;
  return topology === "mesh" ? ends === reports.length * others : ends <= reports.length * Math.min(others, 8);
}

/**
 * What those who are there do not have and should. Of those who live, all from the first that they are owed; of those who
 * left, all that they ever said; of those who were killed, what anybody has.
 * @param {Report[]} reports
 * @param {Report[]} left
 * @param {Set<string>} killed
 */
function findMissing(reports, left, killed) {
  /** @type {string[]} */
  const missing = [];
  for (const listener of reports) {
    for (const speaker of [...reports, ...left]) {
      const owed = speaker.owed[listener.id];
      if (speaker.id === listener.id || owed === undefined || owed > speaker.sent) continue;
      const heard = listener.heard[speaker.id];
      if (heard === undefined || heard.first > owed || heard.last !== speaker.sent) {
        missing.push(`${listener.name} has ${JSON.stringify(heard)} of ${speaker.name}, who said ${owed} to ${speaker.sent}`);
      }
    }
    for (const id of killed) {
      const last = Math.max(...reports.map(({ heard }) => heard[id]?.last ?? 0));
      if ((listener.heard[id]?.last ?? 0) !== last) missing.push(`${listener.name} has ${listener.heard[id]?.last} of ${last} of ${id}, who is dead`);
    }
    for (const [id, why] of Object.entries(listener.gone)) {
      if (!killed.has(id) && !left.some((one) => one.id === id)) missing.push(`${listener.name} counts ${id} as gone: ${why}`);
    }
  }
  return missing;
}
