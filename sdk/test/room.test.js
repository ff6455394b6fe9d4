// The public face, on a browser and a hub in memory; see browser.js.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { OPEN_TIMEOUT_MS } from "../src/driver.js";
import { RoomError, join } from "../src/roomful.js";
import { PINS_MAX } from "../src/limits.js";
import { HELD_BYTES } from "../src/room/channel.js";
import { installBrowser } from "./browser.js";

let server, page;
const rooms = [];

beforeEach(() => ({ server, page } = installBrowser()));
afterEach(async () => {
  server.isDown = false;
  await Promise.all(rooms.splice(0).map((room) => room.leave()));
});

async function enter(name, options = {}) {
  const room = await join("http://127.0.0.1:7800/standup#people", { name, ...options });
  rooms.push(room);
  return room;
}

/** Waits for one event. */
const once = (target, type) => new Promise((resolve) => target.addEventListener(type, resolve, { once: true }));

async function until(holds) {
  for (let n = 0; n < 400 && !holds(); n++) await sleep(5);
  assert.ok(holds(), `${holds}`);
}

/** Rooms whose members are all linked. */
async function meet(...names) {
  const met = [];
  for (const name of names) met.push(await enter(name));
  await until(() => met.every(({ members }) => members.size === met.length - 1));
  await until(() => met.every(({ members }) => [...members.values()].every(({ link }) => link.state === "open")));
  return met;
}

const other = (room) => [...room.members.values()][0];

/** The code of the error that a promise is rejected with. */
const codeOf = (promise) => promise.then(() => "fulfilled", (error) => (assert.ok(error instanceof RoomError), error.code));

test("join gives the room as it is", async () => {
  const ada = await enter("Ada", { attributes: { role: "host" } });
  ada.state.set("title", { text: "Standup" });
  await once(ada.state, "change");
  const bob = await enter("Bob");
  assert.equal(bob.name, "standup");
  assert.equal(bob.self.name, "Bob");
  assert.equal(bob.topology, "mesh");
  assert.equal(bob.status, "open");
  assert.deepEqual([...bob.members.values()].map(({ id, name, attributes }) => [id, name, attributes]), [
    [ada.self.id, "Ada", { role: "host" }],
  ]);
  assert.deepEqual(bob.state.get("title"), { text: "Standup" });
  assert.equal(server.sockets[0].url, "ws://127.0.0.1:7800/standup");
});

test("what is no text is made one", async () => {
  const ada = await enter("half \ud83d", { attributes: { mood: "\ud83d", age: 7 } });
  assert.deepEqual([ada.self.name, ada.self.attributes], ["half \ufffd", { mood: "\ufffd", age: "7" }]);
});

test("a refusal rejects join, by its code and hint", async () => {
  server.gate = () => ({ code: "token_required" });
  await assert.rejects(enter("Ada"), (error) => {
    assert.ok(error instanceof RoomError);
    assert.deepEqual([error.code, error.message, error.hint], ["token_required", "no", "ask"]);
    return true;
  });
});

test("addresses that are no room's are refused at once", async () => {
  for (const [address, code] of [
    ["ftp://host/room", "bad_address"],
    ["", "bad_address"],
    ["http://host/", "bad_room"],
    ["http://host/sdk", "bad_room"],
    ["http://host/a%20b", "bad_room"],
    ["http://host/%ff", "bad_room"],
  ]) {
    assert.equal(await codeOf(join(address)), code, address);
  }
});

test("entering can be given up", async () => {
  server.isDown = true;
  await assert.rejects(enter("Ada", { signal: AbortSignal.timeout(30) }), { name: "TimeoutError" });
  await assert.rejects(enter("Ada", { signal: AbortSignal.abort(new Error("no more")) }), /no more/);
});

test("a fresh token is asked for each time that the server lets the member in", async () => {
  let asked = 0;
  const room = await enter("Ada", { token: async () => `token ${++asked}` });
  assert.equal(server.lastJoin.token, "token 1");
  server.cut();
  await once(room, "reconnected");
  assert.equal(server.lastJoin.token, "token 2");
  const failing = enter("Bob", { token: () => Promise.reject(new Error("no such user")) });
  await assert.rejects(failing, ({ code, cause }) => code === "token_failed" && cause.message === "no such user");
});

test("a server or a token that does not answer is given up, and tried again", async (t) => {
  const wait = globalThis.setTimeout;
  t.mock.method(globalThis, "setTimeout", (run, ms) => wait(run, ms === OPEN_TIMEOUT_MS ? 20 : ms));
  let token = () => "a token";
  const ada = await enter("Ada", { token: () => token() });
  for (const stall of [() => (server.stalls = true), () => (token = () => new Promise(() => {}))]) {
    stall();
    const back = once(ada, "reconnected");
    server.cut();
    await sleep(250);
    server.stalls = false;
    token = () => "a token";
    await back;
  }
});

test("messages come by iteration and by events", async () => {
  const [ada, bob] = await meet("Ada", "Bob");
  const heard = [];
  bob.channel("chat").addEventListener("message", ({ from, data }) => heard.push([from.name, data]));
  const reading = (async () => {
    const read = [];
    for await (const { from, data } of bob.channel("chat")) {
      read.push([from.name, data]);
      if (read.length === 3) return read;
    }
  })();
  const chat = ada.channel("chat");
  await chat.send("hi");
  await chat.send({ at: new Date(7), big: 3n, list: Int16Array.of(1, -1) });
  await chat.send(undefined, { to: other(ada) });
  const expected = [["Ada", "hi"], ["Ada", { at: new Date(7), big: 3n, list: Int16Array.of(1, -1) }], ["Ada", undefined]];
  assert.deepEqual(await reading, expected);
  assert.deepEqual(heard, expected);
  assert.equal(bob.channel("chat"), bob.channel("chat"));
  assert.notEqual(bob.channel("chat"), bob.channel("chat", { mode: "latest" }));
});

test("what comes before anybody reads is held, within a bound", async () => {
  const [ada, bob] = await meet("Ada", "Bob");
  for (let n = 0; n < 5; n++) await ada.channel("early").send(n);
  const piece = new Uint8Array(HELD_BYTES / 4);
  for (let n = 0; n < 40; n++) await ada.channel("nobody reads").send(piece);
  await ada.channel("end").send("end");
  const end = bob.channel("end");
  for await (const { data } of end) {
    assert.equal(data, "end");
    break;
  }
  const kept = bob.channel("nobody reads")[Symbol.asyncIterator]();
  assert.equal((await kept.next()).value.data.length, piece.length);
  for (let n = 1; n < 3; n++) await kept.next();
  assert.equal(await Promise.race([kept.next(), sleep(30, "nothing")]), "nothing");
});

test("a reader of latest values gets the newest of each sender", async () => {
  const [ada, bob] = await meet("Ada", "Bob");
  const reader = bob.channel("cursor", { mode: "latest" })[Symbol.asyncIterator]();
  for (let n = 0; n < 20; n++) {
    await ada.channel("cursor", { mode: "latest" }).send(n);
    await sleep(5);
  }
  await sleep(150);
  assert.equal((await reader.next()).value.data, 19);
  assert.equal(await Promise.race([reader.next(), sleep(30, "nothing")]), "nothing");
});

test("a reader that stops holds nobody back", async () => {
  const [ada, bob] = await meet("Ada", "Bob");
  const reader = bob.channel("bulk")[Symbol.asyncIterator]();
  const sending = (async () => {
    for (let n = 0; n < 48; n++) await ada.channel("bulk").send(new Uint8Array(1024 * 1024));
  })();
  assert.equal((await reader.next()).done, false);
  await sleep(100);
  assert.equal(await Promise.race([sending, "waits"]), "waits");
  await reader.return();
  await sending;
  assert.equal((await reader.next()).done, true);
});

test("sends fail for a reason", async () => {
  const [ada] = await meet("Ada", "Bob");
  const chat = ada.channel("chat");
  await assert.rejects(chat.send(() => {}), TypeError);
  await assert.rejects(chat.send(new Uint8Array(17 * 1024 * 1024)), RangeError);
  assert.equal(await codeOf(chat.send(1, { to: "0123456789abcdef" })), "unknown_member");
  const cursor = ada.channel("cursor", { mode: "datagram" });
  assert.equal(await codeOf(cursor.send(new Uint8Array(17 * 1024))), "too_large");
  assert.equal(await codeOf(cursor.send(1, { to: "0123456789abcdef" })), "unknown_member");
  assert.throws(() => ada.channel("é".repeat(33)), { code: "too_large" });
  assert.throws(() => ada.channel("x", { mode: "fast" }), TypeError);
  await ada.leave();
  assert.equal(await codeOf(chat.send(1)), "closed");
  assert.equal(await codeOf(cursor.send(1)), "closed");
});

test("calls give results, and errors with their codes", async () => {
  const [ada, bob] = await meet("Ada", "Bob");
  bob.handle("add", async ([a, b], { from }) => ({ sum: a + b, by: from.name }));
  bob.handle("fail", () => {
    throw new Error("on purpose");
  });
  bob.handle("odd", () => () => {});
  const aborted = new Promise((resolve) =>
    bob.handle("wait", (_, { signal }) => new Promise(() => signal.addEventListener("abort", () => resolve(signal.reason.code)))),
  );
  const to = other(ada);
  assert.deepEqual(await ada.call(to, "add", [1, 2]), { sum: 3, by: "Ada" });
  await assert.rejects(ada.call(to.id, "fail"), { code: "handler_failed", message: "on purpose" });
  assert.equal(await codeOf(ada.call(to, "odd")), "handler_failed");
  assert.equal(await codeOf(ada.call(to, "none")), "no_handler");
  assert.equal(await codeOf(ada.call("0123456789abcdef", "add")), "unknown_member");
  assert.equal(await codeOf(ada.call(to, "wait", 1, { timeout: 30 })), "timeout");
  await assert.rejects(ada.call(to, "wait", 1, { signal: AbortSignal.timeout(30) }), { name: "TimeoutError" });
  bob.handle("add", null);
  assert.equal(await codeOf(ada.call(to, "add", [1, 2])), "no_handler");
  const waiting = codeOf(ada.call(to, "wait"));
  await sleep(30);
  await ada.leave();
  assert.equal(await waiting, "closed");
  assert.equal(await aborted, "member_left");
});

test("state and attributes are everybody's", async () => {
  const [ada, bob] = await meet("Ada", "Bob");
  ada.state.set("title", { list: [1] });
  const change = await once(bob.state, "change");
  assert.deepEqual([change.key, change.value, change.by], ["title", { list: [1] }, other(bob)]);
  assert.throws(() => change.value.list.push(2), TypeError);
  assert.throws(() => ada.state.set("x", () => {}), TypeError);
  assert.throws(() => ada.state.set("x", ["\ud83d"]), TypeError);
  assert.deepEqual([...bob.state], [["title", { list: [1] }]]);
  assert.deepEqual([bob.state.size, bob.state.has("title"), [...bob.state.keys()]], [1, true, ["title"]]);
  bob.state.delete("title");
  assert.equal((await once(ada.state, "change")).value, undefined);
  assert.equal(ada.state.has("title"), false);
  ada.setAttributes({ hand: "up" });
  const update = await once(bob, "memberupdate");
  assert.deepEqual([update.member, update.member.attributes], [other(bob), { hand: "up" }]);
  await until(() => ada.self.attributes.hand === "up");
  assert.throws(() => (ada.self.attributes.hand = "down"), TypeError);
});

test("state and attributes that the server would put a member out for are refused at once", async () => {
  const [ada, bob] = await meet("Ada", "Bob");
  const large = (run) => assert.throws(run, ({ code }) => code === "too_large");
  large(() => ada.state.set("k", "x".repeat(70_000)));
  large(() => ada.state.set("k".repeat(129), 1));
  large(() => ada.state.delete("\u00fc".repeat(65)));
  large(() => ada.setAttributes({ a: "x".repeat(4_096) }));
  // Half an emoji is no text that could be sent.
  ada.state.set("half \ud83d", 1);
  assert.equal((await once(bob.state, "change")).key, "half \ufffd");
  ada.setAttributes({ mood: "\ud83d" });
  assert.deepEqual((await once(bob, "memberupdate")).member.attributes, { mood: "\ufffd" });
});

test("the room is linked as is asked for, or the promise says why not", async () => {
  const [ada, bob] = await meet("Ada", "Bob");
  const changes = Promise.all([ada, bob].map((room) => once(room, "topologychange")));
  await ada.pin("tree");
  for (const [at, { from, to }] of (await changes).entries()) assert.deepEqual([from, to], ["mesh", "tree"], `member ${at}`);
  assert.deepEqual([ada.topology, bob.topology, (await enter("Eve")).topology], ["tree", "tree", "tree"]);

  assert.equal(await codeOf(ada.pin("ring")), "topology_unavailable");
  assert.equal(await codeOf(ada.pin("x".repeat(1_000))), "topology_unavailable");
  await assert.rejects(ada.pin("ring"), { message: "no", hint: "ask" });
  const many = await Promise.all(Array.from({ length: PINS_MAX + 2 }, () => codeOf(ada.pin("tree"))));
  assert.deepEqual(many.filter((code) => code !== "fulfilled"), ["rate_limited", "rate_limited"]);
});

test("a pin that the server may not have heard is rejected", async () => {
  const [ada] = await meet("Ada", "Bob");
  const away = once(ada, "reconnecting");
  // It hears the wish, and its answer is lost.
  server.repeats = ({ type }) => type === "topology" && server.cut();
  assert.equal(await codeOf(ada.pin("tree")), "unreachable");
  server.repeats = () => false;
  await away;
  assert.equal(await codeOf(ada.pin("tree")), "unreachable");
  await once(ada, "reconnected");
  await ada.pin("tree");
  await ada.leave();
  assert.equal(await codeOf(ada.pin("tree")), "closed");
});

test("members know whether they may choose how the room is linked", async () => {
  const [ada, eve] = await meet("Ada", "Eve");
  assert.deepEqual([ada.mayPin, eve.mayPin], [true, false]);
});

test("members come and go", async () => {
  const [ada] = await meet("Ada");
  const entering = once(ada, "memberjoin");
  const bob = await enter("Bob");
  const { member } = await entering;
  assert.equal(member.name, "Bob");
  const link = await once(ada, "link");
  assert.deepEqual([link.member, link.state], [member, "connecting"]);
  await until(() => member.link.state === "open" && member.link.rtt_ms !== undefined);
  const links = [];
  ada.addEventListener("link", ({ state }) => links.push(state));
  const leaving = once(ada, "memberleave");
  const closing = once(bob, "close");
  const ended = (async () => {
    for await (const _ of bob.channel("chat"));
    return "ended";
  })();
  await bob.leave();
  const { member: gone, reason } = await leaving;
  assert.deepEqual([gone, reason, gone.link.state], [member, "left", "closed"]);
  assert.ok(links.every((state) => state === "open"), `${links}`);
  assert.equal((await closing).reason, "left");
  assert.equal(await ended, "ended");
  assert.equal(bob.status, "closed");
  await bob.leave();
});

test("a broken socket is told, and mended", async () => {
  const [ada, bob] = await meet("Ada", "Bob");
  const [down, up] = [once(ada, "reconnecting"), once(ada, "reconnected")];
  server.cut();
  assert.match((await down).reason, /connection to the server/);
  assert.equal(ada.status, "reconnecting");
  const reading = bob.channel("chat")[Symbol.asyncIterator]().next();
  await ada.channel("chat").send("meanwhile");
  assert.equal((await reading).value.data, "meanwhile");
  assert.equal((await up).resumed, true);
  assert.equal(ada.status, "open");
});

test("what a later server says is passed over, and a refusal that this version does not know is told, by its number", async () => {
  const [ada] = await meet("Ada");
  for (const text of ['{"greeting":{}}', '{"refused":{"code":"too_loud","message":"","hint":"","fatal":true}}', "{"]) {
    server.sockets.at(-1).onmessage({ data: text });
  }
  await sleep(10);
  assert.equal(ada.status, "open");
  const pauses = [];
  for (let time = 0; time < 4; time++) {
    const [down, up] = [once(ada, "reconnecting"), once(ada, "reconnected")];
    server.cut(4999, "too_loud");
    assert.match((await down).reason, /does not know \(4999, too_loud\)/);
    const began = performance.now();
    await up;
    pauses.push(performance.now() - began);
  }
  // The fourth is 400 ms at least, the first was 150 ms at most, and what the machine takes.
  assert.ok(pauses[3] > 400 && pauses[3] > pauses[0], `${pauses}`);
});

test("an answer that comes twice ends no link", async () => {
  const before = server.repeats;
  server.repeats = ({ type, data }) => type === "signal" && "answer" in data;
  const [ada, bob] = await meet("Ada", "Bob");
  server.repeats = before;
  await sleep(30);
  assert.deepEqual([other(ada).link.state, other(bob).link.state], ["open", "open"]);
  const states = [];
  for (const room of [ada, bob]) room.addEventListener("link", ({ state }) => states.push(state));
  await sleep(50);
  assert.ok(states.every((state) => state === "open"), `${states}`);
});

test("a page that is put aside leaves, and enters anew when it comes back", async () => {
  const [ada, bob] = await meet("Ada", "Bob");
  const chat = bob.channel("chat");
  const received = [];
  chat.addEventListener("message", ({ from, data }) => received.push([from.name, data]));
  const id = bob.self.id;
  bob.setAttributes({ hand: "up" });
  await until(() => bob.self.attributes.hand === "up");
  // Both rooms live in this page, and both are put aside.
  page.dispatchEvent(Object.assign(new Event("pagehide"), { persisted: true }));
  await sleep(50);
  const back = once(bob, "reconnected");
  page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  assert.equal((await back).resumed, false);
  assert.notEqual(bob.self.id, id);
  assert.equal(bob.self.attributes.hand, "up");
  await until(() => other(bob)?.name === "Ada" && other(bob).link.state === "open" && other(ada)?.link.state === "open");
  await ada.channel("chat").send("welcome back");
  await until(() => received.length === 1);
  assert.deepEqual(received, [["Ada", "welcome back"]]);
});

test("a call that is given up while the page is put aside is never made", async () => {
  const [ada, bob] = await meet("Ada", "Bob");
  const asked = [];
  ada.handle("work", (argument) => void asked.push(argument));
  page.dispatchEvent(Object.assign(new Event("pagehide"), { persisted: true }));
  const giving = new AbortController();
  const call = (argument, signal) => bob.call(ada.self.id, "work", argument, { signal });
  const given = assert.rejects(call("given up", giving.signal), /not any more/);
  giving.abort(new Error("not any more"));
  await given;
  const kept = call("kept", new AbortController().signal);
  page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  // Both rooms live in this page: whom it is for is somebody else by now.
  assert.equal(await codeOf(kept), "unknown_member");
  await until(() => other(bob)?.name === "Ada" && other(bob).link.state === "open" && other(ada)?.link.state === "open");
  await bob.call(other(bob), "work", "later");
  assert.deepEqual(asked, ["later"]);
});

test("a page that is closed leaves at once, and its socket is the browser's to close", async () => {
  const [ada, bob] = await meet("Ada", "Bob");
  const sent = codeOf(ada.call(other(ada), "nothing"));
  server.heard.length = 0;
  page.dispatchEvent(Object.assign(new Event("pagehide"), { persisted: false }));
  assert.equal(await sent, "closed");
  await ada.leave();
  await bob.leave();
  await sleep(20);
  assert.deepEqual(server.heard, ["leave", "leave"]);
});

test("who goes for good says so before the socket closes", async () => {
  const [ada, bob] = await meet("Ada", "Bob");
  const ends = async (end) => {
    server.heard.length = 0;
    await end();
    await until(() => server.heard.includes(1000));
    return server.heard.filter((heard) => heard === "leave" || heard === 1000);
  };
  assert.deepEqual(await ends(() => ada.leave()), ["leave", 1000]);
  // Put aside, to come back as somebody else.
  const puts = () => page.dispatchEvent(Object.assign(new Event("pagehide"), { persisted: true }));
  assert.deepEqual(await ends(puts), ["leave", 1000]);
  await bob.leave();
  // Given up while the server has not answered the join yet.
  server.gate = () => ({ silent: true });
  const giving = new AbortController();
  const entering = assert.rejects(enter("Fay", { signal: giving.signal }), { name: "AbortError" });
  await until(() => server.heard.at(-1) === "join");
  assert.deepEqual(await ends(() => giving.abort()), ["leave", 1000]);
  await entering;
});
