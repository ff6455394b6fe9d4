import assert from "node:assert/strict";
import test from "node:test";
import { LINKS_PUBLISHED } from "../limits.js";
import { edges, linksInWords, parseReport, report, summary, waysFrom } from "../links.js";

/** @import { Link, Report } from "../links.js" */

const [A, B, C] = ["a", "b", "c"].map((letter) => letter.repeat(16));
const roster = [A, B, C];

/** @param {Record<string, Link["state"]>} states @returns {Report} */
const seen = (states) => new Map(Object.entries(states).map(([id, state]) => [id, { state, path: "host", reason: "" }]));

/** @param {[string, Report][]} reports */
const picture = (reports) => edges(roster, new Map(reports)).map(({ a, b, state }) => `${a[0]}${b[0]} ${state}`);

test("what is published is read again", () => {
  /** @type {[string, Link][]} */
  const links = [
    [A, { state: "open", path: "host", reason: "", rtt_ms: 2.4 }],
    [B, { state: "failed", path: "", reason: "no way" }],
    [C, { state: "closed", path: "", reason: "" }],
  ];
  const back = parseReport(structuredClone(report(links)));
  assert.deepEqual([...(back ?? [])], [
    [A, { state: "open", path: "host", reason: "", rtt_ms: 2 }],
    [B, { state: "failed", path: "", reason: "" }],
  ]);
});

test("hostile reports are cut to what makes sense", () => {
  for (const value of [null, undefined, 1, "links", [], {}, { links: 1 }, { links: { length: 9 } }]) assert.equal(parseReport(value), undefined);
  const rows = [null, 1, [], [A], [A, "evil"], [1, "open"], ["../x", "open"], [A, "open", "<b>", "x"], [B, "open", "host", -1], [C, "open", "host", Infinity]];
  assert.deepEqual([...(parseReport({ links: rows })?.values() ?? [])], [
    { state: "open", path: "", reason: "" }, { state: "open", path: "host", reason: "" }, { state: "open", path: "host", reason: "" },
  ]);
  const many = Array.from({ length: 5_000 }, (_, n) => [n.toString(16).padStart(16, "0"), "open", "host", 1]);
  assert.equal(parseReport({ links: many })?.size, LINKS_PUBLISHED);
});

test("a link is open when both ends say so, or the only one that speaks", () => {
  assert.deepEqual(picture([[A, seen({ [B]: "open" })], [B, seen({ [A]: "open" })]]), ["ab open"]);
  assert.deepEqual(picture([[A, seen({ [B]: "open" })]]), ["ab open"]);
  assert.deepEqual(picture([[B, seen({ [A]: "open" })]]), ["ab open"]);
});

test("where the ends disagree the worse one counts", () => {
  assert.deepEqual(picture([[A, seen({ [B]: "open" })], [B, seen({ [A]: "suspect" })]]), ["ab suspect"]);
  assert.deepEqual(picture([[A, seen({ [B]: "failed" })], [B, seen({ [A]: "suspect" })]]), ["ab failed"]);
  assert.deepEqual(picture([[A, seen({ [B]: "open" })], [B, seen({})]]), ["ab connecting"]);
  assert.deepEqual(picture([[A, seen({ [B]: "closed" })], [B, seen({ [A]: "open" })]]), ["ab connecting"]);
  assert.deepEqual(picture([[A, seen({ [B]: "closed" })], [B, seen({ [A]: "closed" })]]), []);
});

test("nobody can draw links of members that are not there, or to themselves", () => {
  assert.deepEqual(picture([[A, seen({ ["d".repeat(16)]: "open", [A]: "open" })]]), []);
});

test("a full mesh of speakers has every edge once", () => {
  const others = (/** @type {string} */ id) => Object.fromEntries(roster.filter((one) => one !== id).map((one) => [one, /** @type {const} */ ("open")]));
  assert.deepEqual(picture(roster.map((id) => [id, seen(others(id))])), ["ab open", "ac open", "bc open"]);
});

test("the picture is told in words", () => {
  const links = edges(roster, new Map([[A, seen({ [B]: "open", [C]: "failed" })]]));
  const nameOf = (/** @type {string} */ id) => ({ [A]: "Ada", [B]: "Bob", [C]: "Cy" })[id] ?? "?";
  assert.equal(linksInWords(A, links, nameOf), "linked to Bob; not linked to Cy");
  assert.equal(linksInWords(B, links, nameOf), "linked to Ada");
  assert.equal(summary(1, [], 0), "Nobody to link to yet.");
  assert.match(summary(3, links, 0), /^1 of 3 links open · 1 failed\.$/);
  assert.match(summary(3, links, 2), /^1 of 2 links open · 1 failed · 1 more that nobody tells of/);
});

test("ways lead over open links, and those on them pass on", () => {
  const links = edges(roster, new Map([[A, seen({ [B]: "open" })], [B, seen({ [A]: "open", [C]: "open" })], [C, seen({ [B]: "open", [A]: "failed" })]]));
  const { hops, passing } = waysFrom(A, links);
  assert.deepEqual([...hops], [[A, 0], [B, 1], [C, 2]]);
  assert.deepEqual([...passing], [B]);
  assert.deepEqual([...waysFrom(B, links).passing], []);
  assert.deepEqual([...waysFrom("d".repeat(16), links).hops.values()], [0]);
});

test("few links are not missing links where members pass on", () => {
  const links = edges(roster, new Map([[A, seen({ [B]: "open" })], [B, seen({ [A]: "open", [C]: "open" })], [C, seen({ [B]: "open" })]]));
  assert.equal(summary(3, links, 0, "tree"), "3 members, 2 links.");
  assert.equal(summary(3, links, 0, "mesh"), "2 of 3 links open.");
});
