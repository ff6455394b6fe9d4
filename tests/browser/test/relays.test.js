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

for (const signal of /** @type {const} */ (["SIGKILL", "SIGTERM"])) {
  test(`pages and Rust members hear each other exactly once, in order, while their relay gets ${signal}`, async (t) => {
    const room = scene.room();
    const address = scene.server.address(room);
    const { child, log } = await relay(address);
    const pages = await scene.pages(t, names("page", 2));
    await Promise.all(pages.map((page) => page.enter(room, { topology: "star" })));
    const members = await scene.members(t, address, names("rust", 2), ["--topology", "star"]);
    const all = [...pages, ...members];
    await Promise.all(all.map((one) => one.log.until("everybody", () => one.roster.size === all.length - 1)));
    const isStar = () => log.entries.some(({ line }) => line?.startsWith("The room is a star now"));
    await log.until("a star", isStar);
    await log.until("links to all", () => log.entries.some(({ line }) => line === `${all.length} members, ${all.length} links`));

    const saying = talk(all, 0, HALF);
    child.kill(signal);
    await saying;
    await talk(all, HALF, 2 * HALF);
    await assertAllHear(all, 2 * HALF);
    assert.ok(all.every((one) => one.roster.size === all.length - 1), "a relay is nobody");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    assert.equal(child.exitCode ?? child.signalCode, signal === "SIGTERM" ? 0 : signal);
  });
}
