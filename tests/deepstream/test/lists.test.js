// @ts-check
// Lists: what is added stays, what is removed goes, however many do so at once, and everybody ends with the same.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Scene, each, pairs } from "../harness/scene.js";
import { unlikeOriginal } from "../harness/server.js";

/** @import { Client, List, Wire } from "../harness/client.js" */

const scene = Scene.forFile();

/**
 * Waits until lists have these entries, in whatever order, the same at each.
 * @param {[Client, List][]} copies
 * @param {string[]} entries
 */
async function agree(copies, entries) {
  const wanted = JSON.stringify(entries.toSorted());
  for (const [client, list] of copies) {
    await client.eventually(`${list.name} has ${wanted}`, () => JSON.stringify(list.getEntries().toSorted()) === wanted);
  }
  const orders = new Set(copies.map(([, list]) => JSON.stringify(list.getEntries())));
  assert.equal(orders.size, 1, `in the same order: ${[...orders].join(" ")}`);
}

pairs("entries that one adds and removes are the other's too", undefined, async (t, [one, other]) => {
  const [writer, reader] = await scene.clients(t, [one, other]);
  const name = scene.name("list");
  const [mine, theirs] = await Promise.all([writer.list(name), reader.list(name)]);
  assert.deepEqual(mine.getEntries(), []);
  assert.ok(mine.isEmpty());
  for (const entry of ["a", "b", "c"]) mine.addEntry(entry);
  await agree([[writer, mine], [reader, theirs]], ["a", "b", "c"]);
  theirs.removeEntry("b");
  await agree([[writer, mine], [reader, theirs]], ["a", "c"]);
  mine.addEntry("first", 0);
  await agree([[writer, mine], [reader, theirs]], ["first", "a", "c"]);
  assert.deepEqual(theirs.getEntries(), ["first", "a", "c"]);
  theirs.setEntries(["x", "y"]);
  await agree([[writer, mine], [reader, theirs]], ["x", "y"]);
  mine.setEntries([]);
  await agree([[writer, mine], [reader, theirs]], []);
});

pairs("entries that come, go and move are told", undefined, async (t, [one, other]) => {
  const [writer, reader] = await scene.clients(t, [one, other]);
  const name = scene.name("told");
  const [mine, theirs] = await Promise.all([writer.list(name), reader.list(name)]);
  for (const event of ["entry-added", "entry-removed", "entry-moved"]) {
    theirs.on(event, (entry, index) => reader.log.push({ event, entry, index }));
  }
  mine.addEntry("a");
  await reader.sees({ event: "entry-added", entry: "a", index: 0 });
  mine.addEntry("b", 0);
  await reader.sees({ event: "entry-added", entry: "b", index: 0 });
  await reader.sees({ event: "entry-moved", entry: "a", index: 1 });
  mine.removeEntry("b");
  await reader.sees({ event: "entry-removed", entry: "b" });
});

// As the tutorials do: nobody waits for anything. The newer client takes a list for empty that it has not loaded, and
// overwrites it; where entries go with their clients, the server knows what it means.
pairs("entries that are added before the list is there join those that are", unlikeOriginal("overwrites them", "protobuf"), async (t, [one, other]) => {
  const name = `rooms/${scene.name("queued").replace("/", "-")}`;
  const reader = await scene.client(t, other);
  const theirs = await reader.list(name);
  theirs.addEntry("there");
  theirs.addEntry("there too");
  await agree([[reader, theirs]], ["there", "there too"]);
  const logged_in = await scene.client(t, one);
  logged_in.raw.record.getList(name).addEntry("after the login");
  await agree([[reader, theirs]], ["there", "there too", "after the login"]);
  // What the newer client is told before it is logged in it may forget by itself.
  if (one === "protobuf") return;
  const stranger = scene.stranger(t, one);
  const list = stranger.raw.record.getList(name);
  list.addEntry("before the login");
  await stranger.login();
  await agree([[reader, theirs], [stranger, list]], ["there", "there too", "after the login", "before the login"]);
});

each("writes to lists are acknowledged", undefined, async (t, wire) => {
  const client = await scene.client(t, wire);
  const name = scene.name("acknowledged");
  const list = await client.list(name);
  for (const write of [
    (/** @type {any} */ done) => list.setEntries(["a"], done),
    (/** @type {any} */ done) => list.addEntry("b", undefined, done),
    (/** @type {any} */ done) => list.removeEntry("a", undefined, done),
  ]) {
    await new Promise((resolve, reject) => write((/** @type {any} */ error) => (error ? reject(error) : resolve(undefined))));
  }
  assert.deepEqual(await (await scene.client(t, wire)).snapshot(name), ["b"]);
});

each("a deleted list is gone for everybody", undefined, async (t, wire) => {
  const [owner, reader] = await scene.clients(t, [wire, wire]);
  const name = scene.name("deleted");
  const [mine, theirs] = await Promise.all([owner.list(name), reader.list(name)]);
  mine.addEntry("a");
  await agree([[reader, theirs]], ["a"]);
  const told = new Promise((resolve) => theirs.on("delete", resolve));
  await Promise.all([owner.delete(mine), told]);
  assert.deepEqual((await owner.list(name)).getEntries(), []);
});

each("an entry may be in a list twice", undefined, async (t, wire) => {
  const [writer, reader] = await scene.clients(t, [wire, wire]);
  const name = scene.name("twice");
  const [mine, theirs] = await Promise.all([writer.list(name), reader.list(name)]);
  mine.setEntries(["a", "b", "a"]);
  await agree([[reader, theirs]], ["a", "a", "b"]);
  theirs.removeEntry("a", 2);
  await agree([[writer, mine]], ["a", "b"]);
});

// ---- many at once --------------------------------------------------------------------------------------------------------

/** @type {[string, (at: number) => Wire][]} */
const CROWDS = [
  ["text", () => "text"],
  ["protobuf", () => "protobuf"],
  ["both", (at) => (at % 2 === 0 ? "text" : "protobuf")],
];

/**
 * Clients that have a list open.
 * @param {import("node:test").TestContext} t
 * @param {(at: number) => Wire} wire
 * @param {number} count
 * @param {string} name
 */
async function crowd(t, wire, count, name) {
  const clients = await scene.clients(t, Array.from({ length: count }, (_, at) => wire(at)));
  const lists = await Promise.all(clients.map((client) => client.list(name)));
  return clients.map((client, at) => /** @type {[Client, List]} */ ([client, lists[at]]));
}

/** @param {string} start @param {number} count */
const entries = (start, count) => Array.from({ length: count }, (_, at) => `${start}-${at}`);

for (const [kind, wire] of CROWDS) {
  test(`32 that add an entry in one tick all stay (${kind})`, unlikeOriginal("keeps one or two of them"), async (t) => {
    const name = scene.name("crowd");
    const copies = await crowd(t, wire, 32, name);
    const own = entries("own", 32);
    copies.forEach(([, list], at) => list.addEntry(own[at]));
    await agree(copies, own);
    assert.deepEqual((await (await scene.client(t, "text")).snapshot(name)).toSorted(), own.toSorted());
    // Afterwards it is a list as before.
    copies[0][1].addEntry("later");
    await agree(copies, [...own, "later"]);
  });

  test(`of 32 that add and 16 that remove exactly the right entries remain (${kind})`, unlikeOriginal("loses most of them"), async (t) => {
    const name = scene.name("crowd");
    const copies = await crowd(t, wire, 48, name);
    const [old, kept, own] = [entries("old", 16), entries("kept", 4), entries("own", 32)];
    copies[0][1].setEntries([...old, ...kept]);
    await agree(copies, [...old, ...kept]);
    copies.forEach(([, list], at) => (at < 16 ? list.removeEntry(old[at]) : list.addEntry(own[at - 16])));
    await agree(copies, [...kept, ...own]);
  });

  test(`who adds and removes again and again meets everybody else (${kind})`, unlikeOriginal("loses most of them"), async (t) => {
    const name = scene.name("churn");
    const copies = await crowd(t, wire, 8, name);
    const rounds = 10;
    for (let round = 0; round < rounds; round++) {
      copies.forEach(([, list], at) => list.addEntry(`${at}/${round}`));
      copies.forEach(([, list], at) => round % 2 === 0 && list.removeEntry(`${at}/${round}`));
      await copies[round % 8][0].settled();
    }
    const kept = entries("", rounds).flatMap((_, round) => (round % 2 === 0 ? [] : copies.map((_, at) => `${at}/${round}`)));
    await agree(copies, kept);
  });

  test(`a crowd joins and leaves without anybody lost (${kind})`, unlikeOriginal("keeps one or two of them"), async (t) => {
    const name = `users/${scene.name("crowd")}`;
    const copies = await crowd(t, wire, 16, name);
    const own = entries("own", 16);
    copies.forEach(([, list], at) => list.addEntry(own[at]));
    await agree(copies, own);
    copies.forEach(([, list], at) => at < 8 && list.removeEntry(own[at]));
    await agree(copies, own.slice(8));
  });
}

// ---- entries that go with their client -------------------------------------------------------------------------------------

for (const name of ["users", "rooms/standup"]) {
  pairs(`entries of ${name} go with the client that added them`, unlikeOriginal("keeps them for ever"), async (t, [one, other]) => {
    const stays = await scene.client(t, other);
    const theirs = await stays.list(name);
    const leaves = await scene.client(t, one);
    const mine = await leaves.list(name);
    mine.addEntry("leaves");
    theirs.addEntry("stays");
    await agree([[stays, theirs], [leaves, mine]], ["leaves", "stays"]);
    leaves.close();
    await agree([[stays, theirs]], ["stays"]);
    const late = await scene.client(t, one);
    assert.deepEqual((await late.list(name)).getEntries(), ["stays"]);
  });
}

for (const [kind, wire] of CROWDS) {
  test(`pages that add themselves again when they are missing leave nothing behind (${kind})`, unlikeOriginal("keeps them for ever"), async (t) => {
    const name = `rooms/again-${kind}`;
    const copies = await crowd(t, wire, 12, name);
    const own = entries("own", 12);
    for (const [at, [, list]] of copies.entries()) {
      const takePart = () => void (list.getEntries().includes(own[at]) || list.addEntry(own[at]));
      list.subscribe(takePart);
      takePart();
    }
    await agree(copies, own);
    for (const [client] of copies.slice(0, 6)) client.close();
    await agree(copies.slice(6), own.slice(6));
  });
}

each("when all have left, nobody is there", unlikeOriginal("keeps them for ever"), async (t, wire) => {
  const clients = await scene.clients(t, [wire, wire, wire]);
  const lists = await Promise.all(clients.map((client) => client.list("rooms/left")));
  lists.forEach((list, at) => list.addEntry(`user-${at}`));
  await agree(clients.map((client, at) => [client, lists[at]]), ["user-0", "user-1", "user-2"]);
  for (const client of clients) client.close();
  const late = await scene.client(t, wire);
  const list = await late.list("rooms/left");
  await agree([[late, list]], []);
});

each("other lists keep their entries", undefined, async (t, wire) => {
  const name = scene.name("kept");
  const leaves = await scene.client(t, wire);
  const list = await leaves.list(name);
  await new Promise((resolve) => list.addEntry("kept", undefined, resolve));
  leaves.close();
  const late = await scene.client(t, wire);
  assert.deepEqual((await late.list(name)).getEntries(), ["kept"]);
});
