// @ts-check
// Connecting and logging in, and every way in which that fails.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { WIRES } from "../harness/client.js";
import { Raw, TOPIC, protobuf, text } from "../harness/raw.js";
import { Scene, each } from "../harness/scene.js";
import { Server, unlikeOriginal } from "../harness/server.js";
import { Webhook } from "../harness/webhook.js";

const scene = Scene.forFile();

each("a client connects and logs in", undefined, async (t, wire) => {
  const client = scene.stranger(t, wire);
  await client.reaches("AWAITING_AUTHENTICATION");
  const { success } = await client.login({});
  assert.ok(success);
  assert.equal(client.state, "OPEN");
});

each("a login that is asked for before there is a connection is kept", undefined, async (t, wire) => {
  const client = scene.stranger(t, wire);
  assert.ok((await client.login({ username: "early" })).success);
});

for (const path of ["", "/deepstream", "?apiKey=abc-123", "/deepstream?apiKey=abc-123"]) {
  const options = path.startsWith("/deepstream") || path === "" ? undefined : { path: "/deepstream" };
  test(`either client may dial ws://host${path}`, unlikeOriginal("has a path for each protocol"), async (t) => {
    for (const wire of WIRES) {
      const client = await scene.client(t, wire, { path, options });
      const listener = await scene.client(t, "text");
      const name = scene.name("dialled");
      await listener.hears(name);
      client.emit(name, wire);
      await listener.sees({ event: "event", data: wire });
    }
  });
}

test("a text client that dials the path of both is greeted when it stays silent", unlikeOriginal("speaks protobuf there"), async (t) => {
  const raw = await Raw.open(t, scene.server, "text", "/deepstream");
  await raw.hears("C|CH+");
  raw.send(text("C|CHR|ws://127.0.0.1/deepstream+"));
  await raw.hears("C|A+");
  raw.send(text("A|REQ|{}+"));
  await raw.hears("A|A+");
});

each("a client that closes is gone, and hears nothing more", undefined, async (t, wire) => {
  const name = scene.name("closed");
  const client = await scene.client(t, wire, { user: name });
  const [other] = await scene.clients(t, [wire]);
  await Promise.all([client.hears(name), other.watches()]);
  client.close();
  await client.eventually("being closed", () => client.state === "CLOSED");
  await other.sees({ event: "presence", user: name, here: false });
  other.emit(name, "unheard");
  await other.settled();
  assert.deepEqual(client.log.all("event"), []);
});

each("a message before the login is refused", unlikeOriginal("says nothing to text clients", "text"), async (t, wire) => {
  const raw = await Raw.open(t, scene.server, wire);
  const name = scene.name("early");
  const listener = await scene.client(t, wire);
  await listener.hears(name, `${name}/end`);
  if (wire === "text") {
    await raw.hears("C|CH+", "C|A+");
    raw.send(text("C|CHR|ws://here+"));
    raw.send(text(`E|EVT|${name}|Sx+`));
    await raw.hears("A|E|INVALID_AUTH_MSG");
    await raw.closed();
  } else {
    raw.send(protobuf(TOPIC.connection, [[1, 5], [5, "ws://here"]]));
    raw.send(protobuf(TOPIC.event, [[1, 2], [6, name], [2, '"x"']]));
    await raw.log.until("a refusal", () => raw.frames.length >= 2);
  }
  (await scene.client(t, wire)).emit(`${name}/end`);
  await listener.sees({ event: "event", name: `${name}/end` });
  assert.equal(listener.log.all("event").length, 1);
});

each("what is no login is refused", unlikeOriginal("takes anything that is JSON"), async (t, wire) => {
  for (const data of ["[]", "{", "", "null", '"x"', `{"a":"${"x".repeat(100_000)}"}`]) {
    const raw = await Raw.open(t, scene.server, wire);
    if (wire === "text") {
      await raw.hears("C|CH+");
      raw.send(text("C|CHR|ws://here+"));
      raw.send(text(`A|REQ|`) + data + text("+"));
    } else {
      raw.send(protobuf(TOPIC.connection, [[1, 5], [5, "ws://here"]]));
      raw.send(protobuf(TOPIC.auth, [[1, 2], [2, data]]));
    }
    await raw.closed();
  }
});

each("who is refused learns why, and may try again", undefined, async (t, wire) => {
  const hook = await Webhook.start(t);
  const server = await Server.with(t, { webhook: hook.address });
  const client = scene.stranger(t, wire, { server });
  const refused = await client.login({ username: "ada", word: "wrong" });
  assert.equal(refused.success, false);
  assert.deepEqual(refused.data, { reason: "wrong word" });
  const let_in = await client.login({ username: "ada", word: "sesame" });
  assert.equal(let_in.success, true);
  assert.deepEqual(let_in.data, { greeting: "hello ada" });
  assert.deepEqual(hook.asked[1].authData, { username: "ada", word: "sesame" });
  assert.ok(hook.asked[1].connectionData);
  const watcher = scene.stranger(t, wire, { server });
  await watcher.login({ username: "bob", word: "sesame" });
  assert.deepEqual(await watcher.users(), ["ada"]);
});

each("who fails too often is sent away", undefined, async (t, wire) => {
  const hook = await Webhook.start(t);
  const server = await Server.with(t, { webhook: hook.address, loginAttempts: 2 });
  const client = scene.stranger(t, wire, { server });
  assert.equal((await client.login({ word: "a" })).success, false);
  assert.equal((await client.login({ word: "b" })).success, false);
  client.mayErr("TOO_MANY_AUTH_ATTEMPTS");
  await client.eventually("being sent away", () => ["CLOSED", "TOO_MANY_AUTH_ATTEMPTS"].includes(client.state));
  void client.login({ word: "sesame" });
  await client.errs("IS_CLOSED");
  assert.equal(hook.asked.length, 2);
});

each("a webhook that is out of order lets nobody in, and everybody later", undefined, async (t, wire) => {
  const hook = await Webhook.start(t);
  const server = await Server.with(t, { webhook: hook.address });
  const client = scene.stranger(t, wire, { server });
  hook.fails = 500;
  assert.equal((await client.login({ username: "ada", word: "sesame" })).success, false);
  hook.fails = undefined;
  assert.equal((await client.login({ username: "ada", word: "sesame" })).success, true);
});

each("who does not log in in time is sent away", undefined, async (t, wire) => {
  const server = await Server.with(t, { loginTimeoutMs: 1_000 });
  const late = scene.stranger(t, wire, { server });
  const timely = scene.stranger(t, wire, { server });
  await timely.login();
  late.mayErr("CONNECTION_AUTHENTICATION_TIMEOUT", "AUTHENTICATION_TIMEOUT");
  await late.eventually("being sent away", () => ["CLOSED", "AUTHENTICATION_TIMEOUT"].includes(late.state));
  if (wire === "text") await late.errs("CONNECTION_AUTHENTICATION_TIMEOUT");
  void late.login();
  await late.errs("IS_CLOSED");
  assert.equal(timely.state, "OPEN");
});

each("heartbeats keep a quiet client, and end a silent one", undefined, async (t, wire) => {
  const heartbeatMs = 1_000;
  const server = await Server.with(t, { heartbeatMs });
  const quiet = scene.stranger(t, wire, { server, options: { heartbeatInterval: heartbeatMs } });
  await quiet.login();
  const silent = await Raw.loggedIn(t, server, wire);
  await silent.closed();
  await delay(heartbeatMs);
  assert.equal(quiet.state, "OPEN");
  assert.deepEqual(quiet.log.all("state").filter(({ state }) => state === "RECONNECTING"), []);
});

each("a name from a login is a user's name, whatever characters it has", undefined, async (t, wire) => {
  const name = `ü ☃ ${scene.name("user")}`;
  const [watcher] = await scene.clients(t, [wire]);
  await scene.client(t, wire, { user: name });
  assert.ok((await watcher.users()).includes(name));
});
