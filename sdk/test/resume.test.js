// What a returning member has to say goes into one message; the same as in crates/room/src/member/resume.rs.

import assert from "node:assert/strict";
import { test } from "node:test";

import { fromHex, memberIdOf } from "../src/id.js";
import { NAME_MAX, ROOM_MEMBERS, SIGNAL_MAX, STATE_BYTES, STATE_ENTRIES } from "../src/limits.js";
import { resume } from "../src/member/resume.js";
import { byteLength, decodeClientMessage, encodeMessage } from "../src/wire.js";

/** Everything that a room's state may hold. */
function fullState(keyOf) {
  return new Map(
    Array.from({ length: STATE_ENTRIES }, (_, n) => {
      const key = keyOf(n.toString().padStart(3, "0"));
      const value = "v".repeat(STATE_BYTES / STATE_ENTRIES - key.length - 2);
      return [key, { value, version: 2 ** 53 - 1 }];
    }),
  );
}

/** A `join` as member number `number` makes it, and whom it has no room for. */
function joinOf(number, up, state, token) {
  const secret = number.toString(16).padStart(2, "0").repeat(16);
  const attributes = Object.fromEntries(
    Array.from({ length: 32 }, (_, n) => [`attribute-${n.toString().padStart(2, "0")}`, "a".repeat(116)]),
  );
  const join = { type: "join", v: 1, secret, name: "n".repeat(NAME_MAX), attributes };
  if (token) join.token = token;
  const leftOut = resume(join, memberIdOf(fromHex(secret)), "00000000000000aa", { topology: "mesh" }, 1, up, state);
  return { join, leftOut, length: byteLength(encodeMessage(join)) };
}

const up = Array.from({ length: ROOM_MEMBERS }, (_, n) => n.toString(16).padStart(16, "0"));

test("what fits goes whole", () => {
  const state = fullState((n) => `key-${n}`);
  const { join, leftOut } = joinOf(1, up.slice(0, 500), state);
  assert.deepEqual([join.resume.up.length, Object.keys(join.resume.state).length, leftOut], [500, STATE_ENTRIES, []]);
});

test("what does not fit is left out, by each member elsewhere", () => {
  const state = fullState((n) => `key-${n}`);
  const missing = (number) => {
    const { join, leftOut, length } = joinOf(number, up, state);
    assert.ok(length <= SIGNAL_MAX && length >= SIGNAL_MAX - 250, `${length} B`);
    assert.deepEqual(decodeClientMessage(encodeMessage(join)), join);
    assert.deepEqual([join.resume.up.length, leftOut.length], [ROOM_MEMBERS, 0]);
    return [...state.keys()].filter((key) => !Object.hasOwn(join.resume.state, key));
  };
  const [zero, one] = [missing(0), missing(1)];
  assert.deepEqual([zero.length, zero[0]], [8, "key-247"]);
  assert.deepEqual([one.length, one[0]], [8, "key-020"]);
  assert.ok(zero.every((key) => !one.includes(key)));
});

test("keys that swell as JSON and long tokens have their place too", () => {
  const state = fullState((n) => "\u0001".repeat(120) + n);
  const swollen = joinOf(1, up, state);
  assert.ok(swollen.length <= SIGNAL_MAX && Object.keys(swollen.join.resume.state).length > 0);

  const long = joinOf(1, up, state, "t".repeat(50_000));
  assert.ok(long.length <= SIGNAL_MAX && long.leftOut.length > 0 && long.join.resume.up.length > 0);
  assert.deepEqual([...long.join.resume.up, ...long.leftOut], up);

  // More than fits anyway is for the hub to refuse.
  const hopeless = joinOf(1, up, state, "t".repeat(SIGNAL_MAX));
  assert.deepEqual([hopeless.join.resume, hopeless.leftOut.length], [{ hub: "00000000000000aa" }, ROOM_MEMBERS]);
});
