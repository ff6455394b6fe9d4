// @ts-check
/**
 * What the application asks for: messages, lossy values, calls; and the outboxes that they fill.
 *
 * @module
 */

import { encodeFrame } from "../frame.js";
import { CALL_TIMEOUT, CHANNEL_NAME_MAX, LOSSY_MAX, MESSAGE_MAX } from "../limits.js";
import { byteLength } from "../wire.js";
import { encodeAnswer } from "./call.js";

/** @import {Head, Stream} from "../frame.js" */
/** @import {MemberId} from "../id.js" */
/** @import {Core, Peer} from "./core.js" */
/** @import {Answer, Input, NotSent} from "./io.js" */

/** What a call's number takes at most. */
const NUMBER_BYTES = 8;

/**
 * @param {Core} core
 * @param {Input & { type: "send" }} input
 */
export function send(core, { ticket, channel, to, payload }) {
  const why = whyNotSent(core, channel, to, payload);
  if (why) core.event({ type: "not_sent", ticket, why });
  else push(core, ticket, to, { kind: "message", channel }, payload);
}

/**
 * @param {Core} core
 * @param {string} channel
 * @param {MemberId | undefined} to
 * @param {Uint8Array} payload
 * @returns {NotSent | undefined}
 */
function whyNotSent(core, channel, to, payload) {
  if (payload.length > MESSAGE_MAX || byteLength(channel) > CHANNEL_NAME_MAX) return "too_large";
  if (isMute(core)) return "not_allowed";
  const outbox = to === undefined ? core.room : core.peers.get(to)?.flow.outbox;
  if (!outbox) return "unknown_member";
  return outbox.hasRoomFor(payload.length) ? undefined : "too_many";
}

/** @param {Core} core */
function isMute(core) {
  return core.self?.mute ?? false;
}

/**
 * @param {Core} core
 * @param {number | undefined} ticket
 * @param {MemberId | undefined} to
 * @param {Head} head
 * @param {Uint8Array} payload
 */
function push(core, ticket, to, head, payload) {
  if (to === undefined) {
    core.room.push(ticket, head, payload);
    fillRoom(core);
    return;
  }
  const peer = core.peers.get(to);
  if (!peer) return;
  peer.flow.outbox.push(ticket, head, payload);
  fillAddressed(core, to);
}

/**
 * @param {Core} core
 * @param {Input & { type: "publish" }} input
 */
export function publish(core, { mode, channel, to, payload }) {
  if (payload.length > LOSSY_MAX || byteLength(channel) > CHANNEL_NAME_MAX || isMute(core)) return;
  /** @type {Stream} */
  const stream = to === undefined ? { origin: core.id } : { origin: core.id, to };
  const targets = [...core.peers].filter(([id]) => to === undefined || to === id);
  if (mode === "latest") {
    const value = core.published.value(stream, channel, payload);
    for (const [id, { lossy }] of targets) {
      lossy.publish(channel, value);
      core.dirty.add(id);
    }
  } else {
    const frame = encodeFrame({ type: "datagram", stream, channel, payload });
    for (const [id, { lossy, link }] of targets) {
      if (!link.isOpen) continue;
      lossy.send(frame);
      core.dirty.add(id);
    }
  }
}

/**
 * @param {Core} core
 * @param {Input & { type: "call" }} input
 */
export function call(core, { ticket, to, method, payload, timeout = CALL_TIMEOUT }) {
  const peer = core.peers.get(to);
  if (!peer) {
    callFailed(core, ticket, "unknown_member", "the member is not in the room");
  } else if (isMute(core)) {
    callFailed(core, ticket, "not_allowed", "this member may not send data");
  } else if (byteLength(method) > CHANNEL_NAME_MAX || payload.length > MESSAGE_MAX - NUMBER_BYTES) {
    callFailed(core, ticket, "too_large", "the argument or the method's name is too large");
  } else {
    const room = peer.flow.outbox.hasRoomFor(payload.length + NUMBER_BYTES);
    const numbered = room ? core.calls.begin(ticket, to, payload, core.now + timeout) : undefined;
    if (numbered) push(core, undefined, to, { kind: "call", channel: method }, numbered);
    else callFailed(core, ticket, "too_many_calls", "too many calls are under way; await some of them");
  }
}

/**
 * @param {Core} core
 * @param {MemberId} to
 * @param {number} number
 * @param {Answer} answer
 */
export function reply(core, to, number, answer) {
  let { kind, payload } = encodeAnswer(number, answer);
  if (payload.length > MESSAGE_MAX) {
    const failure = { code: "too_large", message: "the result is too large for one message" };
    ({ kind, payload } = encodeAnswer(number, { failure }));
  }
  push(core, undefined, to, { kind, channel: "" }, payload);
}

/**
 * @param {Core} core
 * @param {number} ticket
 * @param {string} code
 * @param {string} message
 */
export function callFailed(core, ticket, code, message) {
  core.event({ type: "called", ticket, answer: { failure: { code, message } } });
}

/**
 * @param {Core} core
 * @param {MemberId} id
 */
export function fillAddressed(core, id) {
  const peer = core.peers.get(id);
  if (!peer) return;
  const sent = peer.flow.outbox.fill(core.nextStamp);
  core.dirty.add(id);
  for (const ticket of sent) core.event({ type: "sent", ticket });
}

/**
 * Moves what waits into the room's outbox, and lets go of what everybody has, as long as either helps.
 *
 * @param {Core} core
 */
function fillRoom(core) {
  for (;;) {
    const before = core.room.next;
    for (const ticket of core.room.fill(core.nextStamp)) core.event({ type: "sent", ticket });
    if (core.room.next === before) return;
    for (const [id, { flow }] of core.peers) {
      flow.owedMore(flow.hasAllBefore(before), core.now);
      core.dirty.add(id);
    }
    core.room.trim(everybodyHas(core));
  }
}

/** @param {Core} core */
export function trimRoom(core) {
  core.room.trim(everybodyHas(core));
  fillRoom(core);
}

/**
 * The first chunk of the room's stream that somebody lacks.
 *
 * @param {Core} core
 */
function everybodyHas(core) {
  let has = core.room.next;
  for (const { flow } of core.peers.values()) has = Math.min(has, flow.roomAcked);
  return has;
}

/**
 * Passes over members that hold the room's outbox back and do not get on.
 *
 * @param {Core} core
 */
export function relieve(core) {
  while (core.room.isWaiting) {
    let relieved = false;
    for (const peer of holders(core)) {
      if (!peer.link.suspect && peer.stalledAt > core.now) continue;
      peer.flow.passOver(core.room);
      relieved = true;
    }
    if (!relieved) return;
    trimRoom(core);
  }
}

/**
 * When the first of those that hold the room's outbox back may do so no longer.
 *
 * @param {Core} core
 * @returns {number | undefined}
 */
export function stalledAt(core) {
  if (!core.room.isWaiting) return undefined;
  const due = Math.min(...holders(core).map((peer) => peer.stalledAt));
  return due === Infinity ? undefined : due;
}

/**
 * Those that hold the room's outbox back.
 *
 * @param {Core} core
 * @returns {Peer[]}
 */
function holders(core) {
  const { first } = core.room;
  return [...core.peers.values()].filter(({ flow }) => flow.roomAcked === first);
}
