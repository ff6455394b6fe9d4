// @ts-check
// A page that alters what it passes on: nobody believes it, everybody whom it tried it on names it and cuts it off, and what it
// should have brought comes by others.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { assertAllHear, talk } from "../harness/participant.js";
import { Scene, assertQuiet, names } from "../harness/scene.js";
import { describe } from "../harness/values.js";

const scene = Scene.forFile();

const PAGES = 4;
const RUST_MEMBERS = 5;
/** Messages that each says before there is a forger, and in all. */
const BEFORE = 5;
const COUNT = 30;

for (const topology of ["small-world", "tree"]) {
  test(`a page that forges in a ${topology} is named and gone round`, async (t) => {
    const room = scene.room();
    const { pages, all } = await scene.enter(t, room, topology, names("page", PAGES), names("rust", RUST_MEMBERS));
    const isSettled = () => all.every((one) => one.linked.size > 0) && all.some((one) => one.linked.size < all.length - 1);
    for (let wait = 0; wait < 150 && !isSettled(); wait++) await sleep(100);
    assert.ok(isSettled(), "somebody has to pass on");

    await Promise.all(pages.map((page) => page.do("watchPassing")));
    await talk(all, 0, BEFORE);
    await assertAllHear(all, BEFORE);

    const passedOn = await Promise.all(pages.map((page) => page.do("passedOn")));
    const busiest = Math.max(...passedOn);
    assert.ok(busiest > 0, "somebody of the pages passes on");
    const forger = pages[passedOn.indexOf(busiest)];
    await forger.do("forge");
    const honest = all.filter((one) => one !== forger);
    const [speaker] = pages.filter((page) => page !== forger);
    await Promise.all([talk(honest, BEFORE, COUNT), speaker.do("publish", "cursor", 100)]);
    await assertAllHear(honest, COUNT);
    const last = describe({ at: 99, pad: "x".repeat(200) });
    const readers = pages.filter((page) => page !== forger && page !== speaker);
    await Promise.all(readers.map((one) => one.log.entry({ event: "message", channel: "cursor", from: speaker.id, data: last })));

    const named = honest.flatMap(({ log }) => log.entries.filter(({ event, reason }) => event === "link" && reason?.startsWith("forged")));
    assert.ok(named.length > 0, "the forger is named");
    assert.deepEqual([...new Set(named.map(({ member }) => member))], [forger.id], "and nobody else");
    assertQuiet(honest);
  });
}
