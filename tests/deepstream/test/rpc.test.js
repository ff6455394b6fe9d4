// @ts-check
// Calls: each goes to one provider, and its caller is told what became of it.

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";

import { Scene, each, pairs } from "../harness/scene.js";
import { unlikeOriginal } from "../harness/server.js";

const scene = Scene.forFile();
const PASSES_ON = unlikeOriginal("dies when it passes a text client's call on", "text");

/** What a call failed with. @param {Promise<unknown>} call @returns {Promise<string>} */
async function failure(call) {
  return call.then((value) => assert.fail(`it answered ${JSON.stringify(value)}`), (error) => String(error?.message ?? error));
}

pairs("a provider answers", undefined, async (t, [one, other]) => {
  const [caller, provider] = await scene.clients(t, [one, other]);
  const name = scene.name("sum");
  await provider.provides(name, ({ data, send }) => send(data.reduce((/** @type {number} */ a, /** @type {number} */ b) => a + b, 0)));
  assert.equal(await caller.call(name, [1, 2, 3]), 6);
  const answers = await Promise.all(Array.from({ length: 50 }, (_, at) => caller.call(name, [at, at])));
  assert.deepEqual(answers, Array.from({ length: 50 }, (_, at) => 2 * at));
});

pairs("values of every kind go there and back", undefined, async (t, [one, other]) => {
  const [caller, provider] = await scene.clients(t, [one, other]);
  const name = scene.name("echo");
  await provider.provides(name, ({ data, send }) => send(data));
  for (const value of ["ü ☃", 7.5, true, null, { a: [null, { b: 1 }] }, ["x"]]) assert.deepEqual(await caller.call(name, value), value);
  assert.equal((await caller.call(name)) ?? undefined, undefined);
});

pairs("an error reaches the caller", undefined, async (t, [one, other]) => {
  const [caller, provider] = await scene.clients(t, [one, other]);
  const name = scene.name("broken");
  await provider.provides(name, ({ error }) => error("out of paper"));
  assert.match(await failure(caller.call(name, 1)), /out of paper/);
});

each("where nobody provides, the caller is told", undefined, async (t, wire) => {
  const caller = await scene.client(t, wire);
  assert.match(await failure(caller.call(scene.name("nobody"))), /NO_RPC_PROVIDER/);
});

pairs("several providers share the calls", undefined, async (t, [one, other]) => {
  const [caller, ...providers] = await scene.clients(t, [one, other, other, other]);
  const name = scene.name("shared");
  for (const [at, provider] of providers.entries()) await provider.provides(name, ({ send }) => send(at));
  const answers = await Promise.all(Array.from({ length: 60 }, () => caller.call(name, 1)));
  assert.equal(answers.length, 60);
  assert.deepEqual([...new Set(answers)].toSorted(), [0, 1, 2]);
});

pairs("what one provider rejects another answers", PASSES_ON, async (t, [one, other]) => {
  const [caller, lazy, eager] = await scene.clients(t, [one, other, one]);
  const name = scene.name("rejected");
  await lazy.provides(name, ({ reject }) => reject());
  await eager.provides(name, ({ send }) => send("done"));
  for (let count = 0; count < 10; count++) assert.equal(await caller.call(name, count), "done");
});

each("what all reject fails", PASSES_ON, async (t, wire) => {
  const [caller, ...providers] = await scene.clients(t, [wire, wire, wire]);
  const name = scene.name("unwanted");
  for (const provider of providers) await provider.provides(name, ({ reject }) => reject());
  assert.match(await failure(caller.call(name, 1)), /NO_RPC_PROVIDER/);
  for (const provider of providers) assert.equal(provider.log.all("call").length, 1);
});

each("who provides no more is not asked", undefined, async (t, wire) => {
  const [caller, provider] = await scene.clients(t, [wire, wire]);
  const name = scene.name("over");
  await provider.provides(name, ({ send }) => send(1));
  assert.equal(await caller.call(name, 1), 1);
  await provider.providesNoMore(name);
  assert.match(await failure(caller.call(name, 1)), /NO_RPC_PROVIDER/);
});

each("a provider that is gone is not asked", undefined, async (t, wire) => {
  const [caller, provider] = await scene.clients(t, [wire, wire]);
  const name = scene.name("gone");
  await provider.provides(name, ({ send }) => send(1));
  assert.equal(await caller.call(name, 1), 1);
  provider.close();
  await delay(100);
  assert.match(await failure(caller.call(name, 1)), /NO_RPC_PROVIDER/);
});

each("who calls itself is answered", undefined, async (t, wire) => {
  const client = await scene.client(t, wire);
  const name = scene.name("own");
  await client.provides(name, ({ data, send }) => send(data + 1));
  assert.equal(await client.call(name, 1), 2);
});

each("what nobody accepts in time fails", undefined, async (t, wire) => {
  const [caller, provider] = await scene.clients(t, [wire, wire]);
  const name = scene.name("deaf");
  await provider.provides(name, () => {}, { accepts: false });
  const began = Date.now();
  assert.match(await failure(caller.call(name, 1)), /ACK_TIMEOUT|ACCEPT_TIMEOUT/);
  assert.ok(Date.now() - began < 5_000);
});

each("what one provider does not accept in time another answers", unlikeOriginal("gives up"), async (t, wire) => {
  const [caller, deaf, eager] = await scene.clients(t, [wire, wire, wire]);
  const name = scene.name("half-deaf");
  await deaf.provides(name, () => {}, { accepts: false });
  await eager.provides(name, ({ send }) => send("done"));
  const answers = await Promise.all(Array.from({ length: 8 }, (_, at) => caller.call(name, at)));
  assert.deepEqual(answers, Array.from({ length: 8 }, () => "done"));
});

each("what is accepted and never answered fails after a while", undefined, async (t, wire) => {
  const [caller, provider] = await scene.clients(t, [wire, wire]);
  const name = scene.name("slow");
  await provider.provides(name, () => {});
  assert.match(await failure(caller.call(name, 1)), /RESPONSE_TIMEOUT/);
});

each("what a provider had accepted when it went fails, and is done by no other", unlikeOriginal("lets the caller wait"), async (t, wire) => {
  const [caller, provider, other] = await scene.clients(t, [wire, wire, wire]);
  const name = scene.name("died");
  await provider.provides(name, () => {});
  const call = failure(caller.call(name, 1));
  await provider.sees({ event: "call", name });
  await provider.settled();
  await other.provides(name, ({ send }) => send("twice"));
  provider.close();
  assert.match(await call, /NO_RPC_PROVIDER/);
  assert.deepEqual(other.log.all("call"), []);
});
