// @ts-check
// deepstream's clients in pages, as their users have them: bundles from npm, nothing set. The newer one above all, and
// beside it the older one, with which it shares everything.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { DeepstreamPage, WIRES } from "../harness/deepstream.js";
import { PATIENCE_MS } from "../harness/log.js";
import { Scene } from "../harness/scene.js";

/** @import { TestContext } from "node:test" */
/** @import { Wire } from "../harness/deepstream.js" */

/** How long the others may show somebody whose page has crashed. */
const AT_ONCE_MS = 2_000;
/** Pages share a machine, but not a tick: they agree on a time this far ahead. */
const AHEAD_MS = 500;
/** Clients of a page, where there are many. */
const CLIENTS = 8;

const scene = Scene.forFile();
let names = 0;

/** A name that no other test uses. @param {string} start */
const unique = (start) => `${start}/${++names}`;

/** @param {string} start @param {number} count */
const entries = (start, count) => Array.from({ length: count }, (_, at) => `${start}-${at}`);

/** Pages, each with a client of its kind. @param {TestContext} t @param {Wire[]} wires @param {string} start */
function enter(t, wires, start) {
  return Promise.all(wires.map((wire, at) => DeepstreamPage.enter(t, scene, wire, `${start}-${at}`)));
}

/** Waits until something holds in a page. @param {string} what @param {() => Promise<boolean>} holds */
async function eventually(what, holds) {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${PATIENCE_MS} ms`);
    await delay(20);
  }
}

/** Nothing went wrong in any. @param {DeepstreamPage[]} pages */
function assertNoErrors(pages) {
  for (const { name, log } of pages) assert.deepEqual(log.all("error"), [], name);
}

/** Waits until who is subscribed hears, which the newer client tells the server a moment later. @param {DeepstreamPage} from @param {DeepstreamPage} to @param {string} name */
async function reaches(from, to, name) {
  const knock = `knock-${++names}`;
  await eventually(`${name} from ${from.name} to ${to.name}`, async () => {
    await from.do("emit", name, knock);
    await delay(20);
    return to.log.all("heard").some(({ data }) => data === knock);
  });
}

// Pages of the newer client, and of both.
/** @type {[string, [Wire, Wire]][]} */
const PAIRS = [
  ["protobuf and protobuf", ["protobuf", "protobuf"]],
  ["protobuf and text", ["protobuf", "text"]],
  ["text and protobuf", ["text", "protobuf"]],
];

for (const [kinds, wires] of PAIRS) {
  test(`events, records and calls between pages (${kinds})`, { timeout: 120_000 }, async (t) => {
    const pages = await enter(t, wires, unique("page"));
    const [one, other] = pages;

    const event = unique("event");
    await other.do("hear", event);
    await reaches(one, other, event);
    const values = ["text", 7, -0.5, true, null, ["a", { b: [] }], { "ключ": "🎈 \" \\ \u0001" }];
    for (const value of values) await one.do("emit", event, value);
    const heard = await other.log.until("all values", () => {
      const heard = other.log.all("heard").map(({ data }) => data).filter((data) => typeof data !== "string" || !data.startsWith("knock"));
      return heard.length >= values.length && heard;
    });
    assert.deepEqual(heard, values, "each once, in order, as it was");
    await other.do("hearNoMore", event);

    const name = unique("record");
    await other.do("watch", name, "player.position");
    await one.do("write", name, "player", { name: "Ada", position: { x: 1, y: 2 } });
    await other.log.entry({ event: "value", value: '{"x":1,"y":2}' });
    await one.do("write", name, "player.position.x", 5);
    await other.log.entry({ event: "value", value: '{"x":5,"y":2}' });
    await other.do("write", name, "player.name", "Grace");
    const whole = { player: { name: "Grace", position: { x: 5, y: 2 } } };
    await eventually("the first has it all", async () => (await one.do("read", name)).player.name === "Grace");
    assert.deepEqual(await one.do("read", name), whole);
    assert.deepEqual(await one.do("snapshot", name), whole);

    const sum = unique("sum");
    assert.deepEqual(await one.do("call", sum, [1, 2]), { error: "NO_RPC_PROVIDER" });
    await other.do("provide", sum);
    await eventually("an answer", async () => (await one.do("call", sum, [1, 2, 3])).answer === 6);
    assert.deepEqual(await one.do("call", sum, "error"), { error: "as asked" });
    assert.deepEqual(await one.do("call", sum, "reject"), { error: "NO_RPC_PROVIDER" });
    // Its page gone, nobody answers, and nobody waits for an answer.
    await other.crash();
    await eventually("no provider", async () => (await one.do("call", sum, [1])).error === "NO_RPC_PROVIDER");
    assertNoErrors(pages);
  });
}

/** @type {[string, (at: number) => Wire][]} */
const CROWDS = [
  ["protobuf", () => "protobuf"],
  ["text", () => "text"],
  ["both", (at) => WIRES[at % 2]],
];

for (const [kind, wire] of CROWDS) {
  test(`32 clients in pages add an entry in one tick, and 16 remove one (${kind})`, { timeout: 120_000 }, async (t) => {
    const pages = await Promise.all([0, 1, 2, 3, 4, 5].map(async (at) => {
      const page = await DeepstreamPage.open(t, scene, `page-${at}`);
      for (let n = 0; n < CLIENTS; n++) await page.do("enter", wire(at), `ws://127.0.0.1:${scene.server.port}`, undefined);
      return page;
    }));
    const name = unique("crowd");
    await Promise.all(pages.map((page) => page.do("openList", name)));
    const agree = async (/** @type {string[]} */ wanted) => {
      const sorted = JSON.stringify(wanted.toSorted());
      /** @type {string[]} */
      let seen = [];
      await eventually(`all have ${wanted.length} entries`, async () => {
        const all = (await Promise.all(pages.map((page) => page.do("entries", name)))).flat();
        seen = all.map((entries) => JSON.stringify(entries));
        return all.every((entries) => JSON.stringify(entries.toSorted()) === sorted);
      });
      assert.equal(new Set(seen).size, 1, "in one order");
    };

    // Four pages of eight add, the other two look on.
    const own = entries("own", 32);
    await Promise.all(pages.slice(0, 4).map((page, at) =>
      page.do("change", name, own.slice(at * CLIENTS, (at + 1) * CLIENTS).map((add) => ({ add })), Date.now() + AHEAD_MS)));
    await agree(own);

    // These remove what they have added, half of them, while 32 others add.
    const later = entries("later", 32);
    const changes = [...later.map((add) => ({ add })), ...own.slice(0, 16).map((remove) => ({ remove }))];
    await Promise.all(pages.map((page, at) =>
      page.do("change", name, changes.slice(at * CLIENTS, (at + 1) * CLIENTS), Date.now() + AHEAD_MS)));
    await agree([...own.slice(16), ...later]);
    assertNoErrors(pages);
  });
}

test("who is here, and who has crashed (protobuf)", { timeout: 120_000 }, async (t) => {
  const start = unique("user").replace("/", "-");
  const pages = await enter(t, ["protobuf", "protobuf", "protobuf", "text"], start);
  const [crashes, watches, comes, older] = pages;
  const list = "rooms/presence";
  await Promise.all([watches, older].map((page) => page.do("watchUsers")));
  await Promise.all(pages.map((page) => page.do("takePart", list, page.name)));
  const everybody = pages.map(({ name }) => name).toSorted();
  await Promise.all(pages.map((page) => page.log.until("all in the list", () =>
    JSON.stringify(page.log.all("list").at(-1)?.entries.toSorted()) === JSON.stringify(everybody))));
  assert.deepEqual((await watches.do("users")).toSorted(), everybody.filter((name) => name !== watches.name));
  // What the newer client is to watch it tells the server a moment later; somebody who comes is seen from then on.
  const late = await DeepstreamPage.enter(t, scene, "protobuf", `${start}-late`);
  for (const page of [watches, older]) await page.log.entry({ event: "presence", user: late.name, here: true });

  const began = performance.now();
  await crashes.crash();
  const left = everybody.filter((name) => name !== crashes.name);
  const rest = [watches, comes, older];
  await Promise.all(rest.map((page) => page.log.until("off the list", () =>
    JSON.stringify(page.log.all("list").at(-1)?.entries.toSorted()) === JSON.stringify(left), AT_ONCE_MS)));
  for (const page of [watches, older]) await page.log.entry({ event: "presence", user: crashes.name, here: false }, AT_ONCE_MS);
  t.diagnostic(`gone after ${Math.round(performance.now() - began)} ms`);
  assert.ok(!(await late.do("users")).includes(crashes.name));
  assertNoErrors(pages);
});

test("pages have everything again after the server was killed (protobuf)", { timeout: 180_000 }, async (t) => {
  const start = unique("back").replace("/", "-");
  const pages = await enter(t, ["protobuf", "protobuf", "text"], start);
  const [one, other] = pages;
  const [event, sum, list] = [unique("event"), unique("sum"), "rooms/back"];
  await Promise.all(pages.flatMap((page) => [page.do("hear", event), page.do("watchUsers"), page.do("takePart", list, page.name)]));
  await other.do("provide", sum);
  await reaches(one, other, event);
  const everybody = JSON.stringify(pages.map(({ name }) => name).toSorted());
  const inList = (/** @type {DeepstreamPage} */ page, since = 0) => page.log.until("all in the list", (all) =>
    all.slice(since).some(({ event, entries }) => event === "list" && JSON.stringify(entries.toSorted()) === everybody));
  await Promise.all(pages.map((page) => inList(page)));

  await scene.server.stop("SIGKILL");
  await Promise.all(pages.map((page) => page.log.entry({ event: "state", state: "RECONNECTING" })));
  const since = pages.map(({ log }) => log.entries.length);
  await scene.server.run();
  await Promise.all(pages.map((page, at) => page.log.until("open again", (all) =>
    all.slice(since[at]).some(({ event, state }) => event === "state" && state === "OPEN"))));
  await Promise.all(pages.map((page, at) => inList(page, since[at])));
  for (const from of pages) for (const to of pages) if (from !== to) await reaches(from, to, event);
  await one.do("emit", event, "after");
  // A client's own events come back to it without the server.
  await Promise.all(pages.map((page) => page.log.entry({ event: "heard", data: "after" })));
  await eventually("an answer", async () => (await one.do("call", sum, [4, 5])).answer === 9);
  const late = await DeepstreamPage.enter(t, scene, "protobuf", `${start}-late`);
  for (const page of pages) await page.log.entry({ event: "presence", user: late.name, here: true });
  await delay(100);
  for (const { name, log } of pages) {
    const times = log.all("heard").filter(({ data }) => data === "after").length;
    assert.equal(times, 1, `${name} hears each event once`);
    // That the connection broke they may say, and what the browser has to say to it.
    const isLoss = /WebSocket connection to .* failed/;
    const others = log.all("error").filter(({ code, text }) => !["CONNECTION_ERROR", "connectionError"].includes(code) && !isLoss.test(text));
    assert.deepEqual(others, [], name);
  }
});
