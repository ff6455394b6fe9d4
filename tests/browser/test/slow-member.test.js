// @ts-check
// Members that stop reading: the others do not notice, and nobody's memory grows.

import assert from "node:assert/strict";
import { test } from "node:test";

import { meshed } from "../harness/participant.js";
import { Scene, names } from "../harness/scene.js";
import { describe } from "../harness/values.js";

const scene = Scene.forFile();

const MIB = 1024 * 1024;
/** PROTOCOL.md: what a chunk carries, the last of a message excepted. */
const CHUNK = 16 * 1024;

test("a member that hangs does not slow the others, and is given up", async (t) => {
  const room = scene.room();
  const pages = await scene.pages(t, names("page", 3));
  const [hung] = await scene.members(t, scene.server.address(room), ["hung"]);
  await Promise.all(pages.map((page) => page.enter(room)));
  await meshed([...pages, hung]);

  hung.freeze();
  const [sender, ...others] = pages;
  const start = performance.now();
  for (let at = 0; at < 50; at++) await sender.say(at);
  for (const listener of others) {
    assert.deepEqual(await listener.hears(sender, 50), Array.from({ length: 50 }, (_, at) => describe(at)));
  }
  assert.ok(performance.now() - start < 1_500, "sooner than anybody could be suspected");
  for (const page of pages) {
    const { reason } = await page.log.entry({ event: "memberleave", member: hung.id });
    assert.equal(reason, "unresponsive");
  }

  // Awake again it finds that it was given up, and comes back as the same member.
  hung.thaw();
  const awake = performance.now();
  await meshed([...pages, hung]);
  t.diagnostic(`linked again ${Math.round(performance.now() - awake)} ms after it woke`);
  await sender.say("welcome back");
  await hung.log.entry({ event: "message", from: sender.id, data: describe("welcome back") });
});

test("an application that never reads holds nobody up for long, and is told what it missed", async (t) => {
  const room = scene.room();
  const pages = await scene.pages(t, names("page", 3));
  const [sender, reader, dozer] = pages;
  await sender.enter(room);
  await reader.enter(room);
  await dozer.enter(room, {}, { reads: false });
  await meshed(pages);

  // More than outbox and window hold together, so that somebody has to give way.
  const messages = 40;
  const start = performance.now();
  for (let at = 0; at < messages; at++) await sender.do("sayBytes", MIB);
  assert.ok(performance.now() - start > 1_000, "the sender had to wait, rather than hold ever more");
  const words = await reader.hears(sender, messages);
  assert.equal(words.length, messages);
  assert.equal(new Set(words).size, 1);
  assert.deepEqual(reader.log.all("gap"), []);

  // It reads on: what waited for it, what it missed, and what is still to be had, each once and in order.
  await dozer.do("readOn");
  await sender.say("still there?");
  await dozer.log.entry({ event: "message", from: sender.id, data: describe("still there?") });
  const heard = dozer.heard(sender);
  const missed = dozer.log.all("gap").filter(({ member }) => member === sender.id);
  const chunks = missed.reduce((sum, { from_seq, to_seq }) => sum + to_seq - from_seq + 1, 0);
  assert.ok(chunks > 0, "somebody had to give way");
  assert.equal(heard.length - 1 + chunks / (MIB / CHUNK), messages);
});
