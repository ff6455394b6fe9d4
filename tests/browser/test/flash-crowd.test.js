// @ts-check
// Many pages that enter a room in the same instant.

import assert from "node:assert/strict";
import { test } from "node:test";

import { meshed } from "../harness/participant.js";
import { Scene, assertQuiet, names } from "../harness/scene.js";

const scene = Scene.forFile();
const PAGES = 16;

test(`${PAGES} pages that enter in the same instant are all linked to each other`, async (t) => {
  const room = scene.room();
  const pages = await scene.pages(t, names("page", PAGES));
  await Promise.all(pages.map((page) => page.enter(room, { topology: "mesh" })));
  await meshed(pages);

  await Promise.all(pages.map((page) => page.say(page.name)));
  for (const page of pages) {
    assert.equal(page.roster.size, PAGES - 1, `the roster of ${page.name}`);
    for (const other of pages.filter((other) => other !== page)) {
      assert.deepEqual(await page.hears(other, 1), [JSON.stringify(other.name)]);
    }
  }
  assertQuiet(pages);
});
