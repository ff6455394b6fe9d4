// @ts-check
/**
 * What shows that chunks are their origin's: signatures over ranges of a stream.
 *
 * @module
 */

import { encodeFrame } from "../frame.js";
import { SIGNED_CHUNKS } from "../limits.js";
import { sha256 } from "../sha256.js";

/** @import {Data, Signed} from "../frame.js" */
/** @import {MemberId} from "../id.js" */

/** A chunk that came, and its frame. @typedef {{ data: Data, frame: Uint8Array }} Came */

/** That some chunks are their origin's. */
export class Proof {
  signed;
  /** As it came, to be passed on. */
  frame;
  /** Whether the signature was found to be the origin's. */
  checked;
  /** Who is to blame where it is not. */
  by;

  /**
   * @param {Signed} signed
   * @param {Uint8Array} frame
   * @param {boolean} checked
   * @param {MemberId} by
   */
  constructor(signed, frame, checked, by) {
    this.signed = signed;
    // What is kept keeps no packet from being freed.
    this.frame = frame.buffer.byteLength > 2 * frame.length ? new Uint8Array(frame) : frame;
    this.checked = checked;
    this.by = by;
  }

  /** The number of its first chunk. */
  get first() {
    return this.signed.first;
  }

  /** One above that of its last. */
  get end() {
    return this.signed.first + this.signed.digests.length;
  }

  get signature() {
    return this.signed.signature;
  }

  /**
   * The digest of a chunk; undefined where it says nothing of it.
   *
   * @param {number} seq
   */
  digest(seq) {
    return seq < this.first ? undefined : this.signed.digests[seq - this.first];
  }

  /**
   * Whether a frame is what it says of a chunk.
   *
   * @param {number} seq
   * @param {Uint8Array} frame
   */
  isOf(seq, frame) {
    const digest = this.digest(seq);
    return digest !== undefined && areEqual(digest, digestOf(frame));
  }

  /**
   * Whether it is the same as another.
   *
   * @param {Signed} signed
   */
  is(signed) {
    return areEqual(this.frame, encodeFrame({ type: "signed", ...signed }));
  }
}

/** The proofs of one stream's log, in order; no chunk has two. */
export class Proofs {
  /** @type {Proof[]} */
  #proofs = [];

  /**
   * The place of the first that holds for `test`, which holds for all after it.
   *
   * @param {(proof: Proof) => boolean} test
   */
  #place(test) {
    let [low, high] = [0, this.#proofs.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (test(this.#proofs[middle])) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /**
   * The one that says something of a chunk.
   *
   * @param {number} seq
   * @returns {Proof | undefined}
   */
  of(seq) {
    const proof = this.#proofs[this.#place(({ end }) => end > seq)];
    return proof && proof.first <= seq ? proof : undefined;
  }

  /**
   * The first that begins above a chunk.
   *
   * @param {number} seq
   * @returns {Proof | undefined}
   */
  after(seq) {
    return this.#proofs[this.#place(({ first }) => first > seq)];
  }

  /**
   * Where the last begins that says nothing of `next` and above; 0 where there is none.
   *
   * @param {number} next
   */
  lastBelow(next) {
    return this.#proofs[this.#place(({ end }) => end > next) - 1]?.first ?? 0;
  }

  /** One above the last chunk that has one; 0 where none has. */
  get end() {
    return this.#proofs.at(-1)?.end ?? 0;
  }

  /**
   * Keeps one, in the place of those that say something of the same chunks.
   *
   * @param {Proof} proof
   */
  keep(proof) {
    this.#proofs = this.#proofs.filter((old) => old.end <= proof.first || old.first >= proof.end);
    this.#proofs.splice(this.#place((old) => old.first >= proof.first), 0, proof);
  }

  /**
   * The one that begins with a chunk was found to be its origin's, or is let go of, and given back.
   *
   * @param {number} first
   * @param {boolean} isGood
   */
  settle(first, isGood) {
    const place = this.#proofs.findIndex((proof) => proof.first === first);
    if (place < 0) return undefined;
    if (!isGood) return this.#proofs.splice(place, 1)[0];
    this.#proofs[place].checked = true;
    return undefined;
  }

  /**
   * Lets go of those of which no chunk is at `first` or above.
   *
   * @param {number} first
   */
  trim(first) {
    const place = this.#place(({ end }) => end > first);
    if (place > 0) this.#proofs.splice(0, place);
  }
}

/** What somebody who passes a stream on has shown for the chunks that come next over a link. */
export class Cover {
  proof;
  /** Under which number the answer is awaited whether it holds. @type {number | undefined} */
  asked = undefined;
  /** Chunks that came under it meanwhile. @type {Came[]} */
  waiting = [];

  /** @param {Proof} proof */
  constructor(proof) {
    this.proof = proof;
  }
}

/** The covers of one stream on one link, in the order in which they came. All but the last have chunks that wait. */
export class Covers {
  /** @type {Cover[]} */
  queue = [];
  /** Chunks that came without any since the last. */
  #bare = 0;

  /**
   * Another one is shown.
   *
   * @param {Proof} proof
   */
  show(proof) {
    this.#bare = 0;
    if (this.queue.at(-1)?.waiting.length === 0) this.queue.pop();
    this.queue.push(new Cover(proof));
  }

  /**
   * A chunk came that nothing was shown for. Where a stream is forgotten and comes back that is nobody's fault, until the
   * next cover; gives whether it still may be so.
   */
  miss() {
    this.#bare += 1;
    return this.#bare < SIGNED_CHUNKS;
  }
}

/** Bytes of a digest. */
const DIGEST = 16;

/**
 * What stands for a chunk where it is signed: the first bytes of its frame's hash.
 *
 * @param {Uint8Array} frame
 */
export function digestOf(frame) {
  return sha256(frame).subarray(0, DIGEST);
}

/**
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
export function areEqual(a, b) {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}
