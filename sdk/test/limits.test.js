import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import * as limits from "../src/limits.js";

test("limits have the names and values of limits.rs", () => {
  const all = readFileSync(new URL("../../crates/room/src/limits.rs", import.meta.url), "utf8");
  // The plan is the hub's.
  const rust = all.replace(/^\/\/ ---- the plan -+$[^]*?(?=^\/\/ ----|(?![^]))/m, "");
  const expected = {};
  for (const [, name, text] of rust.matchAll(/^pub const (\w+): \w+ =\s*([^;]+);/gm)) {
    const duration = /^Micros::from_(millis|secs)\((.+)\)$/.exec(text);
    const product = (duration ? duration[2] : text).replaceAll(/\b[A-Z]\w*/g, (other) => expected[other]).replaceAll("_", "");
    assert.match(product, /^[0-9+*() -]+$/, `${name} = ${text}`);
    const number = Function(`return ${product}`)();
    expected[name] = number * (duration ? { millis: 1_000, secs: 1_000_000 }[duration[1]] : 1);
  }
  assert.ok(Object.keys(expected).length > 50);
  assert.deepEqual({ ...limits }, expected);
});
