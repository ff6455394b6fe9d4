// @ts-check
/**
 * Between the application and the member's driver in a secret room: what goes to the machine is sealed, what comes from
 * it is opened, and what cannot be opened never gets to the application. In a room without a key everything passes, but
 * what others sealed is recognised and told of. The same as `crates/client/src/secrecy.rs`; only that WebCrypto takes its
 * time, so that what is being sealed or opened stands in line: many at once, and all in order.
 *
 * @module
 */

import { Driver } from "./driver.js";
import { LATEST_CHANNELS, MESSAGE_MAX, WAITING_BYTES, WAITING_SENDS } from "./limits.js";
import { Line } from "./line.js";
import {
  Keys, Nonces, OVERHEAD, countOf, fromBase64Url, isSealed, joined, open, parseSealed, seal, toBase64Url,
} from "./secret.js";
import { fromHex, toHex } from "./id.js";

/** @import {DriverOptions} from "./driver.js" */
/** @import {MemberId} from "./id.js" */
/** @import {Answer, Input, MemberEvent} from "./member/io.js" */
/** @import {Place, RoomSecret, SealKind, Sealed} from "./secret.js" */
/** @import {Json} from "./wire.js" */

/**
 * Why something cannot be read, or not be believed.
 *
 * - `no_key`: it is sealed, and this member entered without a key.
 * - `wrong_key`: it was sealed with another key, or altered on its way.
 * - `not_sealed`: it is in the clear, and this member has a key: anybody may have said it.
 * - `replayed`: it was said before; somebody on the way says it again.
 *
 * @typedef {"no_key" | "wrong_key" | "not_sealed" | "replayed"} UnreadableReason
 */

/** That somebody cannot be read; without `member`: entries of the shared state. @typedef {{ type: "unreadable", member?: MemberId, reason: UnreadableReason }} UnreadableReport */
/** @typedef {{ plain: Uint8Array, sealed?: Sealed } | { why: UnreadableReason }} Opened */
/** @typedef {{ value: Json, by?: MemberId } | { why: UnreadableReason }} OpenedEntry */
/** Of a payload that came, what is known without opening it. Without `addressed` it is the payload that says so, and is bound to it. @typedef {{ from: MemberId, kinds: SealKind[], addressed?: boolean, name: string, call?: Uint8Array }} Expected */

/** Members with the room's key of whom is remembered how far they have counted: 1,000 that are here, 1,024 that went. */
export const SENDERS_KNOWN = 2_024;
/** Datagrams of a member that are known again, as many as the machine knows. */
export const DATAGRAMS_KNOWN = 64;
/** Bytes that a call's number may take on the wire, before what is sealed. */
const NUMBER_BYTES = 8;
/** The failure of a call to a member that cannot open it, or whose answer cannot be opened. @type {Answer} */
const UNREADABLE = { failure: { code: "unreadable", message: "one of the two has not the room's key" } };
/** What the machine itself says of calls: from anybody else these words may be anything. */
const OWN_FAILURES = new Map([
  ["too_large", "the argument or the method's name is too large"],
  ["timeout", "no answer came in time"],
  ["member_left", "the member left before it answered"],
  ["unknown_member", "the member is not in the room"],
  ["not_allowed", "this member may not send data"],
  ["too_many_calls", "too many calls are under way; await some of them"],
  ["closed", "the room is closed"],
]);

const UTF8 = new TextEncoder();
const FROM_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A {@link Driver} that seals and opens, where there is a secret. */
export class SecretDriver {
  #driver;
  #onevent;
  /** @type {Keyed | undefined} */
  #keyed;
  /** Inputs, lossy ones apart: neither waits for the other. */
  #out = new Line();
  #lossy = new Line();
  #in = new Line();
  /** Bytes of messages in `#out`. */
  #waiting = 0;
  /** Values of `latest` channels in `#lossy` that nobody has begun to seal, which a newer one supersedes. @type {Map<string, { payload: Uint8Array }>} */
  #newest = new Map();
  /** What the application was told of already. @type {Set<string>} */
  #told = new Set();

  /**
   * @param {Omit<DriverOptions, "onevent"> & { onevent: (event: MemberEvent | UnreadableReport) => void }} options
   * @param {RoomSecret | undefined} secret
   * @param {string} room the room's name, as this member's address has it
   */
  constructor(options, secret, room) {
    this.#onevent = options.onevent;
    this.#driver = new Driver({ ...options, onevent: (event) => this.#hear(event) });
    // By the id that this member gave itself: a server that could choose it could have a key used twice.
    if (secret) this.#keyed = new Keyed(this.#driver.id, new Keys(secret, room));
  }

  /** The member's id. */
  get id() {
    return this.#driver.id;
  }

  /** Bytes that a payload has more on the wire. */
  get overhead() {
    return this.#keyed ? OVERHEAD : 0;
  }

  /**
   * Bytes of the JSON that an entry of the shared state is on the wire.
   *
   * @param {number} bytes of its own JSON
   */
  entryBytes(bytes) {
    return this.#keyed ? '{"sealed":""}'.length + Math.ceil(((bytes + OVERHEAD + 8) * 4) / 3) : bytes;
  }

  /** @param {Input} input */
  handle(input) {
    if (this.#keyed) this.#seal(this.#keyed, input);
    else this.#driver.handle(input);
  }

  /** @param {{ unloading?: boolean }} [options] see {@link Driver.abandon} */
  abandon(options) {
    for (const line of [this.#out, this.#lossy, this.#in]) line.close();
    this.#driver.abandon(options);
  }

  // ---- to the machine ------------------------------------------------------------------------------

  /**
   * @param {Keyed} keyed
   * @param {Input} input
   */
  #seal(keyed, input) {
    const pass = () => this.#driver.handle(input);
    switch (input.type) {
      case "send": {
        const { ticket, channel, to, payload } = input;
        if (this.#isFull(payload)) return this.#later({ type: "not_sent", ticket, why: "too_many" });
        const place = /** @type {Place} */ ({ kind: "message", to, name: channel });
        return this.#inLine(payload.length, () => keyed.seal(place, payload), (sealed) => {
          // The browser has no room for another copy.
          if (!sealed) return this.#tell({ type: "not_sent", ticket, why: "too_large" });
          this.#driver.handle({ ...input, payload: sealed });
        });
      }
      case "call": {
        const { ticket, to, method, payload } = input;
        if (this.#isFull(payload)) return this.#later({ type: "called", ticket, answer: ownFailure("too_many_calls") });
        return this.#inLine(payload.length, () => keyed.sealCall(ticket, to, method, payload), (sealed) => {
          if (!sealed) return this.#tell({ type: "called", ticket, answer: ownFailure("too_large") });
          this.#driver.handle({ ...input, payload: sealed });
        });
      }
      case "cancel_call":
        return this.#out.push(undefined, () => {
          keyed.made.delete(input.ticket);
          pass();
        });
      case "reply": {
        const begin = () => keyed.sealAnswer(input.to, input.call, input.answer);
        return this.#out.push(begin, (answer) => answer && this.#driver.handle({ ...input, answer }));
      }
      case "set_state": {
        if (input.value === null) return this.#out.push(undefined, pass);
        const begin = () => keyed.sealEntry(input.key, input.value);
        return this.#out.push(begin, (value) => value && this.#driver.handle({ ...input, value }));
      }
      case "publish":
        return this.#publish(keyed, input);
      case "consumed":
        return this.#driver.handle({ ...input, bytes: input.bytes + OVERHEAD });
      case "leave":
        // What was said before, on whatever channel, goes before.
        return this.#out.push(() => this.#lossy.drained(), pass);
      default:
        return this.#out.push(undefined, pass);
    }
  }

  /** @param {Uint8Array} payload */
  #isFull(payload) {
    const { length } = this.#out;
    return length > 0 && (length >= WAITING_SENDS || this.#waiting + payload.length > WAITING_BYTES);
  }

  /**
   * @template Result
   * @param {number} bytes
   * @param {() => Promise<Result>} begin
   * @param {(result: Result | undefined) => void} done
   */
  #inLine(bytes, begin, done) {
    this.#waiting += bytes;
    this.#out.push(begin, (result) => {
      this.#waiting -= bytes;
      done(result);
    });
  }

  /**
   * @param {Keyed} keyed
   * @param {Input & { type: "publish" }} input
   */
  #publish(keyed, input) {
    const { mode, channel, to } = input;
    const key = `${to ?? ""} ${channel}`;
    const older = mode === "latest" ? this.#newest.get(key) : undefined;
    if (older) {
      older.payload = input.payload;
      return;
    }
    if (this.#lossy.length >= WAITING_SENDS) return;
    const value = { payload: input.payload };
    if (mode === "latest") this.#newest.set(key, value);
    const begin = () => {
      if (mode === "latest") this.#newest.delete(key);
      return keyed.seal({ kind: mode, to, name: channel }, value.payload);
    };
    this.#lossy.push(begin, (payload) => payload && this.#driver.handle({ ...input, payload }));
  }

  /** The application is not told while it asks. @param {MemberEvent} event */
  #later(event) {
    queueMicrotask(() => this.#tell(event));
  }

  // ---- from the machine ----------------------------------------------------------------------------

  /** @param {MemberEvent} event */
  #hear(event) {
    const keyed = this.#keyed;
    switch (event.type) {
      case "message": {
        const expected = /** @type {Expected} */ ({ from: event.from, kinds: ["message"], addressed: event.addressed, name: event.channel });
        return this.#open(expected, event.payload, (opened) => this.#deliver(event, opened, false));
      }
      case "lossy": {
        const expected = { from: event.from, kinds: [event.mode], name: event.channel };
        return this.#open(expected, event.payload, (opened) => this.#deliver(event, opened, true));
      }
      case "call": {
        const { from, call, method, payload } = event;
        const expected = /** @type {Expected} */ ({ from, kinds: ["call"], addressed: true, name: method });
        return this.#open(expected, payload, (opened) => {
          if (opened && "why" in opened) this.#driver.handle({ type: "reply", to: from, call, answer: UNREADABLE });
          else if (opened?.sealed) keyed?.asked.set(`${from} ${call}`, opened.sealed.nonce);
          this.#deliver(event, opened, false);
        });
      }
      case "called":
        return this.#called(event.ticket, event.answer);
      case "state":
        return this.#in.push(keyed && (() => keyed.openEntry(event.key, event.value)), (opened) => {
          const entry = opened ?? clearEntry(event.value);
          // Who wrote it is known better from the seal than from the server. What cannot be read is not there.
          if ("value" in entry) return this.#tell({ ...event, value: entry.value, by: entry.by ?? event.by });
          this.#tell({ ...event, value: null });
          this.#report(undefined, entry.why);
        });
      case "joined":
        return this.#in.push(keyed && (() => keyed.openEntries(event.state)), (opened) => this.#joined(event, opened));
      case "member_leave":
        return this.#in.push(undefined, () => {
          for (const key of this.#told) if (key.startsWith(event.member.id)) this.#told.delete(key);
          for (const key of keyed?.asked.keys() ?? []) if (key.startsWith(event.member.id)) keyed?.asked.delete(key);
          this.#tell(event);
        });
      default:
        return this.#in.push(undefined, () => this.#tell(event));
    }
  }

  /**
   * Opens a payload when its turn comes; undefined: it is not newer than what came before, as may be on lossy channels.
   *
   * @param {Expected} expected
   * @param {Uint8Array} payload
   * @param {(opened: Opened | undefined) => void} done
   */
  #open(expected, payload, done) {
    const keyed = this.#keyed;
    if (keyed) return this.#in.push(() => keyed.open(expected, payload), (opened) => done(opened && keyed.take(expected, opened)));
    this.#in.push(undefined, () => done(isSealed(payload) ? { why: "no_key" } : { plain: payload }));
  }

  /**
   * @param {MemberEvent & { type: "message" | "lossy" | "call" }} event
   * @param {Opened | undefined} opened
   * @param {boolean} lossy
   */
  #deliver(event, opened, lossy) {
    if (opened && "plain" in opened) return this.#tell({ ...event, payload: opened.plain });
    // What is not delivered counts as consumed.
    this.#driver.handle({ type: "consumed", from: event.from, bytes: event.payload.length, lossy });
    if (opened) this.#report(event.from, opened.why);
  }

  /**
   * @param {number} ticket
   * @param {Answer} answer
   */
  #called(ticket, answer) {
    const keyed = this.#keyed;
    const tell = (/** @type {Answer} */ heard) => this.#tell({ type: "called", ticket, answer: heard });
    if (!keyed) {
      const isUnreadable = "result" in answer && isSealed(answer.result);
      return this.#in.push(undefined, () => tell(isUnreadable ? UNREADABLE : answer));
    }
    const made = keyed.made.get(ticket);
    keyed.made.delete(ticket);
    if (!made || "failure" in answer) {
      // Sealed failures come as results: this is the machine's own, or of somebody who could not open the call.
      return this.#in.push(undefined, () => tell("failure" in answer ? ownFailure(answer.failure.code) : UNREADABLE));
    }
    const expected = /** @type {Expected} */ ({ from: made.to, kinds: ["reply", "failure"], addressed: true, name: "", call: made.nonce });
    this.#open(expected, answer.result, (opened) => {
      const fits = opened && "plain" in opened;
      if (!fits) tell(UNREADABLE);
      else tell(opened.sealed?.kind === "failure" ? failureOf(opened.plain) : { result: opened.plain });
      if (opened && !fits) this.#report(made.to, opened.why);
    });
  }

  /**
   * @param {MemberEvent & { type: "joined" }} event
   * @param {Map<string, OpenedEntry> | undefined} opened
   */
  #joined(event, opened) {
    /** @type {typeof event.state} */
    const state = Object.create(null);
    const whys = new Set();
    for (const [key, entry] of Object.entries(event.state)) {
      const found = opened?.get(key) ?? clearEntry(entry.value);
      if ("value" in found) state[key] = { ...entry, value: found.value };
      else whys.add(found.why);
    }
    this.#tell({ ...event, state });
    for (const why of whys) this.#report(undefined, why);
  }

  /** @param {MemberId | undefined} member @param {UnreadableReason} reason */
  #report(member, reason) {
    const key = `${member ?? ""} ${reason}`;
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.#tell({ type: "unreadable", member, reason });
  }

  /** @param {MemberEvent | UnreadableReport} event */
  #tell(event) {
    try {
      this.#onevent(event);
    } catch (error) {
      // The application's mistake is reported as any uncaught one; what stands behind it in line goes on.
      setTimeout(() => {
        throw error;
      });
    }
  }
}

/** The side of those who have the key. */
export class Keyed {
  #id;
  #keys;
  #nonces = new Nonces();
  /** Those of whom something could be opened; those heard last come last. @type {Map<MemberId, Sender>} */
  #senders = new Map();
  /** The nonces of this member's calls, by ticket: the machine bounds them. @type {Map<number, { to: MemberId, nonce: Uint8Array }>} */
  made = new Map();
  /** The nonces of others' calls until they are answered, by caller and number: flow control bounds them. @type {Map<string, Uint8Array>} */
  asked = new Map();

  /**
   * @param {MemberId} id
   * @param {Keys} keys
   */
  constructor(id, keys) {
    this.#id = id;
    this.#keys = keys;
  }

  /**
   * Seals under the next nonce, which is taken at once.
   *
   * @param {Place} place
   * @param {Uint8Array} plain
   * @param {Uint8Array<ArrayBuffer>} [nonce]
   */
  async seal(place, plain, nonce = this.#nonces.next()) {
    return seal(await this.#keys.of(this.#id), nonce, place, plain);
  }

  /**
   * @param {number} ticket
   * @param {MemberId} to
   * @param {string} method
   * @param {Uint8Array} argument
   */
  sealCall(ticket, to, method, argument) {
    const nonce = this.#nonces.next();
    this.made.set(ticket, { to, nonce });
    return this.seal({ kind: "call", to, name: method }, argument, nonce);
  }

  /**
   * Failures too are results to the machine: their words are nobody else's business.
   *
   * @param {MemberId} to
   * @param {number} call
   * @param {Answer} answer
   * @returns {Promise<Answer | undefined>} undefined where the caller has gone
   */
  async sealAnswer(to, call, answer) {
    const nonce = this.asked.get(`${to} ${call}`);
    this.asked.delete(`${to} ${call}`);
    if (!nonce) return undefined;
    let failure = "failure" in answer ? answer.failure : undefined;
    if ("result" in answer && answer.result.length > MESSAGE_MAX - OVERHEAD - NUMBER_BYTES) {
      failure = { code: "too_large", message: "the result is too large for one message" };
    }
    const plain = failure ? UTF8.encode(JSON.stringify(failure)) : /** @type {{ result: Uint8Array }} */ (answer).result;
    return { result: await this.seal({ kind: failure ? "failure" : "reply", to, name: "", call: nonce }, plain) };
  }

  /**
   * What the server keeps of an entry of the shared state: base64url of the writer's id and the sealed JSON.
   *
   * @param {string} key
   * @param {Json} value
   * @returns {Promise<Json>}
   */
  async sealEntry(key, value) {
    const sealed = await this.seal({ kind: "state", name: key }, UTF8.encode(JSON.stringify(value)));
    return { sealed: toBase64Url(joined(fromHex(this.#id), sealed)) };
  }

  /**
   * Opens; whether it is new is seen by {@link Keyed.take}, when its turn comes.
   *
   * @param {Expected} expected
   * @param {Uint8Array} payload
   * @returns {Promise<Opened>}
   */
  async open({ from, kinds, addressed, name, call }, payload) {
    if (!isSealed(payload)) return { why: "not_sealed" };
    const sealed = parseSealed(payload);
    if (!sealed || !kinds.includes(sealed.kind) || (addressed ?? sealed.addressed) !== sealed.addressed) return { why: "wrong_key" };
    const to = sealed.addressed ? this.#id : undefined;
    const plain = await open(await this.#keys.of(from), { kind: sealed.kind, to, name, call }, sealed);
    return plain ? { plain, sealed } : { why: "wrong_key" };
  }

  /**
   * Takes the count of what was opened, if it is new.
   *
   * @param {Expected} expected
   * @param {Opened} opened
   * @returns {Opened | undefined}
   */
  take({ from, name }, opened) {
    if (!("plain" in opened) || !opened.sealed) return opened;
    // Only who has the key is remembered: the others can make nobody forgotten.
    const sender = this.#senders.get(from) ?? new Sender();
    this.#senders.delete(from);
    this.#senders.set(from, sender);
    if (this.#senders.size > SENDERS_KNOWN) this.#senders.delete(/** @type {MemberId} */ (this.#senders.keys().next().value));
    if (sender.take(opened.sealed, name)) return opened;
    return ["latest", "datagram"].includes(opened.sealed.kind) ? undefined : { why: "replayed" };
  }

  /**
   * @param {string} key
   * @param {Json} value
   * @returns {Promise<OpenedEntry>}
   */
  async openEntry(key, value) {
    if (value === null) return { value };
    const entry = readEntry(value);
    if (!entry) return { why: "not_sealed" };
    const sealed = parseSealed(entry.payload);
    if (sealed?.kind !== "state" || sealed.addressed) return { why: "wrong_key" };
    const plain = await open(await this.#keys.of(entry.writer), { kind: "state", name: key }, sealed);
    try {
      return plain ? { value: JSON.parse(FROM_UTF8.decode(plain)), by: entry.writer } : { why: "wrong_key" };
    } catch {
      return { why: "wrong_key" };
    }
  }

  /**
   * @param {Record<string, { value: Json }>} state
   * @returns {Promise<Map<string, OpenedEntry>>}
   */
  async openEntries(state) {
    const entries = Object.entries(state);
    const opened = await Promise.all(entries.map(([key, { value }]) => this.openEntry(key, value)));
    return new Map(entries.map(([key], at) => [key, opened[at]]));
  }
}

/** How far somebody who has the key has counted: what is not newer was said before. */
export class Sender {
  /** Of the stream to the room, and of the one to this member: each comes in order. */
  #room = 0;
  #addressed = 0;
  /** @type {Map<string, number>} */
  #latest = new Map();
  /** Of all channels that are not among them. */
  #floor = 0;
  /** The newest datagrams. @type {Set<number>} */
  #datagrams = new Set();

  /**
   * @param {Sealed} sealed
   * @param {string} name
   */
  take({ kind, addressed, nonce }, name) {
    const count = countOf(nonce);
    if (kind === "latest") return this.#takeLatest(name, count);
    if (kind === "datagram") return this.#takeDatagram(count);
    if (count <= (addressed ? this.#addressed : this.#room)) return false;
    if (addressed) this.#addressed = count;
    else this.#room = count;
    return true;
  }

  /** @param {string} channel @param {number} count */
  #takeLatest(channel, count) {
    if (count <= (this.#latest.get(channel) ?? this.#floor)) return false;
    if (!this.#latest.has(channel) && this.#latest.size >= LATEST_CHANNELS) {
      const [oldest, last] = [...this.#latest].reduce((a, b) => (b[1] < a[1] ? b : a));
      this.#latest.delete(oldest);
      this.#floor = Math.max(this.#floor, last);
    }
    this.#latest.set(channel, count);
    return true;
  }

  /** @param {number} count */
  #takeDatagram(count) {
    const isFull = this.#datagrams.size >= DATAGRAMS_KNOWN;
    const first = isFull ? Math.min(...this.#datagrams) : 0;
    if (count < first || this.#datagrams.has(count)) return false;
    this.#datagrams.add(count);
    if (isFull) this.#datagrams.delete(first);
    return true;
  }
}

/** An entry, to those without a key. @param {Json} value @returns {OpenedEntry} */
function clearEntry(value) {
  return readEntry(value) ? { why: "no_key" } : { value };
}

/** @param {Json} value */
function readEntry(value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { sealed, ...others } = value;
  if (typeof sealed !== "string" || Object.keys(others).length > 0) return undefined;
  const bytes = fromBase64Url(sealed);
  if (!bytes || !isSealed(bytes.subarray(8))) return undefined;
  return { writer: toHex(bytes.subarray(0, 8)), payload: bytes.subarray(8) };
}

/** A failure in the clear: of those that the machine itself could have said the code is kept. @param {string} code @returns {Answer} */
function ownFailure(code) {
  const message = OWN_FAILURES.get(code);
  return message === undefined ? UNREADABLE : { failure: { code, message } };
}

/** @param {Uint8Array} plain @returns {Answer} */
function failureOf(plain) {
  try {
    const { code, message } = JSON.parse(FROM_UTF8.decode(plain));
    return { failure: { code: String(code), message: String(message) } };
  } catch {
    return { failure: { code: "handler_failed", message: "the failure cannot be read" } };
  }
}
