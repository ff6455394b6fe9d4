// @ts-check
// Pages with deepstream's own clients: both, as npm has them for browsers, from script tags.

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { crash } from "./chromium.js";
import { EventLog } from "./log.js";

/** @import { BrowserContext, Page as BrowserPage } from "playwright-core" */
/** @import { TestContext } from "node:test" */
/** @import { Scene } from "./scene.js" */

/** @typedef {"text" | "protobuf"} Wire */

/** Both kinds of client. @type {Wire[]} */
export const WIRES = ["text", "protobuf"];

/** Pages lie here: below the server's origin, but never asked of it. */
const FOLDER = "/__deepstream/";
const { resolve } = createRequire(new URL("../../deepstream/package.json", import.meta.url));
/** What there is in it, but for the page. @type {{ [name: string]: string | undefined }} */
const FILES = {
  "legacy.js": resolve("deepstream.io-client-js/dist/deepstream.js"),
  "client.js": resolve("@deepstream/client/dist/bundle/ds.min.js"),
  "inside.js": fileURLToPath(new URL("inside-deepstream.js", import.meta.url)),
};
const HTML = `<!doctype html><title>deepstream</title><link rel="icon" href="data:,">
  <script src="legacy.js"></script><script src="client.js"></script><script type="module" src="inside.js"></script>`;

export class DeepstreamPage {
  /**
   * @param {string} name
   * @param {BrowserPage} page
   */
  constructor(name, page) {
    this.name = name;
    this.page = page;
    this.log = new EventLog(name);
  }

  /**
   * Opens a page, in which there is no client yet.
   * @param {TestContext} t
   * @param {Scene} scene
   * @param {string} name
   */
  static async open(t, scene, name) {
    // A context for each: pages of one context may share a process, and one of them may have to crash.
    const context = await scene.browser.newContext();
    t.after(() => context.close());
    return DeepstreamPage.#load(context, scene.server.origin, name);
  }

  /** @param {BrowserContext} context @param {string} origin @param {string} name */
  static async #load(context, origin, name) {
    const page = await context.newPage();
    const opened = new DeepstreamPage(name, page);
    const { log } = opened;
    await page.exposeBinding("report", (_source, entry) => log.push(entry));
    page.on("pageerror", (error) => log.push({ event: "error", text: String(error.stack) }));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) log.push({ event: "error", text: message.text() });
    });
    await page.route(`${origin}${FOLDER}**`, (route) => {
      const name = new URL(route.request().url()).pathname.slice(FOLDER.length);
      const path = Object.hasOwn(FILES, name) ? FILES[name] : undefined;
      if (name === "") return route.fulfill({ contentType: "text/html", body: HTML });
      return path === undefined ? route.fulfill({ status: 404 }) : route.fulfill({ contentType: "text/javascript", path });
    });
    await page.goto(`${origin}${FOLDER}`);
    await page.waitForFunction(() => "inside" in globalThis);
    return opened;
  }

  /**
   * Opens a page with a client that is logged in under the page's name.
   * @param {TestContext} t
   * @param {Scene} scene
   * @param {Wire} wire
   * @param {string} name
   */
  static async enter(t, scene, wire, name) {
    const page = await DeepstreamPage.open(t, scene, name);
    await page.do("enter", wire, `ws://127.0.0.1:${scene.server.port}`, name);
    return page;
  }

  /**
   * Does something inside.
   * @param {string} method of inside-deepstream.js
   * @param {...unknown} args
   * @returns {Promise<any>}
   */
  do(method, ...args) {
    return this.page.evaluate(([method, args]) => Reflect.get(globalThis, "inside")[method](...args), /** @type {const} */ ([method, args]));
  }

  /** Dies as a tab does whose process is killed: no handlers, no close frames. */
  async crash() {
    await crash(this.page);
    this.log.end("crashed");
  }
}
