// @ts-check
// Listening: who wants to know which names others are subscribed to, and looks after those it accepts.

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";

import { Scene, each, pairs } from "../harness/scene.js";
import { unlikeOriginal } from "../harness/server.js";

/** @import { Client } from "../harness/client.js" */

const scene = Scene.forFile();

/** @typedef {"event" | "record"} Topic */
/** @type {Topic[]} */
const TOPICS = ["event", "record"];

/**
 * Becomes subscribed to a name of a topic; the result ends that.
 * @param {Client} client
 * @param {Topic} topic
 * @param {string} name
 */
async function subscribe(client, topic, name) {
  if (topic === "event") {
    await client.hears(name);
    return () => client.raw.event.unsubscribe(name);
  }
  const record = await client.record(name);
  return () => record.discard();
}

for (const topic of TOPICS) {
  pairs(`a listener hears of ${topic}s that others want, and want no more`, undefined, async (t, [one, other]) => {
    const [listener, subscriber] = await scene.clients(t, [one, other]);
    const start = scene.name("weather");
    await listener.listens(topic, `^${start}/.*`);
    const end = await subscribe(subscriber, topic, `${start}/berlin`);
    await subscribe(subscriber, topic, `else/${start}`);
    await listener.sees({ event: "wanted", name: `${start}/berlin` });
    end();
    await listener.sees({ event: "unwanted", name: `${start}/berlin` });
    assert.equal(listener.log.all("wanted").length, 1);
  });

  pairs(`a listener hears of ${topic}s that were wanted before it began`, undefined, async (t, [one, other]) => {
    const [listener, subscriber] = await scene.clients(t, [one, other]);
    const start = scene.name("before");
    const names = ["a", "b", "c"].map((end) => `${start}/${end}`);
    for (const name of names) await subscribe(subscriber, topic, name);
    await listener.listens(topic, `^${start}/[ab]$`);
    await listener.seesMany("wanted", 2);
    await listener.settled();
    assert.deepEqual(listener.log.all("wanted").map(({ name }) => name).toSorted(), names.slice(0, 2));
  });

  pairs(`a ${topic} that one listener rejects is offered to the next`, undefined, async (t, [one, other]) => {
    const [first, second, subscriber] = await scene.clients(t, [one, other, one]);
    const start = scene.name("rejected");
    await first.listens(topic, `^${start}/.*`, "reject");
    await second.listens(topic, `^${start}/.*`, "accept");
    const names = ["a", "b", "c", "d", "e"].map((end) => `${start}/${end}`);
    for (const name of names) await subscribe(subscriber, topic, name);
    await second.seesMany("wanted", names.length);
    assert.deepEqual(second.log.all("wanted").map(({ name }) => name).toSorted(), names);
  });

  pairs(`a ${topic} passes from a listener that goes to the next`, undefined, async (t, [one, other]) => {
    const [first, second, subscriber] = await scene.clients(t, [one, other, other]);
    const start = scene.name("handed");
    await first.listens(topic, `^${start}/.*`);
    await second.listens(topic, `^${start}/.*`);
    await subscribe(subscriber, topic, `${start}/x`);
    await subscriber.settled();
    await delay(50);
    const looks = (/** @type {Client} */ client) => client.log.all("wanted").length > 0;
    assert.equal(Number(looks(first)) + Number(looks(second)), 1, "one at a time looks after it");
    const [holder, next] = looks(first) ? [first, second] : [second, first];
    holder.close();
    await next.sees({ event: "wanted", name: `${start}/x` });
  });

  each(`a ${topic} that a listener gives up is offered to the next`, undefined, async (t, wire) => {
    const [first, second, subscriber] = await scene.clients(t, [wire, wire, wire]);
    const start = scene.name("given-up");
    await first.listens(topic, `^${start}/.*`);
    await subscribe(subscriber, topic, `${start}/x`);
    await first.sees({ event: "wanted", name: `${start}/x` });
    await second.listens(topic, `^${start}/.*`);
    await second.settled();
    assert.deepEqual(second.log.all("wanted"), []);
    await first.listensNoMore(topic, `^${start}/.*`);
    await second.sees({ event: "wanted", name: `${start}/x` });
  });

  each(`a ${topic} that a listener says nothing to is offered to the next`, unlikeOriginal("tells that one something it does not understand", "protobuf"), async (t, wire) => {
    const [first, second, subscriber] = await scene.clients(t, [wire, wire, wire]);
    const start = scene.name("ignored");
    await first.listens(topic, `^${start}/.*`, "neither");
    await second.listens(topic, `^${start}/.*`);
    await subscribe(subscriber, topic, `${start}/x`);
    await second.sees({ event: "wanted", name: `${start}/x` });
  });

  each(`${topic}s stay wanted while one subscriber of several goes`, undefined, async (t, wire) => {
    const [listener, ...subscribers] = await scene.clients(t, [wire, wire, wire]);
    const start = scene.name("several");
    await listener.listens(topic, `^${start}/.*`);
    for (const subscriber of subscribers) await subscribe(subscriber, topic, `${start}/x`);
    await listener.sees({ event: "wanted", name: `${start}/x` });
    subscribers[0].close();
    await subscribers[1].settled();
    await delay(50);
    assert.deepEqual(listener.log.all("unwanted"), []);
    subscribers[1].close();
    await listener.sees({ event: "unwanted", name: `${start}/x` });
    assert.equal(listener.log.all("wanted").length, 1);
  });
}

pairs("subscribers of a record know whether somebody looks after it", undefined, async (t, [one, other]) => {
  const [listener, next, subscriber] = await scene.clients(t, [one, one, other]);
  const start = scene.name("provided");
  const record = await subscriber.record(`${start}/x`);
  assert.equal(record.hasProvider, false);
  await listener.listens("record", `^${start}/.*`);
  await subscriber.eventually("being provided", () => record.hasProvider);
  listener.close();
  await subscriber.eventually("being provided no more", () => !record.hasProvider);
  await next.listens("record", `^${start}/.*`);
  await subscriber.eventually("being provided again", () => record.hasProvider);
});

each("what is no pattern is refused", unlikeOriginal("says nothing to text clients", "text"), async (t, wire) => {
  const client = await scene.client(t, wire);
  await client.listens("event", "([", "accept");
  await client.errs("INVALID_LISTEN_REGEX");
  assert.equal(client.state, "OPEN");
});
