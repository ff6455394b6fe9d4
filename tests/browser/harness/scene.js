// @ts-check
// A server, a browser, and whoever a test lets in: all of them end with the test.

import { after, before } from "node:test";

import { launch } from "./chromium.js";
import { Member } from "./member.js";
import { Page } from "./page.js";
import { Server } from "./server.js";

/** @import { Browser } from "playwright-core" */
/** @import { TestContext } from "node:test" */
/** @import { Participant } from "./participant.js" */

let rooms = 0;

/** What the tests of one file share. */
export class Scene {
  /** @type {Browser | undefined} */
  #browser;
  /** @type {Server | undefined} */
  #server;

  /** Starts a server and a browser before the tests of a file and ends them after. */
  static forFile() {
    const scene = new Scene();
    before(async () => {
      [scene.#server, scene.#browser] = await Promise.all([Server.start(), launch()]);
    });
    after(async () => {
      await Promise.all([scene.#browser?.close(), scene.#server?.stop()]);
    });
    return scene;
  }

  get browser() {
    if (this.#browser === undefined) throw new Error("the browser starts before the tests");
    return this.#browser;
  }

  get server() {
    if (this.#server === undefined) throw new Error("the server starts before the tests");
    return this.#server;
  }

  /** A room that no other test uses. */
  room() {
    return `room-${++rooms}`;
  }

  /**
   * Opens pages, which are in no room yet.
   * @param {TestContext} t
   * @param {string[]} names
   * @param {string} [origin]
   */
  async pages(t, names, origin = this.server.origin) {
    const pages = await Promise.all(names.map((name) => Page.open(this.browser, origin, name)));
    t.after(() => Promise.all(pages.map((page) => page.close())));
    return pages;
  }

  /**
   * Lets Rust members in.
   * @param {TestContext} t
   * @param {string} address
   * @param {string[]} names
   * @param {string[]} [options] of `roomful join`
   */
  async members(t, address, names, options) {
    const members = await Promise.all(names.map((name) => Member.join(address, name, options)));
    t.after(() => Promise.all(members.map((member) => member.kill())));
    return members;
  }

  /**
   * Lets pages, which read values on "cursor", and Rust members into a room of this topology, until each knows all others.
   * @param {TestContext} t
   * @param {string} room
   * @param {string} topology
   * @param {string[]} inPages their names
   * @param {string[]} inRust
   */
  async enter(t, room, topology, inPages, inRust) {
    const pages = await this.pages(t, inPages);
    await Promise.all(pages.map((page) => page.enter(room, { topology }, { latest: ["cursor"] })));
    const members = await this.members(t, this.server.address(room), inRust, ["--topology", topology]);
    /** @type {Participant[]} */
    const all = [...pages, ...members];
    await Promise.all(all.map((one) => one.log.until("everybody", () => one.roster.size === all.length - 1)));
    return { pages, members, all };
  }
}

/** `count` names that start alike. @param {string} start @param {number} count */
export function names(start, count) {
  return Array.from({ length: count }, (_, at) => `${start}${at + 1}`);
}

/**
 * Nobody saw anything that should not happen in a quiet room.
 * @param {Participant[]} all
 */
export function assertQuiet(all) {
  const unwanted = ["gap", "memberleave", "pageerror", "refused", "close"];
  for (const { name, log } of all) {
    const seen = log.entries.filter(({ event }) => unwanted.includes(event));
    if (seen.length > 0) throw new Error(`${name} saw ${JSON.stringify(seen.slice(0, 3))}`);
  }
}
