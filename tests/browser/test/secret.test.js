// @ts-check
// Secret rooms: browsers and Rust members with the room's key hear each other, those without it or with another hear nothing
// and are told so, also where they pass on what the others say; and no server is sent a key.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { assertAllHear, talk } from "../harness/participant.js";
import { Scene, assertQuiet, names } from "../harness/scene.js";
import { BINARY } from "../harness/server.js";
import { describe } from "../harness/values.js";

/** @import { Participant } from "../harness/participant.js" */

const scene = Scene.forFile();

/** Messages that each says. */
const COUNT = 40;

/** The address of a secret room, as `roomful key` makes it. @param {string} room */
function secretAddress(room) {
  return execFileSync(BINARY, ["key", scene.server.address(room)], { encoding: "utf8" }).trim();
}

/** Why each of the others cannot be read, as far as it was told. @param {Participant} listener */
function unreadable(listener) {
  return new Map(listener.log.all("unreadable").filter(({ member }) => member).map(({ member, reason }) => [member, reason]));
}

for (const topology of ["mesh", "tree"]) {
  test(`in a ${topology}, those with the key hear each other exactly once, in order, and nobody else does`, async (t) => {
    const room = scene.room();
    const [address, other] = [secretAddress(room), secretAddress(room)];
    const key = address.slice(address.indexOf("#"));
    const options = ["--topology", topology];
    // First those who cannot read, so that they are in the middle of things.
    const [eve] = await scene.members(t, scene.server.address(room), ["eve"], options);
    const [mallory] = await scene.members(t, other, ["mallory"], options);
    const pages = await scene.pages(t, names("page", 2));
    /** @type {string[]} */
    const asked = [];
    for (const { page } of pages) {
      page.on("request", (request) => asked.push(request.url(), JSON.stringify(request.headers())));
      page.on("websocket", (socket) => {
        asked.push(socket.url());
        socket.on("framesent", ({ payload }) => asked.push(String(payload)));
      });
    }
    await Promise.all(pages.map((page) => page.enter(`${room}${key}`, { topology }, { latest: ["cursor"] })));
    const members = await scene.members(t, address, names("rust", 2), options);
    const [keyed, strangers] = [[...pages, ...members], [eve, mallory]];
    const all = [...keyed, ...strangers];
    await Promise.all(all.map((one) => one.log.until("everybody", () => one.roster.size === all.length - 1)));
    await Promise.all(all.map((one) => one.log.until("a link", () => one.linked.size > 0)));

    await talk(all, 0, COUNT);
    await assertAllHear(keyed, COUNT);
    for (const listener of keyed) {
      const told = await listener.log.until("both strangers", () => unreadable(listener).size === 2 && unreadable(listener));
      assert.deepEqual([told.get(eve.id), told.get(mallory.id)], ["not_sealed", "wrong_key"], listener.name);
    }
    const told = await eve.log.until("everybody who speaks secretly", () => unreadable(eve).size === 5 && unreadable(eve));
    assert.deepEqual(new Set(told.values()), new Set(["no_key"]));
    await mallory.log.until("everybody else", () => unreadable(mallory).size === 5);
    for (const one of strangers) assert.deepEqual(all.flatMap((speaker) => one.heard(speaker)), [], one.name);
    for (const one of keyed) assert.deepEqual(strangers.flatMap((speaker) => one.heard(speaker)), [], one.name);

    // Calls, values and the shared state.
    const [callee, caller] = pages;
    await callee.page.evaluate(() => Reflect.get(globalThis, "inside").answer("add"));
    assert.equal(await caller.do("call", "add", callee.id, [1, 2]), 3);
    members[0].child.stdin.write(`${JSON.stringify({ call: { to: callee.id, method: "add", data: [3, 4] } })}\n`);
    assert.equal((await members[0].log.entry({ event: "called" })).result, 7);
    await assert.rejects(caller.do("call", "add", eve.id, [1, 2]), /key/);
    await callee.do("publish", "cursor", 100);
    const last = describe({ at: 99, pad: "x".repeat(200) });
    await caller.log.entry({ event: "message", channel: "cursor", from: callee.id, data: last });
    await caller.do("setState", "title", { text: "Standup" });
    for (const member of members) {
      const entry = await member.log.entry({ event: "state", key: "title", by: caller.id });
      assert.deepEqual(entry.value, { text: "Standup" });
    }
    await mallory.log.entry({ event: "unreadable", reason: "wrong_key", member: undefined });
    assert.equal(mallory.log.all("state").filter(({ value }) => value !== null).length, 0);
    assertQuiet(all);

    // The key went nowhere, and neither did what was said in the state.
    const secret = key.slice("#key=".length);
    assert.ok(asked.length > 10);
    for (const text of asked) assert.ok(!text.includes(secret) && !text.includes("Standup"), text.slice(0, 200));
    const logs = [scene.server.log, ...all.map(({ log }) => log)].map(({ entries }) => JSON.stringify(entries));
    for (const text of logs) assert.ok(!text.includes(secret));
  });
}

test("a key that is not whole keeps a page and a program out", async (t) => {
  const [page] = await scene.pages(t, ["page"]);
  await assert.rejects(page.enter(`${scene.room()}#key=abc`), /not whole/);
  await assert.rejects(scene.members(t, `${scene.server.address(scene.room())}#key=abc`, ["rust"]), /ended with 2/);
});
