// @ts-check
// Events: everybody who is subscribed hears them, once, in their sender's order, with the value that was sent.

import assert from "node:assert/strict";

import { Scene, each, pairs } from "../harness/scene.js";
import { unlikeOriginal } from "../harness/server.js";

const scene = Scene.forFile();

/** Values of every kind that both clients can send. */
const VALUES = ["text", "", "ü ☃ 𝄞 \"quoted\" \\ \n line", 0, -1.5, 1e300, true, false, null, { a: [1, { b: null }] }, [], ["x"]];

pairs("events reach the others, with their values, in order", undefined, async (t, [one, other]) => {
  const [sender, listener, bystander] = await scene.clients(t, [one, other, other]);
  const name = scene.name("news");
  await listener.hears(name);
  await bystander.hears(`${name}/else`);
  const values = Array.from({ length: 50 }, (_, at) => ({ at }));
  for (const value of [...VALUES, ...values]) sender.emit(name, value);
  const heard = await listener.seesMany("event", VALUES.length + values.length);
  assert.deepEqual(heard.map(({ data }) => data), [...VALUES, ...values]);
  assert.deepEqual(bystander.log.all("event"), []);
});

pairs("an event without a value has none", undefined, async (t, [one, other]) => {
  const [sender, listener] = await scene.clients(t, [one, other]);
  const name = scene.name("bell");
  await listener.hears(name);
  sender.emit(name);
  const { data } = await listener.sees({ event: "event", name });
  assert.equal(data ?? undefined, undefined);
});

each("who sends an event hears it once, from itself", undefined, async (t, wire) => {
  const [sender, other] = await scene.clients(t, [wire, wire]);
  const name = scene.name("echo");
  await Promise.all([sender.hears(name), other.hears(name)]);
  sender.emit(name, 1);
  other.emit(name, 2);
  await sender.sees({ event: "event", data: 2 });
  await sender.settled();
  assert.deepEqual(sender.log.all("event").map(({ data }) => data), [1, 2]);
});

pairs("who has unsubscribed hears nothing", undefined, async (t, [one, other]) => {
  const [sender, listener] = await scene.clients(t, [one, other]);
  const [name, end] = [scene.name("gone"), scene.name("end")];
  await listener.hears(name, end);
  sender.emit(name, "before");
  await listener.sees({ event: "event", data: "before" });
  listener.raw.event.unsubscribe(name);
  await listener.settled();
  sender.emit(name, "after");
  sender.emit(end);
  await listener.sees({ event: "event", name: end });
  assert.deepEqual(listener.log.all("event").map(({ name }) => name), [name, end]);
});

each("names are told apart exactly", undefined, async (t, wire) => {
  const [sender, listener] = await scene.clients(t, [wire, wire]);
  const name = scene.name("exact");
  const names = [name, `${name}/`, `${name} `, name.toUpperCase(), `${name}.*`];
  await listener.hears(...names);
  for (const each of names) sender.emit(each, each);
  const heard = await listener.seesMany("event", names.length);
  assert.deepEqual(heard.map(({ name, data }) => [name, data]), names.map((name) => [name, name]));
});

pairs("large values pass whole", undefined, async (t, [one, other]) => {
  const [sender, listener] = await scene.clients(t, [one, other]);
  const name = scene.name("large");
  await listener.hears(name);
  const value = "☃".repeat(100_000);
  sender.emit(name, value);
  const { data } = await listener.sees({ event: "event", name });
  assert.equal(data, value);
});

each("a burst from many senders loses nothing", undefined, async (t, wire) => {
  const listener = await scene.client(t, wire);
  const senders = await scene.clients(t, ["text", "protobuf", "text", "protobuf"]);
  const name = scene.name("burst");
  await listener.hears(name);
  const count = 500;
  for (let at = 0; at < count; at++) senders.forEach((sender, from) => sender.emit(name, { from, at }));
  const heard = await listener.seesMany("event", count * senders.length);
  for (const from of senders.keys()) {
    const of = heard.filter(({ data }) => data.from === from).map(({ data }) => data.at);
    assert.deepEqual(of, Array.from({ length: count }, (_, at) => at));
  }
});

// A text client cannot be kept from it: what it sends is not a name with separators but several messages, its own.
each("a name with separators in it is refused, and nobody is forged", unlikeOriginal("passes it on"), async (t, wire) => {
  const [sender, listener] = await scene.clients(t, ["protobuf", wire]);
  const name = scene.name("forged");
  await listener.hears(name);
  // By its handler of events, which does not know that anything can be wrong with one.
  sender.mayErr("UNSOLICITED_MESSAGE");
  sender.emit(`x\u001fSx\u001eE\u001fEVT\u001f${name}`, "forged");
  sender.emit(`${name}\u001e`, "forged");
  sender.emit(name, "true");
  await listener.sees({ event: "event", data: "true" });
  await sender.settled();
  assert.equal(listener.log.all("event").length, 1);
});
