// @ts-check
/**
 * What the chapters of a member share: its parts, and the ways to speak to the hub and to the application.
 *
 * @module
 */

import { fromHex, memberIdOf } from "../id.js";
import { Calls } from "./call.js";
import { Flow, patience } from "./courier.js";
import { Link } from "./link.js";
import { LossyFlow, Published } from "./lossy.js";
import { compareTexts } from "./order.js";
import { Outbox } from "./outbox.js";
import { Session } from "./session.js";

/** @import {MemberId} from "../id.js" */
/** @import {ClientMessage, MemberInfo} from "../wire.js" */
/** @import {Position} from "./courier.js" */
/** @import {Config, MemberEvent, Output} from "./io.js" */

/** Where a member's streams stood, and the attempt of its link. @typedef {{ position: Position, attempt: number }} Departed */

/** Somebody else in the room. */
export class Peer {
  /** @type {MemberInfo} */
  info;
  /** A hub that restarted does not list it yet; until then it is believed to come back. @type {number | undefined} */
  returning;
  /**
   * It closed the link, for this reason. It may be leaving; until then the application is not told.
   *
   * @type {{ until: number, reason: string } | undefined}
   */
  parting;
  link;
  flow;
  lossy;

  /**
   * @param {Core} core
   * @param {MemberInfo} info
   * @param {Departed | undefined} known
   */
  constructor(core, info, known) {
    this.info = info;
    this.link = new Link(core.now);
    // The other side may still have its end of the last connection, and takes none that is older.
    this.link.attempt = known?.attempt ?? 0;
    this.flow = new Flow(core.id, info.id, core.room.next, known?.position, core.now);
    this.lossy = new LossyFlow(core.published);
  }

  /** When this member may hold the room's outbox back no longer. */
  get stalledAt() {
    return this.flow.progress + patience(this.link.isOpen);
  }
}

export class Core {
  /** @readonly @type {MemberId} */
  id;
  session;
  /** This member as others see it, once welcomed. @type {MemberInfo | undefined} */
  self;
  /** @type {Map<MemberId, Peer>} */
  peers = new Map();
  /** What is remembered of members that went, oldest first. @type {Map<MemberId, Departed>} */
  departed = new Map();
  /** What this member says to the whole room. */
  room;
  #stamp = 0;
  published = new Published();
  calls = new Calls();
  /** Until when `leave` waits for acknowledgements. @type {number | undefined} */
  leaveBy;
  now;
  outputs = new Outputs();
  /** Peers that something may have to be sent to. */
  dirty = new Dirty();

  /**
   * @param {Config} config
   * @param {number} now
   */
  constructor(config, now) {
    this.id = memberIdOf(fromHex(config.secret));
    this.session = new Session(config, now);
    this.room = new Outbox({ origin: this.id }, 1);
    this.now = now;
  }

  /** Numbers all chunks of this member, whatever their stream. */
  nextStamp = () => ++this.#stamp;

  /** Everybody else, in the order of their ids. @returns {[MemberId, Peer][]} */
  sortedPeers() {
    return [...this.peers].sort(([a], [b]) => compareTexts(a, b));
  }

  /** @param {ClientMessage} message */
  tell(message) {
    this.outputs.push({ type: "tell", message });
  }

  /** @param {MemberEvent} event */
  event(event) {
    this.outputs.push({ type: "event", event });
  }
}

/** What a member wants done and nobody has taken yet. */
class Outputs {
  /** @type {Output[]} */
  #outputs = [];
  #taken = 0;

  get isEmpty() {
    return this.#taken === this.#outputs.length;
  }

  /** @param {Output} output */
  push(output) {
    this.#outputs.push(output);
  }

  /** @returns {Output | undefined} */
  shift() {
    if (!this.isEmpty) return this.#outputs[this.#taken++];
    this.#outputs = [];
    this.#taken = 0;
    return undefined;
  }
}

/** A set of members that is emptied in the order of their ids. */
class Dirty {
  /** @type {Set<MemberId>} */
  #ids = new Set();
  /** The ids backwards, where known; may hold some that were deleted. @type {MemberId[] | undefined} */
  #order;

  /** @param {MemberId} id */
  add(id) {
    if (this.#ids.has(id)) return;
    this.#ids.add(id);
    this.#order = undefined;
  }

  /** @param {MemberId} id */
  delete(id) {
    this.#ids.delete(id);
  }

  clear() {
    this.#ids.clear();
  }

  /** The first one; it is taken out. */
  takeFirst() {
    while (this.#ids.size > 0) {
      this.#order ??= [...this.#ids].sort().reverse();
      const id = /** @type {MemberId} */ (this.#order.pop());
      if (this.#ids.delete(id)) return id;
    }
    return undefined;
  }
}
