// @ts-check
// A page that alters what it passes on: nobody believes it, everybody whom it tried it on names it and cuts it off, and what it
// should have brought comes by others.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Scene, assertQuiet, names } from "../harness/scene.js";
import { describe, sample } from "../harness/values.js";

const scene = Scene.forFile();

const PAGES = 4;
const RUST_MEMBERS = 5;
/** Messages that each says. */
const COUNT = 30;

for (const topology of ["small-world", "tree"]) {
  test(`a page that forges in a ${topology} is named and gone round`, async (t) => {
    const room = scene.room();
    const pages = await scene.pages(t, names("page", PAGES));
    await Promise.all(pages.map((page) => page.enter(room, { topology }, { latest: ["cursor"] })));
    const members = await scene.members(t, scene.server.address(room), names("rust", RUST_MEMBERS), ["--topology", topology]);
    const all = [...pages, ...members];
    await Promise.all(all.map((one) => one.log.until("everybody", () => one.roster.size === all.length - 1)));
    const isSettled = () => all.every((one) => one.linked.size > 0) && all.some((one) => one.linked.size < all.length - 1);
    for (let wait = 0; wait < 150 && !isSettled(); wait++) await sleep(100);
    assert.ok(isSettled(), "somebody has to pass on");

    // Who has most links passes on most.
    const [forger] = pages.toSorted((a, b) => b.linked.size - a.linked.size);
    assert.ok(forger.linked.size > 1, "the forger passes on");
    await forger.do("forge");
    const honest = all.filter((one) => one !== forger);
    const [speaker] = pages.filter((page) => page !== forger);
    await Promise.all([
      ...pages.filter((page) => page !== forger).map((page) => page.do("saySamples", page.name, 0, COUNT)),
      ...members.map(async (member) => {
        for (let at = 0; at < COUNT; at++) await member.say(sample(member.name, at));
      }),
      speaker.do("publish", "cursor", 100),
    ]);
    for (const listener of honest) {
      for (const speaker of honest.filter((one) => one !== listener)) {
        const expected = Array.from({ length: COUNT }, (_, at) => describe(sample(speaker.name, at)));
        assert.deepEqual(await listener.hears(speaker, COUNT), expected, `what ${listener.name} heard from ${speaker.name}`);
      }
    }
    const last = describe({ at: 99, pad: "x".repeat(200) });
    const readers = pages.filter((page) => page !== forger && page !== speaker);
    await Promise.all(readers.map((one) => one.log.entry({ event: "message", channel: "cursor", from: speaker.id, data: last })));

    const named = honest.flatMap(({ log }) => log.entries.filter(({ event, reason }) => event === "link" && reason?.startsWith("forged")));
    assert.ok(named.length > 0, "the forger is named");
    assert.deepEqual([...new Set(named.map(({ member }) => member))], [forger.id], "and nobody else");
    assertQuiet(honest);
  });
}
