// What a courier is made of, alone.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Distance, ORIGIN, UNKNOWN } from "../src/courier/distance.js";
import { Log } from "../src/courier/log.js";
import { Queue } from "../src/courier/queue.js";
import { Repairs } from "../src/courier/repairs.js";
import { Slab } from "../src/courier/slab.js";
import { Lateness } from "../src/courier/stream.js";
import { Waiting } from "../src/courier/waiting.js";
import { Window } from "../src/courier/window.js";
import { CACHE_AGE, CHUNK, DELAY_MAX_MS, GRAFT_MAX, GRAFT_MIN, MESSAGE_MAX, OUTBOX_MAX } from "../src/limits.js";

const STREAM = { origin: "0707070707070707" };
const HEAD = { kind: "message", channel: "chat" };

/** A log from chunk 5 on, with a chunk each second. */
function log(count, length) {
  const log = new Log(5);
  for (let n = 0; n < count; n++) log.push(new Uint8Array(length), 0, n * 1_000_000);
  return log;
}

test("chunks stay until they are old and everybody has them", () => {
  const kept = log(10, 100);
  assert.deepEqual([kept.first, kept.next, kept.firstSince(3_500_000)], [5, 15, 9]);
  kept.trim(15, Infinity, CACHE_AGE);
  assert.deepEqual([kept.first, kept.next], [6, 15]);
  kept.trim(8, Infinity, Infinity);
  assert.equal(kept.first, 8);
  assert.ok(!kept.chunk(7) && kept.chunk(8) && !kept.chunk(15));
});

test("a cache is bounded but for what somebody has yet to get", () => {
  const kept = log(100, 1_000);
  kept.trim(5, 50_000, 0);
  assert.ok(kept.overhang(50_000) > 50_000);
  kept.trim(kept.next, 50_000, 0);
  assert.equal(kept.overhang(50_000), 0);
  assert.ok(kept.next - kept.first > 40);
});

test("a chunk does not keep a packet that is mostly others'", () => {
  const kept = new Log(1);
  const packet = new Uint8Array(16_384).fill(7);
  kept.push(packet.subarray(100, 1_100), 0, 0);
  kept.push(packet.subarray(2_000, 16_000), 0, 0);
  assert.equal(kept.chunk(1).frame.buffer.byteLength, 1_000);
  assert.deepEqual(kept.chunk(1).frame, new Uint8Array(1_000).fill(7));
  assert.equal(kept.chunk(2).frame.buffer, packet.buffer);
});

test("a message is cut into chunks and an empty one is a chunk too", () => {
  const [waiting, kept, last] = [new Waiting(), new Log(1), { stamp: 0 }];
  waiting.push(1, HEAD, new Uint8Array(2 * CHUNK + 1));
  waiting.push(2, HEAD, new Uint8Array());
  assert.deepEqual(waiting.fill(STREAM, kept, last, 0), [1, 2]);
  assert.deepEqual([kept.first, kept.next, last.stamp], [1, 5, 4]);
  assert.deepEqual([kept.chunk(1)?.stamp, kept.chunk(4)?.stamp, kept.chunk(5)], [1, 4, undefined]);
});

test("what does not fit waits and too much is refused", () => {
  const [waiting, kept, last] = [new Waiting(), new Log(1), { stamp: 0 }];
  const large = new Uint8Array(MESSAGE_MAX);
  let tickets = 0;
  while (waiting.hasRoomFor(large.length)) {
    tickets += 1;
    waiting.push(tickets, HEAD, large);
    const sent = waiting.fill(STREAM, kept, last, 0);
    assert.ok(sent.length === 0 || (sent.length === 1 && sent[0] === tickets));
  }
  assert.ok(tickets >= 3 && tickets < 8, `${tickets}`);
  assert.ok(kept.bytes < OUTBOX_MAX + 2 * CHUNK);
  kept.trimTo(kept.next);
  assert.notEqual(waiting.fill(STREAM, kept, last, 0).length, 0);
  assert.equal(waiting.clear().length + 2, tickets - 1);
});

test("patience grows with lateness and stays within its bounds", () => {
  const lateness = new Lateness();
  assert.equal(lateness.patience, GRAFT_MAX / 2);
  for (let n = 0; n < 100; n++) lateness.sample(200_000);
  assert.ok(lateness.patience > 350_000, `${lateness.patience}`);
  for (let n = 0; n < 1_000; n++) lateness.sample(9_000_000);
  assert.equal(lateness.patience, GRAFT_MAX);
  for (let n = 0; n < 10_000; n++) lateness.sample(0);
  assert.equal(lateness.patience, GRAFT_MIN);
});

test("gaps name every chunk that the application will not see", () => {
  const chunk = (seq, first, last) => ({ type: "data", stream: STREAM, seq, head: first ? HEAD : undefined, last, payload: Uint8Array.of(seq) });
  const window = new Window(1);
  assert.deepEqual(window.accept(chunk(1, true, false)), {});
  // The message that began at 1 is lost with what was skipped …
  assert.deepEqual(window.start(4), { from: 1, to: 3 });
  // … and so is the rest of the one that was under way at 4.
  assert.deepEqual(window.accept(chunk(4, false, false)), {});
  assert.deepEqual(window.accept(chunk(5, false, true)), { lost: { from: 4, to: 5 } });
  assert.deepEqual(window.accept(chunk(6, true, true)).message?.payload, Uint8Array.of(6));
  assert.equal(window.start(3), undefined);
  window.accept(chunk(7, true, false));
  assert.throws(() => window.accept(chunk(8, true, true)), /a message within a message/);
});

test("a queue gives what was put in, in its order", () => {
  const [queue, plain] = [new Queue(), []];
  for (let n = 0; n < 10_000; n++) {
    if (n % 7 < 4 - (n > 5_000 ? 2 : 0)) {
      queue.push(n);
      plain.push(n);
    } else {
      assert.equal(queue.first, plain[0]);
      assert.equal(queue.shift(), plain.shift());
    }
    assert.equal(queue.length, plain.length);
    assert.equal(queue.at(n % 50), plain[n % 50]);
    if (n % 1_000 === 999) {
      queue.retain((thing) => thing % 3 > 0);
      plain.splice(0, plain.length, ...plain.filter((thing) => thing % 3 > 0));
    }
  }
  assert.deepEqual(queue.take(), plain);
  assert.equal(queue.shift(), undefined);
});

test("repairs are due in the order of their times and places", () => {
  const repairs = new Repairs();
  for (const [due, s] of [[5, 2], [5, 1], [3, 9], [8, 0], [5, 3]]) repairs.add(due, s);
  repairs.delete(5, 1);
  repairs.delete(5, 7);
  const seen = [];
  for (let entry; (entry = repairs.first); repairs.delete(entry.due, entry.s)) seen.push([entry.due, entry.s]);
  assert.deepEqual(seen, [[3, 9], [5, 2], [5, 3], [8, 0]]);
});

test("the place that was left last is taken first", () => {
  const slab = new Slab();
  for (const thing of ["a", "b", "c"]) slab.insert(thing);
  assert.equal(slab.remove(0), "a");
  assert.equal(slab.remove(2), "c");
  assert.equal(slab.remove(2), undefined);
  assert.deepEqual([slab.insert("d"), slab.insert("e"), slab.insert("f")], [2, 0, 3]);
  assert.deepEqual([slab.places(), slab.things(), slab.end], [[0, 1, 2, 3], ["e", "b", "d", "f"], 4]);
});

test("a link more is taken where it saves enough, and nothing is farther than the unknown", () => {
  const direct = ORIGIN.over(100_000);
  const around = (ms) => ORIGIN.over(1_000 * ms).over(1_000 * ms);
  assert.deepEqual([direct.hop, direct.delayMs], [1, 100]);
  assert.ok(around(47).cost < direct.cost && direct.cost < around(48).cost);
  assert.ok(direct.isNewsTo(UNKNOWN) && !direct.isNewsTo(new Distance(1, 101)));
  const far = new Distance(253, Number.MAX_SAFE_INTEGER).over(1e15);
  assert.equal(far.delayMs, DELAY_MAX_MS);
  assert.ok(far.cost < UNKNOWN.cost && far.over(0) === UNKNOWN);
});
