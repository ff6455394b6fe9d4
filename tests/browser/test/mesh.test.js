// @ts-check
// Browsers and Rust members in one room: what each says reaches every other, once and in order.

import assert from "node:assert/strict";
import { test } from "node:test";

import { assertAllHear, meshed, talk } from "../harness/participant.js";
import { Scene, assertQuiet, names } from "../harness/scene.js";
import { describe, digest, pattern } from "../harness/values.js";

const scene = Scene.forFile();

const RUST_MEMBERS = 4;
/** Messages that each says. */
const COUNT = 40;
const LARGE = 5 * 1024 * 1024;

for (const count of [2, 4, 8]) {
  test(`${count} pages and ${RUST_MEMBERS} Rust members hear each other exactly once, in order`, async (t) => {
    const room = scene.room();
    const pages = await scene.pages(t, names("page", count));
    const members = await scene.members(t, scene.server.address(room), names("rust", RUST_MEMBERS));
    await Promise.all(pages.map((page) => page.enter(room)));
    const all = [...pages, ...members];
    await meshed(all);

    await talk(all, 0, COUNT);
    await assertAllHear(all, COUNT);
    assertQuiet(all);
  });
}

test("a message of 5 MiB reaches browsers and Rust members whole", async (t) => {
  const room = scene.room();
  const pages = await scene.pages(t, names("page", 2));
  const members = await scene.members(t, scene.server.address(room), names("rust", 2));
  await Promise.all(pages.map((page) => page.enter(room)));
  const all = [...pages, ...members];
  await meshed(all);

  const [sender] = pages;
  await sender.do("sayBytes", LARGE);
  await sender.say("and on it goes");
  const expected = [`Uint8Array(${digest(pattern(LARGE))})`, describe("and on it goes")];
  for (const listener of all.filter((one) => one !== sender)) assert.deepEqual(await listener.hears(sender, 2), expected);

  const [teller] = members;
  const text = "a line of text ".repeat(LARGE / 15);
  await teller.say(text);
  for (const listener of all.filter((one) => one !== teller)) {
    assert.deepEqual(await listener.hears(teller, 1), [describe(text)]);
  }
  assertQuiet(all);
});

test("a `latest` channel never blocks, and its last value arrives", async (t) => {
  const room = scene.room();
  const pages = await scene.pages(t, names("page", 3));
  await Promise.all(pages.map((page) => page.enter(room, {}, { latest: ["cursor"] })));
  await meshed(pages);

  const [sender, ...others] = pages;
  const count = 5_000;
  const longest_ms = await sender.do("publish", "cursor", count);
  assert.ok(longest_ms < 100, `a call took ${longest_ms} ms`);
  const last = describe({ at: count - 1, pad: "x".repeat(200) });
  for (const listener of others) {
    await listener.log.entry({ event: "message", channel: "cursor", from: sender.id, data: last });
    const places = listener.heard(sender, "cursor").map((word) => Number(/"at":(\d+)/.exec(word)?.[1]));
    assert.deepEqual(places, [...places].sort((a, b) => a - b), "newer values only");
    assert.equal(new Set(places).size, places.length, "no value twice");
  }

  const [late] = await scene.pages(t, ["late"]);
  await late.enter(room, {}, { latest: ["cursor"] });
  await late.log.entry({ event: "message", channel: "cursor", from: sender.id, data: last });
  assertQuiet(pages);
});

test("calls and shared state reach from a browser to another", async (t) => {
  const room = scene.room();
  const [ada, bob] = await scene.pages(t, ["ada", "bob"]);
  await ada.enter(room);
  await bob.enter(room);
  await meshed([ada, bob]);

  await ada.page.evaluate(() => Reflect.get(globalThis, "inside").answer("add"));
  assert.equal(await bob.do("call", "add", ada.id, [1, 2]), 3);
  await assert.rejects(bob.do("call", "subtract", ada.id, [1, 2]), /no_handler|answers/);

  await ada.do("setState", "title", { text: "Standup" });
  await bob.log.entry({ event: "state", key: "title" });
  assert.deepEqual(await bob.do("getState", "title"), { text: "Standup" });
  const [late] = await scene.pages(t, ["late"]);
  await late.enter(room);
  assert.deepEqual(await late.do("getState", "title"), { text: "Standup" });
});
