// @ts-check
/**
 * A member's session with the hub: entering, coming back, and the changes that the hub has yet to confirm.
 *
 * @module
 */

import {
  DISTANCES_AFTER, DISTANCES_EVERY, ENTER_TIMEOUT, HUB_PING, PENDING_CHANGES, PINS_MAX, RECONNECT_MAX, RECONNECT_MIN,
  REPORT_DELAY, RESCUES_ASKED,
} from "../limits.js";
import { VERSION } from "../wire.js";
import { compareTexts } from "./order.js";
import { resume } from "./resume.js";

/** @import {MemberId} from "../id.js" */
/** @import {Attributes, ClientMessage, Json, Refused, StateEntry, Welcome} from "../wire.js" */
/** @import {Config} from "./io.js" */

/**
 * `connecting`: a socket is being opened. `joining`: `join` was sent. `joined`: welcomed. `pause`: waiting for the next
 * try. `closed`: for good.
 *
 * @typedef {"connecting" | "joining" | "joined" | "pause" | "closed"} SessionState
 */
/** How a member sees one of its links, as it reports it. @typedef {"up" | "suspect" | "down"} Report */

export class Session {
  /** @type {Config} */
  config;
  /** @type {SessionState} */
  state = "connecting";
  /** Until when it is paused. */
  until = 0;
  /** The hub that welcomed this member last; undefined before the first welcome. @type {string | undefined} */
  hub;
  epoch = 0;
  /** Whether the hub carries frames of links. */
  carries = false;
  topology = "";
  /** What the room is to be; undefined: what fits. @type {string | undefined} */
  wanted;
  /** @type {Map<string, StateEntry>} */
  roomState = new Map();
  /** Until when the first welcome must have come. */
  enterBy;
  /** Why the hub cut the member off, where it said so. @type {Refused | undefined} */
  refusal;
  /** When the hub, going down, wants the member back. @type {number | undefined} */
  retry;
  #failures = 0;
  #op = 0;
  /** @type {{ op: number, message: ClientMessage }[]} */
  #pending = [];
  /** Wishes how the room should be linked that the hub has yet to answer. @type {{ ticket: number, topology: string }[]} */
  #pins = [];
  /** @type {Map<MemberId, Report>} */
  #reports = new Map();
  /** Members that forged, of whom the hub has yet to hear. @type {Set<MemberId>} */
  #accused = new Set();
  /** Members whom no neighbour brings, of whom the hub has yet to hear. @type {Set<MemberId>} */
  #lacked = new Set();
  /** @type {number | undefined} */
  #reportAt;
  /** Whether the hub is to be told that this member knows where streams begin. */
  #settles = false;
  /** Whether it was, since it welcomed this member. */
  #settled = false;
  /** When the hub is to be told how far the other ends of links are; when it was told last. @type {number | undefined} */
  #rttsAt;
  /** @type {number | undefined} */
  #rttsTold;
  #heard;
  #welcomed;
  #pinged = false;
  #ping = HUB_PING;
  #jitter;

  /**
   * @param {Config} config
   * @param {number} now
   */
  constructor(config, now) {
    this.config = { ...config, attributes: { ...config.attributes } };
    this.enterBy = now + ENTER_TIMEOUT;
    this.#heard = now;
    this.#welcomed = now;
    this.#jitter = (config.seed ?? 0) >>> 0;
  }

  get isJoined() {
    return this.state === "joined";
  }

  /** The next jitter, below 2^32: mulberry32, which both languages compute alike. */
  jitter() {
    this.#jitter = (this.#jitter + 0x6d2b79f5) | 0;
    let t = this.#jitter;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  /**
   * The first message on a new socket. `up`: whom this member, `id`, has open links to; `next`: the first chunk of its stream
   * that it has not said yet.
   *
   * @param {MemberId} id
   * @param {MemberId[]} up
   * @param {number} next
   * @param {number} now
   * @returns {ClientMessage}
   */
  join(id, up, next, now) {
    this.state = "joining";
    this.refusal = undefined;
    this.retry = undefined;
    this.#heard = now;
    this.#pinged = false;
    const { secret, key, name, attributes, token, topology, agent, relay } = this.config;
    /** @type {ClientMessage & { type: "join" }} */
    const join = { type: "join", v: VERSION, secret, name };
    if (key !== undefined) join.key = key;
    if (attributes && Object.keys(attributes).length > 0) join.attributes = { ...attributes };
    if (token !== undefined) join.token = token;
    if (topology !== undefined) join.topology = topology;
    if (agent !== undefined) join.agent = agent;
    if (relay !== undefined) join.relay = relay;
    if (this.hub !== undefined) {
      // Whom it has no room for is told of as soon as the hub has welcomed this member.
      for (const peer of resume(join, id, this.hub, this, next, up, this.roomState)) this.report(peer, "up", now);
    }
    return join;
  }

  /**
   * Takes what a welcome says of the session itself; gives the changes to send again.
   *
   * @param {Welcome} welcome
   * @param {number} now
   * @returns {ClientMessage[]}
   */
  welcomed(welcome, now) {
    this.state = "joined";
    this.#welcomed = now;
    this.#settles = this.#settled = false;
    this.hub = welcome.hub;
    this.epoch = welcome.epoch;
    this.carries = (welcome.carry ?? 0) > 0;
    this.#ping = 1_000 * Math.min(Math.max(welcome.ping_ms, 1_000), 60_000);
    this.#op = Math.max(this.#op, welcome.op);
    this.attributesAre(welcome.self.attributes);
    this.confirmed(welcome.op);
    return this.#pending.map(({ message }) => message);
  }

  /**
   * The socket ended: when to try again. A server that welcomes and soon closes, whatever for, is asked ever more rarely.
   *
   * @param {number} now
   */
  lost(now) {
    if (this.isJoined && now - this.#welcomed >= RECONNECT_MAX) this.#failures = 0;
    const pause = Math.min(RECONNECT_MIN * 2 ** Math.min(this.#failures, 16), RECONNECT_MAX);
    this.#failures += 1;
    const base = this.retry ?? pause / 2;
    this.retry = undefined;
    this.state = "pause";
    this.until = now + base + (this.jitter() % pause);
    return this.until;
  }

  // ---- changes -------------------------------------------------------------------------------------

  /**
   * Numbers a change and keeps it until it is confirmed. Undefined where too many wait.
   *
   * @param {(op: number) => ClientMessage} make
   */
  #change(make) {
    if (this.#pending.length >= PENDING_CHANGES) return undefined;
    const op = ++this.#op;
    const message = make(op);
    this.#pending.push({ op, message });
    return message;
  }

  /**
   * @param {string} key
   * @param {Json} value
   */
  setState(key, value) {
    return this.#change((op) => ({ type: "state", op, key, value }));
  }

  /** @param {Record<string, string | null>} set */
  setAttributes(set) {
    return this.#change((op) => ({ type: "attributes", op, set }));
  }

  /**
   * The member's attributes are these now, by the hub's word. What it has yet to confirm goes out after the next welcome
   * again: were it in the `join`, one change that the hub cannot take would keep the member out.
   *
   * @param {Attributes} attributes
   */
  attributesAre(attributes) {
    this.config.attributes = attributes;
  }

  /**
   * The hub has applied this member's changes up to `op`.
   *
   * @param {number} op
   */
  confirmed(op) {
    while (this.#pending.length > 0 && this.#pending[0].op <= op) this.#pending.shift();
  }

  /**
   * Keeps a wish how the room should be linked until it is answered. Undefined where too many wait.
   *
   * @param {number} ticket
   * @param {string} topology
   * @returns {ClientMessage | undefined}
   */
  pin(ticket, topology) {
    if (this.#pins.length >= PINS_MAX) return undefined;
    this.#pins.push({ ticket, topology });
    return { type: "topology", pin: topology };
  }

  /**
   * The ticket of the oldest wish for this word, which is answered.
   *
   * @param {string} word
   */
  pinned(word) {
    const place = this.#pins.findIndex(({ topology }) => topology === word);
    return place < 0 ? undefined : this.#pins.splice(place, 1)[0].ticket;
  }

  /** The tickets of the wishes that will not be answered any more. */
  unpinned() {
    return this.#pins.splice(0).map(({ ticket }) => ticket);
  }

  // ---- reports -------------------------------------------------------------------------------------

  /**
   * @param {MemberId} peer
   * @param {Report} report
   * @param {number} now
   */
  report(peer, report, now) {
    this.#reports.set(peer, report);
    this.#reportAt ??= now + REPORT_DELAY;
  }

  /**
   * The plan had no link to a member any more, and the hub has forgotten what was said of the one that there was.
   *
   * @param {MemberId} peer
   */
  retract(peer) {
    this.#reports.delete(peer);
  }

  /**
   * This member knows where the others' streams begin: the hub is told, once.
   *
   * @param {number} now
   */
  settle(now) {
    if (this.#settled) return;
    this.#settled = this.#settles = true;
    this.#reportAt ??= now + REPORT_DELAY;
  }

  /**
   * There is something to tell of how far the other ends of links are.
   *
   * @param {number} now
   */
  measured(now) {
    this.#rttsAt ??= Math.max(now + DISTANCES_AFTER, (this.#rttsTold ?? -Infinity) + DISTANCES_EVERY);
  }

  /**
   * Whether it is to be told now.
   *
   * @param {number} now
   */
  tellsRtts(now) {
    if (!this.isJoined || this.#rttsAt === undefined || this.#rttsAt > now) return false;
    this.#rttsAt = undefined;
    this.#rttsTold = now;
    return true;
  }

  /** A hub has welcomed this member that may know nothing of it. */
  forgetToldRtts() {
    this.#rttsAt = this.#rttsTold = undefined;
  }

  /**
   * A member has brought what nobody said.
   *
   * @param {MemberId} peer
   * @param {number} now
   */
  accuse(peer, now) {
    this.#accused.add(peer);
    this.#reportAt ??= now + REPORT_DELAY;
  }

  /**
   * No neighbour can bring what a member says.
   *
   * @param {MemberId} origin
   * @param {number} now
   */
  lack(origin, now) {
    if (!this.isJoined || this.#lacked.size >= RESCUES_ASKED) return;
    this.#lacked.add(origin);
    this.#reportAt ??= now + REPORT_DELAY;
  }

  /**
   * Nothing more is to be said of a member that went.
   *
   * @param {MemberId} peer
   */
  forget(peer) {
    this.#reports.delete(peer);
    this.#accused.delete(peer);
    this.#lacked.delete(peer);
  }

  /**
   * What is due to the hub: a report, a ping. Undefined where the hub has been silent for too long.
   *
   * @param {number} now
   * @returns {ClientMessage[] | undefined}
   */
  tick(now) {
    if (this.state !== "joining" && this.state !== "joined") return [];
    const silence = Math.max(0, now - this.#heard);
    if (silence >= 3 * this.#ping) return undefined;
    /** @type {ClientMessage[]} */
    const told = [];
    if (this.isJoined) {
      if (silence >= this.#ping && !this.#pinged) {
        this.#pinged = true;
        told.push({ type: "ping" });
      }
      if (this.#reportAt !== undefined && this.#reportAt <= now) {
        const report = this.#takeReport();
        if (report) told.push(report);
      }
    }
    return told;
  }

  /** @returns {ClientMessage | undefined} */
  #takeReport() {
    this.#reportAt = undefined;
    const seen = [...this.#reports].sort(([a], [b]) => compareTexts(a, b));
    const forged = [...this.#accused].sort(compareTexts);
    const lacks = [...this.#lacked].sort(compareTexts);
    this.#reports.clear();
    this.#accused.clear();
    this.#lacked.clear();
    if (seen.length + forged.length + lacks.length === 0 && !this.#settles) return undefined;
    /** @type {ClientMessage & { type: "links" }} */
    const report = { type: "links" };
    for (const [peer, how] of seen) (report[how] ??= []).push(peer);
    if (this.#settles) report.settled = true;
    this.#settles = false;
    if (forged.length > 0) report.forged = forged;
    if (lacks.length > 0) report.lacks = lacks;
    return report;
  }

  /**
   * The hub said something.
   *
   * @param {number} now
   */
  heard(now) {
    this.#heard = now;
    this.#pinged = false;
  }

  /** When {@link Session.tick}, or a next try, is due. @returns {number | undefined} */
  get timeout() {
    switch (this.state) {
      case "closed":
        return undefined;
      case "pause":
        return this.until;
      case "connecting":
        return this.hub === undefined ? this.enterBy : undefined;
      case "joining": {
        const silent = this.#heard + 3 * this.#ping;
        return this.hub === undefined ? Math.min(silent, this.enterBy) : silent;
      }
      case "joined": {
        const due = this.#heard + (this.#pinged ? 3 : 1) * this.#ping;
        return Math.min(due, this.#reportAt ?? Infinity, this.#rttsAt ?? Infinity);
      }
    }
  }
}
