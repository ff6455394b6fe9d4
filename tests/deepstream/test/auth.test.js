// @ts-check
// Who may log in by the configuration, and what they may do then.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { before } from "node:test";

import { BINARY } from "../../browser/harness/server.js";
import { Scene, each, pairs } from "../harness/scene.js";
import { KEY, Server, unlikeOriginal } from "../harness/server.js";
import { Webhook } from "../harness/webhook.js";

/** @import { TestContext } from "node:test" */
/** @import { Wire } from "../harness/client.js" */

const NOT_ALIKE = unlikeOriginal("is configured otherwise");
const scene = Scene.forFile();

/** The configuration, once the passwords are hashed. */
let toml = "";

before(() => {
  if (NOT_ALIKE.skip) return;
  const hash = (/** @type {string} */ word) => execFileSync(BINARY, ["password"], { input: `${word}\n`, encoding: "utf8" }).trim();
  toml = `
otherwise = "deny"
tokens = true
[deepstream.users.ada]
password = "${hash("sesame")}"
role = "admin"
client_data = { greeting = "hello", rooms = ["a"] }
[deepstream.users.bob]
password = "${hash("open")}"
[[deepstream.permission]]
names = "**"
roles = ["admin"]
[[deepstream.permission]]
names = "own/$user/**"
[[deepstream.permission]]
names = "read-only/**"
rights = ["record.read", "event.subscribe", "presence"]
[[deepstream.permission]]
names = "public/**"
rights = ["event", "record.read", "record.write", "record.create", "rpc"]
`;
});

/**
 * A token as an application would make it.
 * @param {object} claims
 * @param {string} [secret]
 */
function token(claims, secret = KEY.secret) {
  const part = (/** @type {object} */ value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + 600;
  const body = `${part({ alg: "HS256", typ: "JWT" })}.${part({ iss: KEY.name, exp, ...claims })}`;
  return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
}

/**
 * @param {TestContext} t
 * @param {Server} server
 * @param {Wire} wire
 * @param {object} login
 */
async function enter(t, server, wire, login) {
  const client = scene.stranger(t, wire, { server });
  const { success, data } = await client.login(login);
  return { client, success, data };
}

each("users of the configuration log in with their passwords", NOT_ALIKE, async (t, wire) => {
  const server = await Server.with(t, { toml, closed: true });
  const ada = await enter(t, server, wire, { username: "ada", password: "sesame" });
  assert.equal(ada.success, true);
  assert.deepEqual(ada.data, { greeting: "hello", rooms: ["a"] });
  for (const login of [{}, { username: "ada" }, { username: "ada", password: "open" }, { username: "eve", password: "sesame" }, { username: ["ada"], password: 1 }]) {
    const { success, data } = await enter(t, server, wire, login);
    assert.equal(success, false, JSON.stringify(login));
    assert.ok(data !== undefined && !JSON.stringify(data).includes("sesame"));
  }
  const bob = scene.stranger(t, wire, { server });
  assert.equal((await bob.login({ username: "bob", password: "wrong" })).success, false);
  assert.equal((await bob.login({ username: "bob", password: "open" })).success, true);
  assert.deepEqual(await ada.client.users(), ["bob"]);
});

each("tokens of the server's keys let their subjects in", NOT_ALIKE, async (t, wire) => {
  const server = await Server.with(t, { toml, closed: true });
  const good = await enter(t, server, wire, { token: token({ sub: "carol", attributes: { role: "admin" } }) });
  assert.equal(good.success, true, JSON.stringify(good.data));
  const peer = await enter(t, server, wire, { jwt: token({ sub: "dave" }) });
  assert.equal(peer.success, true);
  assert.deepEqual(await good.client.users(), ["dave"]);
  const past = Math.floor(Date.now() / 1000) - 3_600;
  for (const bad of ["", "a.b.c", token({ sub: "eve" }, "another-key-another-key-another-key-another"), token({ sub: "eve", exp: past }), `${token({ sub: "eve" })}x`]) {
    assert.equal((await enter(t, server, wire, { token: bad })).success, false, bad);
  }
});

each("who logged in with a token is sent away when its time is over, and comes back with a new one", NOT_ALIKE, async (t, wire) => {
  const server = await Server.with(t, { toml, closed: true });
  // Clocks may be off by 10 s.
  const soon = Math.floor(Date.now() / 1000) - 8;
  const watcher = await enter(t, server, wire, { token: token({ sub: "watcher", attributes: { role: "admin" } }) });
  const { client, success } = await enter(t, server, wire, { token: token({ sub: "carol", exp: soon, attributes: { role: "admin" } }) });
  assert.equal(success, true);
  await client.hears("news");
  assert.deepEqual(await watcher.client.users(), ["carol"]);
  // It connects again by itself, and is told that its token is not good any more.
  await client.reaches("AWAITING_AUTHENTICATION");
  assert.deepEqual(await watcher.client.users(), []);
  // The client may offer the old token once more by itself, and take what is said to that for the answer.
  const login = () => client.login({ token: token({ sub: "carol", attributes: { role: "admin" } }) });
  let again = await login();
  if (!again.success) again = await login();
  assert.equal(again.success, true, JSON.stringify(again.data));
  await client.reaches("OPEN");
  await client.eventually("its subscription", () => {
    watcher.client.emit("news", 1);
    return client.log.all("event").length > 0;
  });
});

each("listeners learn of no name but those that they may", NOT_ALIKE, async (t, wire) => {
  const presence = `[[deepstream.permission]]\nnames = "*"\nrights = ["presence"]\n`;
  const server = await Server.with(t, { toml: toml + presence, closed: true });
  const { client: ada } = await enter(t, server, wire, { username: "ada", password: "sesame" });
  const { client: bob } = await enter(t, server, wire, { username: "bob", password: "open" });
  await ada.hears("a secret", "own/bob/news");
  await bob.listens("event", "own/bob/|.*");
  await bob.sees({ event: "wanted", name: "own/bob/news" });
  assert.equal(bob.log.all("wanted").length, 1);
});

pairs("what the rules allow works, what they do not is denied", NOT_ALIKE, async (t, [one, other]) => {
  const server = await Server.with(t, { toml, closed: true });
  const { client: ada } = await enter(t, server, one, { username: "ada", password: "sesame" });
  const { client: bob } = await enter(t, server, other, { username: "bob", password: "open" });
  bob.mayErr("MESSAGE_DENIED");
  const denied = (/** @type {number} */ count) => bob.log.until(`${count} denials`, () => bob.log.all("error").length >= count);

  // Bob may not look at users, so that this way of waiting is not his.
  await ada.hears("public/news", "own/bob/news", "own/ada/news", "read-only/news");
  bob.emit("public/news", 1);
  bob.emit("own/bob/news", 2);
  bob.emit("own/ada/news", 3);
  bob.emit("read-only/news", 4);
  await denied(2);
  await ada.seesMany("event", 2);
  assert.deepEqual(ada.log.all("event").map(({ data }) => data), [1, 2]);

  await ada.setData("read-only/record", { a: 1 });
  const record = await bob.record("read-only/record");
  assert.deepEqual(record.get(), { a: 1 });
  await assert.rejects(bob.setAndKnow(record, "a", 2));
  assert.deepEqual(await ada.snapshot("read-only/record"), { a: 1 });
  await bob.setData("own/bob/record", { mine: true });
  assert.deepEqual(await ada.snapshot("own/bob/record"), { mine: true });
  await assert.rejects(bob.setData("own/ada/record", { theirs: true }));
  assert.equal(await ada.has("own/ada/record"), false);
  assert.match(String(await bob.snapshot("secret").catch((error) => error)), /MESSAGE_DENIED/);

  await ada.provides("public/sum", ({ data, send }) => send(data + 1));
  await ada.provides("secret/sum", ({ data, send }) => send(data + 1));
  assert.equal(await bob.call("public/sum", 1), 2);
  assert.match(String(await bob.call("secret/sum", 1).catch((error) => error?.message ?? error)), /MESSAGE_DENIED/);
  assert.equal(bob.state, "OPEN");
});

each("the role that a webhook gives counts", NOT_ALIKE, async (t, wire) => {
  const hook = await Webhook.start(t);
  const server = await Server.with(t, {
    webhook: hook.address,
    toml: `[[deepstream.permission]]\nnames = "**"\nroles = ["editor"]\n[[deepstream.permission]]\nnames = "**"\nrights = ["record.read"]\n`,
    otherwise: "deny",
  });
  const editor = await enter(t, server, wire, { username: "ada", word: "sesame", role: "editor" });
  await editor.client.setData("page", { title: "x" });
  const reader = await enter(t, server, wire, { username: "bob", word: "sesame" });
  reader.client.mayErr("MESSAGE_DENIED");
  assert.deepEqual(await reader.client.snapshot("page"), { title: "x" });
  await assert.rejects(reader.client.setData("page", { title: "y" }));
});
