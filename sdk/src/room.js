// @ts-check
/**
 * A room as an application sees it.
 *
 * @module
 */

import { RoomError } from "./errors.js";
import { toHex } from "./id.js";
import { ATTRIBUTES_BYTES, CALLS_MAX, CHANNEL_NAME_MAX, LOSSY_MAX } from "./limits.js";
import { Channel, Held, checkName, keyOf } from "./room/channel.js";
import {
  Emitter, GapEvent, LinkEvent, MemberEvent, MemberLeaveEvent, ReconnectedEvent, ReconnectingEvent, RefusedEvent,
  PinEvent, RoomCloseEvent, TopologyEvent, UnreadableEvent,
} from "./room/events.js";
import { Member } from "./room/member.js";
import { RoomState, checkSize } from "./room/state.js";
import { SecretDriver } from "./secrecy.js";
import { decodeValue, encodeValue } from "./value.js";
import { byteLength } from "./wire.js";

/** @import {TokenSource} from "./driver.js" */
/** @import {RoomErrorCode} from "./errors.js" */
/** @import {MemberId} from "./id.js" */
/** @import {Answer, Joined, Lossy, MemberEvent as Heard, NotPinned, NotSent} from "./member/io.js" */
/** @import {ChannelMode} from "./room/channel.js" */
/** @import {RoomSecret} from "./secret.js" */
/** @import {UnreadableReport} from "./secrecy.js" */
/** @import {GoneReason, Json, MemberInfo, RefusalCode} from "./wire.js" */

/** What a room is to be where nobody chose: what fits. */
const AUTO = "auto";

/** How a room can be linked. @typedef {"mesh" | "small-world" | "tree" | "star"} Topology */

/**
 * What answers calls of a method: gets the argument, who calls, and a signal that is aborted when they leave. What it
 * returns is the result; where it throws, the caller's call fails with `handler_failed` and the error's message.
 *
 * @typedef {(argument: any, context: { from: Member, signal: AbortSignal }) => unknown} Handler
 */

/**
 * How a member enters a room.
 *
 * @typedef {object} Entry
 * @property {string} url of the WebSocket
 * @property {string} room the room's name
 * @property {RoomSecret} [secret] the room's key, where its address has one
 * @property {string} name
 * @property {Record<string, string>} attributes
 * @property {TokenSource} [token]
 * @property {string} [topology]
 * @property {string} agent
 * @property {import("./signer.js").Signer | import("./signer.js").LibrarySigner} signer
 */

/**
 * @typedef {object} RoomEvents
 * @property {MemberEvent} memberjoin
 * @property {MemberLeaveEvent} memberleave
 * @property {MemberEvent} memberupdate
 * @property {LinkEvent} link
 * @property {GapEvent} gap
 * @property {UnreadableEvent} unreadable
 * @property {TopologyEvent} topologychange
 * @property {PinEvent} pinchange
 * @property {RefusedEvent} refused
 * @property {ReconnectingEvent} reconnecting
 * @property {ReconnectedEvent} reconnected
 * @property {RoomCloseEvent} close
 */

/** @typedef {{ resolve: (value: any) => void, reject: (error: Error) => void }} Waiter */

/**
 * A room that this member is in. `join` makes it.
 *
 * Events: `memberjoin`, `memberleave`, `memberupdate`, `link`, `gap`, `unreadable`, `topologychange`, `pinchange`, `refused`,
 * `reconnecting`, `reconnected`, `close`.
 *
 * @extends {Emitter<RoomEvents>}
 */
export class Room extends Emitter {
  /** The room's name. @readonly @type {string} */
  name;
  /** What all members share: a small map of JSON values. @readonly @type {RoomState} */
  state;
  #entry;
  #driver;
  /** @type {"entering" | "open" | "reconnecting" | "closed"} */
  #status = "entering";
  /** @type {Member} */
  #self;
  /** @type {Map<MemberId, Member>} */
  #members = new Map();
  #topology = "";
  #pinned = AUTO;
  #admin = false;
  /**
   * Settled once the member is in the room again after its page was put aside; undefined where it was not.
   *
   * @type {PromiseWithResolvers<void> | undefined}
   */
  #back;
  /** @type {Map<string, Channel<any>>} */
  #channels = new Map();
  #held = new Held();
  #tickets = 0;
  /** Sends, calls and pins under way, by ticket. @type {Map<number, Waiter>} */
  #waiters = new Map();
  /** @type {Map<string, Handler>} */
  #handlers = new Map();
  /** Calls that handlers work on, by their caller. @type {Map<Member, Set<AbortController>>} */
  #answering = new Map();
  /** @type {PromiseWithResolvers<void>} */
  #entered = withResolvers();
  /** @type {PromiseWithResolvers<void>} */
  #left = withResolvers();

  /**
   * @internal
   * @param {Entry} entry
   */
  constructor(entry) {
    super();
    this.#entry = entry;
    this.name = entry.room;
    const write = (/** @type {string} */ key, /** @type {Json} */ value) => this.#driver.handle({ type: "set_state", key, value });
    this.state = new RoomState(write, (bytes) => this.#driver.entryBytes(bytes));
    this.#driver = this.#drive();
    this.#self = new Member({ id: this.#driver.id, name: entry.name, attributes: entry.attributes });
  }

  /** This member. */
  get self() {
    return this.#self;
  }

  /** Everybody else in the room, by id. @type {ReadonlyMap<MemberId, Member>} */
  get members() {
    return this.#members;
  }

  /** `open`; `reconnecting` while the server is out of reach (links to the others go on); `closed` for good. */
  get status() {
    return this.#status === "entering" ? "reconnecting" : this.#status;
  }

  /**
   * Whether the room's address has a key, so that what this member says is sealed from end to end, and nothing else than
   * what others sealed with the same key gets here.
   */
  get isSecret() {
    return this.#entry.secret !== undefined;
  }

  /** How the room is linked: `mesh`, `small-world`, `tree` or `star`. `topologychange` tells of another. */
  get topology() {
    return this.#topology;
  }

  /** What the room is to be, which may take a moment: a topology that somebody chose, or `auto`: what fits. */
  get pinned() {
    return this.#pinned;
  }

  /** Whether this member may choose how the room is linked, as its token says. */
  get mayPin() {
    return this.#admin;
  }

  /**
   * Has the room linked in this way from now on. Fulfilled when the server has taken it; `topologychange` tells when the room
   * is linked so. Nothing is lost on the way.
   *
   * @param {Topology | "auto"} topology `auto`: as it fits
   * @returns {Promise<void>}
   * @throws {RoomError} `not_allowed`, `topology_unavailable`, `rate_limited`, `unreachable`, `closed`
   */
  async pin(topology) {
    const ticket = ++this.#tickets;
    const word = String(topology).toWellFormed();
    const hint = "ask for `auto`, `mesh`, `small-world` or `tree`";
    if (word.length > CHANNEL_NAME_MAX) throw new RoomError("topology_unavailable", "no topology has so long a name", hint);
    await this.#ask(ticket, () => this.#driver.handle({ type: "pin", ticket, topology: word }));
  }

  /**
   * The channel of this name; the same object each time.
   *
   * @template [Data=any]
   * @param {string} name at most 64 bytes
   * @param {{ mode?: ChannelMode }} [options] all members open a channel in the same mode; `reliable` unless said otherwise
   * @returns {Channel<Data>}
   */
  channel(name, { mode = "reliable" } = {}) {
    checkName(name);
    if (!["reliable", "latest", "datagram"].includes(mode)) throw new TypeError(`no channel has the mode “${mode}”`);
    const key = keyOf(mode, name);
    let channel = this.#channels.get(key);
    if (!channel) {
      const send = (/** @type {unknown} */ value, /** @type {Member | string | undefined} */ to) =>
        mode === "reliable" ? this.#send(name, value, to) : this.#publish(mode, name, value, to);
      channel = new Channel(name, mode, send, this.#held);
      if (this.#status === "closed") channel._close();
      this.#channels.set(key, channel);
    }
    return channel;
  }

  /**
   * Answers calls of a method.
   *
   * @param {string} method at most 64 bytes
   * @param {Handler | null} handler null: nobody answers any more
   */
  handle(method, handler) {
    checkName(method);
    if (handler) this.#handlers.set(method, handler);
    else this.#handlers.delete(method);
  }

  /**
   * Calls a method of a member.
   *
   * @param {Member | MemberId} to
   * @param {string} method
   * @param {any} [argument] any value
   * @param {{ signal?: AbortSignal, timeout?: number }} [options] `timeout` in milliseconds, 15 s unless said otherwise
   * @returns {Promise<any>} the method's result
   * @throws {RoomError} `no_handler`, `handler_failed`, `timeout`, `member_left`, `unknown_member`, `too_many_calls`,
   *   `too_large`, `not_allowed`, `closed`
   */
  async call(to, method, argument, { signal, timeout } = {}) {
    checkName(method);
    signal?.throwIfAborted();
    const payload = encodeValue(argument);
    const ticket = ++this.#tickets;
    const abort = () => {
      this.#driver.handle({ type: "cancel_call", ticket });
      this.#settle(ticket)?.reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
    try {
      return await this.#ask(ticket, () => {
        const limit = timeout === undefined ? undefined : Math.max(0, Math.round(timeout * 1_000));
        this.#driver.handle({ type: "call", ticket, to: idOf(to), method, payload, timeout: limit });
      }, signal);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /**
   * Changes this member's own attributes. Everybody, this member too, hears `memberupdate`.
   *
   * @param {Record<string, string | null>} changes null removes; at most 4 KiB of names and values
   * @throws {RoomError} `too_large`
   */
  setAttributes(changes) {
    const text = (/** @type {string | null} */ value) => (value === null ? null : `${value}`.toWellFormed());
    const entries = Object.entries(changes).map(([key, value]) => [key.toWellFormed(), text(value)]);
    checkSize("the attributes", byteLength(entries.flat().join("")), ATTRIBUTES_BYTES);
    const set = Object.fromEntries(entries);
    this.#driver.handle({ type: "set_attributes", set });
  }

  /**
   * Leaves, after what was sent has arrived: at most 5 s. Outside of a mesh that takes a second at least, so that nobody lacks
   * what this member passed on.
   *
   * @returns {Promise<void>}
   */
  leave() {
    if (this.#back) this.#end(undefined, "left", "");
    this.#driver.handle({ type: "leave" });
    return this.#left.promise;
  }

  /** Leaves; for `await using`. @returns {Promise<void>} */
  [Symbol.asyncDispose]() {
    return this.leave();
  }

  // ---- internal ------------------------------------------------------------------------------------

  /**
   * Waits until the room is entered.
   *
   * @internal
   * @param {AbortSignal} [signal]
   * @returns {Promise<this>}
   */
  async _enter(signal) {
    const abort = () => this.#end(undefined, "aborted", "", signal?.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    try {
      await this.#entered.promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
    globalThis.addEventListener?.("pagehide", this.#onpagehide);
    return this;
  }

  #drive() {
    const { url, room, secret, name, attributes, token, topology, agent, signer } = this.#entry;
    const random = crypto.getRandomValues(new Uint8Array(20));
    const options = {
      url,
      token,
      signer,
      config: {
        secret: toHex(random.subarray(0, 16)),
        key: signer.key,
        seed: new DataView(random.buffer).getUint32(16),
        name,
        attributes,
        token: typeof token === "string" ? token : undefined,
        topology,
        agent,
      },
      onevent: (/** @type {Heard | UnreadableReport} */ event) => this.#heard(event),
      ontokenerror: (/** @type {unknown} */ cause) => {
        const hint = "the token function threw; see the cause";
        this.#end(undefined, "no token", hint, new RoomError("token_failed", "no token could be had", hint, { cause }));
      },
    };
    return new SecretDriver(options, secret, room);
  }

  /** The page is closed, or put aside: to the others this member has left. */
  #onpagehide = (/** @type {Event} */ event) => {
    if (!(/** @type {PageTransitionEvent} */ (event).persisted)) {
      this.#driver.abandon({ unloading: true });
      this.#end(undefined, "the page was closed", "");
      return;
    }
    if (this.#status === "closed") return;
    this.#back ??= withResolvers();
    this.#driver.abandon();
    this.#failWaiters("the page was put aside");
    globalThis.addEventListener("pageshow", this.#onpageshow, { once: true });
  };

  /** The page is back from the browser's cache: the member enters anew, as another session. */
  #onpageshow = () => {
    if (this.#status === "closed") return;
    const attributes = { ...this.#self.attributes };
    this.#entry = { ...this.#entry, attributes };
    this.#status = "reconnecting";
    this.dispatchEvent(new ReconnectingEvent("the page was put aside"));
    for (const member of this.#members.values()) member._setLink({ state: "connecting" });
    this.#driver = this.#drive();
  };

  /** @param {Heard | UnreadableReport} event */
  #heard(event) {
    switch (event.type) {
      case "joined":
        this.#joined(event);
        break;
      case "member_join":
        this.#enters(event.member);
        break;
      case "member_leave":
        this.#leaves(event.member.id, event.reason);
        break;
      case "member_update": {
        const member = this.#member(event.member.id);
        member?._update(event.member);
        if (member) this.dispatchEvent(new MemberEvent("memberupdate", member));
        break;
      }
      case "link": {
        const member = this.#members.get(event.peer);
        const rtt_ms = event.rtt === undefined ? undefined : event.rtt / 1_000;
        member?._setLink({ state: event.state, path: event.path, rtt_ms, reason: event.reason });
        if (member) this.dispatchEvent(new LinkEvent(member));
        break;
      }
      case "message":
        this.#arrived("reliable", event.channel, event.from, event.payload);
        break;
      case "lossy":
        this.#arrived(event.mode, event.channel, event.from, event.payload);
        break;
      case "call":
        void this.#called(event.from, event.call, event.method, event.payload);
        break;
      case "called":
        this.#answered(event.ticket, event.answer);
        break;
      case "sent":
        this.#settle(event.ticket)?.resolve(undefined);
        break;
      case "not_sent":
        this.#settle(event.ticket)?.reject(notSent(event.why));
        break;
      case "pinned":
        this.#settle(event.ticket)?.resolve(undefined);
        break;
      case "not_pinned":
        this.#settle(event.ticket)?.reject(notPinned(event.why));
        break;
      case "gap": {
        const member = this.#members.get(event.member);
        if (member) this.dispatchEvent(new GapEvent(member, event.from_seq, event.to_seq));
        break;
      }
      case "unreadable": {
        const member = event.member === undefined ? undefined : this.#members.get(event.member);
        // What could not be read on entering is told once the application has the room.
        setTimeout(() => this.dispatchEvent(new UnreadableEvent(member, event.reason)));
        break;
      }
      case "state":
        this.state._apply(event.key, event.value, event.by === undefined ? undefined : this.#member(event.by));
        break;
      case "topology":
        this.#topology = event.to;
        this.dispatchEvent(new TopologyEvent(event.from, event.to));
        break;
      case "pin":
        this.#pinIs(event.pin);
        break;
      case "refused":
        this.dispatchEvent(new RefusedEvent(event.code, event.message, event.hint));
        break;
      case "reconnecting":
        this.#status = "reconnecting";
        this.dispatchEvent(new ReconnectingEvent(event.reason));
        break;
      case "reconnected":
        this.#status = "open";
        this.dispatchEvent(new ReconnectedEvent(event.resumed));
        break;
      case "closed":
        this.#end(event.code, event.reason, event.hint);
        break;
    }
  }

  /** @param {string} [pin] */
  #pinIs(pin = AUTO) {
    if (pin === this.#pinned) return;
    this.#pinned = pin;
    this.dispatchEvent(new PinEvent(pin));
  }

  /** @param {Joined} joined */
  #joined({ self, members, topology, pin = AUTO, admin = false, state }) {
    const again = this.#status !== "entering";
    this.#status = "open";
    this.#admin = admin;
    if (!again) {
      this.#self._update(self);
      this.#topology = topology;
      this.#pinned = pin;
      for (const info of members) this.#members.set(info.id, new Member(info));
      this.state._load(Object.entries(state));
      this.#entered.resolve();
      return;
    }
    this.#self = new Member(self);
    this.dispatchEvent(new ReconnectedEvent(false));
    this.#pinIs(pin);
    if (topology !== this.#topology) this.dispatchEvent(new TopologyEvent(this.#topology, (this.#topology = topology)));
    const present = new Map(members.map((info) => [info.id, info]));
    for (const id of [...this.#members.keys()]) if (!present.has(id)) this.#leaves(id, "left");
    for (const info of members) this.#enters(info);
    for (const key of [...this.state.keys()]) if (!Object.hasOwn(state, key)) this.state._apply(key, null);
    for (const [key, { value }] of Object.entries(state)) this.state._apply(key, value);
    this.#back?.resolve();
    this.#back = undefined;
  }

  /** @param {MemberInfo} info */
  #enters(info) {
    const known = this.#members.get(info.id);
    known?._update(info);
    const member = known ?? new Member(info);
    this.#members.set(info.id, member);
    if (!known) this.dispatchEvent(new MemberEvent("memberjoin", member));
  }

  /**
   * @param {MemberId} id
   * @param {GoneReason} reason
   */
  #leaves(id, reason) {
    const member = this.#members.get(id);
    if (!member) return;
    this.#members.delete(id);
    member._setLink({ state: "closed" });
    this.#answering.get(member)?.forEach((call) => call.abort(new RoomError("member_left", "the caller has left")));
    this.#answering.delete(member);
    this.dispatchEvent(new MemberLeaveEvent(member, reason));
  }

  /** @param {MemberId} id */
  #member(id) {
    return id === this.#self.id ? this.#self : this.#members.get(id);
  }

  // ---- messages ------------------------------------------------------------------------------------

  /**
   * @param {string} channel
   * @param {unknown} value
   * @param {Member | string | undefined} to
   */
  async #send(channel, value, to) {
    const payload = encodeValue(value);
    const ticket = ++this.#tickets;
    await this.#ask(ticket, () => this.#driver.handle({ type: "send", ticket, channel, to: to && idOf(to), payload }));
  }

  /**
   * @param {Lossy} mode
   * @param {string} channel
   * @param {unknown} value
   * @param {Member | string | undefined} to
   */
  async #publish(mode, channel, value, to) {
    const payload = encodeValue(value);
    if (payload.length + this.#driver.overhead > LOSSY_MAX) throw notSent("too_large");
    if (this.#status === "closed") throw notSent("closed");
    if (this.#self.mute) throw notSent("not_allowed");
    if (to && !this.#members.has(idOf(to))) throw notSent("unknown_member");
    this.#driver.handle({ type: "publish", mode, channel, to: to && idOf(to), payload });
  }

  /**
   * @param {ChannelMode} mode
   * @param {string} name
   * @param {MemberId} id
   * @param {Uint8Array} payload
   */
  #arrived(mode, name, id, payload) {
    const from = this.#members.get(id);
    if (!from) return;
    const driver = this.#driver;
    const taken = () => driver.handle({ type: "consumed", from: id, bytes: payload.length, lossy: mode !== "reliable" });
    const key = keyOf(mode, name);
    const channel = this.#channels.get(key);
    let data;
    try {
      data = decodeValue(payload);
    } catch (error) {
      taken();
      channel?._fail(from, /** @type {Error} */ (error));
      return;
    }
    const arrival = { from, data, bytes: payload.length, taken };
    if (channel) channel._deliver(arrival);
    else this.#held.add(key, arrival);
  }

  /**
   * Waits for the answer to an input, which nothing comes of where it is not wanted any more by the time that the page is back.
   *
   * @param {number} ticket
   * @param {() => void} start
   * @param {AbortSignal} [signal]
   */
  async #ask(ticket, start, signal) {
    if (this.#back) await unlessAborted(this.#back.promise, signal);
    signal?.throwIfAborted();
    if (this.#status === "closed") throw notSent("closed");
    return new Promise((resolve, reject) => {
      this.#waiters.set(ticket, { resolve, reject });
      start();
    });
  }

  /** @param {number} ticket */
  #settle(ticket) {
    const waiter = this.#waiters.get(ticket);
    this.#waiters.delete(ticket);
    return waiter;
  }

  /** @param {string} why */
  #failWaiters(why) {
    const waiters = [...this.#waiters.values()];
    this.#waiters.clear();
    for (const { reject } of waiters) reject(new RoomError("closed", why));
  }

  // ---- calls ---------------------------------------------------------------------------------------

  /**
   * @param {number} ticket
   * @param {Answer} answer
   */
  #answered(ticket, answer) {
    const waiter = this.#settle(ticket);
    if (!waiter) return;
    if ("failure" in answer) {
      const { code, message } = answer.failure;
      waiter.reject(new RoomError(/** @type {RoomErrorCode} */ (code), message));
      return;
    }
    try {
      waiter.resolve(decodeValue(answer.result));
    } catch (cause) {
      waiter.reject(new RoomError("handler_failed", "the answer is not a value", "", { cause }));
    }
  }

  /**
   * @param {MemberId} id
   * @param {number} call
   * @param {string} method
   * @param {Uint8Array} payload
   */
  async #called(id, call, method, payload) {
    const driver = this.#driver;
    driver.handle({ type: "consumed", from: id, bytes: payload.length, lossy: false });
    const from = this.#members.get(id);
    if (!from) return;
    const answer = await this.#answer(from, method, payload);
    driver.handle({ type: "reply", to: id, call, answer });
  }

  /**
   * @param {Member} from
   * @param {string} method
   * @param {Uint8Array} payload
   * @returns {Promise<Answer>}
   */
  async #answer(from, method, payload) {
    const handler = this.#handlers.get(method);
    if (!handler) return failure("no_handler", `nobody answers “${method}” there`);
    const running = this.#answering.get(from) ?? new Set();
    if (running.size >= CALLS_MAX) return failure("too_many_calls", "too many calls are under way; await some of them");
    this.#answering.set(from, running);
    const controller = new AbortController();
    running.add(controller);
    try {
      const argument = decodeValue(payload);
      return { result: encodeValue(await handler(argument, { from, signal: controller.signal })) };
    } catch (error) {
      return failure("handler_failed", error instanceof Error ? error.message : String(error));
    } finally {
      running.delete(controller);
    }
  }

  /**
   * Out of the room, for good.
   *
   * @param {RefusalCode | undefined} code
   * @param {string} reason
   * @param {string} hint
   * @param {unknown} [error] what rejects `join`, where not the reason
   */
  #end(code, reason, hint, error) {
    if (this.#status === "closed") return;
    this.#status = "closed";
    this.#driver.abandon();
    this.#entered.reject(error ?? new RoomError(code ?? "unreachable", reason, hint));
    // Where nobody waits for it (any more), nobody needs to hear of it.
    this.#entered.promise.catch(() => {});
    this.#back?.resolve();
    this.#failWaiters("the room is closed");
    for (const calls of this.#answering.values()) for (const call of calls) call.abort();
    this.#answering.clear();
    for (const member of this.#members.values()) member._setLink({ state: "closed" });
    for (const channel of this.#channels.values()) channel._close();
    globalThis.removeEventListener?.("pagehide", this.#onpagehide);
    globalThis.removeEventListener?.("pageshow", this.#onpageshow);
    this.#left.resolve();
    this.dispatchEvent(new RoomCloseEvent(code, reason, hint));
  }
}

/** @param {Member | MemberId} member */
function idOf(member) {
  return typeof member === "string" ? member : member.id;
}

/**
 * @param {string} code
 * @param {string} message
 * @returns {Answer}
 */
function failure(code, message) {
  return { failure: { code, message } };
}

/** Why a message was not sent. @param {NotSent} why */
function notSent(why) {
  const [message, hint] = {
    too_large: ["the message is too large", "messages have at most 16 MiB, on lossy channels 16 KiB"],
    too_many: ["too many messages are waiting to be sent", "await each send before the next"],
    unknown_member: ["the addressee is not in the room", "see room.members"],
    not_allowed: ["this member may not send data", "its token does not allow it"],
    closed: ["the room is closed", "join again"],
  }[why];
  return new RoomError(why, message, hint);
}

/** Why a room is not linked as was wished. @param {NotPinned} why */
function notPinned(why) {
  if (why === "closed") return new RoomError("closed", "the room is closed", "join again");
  if (why === "unreachable") {
    return new RoomError("unreachable", "the server is out of reach", "try again when the room is `reconnected`");
  }
  const { code, message, hint } = why.refused;
  return new RoomError(code, message, hint);
}

/**
 * Waits for what is never rejected, or until it is not waited for any more.
 *
 * @param {Promise<void>} promise
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<void>}
 */
async function unlessAborted(promise, signal) {
  if (!signal) return promise;
  /** @type {PromiseWithResolvers<void>} */
  const aborted = withResolvers();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/**
 * `Promise.withResolvers`, which browsers of 2023 do not have.
 *
 * @template Value
 * @returns {PromiseWithResolvers<Value>}
 */
function withResolvers() {
  /** @type {any} */
  const resolvers = {};
  resolvers.promise = new Promise((resolve, reject) => Object.assign(resolvers, { resolve, reject }));
  return resolvers;
}
