// @ts-check
// What runs in a test's page: a member that does as it is told and reports what it sees, in the words of
// `roomful join --json`.

import { join } from "/sdk/roomful.js";
import { Book } from "./book.js";
import { describe, pattern, sample } from "./values.js";

/** @import { Member, Room } from "/sdk/roomful.js" */
/** @import { Entry } from "./log.js" */

/** @typedef {{ from: Member, data: unknown }} Heard */

/** Set by the test. @type {(entry: Entry) => void} */
const report = Reflect.get(globalThis, "report");

/** @type {Room} */
let room;
/** @type {Book | undefined} */
let book;
/** What an application that does not read is about to read. @type {AsyncIterator<Heard> | undefined} */
let unread;
/** Frames of others that it has passed on, and whether it alters them. */
let passedOn = 0;
let forges = false;

const Connection = globalThis.RTCPeerConnection;

class Walled extends Connection {
  /** @param {RTCConfiguration} [configuration] */
  constructor(configuration) {
    super({ ...configuration, iceServers: [], iceTransportPolicy: "relay" });
  }
}

/**
 * @param {string} channel
 * @param {Heard} heard
 */
function tell(channel, { from, data }) {
  report({ event: "message", from: from.id, channel, data: describe(data) });
}

const inside = {
  /**
   * Enters, and reports from then on.
   * @param {string} address
   * @param {{ name: string, token?: string }} options
   * @param {{ reads?: boolean, latest?: string[], book?: boolean }} [habits] `reads: false`: iterates over "chat" without ever
   *   asking for a message; `latest`: channels of that mode to read; `book`: keeps one of what is said and heard
   */
  async enter(address, options, { reads = true, latest = [], book: keeps = false } = {}) {
    room = await join(address, options);
    if (keeps) book = new Book(room);
    for (const type of ["memberjoin", "memberupdate"]) {
      room.addEventListener(/** @type {"memberjoin"} */ (type), ({ member }) =>
        report({ event: type, member: member.id, name: member.name }));
    }
    room.addEventListener("memberleave", ({ member, reason }) =>
      report({ event: "memberleave", member: member.id, name: member.name, reason }));
    room.addEventListener("link", ({ member, state, path, reason }) =>
      report({ event: "link", member: member.id, state, path, reason }));
    room.addEventListener("gap", ({ member, from_seq, to_seq }) =>
      report({ event: "gap", member: member.id, from_seq, to_seq }));
    room.addEventListener("unreadable", ({ member, reason }) =>
      report({ event: "unreadable", member: member?.id, reason }));
    room.addEventListener("topologychange", ({ from, to }) => report({ event: "topology", from, to }));
    room.addEventListener("reconnecting", ({ reason }) => report({ event: "reconnecting", reason }));
    room.addEventListener("reconnected", ({ resumed }) => report({ event: "reconnected", resumed }));
    room.state.addEventListener("change", ({ key }) => report({ event: "state", key }));
    room.addEventListener("refused", ({ code }) => report({ event: "refused", code }));
    room.addEventListener("close", ({ code, reason }) => report({ event: "close", code, reason }));
    const members = [...room.members.values()].map(({ id, name }) => ({ id, name }));
    report({ event: "joined", self: room.self.id, name: room.self.name, members, topology: room.topology });
    for (const { id, link } of room.members.values()) {
      if (link.state === "open") report({ event: "link", member: id, state: "open", path: link.path });
    }
    if (reads) void inside.read("chat");
    else unread = room.channel("chat")[Symbol.asyncIterator]();
    for (const name of latest) void inside.read(name, "latest");
  },

  /**
   * Reports each message of a channel.
   * @param {string} name
   * @param {"reliable" | "latest" | "datagram"} [mode]
   */
  async read(name, mode) {
    for await (const heard of room.channel(name, { mode })) tell(name, heard);
  },

  /** Begins to read what was left unread. */
  readOn() {
    const read = async () => {
      for (let next; (next = await unread?.next()) && !next.done; ) tell("chat", next.value);
    };
    void read();
  },

  /**
   * @param {unknown} value
   * @param {string} [channel]
   * @param {string} [to]
   */
  async say(value, channel = "chat", to) {
    await room.channel(channel).send(value, { to });
  },

  /**
   * Says {@link sample} values, waiting for each send.
   * @param {string} sender
   * @param {number} from
   * @param {number} until
   */
  async saySamples(sender, from, until) {
    const chat = room.channel("chat");
    for (let at = from; at < until; at++) await chat.send(sample(sender, at));
  },

  /**
   * Says one message of patterned bytes.
   * @param {number} length
   * @param {string} [channel]
   */
  async sayBytes(length, channel = "chat") {
    await room.channel(channel).send(pattern(length));
  },

  /**
   * Publishes on a `latest` channel without waiting, as fast as it can; tells how long the longest call took.
   * @param {string} name
   * @param {number} count
   */
  publish(name, count) {
    const channel = room.channel(name, { mode: "latest" });
    let longest_ms = 0;
    for (let at = 0; at < count; at++) {
      const start = performance.now();
      void channel.send({ at, pad: "x".repeat(200) });
      longest_ms = Math.max(longest_ms, performance.now() - start);
    }
    return longest_ms;
  },

  /** Answers calls of a method with the sum of their argument. @param {string} method */
  answer: (method) => room.handle(method, (/** @type {number[]} */ numbers) => numbers.reduce((a, b) => a + b)),

  /** @param {string} method @param {string} to @param {unknown} argument */
  call: (method, to, argument) => room.call(to, method, argument),

  /** @param {string} key @param {unknown} value */
  setState: (key, value) => room.state.set(key, value),

  /** @param {string} key */
  getState: (key) => room.state.get(key),

  /** @param {string} topology */
  pin: (topology) => room.pin(/** @type {any} */ (topology)),

  /** @param {number | null} everyMs */
  startTalking(everyMs) {
    void book?.talk(everyMs);
  },

  /** What it said and heard. */
  report: () => book?.report(),

  /** How long deliveries took that were on their way between these. @param {number} since @param {number} until */
  delays: (since, until) => book?.delays(since, until),

  /** Counts from now on what it passes on of what others have said. */
  async watchPassing() {
    const { PacketWriter, decodeFrame, encodeFrame, framesIn } = await import("/sdk/frame.js");
    const send = RTCDataChannel.prototype.send;
    RTCDataChannel.prototype.send = function (/** @type {any} */ packet) {
      const passing = new PacketWriter();
      for (const bytes of framesIn(packet)) {
        const frame = decodeFrame(bytes);
        const isPassedOn = "payload" in frame && frame.stream.origin !== room.self.id;
        if (isPassedOn) passedOn += 1;
        passing.push(isPassedOn && forges ? encodeFrame({ ...frame, payload: frame.payload.map((byte) => byte ^ 1) }) : bytes);
      }
      send.call(this, passing.take());
    };
  },

  passedOn: () => passedOn,

  /** From now on passes on other words than it was given; to be called after `watchPassing`. */
  forge() {
    forges = true;
  },

  /** From now on no connection of this page comes up, or as usual: behind the wall it may use relays only, and has none. @param {boolean} stands */
  wall(stands) {
    globalThis.RTCPeerConnection = stands ? Walled : Connection;
  },

  leave: () => room.leave(),
};

Object.assign(globalThis, { inside });
