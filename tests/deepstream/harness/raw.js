// @ts-check
// A socket without a client: says whatever a test wants said, and shows what comes back.

import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

import { WebSocket } from "ws";

import { EventLog } from "../../browser/harness/log.js";
import { atEnd } from "./ending.js";

/** @import { TestContext } from "node:test" */
/** @import { Wire } from "./client.js" */
/** @import { Server } from "./server.js" */

/** What a field of a protobuf message may be here. @typedef {number | string | Uint8Array | boolean} Value */

const PATIENCE_MS = 10_000;

/** Topics of the protobuf protocol, and the numbers of its actions that tests use. */
export const TOPIC = { connection: 2, auth: 3, event: 4, record: 5, rpc: 6, presence: 7 };

/** A message of the text protocol: `|` and `+` stand for its separators. @param {string} shown */
export function text(shown) {
  return shown.replaceAll("|", "\u001f").replaceAll("+", "\u001e");
}

/**
 * A frame of the protobuf protocol: its length, the topic, and a message with these fields.
 * @param {number} topic
 * @param {[field: number, value: Value][]} fields
 */
export function protobuf(topic, fields) {
  const body = Buffer.concat([field(2, topic), field(3, Buffer.concat(fields.map(([number, value]) => field(number, value))))]);
  return Buffer.concat([varint(body.length), body]);
}

/** @param {number} number @param {Value} value */
function field(number, value) {
  if (typeof value === "number" || typeof value === "boolean") return Buffer.concat([varint(number << 3), varint(Number(value))]);
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

/** @param {number} value */
function varint(value) {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}

export class Raw {
  /**
   * @param {WebSocket} socket
   * @param {Wire} wire
   */
  constructor(socket, wire) {
    this.socket = socket;
    this.wire = wire;
    this.log = new EventLog(`a raw ${wire} socket`);
    socket.on("message", (message, isBinary) => {
      const data = Buffer.from(/** @type {Buffer} */ (message)).toString(isBinary ? "latin1" : "utf8");
      this.log.push({ event: "frame", data: isBinary ? data : data.replaceAll("\u001f", "|").replaceAll("\u001e", "+") });
    });
    socket.on("close", (code) => this.log.push({ event: "closed", code }));
    socket.on("error", () => {});
  }

  /**
   * Opens a socket.
   * @param {TestContext} t
   * @param {Server} server
   * @param {Wire} wire
   * @param {string} [path]
   */
  static async open(t, server, wire, path = wire === "text" ? "/deepstream-v3" : "/deepstream") {
    const socket = new WebSocket(server.ws + path, { perMessageDeflate: false });
    atEnd(t, () => socket.terminate());
    const raw = new Raw(socket, wire);
    await once(socket, "open");
    return raw;
  }

  /**
   * Opens a socket and logs in.
   * @param {TestContext} t
   * @param {Server} server
   * @param {Wire} wire
   */
  static async loggedIn(t, server, wire) {
    const raw = await Raw.open(t, server, wire);
    if (wire === "text") {
      await raw.hears("C|A+", "C|CH+");
      raw.send(text("C|CHR|ws://127.0.0.1/deepstream+A|REQ|{}+"));
      await raw.hears("A|A");
    } else {
      raw.send(protobuf(TOPIC.connection, [[1, 5], [5, "ws://127.0.0.1/deepstream"]]));
      await raw.log.until("an answer to the challenge", () => raw.frames.length > 0, PATIENCE_MS);
      raw.send(protobuf(TOPIC.auth, [[1, 2], [2, "{}"]]));
      await raw.log.until("an answer to the login", () => raw.frames.length > 1, PATIENCE_MS);
    }
    return raw;
  }

  /** @param {string | Uint8Array} data */
  send(data) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(data);
  }

  /** What came, frame by frame; text with its separators shown. @returns {string[]} */
  get frames() {
    return this.log.all("frame").map(({ data }) => data);
  }

  get isClosed() {
    return this.log.all("closed").length > 0;
  }

  /**
   * Waits until one of these has come.
   * @param {...string} texts
   */
  hears(...texts) {
    let seen = 0;
    return this.log.until(texts.join(" or "), (entries) => {
      const isThere = entries.slice(seen).some(({ data }) => texts.some((text) => data?.includes(text)));
      seen = entries.length;
      return isThere;
    }, PATIENCE_MS);
  }

  /** Waits until the server has closed it. */
  async closed() {
    await this.log.until("being closed", () => this.isClosed, PATIENCE_MS);
  }

  /** Waits until the server has taken in what was sent (if not dealt with it), or has closed the socket. */
  async digested() {
    if (this.socket.readyState !== WebSocket.OPEN) return this.closed();
    const pong = once(this.socket, "pong").catch(() => {});
    this.socket.ping();
    await Promise.race([pong, this.closed(), delay(PATIENCE_MS, undefined, { ref: false })]);
  }
}
