// Between the machine's shapes and the JSON that Rust's serde writes in golden files and traces: enums are externally
// tagged, bytes are hex digits (see `lengthen`), options that are absent are null (but for those within messages, which are
// left out).

import { fromHex, toHex } from "../src/id.js";
import { decodeClientMessage, decodeServerMessage, encodeMessage } from "../src/wire.js";

/** A frame from its JSON. */
export function frameFromSerde(json) {
  const { type, ...body } = untag(json);
  if (type === "ack") return { type, acks: json.ack };
  if (type === "have") {
    const haves = json.have.map(({ delay_ms: delayMs, ...have }) => ({ ...have, delayMs }));
    return { type, haves };
  }
  const frame = { type, ...body };
  if (type === "signed") {
    const [digests, signature] = [body.digests.map(fromHex), fromHex(body.signature)];
    return { type, stream: body.stream, first: body.first, digests, signature };
  }
  if (type === "data") frame.last ??= false;
  if ("payload" in body) frame.payload = lengthen(body.payload);
  if ("signature" in body) frame.signature = fromHex(body.signature);
  return frame;
}

/** A machine's configuration from its JSON. */
export function configFromSerde(json) {
  return present(json);
}

/** An input from its JSON. */
export function inputFromSerde(json) {
  if (json.hub) return { type: "hub", message: decodeServerMessage(JSON.stringify(json.hub)) };
  const input = untag(json);
  switch (input.type) {
    case "set_attributes":
    case "set_state":
      return input;
    case "reply":
      return { ...input, answer: answerFromSerde(input.answer) };
    case "packet":
      return { ...input, bytes: lengthen(input.bytes) };
    case "signed":
      return { ...input, signature: fromHex(input.signature) };
    case "carried":
      return { ...input, message: lengthen(input.message) };
    default:
      return present("payload" in input ? { ...input, payload: lengthen(input.payload) } : input);
  }
}

/** The JSON of an input. */
export function inputToSerde(input) {
  switch (input.type) {
    case "connected":
    case "leave":
    case "timeout":
      return input.type;
    case "hub":
      return { hub: JSON.parse(encodeMessage(input.message)) };
    case "disconnected":
      return tagged(input, ["code"]);
    case "send":
    case "publish":
      return tagged(input, ["to"]);
    case "call":
      return tagged(input, ["timeout"]);
    case "set_token":
      return tagged(input, ["token"]);
    case "reply":
      return tagged({ ...input, answer: answerToSerde(input.answer) });
    default:
      return tagged(input);
  }
}

/** The JSON of an output. */
export function outputToSerde(output) {
  switch (output.type) {
    case "connect":
    case "disconnect":
      return output.type;
    case "tell":
      return { tell: JSON.parse(encodeMessage(decodeClientMessage(encodeMessage(output.message)))) };
    case "event":
      return { event: eventToSerde(output.event) };
    default:
      return tagged(output);
  }
}

/** Bytes from hex digits, in which `[07*100]` stands for a hundred bytes 7. */
export function lengthen(text) {
  return fromHex(text.replaceAll(/\[(..)\*(\d+)\]/g, (_, byte, count) => byte.repeat(count)));
}

/** The other way. */
export function shorten(bytes) {
  let text = "";
  for (let at = 0, end = 0; at < bytes.length; at = end) {
    while (end < bytes.length && bytes[end] === bytes[at]) end += 1;
    const byte = toHex(bytes.subarray(at, at + 1));
    text += end - at < 16 ? byte.repeat(end - at) : `[${byte}*${end - at}]`;
  }
  return text;
}

function eventToSerde(event) {
  const { type, ...body } = event;
  switch (type) {
    case "joined": {
      const { self, ...rest } = body;
      return { joined: { this: self, ...rest } };
    }
    case "member_join":
    case "member_update":
      return { [type]: body.member };
    case "link":
      return tagged(event, ["path", "rtt", "reason"]);
    case "called":
      return { called: { ...body, answer: answerToSerde(body.answer) } };
    case "state":
      return tagged(event, ["by"]);
    case "closed":
      return tagged(event, ["code"]);
    case "pin":
      return tagged(event, ["pin"]);
    default:
      return tagged(event);
  }
}

function answerToSerde(answer) {
  return "result" in answer ? { result: shorten(answer.result) } : answer;
}

function answerFromSerde(answer) {
  return "result" in answer ? { result: lengthen(answer.result) } : answer;
}

/** Serde's form of an enum: `type` becomes the key, bytes hex, the named options null where absent. */
function tagged({ type, ...body }, options = []) {
  const fields = Object.entries(body).map(([key, value]) => [key, value instanceof Uint8Array ? shorten(value) : value]);
  const absent = options.filter((name) => body[name] === undefined).map((name) => [name, null]);
  return { [type]: Object.fromEntries([...fields.filter(([, value]) => value !== undefined), ...absent]) };
}

function untag(json) {
  if (typeof json === "string") return { type: json };
  const [[type, body]] = Object.entries(json);
  return { type, ...body };
}

/** Without the options that are null. */
function present(fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}
