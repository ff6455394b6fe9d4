// @ts-check
/**
 * Links: what the plan wants, what the two ends negotiate, what becomes of them.
 *
 * @module
 */

import { decodeCarried, encodeCarried, readAddress } from "../carried.js";
import { Forged, LinkError, neverSent } from "../courier/error.js";
import { FrameError, PacketWriter, encodeFrame } from "../frame.js";
import {
  CARRY_AFTER, CARRY_AGAIN, DESCRIPTION_MAX, DISTANCES_ABOVE, DISTANCES_TOLD, DRAIN_LOOK, DRAIN_MAX, PARTING_GRACE,
} from "../limits.js";
import { byteLength, readNegotiation } from "../wire.js";
import { publishAll } from "./app.js";
import { packetCame } from "./frames.js";
import { gone } from "./hub.js";
import { signValues } from "./vouch.js";

/** @import {MemberId} from "../id.js" */
/** @import {Freight} from "../carried.js" */
/** @import {CarryEnd, Json, LinkTo, Negotiation} from "../wire.js" */
/** @import {Core} from "./core.js" */
/** @import {LinkState} from "./io.js" */
/** @import {Do} from "./link.js" */

/**
 * Whether what the edge reports of a connection still matters.
 *
 * @param {Core} core
 * @param {{ peer: MemberId, attempt: number }} connection
 */
export function isCurrent(core, { peer, attempt }) {
  return core.peers.get(peer)?.link.isCurrent(attempt) ?? false;
}

/**
 * Whether a connection's channels are open.
 *
 * @param {Core} core
 * @param {{ peer: MemberId, attempt: number }} connection
 */
export function isUp(core, { peer, attempt }) {
  const link = core.peers.get(peer)?.link;
  return link !== undefined && link.isConnected && link.attempt === attempt;
}

/**
 * Something came over a connection: it can take the hub's place, where that carries.
 *
 * @param {Core} core
 * @param {{ peer: MemberId, attempt: number }} connection
 */
export function prove(core, { peer: id, attempt }) {
  const link = core.peers.get(id)?.link;
  if (link?.isProving(attempt)) apply(core, id, link.proved(core.now));
}

/**
 * @param {Core} core
 * @param {{ open?: LinkTo[], close?: MemberId[], eager?: MemberId[], lazy?: MemberId[] }} plan
 */
export function planned(core, { open = [], close = [], eager = [], lazy = [] }) {
  for (const { peer: id, role } of open) {
    const peer = core.peers.get(id);
    if (!peer) continue;
    peer.link.mayBeCarried = core.session.carries;
    if (peer.draining) {
      peer.draining = undefined;
      core.courier.drainNoMore(id);
      // The hub took it to be closed.
      if (peer.link.isOpen && !peer.link.suspect) core.session.report(id, "up", core.now);
    }
    apply(core, id, peer.link.plan(role, core.now));
  }
  for (const id of [...lazy, ...close]) core.eager.delete(id);
  for (const id of eager) core.eager.add(id);
  planCourier(core);
  for (const id of close) {
    const peer = core.peers.get(id);
    if (!peer) continue;
    peer.link.role = undefined;
    peer.draining = { until: core.now + DRAIN_MAX, look: core.now };
    drain(core, id);
  }
}

/**
 * Closes a link that the plan has no more, unless it is of use still.
 *
 * @param {Core} core
 * @param {MemberId} id
 */
export function drain(core, id) {
  const peer = core.peers.get(id);
  if (!peer?.draining || peer.draining.look > core.now) return;
  const { isOpen, isCarried } = peer.link;
  // What the hub carries ends with the plan.
  if (isOpen && !isCarried && peer.draining.until > core.now && core.courier.drain(core.now, id)) {
    peer.draining.look = core.now + DRAIN_LOOK;
  } else {
    closeDrained(core, id);
  }
}

/**
 * Closes a link that the plan has no more; false where it has it.
 *
 * @param {Core} core
 * @param {MemberId} id
 */
function closeDrained(core, id) {
  const peer = core.peers.get(id);
  if (!peer?.draining) return false;
  peer.draining = undefined;
  closeConnections(core, id, peer.link.giveUp());
  core.session.retract(id);
  linkEvent(core, id, "closed", "the plan has no link here any more");
  return true;
}

/**
 * Lets the courier know how the room is linked. In a mesh everybody has what others say over a link of their own, and is
 * waited for until it is there.
 *
 * @param {Core} core
 */
export function planCourier(core) {
  const { courier, now, isRelayed } = core;
  courier.plan(now, { epoch: core.session.epoch, relayed: isRelayed, eager: new Set(core.eager) });
  signValues(core);
  for (const [id, { info, offerFrom }] of core.sortedPeers()) {
    if (info.relay) continue;
    if (isRelayed) courier.expectNoMore(now, id);
    else courier.expectSince(now, id, offerFrom);
  }
}

/**
 * @param {Core} core
 * @param {MemberId} from
 * @param {number} attempt
 * @param {Json} data
 */
export function signal(core, from, attempt, data) {
  const peer = core.peers.get(from);
  // What cannot be read is the sender's mistake: its attempt will not open. It may be nested too deep to be measured.
  const negotiation = readNegotiation(data);
  if (!peer || !negotiation || byteLength(JSON.stringify(negotiation)) > DESCRIPTION_MAX) return;
  apply(core, from, peer.link.negotiate(attempt, negotiation, core.now));
}

/**
 * @param {Core} core
 * @param {MemberId} peer
 * @param {number} attempt
 * @param {Negotiation} data
 */
export function local(core, peer, attempt, data) {
  if (isCurrent(core, { peer, attempt })) tellPeer(core, peer, attempt, data);
}

/**
 * @param {Core} core
 * @param {MemberId} to
 * @param {number} attempt
 * @param {Negotiation} data
 */
function tellPeer(core, to, attempt, data) {
  if (!core.session.isJoined) return;
  core.tell({ type: "signal", to, attempt, data: /** @type {Json} */ (/** @type {unknown} */ (data)) });
}

/**
 * @param {Core} core
 * @param {MemberId} id
 * @param {number} attempt
 * @param {string} path
 */
export function linkUp(core, id, attempt, path) {
  const peer = core.peers.get(id);
  if (peer?.link.isConnecting(attempt)) apply(core, id, peer.link.up(path, core.now));
}

/**
 * Frames have a way to a peer; HELLO goes first.
 *
 * @param {Core} core
 * @param {MemberId} id
 */
function greet(core, id) {
  const peer = core.peers.get(id);
  if (!peer) return;
  peer.lossy.linkUp();
  core.courier.linkUp(core.now, id, { vouches: peer.vouches, offerFrom: peer.offerFrom });
  publishAll(core, id);
  core.dirty.add(id);
}

/**
 * The hub passes on that another member wants it to carry, or carries no more.
 *
 * @param {Core} core
 * @param {MemberId} from
 * @param {number} episode
 * @param {CarryEnd | undefined} end
 */
export function carry(core, from, episode, end) {
  const link = core.peers.get(from)?.link;
  if (!link) return;
  if (end === undefined) apply(core, from, link.asked(episode, core.now));
  else if (link.carriage.episode === episode) {
    const { reason, pause } = ENDS[end];
    endCarriage(core, from, reason, pause, false);
  }
}

/** Why the hub does not carry, in plain words, and when it may be asked again. @type {Record<CarryEnd, { reason: string, pause: number }>} */
const ENDS = {
  closed: { reason: "the other side gave up its way over the server", pause: CARRY_AFTER },
  away: { reason: "the other side has lost the server", pause: CARRY_AFTER },
  not_linked: { reason: "the plan has no link here", pause: CARRY_AGAIN },
  too_many: { reason: "the server carries no more links of this member, or of the other", pause: CARRY_AGAIN },
  too_slow: { reason: "more waited at the server than it holds", pause: CARRY_AGAIN },
};

/**
 * The way over the hub is no more; `tell`: the hub does not know.
 *
 * @param {Core} core
 * @param {MemberId} id
 * @param {string} reason
 * @param {number} pause
 * @param {boolean} tell
 */
function endCarriage(core, id, reason, pause, tell) {
  const link = core.peers.get(id)?.link;
  if (!link) return;
  const wasOpen = link.isCarried && (link.isOpen || !link.hasConnection);
  const todo = link.carriageFailed(core.now, pause, tell);
  const { isUp } = link;
  apply(core, id, todo);
  if (!wasOpen || isUp) return;
  core.session.report(id, "down", core.now);
  linkEvent(core, id, "failed", reason);
  giveUpReturning(core, id);
}

/**
 * The hub is out of reach: it carries nothing.
 *
 * @param {Core} core
 */
export function loseCarriages(core) {
  for (const [id] of core.sortedPeers()) {
    endCarriage(core, id, "the server that carried it is out of reach", 0, false);
  }
}

/**
 * Something that the hub carried.
 *
 * @param {Core} core
 * @param {Uint8Array} message
 */
export function carriedCame(core, message) {
  core.session.heard(core.now);
  let address;
  try {
    address = readAddress(message);
  } catch {
    // The hub has read this part of it.
    return;
  }
  const { peer: id, episode } = address;
  if (!core.peers.get(id)?.link.carriage.isCurrent(episode)) return;
  try {
    takeFreight(core, id, episode, decodeCarried(message).freight);
  } catch (error) {
    // The hub reads no further: that is the other end's mistake.
    if (error instanceof FrameError) endCarriage(core, id, `bad_frame: ${error.message}`, CARRY_AGAIN, true);
    else if (error instanceof LinkError) faulty(core, id, error);
    else throw error;
  }
}

/**
 * @param {Core} core
 * @param {MemberId} id
 * @param {number} episode
 * @param {Freight} freight
 * @throws {LinkError} as do the readers of frames (`FrameError`)
 */
function takeFreight(core, id, episode, freight) {
  const peer = core.peers.get(id);
  if (!peer) return;
  const { carriage } = peer.link;
  if (freight.type === "taken") {
    const left = carriage.taken(freight);
    if (!left) throw neverSent();
    peer.lossy.buffered = left.lossy;
    core.courier.buffered(id, left.reliable);
    core.dirty.add(id);
    return;
  }
  const told = carriage.received(freight.type, freight.bytes.length);
  if (told) core.outputs.push({ type: "carry", message: encodeCarried({ peer: id, episode, freight: told }) });
  packetCame(core, id, freight.type, freight.bytes);
}

/**
 * @param {Core} core
 * @param {MemberId} id
 * @param {Do[]} todo
 */
export function apply(core, id, todo) {
  for (const step of todo) {
    const peer = core.peers.get(id);
    if (!peer) return;
    const at = { peer: id, attempt: peer.link.attempt };
    switch (step.type) {
      case "open":
        core.outputs.push({ type: "open", ...at, role: step.role });
        if (!peer.link.isCarried) linkEvent(core, id, "connecting");
        break;
      case "greet":
        greet(core, id);
        break;
      case "down":
      case "close":
        closeConnections(core, id, [step]);
        break;
      case "carry":
        if (core.session.isJoined) core.tell({ type: "carry", to: id, episode: step.episode });
        break;
      case "carry_no_more":
        if (core.session.isJoined) core.tell({ type: "carry", to: id, episode: step.episode, over: true });
        break;
      case "prove": {
        const packet = new PacketWriter();
        packet.push(encodeFrame({ type: "ping", token: step.token }));
        core.outputs.push({ type: "packet", peer: id, attempt: step.attempt, lane: "lossy", bytes: packet.take() });
        break;
      }
      case "remote":
        core.outputs.push({ type: "remote", ...at, data: step.data });
        break;
      case "over":
        tellPeer(core, id, at.attempt, { over: step.yours });
        break;
      case "restart_ice":
        core.outputs.push({ type: "restart_ice", ...at });
        break;
      case "ping":
        peer.lossy.send(encodeFrame({ type: "ping", token: step.token }));
        core.dirty.add(id);
        break;
      case "suspect":
        core.courier.suspect(core.now, id, true);
        core.session.report(id, "suspect", core.now);
        linkEvent(core, id, "suspect", "nothing was heard for a while");
        giveUpReturning(core, id);
        break;
      case "fail":
        failLink(core, id, step.reason);
        break;
      case "fail_carriage":
        endCarriage(core, id, step.reason, CARRY_AFTER, true);
        break;
    }
  }
}

/**
 * Ends what frames went over. The hub knows that it carries them no more.
 *
 * @param {Core} core
 * @param {MemberId} peer
 * @param {Do[]} todo
 */
export function closeConnections(core, peer, todo) {
  for (const step of todo) {
    if (step.type === "down") {
      // Others may be asked that there is no link to yet.
      core.courier.hope(true);
      core.courier.linkDown(core.now, peer);
    } else if (step.type === "close") core.outputs.push({ type: "close", peer, attempt: step.attempt });
  }
}

/**
 * @param {Core} core
 * @param {MemberId} id
 * @param {string} reason
 */
export function failLink(core, id, reason) {
  if (closeDrained(core, id)) return giveUpReturning(core, id);
  if (!endConnection(core, id, 0)) return;
  linkEvent(core, id, "failed", reason);
  giveUpReturning(core, id);
  if (!core.isRelayed) core.courier.detour(core.now, id);
}

/**
 * The peer broke the rules: its link is cut. Where it forged that is said to the hub, and the link stays closed for a while.
 *
 * @param {Core} core
 * @param {MemberId} id
 * @param {LinkError} error
 */
export function faulty(core, id, error) {
  const peer = core.peers.get(id);
  if (!peer) return;
  if (error instanceof Forged) {
    peer.link.rest(core.now);
    core.session.accuse(id, core.now);
  }
  const { isCarried } = peer.link;
  if (!isCarried || error instanceof Forged) failLink(core, id, error.message);
  if (isCarried) endCarriage(core, id, error.message, CARRY_AGAIN, true);
}

/**
 * The peer closed the link. Where it is leaving, that it left is all that the application hears.
 *
 * @param {Core} core
 * @param {MemberId} id
 * @param {string} reason
 */
export function partLink(core, id, reason) {
  if (closeDrained(core, id)) return giveUpReturning(core, id);
  if (!endConnection(core, id, PARTING_GRACE)) return;
  const peer = core.peers.get(id);
  if (peer) peer.parting = { until: core.now + PARTING_GRACE, reason };
  giveUpReturning(core, id);
}

/**
 * The peer that closed its link stays: the link has failed.
 *
 * @param {Core} core
 * @param {MemberId} id
 */
export function tellParted(core, id) {
  const parting = core.peers.get(id)?.parting;
  if (parting && parting.until <= core.now) linkEvent(core, id, "failed", parting.reason);
}

/**
 * Whether the link ended with its connection: the hub may carry its frames.
 *
 * @param {Core} core
 * @param {MemberId} id
 * @param {number} grace
 */
function endConnection(core, id, grace) {
  const jitter = core.session.jitter();
  const link = core.peers.get(id)?.link;
  if (!link) return false;
  const todo = link.failed(core.now, jitter, grace);
  const { isCarried } = link;
  closeConnections(core, id, todo);
  if (!isCarried) core.session.report(id, "down", core.now);
  return !isCarried;
}

/**
 * Tells the hub how far the other ends of links are, as far as that is news.
 *
 * @param {Core} core
 */
export function tellRtts(core) {
  const news = core.sortedPeers().filter(([, { link }]) => link.rttNews !== undefined);
  const told = news.slice(0, DISTANCES_TOLD).map(([id, { link }]) => [id, (link.toldMs = link.rttNews)]);
  if (news.length > told.length) core.session.measured(core.now);
  if (told.length > 0) core.tell({ type: "links", rtt: Object.fromEntries(told) });
}

/**
 * The hub may know nothing of what it was told.
 *
 * @param {Core} core
 */
export function forgetToldRtts(core) {
  for (const { link } of core.peers.values()) link.toldMs = undefined;
  core.session.forgetToldRtts();
  for (const id of core.peers.keys()) lookForRttNews(core, id);
}

/**
 * The hub is to be told of a link soon, where that is news to it and the room is large enough.
 *
 * @param {Core} core
 * @param {MemberId} id
 */
export function lookForRttNews(core, id) {
  if (core.peers.get(id)?.link.rttNews !== undefined && core.peers.size > DISTANCES_ABOVE) core.session.measured(core.now);
}

/**
 * A member that a restarted hub does not list is believed in only while its link lives.
 *
 * @param {Core} core
 * @param {MemberId} id
 */
function giveUpReturning(core, id) {
  const peer = core.peers.get(id);
  // One that was reached over the hub alone has no link before it is back.
  if (peer?.returning !== undefined && !peer.link.wasCarried) gone(core, id, "crashed");
}

/**
 * @param {Core} core
 * @param {MemberId} id
 * @param {LinkState} state
 * @param {string} [reason]
 */
export function linkEvent(core, id, state, reason) {
  const peer = core.peers.get(id);
  if (!peer) return;
  // Whatever is news of the link makes old what was to be said of it.
  peer.parting = undefined;
  const measured = state === "open" ? { path: peer.link.path, rtt: peer.link.rtt } : {};
  core.event({ type: "link", peer: id, state, ...measured, reason });
}
