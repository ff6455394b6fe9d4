// @ts-check
// Machines that are lent to a room as relays: nobody sees them, and nothing is lost when they go, whichever way.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";

import { EventLog } from "../harness/log.js";
import { assertAllHear, talk } from "../harness/participant.js";
import { Scene, names } from "../harness/scene.js";
import { BINARY, endWithThisProcess } from "../harness/server.js";

const scene = Scene.forFile();

/** Messages that each says, before and after the relay goes. */
const HALF = 30;

/** @param {string} address */
async function relay(address) {
  const child = spawn(BINARY, ["relay", address, "--max-links", "50"], { stdio: ["ignore", "pipe", "inherit"] });
  endWithThisProcess(child);
  const log = new EventLog("a relay");
  createInterface({ input: child.stdout }).on("line", (line) => log.push({ event: "out", line }));
  child.on("exit", (code, signal) => log.push({ event: "exit", code: code ?? signal }));
  await log.until("in the room", () => log.entries.some(({ line }) => line?.startsWith("Relaying in ")));
  return { child, log };
}

/** In which a relay is gone that is told to go: well before it would give up waiting for those that depend on it. */
const SOON_MS = 12_000;

for (const { topology, signal } of /** @type {const} */ ([
  { topology: "star", signal: "SIGKILL" },
  { topology: "star", signal: "SIGTERM" },
  { topology: "small-world", signal: "SIGTERM" },
  { topology: "mesh", signal: "SIGTERM" },
])) {
  test(`pages and Rust members of a ${topology} hear each other exactly once, in order, while their relay gets ${signal}`, async (t) => {
    const room = scene.room();
    const address = scene.server.address(room);
    const { child, log } = await relay(address);
    const pages = await scene.pages(t, names("page", 2));
    await Promise.all(pages.map((page) => page.enter(room, { topology })));
    const members = await scene.members(t, address, names("rust", 2), ["--topology", topology]);
    const all = [...pages, ...members];
    await Promise.all(all.map((one) => one.log.until("everybody", () => one.roster.size === all.length - 1)));
    if (topology === "mesh") {
      // It has nothing to do there, and no links.
      await Promise.all(all.map((one) => one.linkedTo(all)));
    } else {
      await log.until(topology, () => log.entries.some(({ line }) => line?.startsWith(`The room is a ${topology} now`)));
      const least = topology === "star" ? all.length : 2;
      await log.until("links", () => linksOf(log, all.length) >= least);
    }

    const saying = talk(all, 0, HALF);
    const told = Date.now();
    const exit = child.exitCode === null && child.signalCode === null ? once(child, "exit").then(() => Date.now() - told) : 0;
    child.kill(signal);
    await saying;
    await talk(all, HALF, 2 * HALF);
    await assertAllHear(all, 2 * HALF);
    assert.ok(all.every((one) => one.roster.size === all.length - 1), "a relay is nobody");
    const took = await exit;
    t.diagnostic(`gone after ${took} ms`);
    assert.ok(took <= SOON_MS, `it was gone after ${took} ms`);
    assert.equal(child.exitCode ?? child.signalCode, signal === "SIGTERM" ? 0 : signal);
  });
}

/**
 * How many links a relay has by its last word, if the room has so many members.
 * @param {EventLog} log
 * @param {number} count
 */
function linksOf(log, count) {
  const counts = log.entries.map(({ line }) => line?.match(/^(\d+) members, (\d+) links$/)).filter(Boolean);
  const [, members, links] = counts.at(-1) ?? [];
  return Number(members) === count ? Number(links) : 0;
}
