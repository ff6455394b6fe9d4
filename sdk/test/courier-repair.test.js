// Couriers whose links end, whose neighbours crash, whose plans change.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Courier } from "../src/courier.js";
import { FIN_GRACE, GAP_PATIENCE, RESCUE_AFTER, RESCUE_AGAIN, RESCUE_PATIENCE } from "../src/limits.js";
import { Net, bytes, id } from "./net.js";

const SEEDS = [0, 1, 2, 3];

test("a lost way is mended from a neighbour", () => {
  for (const seed of SEEDS) {
    const net = Net.random(seed, 40, 100);
    for (let n = 0; n < 60; n++) {
      net.say(1, `${n}`);
      net.say(2, new Uint8Array(20_000).fill(n));
      if (n % 5 === 0) {
        const a = 1 + net.below(40);
        const neighbours = net.neighbours(a);
        const b = neighbours[net.below(neighbours.length)];
        // It comes back a moment later, as another connection.
        net.unlink(a, b);
        net.run(300_000);
        net.link(a, b, 5 + net.below(60), net.node(a).eager.has(b));
      }
      net.run(1_000 * net.below(100));
    }
    net.run(10_000_000);
    net.check([1, 2]);
  }
});

test("survivors lose nothing that a survivor had", () => {
  let connected = 0;
  for (const seed of SEEDS) {
    const net = Net.random(seed, 60, 200);
    for (let n = 0; n < 80; n++) {
      net.say(1, `${n}`);
      net.say(2, `${n}`);
      const victim = 3 + net.below(58);
      if (n % 10 === 9 && net.members.has(victim)) net.crash(victim);
      net.run(37_000);
    }
    net.run(10_000_000);
    if (!net.isConnected) continue;
    connected += 1;
    net.check([1, 2]);
  }
  assert.ok(connected > 1);
});

test("what one survivor has of a dead origin all get", () => {
  for (const seed of SEEDS) {
    const net = Net.random(seed, 30, 90);
    for (let n = 0; n < 10; n++) {
      net.say(5, `${n}`);
      net.run(20_000);
    }
    net.crash(5);
    for (const [member, { courier }] of net.members) {
      courier.gone(net.now, id(5));
      net.pump(member);
    }
    net.run(FIN_GRACE - 100_000);
    if (!net.isConnected) continue;
    const heard = ({ heard }) => heard.get(5)?.length ?? 0;
    const most = Math.max(...[...net.members.values()].map(heard));
    for (const [member, node] of net.members) assert.equal(heard(node), most, `seed ${seed}, member ${member}`);
    net.run(10_000_000);
    for (const { courier } of net.members.values()) assert.equal(courier.standing(id(5)), undefined);
  }
});

test("a change of plan loses nothing", () => {
  for (const seed of SEEDS) {
    const net = Net.random(seed, 30, 0);
    const members = [...net.members.keys()];
    for (let n = 0; n < 100; n++) {
      net.say(1, `${n}`);
      net.say(2, new Uint8Array(3_000).fill(n));
      net.run(23_000);
      // A star around 3 takes over from the tree: its links open, it becomes the plan, the old links go.
      if (n === 40) {
        for (const member of members) {
          if (member !== 3 && !net.neighbours(3).includes(member)) net.link(3, member, 5 + net.below(60), false);
        }
      }
      if (n === 55) {
        for (const [member, { courier }] of net.members) {
          const eager = new Set(members.filter((peer) => (member === 3) !== (peer === 3)).map(id));
          courier.plan(net.now, { epoch: 0, relayed: true, eager });
          net.pump(member);
        }
      }
      if (n === 75) {
        for (const a of members) for (const b of net.neighbours(a)) if (a !== 3 && b !== 3 && a < b) net.unlink(a, b);
      }
    }
    net.run(5_000_000);
    net.check([1, 2]);
    for (const { hops } of net.members.values()) assert.ok((hops.at(-1) ?? 0) <= 2, `seed ${seed}`);
  }
});

/** Members of a chain know each other, and the last has lost its link: 1 has said more since than 2 keeps. */
function beyondCaches(members) {
  const net = new Net(1);
  for (const member of members) {
    const courier = net.add(member);
    courier.metAll();
    for (const other of members) if (other !== member) courier.entered(net.now, id(other), 1);
  }
  for (const member of members.slice(1)) net.link(member - 1, member, 10, true);
  net.say(1, "a");
  net.run(1_000_000);
  net.unlink(2, 3);
  for (let n = 0; n < 400; n++) {
    net.say(1, new Uint8Array(16_000));
    net.run(5_000);
  }
  return net;
}

/** 3 has 2 for its only neighbour, asks for a link to 1, and has all of it after. */
function checkRescue(net) {
  net.run(4_000_000);
  assert.deepEqual([net.node(3).unreached, net.node(2).unreached], [[1], []]);
  net.linkSince(1, 3, 10, false, 0);
  net.run(1_000_000);
  net.unlink(1, 3);
  net.say(1, "b");
  net.run(2 * RESCUE_AGAIN);
  net.check([1]);
  assert.equal(net.node(3).unreached.length, 1);
}

test("what no neighbour has any more is had over a link to its origin", () => {
  const net = beyondCaches([1, 2, 3]);
  net.link(2, 3, 10, true);
  checkRescue(net);
});

test("a newcomer learns where a stream begins of which neighbours keep less", () => {
  const net = beyondCaches([1, 2]);
  // It heard of the stream by nobody but those who were here before it.
  const courier = net.add(3);
  for (const other of [1, 2]) courier.entered(net.now, id(other), "before");
  courier.metAll();
  net.linkSince(2, 3, 10, true, 0);
  checkRescue(net);
});

test("a newcomer that began where a neighbour can begin has given up nothing", () => {
  const net = beyondCaches([1, 2]);
  // Two newcomers, one after another. The first offers what was said since it came.
  const enter = (newcomer, others) => {
    const courier = net.add(newcomer);
    for (const other of others) courier.entered(net.now, id(other), "before");
    courier.metAll();
  };
  enter(3, [1, 2]);
  net.link(2, 3, 10, true);
  net.say(1, "a");
  net.run(1_000_000);
  enter(4, [1, 2, 3]);
  net.linkSince(2, 4, 10, true, 0);
  net.run(100_000);
  net.link(3, 4, 100, false);
  // Before it is asked it has let go of that.
  for (let n = 0; n < 300; n++) {
    net.say(1, new Uint8Array(16_000));
    net.run(500);
  }
  const next = () => net.node(4).courier.standing(id(1))?.next ?? 0;
  while (next() <= 1) net.run(1_000);
  // Who could bring the rest is gone before it does, and the hub is out of reach for a while.
  const first = next();
  net.unlink(2, 4);
  net.run(RESCUE_AFTER + 2 * RESCUE_PATIENCE);
  assert.deepEqual([next(), net.node(4).gaps], [first, []]);
  net.linkSince(1, 4, 10, false, 0);
  net.run(5_000_000);
  const { gaps, heard } = net.node(4);
  assert.deepEqual(gaps, []);
  assert.deepEqual(heard.get(1), net.said.get(1).slice(first - 1));
});

test("who came back begins where it said so to whoever had heard nothing of it yet", () => {
  const net = new Net(1);
  for (const member of [1, 2]) net.add(member).metAll();
  net.say(1, "before 3 came");
  net.run(1_000_000);
  // It hears of 1, and then that it is gone, before anybody can tell of the stream.
  const since = net.now;
  const courier = net.add(3);
  courier.entered(since, id(1), "before");
  courier.metAll();
  courier.forget(since, id(1));
  net.link(2, 3, 10, true);
  net.run(1_000_000);
  // It was not, and 3 is among those for whom it says this.
  for (const text of ["a", "b"]) net.say(1, text);
  courier.entered(net.now, id(1), net.node(1).courier.next);
  net.linkSince(1, 3, 10, true, since);
  net.say(1, "c");
  net.run(1_000_000);
  const { gaps, heard } = net.node(3);
  assert.deepEqual(gaps, []);
  assert.deepEqual(heard.get(1), ["a", "b", "c"].map(bytes));
});

test("what is in no cache any more is a gap", () => {
  const net = new Net(1);
  for (const member of [1, 2, 3]) net.add(member).metAll();
  net.link(1, 2, 10, true);
  net.link(2, 3, 10, true);
  net.say(1, "a");
  net.run(1_000_000);
  net.unlink(2, 3);
  for (let n = 0; n < 400; n++) {
    net.say(1, new Uint8Array(16_000));
    net.run(5_000);
  }
  net.run(1_000_000);
  net.link(2, 3, 10, true);
  net.run(2 * GAP_PATIENCE);
  net.say(1, "b");
  net.run(5_000_000);
  const { gaps, heard } = net.node(3);
  assert.equal(gaps.length, 1);
  const [{ origin, from, to }] = gaps;
  assert.deepEqual([origin, from], [1, 2]);
  assert.equal(heard.get(1).length + to + 1 - from, 402);
  assert.deepEqual(heard.get(1).at(-1), bytes("b"));
});

test("a link that fails with its first packet never opened", () => {
  const [here, there] = [1, 2].map((member) => new Courier(id(member), 0));
  here.linkUp(0, id(2), { vouches: false });
  there.linkUp(0, id(1), { vouches: false });
  const hello = there.nextFrame(0, id(1));
  here.frame(0, id(2), hello);
  assert.throws(() => here.frame(0, id(2), hello), "HELLO is said once");
  here.linkDown(0, id(2));
  assert.equal(here.pollEvent(), undefined, "nobody is told that it opened");
});
