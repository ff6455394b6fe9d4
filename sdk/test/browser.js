// What the edge needs of a browser, in Node: WebSockets to a hub in memory, and peer connections whose descriptions name
// each other. Time is real, but short.

import { fromHex, memberIdOf } from "../src/id.js";
import { decodeClientMessage, encodeMessage } from "../src/wire.js";
import { Hub } from "./world.js";

/** Puts a browser in place, with one room behind every address. */
export function installBrowser() {
  const page = new EventTarget();
  const server = new Server();
  const descriptions = new Map();
  Object.assign(globalThis, {
    addEventListener: page.addEventListener.bind(page),
    removeEventListener: page.removeEventListener.bind(page),
    WebSocket: class extends FakeSocket {
      static OPEN = 1;
      constructor(url) {
        super(url, server);
      }
    },
    RTCPeerConnection: class extends FakeConnection {
      constructor() {
        super(descriptions);
      }
    },
  });
  return { server, page };
}

/** The hub's end of all sockets. */
class Server {
  hub = new Hub("00000000000000aa");
  sockets = [];
  /** What members sent, and the codes that they closed with, in order. */
  heard = [];
  /** Says no to a join: gives a refusal, `{ silent: true }` to say nothing, or undefined. */
  gate = () => undefined;
  /** Says a message to a member twice. */
  repeats = (_message) => false;
  /** Nobody is there. */
  isDown = false;
  /** Sockets to it neither open nor fail. */
  stalls = false;

  /** Ends all sockets, without a word unless one is given. */
  cut(code = 1006, reason = "") {
    for (const socket of this.sockets.splice(0)) socket.end(code, reason);
  }
}

class FakeSocket {
  readyState = 0;
  #server;
  #member;

  constructor(url, server) {
    this.url = url;
    this.#server = server;
    setTimeout(() => {
      if (this.readyState !== 0 || server.stalls) return;
      if (server.isDown) return this.end(1006);
      this.readyState = 1;
      server.sockets.push(this);
      this.onopen?.();
    });
  }

  send(text) {
    setTimeout(() => this.#take(decodeClientMessage(text)));
  }

  close(code = 1005) {
    setTimeout(() => {
      this.#server.heard.push(code);
      this.end(code);
    }, 1);
  }

  end(code, reason = "") {
    if (this.readyState === 3) return;
    this.readyState = 3;
    if (this.#member) this.#server.hub.left(this.#member);
    this.onclose?.({ code, reason });
  }

  #take(message) {
    this.#server.heard.push(message.type);
    if (message.type === "join") {
      this.#server.lastJoin = message;
      const refused = this.#server.gate(message);
      if (refused?.silent) return;
      if (refused) {
        this.#write({ type: "refused", message: "no", hint: "ask", fatal: true, ...refused });
        setTimeout(() => this.end(4012, refused.code));
        return;
      }
      this.#member = { id: memberIdOf(fromHex(message.secret)), fromHub: (text) => this.#write(text) };
    }
    for (let left = this.#server.repeats(message) ? 2 : 1; this.#member && left > 0; left--) {
      this.#server.hub.said(this.#member, message);
    }
  }

  #write(message) {
    const data = encodeMessage(message);
    setTimeout(() => this.readyState === 1 && this.onmessage?.({ data }));
  }
}

class FakeConnection {
  connectionState = "new";
  signalingState = "stable";
  localDescription = null;
  sctp = null;
  #descriptions;
  #channels = new Map();
  #offerer;
  #other;

  constructor(descriptions) {
    this.#descriptions = descriptions;
  }

  createDataChannel(label, { id }) {
    const channel = new FakeChannel(label);
    this.#channels.set(id, channel);
    return channel;
  }

  async setLocalDescription() {
    const type = this.#offerer ? "answer" : "offer";
    const sdp = `${type} ${this.#descriptions.size}`;
    this.#descriptions.set(sdp, this);
    this.localDescription = { type, sdp };
    this.signalingState = type === "offer" ? "have-local-offer" : "stable";
    setTimeout(() => this.onicecandidate?.({ candidate: { candidate: "candidate:1", toJSON: () => ({ sdpMid: "0" }) } }));
    if (type === "answer") this.#connect(this.#offerer);
  }

  async setRemoteDescription({ type, sdp }) {
    const other = this.#descriptions.get(sdp);
    if (!other) throw new Error("a description of nobody");
    if (type === "answer" && this.signalingState !== "have-local-offer") throw new Error("an answer to nothing");
    this.signalingState = type === "offer" ? "have-remote-offer" : "stable";
    if (type === "offer") this.#offerer = other;
  }

  async addIceCandidate() {}

  restartIce() {}

  async getStats() {
    return new Map([
      ["T", { type: "transport", selectedCandidatePairId: "P" }],
      ["P", { localCandidateId: "L", remoteCandidateId: "R" }],
      ["L", { candidateType: "host" }],
      ["R", { candidateType: "host" }],
    ]);
  }

  close() {
    this.connectionState = "closed";
    for (const channel of this.#channels.values()) channel.end();
    setTimeout(() => {
      if (this.#other?.connectionState !== "closed") for (const channel of this.#other?.#channels.values() ?? []) channel.end(true);
    });
  }

  #connect(other) {
    setTimeout(() => {
      if ([this, other].some(({ connectionState }) => connectionState === "closed")) return;
      [this.#other, other.#other] = [other, this];
      for (const [id, channel] of this.#channels) channel.pair(other.#channels.get(id));
    }, 2);
  }
}

class FakeChannel {
  readyState = "connecting";
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  #other;

  constructor(label) {
    this.label = label;
  }

  pair(other) {
    [this.#other, other.#other] = [other, this];
    for (const channel of [this, other]) {
      channel.readyState = "open";
      setTimeout(() => channel.onopen?.());
    }
  }

  send(bytes) {
    if (this.readyState !== "open") throw new Error("not open");
    const copy = bytes.slice().buffer;
    this.bufferedAmount += copy.byteLength;
    setTimeout(() => {
      const before = this.bufferedAmount;
      this.bufferedAmount -= copy.byteLength;
      if (this.#other.readyState === "open") this.#other.onmessage?.({ data: copy });
      const threshold = this.bufferedAmountLowThreshold;
      if (before > threshold && this.bufferedAmount <= threshold && this.readyState === "open") this.onbufferedamountlow?.();
    });
  }

  end(tell = false) {
    this.readyState = "closed";
    if (tell) this.onclose?.();
  }
}
