import assert from "node:assert/strict";
import test from "node:test";
import { LOG_CHARS, LOG_KEPT, NOTICE_NAMES, TEXT_KEPT } from "../limits.js";
import { INITIAL, reduce } from "../state.js";
import { createStore } from "../store.js";

/** @import { Message, Presence } from "../log.js" */
/** @import { Action, Person, State } from "../state.js" */

const ADA = { id: "a".repeat(16), name: "Ada", self: true };
const BOB = { id: "b".repeat(16), name: "Bob", self: false };

/** @param {Action[]} actions @param {State} [from] */
const after = (actions, from = INITIAL) => actions.reduce(reduce, from);

const inside = after([
  { type: "entered", self: ADA.id, topology: "mesh", pinned: "auto", people: [ADA], at: 0 },
  { type: "people", people: [ADA, BOB] },
]);
/** @param {string} text @param {number} [at] @returns {Action} */
const fromBob = (text, at = 1) => ({ type: "received", id: BOB.id, text, at });

test("who joins others is told why the log is empty, once", () => {
  /** @type {Action} */
  const entered = { type: "entered", self: ADA.id, topology: "mesh", pinned: "auto", people: [ADA, BOB], at: 0 };
  const state = after([entered]);
  assert.deepEqual(state.log.map((entry) => entry.kind === "notice" && entry.text),
    ["You joined Bob. What was said before stays with them."]);
  assert.equal(after([{ type: "left" }, entered], state).log.length, 1);
  assert.equal(inside.log.length, 0, "who was first missed nothing");
});

test("messages carry the name that their sender had", () => {
  const state = after([
    fromBob("one"),
    { type: "people", people: [ADA, { ...BOB, name: "Robert" }] },
    fromBob("two"),
    { type: "people", people: [ADA] },
    fromBob("three"),
  ], inside);
  assert.deepEqual(state.log.map((entry) => entry.kind === "message" && entry.name), ["Bob", "Robert", "Robert"]);
});

test("the log is bounded in entries, and says that it was", () => {
  const state = after(Array.from({ length: LOG_KEPT + 5 }, (_, n) => fromBob(String(n))), inside);
  assert.equal(state.log.length, LOG_KEPT);
  assert.equal(/** @type {Message} */ (state.log[0]).text, "5");
  assert.ok(state.trimmed);
  assert.ok(!after([fromBob("x")], inside).trimmed);
});

test("the log is bounded in characters, and one message too", () => {
  const long = "x".repeat(TEXT_KEPT + 7);
  const state = after(Array.from({ length: 40 }, () => fromBob(long)), inside);
  assert.ok(state.log.length < 40);
  const messages = /** @type {Message[]} */ (state.log);
  assert.ok(messages.reduce((sum, { text }) => sum + text.length, 0) <= LOG_CHARS);
  assert.equal(messages[0]?.cut, 7);
});

test("people who come together are told together", () => {
  const state = after(Array.from({ length: NOTICE_NAMES + 10 }, (_, n) => ({ type: "came", id: String(n), name: `M${n}`, at: n })), inside);
  assert.equal(state.log.length, 1);
  const notice = /** @type {Presence} */ (state.log[0]);
  assert.equal(notice.names.length, NOTICE_NAMES);
  assert.equal(notice.more, 10);
  const later = after([{ type: "came", id: "z", name: "Z", at: 100_000 }, { type: "went", id: "z", name: "Z", reason: "left", at: 100_001 }], state);
  assert.equal(later.log.length, 3);
});

test("an own message goes from pending to sent or failed, and can be taken away", () => {
  const sending = after([{ type: "sending", ticket: "1", text: "hi", at: 1, audience: 0 }], inside);
  const message = /** @type {Message} */ (sending.log[0]);
  assert.equal(message.state, "pending");
  assert.ok(message.alone);
  assert.equal(/** @type {Message} */ (after([{ type: "sent", ticket: "1" }], sending).log[0]).state, "sent");
  const failed = after([{ type: "unsent", ticket: "1", why: "no" }], sending);
  assert.equal(/** @type {Message} */ (failed.log[0]).why, "no");
  assert.deepEqual(after([{ type: "discarded", ticket: "1" }], failed).log, []);
});

test("unread counts what came while nobody looked", () => {
  const away = after([{ type: "reading", reading: false }, fromBob("1"), fromBob("2")], inside);
  assert.equal(away.unread, 2);
  assert.equal(after([{ type: "reading", reading: true }], away).unread, 0);
  assert.equal(after([fromBob("1")], inside).unread, 0);
});

test("typing ends with the message, the departure, or by word; strangers do not type", () => {
  const typing = after([{ type: "typing", id: BOB.id, typing: true }], inside);
  assert.deepEqual(typing.typing, [BOB.id]);
  assert.deepEqual(after([fromBob("hi")], typing).typing, []);
  assert.deepEqual(after([{ type: "went", id: BOB.id, name: "Bob", reason: "left", at: 1 }], typing).typing, []);
  assert.deepEqual(after([{ type: "typing", id: BOB.id, typing: false }], typing).typing, []);
  assert.deepEqual(after([{ type: "typing", id: "c".repeat(16), typing: true }, { type: "typing", id: ADA.id, typing: true }], inside).typing, []);
});

test("reports of members that are not here are not kept", () => {
  const report = new Map();
  assert.equal(after([{ type: "reported", id: BOB.id, report }], inside).reports.size, 1);
  assert.equal(after([{ type: "reported", id: "c".repeat(16), report }], inside).reports.size, 0);
});

test("reconnecting comes and goes; leaving and failing empty the room but not the log", () => {
  const lost = after([fromBob("hi"), { type: "reconnecting", at: 2 }], inside);
  assert.equal(lost.phase.at, "reconnecting");
  assert.equal(after([{ type: "reconnected", at: 3 }], lost).phase.at, "in");
  for (const end of /** @type {Action[]} */ ([{ type: "left" }, { type: "failed", code: "removed", message: "", hint: "", at: 4 }])) {
    const out = after([end], lost);
    assert.equal(out.people.length, 0);
    assert.equal(out.log.length, 1);
    assert.ok(out.entered);
  }
});

test("views see several changes as one, and nothing where nothing changed", () => {
  /** @type {(() => void)[]} */
  const scheduled = [];
  const store = createStore(0, (/** @type {number} */ state, /** @type {number} */ more) => state + more, (render) => scheduled.push(render));
  /** @type {number[]} */
  const seen = [];
  store.show((state) => seen.push(state));
  store.dispatch(1);
  store.dispatch(2);
  store.dispatch(0);
  assert.deepEqual(seen, [0]);
  scheduled[0]?.();
  store.dispatch(0);
  assert.equal(scheduled.length, 1);
  store.dispatch(1);
  store.flush();
  for (const render of scheduled) render();
  assert.deepEqual(seen, [0, 3, 4]);
});
