// The traces of protocol/traces/, which the simulator has recorded of the Rust member: the JavaScript member, given the
// same inputs at the same times, wants the same done and the same next turn.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { Member } from "../src/member.js";
import { configFromSerde, inputFromSerde, outputToSerde } from "./serde.js";

const FOLDER = new URL("../../protocol/traces/", import.meta.url);
const traces = readdirSync(FOLDER).filter((name) => name.endsWith(".jsonl"));

for (const name of traces) {
  test(`the trace ${name} repeats`, () => {
    const [{ config }, ...turns] = readFileSync(new URL(name, FOLDER), "utf8").trim().split("\n").map((line) => JSON.parse(line));
    const member = new Member(configFromSerde(config), turns[0].at);
    for (const [n, { at, input, outputs, due }] of turns.entries()) {
      if (input) member.handle(at, inputFromSerde(input));
      const seen = [];
      for (let output; (output = member.pollOutput()); ) seen.push(outputToSerde(output));
      assert.deepEqual(seen, outputs, `turn ${n + 1}, at ${at}: ${JSON.stringify(input)?.slice(0, 200)}`);
      assert.equal(member.pollTimeout() ?? null, due, `turn ${n + 1}, at ${at}: its next turn`);
    }
  });
}

test("there are traces to repeat", () => assert.notEqual(traces.length, 0));
