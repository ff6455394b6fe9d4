import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";

import { fromHex, isMemberId, isRoomName, memberIdOf, toHex } from "../src/id.js";

test("id is the hash of the secret", () => {
  assert.equal(memberIdOf(new Uint8Array(16)), "374708fff7719dd5");
  for (let n = 0; n < 100; n++) {
    const secret = randomBytes(16);
    assert.equal(memberIdOf(secret), createHash("sha256").update(secret).digest("hex").slice(0, 16));
  }
  assert.throws(() => memberIdOf(new Uint8Array(15)), TypeError);
});

test("hex is strict", () => {
  assert.equal(toHex(fromHex("00ff7f")), "00ff7f");
  for (const text of ["0", "0g", " 0", "0x", "-1"]) assert.throws(() => fromHex(text), TypeError, text);
  for (const id of ["", "374708fff7719dd", "374708fff7719dd5a", "374708FFF7719DD5", 5, null]) assert.ok(!isMemberId(id));
});

test("room names are path segments", () => {
  for (const name of ["standup", "a", "Team-1_x.y", "9"]) assert.ok(isRoomName(name), name);
  for (const name of ["", ".", "-a", "a/b", "a b", "ä", "a%20", "a\n", "a".repeat(65), "sdk", "whep"]) {
    assert.ok(!isRoomName(name), name);
  }
});
