// @ts-check
/**
 * Signalling messages between a member and the hub: JSON objects with one key, the message's type; see PROTOCOL.md,
 * "Signalling". In memory a message is an object with a `type` beside its fields.
 *
 * @module
 */

import { isKey, isMemberId, isRoomName, isSecret } from "./id.js";
import { SIGNAL_MAX, WELCOME_MAX } from "./limits.js";

/** @import {MemberId} from "./id.js" */

/** JSON, as `JSON.parse` gives it. @typedef {null | boolean | number | string | Json[] | { [key: string]: Json }} Json */
/** @typedef {Record<string, string>} Attributes */
/** `value` is null where the entry was removed; the higher `version` wins. @typedef {{ value: Json, version: number }} StateEntry */
/** What a relay is good for: the most links that it holds. @typedef {{ max_links?: number }} RelayOffer */
/**
 * A member as others see it; `mute`: its token forbids it to send data; `relay`: it passes on what others say, and is nobody to
 * applications; `key`: what it signs with, as hex digits.
 * @typedef {{ id: MemberId, name: string, identity?: string, attributes: Attributes, mute?: boolean, relay?: boolean, key?: string }} MemberInfo
 */
/** Who makes the offer on a link. @typedef {"offer" | "answer"} Role */
/** @typedef {{ peer: MemberId, role: Role }} LinkTo */
/** @typedef {{ urls: string[], username?: string, credential?: string }} IceServer */
/** As `RTCIceCandidate.toJSON()` gives it. @typedef {{ candidate: string, sdpMid?: string | null, sdpMLineIndex?: number | null, usernameFragment?: string | null }} Candidate */
/** What the two ends of a link tell each other to connect. @typedef {{ offer: string } | { answer: string } | { candidate: Candidate } | { over: boolean }} Negotiation */
/** @typedef {"left" | "crashed" | "unresponsive" | "timeout" | "replaced" | "removed"} GoneReason */
/** Why a hub does not carry a link's frames. @typedef {"closed" | "away" | "not_linked" | "too_many" | "too_slow"} CarryEnd */
/** What a returning member knows. @typedef {{ hub: string, topology?: string, pin?: string, next?: number, up?: MemberId[], state?: Record<string, StateEntry> }} Resume */

/** What a member says to the room, and its links over TURN, in percent. @typedef {{ kbps?: number, turn_percent?: number }} Traffic */

/**
 * What a member says to the hub.
 *
 * @typedef {(
 *   | { type: "join", v: number, secret: string, key?: string, name: string, attributes?: Attributes, token?: string,
 *       topology?: string, agent?: string, relay?: RelayOffer, resume?: Resume }
 *   | { type: "signal", to: MemberId, attempt: number, data: Json }
 *   | { type: "links", up?: MemberId[], suspect?: MemberId[], down?: MemberId[], settled?: boolean, forged?: MemberId[],
 *       lacks?: MemberId[], rtt?: Record<MemberId, number> }
 *   | { type: "attributes", op: number, set: Record<string, string | null> }
 *   | { type: "state", op: number, key: string, value: Json }
 *   | { type: "ping" }
 *   | { type: "pong" }
 *   | { type: "topology", pin: string }
 *   | { type: "route", to: MemberId }
 *   | { type: "carry", to: MemberId, episode: number, over?: boolean }
 *   | ({ type: "stats" } & Traffic)
 *   | { type: "drain" }
 *   | { type: "leave" }
 * )} ClientMessage
 */

/**
 * All that a member needs on entering.
 *
 * @typedef {{ type: "welcome", v: number, hub: string, self: MemberInfo, room: string,
 *   members: MemberInfo[], links: LinkTo[], eager?: MemberId[], state: Record<string, StateEntry>, topology: string, pin?: string, epoch: number,
 *   resumed: boolean, op: number, ping_ms: number, admin?: boolean, carry?: number, ice: IceServer[] }} Welcome
 */
/** What was asked was not done; `fatal`: the socket closes now. @typedef {{ type: "refused", code: RefusalCode, message: string, hint: string, fatal: boolean }} Refused */

/**
 * What the hub says to a member.
 *
 * @typedef {(
 *   | Welcome
 *   | ({ type: "member", next?: number } & MemberInfo)
 *   | { type: "gone", id: MemberId, reason: GoneReason }
 *   | { type: "update", id: MemberId, attributes: Attributes, op: number }
 *   | { type: "links", open?: LinkTo[], close?: MemberId[], eager?: MemberId[], lazy?: MemberId[] }
 *   | { type: "signal", from: MemberId, attempt: number, data: Json }
 *   | { type: "state", key: string, value: Json, version: number, by: MemberId, op: number }
 *   | { type: "topology", from: string, to: string, epoch: number, pin?: string }
 *   | { type: "pinned", pin: string, refused?: Omit<Refused, "type"> }
 *   | { type: "route", to: MemberId, path: MemberId[] }
 *   | { type: "carry", from: MemberId, episode: number, over?: CarryEnd }
 *   | Refused
 *   | { type: "closing", reason: string, retry_ms: number }
 *   | { type: "ping" }
 *   | { type: "pong" }
 * )} ServerMessage
 */

/** The version of the protocol. */
export const VERSION = 1;

/** Why something was refused, in the order that gives the WebSocket close codes: 4000 + the code's place. */
export const REFUSAL_CODES = Object.freeze(
  /** @type {const} */ ([
    "bad_message", "unknown_message", "too_large", "join_first", "already_joined", "join_timeout", "bad_version",
    "bad_room", "bad_name", "bad_attributes", "bad_secret", "bad_state", "token_required", "token_invalid",
    "token_expired", "token_other_room", "not_allowed", "identity_taken", "replaced", "removed", "room_full",
    "server_full", "too_many_connections", "rate_limited", "too_slow", "silent", "unknown_member",
    "topology_unavailable", "shutting_down",
  ]),
);

/** @typedef {(typeof REFUSAL_CODES)[number]} RefusalCode */

const MAY_RETURN = new Set([
  "join_timeout", "server_full", "too_many_connections", "rate_limited", "too_slow", "silent", "shutting_down",
]);

/**
 * Whether a member that was cut off with this code may come back by itself.
 *
 * @param {RefusalCode} code
 */
export function mayReturn(code) {
  return MAY_RETURN.has(code);
}

/**
 * The refusal that a WebSocket close code stands for.
 *
 * @param {number} closeCode
 * @returns {RefusalCode | undefined}
 */
export function refusalOfClose(closeCode) {
  return REFUSAL_CODES[closeCode - 4000];
}

/** A signalling message that is not of a known type and shape. */
export class MessageError extends Error {
  /**
   * @param {"too_large" | "unknown_message" | "bad_message"} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.name = "MessageError";
    /** The refusal that answers it. */
    this.code = code;
  }
}

/**
 * The message as JSON text.
 *
 * @param {ClientMessage | ServerMessage} message
 */
export function encodeMessage(message) {
  const { type, ...body } = message;
  return JSON.stringify({ [type]: body });
}

/**
 * Reads a message that the hub sent. Fields that are not in its type's shape are dropped.
 *
 * @param {string} text
 * @returns {ServerMessage}
 * @throws {MessageError}
 */
export function decodeServerMessage(text) {
  return /** @type {ServerMessage} */ (decode(text, WELCOME_MAX, SERVER));
}

/**
 * Reads a message that a member sent. Fields that are not in its type's shape are dropped.
 *
 * @param {string} text
 * @returns {ClientMessage}
 * @throws {MessageError}
 */
export function decodeClientMessage(text) {
  return /** @type {ClientMessage} */ (decode(text, SIGNAL_MAX, CLIENT));
}

/**
 * Reads what another member said to connect.
 *
 * @param {Json} data
 * @returns {Negotiation | undefined} undefined where it has another shape
 */
export function readNegotiation(data) {
  try {
    return /** @type {Negotiation} */ (NEGOTIATION(data, "data"));
  } catch {
    return undefined;
  }
}

const UTF8 = new TextEncoder();

/**
 * The length of a text in UTF-8.
 *
 * @param {string} text
 */
export function byteLength(text) {
  return UTF8.encode(text).length;
}

/**
 * @param {string} text
 * @param {number} max in bytes
 * @param {Map<string, Shape>} types
 */
function decode(text, max, types) {
  // Each UTF-16 unit is at most three bytes; most messages need no exact count.
  if (text.length > max || (3 * text.length > max && byteLength(text) > max)) {
    throw new MessageError("too_large", `the message has more than ${max} bytes`);
  }
  let tagged;
  try {
    tagged = JSON.parse(text);
  } catch {
    throw new MessageError("bad_message", "the message is not JSON");
  }
  const [type, ...others] = isRecord(tagged) ? Object.keys(tagged) : [];
  if (type === undefined || others.length > 0) throw new MessageError("bad_message", "not an object with one key");
  const shape = types.get(type);
  if (!shape) throw new MessageError("unknown_message", "a message of unknown type");
  return { type, .../** @type {object} */ (shape(tagged[type], type)) };
}

// ---- shapes ----------------------------------------------------------------------------------------

/** Checks a value and gives the part of it that is known; throws {@link MessageError}. @typedef {(value: any, path: string) => unknown} Shape */

/**
 * @param {unknown} value
 * @returns {value is Record<string, any>}
 */
function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * A shape of which a value is taken as it is.
 *
 * @param {string} what
 * @param {(value: any) => boolean} holds
 * @returns {Shape}
 */
const where = (what, holds) => (value, path) => {
  if (!holds(value)) throw new MessageError("bad_message", `${path} is not ${what}`);
  return value;
};

/**
 * An object with these fields; a name that ends in `?` may be absent or, as in serde's options, null.
 *
 * @param {Record<string, Shape>} fields
 * @returns {Shape}
 */
const object = (fields) => {
  const known = Object.entries(fields).map(([name, shape]) => ({ name: name.replace("?", ""), shape, optional: name.endsWith("?") }));
  return (value, path) => {
    if (!isRecord(value)) throw new MessageError("bad_message", `${path} is not an object`);
    /** @type {Record<string, unknown>} */
    const taken = {};
    for (const { name, shape, optional } of known) {
      const field = Object.hasOwn(value, name) ? value[name] : undefined;
      if (optional && (field === undefined || field === null)) continue;
      taken[name] = shape(field, `${path}.${name}`);
    }
    return taken;
  };
};

/**
 * @param {Shape} item
 * @returns {Shape}
 */
const list = (item) => (value, path) => {
  if (!Array.isArray(value)) throw new MessageError("bad_message", `${path} is not a list`);
  return value.map((element, at) => item(element, `${path}[${at}]`));
};

/**
 * An object used as a map. Made with `Object.fromEntries`, to which `__proto__` is a key like any other.
 *
 * @param {Shape} item
 * @param {Shape} [key]
 * @returns {Shape}
 */
const map = (item, key = TEXT) => (value, path) => {
  if (!isRecord(value)) throw new MessageError("bad_message", `${path} is not an object`);
  return Object.fromEntries(Object.entries(value).map(([name, entry]) => [key(name, path), item(entry, path)]));
};

/**
 * An object with exactly one of these keys.
 *
 * @param {Record<string, Shape>} variants
 * @returns {Shape}
 */
const oneOf = (variants) => (value, path) => {
  const [tag, ...others] = isRecord(value) ? Object.keys(value) : [];
  if (tag === undefined || others.length > 0 || !Object.hasOwn(variants, tag)) {
    throw new MessageError("bad_message", `${path} is not of a known kind`);
  }
  return { [tag]: variants[tag](value[tag], `${path}.${tag}`) };
};

/**
 * @param {Shape} shape
 * @returns {Shape}
 */
const nullable = (shape) => (value, path) => (value === null ? null : shape(value, path));

/**
 * @param {Shape} shape
 * @returns {Shape}
 */
const orNull = (shape) => (value, path) => (value === undefined ? null : nullable(shape)(value, path));

const TEXT = where("a text", (value) => typeof value === "string" && value.isWellFormed());
const FLAG = where("true or false", (value) => typeof value === "boolean");
const NUMBER = where("a whole number below 2^53", (value) => Number.isSafeInteger(value) && value >= 0);
const NUMBER_32 = where("a whole number below 2^32", (value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32);
const NUMBER_16 = where("a whole number below 2^16", (value) => Number.isInteger(value) && value >= 0 && value < 2 ** 16);
const ID = where("a member id", isMemberId);
const SECRET = where("a session secret", isSecret);
const KEY = where("a public key", isKey);
const ROOM = where("a room's name", (value) => typeof value === "string" && isRoomName(value));
const JSON_VALUE = where("JSON", (value) => value !== undefined);
const ROLE = where("a role", (value) => value === "offer" || value === "answer");
const REASON = where("a reason", (value) =>
  ["left", "crashed", "unresponsive", "timeout", "replaced", "removed"].includes(value),
);
const CARRY_END = where("a reason", (value) =>
  ["closed", "away", "not_linked", "too_many", "too_slow"].includes(value),
);
const CODE = where("a refusal code", (value) => REFUSAL_CODES.includes(value));

const ATTRIBUTES = map(TEXT);
const STATE = map(object({ value: JSON_VALUE, version: NUMBER }));
const LINK = object({ peer: ID, role: ROLE });
const EMPTY = object({});

const MEMBER_FIELDS = {
  id: ID, name: TEXT, "identity?": TEXT, attributes: ATTRIBUTES, "mute?": FLAG, "relay?": FLAG, "key?": KEY,
};
const MEMBER = object(MEMBER_FIELDS);

const NEGOTIATION = oneOf({
  offer: TEXT,
  answer: TEXT,
  candidate: object({
    candidate: TEXT,
    sdpMid: orNull(TEXT),
    sdpMLineIndex: orNull(NUMBER_16),
    usernameFragment: orNull(TEXT),
  }),
  over: FLAG,
});

const CLIENT = new Map(
  Object.entries({
    join: object({
      v: NUMBER_32,
      secret: SECRET,
      "key?": KEY,
      name: TEXT,
      "attributes?": ATTRIBUTES,
      "token?": TEXT,
      "topology?": TEXT,
      "agent?": TEXT,
      "relay?": object({ "max_links?": NUMBER_16 }),
      "resume?": object({ hub: TEXT, "topology?": TEXT, "pin?": TEXT, "next?": NUMBER, "up?": list(ID), "state?": STATE }),
    }),
    signal: object({ to: ID, attempt: NUMBER_32, data: JSON_VALUE }),
    links: object({
      "up?": list(ID),
      "suspect?": list(ID),
      "down?": list(ID),
      "settled?": FLAG,
      "forged?": list(ID),
      "lacks?": list(ID),
      "rtt?": map(NUMBER_32, ID),
    }),
    attributes: object({ op: NUMBER, set: map(nullable(TEXT)) }),
    state: object({ op: NUMBER, key: TEXT, value: JSON_VALUE }),
    ping: EMPTY,
    pong: EMPTY,
    topology: object({ pin: TEXT }),
    route: object({ to: ID }),
    carry: object({ to: ID, episode: NUMBER_32, "over?": FLAG }),
    stats: object({ "kbps?": NUMBER_32, "turn_percent?": NUMBER_32 }),
    drain: EMPTY,
    leave: EMPTY,
  }),
);

const REFUSED = object({ code: CODE, message: TEXT, hint: TEXT, fatal: FLAG });

const SERVER = new Map(
  Object.entries({
    welcome: object({
      v: NUMBER_32,
      hub: TEXT,
      self: MEMBER,
      room: ROOM,
      members: list(MEMBER),
      links: list(LINK),
      "eager?": list(ID),
      state: STATE,
      topology: TEXT,
      "pin?": TEXT,
      epoch: NUMBER,
      resumed: FLAG,
      op: NUMBER,
      ping_ms: NUMBER,
      "admin?": FLAG,
      "carry?": NUMBER_32,
      ice: list(object({ urls: list(TEXT), "username?": TEXT, "credential?": TEXT })),
    }),
    member: object({ ...MEMBER_FIELDS, "next?": NUMBER }),
    gone: object({ id: ID, reason: REASON }),
    update: object({ id: ID, attributes: ATTRIBUTES, op: NUMBER }),
    links: object({ "open?": list(LINK), "close?": list(ID), "eager?": list(ID), "lazy?": list(ID) }),
    signal: object({ from: ID, attempt: NUMBER_32, data: JSON_VALUE }),
    state: object({ key: TEXT, value: JSON_VALUE, version: NUMBER, by: ID, op: NUMBER }),
    topology: object({ from: TEXT, to: TEXT, epoch: NUMBER, "pin?": TEXT }),
    pinned: object({ pin: TEXT, "refused?": REFUSED }),
    route: object({ to: ID, path: list(ID) }),
    carry: object({ from: ID, episode: NUMBER_32, "over?": CARRY_END }),
    refused: REFUSED,
    closing: object({ reason: TEXT, retry_ms: NUMBER }),
    ping: EMPTY,
    pong: EMPTY,
  }),
);
