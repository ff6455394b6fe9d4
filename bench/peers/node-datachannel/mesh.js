// node-datachannel doing what `roomful bench mesh` does: `node mesh.js MEMBERS SIZE MESSAGES RATE`.
//
// The workload and what is printed are those of `bench/src/mesh.rs`. Signalling is plain function calls.

import { PeerConnection } from "node-datachannel";

const [members, size, messages, rate] = process.argv.slice(2).map(Number);
const PATIENCE_MS = 120_000;
/** Bytes in a channel at which its sender pauses, and at which it goes on. */
const PAUSE = 256 * 1024;
const RESUME = 64 * 1024;

setTimeout(() => {
  console.error("it takes too long");
  process.exit(1);
}, PATIENCE_MS).unref();

/** Connects two members; gives both ends of their channel once it is open. */
function link(a, b) {
  return new Promise((resolve) => {
    const offerer = new PeerConnection(a, { iceServers: [] });
    const answerer = new PeerConnection(b, { iceServers: [] });
    kept.push(offerer, answerer);
    for (const [from, to] of [[offerer, answerer], [answerer, offerer]]) {
      from.onLocalDescription((sdp, type) => setImmediate(() => to.setRemoteDescription(sdp, type)));
      from.onLocalCandidate((candidate, mid) => setImmediate(() => to.addRemoteCandidate(candidate, mid)));
    }
    const ends = {};
    const open = () => {
      if (ends.offerer?.isOpen() && ends.answerer?.isOpen()) resolve([ends.offerer, ends.answerer]);
    };
    answerer.onDataChannel((channel) => {
      ends.answerer = channel;
      channel.onOpen(open);
      open();
    });
    ends.offerer = offerer.createDataChannel("bench");
    ends.offerer.onOpen(open);
  });
}

/** Connections, so that none is collected while it works. */
const kept = [];

const entered = performance.now();
/** Each member's channels to all others. */
const channels = Array.from({ length: members }, () => []);
const links = [];
for (let a = 0; a < members; a++) {
  for (let b = a + 1; b < members; b++) {
    links.push(link(`${a}-${b}`, `${b}-${a}`).then(([there, back]) => {
      channels[a].push(there);
      channels[b].push(back);
    }));
  }
}
await Promise.all(links);
const open_ms = performance.now() - entered;

const expected = members * (members - 1) * messages;
let delivered = 0;
let done;
const all = new Promise((resolve) => (done = resolve));
for (const channel of channels.flat()) {
  channel.setBufferedAmountLowThreshold(RESUME);
  channel.onMessage((message) => {
    if (message.length === size && ++delivered === expected) done();
  });
}

/** Sends all of one member's messages on all its channels, as fast as the slowest lets it, or at its rate. */
async function talk(own, at) {
  const bytes = Buffer.alloc(size, 7);
  const begun = performance.now() + (rate > 0 ? (1_000 / rate) * (at / members) : 0);
  for (let n = 0; n < messages; n++) {
    if (rate > 0) {
      const wait = begun + (n * 1_000) / rate - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    }
    for (const channel of own) {
      channel.sendMessageBinary(bytes);
      if (channel.bufferedAmount() > PAUSE) {
        await new Promise((resolve) => {
          const goOn = () => {
            clearTimeout(look);
            resolve();
          };
          channel.onBufferedAmountLow(goOn);
          // It may have fallen before anybody listened.
          const look = setTimeout(goOn, 5);
        });
      }
    }
    if (rate === 0 && n % 64 === 63) await new Promise(setImmediate);
  }
}

const before = process.cpuUsage();
const started = performance.now();
const lost = setTimeout(done, PATIENCE_MS / 2);
await Promise.all(channels.map(talk));
await all;
clearTimeout(lost);
const { user, system } = process.cpuUsage(before);
const wall_s = (performance.now() - started) / 1e3;
console.log(JSON.stringify({ open_ms, expected, delivered, cpu_s: (user + system) / 1e6, wall_s }));
process.exit(0);
