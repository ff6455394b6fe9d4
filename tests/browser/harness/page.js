// @ts-check
// A member in a browser: a page of its own, in a process of its own, that runs inside.js.

import { fileURLToPath } from "node:url";

import { crash } from "./chromium.js";
import { Participant } from "./participant.js";

/** @import { Browser, Page as BrowserPage } from "playwright-core" */

/** Pages of tests lie here: below the server's origin, but never asked of it. */
const FOLDER = "/__inside/";
const HERE = fileURLToPath(new URL(".", import.meta.url));
const HTML = `<!doctype html><title>inside</title><script type="module" src="${FOLDER}inside.js"></script>`;

export class Page extends Participant {
  /**
   * @param {string} name
   * @param {BrowserPage} page
   * @param {string} origin
   */
  constructor(name, page, origin) {
    super(name);
    this.page = page;
    this.origin = origin;
  }

  /**
   * Opens a page that can {@link enter} rooms of a server.
   * @param {Browser} browser
   * @param {string} origin of the server, or of what stands before it
   * @param {string} name
   */
  static async open(browser, origin, name) {
    // A context for each: pages of one context may share a process, and one of them may have to crash.
    const context = await browser.newContext();
    const page = await context.newPage();
    const opened = new Page(name, page, origin);
    const { log } = opened;
    await page.exposeBinding("report", (_source, entry) => log.push(entry));
    page.on("console", (message) => log.push({ event: "console", type: message.type(), text: message.text() }));
    page.on("pageerror", (error) => log.push({ event: "pageerror", text: String(error.stack) }));
    await page.route(`${origin}${FOLDER}**`, (route) => {
      const file = new URL(route.request().url()).pathname.slice(FOLDER.length);
      return file === ""
        ? route.fulfill({ contentType: "text/html", body: HTML })
        : route.fulfill({ contentType: "text/javascript", path: `${HERE}${file}` });
    });
    await opened.load();
    return opened;
  }

  async load() {
    await this.page.goto(`${this.origin}${FOLDER}`);
    await this.page.waitForFunction(() => "inside" in globalThis);
  }

  /**
   * Does something inside.
   * @param {string} method of inside.js
   * @param {...unknown} args
   * @returns {Promise<any>}
   */
  do(method, ...args) {
    return this.page.evaluate(([method, args]) => Reflect.get(globalThis, "inside")[method](...args), /** @type {const} */ ([method, args]));
  }

  /**
   * Enters a room; it is in when this is done.
   * @param {string} room
   * @param {{ name?: string, token?: string, topology?: string }} [options] as `join` takes them
   * @param {{ reads?: boolean, latest?: string[], book?: boolean }} [habits]
   */
  async enter(room, options = {}, habits = {}) {
    await this.do("enter", `${this.origin}/${room}`, { name: this.name, ...options }, habits);
    await this.joined();
  }

  /** @param {unknown} value */
  async say(value) {
    await this.do("say", value);
  }

  /**
   * Waits for each send inside, without asking from here.
   * @param {number} from
   * @param {number} until
   */
  async saySamples(from, until) {
    await this.do("saySamples", this.name, from, until);
  }

  /** Dies as a tab does whose process is killed: no handlers, no close frames. */
  async crash() {
    await crash(this.page);
    this.log.end("crashed");
  }

  async close() {
    await this.page.context().close();
    this.log.end("closed");
  }
}
