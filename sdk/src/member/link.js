// @ts-check
/**
 * One link of a member: negotiating it where the plan says so, and noticing when it falls silent.
 *
 * ```text
 *            plan: offer              transport open          HELLO
 * idle ───────────────────▶ connecting ───────────────▶ greeting ───▶ open
 *   ▲      an offer came  ▶    │                           │            │
 *   │                          ▼  timeout, failure         ▼            ▼ silent too long, broken
 *   └──────────────────────  pause (the offerer tries again after it) ◀─┘
 * ```
 *
 * @module
 */

import {
  CANDIDATES_MAX, CONNECT_TIMEOUT, FORGED_REST, PING_AFTER, RELINK_AFTER, RESTART_AFTER, RETRY_MAX, RETRY_MIN, RTT_AFTER,
  SUSPECT_AFTER,
} from "../limits.js";

/** @import {Candidate, Negotiation, Role} from "../wire.js" */

/**
 * What the member must do for a link: make a connection of the current attempt; give up that of an attempt; hand it what
 * the peer said; restart ICE; send a PING; tell that the peer is suspected; that the connection did not open, or fell
 * silent for good.
 *
 * @typedef {(
 *   | { type: "open", role: Role }
 *   | { type: "close", attempt: number }
 *   | { type: "remote", data: Negotiation }
 *   | { type: "restart_ice" }
 *   | { type: "ping", token: number }
 *   | { type: "suspect" }
 *   | { type: "fail", reason: string }
 * )} Do
 */

/** The largest attempt that goes over the wire. */
const ATTEMPT_MAX = 2 ** 32 - 1;

export class Link {
  /** What the plan says; undefined where it wants no link. @type {Role | undefined} */
  role;
  /** The highest attempt that either side has made. */
  attempt = 0;
  /** @type {"idle" | "pause" | "connecting" | "greeting" | "open"} */
  #state = "idle";
  /** Until when it is paused, connecting or greeting. */
  #until = 0;
  /** Whether this side made the current attempt. */
  #mine = false;
  #failures = 0;
  /** Whether the connection has the peer's description. */
  #described = false;
  /** Candidates that came before it. @type {Candidate[]} */
  #early = [];
  #heard;
  /** @type {number | undefined} */
  #pinged;
  #rttAt;
  /** Round-trip time, where measured. @type {number | undefined} */
  rtt;
  suspect = false;
  #restarted = false;
  /** @type {string | undefined} */
  path;
  /** Until when there is to be no link: the peer has brought what nobody said. */
  #restsUntil = 0;

  /** @param {number} now */
  constructor(now) {
    this.#heard = now;
    this.#rttAt = now;
  }

  /**
   * There is to be no link for a while.
   *
   * @param {number} now
   */
  rest(now) {
    this.#restsUntil = now + FORGED_REST;
  }

  get isOpen() {
    return this.#state === "open";
  }

  /** Whether a peer connection exists. */
  get hasConnection() {
    return this.#state === "connecting" || this.isUp;
  }

  /**
   * Whether what the edge reports of this attempt still matters.
   *
   * @param {number} attempt
   */
  isCurrent(attempt) {
    return this.hasConnection && this.attempt === attempt;
  }

  /**
   * Whether the edge may report this attempt as up.
   *
   * @param {number} attempt
   */
  isConnecting(attempt) {
    return this.#state === "connecting" && this.attempt === attempt;
  }

  /** Whether the connection's channels are open. */
  get isUp() {
    return this.#state === "greeting" || this.#state === "open";
  }

  // ---- the plan ------------------------------------------------------------------------------------

  /**
   * The plan wants this link. An offerer that has no open one starts anew: the peer may just have come back and know
   * nothing of what was under way.
   *
   * @param {Role} role
   * @param {number} now
   * @returns {Do[]}
   */
  plan(role, now) {
    const changed = this.role !== role;
    this.role = role;
    if (this.isOpen) return [];
    this.#failures = 0;
    if (role === "offer") return this.begin(now);
    return changed ? this.giveUp() : [];
  }

  /**
   * Starts the next attempt as the offerer.
   *
   * @param {number} now
   * @returns {Do[]}
   */
  begin(now) {
    const todo = this.giveUp();
    if (this.#restsUntil > now) {
      this.#enter("pause", this.#restsUntil);
      return todo;
    }
    // An attempt number that is used up can only come from a hostile peer; it has lost its link then.
    if (this.attempt >= ATTEMPT_MAX) return todo;
    this.#start(this.attempt + 1, true, now);
    todo.push({ type: "open", role: "offer" });
    return todo;
  }

  /**
   * @param {number} attempt
   * @param {boolean} mine
   * @param {number} now
   */
  #start(attempt, mine, now) {
    this.attempt = attempt;
    this.#mine = mine;
    this.#enter("connecting", now + CONNECT_TIMEOUT);
    this.#described = false;
    this.#early = [];
    this.path = undefined;
  }

  /**
   * @param {"idle" | "pause" | "connecting" | "greeting" | "open"} state
   * @param {number} [until]
   */
  #enter(state, until = 0) {
    this.#state = state;
    this.#until = until;
  }

  /**
   * Ends whatever connection there is.
   *
   * @returns {Do[]}
   */
  giveUp() {
    const had = this.hasConnection;
    this.#enter("idle");
    this.suspect = false;
    this.rtt = undefined;
    this.path = undefined;
    this.#early = [];
    return had ? [{ type: "close", attempt: this.attempt }] : [];
  }

  /**
   * The connection ended or did not open; the offerer tries again after a pause, which is `grace` at least.
   *
   * @param {number} now
   * @param {number} jitter
   * @param {number} grace
   * @returns {Do[]}
   */
  failed(now, jitter, grace) {
    const todo = this.giveUp();
    const pause = Math.min(RETRY_MIN * 2 ** Math.min(this.#failures, 16), RETRY_MAX);
    this.#failures += 1;
    if (this.role === "offer") {
      this.#enter("pause", Math.max(now + Math.max(pause / 2 + (jitter % pause), grace), this.#restsUntil));
    }
    return todo;
  }

  // ---- negotiation ---------------------------------------------------------------------------------

  /**
   * The peer's part of the negotiation, in order or not.
   *
   * @param {number} attempt
   * @param {Negotiation} data
   * @param {number} now
   * @returns {Do[]}
   */
  negotiate(attempt, data, now) {
    if ("candidate" in data) return this.#candidate(attempt, data.candidate);
    /** @type {Do[]} */
    let todo = [];
    if ("offer" in data) {
      if (this.role !== "answer" || attempt < this.attempt || this.#restsUntil > now) return [];
      if (attempt > this.attempt || this.#mine) {
        todo = this.giveUp();
        this.#start(attempt, false, now);
        todo.push({ type: "open", role: "answer" });
      } else if (!this.hasConnection) {
        // It was given up here; the offerer does not know yet, and will see it fail.
        return [];
      }
    } else if (this.role !== "offer" || !this.isCurrent(attempt)) {
      return [];
    }
    this.#described = true;
    todo.push({ type: "remote", data });
    for (const candidate of this.#early.splice(0)) todo.push({ type: "remote", data: { candidate } });
    return todo;
  }

  /**
   * @param {number} attempt
   * @param {Candidate} candidate
   * @returns {Do[]}
   */
  #candidate(attempt, candidate) {
    if (!this.isCurrent(attempt)) return [];
    if (this.#described) return [{ type: "remote", data: { candidate } }];
    if (this.#early.length < CANDIDATES_MAX) this.#early.push(candidate);
    return [];
  }

  /**
   * The connection's channels are open; HELLO is next.
   *
   * @param {string} path
   * @param {number} now
   */
  up(path, now) {
    this.#enter("greeting", now + CONNECT_TIMEOUT);
    this.path = path;
  }

  /**
   * HELLO came.
   *
   * @param {number} now
   */
  greeted(now) {
    this.#enter("open");
    this.#failures = 0;
    this.suspect = false;
    this.#restarted = false;
    this.#heard = now;
    this.#pinged = undefined;
    this.#rttAt = Math.max(0, now - RTT_AFTER);
  }

  // ---- liveness ------------------------------------------------------------------------------------

  /**
   * Something came from the peer. True where it had been suspected.
   *
   * @param {number} now
   */
  heard(now) {
    const suspected = this.suspect;
    this.#heard = now;
    this.#restarted = false;
    this.suspect = false;
    return suspected;
  }

  /**
   * PONG: true where the round-trip time is news.
   *
   * @param {number} token
   * @param {number} now
   */
  ponged(token, now) {
    if (token > now || now - token > RELINK_AFTER) return false;
    this.rtt = now - token;
    this.#rttAt = now;
    return true;
  }

  /**
   * This member slept: what it did not hear meanwhile says nothing of the peer.
   *
   * @param {number} now
   */
  slept(now) {
    if (this.isOpen && !this.suspect) this.#heard = now;
  }

  /** When {@link Link.tick} has something to do. @returns {number | undefined} */
  get timeout() {
    if (this.#state === "idle") return undefined;
    if (this.#state !== "open") return this.#until;
    let due = Math.min(this.#pingAt, this.#heard + RELINK_AFTER);
    if (!this.suspect) due = Math.min(due, this.#heard + SUSPECT_AFTER);
    if (!this.#restarted && this.role === "offer") due = Math.min(due, this.#heard + RESTART_AFTER);
    return due;
  }

  get #pingAt() {
    const due = Math.min(this.#heard + PING_AFTER, this.#rttAt + RTT_AFTER);
    return this.#pinged === undefined ? due : Math.max(due, this.#pinged + PING_AFTER);
  }

  /**
   * Does what is due. `hub`: whether the hub is in reach, without which no connection can be negotiated.
   *
   * @param {number} now
   * @param {boolean} hub
   * @returns {Do[]}
   */
  tick(now, hub) {
    if (this.#state === "open") return this.#listen(now, hub);
    if (this.#state === "idle" || this.#until > now) return [];
    switch (this.#state) {
      case "pause":
        if (hub) return this.begin(now);
        // The hub's welcome starts it.
        this.#enter("idle");
        return [];
      case "connecting":
        return [{ type: "fail", reason: "it did not open in time" }];
      case "greeting":
        return [{ type: "fail", reason: "the other side did not say hello" }];
    }
  }

  /**
   * @param {number} now
   * @param {boolean} hub
   * @returns {Do[]}
   */
  #listen(now, hub) {
    const silence = Math.max(0, now - this.#heard);
    if (silence >= RELINK_AFTER) return [{ type: "fail", reason: "the other side fell silent" }];
    /** @type {Do[]} */
    const todo = [];
    if (silence >= SUSPECT_AFTER && !this.suspect) {
      this.suspect = true;
      todo.push({ type: "suspect" });
    }
    if (silence >= RESTART_AFTER && !this.#restarted && this.role === "offer") {
      this.#restarted = true;
      if (hub) todo.push({ type: "restart_ice" });
    }
    if (this.#pingAt <= now) {
      this.#pinged = now;
      todo.push({ type: "ping", token: now });
    }
    return todo;
  }
}
