// @ts-check
// The values that tests send, and a word for what arrived. Runs in pages too, but for the JSON of
// Rust members, which is Node's business.

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

/** Typed arrays by the names that `roomful join --json` gives them. @type {Record<string, any>} */
const ARRAYS = {
  $uint8clamped: Uint8ClampedArray, $uint16: Uint16Array, $uint32: Uint32Array, $uint64: BigUint64Array,
  $int8: Int8Array, $int16: Int16Array, $int32: Int32Array, $int64: BigInt64Array,
  $float32: Float32Array, $float64: Float64Array,
};

/**
 * A value in the JSON that `roomful join --json-input` reads.
 * @param {any} value
 * @returns {any}
 */
export function toJson(value) {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value.buffer, value.byteOffset, value.length).toString("base64") };
  if (ArrayBuffer.isView(value)) {
    const name = Object.keys(ARRAYS).find((name) => value instanceof ARRAYS[name]);
    return { [String(name)]: Array.from(/** @type {any} */ (value)) };
  }
  if (value instanceof Date) return { $date: value.getTime() };
  if (typeof value === "bigint") return { $bigint: String(value) };
  if (Array.isArray(value)) return value.map(toJson);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, value]) => [key, toJson(value)]));
}

/**
 * The value that `roomful join --json` wrote.
 * @param {any} json
 * @returns {any}
 */
export function fromJson(json) {
  if (json === null || typeof json !== "object") return json;
  if (Array.isArray(json)) return json.map(fromJson);
  const [name, content] = Object.entries(json)[0] ?? [];
  if (name === "$bytes") return new Uint8Array(Buffer.from(content, "base64"));
  if (name === "$date") return new Date(content);
  if (name === "$bigint") return BigInt(content);
  if (name !== undefined && Object.hasOwn(ARRAYS, name)) return ARRAYS[name].from(content);
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, fromJson(value)]));
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
