// @ts-check
// The server out of reach, cut off or restarted, under a room that goes on.

import assert from "node:assert/strict";
import { test } from "node:test";

import { meshed } from "../harness/participant.js";
import { Proxy } from "../harness/proxy.js";
import { Scene, names } from "../harness/scene.js";
import { Server } from "../harness/server.js";

/** @import { Participant } from "../harness/participant.js" */

const scene = Scene.forFile();

/**
 * Everybody says a line, and everybody hears it.
 * @param {Participant[]} all
 * @param {string[]} said what was said so far, by everybody; the line is added
 * @param {string} line
 */
async function allSay(all, said, line) {
  said.push(line);
  await Promise.all(all.map((one) => one.say(`${one.name} ${line}`)));
  for (const listener of all) {
    for (const other of all.filter((other) => other !== listener)) {
      const expected = said.map((line) => JSON.stringify(`${other.name} ${line}`));
      assert.deepEqual(await listener.hears(other, said.length), expected);
    }
  }
}

/** @param {Participant[]} all */
function assertNobodyLeft(all) {
  for (const { name, log } of all) {
    for (const event of ["memberleave", "gap", "pageerror", "close"]) assert.deepEqual(log.all(event), [], name);
  }
}

test("a member whose socket is cut keeps its links and messages and comes back unnoticed", async (t) => {
  const proxy = await Proxy.start(scene.server.port);
  t.after(() => proxy.stop());
  const room = scene.room();
  const [cut] = await scene.pages(t, ["cut"], new URL(proxy.address("")).origin);
  const others = await scene.pages(t, names("page", 2));
  const [rust] = await scene.members(t, proxy.address(room), ["rust"]);
  const [steady] = await scene.members(t, scene.server.address(room), ["steady"]);
  await Promise.all([cut, ...others].map((page) => page.enter(room)));
  const all = [cut, ...others, rust, steady];
  await meshed(all);
  /** @type {string[]} */
  const said = [];
  await allSay(all, said, "before");

  proxy.passes = false;
  proxy.cut();
  for (const one of [cut, rust]) await one.log.entry({ event: "reconnecting" });
  await allSay(all, said, "while the server is out of reach");
  proxy.passes = true;
  for (const one of [cut, rust]) {
    const { resumed } = await one.log.entry({ event: "reconnected" });
    assert.equal(resumed, true, one.name);
  }
  await allSay(all, said, "afterwards");
  assertNobodyLeft(all);
});

for (const signal of /** @type {const} */ (["SIGKILL", "SIGTERM"])) {
  test(`a room outlives its server: ${signal}, and a new one in its place`, async (t) => {
    const server = await Server.start();
    t.after(() => server.stop("SIGKILL"));
    const pages = await scene.pages(t, names("page", 3), server.origin);
    const members = await scene.members(t, server.address("standup"), names("rust", 2));
    await Promise.all(pages.map((page) => page.enter("standup")));
    const all = [...pages, ...members];
    await meshed(all);
    /** @type {string[]} */
    const said = [];
    await allSay(all, said, "before");
    await pages[0].do("setState", "title", "Standup");

    const code = await server.stop(signal);
    if (signal === "SIGTERM") assert.equal(code, 0);
    await Promise.all(all.map((one) => one.log.entry({ event: "reconnecting" })));
    await allSay(all, said, "without a server");
    await server.run();
    await Promise.all(all.map((one) => one.log.entry({ event: "reconnected" })));
    await allSay(all, said, "with another one");

    // Whoever comes now finds everybody, and what they share.
    const [late] = await scene.pages(t, ["late"], server.origin);
    await late.enter("standup");
    await meshed([...all, late]);
    assert.equal(await late.do("getState", "title"), "Standup");
    assertNobodyLeft(all);
    for (const { name, log } of all) {
      const joined = log.all("memberjoin").map(({ member }) => member);
      assert.equal(new Set(joined).size, joined.length, `${name} saw nobody come twice`);
    }
  });
}
