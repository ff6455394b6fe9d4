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
 * Where that takes too long the hub carries the frames meanwhile; see `carriage.js`. A connection whose channels open then is
 * proving: it is greeting, and carries, from when something was heard over it. At most one of the two is greeting or open.
 *
 * @module
 */

import {
  CANDIDATES_MAX, CARRY_AFTER, CONNECT_BESIDE, CONNECT_TIMEOUT, DISTANCE_NEWS_MS, FORGED_REST, PING_AFTER, RELINK_AFTER, RESTART_AFTER, RETRY_MAX,
  RETRY_MIN, RTT_AFTER, SUSPECT_AFTER,
} from "../limits.js";
import { Carriage } from "./carriage.js";

/** @import {Candidate, Negotiation, Role} from "../wire.js" */

/**
 * What the member must do for a link: make a connection of the current attempt; frames have no way any more, or a new one, over
 * which to say HELLO; give up the connection of an attempt; tell the hub to carry under a number, or to carry no more; send a
 * PING over a connection that does not carry yet; hand one what the peer said; restart ICE; send a PING; tell that the peer is
 * suspected; that the connection did not open, or fell silent for good; the same of the way over the hub.
 *
 * @typedef {(
 *   | { type: "open", role: Role }
 *   | { type: "down" }
 *   | { type: "greet" }
 *   | { type: "close", attempt: number }
 *   | { type: "carry", episode: number }
 *   | { type: "carry_no_more", episode: number }
 *   | { type: "prove", attempt: number, token: number }
 *   | { type: "remote", data: Negotiation }
 *   | { type: "over", yours: boolean }
 *   | { type: "restart_ice" }
 *   | { type: "ping", token: number }
 *   | { type: "suspect" }
 *   | { type: "fail", reason: string }
 *   | { type: "fail_carriage", reason: string }
 * )} Do
 */

/** The largest attempt that goes over the wire. */
const ATTEMPT_MAX = 2 ** 32 - 1;

/** What a way over the hub is called among the paths of links. */
export const CARRIED_PATH = "socket";

/** @typedef {"idle" | "pause" | "connecting" | "proving" | "greeting" | "open"} State */

export class Link {
  /** What the plan says; undefined where it wants no link. @type {Role | undefined} */
  role;
  /** The highest attempt that either side has made. */
  attempt = 0;
  /** @type {State} */
  #state = "idle";
  /** Until when it is paused, connecting, proving or greeting. */
  #until = 0;
  /** When a connection that is proving is pinged. */
  #proveAt = 0;
  /** Whether this side made the current attempt. */
  mine = false;
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
  /** The shortest round trip of late: how far the other end is, whatever was late just now. @type {number | undefined} */
  #least;
  /** What the hub was told of that, in ms. @type {number | undefined} */
  toldMs;
  suspect = false;
  #restarted = false;
  /** @type {string | undefined} */
  #path;
  carriage = new Carriage();
  /** Whether the hub may be asked to carry. */
  mayBeCarried = false;
  /** When it is to be asked, at the earliest. @type {number | undefined} */
  #askAt;
  /** Whether it was the hub that carried last. */
  wasCarried = false;
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
    return this.#state === "open" || this.carriage.state === "open";
  }

  /** Whether frames go over the hub. */
  get isCarried() {
    return this.carriage.isUp;
  }

  /** How the two ends reach each other. */
  get path() {
    return this.isCarried ? CARRIED_PATH : this.#path;
  }

  /** Whether a peer connection exists. */
  get hasConnection() {
    return this.#state !== "idle" && this.#state !== "pause";
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

  /**
   * Whether what comes over this attempt shows that it can carry.
   *
   * @param {number} attempt
   */
  isProving(attempt) {
    return this.#state === "proving" && this.attempt === attempt;
  }

  /** Whether it is a connection that frames go over. */
  get isConnected() {
    return this.#state === "greeting" || this.#state === "open";
  }

  /** Whether frames have a way. */
  get isUp() {
    return this.isConnected || this.isCarried;
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
    if (role !== "offer" && !changed) return [];
    const todo = this.giveUp();
    if (role !== "offer") {
      // The offerer, where it has not closed what there was, would go on with it.
      if (this.attempt > 0) todo.push({ type: "over", yours: !this.mine });
      return todo;
    }
    this.#askAfter(now + (this.wasCarried ? 0 : CARRY_AFTER));
    todo.push(...this.#begin(now));
    return todo;
  }

  /**
   * Starts the next attempt as the offerer.
   *
   * @param {number} now
   * @returns {Do[]}
   */
  #begin(now) {
    const todo = this.#giveUpConnection();
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
    this.mine = mine;
    this.#enter("connecting", now + CONNECT_TIMEOUT);
    this.#described = false;
    this.#early = [];
    this.#path = undefined;
  }

  /**
   * @param {State} state
   * @param {number} [until]
   */
  #enter(state, until = 0) {
    this.#state = state;
    this.#until = until;
  }

  /**
   * Ends whatever there is.
   *
   * @returns {Do[]}
   */
  giveUp() {
    this.#askAt = undefined;
    return [...this.#giveUpCarriage(), ...this.#giveUpConnection()];
  }

  /**
   * Ends the connection that there is.
   *
   * @returns {Do[]}
   */
  #giveUpConnection() {
    const { isConnected, hasConnection } = this;
    this.#enter("idle");
    this.#path = undefined;
    this.#early = [];
    /** @type {Do[]} */
    const todo = [];
    if (isConnected) todo.push(this.#down());
    if (hasConnection) todo.push({ type: "close", attempt: this.attempt });
    return todo;
  }

  /**
   * Ends the way over the hub.
   *
   * @returns {Do[]}
   */
  #giveUpCarriage() {
    const { carriage } = this;
    /** @type {Do[]} */
    const todo = [];
    if (this.isCarried) todo.push(this.#down());
    if (carriage.state !== "idle") todo.push({ type: "carry_no_more", episode: carriage.episode });
    carriage.state = "idle";
    return todo;
  }

  /** @returns {Do} */
  #down() {
    this.suspect = false;
    this.rtt = undefined;
    this.#least = undefined;
    return { type: "down" };
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
    const since = this.isConnected ? this.#heard : now;
    const todo = this.#giveUpConnection();
    const longest = this.isCarried ? CONNECT_BESIDE : RETRY_MAX;
    const pause = Math.min(RETRY_MIN * 2 ** Math.min(this.#failures, 16), longest);
    this.#failures += 1;
    if (this.role === "offer") {
      this.#enter("pause", Math.max(now + Math.max(pause / 2 + (jitter % pause), grace), this.#restsUntil));
      if (this.#askAt === undefined) this.#askAfter(Math.max(since + CARRY_AFTER, now + grace));
    }
    return todo;
  }

  // ---- the way over the hub ------------------------------------------------------------------------

  /**
   * The hub is to be asked to carry at this time, unless a connection opens before.
   *
   * @param {number} at
   */
  #askAfter(at) {
    if (this.mayBeCarried && this.carriage.state === "idle") this.#askAt = Math.max(at, this.#restsUntil);
  }

  /**
   * @param {number} now
   * @returns {Do[]}
   */
  #ask(now) {
    const { carriage } = this;
    // As for attempts.
    if (carriage.episode >= ATTEMPT_MAX) return [];
    carriage.episode += 1;
    carriage.state = "asking";
    carriage.until = now + CONNECT_TIMEOUT;
    return [{ type: "carry", episode: carriage.episode }];
  }

  /**
   * The other side wants the hub to carry. Where this side has asked under the same number it is agreed; an offerer's new
   * number begins anew, unless its connection is heard here.
   *
   * @param {number} episode
   * @param {number} now
   * @returns {Do[]}
   */
  asked(episode, now) {
    const { carriage } = this;
    if (this.role === "offer") {
      if (carriage.state !== "asking" || carriage.episode !== episode) return [];
      carriage.agreed(episode, now);
      return [{ type: "greet" }];
    }
    const isHeard = this.isConnected && !this.suspect;
    if (this.role !== "answer" || isHeard || carriage.isCurrent(episode) || this.#restsUntil > now) return [];
    /** @type {Do[]} */
    const todo = [];
    if (this.isCarried) todo.push(this.#down());
    if (this.isConnected) todo.push(...this.#giveUpConnection());
    carriage.agreed(episode, now);
    todo.push({ type: "carry", episode }, { type: "greet" });
    return todo;
  }

  /**
   * The way over the hub is no more; `tell`: the hub does not know. An offerer asks again after a pause. A connection that was
   * open beside it takes over.
   *
   * @param {number} now
   * @param {number} pause
   * @param {boolean} tell
   * @returns {Do[]}
   */
  carriageFailed(now, pause, tell) {
    const todo = this.#giveUpCarriage().filter(({ type }) => tell || type !== "carry_no_more");
    if (this.#state === "proving") todo.push(...this.proved(now));
    else if (this.role === "offer") this.#askAfter(now + pause);
    return todo;
  }

  /**
   * Something was heard over a connection beside the hub's way: it carries from now on.
   *
   * @param {number} now
   * @returns {Do[]}
   */
  proved(now) {
    const todo = this.#giveUpCarriage();
    this.#askAt = undefined;
    this.#enter("greeting", now + CONNECT_TIMEOUT);
    todo.push({ type: "greet" });
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
    if ("over" in data) return this.#over(attempt, data.over, now);
    /** @type {Do[]} */
    let todo = [];
    if ("offer" in data) {
      if (this.role !== "answer" || attempt < this.attempt || this.#restsUntil > now) return [];
      if (attempt > this.attempt || this.mine) {
        todo = this.#giveUpConnection();
        this.#start(attempt, false, now);
        todo.push({ type: "open", role: "answer" });
      } else if (!this.hasConnection) {
        // It was given up here, and the offerer does not know yet.
        return [{ type: "over", yours: true }];
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
   * The answerer has closed this attempt, and is there for the next one: the first time that need not wait.
   *
   * @param {number} attempt
   * @param {boolean} mine whether this side made it
   * @param {number} now
   * @returns {Do[]}
   */
  #over(attempt, mine, now) {
    const isLast = attempt === this.attempt && mine === this.mine;
    if (this.role !== "offer" || !isLast || this.#state === "idle") return [];
    if (this.#failures === (this.hasConnection ? 0 : 1)) {
      this.#failures = 1;
      return this.#begin(now);
    }
    return this.hasConnection ? [{ type: "fail", reason: "the other side closed it" }] : [];
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
   * The connection's channels are open; HELLO is next, or where the hub carries something that shows that the other side can
   * be heard.
   *
   * @param {string} path
   * @param {number} now
   * @returns {Do[]}
   */
  up(path, now) {
    this.#path = path;
    if (!this.isCarried) return this.proved(now);
    this.#enter("proving", now + CONNECT_TIMEOUT);
    this.#proveAt = now + PING_AFTER;
    return [{ type: "prove", attempt: this.attempt, token: now }];
  }

  /**
   * HELLO came.
   *
   * @param {number} now
   */
  greeted(now) {
    this.wasCarried = this.isCarried;
    if (this.wasCarried) {
      this.carriage.state = "open";
    } else {
      this.#enter("open");
      this.#failures = 0;
    }
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
    const rtt = now - token;
    this.rtt = rtt;
    this.#rttAt = now;
    const least = this.#least ?? rtt;
    this.#least = Math.min(rtt, least + Math.floor(Math.max(0, rtt - least) / 16));
    return true;
  }

  /**
   * How far the other end is, in ms there and back, where the hub would plan otherwise than by what it was told. What goes over
   * the hub says nothing of that.
   *
   * @returns {number | undefined}
   */
  get rttNews() {
    if (this.#least === undefined || !this.isOpen || this.isCarried) return undefined;
    const ms = Math.floor((this.#least + 500) / 1_000);
    const { toldMs } = this;
    return toldMs === undefined || Math.abs(ms - toldMs) > DISTANCE_NEWS_MS + Math.floor(toldMs / 4) ? ms : undefined;
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
    let due = Infinity;
    if (this.#state !== "idle" && this.#state !== "open") due = this.#until;
    if (this.#state === "proving") due = Math.min(due, this.#proveAt);
    const { state, until } = this.carriage;
    if (state === "asking" || state === "greeting") due = Math.min(due, until);
    else if (this.#askAt !== undefined) due = Math.min(due, this.#askAt);
    if (this.isOpen) {
      due = Math.min(due, this.#pingAt, this.#heard + RELINK_AFTER);
      if (!this.suspect) due = Math.min(due, this.#heard + SUSPECT_AFTER);
      if (this.#mayRestart) due = Math.min(due, this.#heard + RESTART_AFTER);
    }
    return due === Infinity ? undefined : due;
  }

  get #pingAt() {
    const due = Math.min(this.#heard + PING_AFTER, this.#rttAt + RTT_AFTER);
    return this.#pinged === undefined ? due : Math.max(due, this.#pinged + PING_AFTER);
  }

  get #mayRestart() {
    return !this.#restarted && !this.isCarried && this.role === "offer";
  }

  /**
   * Does what is due. `hub`: whether the hub is in reach, without which no connection can be negotiated.
   *
   * @param {number} now
   * @param {boolean} hub
   * @returns {Do[]}
   */
  tick(now, hub) {
    const todo = [...this.#tickCarriage(now, hub), ...this.#tickConnection(now, hub)];
    if (this.isOpen) todo.push(...this.#listen(now, hub));
    return todo;
  }

  /**
   * @param {number} now
   * @param {boolean} hub
   * @returns {Do[]}
   */
  #tickConnection(now, hub) {
    const isDue = this.#until <= now;
    switch (this.#state) {
      case "pause":
        if (!isDue) return [];
        if (hub) return this.#begin(now);
        // The hub's welcome starts it.
        this.#enter("idle");
        return [];
      case "connecting":
        return isDue ? [{ type: "fail", reason: "it did not open in time" }] : [];
      case "proving":
        if (isDue) return [{ type: "fail", reason: "nothing was heard over it" }];
        if (this.#proveAt > now) return [];
        this.#proveAt = now + PING_AFTER;
        return [{ type: "prove", attempt: this.attempt, token: now }];
      case "greeting":
        return isDue ? [{ type: "fail", reason: "the other side did not say hello" }] : [];
      default:
        return [];
    }
  }

  /**
   * @param {number} now
   * @param {boolean} hub
   * @returns {Do[]}
   */
  #tickCarriage(now, hub) {
    const { state, until } = this.carriage;
    if (state === "idle" && this.#askAt !== undefined && this.#askAt <= now) {
      this.#askAt = undefined;
      // As above.
      return hub && !this.isUp ? this.#ask(now) : [];
    }
    if (state === "asking" && until <= now) return this.carriageFailed(now, 0, true);
    if (state === "greeting" && until <= now) {
      return [{ type: "fail_carriage", reason: "the other side did not say hello" }];
    }
    return [];
  }

  /**
   * What the other side's silence calls for.
   *
   * @param {number} now
   * @param {boolean} hub
   * @returns {Do[]}
   */
  #listen(now, hub) {
    const silence = Math.max(0, now - this.#heard);
    if (silence >= RELINK_AFTER) {
      return [{ type: this.isCarried ? "fail_carriage" : "fail", reason: "the other side fell silent" }];
    }
    /** @type {Do[]} */
    const todo = [];
    if (silence >= SUSPECT_AFTER && !this.suspect) {
      this.suspect = true;
      todo.push({ type: "suspect" });
    }
    if (silence >= RESTART_AFTER && this.#mayRestart) {
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
