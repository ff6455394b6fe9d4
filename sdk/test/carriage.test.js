// What the two ends of a carried link tell each other of how much came, as crates/room/src/member/carriage.rs has it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { decodeCarried, encodeCarried } from "../src/carried.js";
import { LINK_RESUME, LOSSY_PAUSE } from "../src/limits.js";
import { Carriage } from "../src/member/carriage.js";

const PACKET = LINK_RESUME / 4;

function agreed() {
  const carriage = new Carriage();
  carriage.agreed(1, 0);
  return carriage;
}

test("what came is told in portions, once, on both lanes together", () => {
  const b = agreed();
  assert.equal(b.received("reliable", PACKET), undefined);
  assert.equal(b.received("lossy", 10), undefined);
  const told = { type: "taken", reliable: 2 * PACKET, lossy: 10 };
  assert.deepEqual(b.received("reliable", PACKET), told);
  assert.equal(b.received("reliable", PACKET), undefined, "told once");
  assert.deepEqual(b.received("lossy", LOSSY_PAUSE / 4), { type: "taken", reliable: 3 * PACKET, lossy: 10 + LOSSY_PAUSE / 4 });
  // It goes over the hub as it is.
  const message = encodeCarried({ peer: "0102030405060708", episode: 1, freight: told });
  assert.deepEqual(decodeCarried(message).freight, told);
});

test("what is under way is what was sent and not taken, and nothing else can have been taken", () => {
  const a = agreed();
  for (let count = 0; count < 3; count++) a.sent("reliable", PACKET);
  a.sent("lossy", 10);
  assert.deepEqual(a.taken({ reliable: 2 * PACKET, lossy: 10 }), { reliable: PACKET, lossy: 0 });
  assert.equal(a.taken({ reliable: 2 * PACKET, lossy: 9 }), undefined, "less than before");
  assert.equal(a.taken({ reliable: 4 * PACKET, lossy: 10 }), undefined, "more than was sent");
  assert.deepEqual(a.taken({ reliable: 3 * PACKET, lossy: 10 }), { reliable: 0, lossy: 0 });
});

test("agreed on anew, everything is counted anew", () => {
  const a = agreed();
  a.sent("reliable", PACKET);
  a.received("reliable", PACKET);
  assert.ok(a.isCurrent(1));
  a.agreed(2, 5);
  assert.ok(!a.isCurrent(1) && a.isCurrent(2));
  assert.equal(a.taken({ reliable: PACKET, lossy: 0 }), undefined);
  assert.equal(a.received("reliable", PACKET), undefined, "what came under the old number counts no more");
});
