// Couriers over made-up links, without anything going wrong: once, in order, to everybody.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Courier } from "../src/courier.js";
import { VERSION, decodeFrame, encodeFrame } from "../src/frame.js";
import { CACHE_BYTES, HOLDINGS_MAX, OUTBOX_MAX, STALL_OPEN } from "../src/limits.js";
import { Net, assertSame, bytes, id, number } from "./net.js";

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

test("a first message takes the eager tree once", () => {
  const net = Net.random(1, 60, 120);
  net.say(7, "hello");
  net.run(2_000_000);
  net.check([7]);
  assert.equal(net.count("fresh"), 59);
  assert.ok(net.count("duplicates") <= 6, `${net.count("duplicates")}`);
});

test("ways get shorter than the eager tree", () => {
  const net = Net.random(2, 100, 300);
  net.say(9, "first");
  net.run(2_000_000);
  const mean = () => {
    const hops = [...net.members.values()].flatMap((node) => node.hops.splice(0));
    return hops.reduce((sum, hop) => sum + hop, 0) / hops.length;
  };
  const before = mean();
  for (let n = 0; n < 40; n++) {
    net.say(9, `${n}`);
    net.run(500_000);
  }
  mean();
  const [fresh, again] = [net.count("fresh"), net.count("duplicates")];
  for (let n = 0; n < 10; n++) {
    net.say(9, "late");
    net.run(500_000);
  }
  net.check([9]);
  const after = mean();
  assert.ok(after < (before * 3) / 4, `${before} ${after}`);
  assert.ok((net.count("duplicates") - again) * 40 < net.count("fresh") - fresh);
});

test("long messages and many senders", () => {
  const net = Net.random(3, 20, 40);
  for (let round = 0; round < 10; round++) {
    for (const origin of range(1, 20)) net.say(origin, new Uint8Array(1 + round * 5_000).fill(round));
    net.run(100_000);
  }
  net.run(20_000_000);
  net.check(range(1, 20));
});

test("a newcomer hears what is said from then on", () => {
  const net = Net.random(4, 20, 40);
  net.say(3, "before");
  net.run(1_000_000);
  net.add(21);
  net.link(21, 5, 20, true);
  net.link(21, 6, 30, false);
  net.run(200_000);
  net.say(3, "after");
  net.say(21, "mine");
  net.run(1_000_000);
  assertSame(net.node(21).heard.get(3), [bytes("after")]);
  for (const [member, node] of net.members) if (member !== 21) assertSame(node.heard.get(21), [bytes("mine")]);
  assert.deepEqual(net.node(21).gaps, []);
});

test("in a mesh everybody pushes its own and tells nobody else", () => {
  const net = new Net(5);
  const members = range(1, 6);
  for (const member of members) net.add(member).metAll();
  for (const a of members) for (const b of members) if (a < b) net.link(a, b, 10, false);
  for (const member of members) net.node(member).courier.plan(net.now, { epoch: 0, relayed: false, eager: new Set() });
  for (let n = 0; n < 10; n++) {
    for (const member of members) net.say(member, "x");
    net.run(30_000);
  }
  net.run(1_000_000);
  net.check(members);
  assert.equal(net.count("fresh"), 6 * 5 * 10);
  assert.equal(net.count("duplicates") + net.count("prunes") + net.count("grafts"), 0);

  // A link ends: the rest of what was said comes by way of others.
  net.unlink(1, 2);
  net.say(1, "still");
  net.say(2, "there");
  net.run(1_000_000);
  net.check(members);
  const { hop, parent } = net.node(1).courier.standing(id(2));
  assert.equal(hop, 2);
  assert.notEqual(number(parent), 2);
});

test("whoever does not consume holds its origin back and nobody else", () => {
  const net = new Net(6);
  for (const member of range(1, 3)) net.add(member).metAll();
  net.link(1, 2, 10, true);
  net.link(2, 3, 10, true);
  net.node(3).consumes = false;
  const text = new Uint8Array(16_000);
  let said = 0;
  for (; said < 10_000 && net.say(1, text); said++) net.run(1_000);
  // What waits stands in the logs of 1 and 2, and in the window of 3.
  const held = said * 16_064;
  assert.ok(held > OUTBOX_MAX && held < OUTBOX_MAX + 3 * CACHE_BYTES, `${held}`);
  // 3 is passed over in the end, and 2 gets the rest.
  net.run(3 * STALL_OPEN);
  assert.ok(net.say(1, "again"));
  net.run(5_000_000);
  assert.equal(net.node(2).heard.get(1).length, said + 1);
  assert.ok(net.node(3).heard.get(1).length < said);
});

test("a greeting that has no place for all streams names those between the two", () => {
  const courier = new Courier(id(1), 0);
  courier.metAll();
  courier.plan(0, { epoch: 1, relayed: true, eager: new Set() });
  courier.linkUp(0, id(2), { vouches: false });
  courier.frame(0, id(2), encodeFrame({ type: "hello", version: VERSION, epoch: 1, credit: 0, holdings: [] }));
  for (let n = 0; n < HOLDINGS_MAX + 100; n++) {
    const stream = { origin: id(100 + n) };
    const head = { kind: "message", channel: "c" };
    courier.frame(0, id(2), encodeFrame({ type: "data", stream, seq: 1, head, last: true, payload: Uint8Array.of(1) }));
  }
  courier.send(0, id(3), undefined, { kind: "message", channel: "c" }, Uint8Array.of(1));
  courier.linkUp(0, id(3), { vouches: false });
  const hello = decodeFrame(courier.nextFrame(0, id(3)));
  assert.equal(hello.holdings.length, HOLDINGS_MAX);
  assert.equal(hello.epoch, 0);
  assert.ok(hello.holdings.some(({ stream }) => stream.to === id(3)));
});
