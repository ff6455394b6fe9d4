// @ts-check
// The example of a mesh over deepstream, as a reader starts it, in several windows: with the client of the tutorials and
// simple-peer as they are.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";

import { crash } from "../harness/chromium.js";
import { EventLog } from "../harness/log.js";
import { Scene } from "../harness/scene.js";
import { endWithThisProcess, freePort } from "../harness/server.js";

/** @import { Page as BrowserPage } from "playwright-core" */
/** @import { TestContext } from "node:test" */

const EXAMPLE = fileURLToPath(new URL("../../../examples/deepstream-mesh/", import.meta.url));
/** How long the others may show somebody whose page has crashed. */
const AT_ONCE_MS = 2_000;

const scene = Scene.forFile();
let origin = "";
let end = () => true;

before(async () => {
  const port = await freePort();
  const log = new EventLog("the example");
  // What `npm start` does there.
  const child = spawn(process.execPath, ["serve.js", String(port)], { cwd: EXAMPLE, stdio: ["ignore", "pipe", "inherit"] });
  endWithThisProcess(child);
  end = () => child.kill();
  createInterface({ input: child.stdout }).on("line", (line) => log.push({ event: "line", line }));
  child.on("exit", (code, signal) => log.end(`ended with ${code ?? signal}`));
  await log.until("its address", (entries) => entries.find(({ line }) => line.includes(`:${port}/`)));
  origin = `http://127.0.0.1:${port}`;
});
after(() => end());

/** A window with the example. */
class Window {
  /** @param {BrowserPage} page */
  constructor(page) {
    this.page = page;
    this.log = new EventLog("a window");
    this.user = "";
  }

  /** @param {TestContext} t */
  static async open(t) {
    const context = await scene.browser.newContext();
    t.after(() => context.close());
    const page = await context.newPage();
    const window = new Window(page);
    await page.exposeBinding("saw", (_source, entry) => window.log.push(entry));
    page.on("pageerror", (error) => window.log.push({ event: "error", text: String(error.stack) }));
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) window.log.push({ event: "error", text: message.text() });
    });
    // Whatever the page shows of others, however shortly.
    await page.addInitScript(() => {
      const saw = Reflect.get(globalThis, "saw");
      const look = (/** @type {Node} */ node) => {
        if (node instanceof HTMLElement && node.dataset.user) void saw({ event: "user", user: node.dataset.user, state: node.dataset.state });
      };
      new MutationObserver((changes) => {
        for (const { target, addedNodes } of changes) [target, ...addedNodes].forEach(look);
      }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-state"] });
    });
    await page.goto(`${origin}/?server=ws://127.0.0.1:${scene.server.port}`);
    await page.waitForFunction(() => document.getElementById("me")?.textContent !== "…");
    window.user = await page.locator("#me").innerText();
    return window;
  }

  /** What it shows of others. @returns {Promise<{ [user: string]: string }>} */
  async others() {
    const rows = await this.page.locator("[data-user]").evaluateAll((rows) => rows.map((row) => ({ .../** @type {HTMLElement} */ (row).dataset })));
    return Object.fromEntries(rows.map(({ user, state }) => [user, state]));
  }

  /** Waits until it shows exactly these, connected. @param {Window[]} windows @param {number} [patienceMs] */
  async isLinkedTo(windows, patienceMs = 30_000) {
    const wanted = Object.fromEntries(windows.filter((window) => window !== this).map(({ user }) => [user, "open"]));
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const others = await this.others();
      if (isDeepStrictEqual(others, wanted)) return;
      if (performance.now() > deadline) assert.deepEqual(others, wanted, `${this.user} after ${patienceMs} ms`);
      await delay(10);
    }
  }

  /** @param {string} text */
  async say(text) {
    await this.page.locator("#text").fill(text);
    await this.page.keyboard.press("Enter");
  }

  /** What others said, in order. @returns {Promise<string[]>} */
  async messages() {
    return (await this.page.locator("#messages li").allInnerTexts()).filter((line) => !line.startsWith("You: "));
  }

  /** Dies as a window does whose process is killed. */
  async crash() {
    await crash(this.page);
  }

  /** Whom it has ever shown. */
  get shown() {
    return new Set(this.log.all("user").map(({ user }) => user));
  }
}

/** @param {Window[]} windows @param {number} [patienceMs] */
async function meshed(windows, patienceMs) {
  await Promise.all(windows.map((window) => window.isLinkedTo(windows, patienceMs)));
}

/** Everybody says something, and each hears each once. @param {Window[]} windows @param {string} round */
async function allHear(windows, round) {
  const before = await Promise.all(windows.map((window) => window.messages()));
  for (const window of windows) await window.say(`${round} of ${window.user}`);
  for (const [at, window] of windows.entries()) {
    const wanted = windows.filter((other) => other !== window).map(({ user }) => `${user}: ${round} of ${user}`);
    const total = before[at].length + wanted.length;
    await window.page.waitForFunction((total) =>
      [...document.querySelectorAll("#messages li")].filter((row) => !row.textContent?.startsWith("You: ")).length >= total, total);
    await delay(50);
    assert.deepEqual((await window.messages()).slice(before[at].length).toSorted(), wanted.toSorted());
  }
}

for (const count of [4, 8]) {
  test(`${count} windows: all meet all, one crashes, one comes`, { timeout: 120_000 }, async (t) => {
    const windows = await Promise.all(Array.from({ length: count }, () => Window.open(t)));
    await meshed(windows);
    await allHear(windows, "first");

    const [crashed, ...rest] = windows;
    await crashed.crash();
    const began = performance.now();
    await meshed(rest, AT_ONCE_MS);
    t.diagnostic(`${count} windows: the crashed one was gone after ${Math.round(performance.now() - began)} ms`);
    await allHear(rest, "second");

    await delay(1_000);
    const late = await Window.open(t);
    const all = [...rest, late];
    await meshed(all);
    await allHear(all, "third");
    assert.ok(!late.shown.has(crashed.user), "nobody tries a ghost");
    assert.deepEqual([...late.shown].toSorted(), rest.map(({ user }) => user).toSorted());

    // One closes its window.
    const [gone, ...stay] = all;
    await gone.page.close({ runBeforeUnload: false });
    await meshed(stay, AT_ONCE_MS);
    for (const { log } of all) assert.deepEqual(log.all("error"), []);
  });
}

test("windows meet again after the server was killed", { timeout: 120_000 }, async (t) => {
  const windows = await Promise.all(Array.from({ length: 3 }, () => Window.open(t)));
  await meshed(windows);
  await scene.server.stop("SIGKILL");
  await allHear(windows, "without a server");
  await scene.server.run();
  const late = await Window.open(t);
  const all = [...windows, late];
  await meshed(all, 60_000);
  await allHear(all, "with another server");
});
