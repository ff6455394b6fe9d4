// The files of protocol/golden/: every message, frame and value decodes, and encodes again to the same bytes; what is
// broken is refused for the reason that the file names. crates/room/tests/golden.rs does the same in Rust.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { FrameError, PacketWriter, VERSION, decodeFrame, encodeFrame, framesOf } from "../src/frame.js";
import { fromHex, toHex } from "../src/id.js";
import { PACKET_MAX } from "../src/limits.js";
import { ValueError, decodeValue, encodeValue } from "../src/value.js";
import { MessageError, decodeClientMessage, decodeServerMessage, encodeMessage, refusalOfClose } from "../src/wire.js";
import { frameFromSerde } from "./serde.js";

const FOLDER = new URL("../../protocol/golden/", import.meta.url);

/** The files of one kind, by name. */
function golden(kind) {
  const files = readdirSync(FOLDER)
    .map((name) => ({ name, ...JSON.parse(readFileSync(new URL(name, FOLDER), "utf8")) }))
    .filter((file) => file.kind === kind);
  assert.notEqual(files.length, 0, `no golden files of kind ${kind}`);
  return files;
}

test("client messages round-trip", () => {
  for (const { name, message } of golden("client")) {
    const text = JSON.stringify(message);
    assert.equal(encodeMessage(decodeClientMessage(text)), text, name);
  }
});

test("server messages round-trip", () => {
  for (const { name, message } of golden("server")) {
    const text = JSON.stringify(message);
    assert.equal(encodeMessage(decodeServerMessage(text)), text, name);
  }
});

test("broken messages are refused", () => {
  const refuses = (decode) => ({ name, text, error }) =>
    assert.throws(() => decode(text), (e) => e instanceof MessageError && e.code === error, name);
  golden("bad_client").forEach(refuses(decodeClientMessage));
  golden("bad_server").forEach(refuses(decodeServerMessage));
});

test("unknown fields are ignored", () => {
  assert.deepEqual(decodeServerMessage('{"ping":{"later":[1]}}'), { type: "ping" });
  assert.deepEqual(decodeServerMessage('{"topology":{"from":"mesh","to":"star","epoch":1,"__proto__":{"x":1}}}'), {
    type: "topology",
    from: "mesh",
    to: "star",
    epoch: 1,
  });
});

test("close codes name the refusal", () => {
  for (const { name, note, message } of golden("server").filter(({ message }) => message.refused)) {
    assert.equal(refusalOfClose(Number(/\d+/.exec(note)[0])), message.refused.code, name);
  }
  assert.equal(refusalOfClose(4000), "bad_message");
  assert.equal(refusalOfClose(4028), "shutting_down");
  assert.equal(refusalOfClose(4029), undefined);
  assert.equal(refusalOfClose(1001), undefined);
});

test("frames round-trip", () => {
  for (const { name, frame, hex } of golden("frame")) {
    const decoded = decodeFrame(fromHex(hex));
    assert.deepEqual(decoded, frameFromSerde(frame), name);
    assert.equal(toHex(encodeFrame(decoded)), hex, name);
  }
  assert.equal(VERSION, 1);
});

test("broken frames are refused", () => {
  for (const { name, hex, error } of golden("bad_frame")) {
    assert.throws(() => decodeFrame(fromHex(hex)), (e) => e instanceof FrameError && e.code === error, name);
  }
});

test("packets give their frames until the first error", () => {
  for (const { name, hex, frames, error } of golden("packet")) {
    const seen = [];
    let failed;
    try {
      for (const { frame, length } of framesOf(fromHex(hex))) {
        seen.push(toHex(encodeFrame(frame)));
        assert.equal(length, seen.at(-1).length / 2, name);
      }
    } catch (e) {
      failed = e.code;
    }
    assert.deepEqual([seen, failed], [frames, error], name);
    if (!error) {
      const writer = new PacketWriter();
      for (const frame of frames) writer.push(fromHex(frame));
      assert.equal(writer.length, hex.length / 2, name);
      assert.equal(toHex(writer.take()), hex, name);
      assert.equal(writer.length, 0);
    }
  }
  assert.throws(() => [...framesOf(new Uint8Array(PACKET_MAX + 1))], { code: "too_large" });
});

/** The JavaScript of the values that JSON cannot write. */
const VALUES = {
  undefined: undefined,
  minus_zero: -0,
  nan: NaN,
  infinity: Infinity,
  minus_infinity: -Infinity,
  bigint_zero: 0n,
  bigint_one: 1n,
  bigint_minus_one: -1n,
  bigint_2_64: 2n ** 64n,
  bigint_minus_2_64_minus_1: -(2n ** 64n) - 1n,
  date_epoch: new Date(0),
  date: new Date(1704067200_000),
  date_ms: new Date(1700000000123),
  date_before: new Date(-86400_000),
  bytes_empty: new Uint8Array(),
  bytes: Uint8Array.of(1, 2, 3),
  uint8_clamped: Uint8ClampedArray.of(0, 255),
  uint16: Uint16Array.of(1, 2),
  uint32: Uint32Array.of(0x04030201),
  uint64: BigUint64Array.of(2n ** 64n - 1n),
  int8: Int8Array.of(-1, 127),
  int16: Int16Array.of(-1, -32768),
  int32: Int32Array.of(-1),
  int64: BigInt64Array.of(-2n),
  float32: Float32Array.of(0.5, -2),
  float64: Float64Array.of(1),
  float32_empty: new Float32Array(),
  map_numbers: new Map([[1, "a"], [2, "b"]]),
  map_mixed: new Map([[1, "a"], [true, "ok"], ["s", null]]),
  array_undefined: [undefined, null],
};

test("values round-trip", () => {
  for (const { name, hex, ...file } of golden("value")) {
    const short = name.replace(/^value_|\.json$/g, "");
    assert.ok("json" in file || short in VALUES, `${name} has no JavaScript value`);
    const value = "json" in file ? file.json : VALUES[short];
    const decoded = decodeValue(fromHex(hex));
    assert.deepEqual(decoded, value, name);
    assert.ok(Object.is(decoded, value) || typeof value === "object", name);
    assert.equal(toHex(encodeValue(decoded)), hex, name);
  }
});

/** What other encoders may send. */
const DECODED = {
  uint8_tagged: Uint8Array.of(255, 0),
  half_array: globalThis.Float16Array ? globalThis.Float16Array.of(1, -2) : Float32Array.of(1, -2),
  indefinite_array: [1, 2],
  indefinite_object: { a: 1 },
  indefinite_text: "ab",
  indefinite_bytes: Uint8Array.of(1, 2),
  indefinite_nothing: [],
  half_float: 1,
  half_float_subnormal: 2 ** -24,
  half_float_infinity: Infinity,
  half_float_nan: NaN,
  half_float_minus_zero: -0,
  single_float: 100000,
  long_head: 1,
  wide_integer: 2n ** 64n - 1n,
  wide_negative: -(2n ** 64n),
  negative_2_53: -(2n ** 53n),
  unknown_tag: "a",
  bigint_leading_zero: 1n,
};

test("values of other encoders decode", () => {
  for (const { name, hex } of golden("value_decode")) {
    const short = name.replace(/^value_decode_|\.json$/g, "");
    assert.ok(short in DECODED, `${name} has no JavaScript value`);
    assert.deepEqual(decodeValue(fromHex(hex)), DECODED[short], name);
  }
});

test("bytes that are not a value are refused", () => {
  for (const { name, hex } of golden("bad_value")) {
    assert.throws(() => decodeValue(fromHex(hex)), ValueError, name);
  }
});
