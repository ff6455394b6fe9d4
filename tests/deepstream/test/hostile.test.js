// @ts-check
// Whatever comes in, the server lives, and nobody else notices.

import assert from "node:assert/strict";

import { WIRES } from "../harness/client.js";
import { BACKWARDS, MESSAGES, NAME, TEXTS, mangledMessage, mangledText, randomBytes } from "../harness/mangle.js";
import { Raw, TOPIC, protobuf, text } from "../harness/raw.js";
import { Scene, each } from "../harness/scene.js";
import { unlikeOriginal } from "../harness/server.js";

/** @import { TestContext } from "node:test" */
/** @import { Client, Wire } from "../harness/client.js" */

const scene = Scene.forFile();
const DIES = unlikeOriginal("dies of it, with everybody");

/** How long others may have to wait while the server deals with somebody hostile. */
const UNAFFECTED_MS = 2_000;

/** Two honest clients, and that they are well. */
class Witnesses {
  /** @param {Client[]} clients @param {string} name */
  constructor(clients, name) {
    this.clients = clients;
    this.name = name;
    this.round = 0;
  }

  /** @param {TestContext} t */
  static async come(t) {
    const witnesses = new Witnesses(await scene.clients(t, WIRES), scene.name("witness"));
    await Promise.all(witnesses.clients.map((client) => client.hears(witnesses.name)));
    return witnesses;
  }

  /** Events and records reach them, and nothing that was not meant for them. */
  async areWell() {
    this.round++;
    const [one, other] = this.clients;
    const began = Date.now();
    one.emit(this.name, this.round);
    await other.sees({ event: "event", data: this.round });
    await one.setData(`${this.name}/record`, { round: this.round });
    assert.deepEqual(await other.snapshot(`${this.name}/record`), { round: this.round });
    const took = Date.now() - began;
    assert.ok(took < UNAFFECTED_MS, `others wait ${took} ms`);
    for (const client of this.clients) {
      assert.deepEqual(client.errors, []);
      assert.deepEqual(client.log.all("event").map(({ data }) => data), Array.from({ length: this.round }, (_, at) => at + 1));
      assert.deepEqual(client.log.all("state").filter(({ state }) => state === "RECONNECTING"), []);
    }
  }
}

/**
 * Sends frames from clients that are logged in: a new one whenever the last was sent away.
 * @param {TestContext} t
 * @param {Wire} wire
 * @param {Iterable<string | Uint8Array>} frames
 */
async function attack(t, wire, frames) {
  let raw = await Raw.loggedIn(t, scene.server, wire);
  let [sent, sockets] = [0, 1];
  for (const frame of frames) {
    raw.send(frame);
    // Often enough to notice that the socket is closed, and where.
    if (++sent % 8 === 0) {
      await raw.digested();
      if (raw.isClosed) {
        raw = await Raw.loggedIn(t, scene.server, wire);
        sockets++;
      }
    }
  }
  await raw.digested();
  raw.socket.terminate();
  return { sent, sockets };
}

each("messages that are wrong in every part", DIES, async (t, wire) => {
  const witnesses = await Witnesses.come(t);
  const shapes = wire === "text"
    ? TEXTS.map((shown) => [...mangledText(shown)].map((message) => text(`${message}+`)))
    : MESSAGES.map(([topic, fields]) => [...mangledMessage(topic, fields)]);
  let total = 0;
  for (const [at, frames] of shapes.entries()) {
    total += (await attack(t, wire, frames)).sent;
    if (at % 5 === 0) await witnesses.areWell();
  }
  await witnesses.areWell();
  t.diagnostic(`${total} messages`);
});

each("messages of every kind before the login", DIES, async (t, wire) => {
  const witnesses = await Witnesses.come(t);
  const frames = wire === "text" ? TEXTS.map((shown) => text(`${shown}+`)) : MESSAGES.map(([topic, fields]) => protobuf(topic, fields));
  const login = frames.findIndex((frame) => frame.includes("{}"));
  for (const isGreeted of [false, true]) {
    // After the greeting a login is in its place.
    for (const frame of frames.filter((_, at) => !isGreeted || at !== login)) {
      const raw = await Raw.open(t, scene.server, wire);
      if (isGreeted) raw.send(wire === "text" ? text("C|CHR|ws://here+") : protobuf(TOPIC.connection, [[1, 5], [5, "ws://here"]]));
      raw.send(frame);
      raw.send(wire === "text" ? text(`E|EVT|${witnesses.name}|Sx+`) : protobuf(TOPIC.event, [[1, 2], [6, witnesses.name], [2, '"x"']]));
      await raw.digested();
      raw.socket.terminate();
    }
  }
  await witnesses.areWell();
});

each("messages in the wrong direction, twice, or of the other protocol", DIES, async (t, wire) => {
  const witnesses = await Witnesses.come(t);
  if (wire === "text") await attack(t, wire, [...BACKWARDS, ...TEXTS.flatMap((shown) => [shown, shown])].map((shown) => text(`${shown}+`)));
  else await attack(t, wire, MESSAGES.flatMap(([topic, fields]) => [protobuf(topic, fields), protobuf(topic, fields)]));
  for (const frame of [text("E|S|x+"), protobuf(TOPIC.event, [[1, 3], [7, "x"]])]) {
    const raw = await Raw.loggedIn(t, scene.server, wire);
    raw.send(frame);
    if ((typeof frame === "string") === (wire === "text")) await raw.log.until("its acknowledgement", () => raw.frames.length > 2);
    else await raw.closed();
  }
  await witnesses.areWell();
});

each("names with separators in them forge nothing", DIES, async (t, wire) => {
  const witnesses = await Witnesses.come(t);
  const forged = text(`x+E|EVT|${witnesses.name}|Sforged+`);
  const [victim] = await scene.clients(t, [wire === "text" ? "protobuf" : "text"]);
  await victim.hears(NAME);
  const raw = await Raw.loggedIn(t, scene.server, "protobuf");
  raw.send(protobuf(TOPIC.event, [[1, 2], [6, forged], [2, '"x"']]));
  raw.send(protobuf(TOPIC.event, [[1, 2], [6, NAME], [2, JSON.stringify(forged)]]));
  raw.send(protobuf(TOPIC.event, [[1, 2], [6, NAME], [2, `"${forged}"`]]));
  raw.send(protobuf(TOPIC.record, [[1, 16], [6, NAME], [13, -1], [2, JSON.stringify({ forged })]]));
  raw.send(protobuf(TOPIC.rpc, [[1, 2], [7, forged], [3, forged], [2, '"x"']]));
  await raw.digested();
  // The one that is right, as JSON writes it, arrives as it is.
  const { data } = await victim.sees({ event: "event", name: NAME });
  assert.equal(data, forged);
  assert.equal((await victim.snapshot(NAME)).forged, forged);
  await witnesses.areWell();
});

each("random bytes", DIES, async (t, wire) => {
  const witnesses = await Witnesses.come(t);
  const frames = Array.from({ length: 400 }, (_, seed) => {
    const bytes = randomBytes(seed, 1 + (seed * 7) % 300);
    return seed % 4 === 0 ? Buffer.from(bytes).toString("latin1") : seed % 4 === 1 ? text(`${Buffer.from(bytes).toString("latin1")}+`) : bytes;
  });
  const { sockets } = await attack(t, wire, frames);
  assert.ok(sockets > 1);
  for (const path of ["/deepstream", "/deepstream-v3"]) {
    for (const frame of frames.slice(0, 60)) {
      const raw = await Raw.open(t, scene.server, wire, path);
      raw.send(frame);
      await raw.digested();
      raw.socket.terminate();
    }
  }
  await witnesses.areWell();
});

each("frames that are too large", DIES, async (t, wire) => {
  const witnesses = await Witnesses.come(t);
  const filler = "x".repeat(16 << 20);
  const frames = wire === "text"
    ? [text(`E|EVT|${NAME}|S${filler}+`), text("C|PO+").repeat(400_000), filler]
    : [protobuf(TOPIC.event, [[1, 2], [6, NAME], [2, `"${filler}"`]]), Buffer.from(filler)];
  for (const frame of frames) {
    const raw = await Raw.loggedIn(t, scene.server, wire);
    raw.send(frame);
    await raw.closed();
    await witnesses.areWell();
  }
});

each("10,000 subscriptions of one client", undefined, async (t, wire) => {
  const [client, other] = await scene.clients(t, [wire, "protobuf"]);
  const start = scene.name("many");
  const count = 10_000;
  let heard = 0;
  for (let at = 0; at < count; at++) client.raw.event.subscribe(`${start}/${at}`, () => heard++);
  // It sends a hundred in a frame, and a frame in 16 ms.
  await client.eventually("all being sent", () => client.wire === "protobuf" || client.raw._connection._queuedMessages.length === 0);
  await client.settled();
  for (let at = 0; at < count; at += 10) other.emit(`${start}/${at}`, at);
  await client.eventually("a tenth of the events", () => heard >= count / 10);
  await other.settled();
  assert.equal(heard, count / 10);
  client.close();
  await other.settled();
});

each("more subscriptions than one client may have are denied", DIES, async (t, wire) => {
  const witnesses = await Witnesses.come(t);
  const raw = await Raw.loggedIn(t, scene.server, wire);
  const count = 20_000;
  const start = scene.name("over");
  const names = Array.from({ length: count }, (_, at) => `${start}/${at}`);
  if (wire === "text") {
    for (let at = 0; at < count; at += 500) raw.send(names.slice(at, at + 500).map((name) => text(`E|S|${name}+`)).join(""));
    await raw.hears("E|E|MESSAGE_DENIED");
    await raw.hears(`MESSAGE_DENIED|${names.at(-1)}`);
    const all = raw.frames.join("");
    assert.equal(all.split("E|A|S|").length - 1, 16_384);
  } else {
    for (let at = 0; at < count; at += 500) {
      raw.send(protobuf(TOPIC.event, [[1, 3], [3, String(at)], ...names.slice(at, at + 500).map((name) => /** @type {[number, string]} */ ([7, name]))]));
    }
    await raw.digested();
  }
  assert.equal(raw.isClosed, false);
  await witnesses.areWell();
  raw.socket.terminate();
  await witnesses.areWell();
});

each("a client that reads nothing is sent away", unlikeOriginal("keeps it, and all that it does not read"), async (t, wire) => {
  const witnesses = await Witnesses.come(t);
  const raw = await Raw.loggedIn(t, scene.server, wire);
  const name = scene.name("flood");
  raw.send(wire === "text" ? text(`E|S|${name}+`) : protobuf(TOPIC.event, [[1, 3], [7, name], [3, "1"]]));
  await raw.digested();
  raw.socket.pause();
  const data = "x".repeat(500_000);
  const sender = await scene.client(t, wire);
  for (let count = 0; count < 80; count++) {
    sender.emit(name, data);
    if (count % 10 === 0) await sender.settled();
  }
  await sender.settled();
  await witnesses.areWell();
  raw.socket.resume();
  await raw.closed();
});

each("patterns and paths made to take long", undefined, async (t, wire) => {
  const witnesses = await Witnesses.come(t);
  const listener = await scene.client(t, wire);
  listener.mayErr("INVALID_LISTEN_REGEX", "ACK_TIMEOUT");
  const start = scene.name("slow");
  await listener.listens("event", `^${start}/(a+)+$`);
  await listener.listens("event", `^${start}/(.*)*(.*)*(.*)*x$`);
  await listener.listens("event", `^${start}/(?=a)(a|aa)+$`);
  const subscriber = await scene.client(t, wire);
  await subscriber.hears(...Array.from({ length: 50 }, (_, at) => `${start}/${"a".repeat(500)}${at}!`));
  await witnesses.areWell();
  const raw = await Raw.loggedIn(t, scene.server, wire);
  const paths = ["list[1000000]", "a.".repeat(500), Array.from({ length: 3_000 }, () => "a").join("."), "a[0]".repeat(200), ".".repeat(1_000)];
  for (const path of paths) {
    for (let count = 0; count < 3; count++) {
      raw.send(wire === "text" ? text(`R|CU|${start}|-1|${path}|N1|{}+`) : protobuf(TOPIC.record, [[1, 17], [6, start], [13, -1], [12, path], [2, "1"]]));
    }
  }
  await raw.digested();
  await witnesses.areWell();
});
