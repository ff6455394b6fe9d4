// @ts-check
// Members and servers that die without a word while members pass on what others say and the room moves: whoever lives
// misses nothing that anybody who lives has.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Company, Crowd } from "../harness/crowd.js";
import { PATIENCE_MS } from "../harness/log.js";
import { Scene, names } from "../harness/scene.js";

/** @import { TestContext } from "node:test" */

const scene = Scene.forFile();

const PAGES = 2;
const EVERY_MS = 200;

/**
 * Pages, and crowds of these sizes, linked in this way and talking.
 * @param {TestContext} t
 * @param {string} topology
 * @param {number[]} sizes
 */
async function gather(t, topology, sizes) {
  const room = scene.room();
  const company = new Company();
  const pages = await scene.pages(t, names("page", PAGES));
  for (const [place, size] of sizes.entries()) {
    const crowd = Crowd.start();
    t.after(() => crowd.kill());
    const [address, members] = [scene.server.address(room), names(`crowd ${place + 1}, `, size)];
    company.crowds.add(crowd);
    if (place > 0) await company.grow(crowd, address, members);
    else await crowd.enter(address, members).then(() => crowd.pin(topology));
  }
  await Promise.all(pages.map((page) => page.enter(room, {}, { book: true })));
  for (const page of pages) company.pages.add(page);
  const members = PAGES + sizes.reduce((a, b) => a + b);
  await company.until("everybody is linked", (all) =>
    all.length === members && all.every(({ topology: at, links }) => at === topology && links.length > 0));
  await company.talk(EVERY_MS);
  await company.until("everybody has heard everybody", (all) => all.every(({ heard }) => Object.keys(heard).length === members - 1));
  return company;
}

/** Its first member has found the server again. @param {Crowd} crowd */
async function back(crowd) {
  for (const deadline = Date.now() + PATIENCE_MS; ; await sleep(EVERY_MS)) {
    const error = await crowd.pin("auto").then(() => undefined, (error) => error);
    if (error === undefined) return;
    if (Date.now() > deadline) throw error;
  }
}

/** Everybody who lives knows that they are dead. @param {Company} company */
async function mourned(company) {
  await company.until("the dead are gone", (all) => all.every(({ gone }) => [...company.killed].every((id) => id in gone)));
  // And life goes on.
  await sleep(5 * EVERY_MS);
}

test("the member that passes on most is killed", async (t) => {
  const alone = Array.from({ length: 8 }, () => 1);
  const company = await gather(t, "tree", [8, ...alone]);
  const candidates = await Promise.all([...company.crowds].slice(1).map(async (crowd) => ({ crowd, links: (await crowd.reports())[0].links.length })));
  const [busiest] = candidates.toSorted((a, b) => b.links - a.links);
  assert.ok(busiest.links > 2, "it passes on");
  await company.kill(busiest.crowd);
  await mourned(company);
  await company.audit();
});

test("a third of the members is killed at once", async (t) => {
  const company = await gather(t, "small-world", [10, 6]);
  const [, doomed] = company.crowds;
  await company.kill(doomed);
  await mourned(company);
  await company.audit();
});

for (const [when, topology, to] of [["while new links open", "tree", "mesh"], ["when the new links have taken over", "mesh", "small-world"]]) {
  test(`the server is killed in the middle of a switch, ${when}`, async (t) => {
    const company = await gather(t, topology, [10]);
    const [crowd] = company.crowds;
    await crowd.pin(to);
    if (to !== "mesh") await company.until("the switch", (all) => all.some((one) => one.topology === to));
    await scene.server.stop("SIGKILL");
    await sleep(1_000);
    await scene.server.run();
    await back(crowd);
    await company.move("tree");
    await company.audit();
  });
}
