// Records what deepstream's clients send, and what they take without an error, for the tests of the codecs:
//
//     npm install --no-save --ignore-scripts deepstream.io-client-js@2.3.4 @deepstream/client@7.0.5 ws
//     node record.mjs
//
// writes text.jsonl and protobuf.jsonl: one frame a line, what it is about, and who sent it. The server in here answers
// by rote, as far as the clients need it to go on. Frames of the protobuf protocol are made by the client's own encoder.
import { writeFileSync } from "node:fs"
import { createRequire } from "node:module"

const require = createRequire(process.argv[2] ? `${process.argv[2]}/` : import.meta.url)
const { WebSocketServer } = require("ws")
const older = require("deepstream.io-client-js")
const { DeepstreamClient } = require("@deepstream/client")
const { getMessage } = require("@deepstream/protobuf/dist/src/message-builder")
const { parse } = require("@deepstream/protobuf/dist/src/message-parser")

const PART = "\u001f"
const END = "\u001e"
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const errors = []

/** A server that records. `answer` is called with each message, parsed, and with a function to answer. */
async function serve(lines, read, write, greet, answer) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" })
  await new Promise((resolve) => server.once("listening", resolve))
  const recorder = { server, about: "connect", send: () => {} }
  server.on("connection", (socket) => {
    recorder.send = (about, message) => {
      const frame = write(message)
      lines.push({ from: "server", about, frame: typeof frame === "string" ? frame : frame.toString("hex") })
      socket.send(frame)
    }
    socket.on("message", (data, isBinary) => {
      const frame = isBinary ? data.toString("hex") : data.toString()
      lines.push({ from: "client", about: recorder.about, frame })
      for (const message of read(data)) answer(message, recorder)
    })
    greet(recorder)
  })
  return recorder
}

async function play(recorder, steps) {
  for (const [about, step] of steps) {
    recorder.about = about
    const count = errors.length
    await step()
    // The newer client gathers subscriptions for 100 ms.
    await pause(140)
    for (const error of errors.slice(count)) console.error(`${about}: ${error}`)
  }
  recorder.server.close()
}

const VALUES = { text: "tëxt", empty: "", number: -1.5, huge: 1e21, true: true, false: false, null: null, object: { a: [1, "x"] }, undefined }

async function recordText() {
  const lines = []
  let logins = 0
  const answer = (parts, { send }) => {
    const [topic, action, name, second] = parts
    if (topic === "C" && action === "CHR") send("welcome", ["C", "A"])
    if (topic === "A" && logins++ === 0) send("login failed", ["A", "E", "INVALID_AUTH_DATA", "Sno"])
    else if (topic === "A") send("logged in", ["A", "A", 'O{"id":7}'])
    if (topic === "E" && ["S", "US", "L", "UL"].includes(action)) send(`ack event ${action}`, ["E", "A", action, name])
    if (topic === "R" && action === "CR") {
      send("ack record", ["R", "A", "S", name])
      send("record", ["R", "R", name, name === "list" ? 3 : 0, name === "list" ? '["a"]' : "{}"])
    }
    if (topic === "R" && action === "SN" && name === "missing") send("record not found", ["R", "E", "SN", name, "RECORD_NOT_FOUND"])
    else if (topic === "R" && action === "SN") send("record", ["R", "R", name, 5, '{"a":1}'])
    if (topic === "R" && action === "H") send("has", ["R", "H", name, "T"])
    if (topic === "R" && action === "HD") send("version", ["R", "HD", name, 5, "null"])
    if (topic === "R" && ["US", "D", "L", "UL"].includes(action)) send(`ack record ${action}`, ["R", "A", action, name])
    if (topic === "R" && parts.at(-1) === '{"writeSuccess":true}') send("written", ["R", "WA", name, `[${second}]`, "L"])
    if (topic === "P" && ["S", "US"].includes(action)) send(`ack call ${action}`, ["P", "A", action, name])
    if (topic === "P" && action === "REQ") {
      send("call accepted", ["P", "A", "REQ", name, second])
      if (name === "fails") send("call failed", ["P", "E", "because", name, second])
      else if (name === "nobody") send("no provider", ["P", "E", "NO_RPC_PROVIDER", name, second])
      else send("call answered", ["P", "RES", name, second, "N3"])
    }
    if (topic === "U" && action === "Q" && name === "Q") send("users", ["U", "Q", "ada", "bob"])
    else if (topic === "U" && action === "Q") send("user states", ["U", "Q", name, '{"ada":true,"bob":false}'])
    else if (topic === "U") send(`ack users ${action}`, ["U", "A", action, name])
  }
  const read = (data) => data.toString().split(END).filter(Boolean).map((message) => message.split(PART))
  const write = (parts) => parts.join(PART) + END
  const recorder = await serve(lines, read, write, ({ send }) => send("challenge", ["C", "CH"]), answer)
  const client = older(`ws://127.0.0.1:${recorder.server.address().port}/deepstream`, { silentDeprecation: true })
  client.on("error", (...error) => errors.push(JSON.stringify(error)))
  const push = (about, ...parts) => recorder.send(about, parts)
  const { event, record, rpc, presence } = client
  let held, list, anew
  const nothing = () => {}
  await play(recorder, [
    ["login", () => new Promise((resolve) => client.login({ username: "ada", password: "x" }, resolve))],
    ["login again", () => new Promise((resolve) => client.login({ username: "ada", password: "y" }, resolve))],
    ["ping", () => push("ping", "C", "PI")],
    ["event subscribe", () => event.subscribe("e", nothing)],
    ["event", () => push("event", "E", "EVT", "e", "Shello")],
    ...Object.entries(VALUES).map(([kind, value]) => [`emit ${kind}`, () => event.emit("e", value)]),
    ["event unsubscribe", () => event.unsubscribe("e", nothing)],
    ["event listen", () => event.listen("^e/.*", (_name, wanted, { accept, reject } = {}) => wanted && (anew ? reject : accept)())],
    ["event accept", () => push("event wanted", "E", "SP", "^e/.*", "e/1")],
    ["event unwanted", () => push("event unwanted", "E", "SR", "^e/.*", "e/1")],
    ["event reject", () => { anew = true; push("event wanted", "E", "SP", "^e/.*", "e/1") }],
    ["event unlisten", () => event.unlisten("^e/.*")],
    ["open", () => { held = record.getRecord("r") }],
    ["update", () => held.set({ a: 1 })],
    ["patch", () => held.set("b.c[0].d", "x")],
    ["patch null", () => held.set("b.e", null)],
    ["erase", () => held.set("b.e", undefined)],
    ["update with ack", () => held.setWithAck({ a: 2 })],
    ["patch with ack", () => held.setWithAck("a", 3, nothing)],
    ["updated", () => push("updated", "R", "U", "r", 7, '{"z":1}')],
    ["patched", () => push("patched", "R", "P", "r", 8, "z", "N2")],
    ["erased", () => push("erased", "R", "P", "r", 9, "z", "U")],
    ["conflict", () => push("conflict", "R", "E", "VERSION_EXISTS", "r", 9, "{}")],
    ["provided", () => push("provided", "R", "SH", "r", "T")],
    ["discard", () => held.discard()],
    ["create update", () => record.setData("other", { a: 1 })],
    ["create update with ack", () => record.setData("other", { a: 1 }, nothing)],
    ["create patch", () => record.setData("other", "a.b", "x")],
    ["create patch with ack", () => record.setData("other", "a.b", "x", nothing)],
    ["read", () => record.snapshot("other", nothing)],
    ["read missing", () => record.snapshot("missing", nothing)],
    ["has", () => record.has("other", nothing)],
    ["head", () => record.head("other", nothing)],
    ["delete", async () => { held = record.getRecord("gone"); await held.whenReady(); held.delete() }],
    ["open list", () => { list = record.getList("list") }],
    ["add entry", () => list.addEntry("b")],
    ["add entry with ack", () => list.addEntry("c", nothing)],
    ["remove entry", () => list.removeEntry("a")],
    ["record listen", () => record.listen("^r/.*", (_name, wanted, response) => wanted && response.accept())],
    ["record accept", () => push("record wanted", "R", "SP", "^r/.*", "r/1")],
    ["record unwanted", () => push("record unwanted", "R", "SR", "^r/.*", "r/1")],
    ["record unlisten", () => record.unlisten("^r/.*")],
    ["provide", () => rpc.provide("f", (data, response) => {
      if (data === 1) response.send(2)
      if (data === 2) response.error("wrong")
      if (data === 3) response.reject()
    })],
    ["call respond", () => push("call", "P", "REQ", "f", "id-1", "N1")],
    ["call fail", () => push("call", "P", "REQ", "f", "id-2", "N2")],
    ["call decline", () => push("call", "P", "REQ", "f", "id-3", "N3")],
    ["unprovide", () => rpc.unprovide("f")],
    ["call", () => rpc.make("g", { x: 1 }, nothing)],
    ["call that fails", () => rpc.make("fails", undefined, nothing)],
    ["call to nobody", () => rpc.make("nobody", "x", nothing)],
    ["query all", () => presence.getAll(nothing)],
    ["query", () => presence.getAll(["ada", "bob"], nothing)],
    ["watch all", () => presence.subscribe(nothing)],
    ["watch", () => { presence.subscribe("ada", nothing); presence.subscribe("bob", nothing) }],
    ["joined", () => push("joined", "U", "PNJ", "ada")],
    ["left", () => push("left", "U", "PNL", "ada")],
    ["unwatch", () => presence.unsubscribe("ada", nothing)],
    ["unwatch all", () => presence.unsubscribe(nothing)],
  ])
  client.close()
  return lines
}

const [PARSER, CONNECTION, AUTH, EVENT, RECORD, RPC, PRESENCE] = [1, 2, 3, 4, 5, 6, 7]

async function recordProtobuf() {
  const lines = []
  let logins = 0
  const answer = (message, { send }) => {
    const { topic, action, name, names, correlationId } = message
    const ack = (about) => send(`ack ${about}`, { topic, action, isAck: true, correlationId })
    if (topic === CONNECTION && action === 5) send("welcome", { topic, action: 4 })
    if (topic === CONNECTION && action === 2) send("pong", { topic, action: 3 })
    if (topic === AUTH && logins++ === 0) send("login failed", { topic, action: 4, data: '"no"' })
    else if (topic === AUTH) send("logged in", { topic, action: 3, data: '{"id":7}' })
    if (topic === EVENT && [3, 4].includes(action)) ack(`event ${action}`)
    if (topic === EVENT && [5, 6].includes(action)) send(`ack event ${action}`, { topic, action, isAck: true, name })
    if (topic === RECORD && [23, 21, 26].includes(action)) ack(`record ${action}`)
    if (topic === RECORD && action === 23) {
      for (const name of names) send("record", { topic, action: 4, name, version: name === "list" ? 3 : 0, data: name === "list" ? '["a"]' : "{}" })
    }
    if (topic === RECORD && action === 3 && name === "missing") send("record not found", { topic, action: 107, isError: true, originalAction: 3, name })
    else if (topic === RECORD && action === 3) send("record", { topic, action: 4, name, version: 5, data: '{"a":1}' })
    if (topic === RECORD && action === 5) send("version", { topic, action: 6, name, version: name === "missing" ? -1 : 5 })
    if (topic === RECORD && action === 9) send("delete done", { topic, action: 10, name })
    if (topic === RECORD && action === 2) ack("notify")
    if (topic === RECORD && message.isWriteAck) send("written", { topic, action: 14, name, correlationId, isWriteAck: true })
    if (topic === RECORD && [27, 28].includes(action)) send(`ack record ${action}`, { topic, action, isAck: true, name })
    if (topic === RPC && [8, 9].includes(action)) ack(`call ${action}`)
    if (topic === RPC && action === 2) {
      send("call accepted", { topic, action: 4, name, correlationId })
      if (name === "fails") send("call failed", { topic, action: 7, name, correlationId, data: '"because"' })
      else if (name === "nobody") send("no provider", { topic, action: 100, isError: true, originalAction: 2, name, correlationId })
      else send("call answered", { topic, action: 5, name, correlationId, data: "3" })
    }
    if (topic === PRESENCE && action === 2) send("users", { topic, action: 3, names: ["ada", "bob"] })
    if (topic === PRESENCE && action === 4) send("user states", { topic, action: 5, correlationId, data: '{"ada":true,"bob":false}' })
    if (topic === PRESENCE && [10, 11].includes(action)) ack(`users ${action}`)
    if (topic === PRESENCE && [12, 13].includes(action)) send(`ack users ${action}`, { topic, action, isAck: true })
  }
  const recorder = await serve(lines, parse, (message) => Buffer.from(getMessage(message, false)), () => {}, answer)
  const client = new DeepstreamClient(`ws://127.0.0.1:${recorder.server.address().port}/deepstream`, { heartbeatInterval: 60_000, recordDiscardTimeout: 20 })
  client.on("error", (...error) => errors.push(JSON.stringify(error)))
  const push = (about, message) => recorder.send(about, message)
  const { event, record, rpc, presence } = client
  let held, list, anew
  const nothing = () => {}
  const swallow = (promise) => promise.catch(nothing)
  await play(recorder, [
    ["login", () => swallow(client.login({ username: "ada", password: "x" }))],
    ["login again", () => client.login({ username: "ada", password: "y" })],
    ["event subscribe", () => { event.subscribe("e", nothing); event.subscribe("e2", nothing) }],
    ["event", () => push("event", { topic: EVENT, action: 2, name: "e", data: '"hello"' })],
    ...Object.entries(VALUES).map(([kind, value]) => [`emit ${kind}`, () => event.emit("e", value)]),
    ["event unsubscribe", () => event.unsubscribe("e", nothing)],
    ["event listen", () => event.listen("^e/.*", (_name, { accept, reject }) => (anew ? reject : accept)())],
    ["event accept", () => push("event wanted", { topic: EVENT, action: 11, name: "^e/.*", subscription: "e/1" })],
    ["event unwanted", () => push("event unwanted", { topic: EVENT, action: 12, name: "^e/.*", subscription: "e/1" })],
    ["event reject", () => { anew = true; push("event wanted", { topic: EVENT, action: 11, name: "^e/.*", subscription: "e/1" }) }],
    ["event unlisten", () => event.unlisten("^e/.*")],
    ["open", () => { held = record.getRecord("r") }],
    ["update", () => held.set({ a: 1 })],
    ["patch", () => held.set("b.c[0].d", "x")],
    ["patch null", () => held.set("b.e", null)],
    ["erase", () => held.set("b.e", undefined)],
    ["update with ack", () => held.setWithAck({ a: 2 })],
    ["patch with ack", () => held.setWithAck("a", 3)],
    ["updated", () => push("updated", { topic: RECORD, action: 18, name: "r", version: 7, data: '{"z":1}' })],
    ["patched", () => push("patched", { topic: RECORD, action: 19, name: "r", version: 8, path: "z", data: "2" })],
    ["erased", () => push("erased", { topic: RECORD, action: 20, name: "r", version: 9, path: "z" })],
    ["conflict", () => push("conflict", { topic: RECORD, action: 102, name: "r", version: 9, data: "{}", originalAction: 18 })],
    ["provided", () => push("provided", { topic: RECORD, action: 31, name: "r" })],
    ["discard", () => held.discard()],
    ["create update", () => record.setData("other", { a: 1 })],
    ["create update with ack", () => record.setDataWithAck("other", { a: 1 })],
    ["create patch", () => record.setData("other", "a.b", "x")],
    ["create patch with ack", () => record.setDataWithAck("other", "a.b", "x")],
    ["erase without record", () => record.setData("other", "a.b", undefined)],
    ["read", () => record.snapshot("other")],
    ["read missing", () => swallow(record.snapshot("missing"))],
    ["head", () => record.head("other")],
    ["head missing", () => record.has("missing")],
    ["delete", async () => { held = record.getRecord("gone"); await held.whenReady(); await held.delete() }],
    ["notify", () => record.notify(["other"])],
    ["open list", () => { list = record.getList("list") }],
    ["add entry", () => list.addEntry("b")],
    ["add entry with ack", () => list.addEntry("c", undefined, nothing)],
    ["remove entry", () => list.removeEntry("a")],
    ["record listen", () => record.listen("^r/.*", (_name, response) => response.accept())],
    ["record accept", () => push("record wanted", { topic: RECORD, action: 33, name: "^r/.*", subscription: "r/1" })],
    ["record unwanted", () => push("record unwanted", { topic: RECORD, action: 34, name: "^r/.*", subscription: "r/1" })],
    ["record unlisten", () => record.unlisten("^r/.*")],
    ["provide", () => rpc.provide("f", (data, response) => {
      if (data === 1) response.send(2)
      if (data === 2) response.error("wrong")
      if (data === 3) response.reject()
    })],
    ["call respond", () => push("call", { topic: RPC, action: 2, name: "f", correlationId: "id-1", data: "1" })],
    ["call fail", () => push("call", { topic: RPC, action: 2, name: "f", correlationId: "id-2", data: "2" })],
    ["call decline", () => push("call", { topic: RPC, action: 2, name: "f", correlationId: "id-3", data: "3" })],
    ["unprovide", () => rpc.unprovide("f")],
    ["call", () => rpc.make("g", { x: 1 })],
    ["call that fails", () => swallow(rpc.make("fails", undefined))],
    ["call to nobody", () => swallow(rpc.make("nobody", "x"))],
    ["query all", () => presence.getAll()],
    ["query", () => presence.getAll(["ada", "bob"])],
    ["watch all", () => presence.subscribe(nothing)],
    ["watch", () => { presence.subscribe("ada", nothing); presence.subscribe("bob", nothing) }],
    ["joined all", () => push("joined all", { topic: PRESENCE, action: 7, name: "ada" })],
    ["joined", () => push("joined", { topic: PRESENCE, action: 6, name: "ada" })],
    ["left all", () => push("left all", { topic: PRESENCE, action: 9, name: "ada" })],
    ["left", () => push("left", { topic: PRESENCE, action: 8, name: "ada" })],
    ["unwatch", () => presence.unsubscribe("ada", nothing)],
    ["unwatch all", () => presence.unsubscribe(nothing)],
    ["denied", () => push("denied", { topic: EVENT, action: 104, isError: true, originalAction: 3, name: "e2", correlationId: "9" })],
    ["unreadable", () => push("unreadable", { topic: PARSER, action: 4 })],
  ])
  client.close()
  return lines
}

const write = (file, lines) => writeFileSync(new URL(file, import.meta.url), lines.map((line) => `${JSON.stringify(line)}\n`).join(""))
write("text.jsonl", await recordText())
write("protobuf.jsonl", await recordProtobuf())
console.log(`${errors.length} errors`)
process.exit(0)
