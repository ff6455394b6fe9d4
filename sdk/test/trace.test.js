// The traces of protocol/traces/, which the simulator has recorded of the Rust member and courier: those in JavaScript,
// given the same inputs at the same times, want the same done and the same next turn.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { Courier } from "../src/courier.js";
import { LinkError } from "../src/courier/error.js";
import { FrameError, framesIn } from "../src/frame.js";
import { Member } from "../src/member.js";
import { configFromSerde, inputFromSerde, lengthen, outputToSerde, shorten } from "./serde.js";

const OTHERS = process.env.ROOMFUL_TRACES;
const FOLDER = OTHERS ? pathToFileURL(`${OTHERS}/`) : new URL("../../protocol/traces/", import.meta.url);
const traces = readdirSync(FOLDER).filter((name) => name.endsWith(".jsonl"));

for (const name of traces) {
  test(`the trace ${name} repeats`, () => {
    const [begin, ...turns] = readFileSync(new URL(name, FOLDER), "utf8").trim().split("\n").map((line) => JSON.parse(line));
    const turning = begin.courier ? courierTurns(begin.courier) : memberTurns(begin.config, turns[0].at);
    for (const [n, turn] of turns.entries()) {
      const { at, input } = turn;
      const place = `line ${n + 2}, at ${at}: ${JSON.stringify(input)?.slice(0, 200)}`;
      assert.deepEqual(turning(turn), turn, place);
    }
  });
}

test("there are traces to repeat", () => assert.notEqual(traces.length, 0));

/** Gives a member each turn's input; gives the turn as it was. */
function memberTurns(config, now) {
  const member = new Member(configFromSerde(config), now);
  return ({ at, input }) => {
    if (input) member.handle(at, inputFromSerde(input));
    const outputs = [];
    for (let output; (output = member.pollOutput()); ) outputs.push(outputToSerde(output));
    return { at, ...(input && { input }), outputs, due: member.pollTimeout() ?? null };
  };
}

/** The same for a courier. */
function courierTurns(id) {
  const courier = new Courier(id, 0);
  return ({ at, input }) => {
    // Who lies about numbers brings about losses beyond what is counted exactly.
    if (!input) return { counters: Object.values(courier.counters).map((count) => Math.min(count, Number.MAX_SAFE_INTEGER)) };
    const turn = { at, input };
    try {
      const tickets = takeInput(courier, at, input);
      if (tickets?.length > 0) turn.tickets = tickets;
    } catch (error) {
      if (error instanceof FrameError) turn.error = `bad_frame: ${error.message}`;
      else if (error instanceof LinkError) turn.error = error.message;
      else throw error;
    }
    const events = [];
    for (let event; (event = courier.pollEvent()); ) events.push(eventToSerde(event));
    const packets = [];
    for (let peer; (peer = courier.pollDirty()); ) {
      for (let packet; (packet = courier.nextPacket(at, peer)); ) packets.push([peer, shorten(packet)]);
    }
    if (events.length > 0) turn.events = events;
    if (packets.length > 0) turn.packets = packets;
    if (courier.kept > 0) turn.kept = courier.kept;
    if (courier.isFlushed) turn.flushed = true;
    return { ...turn, due: courier.pollTimeout() ?? null };
  };
}

/** Gives a courier an input of a trace; gives the tickets of messages that will not be sent. */
function takeInput(courier, at, input) {
  const [type, body] = typeof input === "string" ? [input] : Object.entries(input)[0];
  switch (type) {
    case "met_all":
      return courier.metAll();
    case "plan":
      return courier.plan(at, { ...body, eager: new Set(body.eager) });
    case "entered":
      return courier.entered(at, body.id, body.later ? 1 : "before");
    case "gone":
      return courier.gone(at, body);
    case "forget":
      return courier.forget(at, body);
    case "link_up":
      return courier.linkUp(at, body.peer, { vouches: body.vouches, offerFrom: body.offer_from ?? undefined });
    case "link_down":
      return courier.linkDown(at, body);
    case "suspect":
      return courier.suspect(at, body.peer, body.suspect);
    case "measured":
      return courier.measured(body.peer, body.rtt);
    case "route":
      courier.route(at, body.to, body.path);
      return undefined;
    case "expect":
      return courier.expect(at, body);
    case "expect_no_more":
      return courier.expectNoMore(at, body);
    case "detour":
      return courier.detour(at, body);
    case "send": {
      const { kind, channel, to } = body;
      const payload = lengthen(body.payload);
      if (!courier.hasRoomFor(to ?? undefined, payload.length)) return undefined;
      return courier.send(at, to ?? undefined, body.ticket ?? undefined, { kind, channel }, payload);
    }
    case "packet":
      for (const frame of framesIn(lengthen(body.bytes))) courier.frame(at, body.peer, frame);
      return undefined;
    case "buffered":
      return courier.buffered(body.peer, body.bytes);
    case "hold":
      return courier.hold(body.origin, body.bytes);
    case "consumed":
      return courier.consumed(at, body.origin, body.bytes);
    case "tick":
      return courier.tick(at);
    case "close":
      return courier.close();
    default:
      throw new TypeError(`unknown input: ${type}`);
  }
}

function eventToSerde({ type, ...body }) {
  switch (type) {
    case "open":
      return { open: body.peer };
    case "sent":
      return { sent: body.ticket };
    case "unroutable":
      return { unroutable: body.to };
    case "unreached":
      return { unreached: body.origin };
    case "message": {
      const { head, payload, ...rest } = body;
      return { message: { ...rest, ...head, payload: shorten(payload) } };
    }
    default:
      return { [type]: body };
  }
}
