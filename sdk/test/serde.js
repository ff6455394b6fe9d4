// Between the machine's shapes and the JSON that Rust's serde writes in golden files and traces: enums are externally
// tagged, bytes are hex digits, options that are absent may be null.

import { fromHex } from "../src/id.js";

/** A frame from its JSON. */
export function frameFromSerde(json) {
  const [[type, body]] = Object.entries(json);
  if (type === "ack") return { type, acks: body };
  const frame = { type, ...body };
  if (type === "data") frame.last ??= false;
  if ("payload" in body) frame.payload = fromHex(body.payload);
  return frame;
}
