// @ts-check
/**
 * What the chapters of a member share: its parts, and the ways to speak to the hub and to the application.
 *
 * @module
 */

import { Courier } from "../courier.js";
import { Queue } from "../courier/queue.js";
import { fromHex, memberIdOf } from "../id.js";
import { ENTRY_MARGIN, RELAY_MARGIN } from "../limits.js";
import { Calls } from "./call.js";
import { Link } from "./link.js";
import { Heard, LossyFlow, Published } from "./lossy.js";
import { compareTexts } from "./order.js";
import { MESH } from "./resume.js";
import { Session } from "./session.js";
import { Meter } from "./traffic.js";

/** @import {MemberId} from "../id.js" */
/** @import {Head} from "../frame.js" */
/** @import {ClientMessage, GoneReason, MemberInfo} from "../wire.js" */
/** @import {Config, MemberEvent, Output} from "./io.js" */
/** @import {Vouching} from "./vouch.js" */

/**
 * What is remembered of a member that went, as it may only have been believed to be gone: the attempt of the link, whether this
 * side made it, what was heard of it, and when it was first heard that it entered.
 *
 * @typedef {{ attempt: number, mine: boolean, heard: Heard, since: number }} Departed
 */
/** A member that is gone; the application is told when its last words have had time to come. @typedef {{ info: MemberInfo, reason: GoneReason, until: number }} Leaving */
/** A message that came before its sender was known. @typedef {{ from: MemberId, addressed: boolean, head: Head, payload: Uint8Array }} Early */

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
  /**
   * The plan has no link to it any more; the one that there is stays until then, while it is of use, which is looked at next at
   * the other time.
   *
   * @type {{ until: number, look: number } | undefined}
   */
  draining;
  /** It was in the room before this member. */
  elder;
  /** When this member first heard that it entered. */
  since;
  link;
  lossy = new LossyFlow();
  heard;

  /**
   * @param {Core} core
   * @param {MemberInfo} info
   * @param {boolean} elder
   * @param {Departed} [known]
   */
  constructor(core, info, elder, known) {
    this.info = info;
    this.elder = elder;
    // It may never have been away: it may still have its end of the last connection, and takes none that is older, and others
    // owe it what they said meanwhile.
    this.since = known?.since ?? core.now;
    this.link = new Link(core.now);
    this.link.attempt = known?.attempt ?? 0;
    this.link.mine = known?.mine ?? false;
    this.heard = known?.heard ?? new Heard();
  }

  /** Since when it is offered what there is; undefined: it may have everything. */
  get offerFrom() {
    const margin = this.info.relay ? RELAY_MARGIN : ENTRY_MARGIN;
    return this.elder ? undefined : Math.max(0, this.since - margin);
  }

  /**
   * Whether where it says that streams begin is true for this member: it was here before, or is a relay, which in a star may be
   * all the neighbours that there are.
   */
  get vouches() {
    return this.elder || this.info.relay === true;
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
  courier;
  /** The other ends of the links along which the plan wants new streams pushed. @type {Set<MemberId>} */
  eager = new Set();
  /** Members that are gone, and what they said may still be on its way. @type {Map<MemberId, Leaving>} */
  leaving = new Map();
  /** What came from members of whom the hub has not told yet, the oldest first. @type {Queue<Early>} */
  early = new Queue();
  /** Members to whom there is no way, and when one is asked for. @type {Map<MemberId, number>} */
  unrouted = new Map();
  published = new Published();
  /** What the edge was asked to sign or to verify of what is said on lossy channels, by number. @type {Map<number, Vouching>} */
  vouching = new Map();
  calls = new Calls();
  meter = new Meter();
  /** Until when `drain` waits for others to be linked elsewhere. @type {number | undefined} */
  drainBy;
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
    this.courier = new Courier(this.id, now);
    this.now = now;
  }

  /** Whether members pass on what others say. */
  get isRelayed() {
    return this.session.topology !== MESH;
  }

  /** Whether this member is a relay. */
  get isRelay() {
    return this.session.config.relay !== undefined;
  }

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
