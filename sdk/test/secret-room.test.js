// Secret rooms by their public face, on a browser and a hub in memory; see browser.js.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { LOSSY_MAX, STATE_VALUE_MAX } from "../src/limits.js";
import { OVERHEAD } from "../src/secret.js";
import { RoomError, join, newKey } from "../src/roomful.js";
import { installBrowser } from "./browser.js";

let server, page;
const rooms = [];

beforeEach(() => ({ server, page } = installBrowser()));
afterEach(() => Promise.all(rooms.splice(0).map((room) => room.leave())));

async function enter(name, key, options = {}) {
  const room = await join(`http://127.0.0.1:7800/standup${key ? `#${key}` : ""}`, { name, ...options });
  room.unreadable = [];
  room.addEventListener("unreadable", ({ member, reason, hint }) => {
    assert.notEqual(hint, "");
    room.unreadable.push(`${member?.name ?? "state"} ${reason}`);
  });
  rooms.push(room);
  return room;
}

async function until(holds) {
  for (let n = 0; n < 600 && !holds(); n++) await sleep(5);
  assert.ok(holds(), `${holds}`);
}

async function linked(...met) {
  await until(() => met.every(({ members }) => members.size === met.length - 1));
  await until(() => met.every(({ members }) => [...members.values()].every(({ link }) => link.state === "open")));
}

/** Two with one key, one without, one with another. */
async function scene() {
  const [key, other] = [newKey(), newKey()];
  const met = [await enter("Ada", key), await enter("Bob", key), await enter("Eve"), await enter("Mallory", other)];
  await linked(...met);
  return met;
}

const member = (room, name) => [...room.members.values()].find((member) => member.name === name);
const once = (target, type) => new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));
const codeOf = (promise) => promise.then(() => "fulfilled", (error) => (assert.ok(error instanceof RoomError), error.code));

/** What a room hears on a channel, as it comes. */
function listen(room, name, options) {
  const heard = [];
  const channel = room.channel(name, options);
  channel.addEventListener("message", ({ from, data }) => heard.push([from.name, data]));
  channel.addEventListener("messageerror", ({ error }) => heard.push(error));
  return heard;
}

test("who has the key hears the others who have it, once and in order; the rest is told of", async () => {
  const [ada, bob, eve, mallory] = await scene();
  assert.deepEqual([ada.isSecret, bob.isSecret, eve.isSecret, mallory.isSecret], [true, true, false, true]);
  assert.ok(server.sockets.every(({ url }) => !url.includes("#") && !url.includes("key")));
  const heard = [ada, bob, eve, mallory].map((room) => listen(room, "chat"));
  const count = 300;
  for (const room of [ada, bob, eve, mallory]) {
    const chat = room.channel("chat");
    const sends = Array.from({ length: count }, (_, n) => chat.send(n, n % 10 === 0 ? { to: member(room, "Bob") ?? member(room, "Ada") } : {}));
    await Promise.all(sends);
  }
  await until(() => heard[0].length === count && heard[1].length === count);
  assert.deepEqual(heard[0], Array.from({ length: count }, (_, n) => ["Bob", n]), "Bob's messages to Ada and to all");
  assert.deepEqual(heard[1], Array.from({ length: count }, (_, n) => ["Ada", n]));
  await until(() => eve.unreadable.length === 3 && mallory.unreadable.length === 3 && ada.unreadable.length === 2 && bob.unreadable.length === 2);
  assert.deepEqual(heard.slice(2), [[], []]);
  assert.deepEqual(ada.unreadable.sort(), ["Eve not_sealed", "Mallory wrong_key"]);
  assert.deepEqual(eve.unreadable.sort(), ["Ada no_key", "Bob no_key", "Mallory no_key"]);
  assert.deepEqual(mallory.unreadable.sort(), ["Ada wrong_key", "Bob wrong_key", "Eve not_sealed"]);
});

test("what is large, or much, is held back as ever, and arrives", async () => {
  const key = newKey();
  const [ada, bob] = [await enter("Ada", key), await enter("Bob", key)];
  await linked(ada, bob);
  const reader = bob.channel("bulk")[Symbol.asyncIterator]();
  const size = 1024 * 1024;
  const sending = (async () => {
    for (let n = 0; n < 48; n++) await ada.channel("bulk").send(new Uint8Array(size).fill(n));
  })();
  await sleep(100);
  assert.equal(await Promise.race([sending, "waits"]), "waits");
  for (let n = 0; n < 48; n++) {
    const { value } = await reader.next();
    assert.deepEqual([value.data.length, value.data[0], value.data[size - 1]], [size, n, n]);
  }
  await sending;
  const burst = Array.from({ length: 3_000 }, (_, n) => codeOf(ada.channel("burst").send(n)));
  const outcomes = await Promise.all(burst);
  assert.ok(outcomes.includes("too_many") && outcomes[0] === "fulfilled", "sends that nobody awaits are bounded");
});

test("lossy channels: the newest value arrives, to those who enter later too; what is too large is refused", async () => {
  const key = newKey();
  const [ada, bob] = [await enter("Ada", key), await enter("Bob", key)];
  await linked(ada, bob);
  const heard = listen(bob, "cursor", { mode: "latest" });
  const cursor = ada.channel("cursor", { mode: "latest" });
  for (let n = 0; n < 2_000; n++) void cursor.send(n);
  await until(() => heard.at(-1)?.[1] === 1_999);
  assert.ok(heard.every(([, n], at) => at === 0 || n > heard[at - 1][1]), "newer ones only");
  const late = await enter("late", key);
  const latest = listen(late, "cursor", { mode: "latest" });
  await until(() => latest.length === 1);
  assert.deepEqual(latest, [["Ada", 1_999]]);
  const sparks = ada.channel("sparks", { mode: "datagram" });
  const seen = listen(bob, "sparks", { mode: "datagram" });
  await sparks.send(new Uint8Array(LOSSY_MAX - OVERHEAD - 3));
  await until(() => seen.length === 1);
  assert.equal(seen[0][1].length, LOSSY_MAX - OVERHEAD - 3);
  assert.equal(await codeOf(sparks.send(new Uint8Array(LOSSY_MAX - OVERHEAD))), "too_large");
});

test("calls give results and errors among those who have the key", async () => {
  const [ada, bob, eve, mallory] = await scene();
  for (const room of [ada, bob, eve, mallory]) {
    room.handle("add", ([a, b]) => a + b);
    room.handle("fail", () => {
      throw new Error("on purpose");
    });
    room.handle("wait", () => new Promise(() => {}));
  }
  const to = member(ada, "Bob");
  assert.equal(await ada.call(to, "add", [1, 2]), 3);
  const sums = await Promise.all(Array.from({ length: 200 }, (_, n) => ada.call(to, "add", [n, n])));
  assert.deepEqual(sums, Array.from({ length: 200 }, (_, n) => 2 * n));
  await assert.rejects(ada.call(to, "fail"), { code: "handler_failed", message: "on purpose" });
  assert.equal(await codeOf(ada.call(to, "none")), "no_handler");
  assert.equal(await codeOf(ada.call(to, "wait", 1, { timeout: 30 })), "timeout");
  await assert.rejects(ada.call(to, "wait", 1, { signal: AbortSignal.timeout(30) }), { name: "TimeoutError" });
  assert.equal(await codeOf(ada.call("0123456789abcdef", "add")), "unknown_member");
  for (const [caller, called] of [[ada, "Eve"], [ada, "Mallory"], [eve, "Ada"], [mallory, "Ada"]]) {
    assert.equal(await codeOf(caller.call(member(caller, called), "add", [1, 2])), "unreadable", `${caller.self.name} calls ${called}`);
  }
});

test("the server and those without the key see no entry's value", async () => {
  const [ada, bob, eve, mallory] = await scene();
  eve.state.set("clear", 1);
  await until(() => ada.unreadable.includes("state not_sealed"));
  ada.state.set("title", { text: "Standup" });
  const { key, value, by } = await once(bob.state, "change");
  assert.deepEqual([key, value, by.name], ["title", { text: "Standup" }, "Ada"]);
  await until(() => eve.unreadable.includes("state no_key") && mallory.unreadable.includes("state wrong_key"));
  assert.deepEqual([[...bob.state.keys()], [...eve.state.keys()], [...mallory.state.keys()]], [["title"], ["clear"], []]);
  assert.throws(() => ada.state.set("k", "x".repeat(STATE_VALUE_MAX - 100)), { code: "too_large" });
  const late = await enter("late");
  assert.deepEqual([...late.state.keys()], ["clear"]);
  await until(() => late.unreadable.includes("state no_key"));
  ada.state.delete("title");
  await until(() => bob.state.size === 0);
});

test("what was said before leaving arrives, and nothing comes after somebody has left", async () => {
  const key = newKey();
  const [ada, bob] = [await enter("Ada", key), await enter("Bob", key)];
  await linked(ada, bob);
  const order = [];
  bob.channel("chat").addEventListener("message", ({ data }) => order.push(data));
  bob.addEventListener("memberleave", () => order.push("left"));
  for (let n = 0; n < 50; n++) void ada.channel("chat").send(n);
  await ada.leave();
  await until(() => order.includes("left"));
  assert.deepEqual(order, [...Array(50).keys(), "left"]);
});

test("a page that comes back from being put aside is another session, under another key", async () => {
  const key = newKey();
  const [ada, bob] = [await enter("Ada", key), await enter("Bob", key)];
  await linked(ada, bob);
  const heard = listen(bob, "chat");
  await ada.channel("chat").send("before");
  await until(() => heard.length === 1);
  page.dispatchEvent(Object.assign(new Event("pagehide"), { persisted: true }));
  await sleep(50);
  const back = [once(ada, "reconnected"), once(bob, "reconnected")];
  page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  await Promise.all(back);
  await linked(ada, bob);
  await ada.channel("chat").send("after");
  await until(() => heard.length === 2);
  assert.deepEqual(heard.map(([, text]) => text), ["before", "after"]);
  assert.deepEqual(bob.unreadable, []);
});

test("a key that is not whole keeps out", async () => {
  assert.equal(await codeOf(join("http://127.0.0.1:7800/standup#key=abc")), "bad_key");
  assert.equal(server.sockets.length, 0);
});
