import assert from "node:assert/strict";
import test from "node:test";
import { inventRoom, keyIn, nameVerdict, roomOfPath, roomVerdict } from "../names.js";

test("a good room name stands as it is", () => {
  for (const name of ["standup", "A1._-x", "x".repeat(64), "9lives"]) {
    assert.deepEqual(roomVerdict(name), { name, problem: "", better: "" });
  }
});

test("a bad room name gets a reason and, where there is one, a better name", () => {
  for (const [typed, better] of [
    ["Team stand up", "Team-stand-up"], ["-lead", "lead"], ["Äpfel & Öl", "Apfel-Ol"], ["api", "api-room"],
    ["x".repeat(80), "x".repeat(64)], ["日本", ""], ["../etc", "etc"], ["", ""], ["app ", "app-room"],
  ]) {
    const verdict = roomVerdict(typed ?? "");
    assert.notEqual(verdict.problem, "", typed);
    assert.equal(verdict.better, better, typed);
    if (verdict.better !== "") assert.equal(roomVerdict(verdict.better).problem, "", typed);
  }
});

test("a pasted link is the room that it leads to", () => {
  assert.equal(roomVerdict("  https://host.example/standup?x=1#key=abc ").name, "standup");
  assert.notEqual(roomVerdict("https://").problem, "");
});

test("a key stays with the link that carries it", () => {
  assert.equal(keyIn(" https://host.example/standup#key=abc "), "#key=abc");
  for (const key of ["#key=abc", "#KEY=abc", "#key%3Dabc", "#a=b&key=abc"]) assert.equal(keyIn(key), key);
  for (const none of ["", "#people", "https://host.example/key=abc", "standup"]) assert.equal(keyIn(none), "", none);
});

test("invented rooms are valid, whatever is drawn", () => {
  for (let at = 0; at < 48; at++) assert.equal(roomVerdict(inventRoom(() => at)).problem, "");
  assert.equal(roomVerdict(inventRoom()).problem, "");
});

test("a path names a room, however it is written", () => {
  assert.equal(roomOfPath("/standup"), "standup");
  assert.equal(roomOfPath("/caf%C3%A9"), "café");
  assert.equal(roomOfPath("/%zz"), "%zz");
  assert.equal(roomOfPath("/"), "");
});

test("names lose what cannot be seen, and are bounded", () => {
  assert.equal(nameVerdict("  Ada \n Lovelace\u200b\u202e ").name, "Ada Lovelace");
  assert.notEqual(nameVerdict(" \u200b ").problem, "");
  const long = nameVerdict("🦦".repeat(65));
  assert.notEqual(long.problem, "");
  assert.equal([...long.better].length, 64);
});
