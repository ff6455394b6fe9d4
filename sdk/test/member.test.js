// Whole members in a world in memory; see world.js.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  CHUNK, ENTRY_MARGIN, LATEST_CHANNELS, MESSAGE_MAX, OUTBOX_MAX, PARTING_GRACE, RECEIVE_WINDOW, REPORT_DELAY, WAITING_SENDS,
} from "../src/limits.js";
import { Member } from "../src/member.js";
import { decodeServerMessage } from "../src/wire.js";
import { World } from "./world.js";

const SECOND = 1_000_000;

const WELCOME = {
  type: "welcome", v: 1, hub: "00000000000000aa", self: { id: "374708fff7719dd5", name: "Ada", attributes: {} }, room: "standup",
  members: [], links: [], state: {}, topology: "mesh", epoch: 1, resumed: false, op: 0, ping_ms: 10_000, ice: [],
};

/** Members that are in the room and linked. */
function meet(...names) {
  const world = new World();
  const members = names.map((name) => world.enter(name));
  world.run(SECOND);
  for (const member of members) {
    for (const other of members) if (other !== member) assert.equal(member.link(other)?.state, "open", `${member.name}`);
  }
  return [world, ...members];
}

const numbered = (count, prefix = "") => Array.from({ length: count }, (_, n) => `${prefix}${n}`);

test("members enter, see each other and link", () => {
  const [, ada, bob, eve] = meet("Ada", "Bob", "Eve");
  assert.deepEqual(ada.heard("joined")[0].members, []);
  assert.deepEqual(eve.heard("joined")[0].members.map(({ name }) => name), ["Ada", "Bob"]);
  assert.deepEqual(ada.heard("member_join").map(({ member }) => member.name), ["Bob", "Eve"]);
  assert.equal(bob.heard("member_join").length, 1);
  assert.ok(ada.link(bob).rtt >= 20_000);
  assert.equal(ada.link(bob).path, "host");
});

test("everybody gets each message once and in order", () => {
  const [world, ada, bob, eve] = meet("Ada", "Bob", "Eve");
  for (const text of numbered(50, "a")) ada.send(1, text);
  for (const text of numbered(50, "b")) bob.send(1, text);
  world.run(SECOND);
  assert.deepEqual(bob.texts(ada), numbered(50, "a"));
  assert.deepEqual(eve.texts(ada), numbered(50, "a"));
  assert.deepEqual(eve.texts(bob), numbered(50, "b"));
  assert.deepEqual(ada.texts(), numbered(50, "b"));
  assert.equal(ada.heard("sent").length, 50);
});

test("inputs that are handled together share packets", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  const before = ada.packets;
  for (const text of numbered(100)) {
    ada.machine.handle(world.now, { type: "send", ticket: 1, channel: "chat", payload: Buffer.from(text) });
  }
  ada.drain();
  assert.equal(ada.packets - before, 1);
  world.run(SECOND);
  assert.deepEqual(bob.texts(), numbered(100));
});

test("messages to one member keep their place among those to the room", () => {
  const [world, ada, bob, eve] = meet("Ada", "Bob", "Eve");
  ada.send(1, "to all");
  ada.send(2, "to Bob", { to: bob });
  ada.send(3, "to all again");
  world.run(SECOND);
  assert.deepEqual(bob.texts(), ["to all", "to Bob", "to all again"]);
  assert.deepEqual(bob.heard("message").map(({ addressed }) => addressed), [false, true, false]);
  assert.deepEqual(eve.texts(), ["to all", "to all again"]);
});

test("a large message is cut into chunks and put together", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  const large = Uint8Array.from({ length: 5 * 1024 * 1024 + 3 }, (_, n) => n % 251);
  ada.send(1, large);
  ada.send(2, "after");
  world.run(20 * SECOND);
  const [first, second] = bob.heard("message");
  assert.ok(Buffer.from(first.payload).equals(Buffer.from(large)));
  assert.equal(Buffer.from(second.payload).toString(), "after");
  assert.ok(ada.packets > large.length / CHUNK);
});

test("messages beyond the bounds are refused", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  ada.send(1, new Uint8Array(MESSAGE_MAX + 1));
  ada.send(2, "x", { channel: "é".repeat(33) });
  ada.send(3, "x", { to: { id: "0123456789abcdef" } });
  assert.deepEqual(ada.heard("not_sent").map(({ why }) => why), ["too_large", "too_large", "unknown_member"]);
  world.setCut(ada, bob, true);
  for (let ticket = 10; ticket < 10 + WAITING_SENDS + OUTBOX_MAX / MESSAGE_MAX + 8; ticket++) {
    ada.send(ticket, ticket < 13 ? new Uint8Array(MESSAGE_MAX) : "small");
  }
  assert.equal(ada.heard("not_sent").at(-1).why, "too_many");
});

test("a member that does not consume makes its sender wait, not the others", () => {
  const world = new World();
  const [ada, bob, eve] = [world.enter("Ada"), world.enter("Bob"), world.enter("Eve", { consumes: false })];
  world.run(SECOND);
  const piece = new Uint8Array(64 * 1024);
  for (let n = 0; n < 100; n++) ada.send(n, piece, { to: eve });
  ada.send(1_000, "for all");
  world.run(3 * SECOND);
  const held = eve.heard("message").length * piece.length;
  assert.ok(held <= RECEIVE_WINDOW && held > RECEIVE_WINDOW / 2, `${held}`);
  assert.deepEqual(bob.texts(), ["for all"]);
  for (let event; (event = eve.heard("message")[eve.taken ?? 0]); eve.taken = (eve.taken ?? 0) + 1) {
    eve.consume(event);
    world.run(100_000);
  }
  assert.equal(eve.heard("message").length, 101);
});

test("one that holds the room back is passed over, and told so", () => {
  const world = new World();
  const [ada, bob, eve] = [world.enter("Ada"), world.enter("Bob"), world.enter("Eve", { consumes: false })];
  world.run(SECOND);
  const piece = new Uint8Array(1024 * 1024);
  for (let n = 0; n < 48; n++) ada.send(n, piece);
  world.run(20 * SECOND);
  assert.equal(bob.heard("message").length, 48);
  assert.equal(bob.heard("gap").length, 0);
  assert.equal(ada.heard("sent").length, 48);
  eve.consumes = true;
  const early = eve.heard("message");
  for (const event of early) eve.consume(event);
  world.run(20 * SECOND);
  const [gap] = eve.heard("gap");
  assert.equal(gap.member, ada.id);
  const lost = gap.to_seq - gap.from_seq + 1;
  const chunks = Math.ceil(piece.length / CHUNK);
  const whole = eve.heard("message").length;
  assert.ok(whole > early.length && whole < 48);
  assert.ok(lost >= (48 - whole - 1) * chunks && lost <= (48 - whole + 1) * chunks, `${lost} lost, ${whole} whole`);
  ada.send(99, "goes on");
  world.run(SECOND);
  assert.equal(eve.texts().at(-1), "goes on");
});

test("a link that breaks is made anew, and nothing is lost or doubled", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  for (let round = 0; round < 5; round++) {
    for (const text of numbered(20, `${round}-`)) ada.send(1, text);
    bob.send(1, `answer ${round}`);
    if (round % 2) world.run(15_000);
    const victim = round % 2 ? ada : bob;
    const other = round % 2 ? bob : ada;
    victim.input({ type: "link_down", peer: other.id, attempt: victim.connection(other.id) ? round + 1 : 0, reason: "broke", closed: false });
    world.run(3 * SECOND);
    assert.equal(ada.link(bob).state, "open");
  }
  world.run(SECOND);
  assert.deepEqual(bob.texts(), [0, 1, 2, 3, 4].flatMap((round) => numbered(20, `${round}-`)));
  assert.deepEqual(ada.texts(), numbered(5, "answer "));
  assert.ok(ada.heard("link").filter(({ state }) => state === "failed").length >= 2);
});

test("who leaves is not seen to fail first, who closes a link and stays is", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  const closes = () =>
    ada.input({ type: "link_down", peer: bob.id, attempt: 1, reason: "closed by the other side", closed: true });
  world.setCut(ada, bob, true);
  closes();
  ada.events.length = 0;
  world.run(PARTING_GRACE - 1);
  assert.deepEqual(ada.heard("link"), []);
  world.setCut(ada, bob, false);
  world.run(SECOND);
  assert.deepEqual(ada.heard("link").slice(0, 3).map(({ state, reason }) => [state, reason]), [
    ["failed", "closed by the other side"],
    ["connecting", undefined],
    ["open", undefined],
  ]);

  ada.events.length = 0;
  ada.input({ type: "link_down", peer: bob.id, attempt: 2, reason: "closed by the other side", closed: true });
  world.run(PARTING_GRACE - 1);
  ada.input({ type: "hub", message: { type: "gone", id: bob.id, reason: "left" } });
  world.run(5 * SECOND);
  assert.deepEqual(ada.events.map(({ type }) => type), ["member_leave"]);
});

test("who was wrongly given up is told what it missed, and hears what comes after", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  bob.send(1, "lost", { to: ada });
  bob.input({ type: "hub", message: { type: "gone", id: ada.id, reason: "crashed" } });
  bob.input({ type: "hub", message: { type: "member", id: ada.id, name: "Ada", attributes: {} } });
  bob.input({ type: "hub", message: { type: "links", open: [{ peer: ada.id, role: "answer" }] } });
  world.run(5 * SECOND);
  assert.equal(bob.link(ada).state, "open");
  bob.send(2, "heard", { to: ada });
  world.run(SECOND);
  assert.deepEqual(ada.texts(bob), ["heard"]);
  assert.deepEqual(ada.heard("gap").map(({ addressed, from_seq, to_seq }) => [addressed, from_seq, to_seq]), [[true, 1, 1]]);
});

test("a newcomer hears all from one that believed it to be gone", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  ada.input({ type: "pin", ticket: 1, topology: "small-world" });
  world.run(SECOND);
  // It reaches nobody before it is given up.
  for (const other of [ada, bob]) world.setCut(other, { name: "Eve" }, true);
  const eve = world.enter("Eve");
  world.run(SECOND);
  ada.send(1, "one");
  world.run(3 * ENTRY_MARGIN);
  ada.send(1, "two");
  bob.input({ type: "hub", message: { type: "gone", id: eve.id, reason: "crashed" } });
  world.setCut(bob, eve, false);
  bob.input({ type: "hub", message: { type: "member", id: eve.id, name: "Eve", attributes: {} } });
  bob.input({ type: "hub", message: { type: "links", open: [{ peer: eve.id, role: "offer" }] } });
  world.run(5 * SECOND);
  assert.deepEqual([bob, ada].map((other) => eve.link(other).state), ["open", "connecting"]);
  ada.send(1, "three");
  world.run(5 * SECOND);
  assert.deepEqual(eve.texts(ada), ["one", "two", "three"]);
});

test("a link that the plan closed and wants anew is not reported as up before it is", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  const told = [];
  const { hub } = world;
  const said = hub.said.bind(hub);
  hub.said = (member, message) => {
    if (member === bob && message.type === "links") told.push(message);
    said(member, message);
  };
  // It was suspected, and is heard again.
  world.setCut(ada, bob, true);
  world.run(2 * SECOND);
  assert.deepEqual(told.splice(0).map(({ suspect }) => suspect), [[ada.id]]);
  world.setCut(ada, bob, false);
  while (bob.link(ada).state === "suspect") world.run(1_000);
  for (const plan of [{ close: [ada.id] }, { open: [{ peer: ada.id, role: "answer" }] }]) {
    bob.input({ type: "hub", message: { type: "links", ...plan } });
  }
  world.run(REPORT_DELAY + SECOND / 20);
  assert.deepEqual(told, []);
});

test("a socket that is cut resumes, and nobody notices", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  ada.loseSocket(true);
  ada.send(1, "while away");
  ada.input({ type: "set_state", key: "title", value: "Standup" });
  world.run(2 * SECOND);
  assert.equal(ada.heard("reconnecting").length, 1);
  assert.deepEqual(bob.texts(), ["while away"]);
  assert.deepEqual(bob.heard("state"), []);
  ada.hubDown = false;
  world.run(8 * SECOND);
  assert.deepEqual(ada.heard("reconnected"), [{ type: "reconnected", resumed: true }]);
  assert.deepEqual(bob.heard("member_leave"), []);
  assert.deepEqual(bob.heard("state").map(({ key, value, by }) => [key, value, by]), [["title", "Standup", ada.id]]);
  assert.equal(ada.heard("link").filter(({ state }) => state === "connecting").length, 1);
});

test("a hub that restarts finds the room as it was", () => {
  const [world, ada, bob, eve] = meet("Ada", "Bob", "Eve");
  bob.input({ type: "set_state", key: "title", value: { text: "Standup" } });
  world.run(SECOND);
  world.restartHub();
  ada.send(1, "meanwhile");
  world.run(5 * SECOND);
  for (const member of [ada, bob, eve]) {
    assert.deepEqual(member.heard("reconnected"), [{ type: "reconnected", resumed: false }]);
    assert.deepEqual(member.heard("member_leave"), []);
    assert.equal(member.heard("member_join").length, { Ada: 2, Bob: 1, Eve: 0 }[member.name]);
    assert.equal(member.heard("state").length, 1);
  }
  assert.deepEqual(eve.texts(), ["meanwhile"]);
});

test("a crash is suspected, reported and told", () => {
  const [world, ada, bob, eve] = meet("Ada", "Bob", "Eve");
  bob.die();
  // The last sign of life came up to half a second before the end.
  world.run(900_000);
  assert.equal(ada.link(bob).state, "open");
  world.run(1_100_000);
  assert.deepEqual(ada.heard("member_leave").map(({ member, reason }) => [member.name, reason]), [["Bob", "crashed"]]);
  assert.equal(eve.heard("member_leave").length, 1);
  ada.send(1, "we two");
  world.run(SECOND);
  assert.deepEqual(eve.texts(), ["we two"]);
});

test("a silence that ends clears the suspicion", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  world.setCut(ada, bob, true);
  ada.send(1, "late");
  world.run(2 * SECOND);
  assert.equal(ada.link(bob).state, "suspect");
  world.setCut(ada, bob, false);
  world.run(SECOND);
  assert.equal(ada.link(bob).state, "open");
  assert.deepEqual(bob.texts(), ["late"]);
  assert.deepEqual(bob.heard("member_leave"), []);
});

test("the last of the latest arrives whatever is lost, at late joiners too", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  let count = 0;
  world.loses = () => count++ % 3 !== 0;
  for (const text of numbered(200)) {
    ada.input({ type: "publish", mode: "latest", channel: "cursor", payload: Buffer.from(text) });
    world.run(5_000);
  }
  world.run(2 * SECOND);
  const seen = bob.heard("lossy").map(({ payload }) => Number(Buffer.from(payload).toString()));
  assert.equal(seen.at(-1), 199);
  assert.deepEqual(seen, [...seen].sort((a, b) => a - b));
  assert.ok(seen.length < 200);
  const eve = world.enter("Eve");
  world.run(2 * SECOND);
  assert.equal(Buffer.from(eve.heard("lossy").at(-1).payload).toString(), "199");
});

test("latest values arrive on any number of channels, one after another", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  const channels = numbered(3 * LATEST_CHANNELS, "cursor-");
  for (const channel of channels) {
    ada.input({ type: "publish", mode: "latest", channel, payload: Uint8Array.of(1) });
    world.run(SECOND / 10);
  }
  assert.deepEqual(bob.heard("lossy").map(({ channel }) => channel), channels);
  const before = ada.packets;
  world.run(SECOND);
  assert.ok(ada.packets - before < 10, "nothing is sent again");
});

test("datagrams come at most once", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  let count = 0;
  world.loses = () => count++ % 2 === 0;
  for (const text of numbered(20)) {
    ada.input({ type: "publish", mode: "datagram", channel: "game", payload: Buffer.from(text) });
    world.run(20_000);
  }
  const seen = bob.heard("lossy").map(({ payload, mode }) => `${mode} ${Buffer.from(payload)}`);
  assert.ok(seen.length > 0 && seen.length < 20);
  assert.equal(new Set(seen).size, seen.length);
});

test("calls are answered, fail, time out and end with their callee", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  const call = (ticket, timeout) =>
    ada.input({ type: "call", ticket, to: bob.id, method: "add", payload: Buffer.from([ticket]), timeout });
  for (const ticket of [1, 2, 3, 4]) call(ticket, ticket === 3 ? 500_000 : undefined);
  world.run(100_000);
  const [one, two] = bob.heard("call");
  assert.deepEqual([one.from, one.method, [...one.payload]], [ada.id, "add", [1]]);
  bob.input({ type: "reply", to: ada.id, call: one.call, answer: { result: Buffer.from("ok") } });
  bob.input({ type: "reply", to: ada.id, call: two.call, answer: { failure: { code: "no_handler", message: "“add”" } } });
  ada.input({ type: "cancel_call", ticket: 99 });
  world.run(SECOND);
  bob.input({ type: "leave" });
  world.run(SECOND);
  call(5);
  const ends = ada.heard("called").map(({ ticket, answer }) => [ticket, answer.failure?.code ?? Buffer.from(answer.result).toString()]);
  assert.deepEqual(ends, [[1, "ok"], [2, "no_handler"], [3, "timeout"], [4, "member_left"], [5, "unknown_member"]]);
});

test("leaving waits until what was sent has arrived", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  ada.send(1, new Uint8Array(3 * 1024 * 1024));
  ada.send(2, "goodbye");
  ada.input({ type: "leave" });
  world.run(10 * SECOND);
  assert.equal(bob.texts().at(-1), "goodbye");
  assert.deepEqual(bob.heard("member_leave").map(({ reason }) => reason), ["left"]);
  assert.deepEqual(ada.heard("closed"), [{ type: "closed", code: undefined, reason: "left", hint: "" }]);
  ada.send(3, "too late");
  assert.equal(ada.heard("not_sent").at(-1).why, "closed");
});

test("who gives up on a silent hub does not leave, who leaves says so even unanswered", () => {
  const outputs = (member) => {
    const seen = [];
    for (let output; (output = member.pollOutput()); ) seen.push(output.type === "tell" ? output.message.type : output.type);
    return seen;
  };
  const member = new Member({ secret: "00".repeat(16), name: "Ada" }, 0);
  member.handle(0, { type: "connected" });
  member.handle(0, { type: "hub", message: WELCOME });
  outputs(member);
  member.handle(10 * SECOND, { type: "timeout" });
  assert.deepEqual(outputs(member), ["ping"]);
  member.handle(30 * SECOND, { type: "timeout" });
  assert.deepEqual(outputs(member), ["disconnect", "event"]);
  member.handle(member.pollTimeout(), { type: "timeout" });
  assert.deepEqual(outputs(member), ["connect"]);
  member.handle(31 * SECOND, { type: "connected" });
  assert.deepEqual(outputs(member), ["join"]);
  member.handle(31 * SECOND, { type: "leave" });
  assert.deepEqual(outputs(member), ["leave", "disconnect", "event"]);
});

test("what the hub says stands when a member comes back, and what it has not confirmed comes after", () => {
  const member = new Member({ secret: "00".repeat(16), name: "Ada" }, 0);
  let now = 0;
  const wants = (input) => {
    const seen = [];
    member.handle(now, input);
    for (let output; (output = member.pollOutput()); ) seen.push(output.message ?? output.event ?? output.type);
    return seen;
  };
  const rejoins = () => {
    wants({ type: "disconnected", reason: "cut" });
    now = member.pollTimeout();
    wants({ type: "timeout" });
    return wants({ type: "connected" })[0];
  };
  const values = (seen) => seen.filter(({ type }) => type === "state").map(({ value }) => value);
  wants({ type: "connected" });
  wants({ type: "hub", message: WELCOME });
  const change = (value, version) => ({ type: "state", key: "k", value, version, by: "0123456789abcdef", op: 1 });
  assert.deepEqual(values(wants({ type: "hub", message: change(1, 9) })), [1]);
  const set = { mood: "good" };
  wants({ type: "set_attributes", set });

  const join = rejoins();
  assert.deepEqual([join.resume.state, join.attributes], [{ k: { value: 1, version: 9 } }, undefined]);
  const seen = wants({ type: "hub", message: { ...WELCOME, hub: "00000000000000bb", state: { k: { value: 2, version: 5 } } } });
  assert.deepEqual(values(seen), [2]);
  assert.deepEqual(seen.at(-1), { type: "attributes", op: 1, set });
  assert.deepEqual(values(wants({ type: "hub", message: change(3, 6) })), [3]);
  wants({ type: "hub", message: { type: "update", id: member.id, attributes: set, op: 1 } });
  wants({ type: "hub", message: { type: "update", id: "0123456789abcdef", attributes: {}, op: 7 } });
  assert.deepEqual(rejoins().attributes, set);
});

test("entering gives up after its time, or at a fatal refusal", () => {
  const world = new World();
  const ada = world.enter("Ada", { hubDown: true });
  world.run(20 * SECOND);
  const [closed] = ada.heard("closed");
  assert.match(closed.reason, /could not be reached: nobody there/);
  assert.equal(closed.code, undefined);
  const bob = world.enter("Bob");
  bob.input({ type: "connected" });
  bob.input({ type: "hub", message: { type: "refused", code: "token_required", message: "a token", hint: "bring one", fatal: true } });
  bob.input({ type: "disconnected", code: "token_required", reason: "closed" });
  assert.deepEqual(bob.heard("closed"), [{ type: "closed", code: "token_required", reason: "a token", hint: "bring one" }]);
});

test("a member comes back to a full server, and gives up entering one with what it says", () => {
  for (const code of ["server_full", "too_many_connections"]) {
    const refused = { type: "refused", code, message: "no place", hint: "come back later", fatal: true };
    /** Connects to a hub that refuses it, again and again, from `now` on; gives what comes of it. */
    const insist = (member, now, times) => {
      const events = [];
      const does = (input) => {
        member.handle(now, input);
        for (let output; (output = member.pollOutput()); ) if (output.event) events.push(output.event);
      };
      for (let time = 0; time < times && member.pollTimeout() !== undefined; time++) {
        does({ type: "connected" });
        does({ type: "hub", message: refused });
        does({ type: "disconnected", code, reason: code });
        now = member.pollTimeout() ?? now;
        does({ type: "timeout" });
      }
      return events.filter(({ type }) => type === "closed");
    };
    const member = new Member({ secret: "00".repeat(16), name: "Ada" }, 0);
    member.handle(0, { type: "connected" });
    member.handle(0, { type: "hub", message: WELCOME });
    assert.deepEqual(insist(member, 0, 99), [], "it was in the room");
    const stranger = new Member({ secret: "00".repeat(16), name: "Ada" }, 0);
    assert.deepEqual(insist(stranger, 0, 99), [{ type: "closed", code, reason: "no place", hint: "come back later" }]);
  }
});

test("nothing is wanted of the edge once the room is closed", () => {
  const member = new Member({ secret: "00".repeat(16), name: "Ada", key: "07".repeat(32) }, 0);
  const others = ["Bob", "Eve"].map((name, n) => ({ id: `${n}123456789abcdef`, name, attributes: {} }));
  member.handle(0, { type: "connected" });
  member.handle(0, { type: "hub", message: { ...WELCOME, members: others } });
  while (member.pollOutput());
  // All of it before anything is done for the first: what is said would have to be signed.
  member.handle(0, { type: "send", ticket: 1, channel: "chat", payload: Buffer.from("my last word") });
  member.handle(0, { type: "hub", message: { type: "refused", code: "removed", message: "removed", hint: "", fatal: true } });
  member.handle(0, { type: "disconnected", reason: "removed" });
  const outputs = [];
  for (let output; (output = member.pollOutput()); ) outputs.push(output);
  assert.equal(outputs.at(-1).event?.type, "closed", JSON.stringify(outputs));
});

test("hostile packets end the link, not the member", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  const attempt = 1;
  for (const [n, hex] of ["", "01", "0a09", "0300", "ff", "02ff00", "010b"].entries()) {
    const bytes = Uint8Array.from(Buffer.from(hex, "hex"));
    bob.input({ type: "packet", peer: ada.id, attempt: attempt + n, lane: n % 2 ? "reliable" : "lossy", bytes });
  }
  world.run(5 * SECOND);
  assert.equal(bob.link(ada).state, "open");
  ada.send(1, "still here");
  world.run(SECOND);
  assert.deepEqual(bob.texts(), ["still here"]);
});

test("hostile signals are passed over, however deep they are nested", () => {
  const [world, ada, bob] = meet("Ada", "Bob");
  const deep = `${"[".repeat(30_000)}${"]".repeat(30_000)}`;
  for (const data of [deep, `{"offer":${deep}}`, `{"offer":"${"x".repeat(33_000)}"}`, "null"]) {
    const message = decodeServerMessage(`{"signal":{"from":"${ada.id}","attempt":9,"data":${data}}}`);
    bob.input({ type: "hub", message });
  }
  world.run(SECOND);
  assert.equal(bob.link(ada).state, "open");
});

test("the same inputs give the same outputs", () => {
  const story = () => {
    const [world, ada, bob] = meet("Ada", "Bob");
    for (const text of numbered(10)) ada.send(1, text);
    bob.loseSocket();
    world.run(12 * SECOND);
    return JSON.stringify([ada.events, bob.events, world.now]);
  };
  assert.equal(story(), story());
});
