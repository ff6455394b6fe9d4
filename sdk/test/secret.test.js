// A room's secret: the key in addresses, the golden files of sealed payloads, and what is believed of what comes sealed.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { fromHex, toHex } from "../src/id.js";
import { LATEST_CHANNELS } from "../src/limits.js";
import { AT_ONCE, Line } from "../src/line.js";
import {
  Keys, Nonces, OVERHEAD, countOf, isSealed, keyOfFragment, importSecret, newKey, open, parseSealed, seal, toBase64Url,
  fromBase64Url,
} from "../src/secret.js";
import { DATAGRAMS_KNOWN, Keyed, SENDERS_KNOWN } from "../src/secrecy.js";
import { socketAddress } from "../src/socket.js";
import { decodeValue } from "../src/value.js";

const FOLDER = new URL("../../protocol/golden/", import.meta.url);
const KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const [ADA, BOB] = ["0a0a0a0a0a0a0a0a", "0b0b0b0b0b0b0b0b"];

test("a key is read as it is written, and only whole", () => {
  assert.deepEqual(keyOfFragment(`#key=${KEY}`), Uint8Array.from({ length: 32 }, (_, at) => at));
  assert.notEqual(newKey(), newKey());
  assert.equal(keyOfFragment(`#${newKey()}`).length, 32);
  // The last letter of the third has bits that belong to no byte.
  for (const wrong of ["", KEY.slice(1), `${KEY.slice(0, 42)}9`, `${KEY}A`, KEY.replace("A", "+"), `${KEY}=`]) {
    assert.throws(() => keyOfFragment(`#key=${wrong}`), { code: "bad_key" }, wrong);
  }
  for (const wrong of [`#KEY=${KEY}`, `#key%3D${KEY}`, `#a=b&key=${KEY}`]) {
    assert.throws(() => keyOfFragment(wrong), { code: "bad_key" }, wrong);
  }
  for (const other of ["", "#", "#people", "#monkey=1"]) assert.equal(keyOfFragment(other), undefined, other);
});

test("addresses keep their key to themselves", () => {
  const { url, room, key } = socketAddress(`https://example.org/standup#key=${KEY}`, undefined);
  assert.deepEqual([url, room, key.length], ["wss://example.org/standup", "standup", 32]);
  for (const address of [`//nowhere#key=${KEY}`, `http://x/sdk#key=${KEY}`, `http://x/a#KEY=${KEY}`, `ftp://x/a#key=${KEY}`]) {
    assert.throws(() => socketAddress(address, undefined), ({ message, hint }) => !`${message}${hint}`.includes(KEY.slice(0, 9)));
  }
});

test("bytes of any length are text and back", () => {
  for (const length of [0, 1, 2, 3, 4, 20_000]) {
    const bytes = Uint8Array.from({ length }, (_, at) => (at * 251) & 0xff);
    assert.deepEqual(fromBase64Url(toBase64Url(bytes)), bytes);
    assert.equal(toBase64Url(bytes), Buffer.from(bytes).toString("base64url"));
  }
  for (const wrong of ["a", "a+b=", "a b", "ä"]) assert.equal(fromBase64Url(wrong), undefined);
});

test("golden payloads are sealed and opened alike", async () => {
  const files = readdirSync(FOLDER).map((name) => ({ name, ...JSON.parse(readFileSync(new URL(name, FOLDER), "utf8")) }));
  const golden = files.filter(({ kind }) => kind === "seal" || kind === "bad_seal");
  assert.ok(golden.length > 8);
  for (const { name: file, kind: of, seal: what, hex } of golden) {
    const key = await new Keys(await importSecret(keyOfFragment(`#key=${what.key}`)), what.room).of(what.from);
    const place = { kind: what.what, to: what.to, name: what.name, call: what.call && fromHex(what.call) };
    const sealed = parseSealed(fromHex(hex));
    const fits = sealed?.kind === place.kind && sealed.addressed === (place.to !== undefined);
    const opened = fits ? await open(key, place, sealed) : undefined;
    if (of === "bad_seal") {
      assert.equal(opened, undefined, file);
      continue;
    }
    assert.equal(toHex(opened), what.plain, file);
    assert.equal(countOf(sealed.nonce), what.count, file);
    const nonce = new Nonces(fromHex(what.salt), what.count - 1).next();
    const again = await seal(key, nonce, place, fromHex(what.plain));
    assert.equal(toHex(again), hex, file);
    assert.equal(again.length, what.plain.length / 2 + OVERHEAD, file);
    assert.ok(isSealed(again));
    assert.throws(() => decodeValue(again), { name: "ValueError" }, file);
  }
});

test("a page that cannot encrypt says so", async (t) => {
  t.mock.getter(globalThis, "crypto", () => ({}));
  await assert.rejects(importSecret(new Uint8Array(32)), { code: "insecure" });
});

/** Members with one key. */
async function keyed(...ids) {
  const secret = await importSecret(keyOfFragment(`#${newKey()}`));
  return ids.map((id) => new Keyed(id, new Keys(secret, "standup")));
}

const bytes = (text) => new TextEncoder().encode(text);

/** The text that is believed, or why none is; undefined where it is dropped without a word. */
async function read(member, from, expected, payload) {
  const at = { from, ...expected };
  const opened = member.take(at, await member.open(at, payload));
  return opened && ("plain" in opened ? new TextDecoder().decode(opened.plain) : opened.why);
}

test("what was said before, or elsewhere, is not believed", async () => {
  const [ada, bob, carol] = await keyed(ADA, BOB, "0c0c0c0c0c0c0c0c");
  const chat = { kinds: ["message"], addressed: false, name: "chat" };
  const said = [];
  for (const text of ["one", "two", "three"]) said.push(await ada.seal({ kind: "message", name: "chat" }, bytes(text)));
  const toBob = await ada.seal({ kind: "message", to: BOB, name: "chat" }, bytes("to Bob"));
  assert.equal(await read(bob, ADA, { ...chat, addressed: true }, toBob), "to Bob", "streams need not wait for each other");
  assert.equal(await read(bob, ADA, chat, said[0]), "one");
  assert.equal(await read(bob, ADA, chat, said[2]), "three", "after a gap it goes on");
  for (const old of said) assert.equal(await read(bob, ADA, chat, old), "replayed");
  assert.equal(await read(bob, ADA, { ...chat, addressed: true }, toBob), "replayed");

  const next = await ada.seal({ kind: "message", name: "chat" }, bytes("four"));
  for (const place of [{ ...chat, name: "other" }, { ...chat, addressed: true }, { kinds: ["latest"], name: "chat" }]) {
    assert.equal(await read(bob, ADA, place, next), "wrong_key");
  }
  assert.equal(await read(bob, BOB, chat, next), "wrong_key");
  assert.equal(await read(carol, ADA, { ...chat, addressed: true }, toBob), "wrong_key");
  assert.equal(await read(bob, ADA, chat, bytes("in the clear")), "not_sealed");
  assert.equal(await read(bob, ADA, chat, next), "four");
});

test("of lossy channels old values and repeated datagrams are dropped", async () => {
  const [ada, bob] = await keyed(ADA, BOB);
  const values = [];
  for (let n = 0; n < LATEST_CHANNELS + 2; n++) values.push(await ada.seal({ kind: "latest", name: `${n}` }, bytes(`${n}`)));
  const newer = await ada.seal({ kind: "latest", name: "0" }, bytes("newer"));
  const latest = (name, payload) => read(bob, ADA, { kinds: ["latest"], name }, payload);
  assert.equal(await latest("0", newer), "newer");
  assert.equal(await latest("0", values[0]), undefined);
  for (let n = 1; n < values.length; n++) assert.equal(await latest(`${n}`, values[n]), `${n}`);
  for (let n = 0; n < values.length; n++) assert.equal(await latest(`${n}`, values[n]), undefined, "forgotten channels too");

  const datagrams = [];
  for (let n = 0; n < DATAGRAMS_KNOWN + 2; n++) datagrams.push(await ada.seal({ kind: "datagram", name: "x" }, bytes(`${n}`)));
  const datagram = (n) => read(bob, ADA, { kinds: ["datagram"], name: "x" }, datagrams[n]);
  for (const n of [1, 0, ...datagrams.keys()].slice(0, 2)) assert.equal(await datagram(n), `${n}`, "in any order");
  for (let n = 2; n < datagrams.length; n++) assert.equal(await datagram(n), `${n}`);
  for (const n of datagrams.keys()) assert.equal(await datagram(n), undefined, "never twice");
});

test("who has not the key makes nobody forgotten", async () => {
  const [ada, bob] = await keyed(ADA, BOB);
  const chat = { kinds: ["message"], addressed: false, name: "chat" };
  const said = await ada.seal({ kind: "message", name: "chat" }, bytes("hi"));
  assert.equal(await read(bob, ADA, chat, said), "hi");
  for (let n = 0; n < SENDERS_KNOWN + 10; n++) {
    assert.equal(await read(bob, n.toString(16).padStart(16, "0"), chat, said), "wrong_key");
  }
  assert.equal(await read(bob, ADA, chat, said), "replayed");
});

test("answers are bound to their calls", async () => {
  const [ada, bob] = await keyed(ADA, BOB);
  const answered = [];
  for (const ticket of [1, 2]) {
    const call = await ada.sealCall(ticket, BOB, "add", bytes("argument"));
    assert.equal(await read(bob, ADA, { kinds: ["call"], addressed: true, name: "add" }, call), "argument");
    bob.asked.set(`${ADA} ${ticket}`, parseSealed(call).nonce);
    answered.push((await bob.sealAnswer(ADA, ticket, { result: bytes(`${ticket}`) })).result);
  }
  assert.equal(await bob.sealAnswer(ADA, 1, { result: bytes("again") }), undefined, "a call is answered once");
  const reply = (ticket, payload) =>
    read(ada, BOB, { kinds: ["reply"], addressed: true, name: "", call: ada.made.get(ticket).nonce }, payload);
  assert.equal(await reply(1, answered[1]), "wrong_key");
  assert.equal(await reply(1, answered[0]), "1");
  assert.equal(await reply(2, answered[1]), "2");
});

test("entries of the shared state are bound to their keys and writers", async () => {
  const [ada, bob] = await keyed(ADA, BOB);
  const [stranger] = await keyed(BOB);
  const value = await ada.sealEntry("title", { text: "Standup" });
  assert.deepEqual(await bob.openEntry("title", value), { value: { text: "Standup" }, by: ADA });
  assert.deepEqual(await bob.openEntry("agenda", value), { why: "wrong_key" });
  assert.deepEqual(await stranger.openEntry("title", value), { why: "wrong_key" });
  for (const clear of [1, "x", {}, [], { sealed: 1 }, { sealed: "AAAA" }, { sealed: "!" }, { ...value, other: 1 }]) {
    assert.deepEqual(await bob.openEntry("title", clear), { why: "not_sealed" }, JSON.stringify(clear));
  }
  assert.deepEqual(await bob.openEntry("title", null), { value: null });
});

test("a line is done in order, whatever is ready first", async () => {
  const line = new Line();
  const [begun, done, resolvers] = [[], [], []];
  const put = (n) => line.push(
    () => new Promise((resolve) => (begun.push(n), (resolvers[n] = resolve))),
    (result) => done.push(result),
  );
  const all = Array.from({ length: AT_ONCE + 3 }, (_, n) => n);
  all.forEach(put);
  line.push(undefined, () => done.push("last"));
  assert.equal(begun.length, AT_ONCE);
  const drained = line.drained();
  while (done.length < all.length + 1) {
    for (const n of [...begun].reverse()) resolvers[n](n);
    await new Promise(setImmediate);
  }
  await drained;
  assert.deepEqual(done, [...all, "last"]);
  assert.equal(line.length, 0);
  line.push(undefined, () => done.push("at once"));
  assert.equal(done.at(-1), "at once");

  // What fails gives nothing, and what is done may put more in line.
  const order = [];
  line.push(() => Promise.reject(new Error("on purpose")), (result) => {
    order.push(result);
    line.push(undefined, () => order.push("inner"));
  });
  line.push(undefined, () => order.push("outer"));
  await line.drained();
  assert.deepEqual(order, [undefined, "outer", "inner"]);
  line.push(async () => {}, () => order.push("never"));
  line.close();
  await new Promise(setImmediate);
  assert.equal(order.length, 3);
});
