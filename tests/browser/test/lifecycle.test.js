// @ts-check
// Tabs that crash, are reloaded, are closed: nobody is ever a ghost, and nobody is there twice.

import assert from "node:assert/strict";
import { test } from "node:test";

import { launchDoomed } from "../harness/chromium.js";
import { Page } from "../harness/page.js";
import { meshed } from "../harness/participant.js";
import { Scene, names } from "../harness/scene.js";

const scene = Scene.forFile();

/** PROTOCOL.md: silence of SUSPECT_AFTER, then at most 2 s. */
const GONE_WITHIN_MS = 1_500 + 2_000;

for (const death of /** @type {const} */ (["tab", "browser"])) {
  test(`a crashed ${death} is soon gone from every roster, and a newcomer does not wait for it`, async (t) => {
    const room = scene.room();
    const pages = await scene.pages(t, names("page", 3));
    const [newcomer, ...others] = pages;
    const members = await scene.members(t, scene.server.address(room), ["rust1"]);
    const doomed = death === "browser" ? await launchDoomed() : undefined;
    t.after(() => doomed?.kill());
    const victim = await Page.open(doomed?.browser ?? scene.browser, scene.server.origin, "victim");
    const survivors = [...others, ...members];
    await Promise.all([victim, ...others].map((page) => page.enter(room)));
    await meshed([victim, ...survivors]);

    const crashed = performance.now();
    await (doomed === undefined ? victim.crash() : doomed.kill());
    const gone = survivors.map(async (survivor) => {
      const { reason } = await survivor.log.entry({ event: "memberleave", member: victim.id });
      return { name: survivor.name, reason, after_ms: Math.round(performance.now() - crashed) };
    });
    // It enters while the others may still take the crashed one for present.
    await newcomer.enter(room);
    const open = survivors.map((survivor) => newcomer.log.entry({ event: "link", member: survivor.id, state: "open" }));
    await Promise.all(open);
    t.diagnostic(`the newcomer was linked ${Math.round(performance.now() - crashed)} ms after the crash`);

    for (const { name, reason, after_ms } of await Promise.all(gone)) {
      t.diagnostic(`${name}: ${reason} after ${after_ms} ms`);
      assert.ok(after_ms <= GONE_WITHIN_MS, `${name} lost it after ${after_ms} ms`);
      // The browser outlives its tab, and mostly closes the tab's socket as if the page had been left, but now and then
      // just drops it. The socket of a dead browser nobody closes.
      const reasons = death === "tab" ? ["left", "crashed"] : ["crashed"];
      assert.ok(reasons.includes(reason), `${name} lost it as ${reason}`);
    }
    await meshed([newcomer, ...survivors]);
    await newcomer.log.until("the crashed one gone", () => !newcomer.roster.has(victim.id), GONE_WITHIN_MS);
    for (const one of [newcomer, ...survivors]) assert.ok(!one.roster.has(victim.id), `${one.name} has no ghost`);
  });
}

test("a reloaded tab comes back once, not twice", async (t) => {
  const room = scene.room();
  const pages = await scene.pages(t, names("page", 3));
  const members = await scene.members(t, scene.server.address(room), ["rust1"]);
  await Promise.all(pages.map((page) => page.enter(room)));
  const [reloaded, ...others] = pages;
  const witnesses = [...others, ...members];
  await meshed([...pages, ...members]);

  const before = reloaded.id;
  reloaded.log.entries.length = 0;
  await reloaded.load();
  for (const witness of witnesses) {
    const { reason } = await witness.log.entry({ event: "memberleave", member: before });
    assert.equal(reason, "left");
  }
  await reloaded.enter(room);
  assert.notEqual(reloaded.id, before);
  await meshed([reloaded, ...witnesses]);
  await reloaded.say("back again");
  for (const witness of witnesses) {
    assert.deepEqual(await witness.hears(reloaded, 1), [JSON.stringify("back again")]);
    assert.equal(witness.roster.size, 3);
    assert.equal(witness.log.all("memberleave").length, 1);
    assert.equal(witness.log.all("memberjoin").filter(({ member }) => member === reloaded.id).length, 1);
  }
});

test("a closed tab and a member that leaves are gone at once", async (t) => {
  const room = scene.room();
  const [stays, closes] = await scene.pages(t, ["stays", "closes"]);
  await stays.enter(room);
  await closes.enter(room);
  const [leaver] = await scene.members(t, scene.server.address(room), ["rust1"]);
  await meshed([stays, closes, leaver]);

  const start = performance.now();
  await closes.page.close({ runBeforeUnload: false });
  assert.equal((await stays.log.entry({ event: "memberleave", member: closes.id })).reason, "left");
  await leaver.leave();
  assert.equal((await stays.log.entry({ event: "memberleave", member: leaver.id })).reason, "left");
  assert.ok(performance.now() - start < 1_500, "no silence had to be waited for");
});
