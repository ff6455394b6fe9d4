// @ts-check
/**
 * SHA-512 (FIPS 180-4), for signatures on pages that WebCrypto keeps from that: those served over plain HTTP.
 *
 * @module
 */

/** Bytes of a block. */
const BLOCK = 128;
const PRIMES = primes(80);
/** FIPS 180-4, 4.2.3: the first 64 bits of the fractional parts of the cube roots of primes. */
const ROUNDS = PRIMES.map((prime) => word(root(prime << 192n, 3n)));
/** 5.3.5: of the square roots of the first eight. */
const START = PRIMES.slice(0, 8).map((prime) => word(root(prime << 128n, 2n)));

/**
 * The 64 bytes of a message's hash.
 *
 * @param {Uint8Array} message
 */
export function sha512(message) {
  const length = Math.ceil((message.length + 17) / BLOCK) * BLOCK;
  const padded = new Uint8Array(length);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(length - 8, BigInt(message.length) * 8n);
  let state = START;
  for (let at = 0; at < length; at += BLOCK) {
    const words = Array.from({ length: BLOCK / 8 }, (_, n) => view.getBigUint64(at + 8 * n));
    state = compress(state, words);
  }
  const hash = new DataView(new ArrayBuffer(64));
  state.forEach((value, n) => hash.setBigUint64(8 * n, value));
  return new Uint8Array(hash.buffer);
}

/**
 * Takes in one block; FIPS 180-4, 6.4.2.
 *
 * @param {bigint[]} state
 * @param {bigint[]} words grow to one a round
 */
function compress(state, words) {
  let [a, b, c, d, e, f, g, h] = state;
  for (let t = 0; t < ROUNDS.length; t++) {
    if (t >= 16) {
      const [near, far] = [words[t - 2], words[t - 15]];
      const small = turn(near, 19n) ^ turn(near, 61n) ^ (near >> 6n);
      const smaller = turn(far, 1n) ^ turn(far, 8n) ^ (far >> 7n);
      words.push(word(small + words[t - 7] + smaller + words[t - 16]));
    }
    const choice = (e & f) ^ (~e & g);
    const first = h + (turn(e, 14n) ^ turn(e, 18n) ^ turn(e, 41n)) + choice + ROUNDS[t] + words[t];
    const majority = (a & b) ^ (a & c) ^ (b & c);
    const second = (turn(a, 28n) ^ turn(a, 34n) ^ turn(a, 39n)) + majority;
    [a, b, c, d, e, f, g, h] = [word(first + second), a, b, c, word(d + first), e, f, g];
  }
  return [a, b, c, d, e, f, g, h].map((value, n) => word(value + state[n]));
}

/** @param {bigint} value */
function word(value) {
  return BigInt.asUintN(64, value);
}

/**
 * A word turned to the right.
 *
 * @param {bigint} value
 * @param {bigint} bits
 */
function turn(value, bits) {
  return word((value >> bits) | (value << (64n - bits)));
}

/**
 * The whole part of a root, by Newton's method.
 *
 * @param {bigint} of
 * @param {bigint} degree
 */
function root(of, degree) {
  let guess = 1n << (BigInt(of.toString(2).length) / degree + 1n);
  for (;;) {
    const next = ((degree - 1n) * guess + of / guess ** (degree - 1n)) / degree;
    if (next >= guess) return guess;
    guess = next;
  }
}

/**
 * The first primes.
 *
 * @param {number} count
 */
function primes(count) {
  /** @type {bigint[]} */
  const found = [];
  for (let n = 2n; found.length < count; n++) if (found.every((prime) => n % prime !== 0n)) found.push(n);
  return found;
}
