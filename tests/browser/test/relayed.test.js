// @ts-check
// Rooms in which browsers and Rust members pass on what others say: each message reaches every other, once and in order, and
// what is said to one reaches that one.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { assertAllHear, talk } from "../harness/participant.js";
import { Scene, assertQuiet, names } from "../harness/scene.js";
import { describe } from "../harness/values.js";

const scene = Scene.forFile();

const PAGES = 6;
const RUST_MEMBERS = 6;
/** Messages that each says. */
const COUNT = 40;

for (const topology of ["small-world", "tree", "star"]) {
  test(`${PAGES} pages and ${RUST_MEMBERS} Rust members of a ${topology} hear each other exactly once, in order`, async (t) => {
    const room = scene.room();
    const { pages, all } = await scene.enter(t, room, topology, names("page", PAGES), names("rust", RUST_MEMBERS));
    await Promise.all(all.map((one) => one.log.until("a link", () => one.linked.size > 0)));
    assert.ok(all.some((one) => one.linked.size < all.length - 1), "somebody has to pass on");

    await talk(all, 0, COUNT);
    await assertAllHear(all, COUNT);

    // The links of the mesh that the room was for a moment go when those of the new plan have taken over.
    const fewest = () => pages.toSorted((a, b) => a.linked.size - b.linked.size);
    for (let wait = 0; wait < 150 && fewest()[0].linked.size >= PAGES - 1; wait++) await sleep(100);
    const [callee, ...callers] = fewest();
    await callee.page.evaluate(() => Reflect.get(globalThis, "inside").answer("add"));
    assert.ok(callers.some((caller) => !caller.linked.has(callee.id)), "somebody calls over others");
    await Promise.all(callers.map(async (caller, n) => assert.equal(await caller.do("call", "add", callee.id, [n, 1]), n + 1)));

    await callee.do("publish", "cursor", 100);
    const last = describe({ at: 99, pad: "x".repeat(200) });
    await Promise.all(callers.map((one) => one.log.entry({ event: "message", channel: "cursor", from: callee.id, data: last })));
    assertQuiet(all);
  });
}
