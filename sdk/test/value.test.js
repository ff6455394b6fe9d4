import assert from "node:assert/strict";
import { test } from "node:test";

import { MESSAGE_MAX, VALUE_DEPTH, VALUE_ITEMS } from "../src/limits.js";
import { ValueError, decodeValue, encodeValue } from "../src/value.js";

const trip = (value) => decodeValue(encodeValue(value));

test("what has no form on the wire is a TypeError", () => {
  const cycle = {};
  cycle.self = [cycle];
  const map = new Map([["a", []]]);
  map.get("a").push(map);
  for (const value of [
    cycle, map, () => 1, Symbol("x"), new Set([1]), new WeakMap(), Promise.resolve(), /x/, new Error("x"),
    new Blob(["x"]), new DataView(new ArrayBuffer(1)), new Date(NaN), "\ud800", "a\udc00", { "\ud800": 1 },
    new Map([[{}, 1]]), new Map([[[], 1]]), [new String("x")],
  ]) {
    assert.throws(() => encodeValue(value), TypeError);
  }
});

test("the same object twice is no cycle", () => {
  const shared = { n: 1 };
  assert.deepEqual(trip([shared, shared, { shared }]), [{ n: 1 }, { n: 1 }, { shared: { n: 1 } }]);
});

test("nesting ends at VALUE_DEPTH, in both directions", () => {
  const nest = (depth, inner) => {
    let value = inner;
    for (let n = 0; n < depth; n++) value = n % 2 ? [value] : { value };
    return value;
  };
  assert.deepEqual(trip(nest(VALUE_DEPTH, 1)), nest(VALUE_DEPTH, 1));
  assert.throws(() => encodeValue(nest(VALUE_DEPTH + 1, 1)), RangeError);
  for (const tagged of [new Date(5), 7n, Int8Array.of(1)]) {
    assert.deepEqual(trip(nest(VALUE_DEPTH - 1, tagged)), nest(VALUE_DEPTH - 1, tagged));
    assert.throws(() => encodeValue(nest(VALUE_DEPTH, tagged)), RangeError);
  }
});

test("a value has a bound, even where little memory unfolds to much", () => {
  assert.equal(encodeValue(new Uint8Array(MESSAGE_MAX - 5)).length, MESSAGE_MAX);
  assert.throws(() => encodeValue(new Uint8Array(MESSAGE_MAX - 4)), RangeError);
  assert.throws(() => encodeValue("x".repeat(MESSAGE_MAX + 1)), RangeError);
  assert.throws(() => encodeValue(new Array(MESSAGE_MAX + 1)), RangeError);
  let bomb = [1];
  for (let n = 0; n < 50; n++) bomb = [bomb, bomb];
  assert.throws(() => encodeValue(bomb), RangeError);
});

test("keys that are special in JavaScript are keys like any other", () => {
  const hostile = JSON.parse('{"__proto__":{"admin":true},"constructor":1,"toString":2,"":3}');
  const decoded = trip(hostile);
  assert.deepEqual(Object.keys(decoded), ["__proto__", "constructor", "toString", ""]);
  assert.equal(Object.getPrototypeOf(decoded), Object.prototype);
  assert.equal(decoded.admin, undefined);
  assert.equal({}.admin, undefined);
});

test("instances travel as plain objects, maps of texts as objects", () => {
  class Point {
    x = 1;
    #secret = 2;
    get sum() {
      return this.x + this.#secret;
    }
  }
  assert.deepEqual(trip(new Point()), { x: 1 });
  assert.deepEqual(trip(Object.assign(Object.create(null), { a: 1 })), { a: 1 });
  assert.deepEqual(trip(new Map([["a", 1]])), { a: 1 });
  assert.deepEqual(trip({ a: undefined }), { a: undefined });
  assert.deepEqual(trip([, 1]), [undefined, 1]);
});

test("views travel as what they show, and arrive as copies", () => {
  const whole = Float64Array.from({ length: 8 }, (_, n) => n / 3);
  assert.deepEqual(trip(whole.subarray(2, 4)), whole.slice(2, 4));
  assert.deepEqual(trip(new Uint8Array([1, 2, 3, 4]).subarray(1, 3)), Uint8Array.of(2, 3));
  assert.deepEqual(trip(Uint8Array.of(1, 2).buffer), Uint8Array.of(1, 2));
  assert.deepEqual(trip(Buffer.from("hi")), new Uint8Array([104, 105]));
  const bytes = encodeValue(Uint16Array.of(1, 2));
  const decoded = decodeValue(bytes);
  bytes.fill(0);
  assert.deepEqual(decoded, Uint16Array.of(1, 2));
});

test("values decode from the middle of a buffer", () => {
  const bytes = encodeValue({ a: [1.5, new Date(1), Int32Array.of(-7)] });
  const padded = new Uint8Array(bytes.length + 8).fill(0xff);
  padded.set(bytes, 3);
  assert.deepEqual(decodeValue(padded.subarray(3, 3 + bytes.length)), { a: [1.5, new Date(1), Int32Array.of(-7)] });
});

test("dates keep their milliseconds", () => {
  for (const ms of [0, 1, -1, 1700000000123, -62135596800000, 8.64e15, -8.64e15]) {
    assert.equal(trip(new Date(ms)).getTime(), ms);
  }
});

test("random bytes decode or are refused, and what decodes encodes", () => {
  let state = 1;
  const random = () => ((state = (state * 48271) % 0x7fffffff), state);
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from({ length: random() % 24 }, () => random());
    let value;
    try {
      value = decodeValue(bytes);
    } catch (error) {
      assert.ok(error instanceof ValueError, `${error?.stack} for ${bytes}`);
      continue;
    }
    assert.deepEqual(trip(value), value);
  }
});

test("a value of too many items is neither made nor read", () => {
  const hostile = new Uint8Array(VALUE_ITEMS + 2).fill(0xa0);
  hostile[0] = 0x9f;
  hostile[VALUE_ITEMS + 1] = 0xff;
  assert.throws(() => decodeValue(hostile), { name: "ValueError", message: /items/ });
  assert.throws(() => encodeValue(new Array(VALUE_ITEMS).fill(0)), { name: "RangeError", message: /items/ });
  assert.equal(decodeValue(encodeValue(new Array(VALUE_ITEMS - 1).fill(0))).length, VALUE_ITEMS - 1);
});
