// @ts-check
// A small world of very many members: everybody hears everything, over few links.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Company, Crowd } from "../harness/crowd.js";
import { Scene, names } from "../harness/scene.js";

const scene = Scene.forFile();

const MEMBERS = 200;
const SPEAKERS = 10;
/** After this long the links of a topology that was left are gone, where everybody has others. */
const RETIRED_MS = 3_000;
/** Links of a member of a small world: six, and two in reserve for those that are about to change. */
const DEGREE_MAX = 8;

test(`${MEMBERS} members of a small world hear ${SPEAKERS} of them, each over few links`, async (t) => {
  const address = scene.server.address(scene.room());
  const company = new Company();
  const [speakers, listeners] = [Crowd.start(), Crowd.start()];
  t.after(() => Promise.all([speakers.kill(), listeners.kill()]));
  company.crowds.add(speakers).add(listeners);

  await speakers.enter(address, names("speaker", 2));
  await company.move("small-world", speakers);
  // Who enters before the old topology is given up gets its links as well.
  await sleep(RETIRED_MS);
  await company.grow(speakers, address, names("later speaker", SPEAKERS - 2));
  await company.grow(listeners, address, names("listener", MEMBERS - SPEAKERS));

  await speakers.talk(200);
  await sleep(4_000);
  const reports = await company.audit();
  const silent = reports.filter(({ sent }) => sent === 0).length;
  assert.equal(silent, MEMBERS - SPEAKERS);
  for (const { name, heard } of reports) assert.ok(Object.keys(heard).length >= SPEAKERS - 1, name);
  const busiest = Math.max(...reports.map(({ links_max }) => links_max));
  assert.ok(busiest <= DEGREE_MAX, `somebody had ${busiest} links`);
});
