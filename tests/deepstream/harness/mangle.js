// @ts-check
// Messages that a client may send, and all the ways in which they can be wrong.

import { TOPIC, protobuf, text } from "./raw.js";

/** @import { Value } from "./raw.js" */

/** What a hostile client talks about: nobody else does. */
export const NAME = "hostile/name";

/** Messages of the text protocol, by their parts. */
export const TEXTS = [
  "C|CHR|ws://here", "C|PO", "C|PI", "A|REQ|{}",
  `E|S|${NAME}`, `E|US|${NAME}`, `E|EVT|${NAME}|Sx`, `E|EVT|${NAME}|O{"a":1}`, `E|L|^hostile/.*`, `E|UL|^hostile/.*`,
  `E|LA|^hostile/.*|${NAME}`, `E|LR|^hostile/.*|${NAME}`,
  `R|CR|${NAME}`, `R|SN|${NAME}`, `R|H|${NAME}`, `R|HD|${NAME}`, `R|US|${NAME}`, `R|D|${NAME}`,
  `R|U|${NAME}|1|{"a":1}`, `R|U|${NAME}|2|["x"]|{"writeSuccess":true}`, `R|P|${NAME}|3|a.b[1]|N1`, `R|P|${NAME}|4|a|U|{"writeSuccess":true}`,
  `R|CU|${NAME}|-1|{"a":1}|{}`, `R|CU|${NAME}|-1|a.b|Sx|{"writeSuccess":true}`,
  `R|L|^hostile/.*`, `R|UL|^hostile/.*`, `R|LA|^hostile/.*|${NAME}`, `R|LR|^hostile/.*|${NAME}`,
  `P|S|${NAME}`, `P|US|${NAME}`, `P|REQ|${NAME}|id-1|Sx`, `P|A|REQ|${NAME}|id-1`, `P|RES|${NAME}|id-1|Sx`, `P|REJ|${NAME}|id-1`, `P|E|text|${NAME}|id-1`,
  "U|Q|Q", `U|Q|1|["${NAME}"]`, "U|S|S", `U|S|2|["${NAME}"]`, "U|US|US", `U|US|3|["${NAME}"]`,
];

/** What a server says, and no client. */
export const BACKWARDS = [
  "C|CH", "C|A", "C|REJ", "C|RED|ws://elsewhere", "C|E|X|y", "A|A", "A|E|INVALID_AUTH_DATA|U", `E|A|S|${NAME}`, `E|E|X|${NAME}`, `R|R|${NAME}|1|{}`,
  `R|A|S|${NAME}`, `R|WA|${NAME}|[1]|L`, `R|SH|${NAME}|T`, `R|E|VERSION_EXISTS|${NAME}|1|{}`, `P|E|NO_RPC_PROVIDER|${NAME}|id-1`, "U|PNJ|x", "U|PNL|x", "X|E|a|b",
];

/** What stands in the place of a part. */
const PARTS = [
  "", " ", "x".repeat(2_000), "x".repeat(200_000), "\n", "\u0000", "-1", "-2", "1e9", "9007199254740993", "99999999999999999999999", "NaN", "null", "[", "{", "{}", "[]",
  '["a",1]', '[""]', '{"a":', `${"[".repeat(500)}${"]".repeat(500)}`, "Sx", "O{", "Nx", "Z", "T", "__proto__", "a[99999999]", "a[-1]", "..", "[", "(a+)+$", "(?=a)", "([",
  "\u{10ffff}", "é".repeat(600),
];

/** A message, wrong in every way. @param {string} shown @returns {Generator<string>} */
export function* mangledText(shown) {
  const parts = shown.split("|");
  for (let at = 0; at < parts.length; at++) {
    yield parts.slice(0, at).join("|");
    yield parts.toSpliced(at, 1).join("|");
    yield parts.toSpliced(at, 0, parts[at]).join("|");
    if (at > 0) for (const part of PARTS) yield parts.with(at, part).join("|");
  }
  yield `${shown}|`;
  yield `${shown}|x`;
  yield `${shown}${"|x".repeat(50)}`;
  yield shown.toLowerCase();
}

/** Messages of the protobuf protocol. @type {[topic: number, fields: [number, Value][]][]} */
export const MESSAGES = [
  [TOPIC.connection, [[1, 2]]],
  [TOPIC.connection, [[1, 5], [5, "ws://here"]]],
  [TOPIC.auth, [[1, 2], [2, "{}"]]],
  ...[3, 4].map((action) => about(TOPIC.event, [[1, action], [7, NAME], [3, "1"]])),
  about(TOPIC.event, [[1, 2], [6, NAME], [2, '{"a":1}']]),
  ...[5, 6].map((action) => about(TOPIC.event, [[1, action], [6, "^hostile/.*"], [3, "1"]])),
  ...[7, 8].map((action) => about(TOPIC.event, [[1, action], [6, "^hostile/.*"], [8, NAME]])),
  ...[21, 22, 23, 25, 26].map((action) => about(TOPIC.record, [[1, action], [7, NAME], [3, "1"]])),
  ...[3, 5, 9].map((action) => about(TOPIC.record, [[1, action], [6, NAME]])),
  ...[16, 18].map((action) => about(TOPIC.record, [[1, action], [6, NAME], [13, 1], [2, '{"a":1}'], [11, true], [3, "1"]])),
  ...[17, 19].map((action) => about(TOPIC.record, [[1, action], [6, NAME], [13, 2], [12, "a.b[1]"], [2, "1"], [11, true], [3, "1"]])),
  about(TOPIC.record, [[1, 20], [6, NAME], [13, 3], [12, "a"]]),
  about(TOPIC.record, [[1, 2], [7, NAME], [3, "1"]]),
  ...[27, 28].map((action) => about(TOPIC.record, [[1, action], [6, "^hostile/.*"], [3, "1"]])),
  ...[29, 30].map((action) => about(TOPIC.record, [[1, action], [6, "^hostile/.*"], [9, NAME]])),
  ...[2, 4, 5, 6, 7].map((action) => about(TOPIC.rpc, [[1, action], [7, NAME], [3, "id-1"], [2, '"x"']])),
  ...[8, 9].map((action) => about(TOPIC.rpc, [[1, action], [6, NAME], [3, "1"]])),
  ...[4, 10, 11].map((action) => about(TOPIC.presence, [[1, action], [9, NAME], [5, "1"]])),
  ...[2, 12, 13].map((action) => about(TOPIC.presence, [[1, action]])),
];

/** @param {number} topic @param {[number, Value][]} fields @returns {[number, [number, Value][]]} */
function about(topic, fields) {
  return [topic, fields];
}

/** A message, wrong in every way. @param {number} topic @param {[number, Value][]} fields @returns {Generator<Uint8Array>} */
export function* mangledMessage(topic, fields) {
  const whole = protobuf(topic, fields);
  for (let at = 0; at < fields.length; at++) {
    yield protobuf(topic, fields.toSpliced(at, 1));
    yield protobuf(topic, fields.toSpliced(at, 0, fields[at]));
    const [number, value] = fields[at];
    if (typeof value === "string") {
      for (const part of PARTS) yield protobuf(topic, fields.with(at, [number, part]));
      yield protobuf(topic, fields.with(at, [number, text(`a|b+E|S|${NAME}+`)]));
      yield protobuf(topic, fields.with(at, [number, new Uint8Array([0xff, 0xfe, 0x80])]));
      yield protobuf(topic, fields.with(at, [number, 7]));
    } else {
      for (const other of [0, 1, 77, 127, -1, 2 ** 31, 2 ** 53]) yield protobuf(topic, fields.with(at, [number, other]));
      yield protobuf(topic, fields.with(at, [number, "x"]));
    }
  }
  yield protobuf(topic, [...fields, [99, "unknown"], [100, 1]]);
  for (const other of [0, 1, 8, 77, -1]) yield protobuf(other, fields);
  for (const length of [0, 1, 2, 5, whole.length - 1]) yield whole.subarray(0, length);
  yield Buffer.concat([whole, whole]);
  yield Buffer.concat([Buffer.from([whole[0] + 1]), whole.subarray(1)]);
  yield Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]), whole.subarray(1)]);
}

/** The same bytes for the same seed. @param {number} seed @param {number} length */
export function randomBytes(seed, length) {
  const bytes = new Uint8Array(length);
  let x = seed * 2654435761 + 1;
  for (let at = 0; at < length; at++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes[at] = x;
  }
  return bytes;
}
