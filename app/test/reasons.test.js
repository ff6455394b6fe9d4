import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { departure, explain, list, rttWords, unreadableWords } from "../reasons.js";
import { along, angle, seat, turn } from "../ring.js";

test("every code that ends a stay is explained in words of its own", () => {
  const protocol = readFileSync(new URL("../../protocol/PROTOCOL.md", import.meta.url), "utf8");
  const listed = /Refusal codes:([\s\S]*?)\n\n/.exec(protocol)?.[1] ?? "";
  const codes = [...listed.matchAll(/`([a-z_]+)`/g)].map((match) => match[1] ?? "");
  assert.ok(codes.length > 20);
  // What only a broken program can cause is told with the server's own words.
  const bugs = new Set(["bad_message", "unknown_message", "too_large", "join_first", "already_joined", "bad_attributes", "bad_secret", "bad_state", "unknown_member", "topology_unavailable"]);
  for (const code of codes.filter((code) => !bugs.has(code))) {
    assert.notDeepEqual(explain(code), explain("something_new"), code);
  }
});

test("codes that are not known are told in the server's words", () => {
  assert.deepEqual(explain("new_code", "the moon is full", "wait"), { title: "The moon is full.", advice: "Wait.", remedy: "retry" });
  assert.notEqual(explain("new_code").title, "");
});

test("every reason to be gone has its words", () => {
  const words = ["left", "crashed", "unresponsive", "timeout", "replaced", "removed"].map(departure);
  assert.equal(new Set(words).size, words.length);
  assert.equal(departure("moon"), "is gone");
});

test("what cannot be read is told with what to do about it", () => {
  const words = ["no_key", "wrong_key", "not_sealed", "replayed"].map((reason) => unreadableWords(reason, "Ada"));
  assert.equal(new Set(words).size, words.length);
  for (const said of words) assert.match(said, /^What Ada says .*\. .*\.$|^What Ada says .*: .*\. .*\.$/);
  assert.match(unreadableWords("not_sealed", ""), /^Some of what this room keeps/);
  assert.equal(explain("bad_key").remedy, "lobby");
});

test("lists read like sentences", () => {
  assert.equal(list([], 3), "");
  assert.equal(list(["Ada"], 3), "Ada");
  assert.equal(list(["Ada", "Bob"], 3), "Ada and Bob");
  assert.equal(list(["Ada", "Bob", "Cy", "Dee"], 3), "Ada, Bob, Cy and Dee");
  assert.equal(list(["Ada", "Bob", "Cy", "Dee", "Eve"], 3), "Ada, Bob, Cy and 2 others");
});

test("round-trip times are short", () => {
  assert.deepEqual([0.2, 1.4, 250, 1_500, undefined, Number.NaN].map(rttWords), ["<1 ms", "1 ms", "250 ms", "1.5 s", "", ""]);
});

test("the first seat is nearest to the reader, and turns go the short way round", () => {
  assert.ok(seat(angle(0, 5)).y > seat(angle(1, 5)).y);
  assert.ok(Math.abs(turn(angle(0, 8), angle(7, 8))) < Math.PI / 2);
  const [a, b] = [{ x: 0, y: 0 }, { x: 10, y: 4 }];
  assert.deepEqual([along(a, b, 0), along(a, b, 1)], [a, b]);
});
