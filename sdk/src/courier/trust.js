// @ts-check
/**
 * Signatures. What a member says is signed before anybody passes it on, and what somebody else than its origin brings
 * counts, and is passed on, only where that is shown.
 *
 * A signature stands for up to `SIGNED_CHUNKS` consecutive chunks by their digests ({@link Proof}), so that each chunk can
 * be told to be true when it comes, wherever in the stream one begins. It goes before the first of its chunks over every
 * link on which they are passed on. So whoever brings a chunk without has not verified it, and is to blame.
 *
 * In a mesh chunks go to everybody at once, since links say who is at their other end, and signatures follow: of use where
 * a third member has to bring them, or the room comes to be linked otherwise. They are verified when that happens.
 *
 * Signing and verifying is left to the edge, which answers when it can.
 *
 * @module
 */

import { SIGNATURE, encodeFrame, signedText } from "../frame.js";
import { SIGNED_CHUNKS, SIGN_DELAY, STRANGER_GRACE } from "../limits.js";
import { pushes } from "./core.js";
import { LinkError, forged } from "./error.js";
import { cost } from "./log.js";
import { Covers, Proof, areEqual, digestOf } from "./proof.js";
import { charge, grant, takeChunk } from "./receive.js";
import { spread } from "./send.js";
import { want } from "./ways.js";

/** @import {Signed} from "../frame.js" */
/** @import {MemberId} from "../id.js" */
/** @import {Core} from "./core.js" */
/** @import {Came} from "./proof.js" */

/**
 * An answer that is awaited: the signature of own chunks, whether the proof in a stream's log that begins with `first` is
 * true, or whether a cover is.
 *
 * @typedef {(
 *   | { type: "seal", s: number, signed: Signed }
 *   | { type: "proof", s: number, first: number }
 *   | { type: "cover", at: number, s: number }
 * )} Asked
 */

/** What a courier needs to sign and to verify. */
export class Signing {
  /** The room's name: what is said in one room is not said in another. */
  room;
  /** @type {Map<MemberId, string>} */
  keys = new Map();
  /** Whether there ever was more than one other: somebody to pass something on. */
  inCompany = false;
  /** Own streams with chunks that are not signed. @type {Set<number>} */
  unsealed = new Set();
  /** Answers that are awaited, by number. @type {Map<number, Asked>} */
  asked = new Map();
  #numbers = 0;

  /** @param {string} room */
  constructor(room) {
    this.room = room;
  }

  /** A number that no other question has. */
  number() {
    return ++this.#numbers;
  }

  /** @param {Asked} what */
  ask(what) {
    const token = this.number();
    this.asked.set(token, what);
    return token;
  }

  /** @param {(asked: Asked) => boolean} isOver */
  forget(isOver) {
    for (const [token, asked] of this.asked) if (isOver(asked)) this.asked.delete(token);
  }
}

/**
 * What is to be signed or verified of a frame that is not the courier's, and a number for the answer that none of its own
 * has; undefined where nothing is signed.
 *
 * @param {Core} core
 * @param {Uint8Array} frame
 */
export function vouch({ signing }, frame) {
  return signing && { token: signing.number(), text: signedText(signing.room, frame) };
}

/**
 * There is more than one other in the room.
 *
 * @param {Core} core
 */
export function inCompany(core) {
  if (!core.signing) return;
  core.signing.inCompany = true;
  core.signing.unsealed.add(core.own);
}

/**
 * A member's key, by the hub's word. The first one counts until the member is forgotten.
 *
 * @param {Core} core
 * @param {MemberId} id
 * @param {string} key
 */
export function keyOf(core, id, key) {
  if (!core.signing || core.signing.keys.has(id)) return;
  core.signing.keys.set(id, key);
  for (const s of core.streams.places().filter((place) => core.streams.at(place).id.origin === id)) {
    for (const at of core.links.places()) checkCovers(core, at, s);
    readyAll(core, s);
  }
}

/**
 * The answer to the event `sign`.
 *
 * @param {Core} core
 * @param {number} token
 * @param {Uint8Array} signature
 */
export function signed(core, token, signature) {
  const asked = core.signing?.asked.get(token);
  core.signing?.asked.delete(token);
  if (asked?.type !== "seal") return;
  const whole = { ...asked.signed, signature };
  const stream = core.streams.at(asked.s);
  stream.sealing = false;
  stream.proofs.keep(new Proof(whole, encodeFrame({ type: "signed", ...whole }), true, core.id));
  stream.proofs.trim(stream.log.first);
  readyAll(core, asked.s);
}

/**
 * The answer to the event `verify`.
 *
 * @param {Core} core
 * @param {number} token
 * @param {boolean} isGood
 */
export function verified(core, token, isGood) {
  const asked = core.signing?.asked.get(token);
  core.signing?.asked.delete(token);
  if (asked?.type === "proof") {
    const bad = core.streams.at(asked.s).proofs.settle(asked.first, isGood);
    if (bad) blame(core, bad.by, forged());
    else readyAll(core, asked.s);
  } else if (asked?.type === "cover") {
    const { at, s } = asked;
    if (!isGood) return blame(core, core.links.at(at).peer, forged());
    const cover = core.links.at(at).covers.get(s)?.queue.find((cover) => cover.asked === token);
    if (!cover) return;
    cover.proof.checked = true;
    drainCovers(core, at, s);
  }
}

// ---- what this member says -------------------------------------------------------------------------

/**
 * When a signature is due; Infinity where none is.
 *
 * @param {Core} core
 */
export function sealAt(core) {
  let due = Infinity;
  for (const s of core.signing?.unsealed ?? []) {
    const stream = core.streams.get(s);
    if (!stream || stream.sealing) continue;
    due = Math.min(due, stream.sealedAt === undefined ? core.now : stream.sealedAt + SIGN_DELAY);
  }
  return due;
}

/**
 * An own stream has chunks that may have to be signed.
 *
 * @param {Core} core
 * @param {number} s
 */
export function unseal(core, s) {
  core.signing?.unsealed.add(s);
}

/**
 * Asks for signatures that are due.
 *
 * @param {Core} core
 */
export function seal(core) {
  const unsealed = [...(core.signing?.unsealed ?? [])].sort((a, b) => a - b);
  for (const s of unsealed) sealStream(core, s);
}

/**
 * @param {Core} core
 * @param {number} s
 */
function sealStream(core, s) {
  const { signing } = core;
  if (!signing) return;
  const stream = core.streams.get(s);
  const isSigned =
    (stream?.kind === "own" && (signing.inCompany || core.plan.relayed)) ||
    (stream?.kind === "sent" && stream.route.length > 0);
  const first = stream ? Math.max(stream.proofs.end, stream.log.first) : 0;
  if (!stream || !isSigned || first >= stream.log.next) {
    signing.unsealed.delete(s);
    return;
  }
  const end = Math.min(stream.log.next, first + SIGNED_CHUNKS);
  const isDue = stream.sealedAt === undefined || stream.sealedAt + SIGN_DELAY <= core.now;
  if (stream.sealing || !(isDue || end - first === SIGNED_CHUNKS)) return;
  stream.sealing = true;
  stream.sealedAt = core.now;
  const digests = [];
  for (let seq = first; seq < end; seq++) {
    const chunk = stream.log.chunk(seq);
    if (chunk) digests.push(digestOf(chunk.frame));
  }
  const signed = { stream: stream.id, first, digests, signature: new Uint8Array(SIGNATURE) };
  const text = signedText(signing.room, encodeFrame({ type: "signed", ...signed }));
  core.events.push({ type: "sign", token: signing.ask({ type: "seal", s, signed }), text });
}

/**
 * There may be more of a stream to push now.
 *
 * @param {Core} core
 * @param {number} s
 */
function readyAll(core, s) {
  for (const at of core.links.places()) {
    if (!pushes(core, at, s)) continue;
    core.links.at(at).ready(s);
    core.list(at);
  }
}

// ---- what goes over links --------------------------------------------------------------------------

/**
 * Whether chunks of a stream are pushed only where it is shown whose they are.
 *
 * @param {Core} core
 * @param {number} s
 */
function needsProof(core, s) {
  if (!core.signing) return false;
  const { kind, route } = core.streams.at(s);
  switch (kind) {
    case "own":
      return core.plan.relayed;
    case "sent":
      return route.length > 0;
    case "room":
    case "passing":
      return true;
    case "received":
      return false;
  }
}

/**
 * Whether a chunk may be pushed. Where it never may, but a later one, that one is told of.
 *
 * @param {Core} core
 * @param {number} s
 * @param {number} cursor
 */
export function isProved(core, s, cursor) {
  const { log, proofs } = core.streams.at(s);
  if (!needsProof(core, s) || cursor < log.first) return true;
  const proof = proofs.of(cursor);
  return proof ? proof.checked : (proofs.after(cursor)?.first ?? Infinity) < log.next;
}

/**
 * The first chunk, at `cursor` or above, that can be supplied, or will be.
 *
 * @param {Core} core
 * @param {number} s
 * @param {number} cursor
 */
export function suppliedFrom(core, s, cursor) {
  const { log, proofs } = core.streams.at(s);
  const at = Math.max(cursor, log.first);
  if (!needsProof(core, s) || proofs.of(at)) return at;
  const later = proofs.after(at);
  return later ? Math.min(later.first, log.next) : at;
}

/**
 * What is to be shown to the other end of a link before the next chunk, or after the last.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 * @returns {Proof | undefined}
 */
export function dueProof(core, at, s) {
  if (!core.signing) return undefined;
  const { kind, log, proofs } = core.streams.at(s);
  const ends = core.links.at(at).endsOf(s);
  if (!needsProof(core, s)) {
    if (kind !== "own") return undefined;
    const due = proofs.after(ends.proved);
    return due && due.first <= ends.cursor ? due : undefined;
  }
  const cursor = Math.max(ends.cursor, log.first);
  if (cursor >= log.next) return undefined;
  const due = proofs.of(cursor);
  return due?.checked && due.first !== ends.proved ? due : undefined;
}

/**
 * Has the proof verified that the next chunk for a link waits for.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
export function prove(core, at, s) {
  const { signing } = core;
  const stream = core.streams.get(s);
  if (!signing || !stream || !pushes(core, at, s) || !needsProof(core, s)) return;
  const { log, proofs, id } = stream;
  const cursor = Math.max(core.links.at(at).endsOf(s).cursor, log.first);
  const proof = proofs.of(cursor);
  const key = signing.keys.get(id.origin);
  if (!proof || proof.checked || cursor >= log.next || key === undefined) return;
  const { first } = proof;
  for (const asked of signing.asked.values()) {
    if (asked.type === "proof" && asked.s === s && asked.first === first) return;
  }
  // Chunks that come later are compared when they do.
  for (let seq = first; seq < proof.end; seq++) {
    const chunk = log.chunk(seq);
    if (!chunk || proof.isOf(seq, chunk.frame)) continue;
    proofs.settle(first, false);
    blame(core, proof.by, forged());
    return;
  }
  const token = signing.ask({ type: "proof", s, first });
  const text = signedText(signing.room, proof.frame);
  core.events.push({ type: "verify", token, key, text, signature: proof.signature });
}

/**
 * One above the last chunk of a stream that others can be given, or soon.
 *
 * @param {Core} core
 * @param {number} s
 */
export function offer(core, s) {
  const { kind, log, proofs, next } = core.streams.at(s);
  if (kind !== "room" || !core.signing) return next;
  return Math.min(Math.max(proofs.end, log.first), log.next);
}

// ---- what comes over links -------------------------------------------------------------------------

/**
 * The other end shows that the chunks of a stream that it brings next, or has brought, are their origin's.
 *
 * @param {Core} core
 * @param {number} at
 * @param {Signed} signed
 * @param {Uint8Array} frame
 * @throws {LinkError}
 */
export function proofCame(core, at, signed, frame) {
  charge(core, at, frame);
  const s = signed.stream.to === undefined ? core.stream(signed.stream, "room") : core.known(signed.stream);
  if (s !== undefined && core.signing && !core.streams.at(s).isOwn) keepShown(core, at, s, signed, frame);
  grant(core, at);
}

/**
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 * @param {Signed} signed
 * @param {Uint8Array} frame
 */
function keepShown(core, at, s, signed, frame) {
  const [stream, link] = [core.streams.at(s), core.links.at(at)];
  const known = stream.proofs.of(signed.first);
  const checked = known !== undefined && known.checked && known.is(signed);
  const proof = new Proof(signed, frame, checked, link.peer);
  if (link.peer !== stream.id.origin) {
    const covers = link.covers.get(s) ?? new Covers();
    link.covers.set(s, covers);
    covers.show(proof);
  } else if (proof.first <= stream.next && proof.end > stream.log.first && !checked) {
    stream.proofs.keep(proof);
    spread(core, s);
  }
}

/**
 * Gives whether a chunk is its origin's for certain. Else it waits until that is known, or is dropped.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 * @param {Came} came
 * @throws {LinkError}
 */
export function isAuthentic(core, at, s, came) {
  if (!core.signing) return true;
  const [stream, link] = [core.streams.at(s), core.links.at(at)];
  const { data: { seq }, frame } = came;
  if (link.peer === stream.id.origin) {
    const proof = stream.proofs.of(seq);
    if (proof?.checked && !proof.isOf(seq, frame)) throw forged();
    return true;
  }
  const covers = link.covers.get(s) ?? new Covers();
  link.covers.set(s, covers);
  const cover = covers.queue.at(-1);
  if (!cover || cover.proof.digest(seq) === undefined) {
    if (!covers.miss()) throw forged();
    core.counters.early += 1;
    // Nobody looks for what strangers are said to have said.
    if (stream.kind === "room" && core.signing.keys.has(stream.id.origin)) want(core, at, s, seq + 1);
    return false;
  }
  if (!cover.proof.isOf(seq, frame)) throw forged();
  if (covers.queue.length === 1 && cover.proof.checked && cover.waiting.length === 0) return true;
  link.unproved += cost(frame.length);
  cover.waiting.push(came);
  checkCovers(core, at, s);
  return false;
}

/**
 * Whether what came for a chunk of a stream that is known already says something else.
 *
 * @param {Core} core
 * @param {number} s
 * @param {number} seq
 * @param {Uint8Array} frame
 */
export function differs(core, s, seq, frame) {
  if (!core.signing) return false;
  const { log, proofs, isOwn } = core.streams.at(s);
  const known = log.chunk(seq);
  return known !== undefined && !areEqual(known.frame, frame) && (isOwn || (proofs.of(seq)?.checked ?? false));
}

/**
 * A chunk that came over a link is kept, and with it what shows whose it is.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 * @param {number} seq
 */
export function keepProof(core, at, s, seq) {
  const proof = core.links.at(at).covers.get(s)?.queue[0]?.proof;
  if (proof?.digest(seq) === undefined) return;
  const { proofs } = core.streams.at(s);
  const known = proofs.of(seq);
  if (known === proof || (known?.checked && known.is(proof.signed))) return;
  proofs.keep(proof);
}

/**
 * Has covers verified that chunks wait for.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function checkCovers(core, at, s) {
  const { signing } = core;
  const covers = core.links.get(at)?.covers.get(s);
  if (!signing || !covers) return;
  const key = signing.keys.get(core.streams.at(s).id.origin);
  if (key === undefined) {
    core.sweepBy(core.now + STRANGER_GRACE);
    return;
  }
  for (const cover of covers.queue) {
    const { asked, proof, waiting } = cover;
    if (asked !== undefined || proof.checked || waiting.length === 0) continue;
    cover.asked = signing.ask({ type: "cover", at, s });
    const text = signedText(signing.room, proof.frame);
    core.events.push({ type: "verify", token: cover.asked, key, text, signature: proof.signature });
  }
}

/**
 * Takes the chunks whose covers turned out to be true, in the order in which they came.
 *
 * @param {Core} core
 * @param {number} at
 * @param {number} s
 */
function drainCovers(core, at, s) {
  for (;;) {
    const link = core.links.get(at);
    const queue = link?.covers.get(s)?.queue;
    const cover = queue?.[0];
    if (!link || !queue || !cover?.proof.checked) break;
    const came = cover.waiting.shift();
    if (came) {
      link.unproved -= cost(came.frame.length);
      try {
        takeChunk(core, at, s, came);
      } catch (error) {
        if (!(error instanceof LinkError)) throw error;
        blame(core, link.peer, error);
        return;
      }
    } else if (queue.length > 1) {
      queue.shift();
    } else {
      break;
    }
  }
  grant(core, at);
}

/**
 * Chunks that are said to be from somebody of whom the hub does not tell are let go of.
 *
 * @param {Core} core
 * @param {number} s
 */
export function dropStrangers(core, s) {
  const { isOwn, id, freshAt } = core.streams.at(s);
  if (!core.signing || isOwn || core.signing.keys.has(id.origin) || freshAt + STRANGER_GRACE > core.now) return;
  for (const at of core.links.places()) {
    core.links.at(at).dropCovers(s);
    grant(core, at);
  }
}

/**
 * A stream is no more.
 *
 * @param {Core} core
 * @param {number} s
 */
export function forgetProofs(core, s) {
  core.signing?.unsealed.delete(s);
  core.signing?.forget((asked) => asked.s === s);
}

/**
 * A link is no more.
 *
 * @param {Core} core
 * @param {number} at
 */
export function forgetCovers(core, at) {
  core.signing?.forget((asked) => asked.type === "cover" && asked.at === at);
}

/**
 * @param {Core} core
 * @param {MemberId} peer
 * @param {LinkError} error
 */
function blame(core, peer, error) {
  core.events.push({ type: "faulty", peer, error });
}
