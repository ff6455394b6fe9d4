// @ts-check
/**
 * Links: what the plan wants, what the two ends negotiate, what becomes of them.
 *
 * @module
 */

import { DESCRIPTION_MAX, ENTRY_MARGIN, PARTING_GRACE } from "../limits.js";
import { Forged } from "../courier/error.js";
import { encodeFrame } from "../frame.js";
import { byteLength, readNegotiation } from "../wire.js";
import { publishAll } from "./app.js";
import { gone } from "./hub.js";
import { signValues } from "./vouch.js";

/** @import {MemberId} from "../id.js" */
/** @import {Json, LinkTo, Negotiation} from "../wire.js" */
/** @import {LinkError} from "../courier/error.js" */
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
  return link !== undefined && link.isUp && link.attempt === attempt;
}

/**
 * @param {Core} core
 * @param {{ open?: LinkTo[], close?: MemberId[], eager?: MemberId[], lazy?: MemberId[] }} plan
 */
export function planned(core, { open = [], close = [], eager = [], lazy = [] }) {
  for (const { peer: id, role } of open) {
    const peer = core.peers.get(id);
    if (peer) apply(core, id, peer.link.plan(role, core.now));
  }
  for (const id of [...lazy, ...close]) core.eager.delete(id);
  for (const id of eager) core.eager.add(id);
  planCourier(core);
  for (const id of close) {
    const peer = core.peers.get(id);
    if (!peer) continue;
    peer.link.role = undefined;
    closeConnections(core, id, peer.link.giveUp());
    linkEvent(core, id, "closed", "the plan has no link here any more");
  }
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
  for (const [id, { info }] of core.sortedPeers()) {
    if (info.relay) continue;
    if (isRelayed) courier.expectNoMore(now, id);
    else courier.expect(now, id);
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
  if (!isCurrent(core, { peer, attempt }) || !core.session.isJoined) return;
  core.tell({ type: "signal", to: peer, attempt, data: /** @type {Json} */ (/** @type {unknown} */ (data)) });
}

/**
 * @param {Core} core
 * @param {MemberId} id
 * @param {number} attempt
 * @param {string} path
 */
export function linkUp(core, id, attempt, path) {
  const peer = core.peers.get(id);
  if (!peer?.link.isConnecting(attempt)) return;
  peer.link.up(path, core.now);
  peer.lossy.linkUp();
  const offerFrom = peer.elder ? undefined : Math.max(0, peer.since - ENTRY_MARGIN);
  core.courier.linkUp(core.now, id, { vouches: peer.elder && core.isRelayed, offerFrom });
  publishAll(core, id);
  core.dirty.add(id);
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
        linkEvent(core, id, "connecting");
        break;
      case "close":
        closeConnections(core, id, [step]);
        break;
      case "remote":
        core.outputs.push({ type: "remote", ...at, data: step.data });
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
    }
  }
}

/**
 * @param {Core} core
 * @param {MemberId} peer
 * @param {Do[]} todo
 */
export function closeConnections(core, peer, todo) {
  for (const step of todo) {
    if (step.type !== "close") continue;
    core.courier.linkDown(core.now, peer);
    core.outputs.push({ type: "close", peer, attempt: step.attempt });
  }
}

/**
 * @param {Core} core
 * @param {MemberId} id
 * @param {string} reason
 */
export function failLink(core, id, reason) {
  endLink(core, id, 0);
  linkEvent(core, id, "failed", reason);
  giveUpReturning(core, id);
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
  failLink(core, id, error.message);
}

/**
 * The peer closed the link. Where it is leaving, that it left is all that the application hears.
 *
 * @param {Core} core
 * @param {MemberId} id
 * @param {string} reason
 */
export function partLink(core, id, reason) {
  endLink(core, id, PARTING_GRACE);
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
 * @param {Core} core
 * @param {MemberId} id
 * @param {number} grace
 */
function endLink(core, id, grace) {
  const jitter = core.session.jitter();
  const peer = core.peers.get(id);
  if (!peer) return;
  closeConnections(core, id, peer.link.failed(core.now, jitter, grace));
  core.session.report(id, "down", core.now);
}

/**
 * A member that a restarted hub does not list is believed in only while its link lives.
 *
 * @param {Core} core
 * @param {MemberId} id
 */
function giveUpReturning(core, id) {
  if (core.peers.get(id)?.returning !== undefined) gone(core, id, "crashed");
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
