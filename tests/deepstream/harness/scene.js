// @ts-check
// A server and whoever a test lets in: all of them end with the test, and none may have logged an error.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Client, WIRES } from "./client.js";
import { atEnd } from "./ending.js";
import { Server } from "./server.js";

/** @import { TestContext } from "node:test" */
/** @import { Habits, Wire } from "./client.js" */
/** @import { Options, Settings } from "./server.js" */

/** What clients wrote to the console. @type {string[]} */
const warnings = [];
console.warn = (...words) => void warnings.push(words.join(" "));

let names = 0;

/** What the tests of one file share. */
export class Scene {
  /** @type {Server | undefined} */
  #server;
  /** @type {string[]} */
  #mayWarn = [];

  /**
   * Starts a server before the tests of a file and ends it after.
   * @param {Settings} [settings]
   */
  static forFile(settings) {
    const scene = new Scene();
    before(async () => {
      scene.#server = await Server.from(settings);
    });
    after(() => scene.#server?.stop("SIGKILL"));
    return scene;
  }

  get server() {
    if (this.#server === undefined) throw new Error("the server starts before the tests");
    return this.#server;
  }

  /** Clients may write lines with this word to the console. @param {string} word */
  mayWarn(word) {
    this.#mayWarn.push(word);
  }

  /** A name that no other test uses. @param {string} [start] */
  name(start = "name") {
    return `${start}/${++names}`;
  }

  /**
   * A client that is logged in.
   * @param {TestContext} t
   * @param {Wire} wire
   * @param {{ user?: string, server?: Server } & Habits} [as]
   */
  async client(t, wire, { user, server = this.server, ...habits } = {}) {
    const client = this.stranger(t, wire, { server, ...habits });
    const { success } = await client.login(user === undefined ? {} : { username: user });
    assert.ok(success, "the login works");
    return client;
  }

  /**
   * A client that is not logged in.
   * @param {TestContext} t
   * @param {Wire} wire
   * @param {{ server?: Server } & Habits} [as]
   */
  stranger(t, wire, { server = this.server, ...habits } = {}) {
    const client = new Client(server, wire, habits);
    atEnd(t, () => {
      client.close();
      assert.deepEqual(client.errors, [], `errors of ${client.log.owner}`);
      const unwanted = warnings.splice(0).filter((line) => !this.#mayWarn.some((word) => line.includes(word)));
      assert.deepEqual(unwanted, [], "what clients wrote to the console");
    });
    return client;
  }

  /** @param {TestContext} t @param {Wire[]} wires */
  clients(t, wires) {
    return Promise.all(wires.map((wire) => this.client(t, wire)));
  }
}

/**
 * A test for each kind of client.
 * @param {string} title
 * @param {Options | undefined} options
 * @param {(t: TestContext, wire: Wire) => Promise<void>} body
 */
export function each(title, options, body) {
  for (const wire of WIRES) test(`${title} (${wire})`, only(options, [wire]), (t) => body(t, wire));
}

/**
 * A test for clients of each kind before others of each kind.
 * @param {string} title
 * @param {Options | undefined} options
 * @param {(t: TestContext, wires: [Wire, Wire]) => Promise<void>} body
 */
export function pairs(title, options, body) {
  for (const one of WIRES) {
    for (const other of WIRES) test(`${title} (${one}, ${other})`, only(options, [one, other]), (t) => body(t, [one, other]));
  }
}

/** @param {Options | undefined} options @param {Wire[]} wires */
function only({ skip, wire } = {}, wires) {
  return { skip: (wire === undefined || wires.includes(wire)) && skip };
}
