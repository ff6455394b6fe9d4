// @ts-check
/**
 * One attempt at a connection to another member: an `RTCPeerConnection` with the two negotiated data channels.
 *
 * @module
 */

import { LINK_RESUME } from "./limits.js";

/** @import {IceServer, Negotiation, Role} from "./wire.js" */
/** @import {Lane} from "./member/io.js" */

/**
 * What a connection reports. Nothing comes after `ondown`, nor after {@link Peer.close}.
 *
 * @typedef {object} PeerHandlers
 * @property {(data: Negotiation) => void} onlocal a description or candidate for the other side
 * @property {(path: string) => void} onup all channels are open
 * @property {(lane: Lane, bytes: Uint8Array) => void} onpacket
 * @property {(lane: Lane, bytes: number) => void} onbuffered a send buffer fell to this size
 * @property {(reason: string, closed: boolean) => void} ondown `closed`: by the other side, in good order
 */

/** The data channels, by lane; see PROTOCOL.md, "Links". @type {Record<Lane, { label: string, init: RTCDataChannelInit }>} */
const LANES = {
  reliable: { label: "roomful", init: { negotiated: true, id: 0, ordered: true } },
  lossy: { label: "roomful-lossy", init: { negotiated: true, id: 1, ordered: false, maxRetransmits: 0 } },
};

/**
 * Bytes in a lane's send buffer at which the machine is told. The lossy lane's is a quarter of where datagrams start to
 * be dropped.
 *
 * @type {Record<Lane, number>}
 */
const RESUME = { reliable: LINK_RESUME, lossy: LINK_RESUME / 4 };

/** Packets that may come before this side is up: HELLO, and what the lossy lane sends meanwhile. */
const EARLY_MAX = 64;

/** After which the other side's candidates have come, and a path that still looks reflexive is. */
const PATH_SETTLES_MS = 1_000;

/** One connection. */
export class Peer {
  #connection;
  /** @type {Record<Lane, RTCDataChannel>} */
  #channels;
  /**
   * What came before this side was reported up: the other side's channels may open first, and where the path must be
   * looked up in the statistics, reporting takes a moment. Bounded by what may come without credit.
   *
   * @type {{ lane: Lane, bytes: Uint8Array }[] | null}
   */
  #early = [];
  /** As last looked up. @type {string | undefined} */
  #path;
  #upAt = 0;
  /** What the machine believes to be in each send buffer. @type {Record<Lane, number>} */
  #believed = { reliable: 0, lossy: 0 };
  /** @type {PeerHandlers | null} */
  #handlers;
  /** Descriptions and candidates are worked off one after another. */
  #negotiation = Promise.resolve();

  /**
   * @param {Role} role whether to offer
   * @param {IceServer[]} iceServers
   * @param {PeerHandlers} handlers
   */
  constructor(role, iceServers, handlers) {
    this.#handlers = handlers;
    this.#connection = new RTCPeerConnection({ iceServers });
    this.#connection.onicecandidate = ({ candidate }) => this.#candidate(candidate);
    this.#connection.onconnectionstatechange = () => {
      const state = this.#connection.connectionState;
      if (state === "failed") this.#down("no path to the other side was found");
      else if (state === "closed") this.#down("the connection was closed");
    };
    this.#channels = { reliable: this.#channel("reliable"), lossy: this.#channel("lossy") };
    if (role === "offer") this.#negotiate(() => this.#describe());
  }

  /**
   * Takes a description or candidate of the other side.
   *
   * @param {Negotiation} data
   */
  remote(data) {
    if ("candidate" in data) {
      this.#negotiate(() =>
        // A candidate that cannot be used, as one of a kind that the browser does not know, is only one path less.
        this.#connection.addIceCandidate(data.candidate).catch(() => {}),
      );
    } else if ("offer" in data) {
      this.#negotiate(async () => {
        await this.#connection.setRemoteDescription({ type: "offer", sdp: data.offer });
        await this.#describe();
      });
    } else if ("answer" in data) {
      this.#negotiate(() => {
        // One that comes twice changes nothing.
        if (this.#connection.signalingState !== "have-local-offer") return undefined;
        return this.#connection.setRemoteDescription({ type: "answer", sdp: data.answer });
      });
    }
  }

  /** Offers anew, with a new ICE generation. */
  restartIce() {
    this.#negotiate(() => {
      this.#connection.restartIce();
      return this.#describe();
    });
  }

  /**
   * @param {Lane} lane
   * @param {Uint8Array<ArrayBuffer>} bytes
   */
  send(lane, bytes) {
    this.#believed[lane] += bytes.length;
    const channel = this.#channels[lane];
    try {
      channel.send(bytes);
    } catch {
      // A channel that is closing reports its end by itself; one that is open can only be full.
      if (channel.readyState === "open") this.#down("the browser refused to send");
    }
  }

  /**
   * Reports the send buffers that are emptier than the machine believes. Browsers do so by themselves only where a
   * buffer has been above its threshold.
   */
  settle() {
    for (const lane of /** @type {Lane[]} */ (["reliable", "lossy"])) {
      if (this.#believed[lane] > RESUME[lane] && this.#channels[lane].bufferedAmount <= RESUME[lane]) {
        this.#buffered(lane);
      }
    }
  }

  /**
   * How the two sides reach each other now: `host`, `reflexive` or `relayed`. Undefined while it is not certain: the other
   * side's checks may come before the candidate that says where they come from.
   *
   * @returns {string | undefined}
   */
  get path() {
    const pair = selectedPair(this.#connection);
    if (pair) this.#path = pathOf(pair.local?.type, pair.remote?.type);
    // Known the next time that somebody asks.
    else pathByStatistics(this.#connection).then((path) => (this.#path = path), () => {});
    const certain = this.#path !== "reflexive" || performance.now() - this.#upAt > PATH_SETTLES_MS;
    return certain ? this.#path : undefined;
  }

  /** Ends the connection. */
  close() {
    this.#handlers = null;
    this.#connection.close();
  }

  /** @param {Lane} lane */
  #channel(lane) {
    const channel = this.#connection.createDataChannel(LANES[lane].label, LANES[lane].init);
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = RESUME[lane];
    channel.onopen = () => this.#opened();
    channel.onclose = () => this.#down("the other side closed the connection", true);
    channel.onbufferedamountlow = () => this.#buffered(lane);
    channel.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) this.#packet(lane, new Uint8Array(data));
      else this.#down("bad_frame: a message that is not binary");
    };
    return channel;
  }

  #opened() {
    if (Object.values(this.#channels).some((channel) => channel.readyState !== "open")) return;
    const pair = selectedPair(this.#connection);
    if (pair) this.#up(pathOf(pair.local?.type, pair.remote?.type));
    else this.#negotiate(async () => this.#up(await pathByStatistics(this.#connection)));
  }

  /** @param {string} path */
  #up(path) {
    const early = this.#early ?? [];
    this.#early = null;
    this.#path = path;
    this.#upAt = performance.now();
    this.#handlers?.onup(path);
    for (const { lane, bytes } of early) this.#handlers?.onpacket(lane, bytes);
  }

  /**
   * @param {Lane} lane
   * @param {Uint8Array} bytes
   */
  #packet(lane, bytes) {
    if (!this.#early) this.#handlers?.onpacket(lane, bytes);
    else if (this.#early.length < EARLY_MAX) this.#early.push({ lane, bytes });
    else this.#down("bad_frame: too much before HELLO was answered");
  }

  /** @param {Lane} lane */
  #buffered(lane) {
    this.#believed[lane] = this.#channels[lane].bufferedAmount;
    this.#handlers?.onbuffered(lane, this.#believed[lane]);
  }

  /** @param {RTCIceCandidate | null} candidate */
  #candidate(candidate) {
    if (!candidate?.candidate) return;
    const { sdpMid = null, sdpMLineIndex = null, usernameFragment = null } = candidate.toJSON();
    this.#handlers?.onlocal({
      candidate: { candidate: candidate.candidate, sdpMid, sdpMLineIndex, usernameFragment },
    });
  }

  async #describe() {
    await this.#connection.setLocalDescription();
    const description = this.#connection.localDescription;
    if (description?.type === "offer") this.#handlers?.onlocal({ offer: description.sdp });
    else if (description?.type === "answer") this.#handlers?.onlocal({ answer: description.sdp });
  }

  /** @param {() => Promise<void> | void} step */
  #negotiate(step) {
    this.#negotiation = this.#negotiation
      .then(() => (this.#handlers ? step() : undefined))
      .catch((error) => this.#down(`the connection could not be negotiated: ${error?.message ?? error}`));
  }

  /**
   * @param {string} reason
   * @param {boolean} [closed]
   */
  #down(reason, closed = false) {
    const handlers = this.#handlers;
    this.#handlers = null;
    this.#connection.close();
    handlers?.ondown(reason, closed);
  }
}

/**
 * The pair of candidates in use, where the browser tells it at once.
 *
 * @param {RTCPeerConnection} connection
 * @returns {{ local?: RTCIceCandidate, remote?: RTCIceCandidate } | null | undefined}
 */
function selectedPair(connection) {
  const transport = /** @type {any} */ (connection.sctp?.transport?.iceTransport);
  return transport?.getSelectedCandidatePair?.();
}

/**
 * How two candidates reach each other (RFC 8445).
 *
 * @param {string | null | undefined} local
 * @param {string | null | undefined} remote
 */
function pathOf(local, remote) {
  const types = [local, remote];
  if (types.includes("relay")) return "relayed";
  return types.includes("srflx") || types.includes("prflx") ? "reflexive" : "host";
}

/** @param {RTCPeerConnection} connection */
async function pathByStatistics(connection) {
  const statistics = await connection.getStats();
  for (const transport of statistics.values()) {
    if (transport.type !== "transport") continue;
    const pair = statistics.get(transport.selectedCandidatePairId);
    if (pair) {
      return pathOf(
        statistics.get(pair.localCandidateId)?.candidateType,
        statistics.get(pair.remoteCandidateId)?.candidateType,
      );
    }
  }
  return "host";
}
