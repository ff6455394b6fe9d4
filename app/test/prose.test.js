import assert from "node:assert/strict";
import test from "node:test";
import { LINES_SHOWN, TEXT_SHOWN } from "../limits.js";
import { fold, parts, textOf } from "../prose.js";

/** @param {string} text */
const links = (text) => parts(text).flatMap(({ href, text: shown }) => (href === undefined ? [] : [shown]));

test("parts join to the text again", () => {
  for (const text of ["", "plain", "see https://a.example, then http://b.example/x).", "https://a.example", "a\nb https://c.example\n"]) {
    assert.equal(parts(text).map((part) => part.text).join(""), text);
  }
});

test("links end where the sentence goes on", () => {
  assert.deepEqual(links("See https://a.example/x. And (https://b.example/y)!"), ["https://a.example/x", "https://b.example/y"]);
  assert.deepEqual(links("https://en.example/Room_(disambiguation)"), ["https://en.example/Room_(disambiguation)"]);
  assert.deepEqual(links("<https://a.example/?q=1&r=[2]>"), ["https://a.example/?q=1&r=[2]"]);
});

test("only http and https become links", () => {
  for (const text of ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "jAvAscript://a.example/%0aalert(1)", "https://", "https://user@evil.example/", "http://:80"]) {
    assert.deepEqual(links(text), [], text);
  }
});

test("short texts are shown whole, long ones folded between whole characters", () => {
  assert.equal(fold("short"), "short");
  assert.equal(fold("x".repeat(TEXT_SHOWN * 3)).length, TEXT_SHOWN);
  assert.equal(fold("x".repeat(TEXT_SHOWN + 10)).length, TEXT_SHOWN + 10);
  assert.equal(fold("line\n".repeat(100)).split("\n").length, LINES_SHOWN);
  const otters = fold(`x${"🦦".repeat(TEXT_SHOWN)}`);
  assert.ok(otters.isWellFormed());
});

test("whatever a program sends is shown as some text", () => {
  assert.equal(textOf("hi"), "hi");
  assert.equal(textOf({ text: "hi" }), "hi");
  assert.equal(textOf({ n: 1n, deep: [true] }), '{"n":"1","deep":[true]}');
  assert.match(textOf(new Uint8Array(5)), /5 bytes/);
  assert.equal(textOf(undefined), "undefined");
  assert.equal(textOf(null), "null");
  const loop = {};
  Object.assign(loop, { loop });
  assert.equal(typeof textOf(loop), "string");
});
