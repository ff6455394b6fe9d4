// What the hub is told of a member's traffic; the same as in crates/room/src/member/traffic.rs.

import assert from "node:assert/strict";
import test from "node:test";

import { STATS_KBPS_MAX } from "../src/limits.js";
import { Meter } from "../src/member/traffic.js";

const at = (seconds) => seconds * 1_000_000;
const LINKS = { open: 4, overTurn: 0 };

/** A member that has just been welcomed. */
function measuring() {
  const meter = new Meter();
  meter.welcomed(at(0), false);
  assert.equal(meter.tick(at(10), () => LINKS), undefined);
  return meter;
}

test("talk is not worth a word", () => {
  const meter = measuring();
  assert.equal(meter.timeout, undefined);
  meter.said(1_000, at(11));
  assert.equal(meter.timeout, at(21));
  assert.equal(meter.tick(at(20), () => LINKS), undefined);
  assert.equal(meter.tick(at(21), () => LINKS), undefined);
  assert.equal(meter.timeout, undefined, "nothing is measured while nothing is said");
});

test("the hub hears what lasts, when it changes by half and when it ends", () => {
  const meter = measuring();
  const say = (from, bytes) => {
    meter.said(bytes, at(from));
    return meter.tick(at(from + 10), () => LINKS);
  };
  assert.equal(say(10, 1_250_000), undefined, "it may be one large message");
  assert.deepEqual(say(20, 1_250_000), { kbps: 1_000 });
  assert.equal(say(30, 2_000_000), undefined);
  assert.equal(say(40, 1_500_000), undefined, "a fifth more is no news");
  assert.equal(say(50, 4_000_000), undefined);
  assert.deepEqual(say(60, 3_000_000), { kbps: 2_400 });
  assert.deepEqual(say(70, 0), {});
  assert.equal(say(80, Number.MAX_SAFE_INTEGER), undefined);
  assert.deepEqual(say(90, Number.MAX_SAFE_INTEGER), { kbps: STATS_KBPS_MAX });
  assert.deepEqual(meter.tick(at(110), () => LINKS), {});
  assert.equal(meter.timeout, undefined);
});

test("links over TURN are told of, and another hub is told again", () => {
  const meter = measuring();
  const tick = (from, open, overTurn) => {
    meter.watch(at(from));
    return meter.tick(at(from + 10), () => ({ open, overTurn }));
  };
  assert.deepEqual(tick(10, 4, 2), { turn_percent: 50 });
  assert.equal(tick(20, 20, 11), undefined);
  assert.deepEqual(tick(30, 0, 0), {});
  assert.deepEqual(tick(40, 1, 1), { turn_percent: 100 });
  meter.welcomed(at(50), false);
  assert.deepEqual(tick(50, 1, 1), { turn_percent: 100 });
  // The hub that kept the session kept what it was told, and hears what it is now.
  meter.welcomed(at(60), true);
  assert.deepEqual(tick(60, 1, 1), { turn_percent: 100 });
  meter.welcomed(at(70), true);
  assert.deepEqual(tick(70, 1, 0), {});
  assert.equal(tick(80, 1, 0), undefined);
});
