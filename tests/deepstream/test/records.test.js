// @ts-check
// Records: one value that all who have it open see change, with a version that counts its writes.

import assert from "node:assert/strict";

import { Scene, each, pairs } from "../harness/scene.js";
import { unlikeOriginal } from "../harness/server.js";

/** @import { Client, Record } from "../harness/client.js" */

const scene = Scene.forFile();

/**
 * Waits until a record is so, at so many clients.
 * @param {[Client, Record][]} copies
 * @param {any} value
 */
async function becomes(copies, value) {
  const wanted = JSON.stringify(value);
  for (const [client, record] of copies) {
    await client.eventually(`${record.name} is ${wanted}`, () => JSON.stringify(record.get()) === wanted);
  }
}

pairs("a new record is empty, and what one writes the other reads", undefined, async (t, [one, other]) => {
  const [writer, reader] = await scene.clients(t, [one, other]);
  const name = scene.name("record");
  const [mine, theirs] = await Promise.all([writer.record(name), reader.record(name)]);
  assert.deepEqual(mine.get(), {});
  mine.set({ title: "ü ☃", list: [1, { deep: null }], no: false });
  await becomes([[reader, theirs]], { title: "ü ☃", list: [1, { deep: null }], no: false });
  theirs.set({ title: "theirs" });
  await becomes([[writer, mine], [reader, theirs]], { title: "theirs" });
  assert.equal(Number(mine.version), Number(theirs.version));
  assert.equal(await (await scene.client(t, one)).head(name), Number(mine.version));
});

pairs("writes at paths change what is there, and nothing else", undefined, async (t, [one, other]) => {
  const [writer, reader] = await scene.clients(t, [one, other]);
  const name = scene.name("paths");
  const [mine, theirs] = await Promise.all([writer.record(name), reader.record(name)]);
  /** @type {any[]} */
  const seen = [];
  theirs.subscribe("user.names[1]", (/** @type {any} */ value) => seen.push(value));
  mine.set("user.names[1]", "Lovelace");
  mine.set("user.names[0]", "Ada");
  mine.set("user.born", 1815);
  mine.set("user.names[1]", "King");
  await becomes([[reader, theirs]], { user: { names: ["Ada", "King"], born: 1815 } });
  assert.deepEqual(seen, ["Lovelace", "King"]);
  assert.equal(theirs.get("user.names[0]"), "Ada");
  // A third, who comes now, is given what the server has made of it.
  const late = await scene.client(t, other);
  assert.deepEqual((await late.record(name)).get(), mine.get());
});

pairs("undefined at a path removes what is there", undefined, async (t, [one, other]) => {
  const [writer, reader] = await scene.clients(t, [one, other]);
  const name = scene.name("remove");
  const [mine, theirs] = await Promise.all([writer.record(name), reader.record(name)]);
  mine.set({ a: 1, b: { c: 2, d: 3 } });
  mine.set("b.c", undefined);
  await becomes([[reader, theirs]], { a: 1, b: { d: 3 } });
  const late = await scene.client(t, other);
  assert.deepEqual((await late.record(name)).get(), { a: 1, b: { d: 3 } });
});

pairs("values of every kind arrive as they were written", unlikeOriginal("stops at an empty text", "text"), async (t, [one, other]) => {
  const [writer, reader] = await scene.clients(t, [one, other]);
  const name = scene.name("values");
  const [mine, theirs] = await Promise.all([writer.record(name), reader.record(name)]);
  const values = { text: "x", empty: "", zero: 0, negative: -1.5, yes: true, no: false, nothing: null, object: {}, array: [[]] };
  for (const [path, value] of Object.entries(values)) mine.set(path, value);
  await becomes([[reader, theirs]], values);
});

pairs("of two writes in one tick one stays, and both see the same", undefined, async (t, [one, other]) => {
  const [left, right] = await scene.clients(t, [one, other]);
  const name = scene.name("conflict");
  const [mine, theirs] = await Promise.all([left.record(name), right.record(name)]);
  mine.set({ by: "left" });
  theirs.set({ by: "right" });
  // The newer client says on the console that it has merged.
  scene.mayWarn("VERSION_EXISTS");
  const judge = await scene.client(t, one);
  await judge.eventually("both agree", () =>
    JSON.stringify(mine.get()) === JSON.stringify(theirs.get()) && Number(mine.version) === Number(theirs.version));
  const [value, version] = [await judge.snapshot(name), await judge.head(name)];
  assert.deepEqual(mine.get(), value);
  assert.equal(Number(mine.version), version);
  // Writes work as before.
  theirs.set("more", 1);
  await left.eventually("the next write", () => mine.get("more") === 1);
});

pairs("who loses a race may merge", undefined, async (t, [one, other]) => {
  const [left, right] = await scene.clients(t, [one, other]);
  const name = scene.name("merge");
  const [mine, theirs] = await Promise.all([left.record(name), right.record(name)]);
  left.merges(mine, (local, remote) => ({ ...remote, ...local }));
  right.merges(theirs, (local, remote) => ({ ...remote, ...local }));
  scene.mayWarn("VERSION_EXISTS");
  mine.set({ left: 1 });
  theirs.set({ right: 1 });
  await left.eventually("left has both", () => mine.get("left") === 1 && mine.get("right") === 1);
  await right.eventually("right has both", () => theirs.get("left") === 1 && theirs.get("right") === 1);
});

pairs("many writes of one client arrive in order", undefined, async (t, [one, other]) => {
  const [writer, reader] = await scene.clients(t, [one, other]);
  const name = scene.name("order");
  const [mine, theirs] = await Promise.all([writer.record(name), reader.record(name)]);
  /** @type {number[]} */
  const seen = [];
  theirs.subscribe("at", (/** @type {number} */ at) => seen.push(at));
  for (let at = 1; at <= 200; at++) mine.set("at", at);
  await reader.eventually("the last", () => seen.at(-1) === 200);
  assert.deepEqual(seen, Array.from({ length: 200 }, (_, at) => at + 1));
  assert.equal(Number(theirs.version), 200);
});

each("writes are acknowledged when they are done", undefined, async (t, wire) => {
  const [writer, reader] = await scene.clients(t, [wire, wire]);
  const name = scene.name("acknowledged");
  const record = await writer.record(name);
  await writer.setAndKnow(record, { a: 1 });
  assert.deepEqual(await reader.snapshot(name), { a: 1 });
  await writer.setAndKnow(record, "b", [2]);
  assert.deepEqual(await reader.snapshot(name), { a: 1, b: [2] });
  // Several under way at once.
  await Promise.all([3, 4, 5].map((value) => writer.setAndKnow(record, "c", value)));
  assert.deepEqual(await reader.snapshot(name), { a: 1, b: [2], c: 5 });
});

pairs("a record is written without opening it, and made where there is none", undefined, async (t, [one, other]) => {
  const [writer, reader] = await scene.clients(t, [one, other]);
  const name = scene.name("unopened");
  await writer.setData(name, { a: 1 });
  await writer.setData(name, "b.c", "deep");
  const record = await reader.record(name);
  assert.deepEqual(record.get(), { a: 1, b: { c: "deep" } });
  writer.raw.record.setData(name, { a: 2 });
  await becomes([[reader, record]], { a: 2 });
  await writer.setData(`${name}/path`, "only", true);
  assert.deepEqual(await reader.snapshot(`${name}/path`), { only: true });
});

each("a snapshot reads without opening", undefined, async (t, wire) => {
  const [writer, reader] = await scene.clients(t, [wire, wire]);
  const name = scene.name("snapshot");
  await writer.setData(name, { a: 1 });
  assert.deepEqual(await reader.snapshot(name), { a: 1 });
  writer.raw.record.setData(name, { a: 2 });
  await writer.settled();
  assert.deepEqual(await reader.snapshot(name), { a: 2 });
});

each("a snapshot of nothing fails", unlikeOriginal("answers text clients in words that they do not look for", "text"), async (t, wire) => {
  const [reader] = await scene.clients(t, [wire]);
  const failure = await reader.snapshot(scene.name("nothing")).then(() => "no failure", (error) => error);
  assert.match(String(failure), /RECORD_NOT_FOUND/);
});

each("whether there is a record", unlikeOriginal("never answers text clients", "text"), async (t, wire) => {
  const [writer, reader] = await scene.clients(t, [wire, wire]);
  const name = scene.name("has");
  assert.equal(await reader.has(name), false);
  await writer.setData(name, { a: 1 });
  assert.equal(await reader.has(name), true);
});

each("a record's version", undefined, async (t, wire) => {
  const [writer, reader] = await scene.clients(t, [wire, wire]);
  const name = scene.name("head");
  assert.equal(await reader.head(name), -1);
  const record = await writer.record(name);
  for (const count of [1, 2, 3]) await writer.setAndKnow(record, "count", count);
  assert.equal(await reader.head(name), 3);
});

pairs("a deleted record is gone for everybody", undefined, async (t, [one, other]) => {
  const [owner, reader] = await scene.clients(t, [one, other]);
  const name = scene.name("deleted");
  const [mine, theirs] = await Promise.all([owner.record(name), reader.record(name)]);
  await owner.setAndKnow(mine, { a: 1 });
  const told = new Promise((resolve) => theirs.on("delete", resolve));
  await Promise.all([owner.delete(mine), told]);
  const judge = await scene.client(t, "protobuf");
  assert.equal(await judge.has(name), false);
  // It can be made again, from the beginning.
  const again = await owner.record(name);
  assert.deepEqual(again.get(), {});
  await owner.setAndKnow(again, { b: 2 });
  assert.deepEqual(await judge.snapshot(name), { b: 2 });
});

pairs("who has discarded a record hears no more of it", undefined, async (t, [one, other]) => {
  const [writer, reader] = await scene.clients(t, [one, other]);
  const name = scene.name("discarded");
  const [mine, theirs] = await Promise.all([writer.record(name), reader.record(name)]);
  await writer.setAndKnow(mine, { at: 1 });
  await becomes([[reader, theirs]], { at: 1 });
  const gone = new Promise((resolve) => theirs.on("discard", resolve));
  theirs.discard();
  await gone;
  await writer.setAndKnow(mine, { at: 2 });
  await reader.settled();
  // Opened anew it is as it is now.
  assert.deepEqual((await reader.record(name)).get(), { at: 2 });
});

each("a record stays when nobody has it open", undefined, async (t, wire) => {
  const writer = await scene.client(t, wire);
  const name = scene.name("kept");
  await writer.setAndKnow(await writer.record(name), { kept: true });
  writer.close();
  const reader = await scene.client(t, wire);
  assert.deepEqual((await reader.record(name)).get(), { kept: true });
});

each("an anonymous record changes which record it is", undefined, async (t, wire) => {
  const client = await scene.client(t, wire);
  const [first, second] = [scene.name("first"), scene.name("second")];
  await client.setData(first, { is: 1 });
  await client.setData(second, { is: 2 });
  const record = client.raw.record.getAnonymousRecord();
  record.setName(first);
  await client.eventually("the first", () => record.get("is") === 1);
  record.setName(second);
  await client.eventually("the second", () => record.get("is") === 2);
});

each("a large record passes whole", undefined, async (t, wire) => {
  const [writer, reader] = await scene.clients(t, [wire, wire]);
  const name = scene.name("large");
  const value = { rows: Array.from({ length: 5_000 }, (_, at) => ({ at, text: "ü".repeat(20) })) };
  await writer.setData(name, value);
  assert.deepEqual(await reader.snapshot(name), value);
});
