// @ts-check
/**
 * Reliable delivery to and from one peer: what it is owed, what it may be sent, what it has sent.
 *
 * The room's outbox is shared by all peers; each {@link Flow} keeps a cursor into it. A new link starts with HELLO, in
 * which both sides say how far they are, so whatever a dead link swallowed is sent again and nothing twice.
 *
 * @module
 */

import { PacketWriter, VERSION, encodeFrame } from "../frame.js";
import {
  ACK_DELAY, ACK_EVERY, LINK_PAUSE, PACKET_TARGET, RECEIVE_WINDOW, STALL_LINKING, STALL_OPEN,
} from "../limits.js";
import { Outbox, cost } from "./outbox.js";
import { LinkError } from "../courier/error.js";
import { Window } from "../courier/window.js";

/** @import {Ack, Data, Frame, Holding, Stream} from "../frame.js" */
/** @import {MemberId} from "../id.js" */
/** @import {Chunk} from "./outbox.js" */
/** @import {Accepted, Lost} from "../courier/window.js" */

/** How far a peer is in one of our streams: the first chunk that it lacks, the next to send on the current link. @typedef {{ acked: number, cursor: number }} Cursor */
/** Where the streams between two members stood when one of them went. @typedef {{ roomIn: number, addressedIn: number, addressedOut: number }} Position */

export class Flow {
  #self;
  #peer;

  // Towards the peer.
  /** @type {Cursor} */
  #room;
  /** @type {Cursor} */
  #addressed;
  /** What was sent to this peer only. */
  outbox;
  /** When the peer last acknowledged something, or was first owed something. */
  progress;
  /** It stalled, and its progress does not count until it acknowledges something. */
  #passedOver = false;
  #credit = 0;
  #spent = 0;
  /** Bytes in the reliable lane's send buffer. */
  buffered = 0;
  /** Sent before anything else. @type {Frame[]} */
  #control = [];

  // From the peer.
  #roomIn;
  #addressedIn;
  #received = 0;
  #granted = 0;
  /** Cost of messages that the application has not consumed. */
  #held = 0;
  /** When the next acknowledgement is due. @type {number | undefined} */
  ackDue;
  #unacknowledged = 0;

  /**
   * A flow to a peer that has just entered: it is owed what the room's outbox holds from `roomNext` on.
   *
   * @param {MemberId} self
   * @param {MemberId} peer
   * @param {number} roomNext
   * @param {Position | undefined} known
   * @param {number} now
   */
  constructor(self, peer, roomNext, known, now) {
    const out = known?.addressedOut ?? 1;
    this.#self = self;
    this.#peer = peer;
    this.#room = { acked: roomNext, cursor: roomNext };
    this.#addressed = { acked: out, cursor: out };
    this.outbox = new Outbox({ origin: self, to: peer }, out);
    this.progress = now;
    this.#roomIn = new Window(known?.roomIn);
    this.#addressedIn = new Window(known?.addressedIn);
  }

  /** What to remember of a peer that goes. @returns {Position} */
  get position() {
    return {
      roomIn: this.#roomIn.next ?? 0,
      addressedIn: this.#addressedIn.next ?? 0,
      addressedOut: this.outbox.next,
    };
  }

  // ---- links ---------------------------------------------------------------------------------------

  /**
   * A new link is up: nothing is known of what went over the old one but what was acknowledged.
   *
   * @param {Outbox} room
   * @param {number} epoch
   */
  linkUp(room, epoch) {
    this.#credit = 0;
    this.#spent = 0;
    this.buffered = 0;
    this.#received = 0;
    this.#granted = Math.max(0, RECEIVE_WINDOW - this.#held);
    this.ackDue = undefined;
    this.#unacknowledged = 0;
    /** @type {(stream: Stream, cursor: Cursor, outbox: Outbox) => Holding} */
    const mine = (stream, cursor, outbox) => ({
      stream,
      first: Math.max(cursor.acked, outbox.first),
      next: outbox.next,
    });
    const holdings = [
      mine({ origin: this.#self }, this.#room, room),
      mine({ origin: this.#self, to: this.#peer }, this.#addressed, this.outbox),
    ];
    for (const [stream, { next }] of this.#incoming()) {
      if (next !== undefined) holdings.push({ stream, first: next, next });
    }
    this.#control = [{ type: "hello", version: VERSION, epoch, credit: this.#granted, holdings }];
  }

  /**
   * The peer's HELLO: it says how far it is, and what it can supply. Gives what is lost of its room stream and of its
   * stream to us.
   *
   * @param {Outbox} room
   * @param {number} credit
   * @param {Holding[]} holdings
   * @param {number} now
   * @returns {[Lost | undefined, Lost | undefined]}
   * @throws {LinkError}
   */
  hello(room, credit, holdings, now) {
    /** @type {[Lost | undefined, Lost | undefined]} */
    const lost = [undefined, undefined];
    this.#credit = credit;
    this.#room.cursor = this.#room.acked;
    this.#addressed.cursor = this.#addressed.acked;
    for (const { stream, first, next } of holdings) {
      if (first > next) throw neverSent();
      if (stream.origin === this.#peer && stream.to === undefined) {
        lost[0] = this.#roomIn.start(first);
      } else if (stream.origin === this.#peer && stream.to === this.#self) {
        lost[1] = this.#addressedIn.start(first);
      } else if (stream.origin === this.#self && (stream.to === undefined || stream.to === this.#peer)) {
        this.acknowledged(room, { stream, next }, now);
        if (stream.to === undefined) this.#room.cursor = next;
        // What the peer lacks of before it was given up is gone; our HELLO told it so.
        else this.#addressed.cursor = Math.max(next, this.outbox.first);
      }
    }
    return lost;
  }

  // ---- towards the peer ----------------------------------------------------------------------------

  /**
   * Something was put into an outbox that this peer is owed: its time to make progress begins, where it had nothing to
   * do.
   *
   * @param {boolean} hadAll
   * @param {number} now
   */
  owedMore(hadAll, now) {
    if (hadAll && !this.#passedOver) this.progress = now;
  }

  /**
   * Whether the peer has all that went to the room before `next`.
   *
   * @param {number} next
   */
  hasAllBefore(next) {
    return this.#room.acked >= next;
  }

  /**
   * Whether nothing is under way to this peer.
   *
   * @param {Outbox} room
   */
  isFlushed(room) {
    return this.#room.acked >= room.next && this.#addressed.acked >= this.outbox.next && !this.outbox.isWaiting;
  }

  /** The first chunk of the room's stream that the peer lacks. */
  get roomAcked() {
    return this.#room.acked;
  }

  /**
   * The peer has not kept up: the room's outbox waits for it no longer.
   *
   * @param {Outbox} room
   */
  passOver(room) {
    this.#passedOver = true;
    this.#room.acked = room.next;
  }

  /**
   * @param {Outbox} room
   * @param {Ack} ack
   * @param {number} now
   * @throws {LinkError}
   */
  acknowledged(room, { stream, next }, now) {
    if (stream.origin !== this.#self || (stream.to !== undefined && stream.to !== this.#peer)) throw forged();
    const [cursor, end] = stream.to === undefined ? [this.#room, room.next] : [this.#addressed, this.outbox.next];
    if (next > end) throw neverSent();
    if (next > cursor.acked || this.#passedOver) {
      this.progress = now;
      this.#passedOver = false;
    }
    cursor.acked = Math.max(cursor.acked, next);
    if (stream.to !== undefined) this.outbox.trim(next);
  }

  /** @param {number} total */
  credited(total) {
    this.#credit = Math.max(this.#credit, total);
  }

  /**
   * Builds the next packet for the reliable lane, as far as credit and buffer allow.
   *
   * @param {Outbox} room
   * @param {number} now
   * @returns {Uint8Array<ArrayBuffer> | undefined}
   */
  nextPacket(room, now) {
    const packet = new PacketWriter();
    this.#acknowledge(now);
    while (this.#control.length > 0) {
      const frame = encodeFrame(this.#control[0]);
      if (packet.length > 0 && packet.length + frame.length > PACKET_TARGET) return this.#sealed(packet);
      packet.push(frame);
      this.#control.shift();
    }
    while (this.#credit > 0 && this.buffered + packet.length < LINK_PAUSE) {
      this.#skipWhatIsGone(room, packet);
      const next = this.#nextChunk(room);
      if (!next) break;
      const { frame } = next.chunk;
      const price = cost(frame.length);
      if (this.#spent + price > this.#credit) break;
      if (packet.length > 0 && packet.length + frame.length > PACKET_TARGET) break;
      packet.push(frame);
      this.#spent += price;
      next.cursor.cursor += 1;
    }
    return packet.length > 0 ? this.#sealed(packet) : undefined;
  }

  /** @param {PacketWriter} packet */
  #sealed(packet) {
    this.buffered += packet.length;
    return packet.take();
  }

  /**
   * Where the peer was passed over, what it missed is gone from the outbox: it is told so.
   *
   * @param {Outbox} room
   * @param {PacketWriter} packet
   */
  #skipWhatIsGone(room, packet) {
    if (this.#room.cursor >= room.first) return;
    packet.push(encodeFrame({ type: "skip", stream: { origin: this.#self }, upto: room.first }));
    this.#room.cursor = room.first;
  }

  /**
   * The chunk that comes next for this peer, in the order in which the application sent, and the cursor that it moves.
   *
   * @param {Outbox} room
   * @returns {{ chunk: Chunk, cursor: Cursor } | undefined}
   */
  #nextChunk(room) {
    const ofRoom = room.chunk(this.#room.cursor);
    const addressed = this.outbox.chunk(this.#addressed.cursor);
    if (ofRoom && !(addressed && addressed.stamp < ofRoom.stamp)) return { chunk: ofRoom, cursor: this.#room };
    return addressed && { chunk: addressed, cursor: this.#addressed };
  }

  // ---- from the peer -------------------------------------------------------------------------------

  /** @returns {[Stream, Window][]} */
  #incoming() {
    return [
      [{ origin: this.#peer }, this.#roomIn],
      [{ origin: this.#peer, to: this.#self }, this.#addressedIn],
    ];
  }

  /**
   * Takes a DATA frame of `length` bytes.
   *
   * @param {Data} data
   * @param {number} length
   * @param {number} now
   * @returns {Accepted}
   * @throws {LinkError}
   */
  data(data, length, now) {
    this.#received += cost(length);
    if (this.#received > this.#granted) throw new LinkError("over_credit");
    const accepted = this.#windowOf(data.stream).accept(data);
    this.#unacknowledged += 1;
    this.ackDue ??= now + ACK_DELAY;
    if (this.#unacknowledged >= ACK_EVERY) this.ackDue = now;
    return accepted;
  }

  /**
   * The peer will not send chunks below `upto`.
   *
   * @param {Stream} stream
   * @param {number} upto
   * @param {number} now
   * @throws {LinkError}
   */
  skipped(stream, upto, now) {
    const window = this.#windowOf(stream);
    this.ackDue ??= now + ACK_DELAY;
    return window.start(upto);
  }

  /** @param {Stream} stream */
  #windowOf({ origin, to }) {
    if (origin === this.#peer && to === undefined) return this.#roomIn;
    if (origin === this.#peer && to === this.#self) return this.#addressedIn;
    throw forged();
  }

  /**
   * The application was given a message with a payload of `bytes`.
   *
   * @param {number} bytes
   */
  hold(bytes) {
    this.#held += cost(bytes);
  }

  /**
   * The application took a message with a payload of `bytes`.
   *
   * @param {number} bytes
   */
  consumed(bytes) {
    this.#held = Math.max(0, this.#held - cost(bytes));
  }

  /** Opens the window again once a quarter of it has been used up. */
  grant() {
    const total = Math.max(0, this.#received + RECEIVE_WINDOW - this.#held);
    if (total < this.#granted + RECEIVE_WINDOW / 4) return;
    this.#granted = total;
    this.#control = this.#control.filter(({ type }) => type !== "credit");
    this.#control.push({ type: "credit", total });
  }

  /** @param {number} now */
  #acknowledge(now) {
    if (this.ackDue === undefined || this.ackDue > now) return;
    this.ackDue = undefined;
    this.#unacknowledged = 0;
    /** @type {Ack[]} */
    const acks = [];
    for (const [stream, { next }] of this.#incoming()) if (next !== undefined) acks.push({ stream, next });
    this.#control.push({ type: "ack", acks });
  }
}

/**
 * For how long a peer may hold the room's outbox back.
 *
 * @param {boolean} open whether its link is
 */
export function patience(open) {
  return open ? STALL_OPEN : STALL_LINKING;
}

function forged() {
  return new LinkError("bad_frame: a frame of somebody else's stream");
}

function neverSent() {
  return new LinkError("bad_frame: an acknowledgement of what was never sent");
}
