// The machine and the codecs observe nothing and touch nothing: time and randomness are handed in.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const SOURCES = new URL("../src/", import.meta.url);
const PURE = [
  "limits.js", "id.js", "sha256.js", "sha512.js", "frame.js", "wire.js", "carried.js", "value.js", "courier.js", "member.js",
  ...["courier", "member"].flatMap((folder) => readdirSync(new URL(`${folder}/`, SOURCES)).map((name) => `${folder}/${name}`)),
];
const BANNED = [
  /\bDate\.now\b/, /\bnew Date\(\)/, /\bMath\.random\b/, /\bperformance\b/, /\bcrypto\b/, /\bset(Timeout|Interval|Immediate)\b/,
  /\bqueueMicrotask\b/, /\bPromise\b/, /\basync\b/, /\bawait\b/, /\bWebSocket\b/, /\bRTC[A-Z]\w+\(/, /\bfetch\b/,
  /\b(document|navigator|location|process|console|localStorage|globalThis\.(?!Float16Array))\b/,
];
/** Math whose results the standard leaves to the engine. */
const VARYING = /\bMath\.(sin|cos|tan|exp|log|pow|sqrt|cbrt|hypot|atan2?)\b/;

/** The code without its comments and texts. */
function code(text) {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "").replace(/"(?:[^"\\\n]|\\.)*"/g, '""');
}

test("pure modules touch nothing outside", () => {
  for (const name of PURE) {
    const text = code(readFileSync(new URL(name, SOURCES), "utf8"));
    for (const banned of [...BANNED, VARYING]) assert.doesNotMatch(text, banned, name);
  }
});

test("pure modules import pure modules only", () => {
  for (const name of PURE) {
    const text = readFileSync(new URL(name, SOURCES), "utf8");
    for (const [, target] of text.matchAll(/^(?:import|export)[^;]*?from "([^"]+)"/gm)) {
      const path = new URL(target, new URL(name, SOURCES)).href.slice(SOURCES.href.length);
      assert.ok(PURE.includes(path), `${name} imports ${target}`);
    }
  }
});

test("modules keep no state of their own", () => {
  for (const name of [...PURE, "driver.js", "peer.js", "socket.js", "room.js", "roomful.js"]) {
    assert.doesNotMatch(readFileSync(new URL(name, SOURCES), "utf8"), /^(?:export )?(?:let|var)\b/m, name);
  }
});

test("every module is checked, and nothing is exempt", () => {
  for (const name of readdirSync(SOURCES, { recursive: true })) {
    // What is others' is as it was published.
    if (!name.endsWith(".js") || name.startsWith("vendor/")) continue;
    const text = readFileSync(new URL(name, SOURCES), "utf8");
    assert.match(text, /^\/\/ @ts-check\n/, name);
    assert.doesNotMatch(text, /@ts-(?:nocheck|ignore|expect-error)/, name);
    assert.ok(text.split("\n").length <= 800, `${name} is long`);
  }
});
