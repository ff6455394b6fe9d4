// @ts-check
// A connection that is cut, a server that dies: clients come back, and everything that they had asked for is as before.

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";

import { Proxy } from "../../browser/harness/proxy.js";
import { atEnd } from "../harness/ending.js";
import { Scene, each, pairs } from "../harness/scene.js";
import { Server, unlikeOriginal } from "../harness/server.js";

/** @import { Client } from "../harness/client.js" */

const scene = Scene.forFile();

/**
 * Asks for everything that a client can ask for.
 * @param {Client} client
 * @param {string} start of all names
 */
async function askForAll(client, start) {
  await client.hears(`${start}/event`);
  const record = await client.record(`${start}/record`);
  const list = await client.list(`${start}/list`);
  await client.provides(`${start}/call`, ({ data, send }) => send(`${data}!`));
  await client.listens("event", `^${start}/wanted/.*`);
  await client.listens("record", `^${start}/wanted/.*`);
  await client.watches();
  await client.watches(`${start}/user`);
  return { record, list };
}

/**
 * Everything that a client has asked for works.
 * @param {Client} client
 * @param {{ record: import("../harness/client.js").Record, list: import("../harness/client.js").List }} asked
 * @param {string} start
 * @param {Client} other who makes it happen
 * @param {string} round
 */
async function allWorks(client, { record, list }, start, other, round) {
  other.emit(`${start}/event`, round);
  await client.sees({ event: "event", data: round });
  const theirs = await other.record(`${start}/record`);
  await other.setAndKnow(theirs, "round", round);
  await client.eventually(`the record in ${round}`, () => record.get("round") === round);
  const theirList = await other.list(`${start}/list`);
  theirList.addEntry(round);
  await client.eventually(`the list in ${round}`, () => list.getEntries().includes(round));
  assert.equal(await other.call(`${start}/call`, round), `${round}!`);
  await other.hears(`${start}/wanted/${round}`);
  await client.sees({ event: "wanted", topic: "event", name: `${start}/wanted/${round}` });
  await other.record(`${start}/wanted/${round}`);
  await client.sees({ event: "wanted", topic: "record", name: `${start}/wanted/${round}` });
}

pairs("after the server was killed and started again, all subscriptions are there", undefined, async (t, [one, other]) => {
  const server = await Server.with(t);
  const client = await scene.client(t, one, { server, user: "client" });
  const start = scene.name("all");
  const asked = await askForAll(client, start);
  const helper = await scene.client(t, other, { server });
  await allWorks(client, asked, start, helper, "before");
  helper.close();
  client.mayLoseConnection();
  await server.stop("SIGKILL");
  // Records were in memory, and conflict with the copies that are left.
  scene.mayWarn("VERSION_EXISTS");
  await server.run();
  await client.reconnects();
  await client.settled();
  const newcomer = await scene.client(t, other, { server, user: `${start}/user` });
  await client.sees({ event: "presence", user: `${start}/user`, here: true, all: true });
  await client.sees({ event: "presence", user: `${start}/user`, here: true, all: false });
  await allWorks(client, asked, start, newcomer, "after");
  assert.equal(client.log.all("event").length, 2, "each event once");
});

pairs("after its connection was cut, a client has everything it asked for", undefined, async (t, [one, other]) => {
  const proxy = await Proxy.start(scene.server.port);
  atEnd(t, () => proxy.stop());
  const client = scene.stranger(t, one, { address: `ws://127.0.0.1:${proxy.port}` });
  await client.login({});
  client.mayLoseConnection();
  const helper = await scene.client(t, other);
  const start = scene.name("cut");
  const asked = await askForAll(client, start);
  await allWorks(client, asked, start, helper, "before");
  proxy.cut();
  await client.reconnects();
  await client.settled();
  await allWorks(client, asked, start, helper, "after");
  // What it writes goes on from where the record is.
  asked.record.set("round", "its own");
  const copy = await helper.record(`${start}/record`);
  await helper.eventually("its write", () => copy.get("round") === "its own");
});

pairs("what was written while a client was away it has when it is back", undefined, async (t, [one, other]) => {
  const proxy = await Proxy.start(scene.server.port);
  atEnd(t, () => proxy.stop());
  const client = scene.stranger(t, one, { address: `ws://127.0.0.1:${proxy.port}` });
  await client.login({});
  client.mayLoseConnection();
  const [record, list] = [await client.record(scene.name("missed")), await client.list(scene.name("missed"))];
  const helper = await scene.client(t, other);
  proxy.passes = false;
  proxy.cut();
  await client.log.until("losing its connection", (entries) => entries.some(({ state }) => state === "RECONNECTING"));
  await helper.setAndKnow(await helper.record(record.name), { missed: true });
  const theirs = await helper.list(list.name);
  theirs.addEntry("a");
  theirs.addEntry("b");
  await helper.settled();
  scene.mayWarn("VERSION_EXISTS");
  proxy.passes = true;
  await client.reconnects();
  await client.eventually("what it missed", () => record.get("missed") === true && list.getEntries().length === 2);
});

pairs("lists that are written before and after a cut stay whole", unlikeOriginal("loses entries"), async (t, [one, other]) => {
  const proxy = await Proxy.start(scene.server.port);
  atEnd(t, () => proxy.stop());
  const name = scene.name("whole");
  const client = scene.stranger(t, one, { address: `ws://127.0.0.1:${proxy.port}` });
  await client.login({});
  client.mayLoseConnection();
  const helper = await scene.client(t, other);
  const [mine, theirs] = [await client.list(name), await helper.list(name)];
  mine.addEntry("mine");
  theirs.addEntry("theirs");
  await helper.eventually("both", () => theirs.getEntries().length === 2);
  scene.mayWarn("VERSION_EXISTS");
  proxy.cut();
  theirs.addEntry("meanwhile");
  await client.reconnects();
  await client.eventually("all three", () => mine.getEntries().length === 3);
  mine.addEntry("after");
  await helper.eventually("all four", () => theirs.getEntries().length === 4);
  assert.deepEqual(mine.getEntries().toSorted(), ["after", "meanwhile", "mine", "theirs"]);
});

each("a client that logged in under a name has it again", undefined, async (t, wire) => {
  const proxy = await Proxy.start(scene.server.port);
  atEnd(t, () => proxy.stop());
  const user = scene.name("user");
  const watcher = await scene.client(t, wire);
  await watcher.watches(user);
  const client = scene.stranger(t, wire, { address: `ws://127.0.0.1:${proxy.port}` });
  await client.login({ username: user });
  client.mayLoseConnection();
  await watcher.sees({ event: "presence", user, here: true });
  proxy.cut();
  await client.reconnects();
  await watcher.eventually("coming and going", () => watcher.log.all("presence").length === 3);
  assert.deepEqual(watcher.log.all("presence").map(({ here }) => here), [true, false, true]);
});

each("records in a store outlive the server, killed as it may be", unlikeOriginal("has no store built in"), async (t, wire) => {
  const server = await Server.with(t, { store: true });
  const client = await scene.client(t, wire, { server });
  client.mayLoseConnection();
  const record = await client.record("kept");
  const list = await client.list("kept-list");
  for (let at = 0; at < 50; at++) await client.setAndKnow(record, { at, rows: [at, "x"] });
  await new Promise((resolve) => list.setEntries(["a", "b"], resolve));
  await client.setData("doomed", { a: 1 });
  await client.delete(await client.record("doomed"));
  const version = Number(record.version);
  await server.stop("SIGKILL");
  await server.run();
  await client.reconnects();
  const fresh = await scene.client(t, wire, { server });
  assert.deepEqual(await fresh.snapshot("kept"), { at: 49, rows: [49, "x"] });
  assert.equal(await fresh.head("kept"), version);
  assert.deepEqual((await fresh.list("kept-list")).getEntries(), ["a", "b"]);
  assert.equal(await fresh.head("doomed"), -1);
  // And the one that was there goes on writing.
  await client.setAndKnow(record, { at: "on" });
  await delay(10);
  assert.deepEqual(await fresh.snapshot("kept"), { at: "on" });
});

/**
 * Clients that are in a list, and add themselves again where they are missing.
 * @param {Client[]} clients
 * @param {string} name
 */
async function takePart(clients, name) {
  const lists = await Promise.all(clients.map((client) => client.list(name)));
  for (const [at, list] of lists.entries()) {
    const look = () => void (list.getEntries().includes(`page-${at}`) || list.addEntry(`page-${at}`));
    list.subscribe(look);
    look();
  }
  const wanted = JSON.stringify(clients.map((_, at) => `page-${at}`));
  return async (/** @type {string} */ when) => {
    for (const [at, client] of clients.entries()) {
      await client.eventually(`all in the list ${when}`, () => JSON.stringify(lists[at].getEntries().toSorted()) === wanted);
    }
  };
}

// The newer client takes a record for deleted that is not there any more, or not as far as its copy: not an ephemeral list.
pairs("pages are all in an ephemeral list again after the server was killed", unlikeOriginal("keeps them for ever"), async (t, [one, other]) => {
  const server = await Server.with(t);
  const clients = await Promise.all([one, other, one, other].map((wire) => scene.client(t, wire, { server })));
  const areThere = await takePart(clients, "users");
  await areThere("at first");
  for (const round of ["after one restart", "after another"]) {
    for (const client of clients) client.mayLoseConnection();
    await server.stop("SIGKILL");
    await Promise.all(clients.map((client) => client.eventually("its loss", () => client.state !== "OPEN")));
    await server.run();
    await Promise.all(clients.map((client) => client.reaches("OPEN")));
    const looks = await scene.client(t, one, { server });
    looks.mayLoseConnection();
    const list = await looks.list("users");
    await looks.eventually(`everybody ${round}`, () => list.getEntries().length === clients.length);
    await areThere(round);
  }
});

pairs("pages are all in an ephemeral list again after they were all cut off at once", unlikeOriginal("keeps them for ever"), async (t, [one, other]) => {
  const proxy = await Proxy.start(scene.server.port);
  atEnd(t, () => proxy.stop());
  const clients = [one, other, one].map((wire) => scene.stranger(t, wire, { address: `ws://127.0.0.1:${proxy.port}` }));
  await Promise.all(clients.map((client) => client.login({})));
  const areThere = await takePart(clients, `rooms/cut-${one}-${other}`);
  await areThere("at first");
  for (const client of clients) client.mayLoseConnection();
  proxy.cut();
  await Promise.all(clients.map((client) => client.reconnects()));
  await areThere("after the cut");
});

// Whatever the server does: the newer client asks for the version, and takes what is not there for deleted; the older one
// opens it again, and takes what it finds.
each("what was in memory only is gone with the server, and the client finds out", undefined, async (t, wire) => {
  const server = await Server.with(t);
  const client = await scene.client(t, wire, { server });
  const record = await client.record("in-memory");
  for (let at = 0; at < 3; at++) await client.setAndKnow(record, { at });
  record.on("delete", () => client.log.push({ event: "deleted" }));
  client.mayLoseConnection();
  scene.mayWarn("VERSION_EXISTS");
  await server.stop("SIGKILL");
  await server.run();
  await client.reconnects();
  if (wire === "protobuf") await client.sees({ event: "deleted" });
  else await client.eventually("nothing in it", () => record.get("at") === undefined);
  const again = await client.record("in-memory");
  await client.setAndKnow(again, { at: "again" });
  const other = await scene.client(t, wire, { server });
  assert.deepEqual(await other.snapshot("in-memory"), { at: "again" });
});
