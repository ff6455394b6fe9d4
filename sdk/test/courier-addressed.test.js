// What is said to one member only, over others.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ACTIVE_FOR, ROUTE_PATIENCE } from "../src/limits.js";
import { Net, assertSame } from "./net.js";

/** All that was said is there, once and in order. */
function check(net, origin, to, said) {
  assertSame(net.node(to).told.get(origin) ?? [], said, `${origin} to ${to}`);
  assert.deepEqual(net.node(to).gaps, []);
}

test("it goes from link to link and to nobody else", () => {
  const net = Net.random(1, 40, 40);
  const said = Array.from({ length: 50 }, (_, n) => new Uint8Array(n * 1_000).fill(n));
  for (const text of said) {
    net.tell(38, 21, text);
    net.run(7_000);
  }
  net.run(10_000_000);
  check(net, 38, 21, said);
  for (const [member, { told }] of net.members) if (member !== 21) assert.equal(told.size, 0);
  // Nobody keeps anything of it.
  assert.equal(net.node(38).courier.kept, 0);
  assert.ok(net.node(38).courier.isFlushed);
});

test("it survives those who pass it on", () => {
  let connected = 0;
  for (let seed = 0; seed < 4; seed++) {
    const net = Net.random(seed, 40, 100);
    const said = [];
    for (let n = 0; n < 100; n++) {
      said.push(new Uint8Array(3_000).fill(n));
      net.tell(1, 2, said[n]);
      net.tell(2, 1, said[n]);
      const victim = 3 + net.below(38);
      if (n % 12 === 5 && net.members.has(victim)) net.crash(victim);
      if (n % 20 === 7 && net.neighbours(1).includes(2)) net.unlink(1, 2);
      net.run(29_000);
    }
    net.run(4 * ROUTE_PATIENCE);
    if (!net.isConnected) continue;
    connected += 1;
    check(net, 1, 2, said);
    check(net, 2, 1, said);
  }
  assert.ok(connected > 1);
});

test("what one says to all and to one keeps its order over their link", () => {
  const net = new Net(1);
  net.add(1).metAll();
  net.add(2).metAll();
  net.link(1, 2, 10, true);
  net.run(1_000_000);
  const order = Array.from({ length: 200 }, (_, n) => n);
  for (const n of order) {
    if (n % 3 === 0) net.tell(1, 2, Uint8Array.of(n));
    else assert.ok(net.say(1, Uint8Array.of(n)));
  }
  net.run(1_000_000);
  assert.deepEqual(net.node(2).all, order);
});

test("a full way holds its origin back and loses nothing", () => {
  const net = new Net(1);
  for (const member of [1, 2, 3, 4]) net.add(member).metAll();
  for (const [a, b] of [[1, 2], [2, 3], [3, 4]]) net.link(a, b, 20, true);
  const said = Array.from({ length: 200 }, (_, n) => new Uint8Array(100_000).fill(n));
  for (const text of said) net.tell(1, 4, text);
  net.run(60_000_000);
  check(net, 1, 4, said);
});

test("a way that was long of no use is given up and asked for again", () => {
  const net = new Net(1);
  for (const member of [1, 2, 3]) net.add(member).metAll();
  net.link(1, 2, 10, true);
  net.link(2, 3, 10, true);
  const said = [Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)];
  net.tell(1, 3, said[0]);
  net.run(ACTIVE_FOR / 2);
  net.tell(1, 3, said[1]);
  net.run(45_000);
  check(net, 1, 3, said.slice(0, 2));
  net.run(2 * ACTIVE_FOR);
  net.tell(1, 3, said[2]);
  net.run(45_000);
  check(net, 1, 3, said.slice(0, 2));
  net.run(45_000);
  check(net, 1, 3, said);
});
