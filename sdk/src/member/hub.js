// @ts-check
/**
 * What the hub says, and coming back to it.
 *
 * @module
 */

import { CARRIED_RETURN, DEPARTED_MAX, PARTING_WORDS, RECONNECT_MAX, RESUME_WINDOW } from "../limits.js";
import { mayReturn } from "../wire.js";
import { callFailed, publishAll } from "./app.js";
import { Peer } from "./core.js";
import { hearEarly, routed } from "./frames.js";
import { carry, closeConnections, forgetToldRtts, linkEvent, loseCarriages, planCourier, planned, signal } from "./links.js";
import { sortedEntries } from "./order.js";

/** @import {MemberId} from "../id.js" */
/** @import {Attributes, ClientMessage, GoneReason, Json, MemberInfo, RefusalCode, Refused, ServerMessage, Welcome} from "../wire.js" */
/** @import {Core} from "./core.js" */
/** @import {Beginning} from "../courier/stream.js" */

/** @param {Core} core */
export function connected(core) {
  if (core.session.state !== "connecting") return;
  const open = core.sortedPeers().filter(([, { link, draining }]) => link.isOpen && !link.suspect && !draining);
  core.tell(core.session.join(core.id, open.map(([id]) => id), core.courier.next, core.now));
}

/**
 * @param {Core} core
 * @param {RefusalCode | undefined} code
 * @param {string} reason
 */
export function disconnected(core, code, reason) {
  const { session } = core;
  if (session.state === "pause") return;
  const { refusal } = session;
  session.refusal = undefined;
  const refused = refusal?.code ?? code;
  const giveUp = () => close(core, refused, refusal ? refusal.message : reason, refusal ? refusal.hint : "");
  if (refused && !mayReturn(refused)) {
    session.state = "pause";
    session.until = core.now;
    giveUp();
    return;
  }
  const joined = session.isJoined;
  const until = session.lost(core.now);
  forgetPins(core, "unreachable");
  if (joined) core.event({ type: "reconnecting", reason });
  else if (session.hub === undefined && until > session.enterBy) {
    // A server that says why it does not let the member in was reached.
    if (refused) giveUp();
    else giveUpEntering(core, reason);
  }
  loseCarriages(core);
}

/**
 * @param {Core} core
 * @param {string} reason
 */
export function giveUpEntering(core, reason) {
  close(core, undefined, `the server could not be reached: ${reason}`, "check the address and that the server runs");
}

/** What a hub says also to a member that it has not welcomed on this socket. */
const BEFORE_WELCOME = ["welcome", "refused", "closing", "ping", "pong"];

/**
 * @param {Core} core
 * @param {ServerMessage} message
 */
export function hubSaid(core, message) {
  const { session } = core;
  session.heard(core.now);
  if (!session.isJoined && !BEFORE_WELCOME.includes(message.type)) return;
  switch (message.type) {
    case "welcome":
      if (session.state === "joining") welcomed(core, message);
      break;
    case "member": {
      const { type: _, next, ...info } = message;
      entered(core, info, next ?? 1);
      break;
    }
    case "gone":
      gone(core, message.id, message.reason);
      break;
    case "update":
      updated(core, message.id, message.attributes, message.op);
      break;
    case "links":
      planned(core, message);
      break;
    case "signal":
      signal(core, message.from, message.attempt, message.data);
      break;
    case "state":
      if (message.by === core.id) session.confirmed(message.op);
      stateChanged(core, message.key, message.value, message.version, message.by);
      break;
    case "topology":
      pinIs(core, message.pin);
      session.epoch = message.epoch;
      topologyIs(core, message.to);
      planCourier(core);
      // What an origin had no link to bring to somebody, its neighbours bring now.
      for (const [id, { link }] of core.sortedPeers()) {
        if (!link.isOpen) continue;
        publishAll(core, id);
        core.dirty.add(id);
      }
      break;
    case "pinned":
      pinned(core, message.pin, message.refused);
      break;
    case "route":
      routed(core, message.to, message.path);
      break;
    case "carry":
      carry(core, message.from, message.episode, message.over);
      break;
    case "refused":
      if (message.fatal) session.refusal = message;
      else core.event({ type: "refused", code: message.code, message: message.message, hint: message.hint });
      break;
    case "closing":
      session.retry = Math.min(1_000 * message.retry_ms, RECONNECT_MAX);
      break;
    case "ping":
      core.tell({ type: "pong" });
      break;
    case "pong":
      break;
  }
}

/**
 * @param {Core} core
 * @param {Welcome} welcome
 */
function welcomed(core, welcome) {
  const before = core.session.hub;
  const again = core.session.welcomed(welcome, core.now);
  core.meter.welcomed(core.now, welcome.resumed);
  core.self = welcome.self;
  if (before === undefined) joined(core, welcome);
  else rejoined(core, welcome, before === welcome.hub);
  forgetToldRtts(core);
  core.eager.clear();
  planned(core, { open: welcome.links, eager: welcome.eager });
  for (const message of again) core.tell(message);
  if (core.drainBy !== undefined) core.tell({ type: "drain" });
}

/**
 * @param {Core} core
 * @param {Welcome} welcome
 */
function joined(core, { self, room, members, topology, pin, admin, state }) {
  if (core.session.config.key !== undefined) core.courier.sign(room);
  core.session.topology = topology;
  core.session.wanted = pin;
  core.session.roomState = new Map(Object.entries(state));
  for (const info of members) entered(core, info, "before");
  core.courier.metAll();
  const people = members.filter(({ relay }) => !relay);
  core.event({ type: "joined", self, members: people, topology, ...(pin !== undefined && { pin }), ...(admin && { admin }), state });
}

/**
 * @param {Core} core
 * @param {Welcome} welcome
 * @param {boolean} sameHub
 */
function rejoined(core, welcome, sameHub) {
  core.event({ type: "reconnected", resumed: welcome.resumed });
  pinIs(core, welcome.pin);
  topologyIs(core, welcome.topology);
  const listed = new Set(welcome.members.map(({ id }) => id));
  const wanted = new Set(welcome.links.map(({ peer }) => peer));
  for (const [id] of core.sortedPeers()) {
    const peer = core.peers.get(id);
    if (!peer || listed.has(id)) continue;
    if (sameHub) gone(core, id, "left");
    else if (peer.link.isOpen && !peer.link.suspect) peer.returning ??= core.now + RESUME_WINDOW;
    else if (peer.link.wasCarried) peer.returning ??= core.now + CARRIED_RETURN;
    else gone(core, id, "crashed");
  }
  // To a hub that knew this member, whoever entered meanwhile has said everything to this member, too.
  for (const info of welcome.members) entered(core, info, sameHub ? 1 : "anywhere");
  const unwanted = core
    .sortedPeers()
    .filter(([id, { link }]) => listed.has(id) && !wanted.has(id) && link.role !== undefined);
  planned(core, { close: unwanted.map(([id]) => id) });
  learnState(core, new Map(Object.entries(welcome.state)));
}

/**
 * The hub's state is the state: what it does not have is gone, and what it has stands, also where this member had a later
 * entry: it may not have been let write it, or had no room for it in its `join`.
 *
 * @param {Core} core
 * @param {Map<string, { value: Json, version: number }>} state
 */
function learnState(core, state) {
  for (const [key] of sortedEntries(core.session.roomState)) {
    if (state.has(key)) continue;
    core.session.roomState.delete(key);
    core.event({ type: "state", key, value: null });
  }
  for (const [key, { value, version }] of sortedEntries(state)) {
    if ((core.session.roomState.get(key)?.version ?? 0) > version) core.session.roomState.delete(key);
    stateChanged(core, key, value, version);
  }
}

/**
 * Somebody is in the room. Who was there before this member is part of what it finds, and no news.
 *
 * @param {Core} core
 * @param {MemberInfo} info
 * @param {Beginning} beginning
 */
function entered(core, info, beginning) {
  const { id, key } = info;
  if (id === core.id) return;
  const peer = core.peers.get(id);
  if (peer) {
    peer.returning = undefined;
    // A session has one key.
    if (peer.info.key !== undefined) info = { ...info, key: peer.info.key };
    if (isSame(peer.info, info)) return;
    peer.info = info;
    if (!info.relay) core.event({ type: "member_update", member: info });
    return;
  }
  const known = core.departed.get(id);
  core.departed.delete(id);
  parted(core, id);
  core.courier.entered(core.now, id, beginning);
  core.peers.set(id, new Peer(core, info, beginning === "before", known));
  if (key !== undefined) core.courier.key(core.now, id, key);
  if (core.peers.size > 1) core.courier.inCompany();
  if (!core.isRelayed && !info.relay) core.courier.expect(core.now, id);
  if (beginning !== "before" && !info.relay) core.event({ type: "member_join", member: info });
  hearEarly(core, id);
}

/**
 * @param {Core} core
 * @param {MemberId} id
 * @param {GoneReason} reason
 */
export function gone(core, id, reason) {
  const peer = core.peers.get(id);
  if (!peer) return;
  if (peer.info.relay && (peer.link.role !== undefined || peer.draining)) {
    // Applications are told of a relay's link, and not that the relay is gone.
    linkEvent(core, id, "closed", "the relay is gone");
  }
  core.peers.delete(id);
  if (core.departed.size >= DEPARTED_MAX) {
    const [oldest] = core.departed.keys();
    core.departed.delete(oldest);
  }
  peer.heard.remember();
  core.departed.set(id, { attempt: peer.link.attempt, mine: peer.link.mine, heard: peer.heard, since: peer.since });
  core.session.forget(id);
  core.unrouted.delete(id);
  core.eager.delete(id);
  core.dirty.delete(id);
  closeConnections(core, id, peer.link.giveUp());
  for (const ticket of core.calls.memberLeft(id)) {
    callFailed(core, ticket, "member_left", "the member left before it answered");
  }
  const until = core.isRelayed ? core.now + PARTING_WORDS : core.now;
  core.courier.gone(core.now, id);
  core.leaving.set(id, { info: peer.info, reason, until });
  if (until <= core.now) parted(core, id);
}

/**
 * A member that is gone has said its last word.
 *
 * @param {Core} core
 * @param {MemberId} id
 */
export function parted(core, id) {
  const leaving = core.leaving.get(id);
  if (!leaving) return;
  core.leaving.delete(id);
  for (const ticket of core.courier.forget(core.now, id)) core.event({ type: "not_sent", ticket, why: "unknown_member" });
  if (leaving.info.relay) return;
  core.event({ type: "member_leave", member: leaving.info, reason: leaving.reason });
}

/**
 * @param {Core} core
 * @param {MemberId} id
 * @param {Attributes} attributes
 * @param {number} op
 */
function updated(core, id, attributes, op) {
  if (id === core.id) {
    core.session.confirmed(op);
    core.session.attributesAre(attributes);
    if (!core.self) return;
    core.self = { ...core.self, attributes };
    if (!core.self.relay) core.event({ type: "member_update", member: core.self });
    return;
  }
  const peer = core.peers.get(id);
  if (!peer) return;
  peer.info = { ...peer.info, attributes };
  if (!peer.info.relay) core.event({ type: "member_update", member: peer.info });
}

/**
 * @param {Core} core
 * @param {string} key
 * @param {Json} value
 * @param {number} version
 * @param {MemberId} [by]
 */
function stateChanged(core, key, value, version, by) {
  const entry = core.session.roomState.get(key);
  if (entry && entry.version >= version) return;
  core.session.roomState.set(key, { value, version });
  core.event({ type: "state", key, value, by });
}

/**
 * @param {Core} core
 * @param {string} to
 */
function topologyIs(core, to) {
  const from = core.session.topology;
  if (from === to) return;
  core.session.topology = to;
  core.event({ type: "topology", from, to });
}

/**
 * @param {Core} core
 * @param {string | undefined} pin
 */
function pinIs(core, pin) {
  if (core.session.wanted === pin) return;
  core.session.wanted = pin;
  core.event({ type: "pin", ...(pin !== undefined && { pin }) });
}

/**
 * Tells the hub how the room should be linked.
 *
 * @param {Core} core
 * @param {number} ticket
 * @param {string} topology
 */
export function pin(core, ticket, topology) {
  if (!core.session.isJoined) {
    core.event({ type: "not_pinned", ticket, why: "unreachable" });
    return;
  }
  const message = core.session.pin(ticket, topology);
  if (message) {
    core.tell(message);
    return;
  }
  const refused = {
    code: /** @type {const} */ ("rate_limited"),
    message: "too many changes of topology wait for the server's answer",
    hint: "await one before the next",
  };
  core.event({ type: "not_pinned", ticket, why: { refused } });
}

/**
 * @param {Core} core
 * @param {string} word
 * @param {Omit<Refused, "type">} [refused]
 */
function pinned(core, word, refused) {
  const ticket = core.session.pinned(word);
  if (ticket === undefined) return;
  if (!refused) {
    core.event({ type: "pinned", ticket });
    return;
  }
  const { code, message, hint } = refused;
  core.event({ type: "not_pinned", ticket, why: { refused: { code, message, hint } } });
}

/**
 * Nobody will answer the wishes that wait.
 *
 * @param {Core} core
 * @param {"unreachable" | "closed"} why
 */
function forgetPins(core, why) {
  for (const ticket of core.session.unpinned()) core.event({ type: "not_pinned", ticket, why });
}

/**
 * @param {Core} core
 * @param {ClientMessage | undefined} change
 */
export function tellChange(core, change) {
  if (!change) {
    core.event({
      type: "refused",
      code: "rate_limited",
      message: "too many changes wait for the server to confirm them",
      hint: "make fewer changes, or wait until the server is back",
    });
  } else if (core.session.isJoined) {
    core.tell(change);
  }
  // Else it goes out with the next welcome.
}

/**
 * Ends everything.
 *
 * @param {Core} core
 * @param {RefusalCode | undefined} code
 * @param {string} reason
 * @param {string} hint
 */
export function close(core, code, reason, hint) {
  const { session } = core;
  if (session.state === "closed") return;
  // The `join` may have been taken, though its answer is still on its way.
  if (session.isJoined || session.state === "joining") core.tell({ type: "leave" });
  if (session.state !== "pause") core.outputs.push({ type: "disconnect" });
  session.state = "closed";
  const unsent = core.courier.close();
  const peers = core.sortedPeers();
  core.peers.clear();
  for (const [id, peer] of peers) closeConnections(core, id, peer.link.giveUp());
  for (const ticket of unsent) core.event({ type: "not_sent", ticket, why: "closed" });
  for (const ticket of core.calls.close()) {
    callFailed(core, ticket, "closed", "the room was left before the answer came");
  }
  forgetPins(core, "closed");
  core.dirty.clear();
  core.event({ type: "closed", code, reason, hint });
}

/**
 * @param {MemberInfo} a
 * @param {MemberInfo} b
 */
function isSame(a, b) {
  const [ours, theirs] = [Object.entries(a.attributes), new Map(Object.entries(b.attributes))];
  return (
    a.name === b.name &&
    a.identity === b.identity &&
    (a.mute ?? false) === (b.mute ?? false) &&
    (a.relay ?? false) === (b.relay ?? false) &&
    ours.length === theirs.size &&
    ours.every(([key, value]) => theirs.get(key) === value)
  );
}
