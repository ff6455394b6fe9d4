// @ts-check
// Presence: which users are here. A user is here as long as one of its sockets is.

import assert from "node:assert/strict";

import { Scene, each, pairs } from "../harness/scene.js";
import { unlikeOriginal } from "../harness/server.js";

const scene = Scene.forFile();

pairs("who is here, and who comes and goes", undefined, async (t, [one, other]) => {
  const watcher = await scene.client(t, one, { user: scene.name("watcher") });
  await watcher.watches();
  const [ada, bob] = [scene.name("ada"), scene.name("bob")];
  const clients = [await scene.client(t, other, { user: ada }), await scene.client(t, other, { user: bob })];
  await watcher.sees({ event: "presence", user: ada, here: true });
  await watcher.sees({ event: "presence", user: bob, here: true });
  assert.deepEqual((await watcher.users()).toSorted(), [ada, bob]);
  clients[0].close();
  await watcher.sees({ event: "presence", user: ada, here: false });
  assert.deepEqual(await watcher.users(), [bob]);
  assert.deepEqual(await clients[1].users().then((users) => users.includes(bob)), false, "nobody sees itself");
});

pairs("asked about some, it tells of each whether it is here", undefined, async (t, [one, other]) => {
  const asker = await scene.client(t, one);
  const [here, away] = [scene.name("here"), scene.name("away")];
  await scene.client(t, other, { user: here });
  assert.deepEqual({ ...(await asker.areHere([here, away])) }, { [here]: true, [away]: false });
});

pairs("who watches one user hears of that one", undefined, async (t, [one, other]) => {
  const watcher = await scene.client(t, one);
  const [ada, bob] = [scene.name("ada"), scene.name("bob")];
  await watcher.watches(ada);
  const bobs = await scene.client(t, other, { user: bob });
  const adas = await scene.client(t, other, { user: ada });
  await watcher.sees({ event: "presence", user: ada, here: true });
  bobs.close();
  adas.close();
  await watcher.sees({ event: "presence", user: ada, here: false });
  assert.deepEqual(watcher.log.all("presence").map(({ user, here }) => [user, here]), [[ada, true], [ada, false]]);
});

pairs("a user is here until its last socket goes", undefined, async (t, [one, other]) => {
  const watcher = await scene.client(t, one);
  await watcher.watches();
  const user = scene.name("many");
  const sockets = [];
  for (let count = 0; count < 3; count++) sockets.push(await scene.client(t, other, { user }));
  await watcher.sees({ event: "presence", user, here: true });
  const last = sockets.pop();
  for (const socket of sockets) socket.close();
  await last?.settled();
  assert.deepEqual((await watcher.areHere([user]))[user], true);
  last?.close();
  await watcher.sees({ event: "presence", user, here: false });
  assert.deepEqual(watcher.log.all("presence").filter((entry) => entry.user === user).map(({ here }) => here), [true, false]);
});

each("who watches all and one is told once for each", unlikeOriginal("tells text clients twice", "text"), async (t, wire) => {
  const watcher = await scene.client(t, wire);
  const user = scene.name("both");
  await watcher.watches();
  await watcher.watches(user);
  await scene.client(t, wire, { user });
  await watcher.sees({ event: "presence", user, here: true, all: true });
  await watcher.sees({ event: "presence", user, here: true, all: false });
  await watcher.settled();
  assert.equal(watcher.log.all("presence").length, 2);
});

each("who watches no more hears nothing", undefined, async (t, wire) => {
  const [watcher, other] = await scene.clients(t, [wire, wire]);
  const [first, second] = [scene.name("first"), scene.name("second")];
  await watcher.watches();
  await watcher.watches(second);
  await other.watches();
  await scene.client(t, wire, { user: first });
  await watcher.sees({ event: "presence", user: first, here: true });
  await watcher.watchesNoMore();
  await watcher.watchesNoMore(second);
  await scene.client(t, wire, { user: second });
  await other.sees({ event: "presence", user: second, here: true });
  await watcher.settled();
  assert.deepEqual(watcher.log.all("presence").map(({ user }) => user), [first]);
});

each("who has no name is nobody", undefined, async (t, wire) => {
  const watcher = await scene.client(t, wire);
  await watcher.watches();
  const nobody = await scene.client(t, wire);
  await nobody.settled();
  nobody.close();
  await scene.client(t, wire, { user: scene.name("somebody") });
  await watcher.seesMany("presence", 1);
  assert.deepEqual(watcher.log.all("presence").map(({ here }) => here), [true]);
});
