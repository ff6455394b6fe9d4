// @ts-check
// A page that no connection reaches, as behind a firewall without UDP: it takes part over its WebSocket, and WebRTC takes over
// once it works.

import assert from "node:assert/strict";
import { test } from "node:test";

import { assertAllHear, talk } from "../harness/participant.js";
import { Scene, assertQuiet, names } from "../harness/scene.js";
import { describe, pattern } from "../harness/values.js";

/** @import { Participant } from "../harness/participant.js" */

const scene = Scene.forFile();

/** Messages that each says. */
const COUNT = 40;
const LARGE = 1024 * 1024;
/** Until a link is carried, or connected after all: attempts beside have pauses of up to 23 s. */
const PATIENCE_MS = 90_000;

for (const topology of ["mesh", "tree"]) {
  test(`a page of a ${topology} whose connections never come up takes part over its WebSocket`, async (t) => {
    const room = scene.room();
    const [walled, other] = await scene.pages(t, names("page", 2));
    await walled.do("wall", true);
    const members = await scene.members(t, scene.server.address(room), names("rust", 2), ["--topology", topology]);
    await other.enter(room, { topology });
    await walled.enter(room, { topology });
    const all = [walled, other, ...members];
    await Promise.all(all.map((one) => one.log.until("everybody", () => one.roster.size === all.length - 1)));
    await goes(walled, "socket");

    await talk(all, 0, COUNT);
    await assertAllHear(all, COUNT);
    await Promise.all([walled.do("sayBytes", LARGE, "chat"), other.do("answer", "add")]);
    const large = describe(pattern(LARGE));
    await Promise.all(all.slice(1).map((one) => one.log.entry({ event: "message", from: walled.id, data: large })));
    assert.equal(await walled.do("call", "add", other.id, [1, 2, 3]), 6);

    await walled.do("wall", false);
    await goes(walled, "host");
    await walled.say("directly");
    await Promise.all(all.slice(1).map((one) => one.log.entry({ event: "message", from: walled.id, data: describe("directly") })));
    assertQuiet(all);
  });
}

/**
 * Waits until all open links of a member go this way, and it has some.
 * @param {Participant} member
 * @param {string} way
 */
async function goes(member, way) {
  await member.log.until(`links by ${way}`, () => {
    /** @type {Map<string, string>} */
    const ways = new Map();
    for (const { event, member: peer, state, path } of member.log.entries) {
      if (event === "link" && state === "open") ways.set(peer, path);
      else if (event === "link" || event === "memberleave") ways.delete(peer);
    }
    return ways.size > 0 && [...ways.values()].every((path) => path === way);
  }, PATIENCE_MS);
}
