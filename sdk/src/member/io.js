// @ts-check
/**
 * What goes into a `Member` and what comes out of it: the shapes of `crates/room/src/member/io.rs`, with a `type` beside
 * their fields. Times and durations are in µs.
 *
 * @module
 */

/** @import {MemberId} from "../id.js" */
/** @import {Attributes, ClientMessage, GoneReason, Json, MemberInfo, Negotiation, RefusalCode, RelayOffer, Role, ServerMessage, StateEntry} from "../wire.js" */

/**
 * Who a member is and what it brings. `secret` is random, new for each `join()`, as hex digits; `seed`, a whole number
 * below 2^32, seeds the jitter of pauses: nothing else is random. `key` is the public half of a pair that is made for this
 * session, as random: the edge signs with the other. A member without believes whoever passes something on, and nobody
 * passes on what it says. `relay`: it is a relay: it passes on what others say, and its application hears nothing of that.
 *
 * @typedef {{ secret: string, key?: string, name: string, attributes?: Attributes, token?: string, topology?: string, agent?: string,
 *   relay?: RelayOffer, seed?: number }} Config
 */
/** The two data channels of a link. @typedef {"reliable" | "lossy"} Lane */
/** How a lossy channel treats its messages. @typedef {"latest" | "datagram"} Lossy */
/** How a call ended. @typedef {{ result: Uint8Array } | { failure: { code: string, message: string } }} Answer */
/** @typedef {"connecting" | "open" | "suspect" | "failed" | "closed"} LinkState */
/** Why a message will not be sent. @typedef {"too_large" | "too_many" | "unknown_member" | "not_allowed" | "closed"} NotSent */

/**
 * What happens to a member.
 *
 * - `connected`, `disconnected`: the socket that `connect` asked for is open, or ended; `code` is from its close code.
 * - `hub`: the hub said something. The edge takes the STUN and TURN servers from each welcome that it hands in.
 * - `local`: a peer connection produced a description or candidate. `link_up`: all its channels are open; `path` is
 *   `host`, `reflexive` or `relayed`. `link_down`: it failed or was closed by the other side; `closed`: the latter, in
 *   good order, as by one that leaves. `packet`: a data channel message came; never before `link_up`: an edge keeps what comes earlier until then. `buffered`: a send buffer fell to
 *   this size. `carried`: a binary message came from the hub, see `../carried.js`.
 * - `send` is answered by `sent` or `not_sent`, `call` by `called`; `publish` is never answered.
 * - `reply` answers an event `call`. `consumed` follows each event `message`, `lossy`, `call` once the application took it.
 * - `drain`: go, as a relay, when nobody depends on it any more.
 * - `signed` and `verified` answer `sign` and `verify`, in any order and time.
 * - `leave` ends with the event `closed`. `timeout`: the poll's timeout is due.
 *
 * @typedef {(
 *   | { type: "connected" }
 *   | { type: "disconnected", code?: RefusalCode, reason: string }
 *   | { type: "hub", message: ServerMessage }
 *   | { type: "local", peer: MemberId, attempt: number, data: Negotiation }
 *   | { type: "link_up", peer: MemberId, attempt: number, path: string }
 *   | { type: "link_down", peer: MemberId, attempt: number, reason: string, closed: boolean }
 *   | { type: "packet", peer: MemberId, attempt: number, lane: Lane, bytes: Uint8Array }
 *   | { type: "carried", message: Uint8Array }
 *   | { type: "buffered", peer: MemberId, attempt: number, lane: Lane, bytes: number }
 *   | { type: "send", ticket: number, channel: string, to?: MemberId, payload: Uint8Array }
 *   | { type: "publish", mode: Lossy, channel: string, to?: MemberId, payload: Uint8Array }
 *   | { type: "call", ticket: number, to: MemberId, method: string, payload: Uint8Array, timeout?: number }
 *   | { type: "cancel_call", ticket: number }
 *   | { type: "reply", to: MemberId, call: number, answer: Answer }
 *   | { type: "set_state", key: string, value: Json }
 *   | { type: "set_attributes", set: Record<string, string | null> }
 *   | { type: "pin", ticket: number, topology: string }
 *   | { type: "set_token", token?: string }
 *   | { type: "consumed", from: MemberId, bytes: number, lossy: boolean }
 *   | { type: "drain" }
 *   | { type: "signed", token: number, signature: Uint8Array }
 *   | { type: "verified", token: number, good: boolean }
 *   | { type: "leave" }
 *   | { type: "timeout" }
 * )} Input
 */

/**
 * What a member wants done, in order.
 *
 * - `connect`: open a socket to the hub. `disconnect`: close it, after what was told. `tell`: send to the hub.
 * - `open`: make a peer connection with its data channels. `remote`: hand it what the peer said. `restart_ice`,
 *   `close`: as they say; nothing of a closed one is reported any more. `packet`: send one data channel message. `carry`:
 *   send the hub a binary message, behind what it was told, see `../carried.js`.
 * - `sign`: sign a text with the session's Ed25519 key (RFC 8032). `verify`: verify a signature by a key, as hex digits.
 * - `event`: tell the application.
 *
 * @typedef {(
 *   | { type: "connect" }
 *   | { type: "disconnect" }
 *   | { type: "tell", message: ClientMessage }
 *   | { type: "open", peer: MemberId, attempt: number, role: Role }
 *   | { type: "remote", peer: MemberId, attempt: number, data: Negotiation }
 *   | { type: "restart_ice", peer: MemberId, attempt: number }
 *   | { type: "close", peer: MemberId, attempt: number }
 *   | { type: "packet", peer: MemberId, attempt: number, lane: Lane, bytes: Uint8Array<ArrayBuffer> }
 *   | { type: "sign", token: number, text: Uint8Array }
 *   | { type: "verify", token: number, key: string, text: Uint8Array, signature: Uint8Array }
 *   | { type: "carry", message: Uint8Array<ArrayBuffer> }
 *   | { type: "event", event: MemberEvent }
 * )} Output
 */

/**
 * Why a room is not linked as was wished: the hub, or the member in its place, says no; the hub is out of reach (it may have
 * taken the wish before); the room was left.
 *
 * @typedef {{ refused: { code: RefusalCode, message: string, hint: string } } | "unreachable" | "closed"} NotPinned
 */

/** What is known on entering. @typedef {{ type: "joined", self: MemberInfo, members: MemberInfo[], topology: string, pin?: string, admin?: boolean, state: Record<string, StateEntry> }} Joined */

/**
 * What the application hears. `joined` comes once and first, `closed` last.
 *
 * @typedef {(
 *   | Joined
 *   | { type: "member_join", member: MemberInfo }
 *   | { type: "member_leave", member: MemberInfo, reason: GoneReason }
 *   | { type: "member_update", member: MemberInfo }
 *   | { type: "link", peer: MemberId, state: LinkState, path?: string, rtt?: number, reason?: string }
 *   | { type: "message", from: MemberId, channel: string, addressed: boolean, payload: Uint8Array }
 *   | { type: "lossy", from: MemberId, mode: Lossy, channel: string, payload: Uint8Array }
 *   | { type: "call", from: MemberId, call: number, method: string, payload: Uint8Array }
 *   | { type: "called", ticket: number, answer: Answer }
 *   | { type: "sent", ticket: number }
 *   | { type: "not_sent", ticket: number, why: NotSent }
 *   | { type: "gap", member: MemberId, addressed: boolean, from_seq: number, to_seq: number }
 *   | { type: "state", key: string, value: Json, by?: MemberId }
 *   | { type: "topology", from: string, to: string }
 *   | { type: "pin", pin?: string }
 *   | { type: "pinned", ticket: number }
 *   | { type: "not_pinned", ticket: number, why: NotPinned }
 *   | { type: "refused", code: RefusalCode, message: string, hint: string }
 *   | { type: "reconnecting", reason: string }
 *   | { type: "reconnected", resumed: boolean }
 *   | { type: "closed", code?: RefusalCode, reason: string, hint: string }
 * )} MemberEvent
 */

export {};
