// @ts-check
// The values that tests send, and a word for what arrived. Runs in pages too: nothing of Node here.

/** Every kind of value that an application may send. */
export const KINDS = 8;

/**
 * The `at`-th value of a sender: text, JSON, numbers, dates, bytes and typed arrays take turns.
 * @param {string} sender
 * @param {number} at
 * @returns {unknown}
 */
export function sample(sender, at) {
  switch (at % KINDS) {
    case 0: return `${sender} says ${at}`;
    case 1: return { sender, at, nested: [at, { flag: true, nothing: null }], text: "ä€😀" };
    case 2: return Uint8Array.from({ length: 40 + at }, (_, i) => (i * 7 + at) % 256);
    case 3: return Float32Array.from([at, at / 2, -at]);
    case 4: return [at, -at, at / 3, 2 ** 40 + at];
    case 5: return new Date(1_700_000_000_000 + at);
    case 6: return { ints: Int16Array.from([at, -at]), big: BigInt(at) ** 9n };
    default: return at;
  }
}

/**
 * One word for a value of any type; equal words mean equal values of equal types.
 * @param {any} value
 * @returns {string}
 */
export function describe(value) {
  if (ArrayBuffer.isView(value)) {
    const numbers = /** @type {Uint8Array} */ (value);
    return `${value.constructor.name}(${numbers.length > 100 ? digest(numbers) : Array.from(numbers).join()})`;
  }
  if (value instanceof Date) return `Date(${value.getTime()})`;
  if (typeof value === "bigint") return `${value}n`;
  if (Array.isArray(value)) return `[${value.map(describe).join()}]`;
  if (value !== null && typeof value === "object") {
    const keys = Object.keys(value).sort();
    return `{${keys.map((key) => `${JSON.stringify(key)}:${describe(value[key])}`).join()}}`;
  }
  return value === undefined ? "undefined" : JSON.stringify(value);
}

/**
 * Bytes that are easy to make anywhere and hard to get by accident.
 * @param {number} length
 */
export function pattern(length) {
  const bytes = new Uint8Array(length);
  let x = 0x9e3779b9;
  for (let i = 0; i < length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes[i] = x;
  }
  return bytes;
}

/**
 * Length and FNV-1a hash.
 * @param {Uint8Array} bytes
 */
export function digest(bytes) {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return `${bytes.length} bytes, ${(hash >>> 0).toString(16)}`;
}
