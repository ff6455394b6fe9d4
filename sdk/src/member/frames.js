// @ts-check
/**
 * Frames: what comes over a link, and what is put together to go over it.
 *
 * @module
 */

import { VERSION, encodeFrame, framesOf } from "../frame.js";
import { fillAddressed, trimRoom } from "./app.js";
import { trySplit } from "./call.js";
import { apply, isCurrent, linkEvent } from "./links.js";
import { LinkError } from "../courier/error.js";

/** @import {Frame, Head, Holding, Stream} from "../frame.js" */
/** @import {MemberId} from "../id.js" */
/** @import {Core} from "./core.js" */
/** @import {Lane} from "./io.js" */
/** @import {Lost} from "../courier/window.js" */

/**
 * @param {Core} core
 * @param {MemberId} id
 * @param {Lane} lane
 * @param {Uint8Array} bytes
 * @throws {LinkError} as do the readers of frames (`FrameError`)
 */
export function packetCame(core, id, lane, bytes) {
  const from = core.peers.get(id);
  if (!from) return;
  if (from.link.heard(core.now) && from.link.isOpen) {
    core.session.report(id, "up", core.now);
    linkEvent(core, id, "open");
  }
  for (const { frame, length } of framesOf(bytes)) {
    // A frame's consequences may end the link; what follows it is then of no use.
    const peer = core.peers.get(id);
    if (!peer) return;
    if (lane === "lossy") {
      // The lanes race: what comes before HELLO is sent again, or was free to get lost.
      if (peer.link.isOpen) lossyFrame(core, id, frame);
    } else if (peer.link.isOpen) {
      reliableFrame(core, id, frame, length);
    } else if (frame.type === "hello") {
      hello(core, id, frame.version, frame.credit, frame.holdings);
    } else {
      throw helloOutOfPlace();
    }
  }
  const peer = core.peers.get(id);
  if (!peer) return;
  peer.flow.grant();
  core.dirty.add(id);
}

/**
 * @param {Core} core
 * @param {MemberId} id
 * @param {number} version
 * @param {number} credit
 * @param {Holding[]} holdings
 */
function hello(core, id, version, credit, holdings) {
  if (version !== VERSION) throw new LinkError(`bad_frame: version ${version}`);
  const peer = core.peers.get(id);
  if (!peer) return;
  const [room, addressed] = peer.flow.hello(core.room, credit, holdings, core.now);
  peer.link.greeted(core.now);
  core.session.report(id, "up", core.now);
  linkEvent(core, id, "open");
  gap(core, id, false, room);
  gap(core, id, true, addressed);
  acknowledged(core, id);
  apply(core, id, peer.link.tick(core.now, core.session.isJoined));
}

/**
 * @param {Core} core
 * @param {MemberId} id
 * @param {Frame} frame
 * @param {number} length
 */
function reliableFrame(core, id, frame, length) {
  const peer = core.peers.get(id);
  if (!peer) return;
  switch (frame.type) {
    case "data": {
      const addressed = frame.stream.to !== undefined;
      const { lost, message } = peer.flow.data(frame, length, core.now);
      gap(core, id, addressed, lost);
      if (message) messageCame(core, id, addressed, message.head, message.payload);
      break;
    }
    case "ack":
      for (const ack of frame.acks) peer.flow.acknowledged(core.room, ack, core.now);
      acknowledged(core, id);
      break;
    case "credit":
      peer.flow.credited(frame.total);
      break;
    case "skip":
      gap(core, id, frame.stream.to !== undefined, peer.flow.skipped(frame.stream, frame.upto, core.now));
      break;
    default:
      throw helloOutOfPlace();
  }
}

/**
 * @param {Core} core
 * @param {MemberId} id
 * @param {Frame} frame
 */
function lossyFrame(core, id, frame) {
  const peer = core.peers.get(id);
  if (!peer) return;
  const isTheirs = (/** @type {Stream} */ { origin, to }) => origin === id && (to === undefined || to === core.id);
  switch (frame.type) {
    case "ping":
      peer.lossy.send(encodeFrame({ type: "pong", token: frame.token }));
      return;
    case "pong":
      if (peer.link.ponged(frame.token, core.now)) linkEvent(core, id, "open");
      return;
    case "latest": {
      const { stream, channel, seq, payload } = frame;
      if (!isTheirs(stream)) break;
      if (!peer.info.mute && peer.lossy.value(id, channel, seq, payload.length)) {
        core.event({ type: "lossy", from: id, mode: "latest", channel, payload });
      }
      return;
    }
    case "seen":
      if (frame.origin !== core.id) break;
      peer.lossy.acknowledged(frame.channel, frame.seq);
      return;
    case "datagram": {
      const { stream, channel, payload } = frame;
      if (!isTheirs(stream)) break;
      if (!peer.info.mute && peer.lossy.hold(payload.length)) {
        core.event({ type: "lossy", from: id, mode: "datagram", channel, payload });
      }
      return;
    }
  }
  throw new LinkError("bad_frame: a frame of somebody else's stream");
}

/**
 * @param {Core} core
 * @param {MemberId} member
 * @param {boolean} addressed
 * @param {Lost | undefined} lost
 */
function gap(core, member, addressed, lost) {
  if (lost) core.event({ type: "gap", member, addressed, from_seq: lost.from, to_seq: lost.to });
}

/**
 * @param {Core} core
 * @param {MemberId} from
 * @param {boolean} addressed
 * @param {Head} head
 * @param {Uint8Array} payload
 */
function messageCame(core, from, addressed, { kind, channel }, payload) {
  const peer = core.peers.get(from);
  if (!peer || peer.info.mute) return;
  if (kind === "message") {
    peer.flow.hold(payload.length);
    core.event({ type: "message", from, channel, addressed, payload });
    return;
  }
  // Calls and answers that are not addressed, or not numbered, mean nothing.
  if (!addressed) return;
  if (kind === "call") {
    const split = trySplit(payload);
    if (!split) return;
    const [call, argument] = split;
    peer.flow.hold(argument.length);
    core.event({ type: "call", from, call, method: channel, payload: argument });
    return;
  }
  const answered = core.calls.answered(from, kind, payload);
  if (answered) core.event({ type: "called", ...answered });
}

/**
 * @param {Core} core
 * @param {MemberId} id
 */
function acknowledged(core, id) {
  fillAddressed(core, id);
  trimRoom(core);
}

/**
 * @param {Core} core
 * @param {MemberId} from
 * @param {number} bytes
 * @param {boolean} lossy
 */
export function consumed(core, from, bytes, lossy) {
  const peer = core.peers.get(from);
  if (!peer) return;
  if (lossy) {
    peer.lossy.consumed(bytes);
    return;
  }
  peer.flow.consumed(bytes);
  peer.flow.grant();
  core.dirty.add(from);
}

/**
 * @param {Core} core
 * @param {{ peer: MemberId, attempt: number, lane: Lane, bytes: number }} input
 */
export function buffered(core, input) {
  const peer = core.peers.get(input.peer);
  if (!peer || !isCurrent(core, input)) return;
  if (input.lane === "reliable") peer.flow.buffered = input.bytes;
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
  const at = { peer: id, attempt: peer.link.attempt };
  for (let bytes; (bytes = peer.flow.nextPacket(core.room, core.now)); ) {
    core.outputs.push({ type: "packet", ...at, lane: "reliable", bytes });
  }
  if (!peer.link.isOpen) return;
  for (let bytes; (bytes = peer.lossy.nextPacket(peer.link.rtt, core.now)); ) {
    core.outputs.push({ type: "packet", ...at, lane: "lossy", bytes });
  }
}

function helloOutOfPlace() {
  return new LinkError("bad_frame: a frame before HELLO, or a second HELLO");
}
