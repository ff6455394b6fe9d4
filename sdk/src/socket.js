// @ts-check
/**
 * The WebSocket to the hub.
 *
 * @module
 */

import { isRoomName } from "./id.js";
import { RoomError } from "./errors.js";
import { keyOfFragment } from "./secret.js";
import { MessageError, decodeServerMessage, encodeMessage, refusalOfClose } from "./wire.js";

/** @import {ClientMessage, RefusalCode, ServerMessage} from "./wire.js" */

/**
 * What a socket reports. Nothing comes after `onclose`, nor after {@link HubSocket.close} and {@link HubSocket.forget}.
 *
 * @typedef {object} SocketHandlers
 * @property {() => void} onopen
 * @property {(message: ServerMessage) => void} onmessage
 * @property {(message: Uint8Array) => void} oncarried the hub carried something here
 * @property {(code: RefusalCode | undefined, reason: string) => void} onclose
 */

/**
 * A room's address as the server's WebSocket wants it, the room's name, and the key in the fragment, which stays here.
 *
 * @param {string | URL} address `https://host/room`, `wss://…`, or relative to the page
 * @param {string | undefined} base the page's address
 * @returns {{ url: string, room: string, key: Uint8Array<ArrayBuffer> | undefined }}
 * @throws {RoomError} `bad_address`, `bad_room`, `bad_key`
 */
export function socketAddress(address, base) {
  const schemes = new Map([
    ["http:", "ws:"],
    ["https:", "wss:"],
    ["ws:", "ws:"],
    ["wss:", "wss:"],
  ]);
  const url = URL.parse ? URL.parse(String(address), base) : parse(String(address), base);
  const scheme = url && schemes.get(url.protocol);
  if (!url || !scheme) {
    // What follows `#` is a secret, which errors and logs must not show.
    const [shown] = String(address).split("#");
    throw new RoomError("bad_address", `not a room's address: ${shown}`, "it looks like https://example.org/standup");
  }
  const room = segment(url.pathname);
  if (!isRoomName(room)) {
    throw new RoomError(
      "bad_room",
      `no room can have the name “${room}”`,
      "a name has up to 64 letters, digits, dots, dashes or underscores and starts with a letter or digit",
    );
  }
  const key = keyOfFragment(url.hash);
  url.protocol = scheme;
  url.hash = "";
  return { url: url.href, room, key };
}

/**
 * @param {string} address
 * @param {string | undefined} base
 */
function parse(address, base) {
  try {
    return new URL(address, base);
  } catch {
    return null;
  }
}

/**
 * The last segment of a path.
 *
 * @param {string} path
 */
function segment(path) {
  const last = path.replace(/\/$/, "").split("/").at(-1) ?? "";
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

/** One connection to the hub. */
export class HubSocket {
  #socket;
  /** @type {SocketHandlers | null} */
  #handlers;

  /**
   * @param {string} url
   * @param {SocketHandlers} handlers
   */
  constructor(url, handlers) {
    this.#handlers = handlers;
    this.#socket = new WebSocket(url);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => this.#handlers?.onopen();
    this.#socket.onmessage = ({ data }) => this.#read(data);
    this.#socket.onclose = ({ code, reason }) => this.#end(refusalOfClose(code), endedBecause(code, reason));
  }

  /** @param {ClientMessage} message */
  send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(encodeMessage(message));
  }

  /**
   * Has the hub carry something.
   *
   * @param {Uint8Array<ArrayBuffer>} message
   */
  carry(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(message);
  }

  /** Closes, after what was sent. To the hub that is no leaving: who goes for good has sent `leave`. */
  close() {
    this.#handlers = null;
    this.#socket.close(1000);
  }

  /** Reports nothing any more, and leaves it to the other side or the browser to close. */
  forget() {
    this.#handlers = null;
  }

  /** @param {unknown} data */
  #read(data) {
    if (!this.#handlers) return;
    if (data instanceof ArrayBuffer) {
      this.#handlers.oncarried(new Uint8Array(data));
      return;
    }
    let message;
    try {
      message = decodeServerMessage(String(data));
    } catch (error) {
      // What a later server says beyond this version is not for this member.
      if (error instanceof MessageError) return;
      throw error;
    }
    this.#handlers.onmessage(message);
  }

  /**
   * @param {RefusalCode | undefined} code
   * @param {string} reason
   */
  #end(code, reason) {
    const handlers = this.#handlers;
    this.#handlers = null;
    handlers?.onclose(code, reason);
  }
}

/**
 * Why a socket ended, in plain words.
 *
 * @param {number} code RFC 6455, 7.4
 * @param {string} reason as the server gave it, if any
 */
function endedBecause(code, reason) {
  if (code >= 4_000 && refusalOfClose(code) === undefined) {
    return `the server refused, with a code that this version does not know (${reason ? `${code}, ${reason}` : code})`;
  }
  return reason || plainReason(code);
}

/** @param {number} code */
function plainReason(code) {
  switch (code) {
    case 1000:
    case 1001:
      return "the server closed the connection";
    case 1006:
      return "the connection to the server broke or could not be made";
    case 1011:
      return "the server met an error";
    case 1012:
    case 1013:
      return "the server is restarting or busy";
    default:
      return `the connection to the server ended (${code})`;
  }
}
