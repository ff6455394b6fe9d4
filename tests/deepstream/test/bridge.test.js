// @ts-check
// Rooms and deepstream's clients together: who is in a room, and what is said there, both ways.

import assert from "node:assert/strict";

import { Member } from "../../browser/harness/member.js";
import { describe } from "../../browser/harness/values.js";
import { atEnd } from "../harness/ending.js";
import { Scene, each, pairs } from "../harness/scene.js";
import { unlikeOriginal } from "../harness/server.js";

/** @import { TestContext } from "node:test" */

const ROOMS = ["a", "b", "c", "d", "e", "f", "g", "h"];
const toml = ROOMS.map((room) => `[[deepstream.bridge]]\nroom = "${room}"\nchannels = ["chat"]\n`).join("");
const scene = Scene.forFile({ toml });

const ONLY_HERE = unlikeOriginal("has no rooms");

/** A room that no other test uses. */
function room() {
  const room = ROOMS.pop();
  if (room === undefined) throw new Error("there are more tests than rooms");
  return room;
}

/**
 * A member in the terminal.
 * @param {TestContext} t
 * @param {string} room
 * @param {string} name
 */
async function enter(t, room, name) {
  const member = await Member.join(scene.server.address(room), name);
  atEnd(t, () => member.kill());
  return member;
}

each("members are a list, a record and users", ONLY_HERE, async (t, wire) => {
  const name = room();
  const [client] = await scene.clients(t, [wire]);
  const list = await client.list(`roomful/${name}/members`);
  const names = await client.record(`roomful/${name}/names`);
  assert.deepEqual(list.getEntries(), []);
  const ada = await enter(t, name, "Ada");
  const bob = await enter(t, name, "Bob");
  await client.eventually("both are listed", () => list.getEntries().length === 2);
  const ids = list.getEntries();
  assert.deepEqual(ids.map((id) => names.get()[id]), ["Ada", "Bob"]);
  assert.deepEqual((await client.users()).filter((user) => user.startsWith(`roomful/${name}/`)).sort(), ids.map((id) => `roomful/${name}/${id}`).sort());
  await ada.leave();
  await client.eventually("she is off the list", () => list.getEntries().length === 1);
  assert.deepEqual(list.getEntries(), ids.slice(1));
  await bob.kill();
  await client.eventually("he is off the list", () => list.isEmpty());
});

pairs("what is said crosses both ways, in order", ONLY_HERE, async (t, [one, other]) => {
  const name = room();
  const event = `roomful/${name}/chat`;
  const [speaker, listener] = await scene.clients(t, [one, other]);
  await speaker.hears(event);
  await listener.hears(event);
  const ada = await enter(t, name, "Ada");
  const counts = Array.from({ length: 50 }, (_, at) => at);
  const values = ["hello", { a: [1, null] }, true, ...counts];
  for (const value of values) await ada.say(value);
  for (const client of [speaker, listener]) {
    const heard = await client.seesMany("event", values.length);
    assert.deepEqual(heard.map(({ data }) => data), values);
  }
  for (const value of values) speaker.emit(event, value);
  const heard = await ada.log.until("all that was said", () => {
    const all = ada.log.all("message").filter(({ channel }) => channel === "chat");
    return all.length >= values.length && all;
  }, 10_000);
  assert.deepEqual(heard.map(({ data }) => data), values.map(describe));
  await ada.say("last");
  // Who said it has heard it from itself, once, and nobody hears it from the bridge.
  const all = await listener.seesMany("event", 2 * values.length + 1);
  assert.deepEqual(all.map(({ data }) => data), [...values, ...values, "last"]);
});
