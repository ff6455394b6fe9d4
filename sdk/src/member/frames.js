// @ts-check
/**
 * Frames: what comes over a link, and what is put together to go over it.
 *
 * @module
 */

import { encodeCarried } from "../carried.js";
import { wrongLane } from "../courier/error.js";
import { encodeFrame, framesIn, framesOf } from "../frame.js";
import { CONNECT_TIMEOUT, EARLY_BYTES, EARLY_MAX, ROUTE_EVERY, ROUTE_MAX } from "../limits.js";
import { passOn } from "./app.js";
import { trySplit } from "./call.js";
import { apply, faulty, isUp, linkEvent, lookForRttNews } from "./links.js";
import { isOverTurn } from "./traffic.js";
import { lossySaid } from "./vouch.js";

/** @import {Datagram, Frame, Latest} from "../frame.js" */
/** @import {MemberId} from "../id.js" */
/** @import {Core, Early, Peer} from "./core.js" */
/** @import {Lane, Lossy} from "./io.js" */

/**
 * @param {Core} core
 * @param {MemberId} id
 * @param {Lane} lane
 * @param {Uint8Array} bytes
 * @throws {import("../courier/error.js").LinkError} as do the readers of frames (`FrameError`)
 */
export function packetCame(core, id, lane, bytes) {
  const peer = core.peers.get(id);
  if (!peer) return;
  if (peer.link.heard(core.now) && peer.link.isOpen) {
    core.courier.suspect(core.now, id, false);
    core.session.report(id, "up", core.now);
    linkEvent(core, id, "open");
  }
  if (lane === "reliable") {
    for (const frame of framesIn(bytes)) core.courier.frame(core.now, id, frame);
  } else {
    // The lanes race: what comes before HELLO is sent again, or was free to get lost.
    for (const { frame } of framesOf(bytes)) if (peer.link.isOpen) lossyFrame(core, id, frame);
  }
  core.dirty.add(id);
}

/**
 * Takes what the courier has to say.
 *
 * @param {Core} core
 */
export function hearCourier(core) {
  for (let event; (event = core.courier.pollEvent()); ) {
    switch (event.type) {
      case "open":
        greeted(core, event.peer);
        break;
      case "sent":
        core.event({ type: "sent", ticket: event.ticket });
        break;
      case "message":
        messageCame(core, { from: event.origin, addressed: event.addressed, head: event.head, payload: event.payload });
        break;
      case "sign":
      case "verify":
        core.outputs.push(event);
        break;
      case "faulty":
        faulty(core, event.peer, event.error);
        break;
      case "gap": {
        const { origin: member, addressed, from, to } = event;
        // Of somebody who left before this member came there is nothing to tell.
        if (!core.peers.has(member) && !core.leaving.has(member)) break;
        core.event({ type: "gap", member, addressed, from_seq: from, to_seq: to });
        break;
      }
      case "unreached":
        core.session.lack(event.origin, core.now);
        break;
      case "unroutable":
        // Where the plan has a link there will be one, mostly.
        core.unrouted.set(event.to, core.now + (isPlanned(core, event.to) ? CONNECT_TIMEOUT : 0));
        askWays(core);
        break;
    }
  }
}

/**
 * Whether the plan has a link to a member, though it may not be open.
 *
 * @param {Core} core
 * @param {MemberId} id
 */
function isPlanned(core, id) {
  return core.peers.get(id)?.link.role !== undefined;
}

/**
 * Asks the hub by whom what is said to others is passed on.
 *
 * @param {Core} core
 */
export function askWays(core) {
  if (!core.session.isJoined) return;
  const due = [...core.unrouted].filter(([, at]) => at <= core.now).map(([to]) => to);
  for (const to of due.sort()) {
    core.unrouted.set(to, core.now + ROUTE_EVERY);
    core.tell({ type: "route", to });
  }
}

/**
 * The hub knows a way, or none.
 *
 * @param {Core} core
 * @param {MemberId} to
 * @param {MemberId[]} path
 */
export function routed(core, to, path) {
  const wanted = core.unrouted.has(to) && path.length <= ROUTE_MAX;
  // Where it breaks the courier asks for another.
  if (wanted && core.courier.route(core.now, to, path)) core.unrouted.delete(to);
}

/**
 * @param {Core} core
 * @param {MemberId} id
 */
function greeted(core, id) {
  core.unrouted.delete(id);
  const peer = core.peers.get(id);
  if (!peer) return;
  peer.link.greeted(core.now);
  if (isOverTurn(peer.link.path)) core.meter.watch(core.now);
  core.session.report(id, "up", core.now);
  linkEvent(core, id, "open");
  apply(core, id, peer.link.tick(core.now, core.session.isJoined));
}

/**
 * @param {Core} core
 * @param {MemberId} id
 * @param {Frame} frame
 */
function lossyFrame(core, id, frame) {
  const peer = core.peers.get(id);
  if (!peer) return;
  switch (frame.type) {
    case "ping":
      peer.lossy.send(encodeFrame({ type: "pong", token: frame.token }));
      return;
    case "pong":
      if (!peer.link.ponged(frame.token, core.now)) return;
      if (peer.link.rtt !== undefined) core.courier.measured(id, peer.link.rtt);
      lookForRttNews(core, id);
      linkEvent(core, id, "open");
      return;
    case "seen":
      peer.lossy.acknowledged(frame.origin, frame.channel, frame.seq);
      return;
    case "latest":
    case "datagram":
      lossySaid(core, id, frame);
      return;
  }
  throw wrongLane();
}

/**
 * A lossy message is known to be its origin's. Whether it can be passed on: `isVouched`.
 *
 * @param {Core} core
 * @param {MemberId} by
 * @param {Latest | Datagram} frame
 * @param {boolean} isVouched
 */
export function lossyCame(core, by, frame, isVouched) {
  const { type: mode, stream: { origin: from }, seq, channel, payload } = frame;
  const origin = core.peers.get(from);
  if (mode === "datagram") {
    if (!origin?.heard.datagram(seq, payload.length)) return;
    if (isVouched) passOn(core, by, frame);
    lossy(core, origin, mode, frame);
    return;
  }
  const lacked = frame.signature !== undefined && origin?.heard.lacks(channel, seq);
  // Whoever it is, it will be sent again when the hub has told of it.
  const unknown = from === core.id ? "again" : "refused";
  const came = origin ? origin.heard.value(channel, seq, payload.length) : unknown;
  const peer = core.peers.get(by);
  peer?.lossy.acknowledged(from, channel, seq);
  if (came !== "refused") peer?.lossy.send(encodeFrame({ type: "seen", origin: from, seq, channel }));
  if (isVouched && (came === "fresh" || lacked)) passOn(core, by, frame);
  if (origin && came === "fresh") lossy(core, origin, mode, frame);
}

/**
 * Hands a lossy message to the application, unless its sender may not send.
 *
 * @param {Core} core
 * @param {Peer} origin
 * @param {Lossy} mode
 * @param {Latest | Datagram} frame
 */
function lossy(core, origin, mode, { channel, payload }) {
  if (origin.info.mute || core.isRelay) origin.heard.consumed(payload.length);
  else core.event({ type: "lossy", from: origin.info.id, mode, channel, payload });
}

/**
 * Hands on what came before the hub's word that its sender is here.
 *
 * @param {Core} core
 * @param {MemberId} from
 */
export function hearEarly(core, from) {
  if (core.early.length === 0) return;
  const early = core.early.take();
  for (const message of early) if (message.from !== from) core.early.push(message);
  for (const message of early) if (message.from === from) messageCame(core, message);
}

/**
 * @param {Core} core
 * @param {Early} message
 */
function keepEarly({ early }, message) {
  early.push(message);
  let bytes = 0;
  for (let place = 0; place < early.length; place++) bytes += early.at(place)?.payload.length ?? 0;
  while (early.length > EARLY_MAX || bytes > EARLY_BYTES) bytes -= early.shift()?.payload.length ?? bytes;
}

/**
 * @param {Core} core
 * @param {Early} message
 */
function messageCame(core, message) {
  const { from, addressed, head, payload } = message;
  const info = (core.peers.get(from) ?? core.leaving.get(from))?.info;
  if (!info) {
    keepEarly(core, message);
    return;
  }
  // A relay has passed it on; it keeps nothing of it.
  if (info.mute || core.isRelay) return;
  const { kind, channel } = head;
  if (kind === "message") {
    core.courier.hold(from, payload.length);
    core.event({ type: "message", from, channel, addressed, payload });
    return;
  }
  // Calls and answers that are not addressed, or not numbered, mean nothing.
  if (!addressed) return;
  if (kind === "call") {
    const split = trySplit(payload);
    if (!split) return;
    const [call, argument] = split;
    core.courier.hold(from, argument.length);
    core.event({ type: "call", from, call, method: channel, payload: argument });
    return;
  }
  const answered = core.calls.answered(from, kind, payload);
  if (answered) core.event({ type: "called", ...answered });
}

/**
 * @param {Core} core
 * @param {MemberId} from
 * @param {number} bytes
 * @param {boolean} lossy
 */
export function consumed(core, from, bytes, lossy) {
  if (lossy) core.peers.get(from)?.heard.consumed(bytes);
  else core.courier.consumed(core.now, from, bytes);
}

/**
 * @param {Core} core
 * @param {{ peer: MemberId, attempt: number, lane: Lane, bytes: number }} input
 */
export function buffered(core, input) {
  const peer = core.peers.get(input.peer);
  // A connection beside the hub's way does not count.
  if (!peer || !isUp(core, input)) return;
  if (input.lane === "reliable") core.courier.buffered(input.peer, input.bytes);
  else peer.lossy.buffered = input.bytes;
  core.dirty.add(input.peer);
}

/**
 * Puts together what can be sent to a peer now.
 *
 * @param {Core} core
 * @param {MemberId} id
 */
export function pump(core, id) {
  const peer = core.peers.get(id);
  if (!peer?.link.isUp) return;
  for (let bytes; (bytes = core.courier.nextPacket(core.now, id)); ) sendPacket(core, id, peer, "reliable", bytes);
  if (!peer.link.isOpen) return;
  for (let bytes; (bytes = peer.lossy.nextPacket(peer.link.rtt, core.now)); ) sendPacket(core, id, peer, "lossy", bytes);
}

/**
 * @param {Core} core
 * @param {MemberId} id
 * @param {Peer} peer
 * @param {Lane} lane
 * @param {Uint8Array<ArrayBuffer>} bytes
 */
function sendPacket(core, id, { link }, lane, bytes) {
  if (!link.isCarried) {
    core.outputs.push({ type: "packet", peer: id, attempt: link.attempt, lane, bytes });
    return;
  }
  link.carriage.sent(lane, bytes.length);
  const { episode } = link.carriage;
  core.outputs.push({ type: "carry", message: encodeCarried({ peer: id, episode, freight: { type: lane, bytes } }) });
}
