// @ts-check
/**
 * What the application asks for: messages, lossy values, calls.
 *
 * @module
 */

import { encodeFrame } from "../frame.js";
import { CALL_TIMEOUT, CHANNEL_NAME_MAX, LATEST_LAZY, LOSSY_MAX, MESSAGE_MAX } from "../limits.js";
import { byteLength } from "../wire.js";
import { encodeAnswer } from "./call.js";
import { signDatagram, signValue, signsLossy } from "./vouch.js";

/** @import {Datagram, Head, Latest, Stream} from "../frame.js" */
/** @import {MemberId} from "../id.js" */
/** @import {Core} from "./core.js" */
/** @import {Answer, Input, NotSent} from "./io.js" */
/** @import {Value} from "./lossy.js" */

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
  if (to !== undefined && !knows(core, to)) return "unknown_member";
  return core.courier.hasRoomFor(to, payload.length) ? undefined : "too_many";
}

/** @param {Core} core */
function isMute(core) {
  return core.self?.mute ?? false;
}

/**
 * Whether somebody is in the room whom something may be said to.
 *
 * @param {Core} core
 * @param {MemberId} id
 */
function knows(core, id) {
  const peer = core.peers.get(id);
  return peer !== undefined && !peer.info.relay;
}

/**
 * @param {Core} core
 * @param {number | undefined} ticket
 * @param {MemberId | undefined} to
 * @param {Head} head
 * @param {Uint8Array} payload
 */
function push(core, ticket, to, head, payload) {
  if (to === undefined) core.meter.said(payload.length, core.now);
  if (to === undefined || core.peers.has(to)) core.courier.send(core.now, to, ticket, head, payload);
}

/**
 * @param {Core} core
 * @param {Input & { type: "publish" }} input
 */
export function publish(core, { mode, channel, to, payload }) {
  if (payload.length > LOSSY_MAX || byteLength(channel) > CHANNEL_NAME_MAX || isMute(core)) return;
  if (to === undefined) core.meter.said(payload.length, core.now);
  /** @type {Stream} */
  const stream = to === undefined ? { origin: core.id } : { origin: core.id, to };
  const isSigned = to === undefined && signsLossy(core);
  if (mode === "latest") {
    const value = core.published.value(stream, channel, payload);
    if (isSigned) signValue(core, channel);
    else spreadValue(core, channel, to, value);
  } else {
    /** @type {Datagram} */
    const frame = { type: "datagram", stream, seq: core.published.number(), channel, payload };
    if (isSigned) signDatagram(core, frame);
    else spreadDatagram(core, to, encodeFrame(frame));
  }
}

/**
 * Whom something that is said on a lossy channel is sent to from here.
 *
 * @param {Core} core
 * @param {MemberId | undefined} to
 */
function hearers({ peers, isRelayed }, to) {
  return [...peers].filter(([id, { link }]) => (to === undefined ? !isRelayed || link.role !== undefined : to === id));
}

/**
 * Sends a value of this member on its way.
 *
 * @param {Core} core
 * @param {string} channel
 * @param {MemberId | undefined} to
 * @param {Value} value
 */
export function spreadValue(core, channel, to, value) {
  for (const [id, { lossy }] of hearers(core, to)) {
    lossy.publish(core.id, channel, value);
    core.dirty.add(id);
  }
}

/**
 * Sends a datagram of this member on its way.
 *
 * @param {Core} core
 * @param {MemberId | undefined} to
 * @param {Uint8Array} frame
 */
export function spreadDatagram(core, to, frame) {
  const isEverywhere = to !== undefined || !core.isRelayed;
  for (const [id, { lossy, link }] of hearers(core, to)) {
    if (!link.isOpen || !(isEverywhere || core.courier.carries(core.id, id))) continue;
    lossy.send(frame);
    core.dirty.add(id);
  }
}

/**
 * Lets a peer have the newest value of each `latest` channel; where members pass on what others say, also of theirs.
 *
 * @param {Core} core
 * @param {MemberId} id
 */
export function publishAll(core, id) {
  const lossy = core.peers.get(id)?.lossy;
  if (!lossy) return;
  for (const [channel, value] of core.published.all()) lossy.publish(core.id, channel, value);
  if (!core.isRelayed) return;
  const due = core.now + LATEST_LAZY;
  for (const [origin, { heard }] of core.sortedPeers()) {
    if (origin === id) continue;
    for (const { channel, seq, frame } of heard.kept()) lossy.publish(origin, channel, { seq, frame, due });
  }
}

/**
 * Passes on what another member says to the room on a lossy channel: along the ways of its stream now, and a value later
 * over all other links, too.
 *
 * @param {Core} core
 * @param {MemberId} from whom it came from
 * @param {Latest | Datagram} frame
 */
export function passOn(core, from, frame) {
  const { stream: { origin, to }, channel, seq } = frame;
  const isValue = frame.type === "latest";
  if (to !== undefined || !(isValue || core.isRelayed)) return;
  const bytes = encodeFrame(frame);
  // Also in a mesh: the room may come to be linked otherwise.
  if (isValue) core.peers.get(origin)?.heard.keep(channel, bytes);
  if (!core.isRelayed) return;
  for (const [id, { link, lossy }] of core.peers) {
    // Also to whoever is still to say HELLO: what was kept by the time that its link came up it has been given already.
    if (!link.isUp || id === from || id === origin) continue;
    const carries = core.courier.carries(origin, id);
    if (isValue) lossy.publish(origin, channel, { seq, frame: bytes, due: carries ? 0 : core.now + LATEST_LAZY });
    else if (carries && link.isOpen) lossy.send(bytes);
    core.dirty.add(id);
  }
}

/**
 * @param {Core} core
 * @param {Input & { type: "call" }} input
 */
export function call(core, { ticket, to, method, payload, timeout = CALL_TIMEOUT }) {
  if (!knows(core, to)) {
    callFailed(core, ticket, "unknown_member", "the member is not in the room");
  } else if (isMute(core)) {
    callFailed(core, ticket, "not_allowed", "this member may not send data");
  } else if (byteLength(method) > CHANNEL_NAME_MAX || payload.length > MESSAGE_MAX - NUMBER_BYTES) {
    callFailed(core, ticket, "too_large", "the argument or the method's name is too large");
  } else {
    const room = core.courier.hasRoomFor(to, payload.length + NUMBER_BYTES);
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
