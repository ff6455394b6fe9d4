// @ts-check
/**
 * Runs a member in a browser: carries what its machine wants done to the WebSocket, the peer connections and the clock,
 * and back what happens there.
 *
 * @module
 */

import { Member } from "./member.js";
import { CARRIED_PATH } from "./member/link.js";
import { Peer } from "./peer.js";
import { HubSocket } from "./socket.js";

/** @import {MemberId} from "./id.js" */
/** @import {Config, Input, MemberEvent, Output} from "./member/io.js" */
/** @import {LibrarySigner, Signer} from "./signer.js" */
/** @import {IceServer, Role} from "./wire.js" */

/**
 * A signed token, or what fetches a fresh one each time that the server is asked to let the member in.
 *
 * @typedef {string | (() => string | Promise<string>)} TokenSource
 */

/**
 * @typedef {object} DriverOptions
 * @property {string} url of the WebSocket
 * @property {Config} config
 * @property {Signer | LibrarySigner} signer of the key in `config`
 * @property {TokenSource} [token]
 * @property {(event: MemberEvent) => void} onevent
 * @property {(error: unknown) => void} ontokenerror the token function failed before the member was ever let in
 */

/** For how long a token may be asked for and a socket be opened: browsers would wait for minutes. */
export const OPEN_TIMEOUT_MS = 10_000;

/** One session of a member. */
export class Driver {
  #options;
  #machine;
  #start = performance.now();
  /** Not handled yet. @type {Input[]} */
  #inputs = [];
  #flushing = false;
  /** @type {HubSocket | undefined} */
  #socket;
  /** Counts the sockets asked for, so that a token that comes late opens none. */
  #dials = 0;
  /** Until the socket asked for is open. @type {ReturnType<typeof setTimeout> | undefined} */
  #opening;
  /** As the last welcome named them; undefined before the first. @type {IceServer[] | undefined} */
  #ice;
  /** By member; the attempt is the machine's current one. @type {Map<MemberId, { attempt: number, peer: Peer }>} */
  #peers = new Map();
  /** @type {Set<Peer>} those that were sent to since the last settling */
  #sentTo = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {number | undefined} */
  #due;
  #abandoned = false;

  /** @param {DriverOptions} options */
  constructor(options) {
    this.#options = options;
    this.#machine = new Member(options.config, 0);
    this.#schedule();
  }

  /** The member's id. */
  get id() {
    return this.#machine.id;
  }

  /**
   * Tells the machine what happened. Inputs of one turn of the event loop are handled together, so that small messages
   * share packets.
   *
   * @param {Input} input
   */
  handle(input) {
    if (this.#abandoned) return;
    this.#inputs.push(input);
    this.#schedule();
  }

  /**
   * Leaves at once: nothing is waited for, nothing reported.
   *
   * @param {{ unloading?: boolean }} [options] `unloading`: the page is being closed. Its socket is left to the browser, which
   *   closes it with 1001: that says the same as `leave`, should `leave` not get out in time.
   */
  abandon({ unloading = false } = {}) {
    if (this.#abandoned) return;
    this.#abandoned = true;
    this.#dials += 1;
    clearTimeout(this.#opening);
    clearTimeout(this.#timer);
    this.#socket?.send({ type: "leave" });
    if (unloading) this.#socket?.forget();
    else this.#socket?.close();
    for (const { peer } of this.#peers.values()) peer.close();
    this.#peers.clear();
  }

  #schedule() {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      try {
        this.#flush();
      } finally {
        this.#flushing = false;
      }
    });
  }

  #flush() {
    do {
      const now = this.#now();
      for (const input of this.#inputs.splice(0)) this.#machine.handle(now, input);
      for (let output; !this.#abandoned && (output = this.#machine.pollOutput()); ) this.#perform(output);
      for (const peer of this.#sentTo) peer.settle();
      this.#sentTo.clear();
    } while (!this.#abandoned && this.#inputs.length > 0);
    this.#arm();
  }

  /** @param {Output} output */
  #perform(output) {
    switch (output.type) {
      case "connect":
        void this.#connect();
        break;
      case "disconnect":
        this.#hangUp();
        break;
      case "tell":
        this.#socket?.send(output.message);
        break;
      case "open":
        this.#open(output.peer, output.attempt, output.role);
        break;
      case "remote":
        this.#connection(output)?.remote(output.data);
        break;
      case "restart_ice":
        this.#connection(output)?.restartIce();
        break;
      case "close":
        this.#connection(output)?.close();
        if (this.#peers.get(output.peer)?.attempt === output.attempt) this.#peers.delete(output.peer);
        break;
      case "packet": {
        const peer = this.#connection(output);
        peer?.send(output.lane, output.bytes);
        if (peer) this.#sentTo.add(peer);
        break;
      }
      case "sign":
        void this.#sign(output.token, output.text);
        break;
      case "verify":
        void this.#verify(output);
        break;
      case "carry":
        this.#socket?.carry(output.message);
        break;
      case "event":
        this.#tellApplication(this.#withPath(output.event));
        break;
    }
  }

  /**
   * @param {number} token
   * @param {Uint8Array} text
   */
  async #sign(token, text) {
    const signature = await this.#options.signer.sign(text);
    this.handle({ type: "signed", token, signature });
  }

  /** @param {Output & { type: "verify" }} output */
  async #verify({ token, key, text, signature }) {
    const good = await this.#options.signer.verify(key, text, signature);
    this.handle({ type: "verified", token, good });
  }

  /**
   * The machine knows a link's path as it was in the beginning; the connection knows it now.
   *
   * @param {MemberEvent} event
   * @returns {MemberEvent}
   */
  #withPath(event) {
    if (event.type !== "link" || event.state !== "open" || event.path === CARRIED_PATH) return event;
    const connection = this.#peers.get(event.peer);
    return connection ? { ...event, path: connection.peer.path } : event;
  }

  /** @param {MemberEvent} event */
  #tellApplication(event) {
    try {
      this.#options.onevent(event);
    } catch (error) {
      // The application's mistake is reported as any uncaught one; the member goes on.
      setTimeout(() => {
        throw error;
      });
    }
  }

  async #connect() {
    const dial = ++this.#dials;
    const { token, url } = this.#options;
    clearTimeout(this.#opening);
    this.#opening = setTimeout(() => {
      this.#hangUp();
      this.handle({ type: "disconnected", reason: "no answer in time" });
    }, OPEN_TIMEOUT_MS);
    if (typeof token === "function") {
      try {
        const fresh = await token();
        if (dial !== this.#dials) return;
        this.handle({ type: "set_token", token: fresh });
      } catch (error) {
        if (dial !== this.#dials) return;
        clearTimeout(this.#opening);
        if (!this.#ice) this.#options.ontokenerror(error);
        else this.handle({ type: "disconnected", reason: "no fresh token could be had" });
        return;
      }
    }
    try {
      this.#socket = this.#dial(url);
    } catch (error) {
      // As where a page served over HTTPS names a ws: address.
      clearTimeout(this.#opening);
      this.handle({ type: "disconnected", reason: `the browser cannot connect: ${describe(error)}` });
    }
  }

  /** Closes the socket, or opens none any more; nothing of it is reported. */
  #hangUp() {
    this.#dials += 1;
    clearTimeout(this.#opening);
    this.#socket?.close();
    this.#socket = undefined;
  }

  /** @param {string} url */
  #dial(url) {
    return new HubSocket(url, {
      onopen: () => {
        clearTimeout(this.#opening);
        this.handle({ type: "connected" });
      },
      onmessage: (message) => {
        if (message.type === "welcome") this.#ice = message.ice;
        this.handle({ type: "hub", message });
      },
      oncarried: (message) => this.handle({ type: "carried", message }),
      onclose: (code, reason) => {
        clearTimeout(this.#opening);
        this.#socket = undefined;
        this.handle({ type: "disconnected", code, reason });
      },
    });
  }

  /**
   * @param {MemberId} id
   * @param {number} attempt
   * @param {Role} role
   */
  #open(id, attempt, role) {
    const at = { peer: id, attempt };
    try {
      const peer = new Peer(role, this.#ice ?? [], {
        onlocal: (data) => this.handle({ type: "local", ...at, data }),
        onup: (path) => this.handle({ type: "link_up", ...at, path }),
        onpacket: (lane, bytes) => this.handle({ type: "packet", ...at, lane, bytes }),
        onbuffered: (lane, bytes) => this.handle({ type: "buffered", ...at, lane, bytes }),
        ondown: (reason, closed) => this.handle({ type: "link_down", ...at, reason, closed }),
      });
      this.#peers.set(id, { attempt, peer });
    } catch (error) {
      // As where the browser has no WebRTC, or too many connections.
      const reason = `the browser cannot connect: ${describe(error)}`;
      this.handle({ type: "link_down", ...at, reason, closed: false });
    }
  }

  /** @param {{ peer: MemberId, attempt: number }} at */
  #connection({ peer, attempt }) {
    const found = this.#peers.get(peer);
    return found?.attempt === attempt ? found.peer : undefined;
  }

  #arm() {
    const due = this.#abandoned ? undefined : this.#machine.pollTimeout();
    if (due === this.#due) return;
    this.#due = due;
    clearTimeout(this.#timer);
    if (due !== undefined) {
      const delay = Math.max(0, Math.ceil((due - this.#now()) / 1_000));
      this.#timer = setTimeout(() => {
        this.#due = undefined;
        this.handle({ type: "timeout" });
      }, delay);
    }
  }

  /** µs since the start. */
  #now() {
    return Math.floor((performance.now() - this.#start) * 1_000);
  }
}

/** @param {unknown} error */
function describe(error) {
  return error instanceof Error ? error.message : String(error);
}
