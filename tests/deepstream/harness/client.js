// @ts-check
// deepstream's own clients, both, as one: whatever a test does, it does with either.

import { createRequire } from "node:module";
import { setTimeout as delay } from "node:timers/promises";

import { DeepstreamClient } from "@deepstream/client";

import { EventLog } from "../../browser/harness/log.js";

/** @import { Entry } from "../../browser/harness/log.js" */

/** @typedef {"text" | "protobuf"} Wire */

/**
 * A record of either client.
 * @typedef {object} Record
 * @property {string} name
 * @property {number} version
 * @property {boolean} isReady
 * @property {boolean} hasProvider
 * @property {(path?: string) => any} get
 * @property {(...args: any[]) => void} set
 * @property {(...args: any[]) => void} subscribe
 * @property {(strategy: (...args: any[]) => void) => void} setMergeStrategy
 * @property {() => void} discard
 * @property {() => unknown} delete
 * @property {(callback: () => void) => void} whenReady
 * @property {(event: string, callback: (...args: any[]) => void) => void} on
 */

/**
 * A list of either client.
 * @typedef {object} List
 * @property {string} name
 * @property {() => string[]} getEntries
 * @property {(entries: string[], done?: (error: any) => void) => void} setEntries
 * @property {(entry: string, index?: number, done?: (error: any) => void) => void} addEntry
 * @property {(entry: string, index?: number, done?: (error: any) => void) => void} removeEntry
 * @property {() => boolean} isEmpty
 * @property {(callback: (entries: string[]) => void) => void} subscribe
 * @property {() => void} discard
 * @property {() => unknown} delete
 * @property {(callback: () => void) => void} whenReady
 * @property {(event: string, callback: (...args: any[]) => void) => void} on
 */

/**
 * How a provider deals with a call.
 * @typedef {object} Call
 * @property {any} data
 * @property {(data: any) => void} send
 * @property {(text: string) => void} error
 * @property {() => void} reject
 * @property {() => void} accept
 */

/**
 * What a client is to be like.
 * @typedef {object} Habits
 * @property {string} [address] of the server, or of what stands before it
 * @property {string} [path] of the address; that of its protocol if not said
 * @property {Partial<import("@deepstream/client/dist/src/client-options.js").Options>} [options] of the client
 */

/** Both kinds of client. @type {Wire[]} */
export const WIRES = ["text", "protobuf"];

/** What a client waits for is there by then, however busy the machine. */
const PATIENCE_MS = 10_000;
/** What subscriptions are collected for before they are sent, by the newer client; its own default is 100. */
const SUBSCRIPTION_INTERVAL_MS = 5;

const legacy = createRequire(import.meta.url)("deepstream.io-client-js");

export class Client {
  /** Names of errors that the test expects. @type {Set<string>} */
  #expected = new Set();
  #isClosed = false;

  /**
   * Connects, and does not log in.
   * @param {import("./server.js").Server} server
   * @param {Wire} wire
   * @param {Habits} [habits]
   */
  constructor(server, wire, { address = server.ws, path, options } = {}) {
    this.wire = wire;
    this.log = new EventLog(`a ${wire} client`);
    const timers = { reconnectIntervalIncrement: 50, maxReconnectInterval: 250, maxReconnectAttempts: 200 };
    const url = address + (path ?? (wire === "text" ? "/deepstream-v3" : "/deepstream"));
    /** The client itself: one or the other. @type {any} */
    this.raw = wire === "text"
      ? legacy(url, { silentDeprecation: true, ...timers, ...options })
      : new DeepstreamClient(url, {
          ...timers,
          // Without this it looks at its timers every 50 ms.
          nativeTimerRegistry: true,
          subscriptionInterval: SUBSCRIPTION_INTERVAL_MS,
          recordDiscardTimeout: 20,
          ...options,
        });
    this.raw.on("error", (/** @type {any} */ text, /** @type {string} */ code, /** @type {string} */ topic) =>
      this.log.push({ event: "error", code, topic, text: typeof text === "string" ? text : JSON.stringify(text) }));
    this.raw.on("connectionStateChanged", (/** @type {string} */ state) => this.log.push({ event: "state", state: stateName(state) }));
  }

  // ---- login ---------------------------------------------------------------------------------------------------------

  /**
   * Logs in; tells whether it worked, and what the server said.
   * @param {object} [data]
   * @returns {Promise<{ success: boolean, data: any }>}
   */
  login(data = {}) {
    return new Promise((resolve) => {
      this.raw.login(data, (/** @type {boolean} */ success, /** @type {any} */ data) =>
        resolve({ success, data: this.wire === "protobuf" && !success ? data?.reason : data }));
    });
  }

  /** Where its connection is: `OPEN`, `CLOSED`, … */
  get state() {
    return stateName(this.raw.getConnectionState());
  }

  /** @param {string} state */
  reaches(state) {
    return this.log.until(`state ${state}`, () => this.state === state, PATIENCE_MS);
  }

  close() {
    if (!this.#isClosed) this.raw.close();
    this.#isClosed = true;
  }

  // ---- what it saw ---------------------------------------------------------------------------------------------------

  /**
   * Waits for an entry of its log with these fields.
   * @param {Partial<Entry>} fields
   */
  sees(fields) {
    return this.log.entry(fields, PATIENCE_MS);
  }

  /**
   * Waits until it saw so many of a kind.
   * @param {string} event
   * @param {number} count
   */
  seesMany(event, count) {
    return this.log.until(`${count} of ${event}`, () => {
      const all = this.log.all(event);
      return all.length >= count && all;
    }, PATIENCE_MS);
  }

  /**
   * Waits until something about this client holds that its log says nothing of.
   * @param {string} what
   * @param {() => unknown} holds
   */
  async eventually(what, holds) {
    const deadline = Date.now() + PATIENCE_MS;
    while (!holds()) {
      if (Date.now() > deadline) throw new Error(`${this.log.owner}: ${what}: not within ${PATIENCE_MS} ms`);
      await delay(5);
    }
  }

  /**
   * Waits for an error, which then counts as part of the test.
   * @param {string} code
   */
  async errs(code) {
    this.mayErr(code);
    return this.sees({ event: "error", code });
  }

  /**
   * Errors that may come.
   * @param {...string} codes
   */
  mayErr(...codes) {
    for (const code of codes) this.#expected.add(code);
  }

  /** It may lose its connection, and say so. */
  mayLoseConnection() {
    this.mayErr("connectionError", "CONNECTION_ERROR");
  }

  /** Waits until it has lost its connection and has it again. */
  async reconnects() {
    await this.log.until("reconnecting", (entries) => {
      const lost = entries.findLastIndex(({ event, state }) => event === "state" && state === "RECONNECTING");
      return lost >= 0 && entries.slice(lost).some(({ event, state }) => event === "state" && state === "OPEN");
    }, PATIENCE_MS);
  }

  /** Errors that nobody expected. */
  get errors() {
    return this.log.all("error").filter(({ code }) => !this.#expected.has(code));
  }

  /** Waits until everything that it has asked for so far is known to the server. */
  async settled() {
    if (this.wire === "protobuf") await delay(3 * SUBSCRIPTION_INTERVAL_MS);
    await this.users();
  }

  // ---- events --------------------------------------------------------------------------------------------------------

  /**
   * Subscribes to events, which are logged.
   * @param {...string} names
   */
  async hears(...names) {
    for (const name of names) {
      this.raw.event.subscribe(name, (/** @type {any} */ data) => this.log.push({ event: "event", name, data }));
    }
    await this.settled();
  }

  /** @param {string} name @param {any} [data] */
  emit(name, data) {
    this.raw.event.emit(name, data);
  }

  // ---- records -------------------------------------------------------------------------------------------------------

  /**
   * A record, when it is there.
   * @param {string} name
   * @returns {Promise<Record>}
   */
  async record(name) {
    /** @type {Record} */
    const record = this.raw.record.getRecord(name);
    await new Promise((resolve) => record.whenReady(() => resolve(undefined)));
    return record;
  }

  /**
   * A list, when it is there.
   * @param {string} name
   * @returns {Promise<List>}
   */
  async list(name) {
    /** @type {List} */
    const list = this.raw.record.getList(name);
    await new Promise((resolve) => list.whenReady(() => resolve(undefined)));
    return list;
  }

  /**
   * Writes, and waits for the acknowledgement.
   * @param {Record} record
   * @param {[data: object] | [path: string, data: any]} change
   */
  async setAndKnow(record, ...change) {
    await written((done) => record.set(...change, done));
  }

  /**
   * Writes to a record without opening it, and waits for the acknowledgement.
   * @param {string} name
   * @param {[data: object] | [path: string, data: any]} change
   */
  async setData(name, ...change) {
    await written((done) => this.raw.record.setData(name, ...change, done));
  }

  /**
   * Merges by itself what conflicts.
   * @param {Record} record
   * @param {(mine: any, theirs: any) => any} merge
   */
  merges(record, merge) {
    record.setMergeStrategy(this.wire === "text"
      ? (mine, theirs, _version, done) => done(null, merge(mine.get(), theirs))
      : (mine, _mineVersion, theirs, _theirVersion, done) => done(null, merge(mine, theirs)));
  }

  /** @param {string} name @returns {Promise<any>} */
  snapshot(name) {
    return new Promise((resolve, reject) =>
      this.raw.record.snapshot(name, (/** @type {any} */ error, /** @type {any} */ data) => (error ? reject(error) : resolve(data))));
  }

  /** @param {string} name @returns {Promise<boolean>} */
  has(name) {
    return this.raw.record.has(name);
  }

  /** @param {string} name @returns {Promise<number>} */
  head(name) {
    return this.raw.record.head(name);
  }

  /**
   * Deletes a record or a list, and waits until that is done.
   * @param {Record | List} record
   */
  async delete(record) {
    const deleted = new Promise((resolve) => record.on("delete", resolve));
    const done = record.delete();
    if (this.wire === "protobuf") await done;
    else await deleted;
  }

  // ---- listening -----------------------------------------------------------------------------------------------------

  /**
   * Listens: what is asked is logged as `wanted`, what ends as `unwanted`.
   * @param {"event" | "record"} topic
   * @param {string} pattern
   * @param {"accept" | "reject" | "neither" | ((name: string) => boolean)} [answer]
   */
  async listens(topic, pattern, answer = "accept") {
    const respond = (/** @type {string} */ name, /** @type {any} */ response) => {
      this.log.push({ event: "wanted", topic, pattern, name });
      if (answer === "neither") return;
      const accepts = typeof answer === "function" ? answer(name) : answer === "accept";
      if (accepts) response.accept();
      else response.reject();
    };
    const stop = (/** @type {string} */ name) => this.log.push({ event: "unwanted", topic, pattern, name });
    if (this.wire === "text") {
      this.raw[topic].listen(pattern, (/** @type {string} */ name, /** @type {boolean} */ isWanted, /** @type {any} */ response) =>
        isWanted ? respond(name, response) : stop(name));
    } else {
      this.raw[topic].listen(pattern, (/** @type {string} */ name, /** @type {any} */ response) => {
        response.onStop(stop);
        respond(name, response);
      });
    }
    await this.settled();
  }

  /** @param {"event" | "record"} topic @param {string} pattern */
  async listensNoMore(topic, pattern) {
    this.raw[topic].unlisten(pattern);
    await this.settled();
  }

  // ---- presence ------------------------------------------------------------------------------------------------------

  /** The names of all users but its own. @returns {Promise<string[]>} */
  users() {
    if (this.wire === "protobuf") return this.raw.presence.getAll();
    return new Promise((resolve) => this.raw.presence.getAll(resolve));
  }

  /** Which of these are here. @param {string[]} names @returns {Promise<{ [name: string]: boolean }>} */
  async areHere(names) {
    if (this.wire === "protobuf") return this.raw.presence.getAll(names);
    return new Promise((resolve) => this.raw.presence.getAll(names, resolve));
  }

  /**
   * Watches users come and go, which is logged as `presence`.
   * @param {string} [user] everybody if not said
   */
  async watches(user) {
    const saw = (/** @type {string} */ user, /** @type {boolean} */ here, /** @type {boolean} */ all) =>
      this.log.push({ event: "presence", user, here, all });
    if (user === undefined) {
      this.raw.presence.subscribe((/** @type {string} */ user, /** @type {boolean} */ here) => saw(user, here, true));
    } else if (this.wire === "protobuf") {
      this.raw.presence.subscribe(user, (/** @type {string} */ user, /** @type {boolean} */ here) => saw(user, here, false));
    } else {
      this.raw.presence.subscribe(user, (/** @type {boolean} */ here, /** @type {string} */ user) => saw(user, here, false));
      // It sends individual subscriptions a moment later.
      await delay(5);
    }
    await this.settled();
  }

  /** @param {string} [user] */
  async watchesNoMore(user) {
    if (user === undefined) this.raw.presence.unsubscribe();
    else this.raw.presence.unsubscribe(user);
    if (this.wire === "text") await delay(5);
    await this.settled();
  }

  // ---- calls ---------------------------------------------------------------------------------------------------------

  /**
   * Answers calls, which are logged as `call`.
   * @param {string} name
   * @param {(call: Call) => void} answer
   * @param {{ accepts?: boolean }} [habits] `accepts: false`: not by itself
   */
  async provides(name, answer, { accepts = true } = {}) {
    this.raw.rpc.provide(name, (/** @type {any} */ data, /** @type {any} */ response) => {
      this.log.push({ event: "call", name, data });
      if (!accepts) response[this.wire === "text" ? "autoAck" : "autoAccept"] = false;
      answer({
        data,
        send: (data) => response.send(data),
        error: (text) => response.error(text),
        reject: () => response.reject(),
        accept: () => (this.wire === "text" ? response.ack() : response.accept()),
      });
    });
    await this.settled();
  }

  /** @param {string} name */
  async providesNoMore(name) {
    this.raw.rpc.unprovide(name);
    await this.settled();
  }

  /**
   * Calls; the promise is rejected with what went wrong.
   * @param {string} name
   * @param {any} [data]
   * @returns {Promise<any>}
   */
  call(name, data) {
    return this.raw.rpc.make(name, data);
  }
}

/** @param {(done: (error: any) => void) => void} write */
function written(write) {
  return new Promise((resolve, reject) => write((error) => (error === null || error === undefined ? resolve(undefined) : reject(error))));
}

/** The older client's names are written otherwise. @param {string} state */
function stateName(state) {
  return state.toUpperCase().replaceAll(" ", "_");
}
