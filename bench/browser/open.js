// How long until everybody is linked to everybody: pages in a Roomful room, and beside them, in the same run, pages
// with bare RTCPeerConnections and the plainest signalling there is.
//
//   cargo build --release && ROOMFUL_BIN=target/release/roomful node bench/browser/open.js [--pages 8] [--runs 5] [--json]
//
// `together`: all pages enter in the same instant. `last`: all but one are linked already when the last one enters.
// Measured from the last page's entering to the last end of a link reporting itself open, by the pages' own clocks.

import { once } from "node:events";
import { createServer } from "node:http";
import { parseArgs } from "node:util";

import { WebSocketServer } from "ws";

import { launch } from "../../tests/browser/harness/chromium.js";
import { Server } from "../../tests/browser/harness/server.js";

const { values: options } = parseArgs({
  options: {
    pages: { type: "string", default: "8" },
    runs: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
  },
});
const COUNT = Number(options.pages);
const RUNS = Number(options.runs);

/** Gives each of its sockets a number and passes `{to, …}` on as `{from, …}`. */
async function plainSignalling() {
  const http = createServer((_, response) => {
    response.setHeader("content-type", "text/html");
    response.end("<!doctype html><title>bare</title>");
  }).listen(0, "127.0.0.1");
  await once(http, "listening");
  const sockets = new Map();
  let last = 0;
  new WebSocketServer({ server: http }).on("connection", (socket) => {
    const id = ++last;
    for (const other of sockets.values()) other.send(JSON.stringify({ newcomer: id }));
    sockets.set(id, socket);
    socket.on("message", (data) => {
      const { to, ...rest } = JSON.parse(String(data));
      sockets.get(to)?.send(JSON.stringify({ from: id, ...rest }));
    });
    socket.on("close", () => sockets.delete(id));
  });
  return { origin: `http://127.0.0.1:${http.address().port}`, close: () => http.close() };
}

/** In a page: enters with bare connections; whoever is there offers to a newcomer. */
function enterBare({ others }) {
  const clock = () => performance.timeOrigin + performance.now();
  const peers = new Map();
  const started = clock();
  let open = 0;
  globalThis.linked = new Promise((resolve) => {
    const socket = new WebSocket(`ws://${location.host}`);
    const say = (message) => socket.send(JSON.stringify(message));
    const peer = (id) => {
      const connection = new RTCPeerConnection();
      for (const [channel, name] of ["reliable", "lossy"].entries()) {
        const dc = connection.createDataChannel(name, { negotiated: true, id: channel });
        if (channel === 0) dc.onopen = () => ++open === others && resolve({ started, done: clock() });
      }
      connection.onicecandidate = ({ candidate }) => say({ to: id, candidate });
      peers.set(id, connection);
      return connection;
    };
    socket.onmessage = async ({ data }) => {
      const { newcomer, from, offer, answer, candidate } = JSON.parse(data);
      if (newcomer) {
        const connection = peer(newcomer);
        await connection.setLocalDescription();
        say({ to: newcomer, offer: connection.localDescription });
      } else if (offer) {
        const connection = peer(from);
        await connection.setRemoteDescription(offer);
        await connection.setLocalDescription();
        say({ to: from, answer: connection.localDescription });
      } else if (answer) {
        await peers.get(from).setRemoteDescription(answer);
      } else if (candidate) {
        await peers.get(from).addIceCandidate(candidate).catch(() => {});
      }
    };
  });
}

/** In a page: enters a Roomful room. */
function enterRoom({ address, others }) {
  const clock = () => performance.timeOrigin + performance.now();
  globalThis.linked = new Promise((resolve, reject) => {
    const started = clock();
    globalThis.sdk.join(address).then((room) => {
      const look = () => {
        const open = [...room.members.values()].filter((member) => member.link.state === "open").length;
        if (open === others) resolve({ started, done: clock() });
      };
      room.addEventListener("link", look);
      look();
    }, reject);
  });
}

async function run(browser, origin, prepare, enter, address, together) {
  const contexts = await Promise.all(Array.from({ length: COUNT }, () => browser.newContext()));
  try {
    const pages = await Promise.all(contexts.map((context) => context.newPage()));
    for (const page of pages) await prepare(page, origin);
    const others = COUNT - 1;
    if (together) {
      await Promise.all(pages.map((page) => page.evaluate(enter, { address, others })));
    } else {
      const early = pages.slice(0, -1);
      for (const page of early) await page.evaluate(enter, { address, others });
      // No page can tell that these are linked among each other before the last one is there: give them time.
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      await pages[COUNT - 1].evaluate(enter, { address, others });
    }
    const times = await Promise.all(pages.map((page) => page.evaluate(() => globalThis.linked)));
    return Math.max(...times.map(({ done }) => done)) - Math.max(...times.map(({ started }) => started));
  } finally {
    await Promise.all(contexts.map((context) => context.close()));
  }
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

const server = await Server.start();
const signalling = await plainSignalling();
const browser = await launch();
try {
  for (const together of [true, false]) {
    const ours = [];
    const bare = [];
    for (let round = 0; round < RUNS; round++) {
      bare.push(await run(browser, signalling.origin, (page, to) => page.goto(to), enterBare, "", together));
      const prepare = async (page, to) => {
        await page.goto(`${to}/healthz`);
        await page.evaluate(async () => { globalThis.sdk = await import("/sdk/roomful.js"); });
      };
      const address = server.address(`bench-${together}-${round}`);
      ours.push(await run(browser, server.origin, prepare, enterRoom, address, together));
    }
    const [value, peerValue] = [median(ours), median(bare)];
    const result = {
      case: `browser mesh open, ${COUNT} pages, ${together ? "together" : "last one"}`,
      subject: "roomful",
      peer: "bare RTCPeerConnection",
      unit: "ms",
      value: Math.round(value),
      peer_value: Math.round(peerValue),
      ratio: Number((value / peerValue).toFixed(2)),
      runs: RUNS,
      spread: { subject: [Math.round(Math.min(...ours)), Math.round(Math.max(...ours))], peer: [Math.round(Math.min(...bare)), Math.round(Math.max(...bare))] },
    };
    console.log(options.json ? JSON.stringify(result) : `${result.case}: ${result.value} ms, bare ${result.peer_value} ms, ratio ${result.ratio} (${RUNS} runs, ours ${result.spread.subject.join("–")}, bare ${result.spread.peer.join("–")})`);
  }
} finally {
  await browser.close();
  signalling.close();
  await server.stop();
}
