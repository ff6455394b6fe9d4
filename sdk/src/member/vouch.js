// @ts-check
/**
 * Signatures of what is said to the room on lossy channels, where others pass it on: one a message, since each is lost or
 * superseded for itself. In a mesh links say whose it is; when the room comes to be linked otherwise, members sign what
 * stands of their values and say it again, and whoever has it keeps it to pass it on.
 *
 * As with chunks (`../courier/trust.js`) nothing that somebody else brings counts before it was verified, so whoever brings
 * what its origin did not say has not verified it, and is to blame.
 *
 * @module
 */

import { forged } from "../courier/error.js";
import { SIGNATURE, encodeFrame } from "../frame.js";
import { LOSSY_CHECKING, LOSSY_SIGNING } from "../limits.js";
import { spreadDatagram, spreadValue } from "./app.js";
import { lossyCame } from "./frames.js";
import { faulty } from "./links.js";

/** @import {Datagram, Latest} from "../frame.js" */
/** @import {MemberId} from "../id.js" */
/** @import {Core} from "./core.js" */

/**
 * What the edge was asked for: the signature of an own channel's value, that of an own datagram, or whether what somebody
 * brought is its origin's.
 *
 * @typedef {(
 *   | { type: "value", channel: string, seq: number }
 *   | { type: "datagram", frame: Datagram }
 *   | { type: "brought", by: MemberId, frame: Latest | Datagram }
 * )} Vouching
 */

/**
 * Whether what this member says to the room goes with a signature.
 *
 * @param {Core} core
 */
export function signsLossy(core) {
  return core.isRelayed && core.courier.signs;
}

/**
 * Asks for the signature of a channel's value, unless it has one or awaits one.
 *
 * @param {Core} core
 * @param {string} channel
 */
export function signValue(core, channel) {
  const value = core.published.unsigned(channel);
  const asked = value && core.courier.vouch(encodeFrame(value.frame));
  if (!asked) return;
  core.published.asked(channel);
  core.vouching.set(asked.token, { type: "value", channel, seq: value.seq });
  core.outputs.push({ type: "sign", ...asked });
}

/**
 * Members pass on what others say: what was said without a signature gets one.
 *
 * @param {Core} core
 */
export function signValues(core) {
  if (!signsLossy(core)) return;
  for (const channel of core.published.channels()) signValue(core, channel);
}

/**
 * Asks for the signature of a datagram. Where too many await theirs it is lost.
 *
 * @param {Core} core
 * @param {Datagram} unsigned
 */
export function signDatagram(core, unsigned) {
  if (count(core, (asked) => asked.type === "datagram") >= LOSSY_SIGNING) return;
  const frame = { ...unsigned, signature: new Uint8Array(SIGNATURE) };
  const asked = core.courier.vouch(encodeFrame(frame));
  if (!asked) return;
  core.vouching.set(asked.token, { type: "datagram", frame });
  core.outputs.push({ type: "sign", ...asked });
}

/**
 * The answer to the output `sign`.
 *
 * @param {Core} core
 * @param {number} token
 * @param {Uint8Array} signature
 */
export function signed(core, token, signature) {
  const asked = core.vouching.get(token);
  core.vouching.delete(token);
  if (!asked) {
    core.courier.signed(core.now, token, signature);
  } else if (asked.type === "value") {
    const value = core.published.signed(asked.channel, asked.seq, signature);
    if (value) spreadValue(core, asked.channel, undefined, value);
    // There is a newer one meanwhile.
    else signValue(core, asked.channel);
  } else if (asked.type === "datagram") {
    spreadDatagram(core, undefined, encodeFrame({ ...asked.frame, signature }));
  }
}

/**
 * The answer to the output `verify`.
 *
 * @param {Core} core
 * @param {number} token
 * @param {boolean} isGood
 */
export function verified(core, token, isGood) {
  const asked = core.vouching.get(token);
  core.vouching.delete(token);
  if (!asked) {
    core.courier.verified(core.now, token, isGood);
  } else if (asked.type === "brought") {
    if (!isGood) return faulty(core, asked.by, forged());
    lossyCame(core, asked.by, asked.frame, true);
    core.dirty.add(asked.by);
  }
}

/**
 * Takes a lossy message that came over a link. What its origin said here counts at once, what somebody else brings when it
 * is known to be its origin's.
 *
 * @param {Core} core
 * @param {MemberId} by
 * @param {Latest | Datagram} frame
 * @throws {import("../courier/error.js").LinkError}
 */
export function lossySaid(core, by, frame) {
  const { stream: { origin, to }, signature } = frame;
  // What is said to one member goes over the link of the two.
  if (to !== undefined && (to !== core.id || origin !== by)) throw forged();
  if (!core.courier.signs || to !== undefined) lossyCame(core, by, frame, true);
  else if (signature === undefined) {
    // From somebody else that is nothing: members that sign pass on nothing else, others nothing that counts.
    if (origin === by) lossyCame(core, by, frame, false);
  } else if (wants(core, frame)) check(core, by, frame, signature);
  else lossyCame(core, by, frame, false);
}

/**
 * Whether a message is news, or can be passed on now.
 *
 * @param {Core} core
 * @param {Latest | Datagram} frame
 */
function wants(core, { type, stream, seq, channel }) {
  const heard = core.peers.get(stream.origin)?.heard;
  if (!heard) return false;
  return type === "latest" ? heard.isNews(channel, seq) || heard.lacks(channel, seq) : heard.isNewDatagram(seq);
}

/**
 * Has a message verified. Where that cannot be, or too many of those that this member brought wait, it is lost.
 *
 * @param {Core} core
 * @param {MemberId} by
 * @param {Latest | Datagram} frame
 * @param {Uint8Array} signature
 */
function check(core, by, frame, signature) {
  const key = core.peers.get(frame.stream.origin)?.info.key;
  const waiting = count(core, (asked) => asked.type === "brought" && asked.by === by);
  if (key === undefined || waiting >= LOSSY_CHECKING) return;
  const asked = core.courier.vouch(encodeFrame(frame));
  if (!asked) return;
  core.vouching.set(asked.token, { type: "brought", by, frame });
  core.outputs.push({ type: "verify", token: asked.token, key, text: asked.text, signature });
}

/**
 * @param {Core} core
 * @param {(asked: Vouching) => boolean} isOne
 */
function count(core, isOne) {
  let found = 0;
  for (const asked of core.vouching.values()) if (isOne(asked)) found += 1;
  return found;
}
