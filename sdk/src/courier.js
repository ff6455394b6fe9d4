// @ts-check
/**
 * What members say to the whole room, over whatever links there are.
 *
 * Each origin's stream is a numbered **log**. A link on which a stream is *pushed* follows the log: chunks go over it in
 * order, each once, from where the other end says that it stands. So a chunk that comes is the next one or a duplicate,
 * however often the way changes, and whoever loses its way asks anybody for the rest of the log.
 *
 * Of each stream a member has one **parent**, the link that it comes by; it pushes the stream to whoever wants it from
 * there, and tells everybody else how far it is. The ways of a stream so form a tree, which Plumtree (Leitão, Pereira,
 * Rodrigues, SRDS 2007) calls eager push; what is told elsewhere is its lazy push, cumulative here.
 *
 * - The plan says which links are **eager**: along them goes a stream of which nothing was heard yet.
 * - GRAFT asks for a stream from a chunk on, PRUNE asks not to be sent it, HAVE says how far one is: to the parent that
 *   acknowledges, to others it announces.
 * - Where HAVE shows chunks that are missing here, one who has them is asked after a while (`ways`); where a link ends,
 *   its streams are asked of somebody else at once.
 *
 * In a full mesh (a plan that is not `relayed`) everybody pushes its own stream on all links, and nothing is announced: the
 * same machine, in which a lost link is mended by way of a third member.
 *
 * Where members do not believe each other, what is passed on goes after its origin's signature (`trust`).
 *
 * What is said to one member only is a log too, with one follower: it goes over the link to that member, or along a route
 * of members who pass it on (`addressed`). Its origin keeps it until the addressee has it.
 *
 * The twin of `crates/room/src/courier.rs`, with the same chapters; `protocol/traces/courier-*.jsonl` holds both to the same
 * outputs.
 *
 * @module
 */

import { PacketWriter } from "./frame.js";
import { ANNOUNCE_DELAY, PACKET_TARGET, RECEIVE_WINDOW, STALL_LINKING } from "./limits.js";
import { loseRoutes, route } from "./courier/addressed.js";
import { Core, defaultPush, pushes } from "./courier/core.js";
import { askForDeparted, greeting, learnBeginnings, settleBeginnings } from "./courier/greeting.js";
import { Link } from "./courier/link.js";
import { consumed, fillOwn, hold, isFlushed, isPassedOn, publish, send } from "./courier/own.js";
import { grant, take } from "./courier/receive.js";
import { decline, nextFrame } from "./courier/send.js";
import { Signing, forgetCovers, inCompany, keyOf, seal, sealAt, signed, unseal, verified, vouch } from "./courier/trust.js";
import { forget, gone, sweep, trim } from "./courier/upkeep.js";
import { askForOrphans, bereave, detour, drain, drainNoMore, hopeAnew, repairDue, repaired, settleGap, takeFromOrigins } from "./courier/ways.js";

/** @import {Head} from "./frame.js" */
/** @import {MemberId} from "./id.js" */
/** @import {Counters, CourierEvent, LinkUp, Plan} from "./courier/core.js" */
/** @import {Beginning} from "./courier/stream.js" */

/** Reliable delivery to the whole room, for one member. Times are in µs. */
export class Courier {
  #core;

  /**
   * A member's courier, with no links yet.
   *
   * @param {MemberId} id
   * @param {number} now
   */
  constructor(id, now) {
    this.#core = new Core(id, now);
  }

  // ---- the room ------------------------------------------------------------------------------------

  /**
   * All who were in the room before this member have been named by {@link Courier.entered}: any other stream begins with its
   * first chunk.
   */
  metAll() {
    this.#core.metAll = true;
    this.#core.metAt = this.#core.now;
    settleBeginnings(this.#core);
  }

  /** Whether it is known where the streams of those begin who were here before. */
  get isSettled() {
    return this.#core.vouched;
  }

  /**
   * The plan changed. Streams keep the ways that they have; new ones take the links that are eager now.
   *
   * @param {number} now
   * @param {Plan} plan
   */
  plan(now, plan) {
    const core = this.#core;
    core.now = now;
    /** @type {number[]} */
    const newlyEager = [];
    for (const at of core.links.places()) {
      const link = core.links.at(at);
      const wasEager = link.eager;
      link.eager = plan.eager.has(link.peer);
      for (const s of core.streams.places()) {
        const stream = core.streams.at(s);
        if (!stream.isOfRoom) continue;
        const pushed = defaultPush(core.plan.relayed, wasEager, stream);
        const pushes = defaultPush(plan.relayed, link.eager, stream);
        const ends = link.ends(s);
        if (ends.wanted !== undefined) continue;
        // Whoever has a stream from here goes on getting it, until it says that it has it from elsewhere.
        if (pushed && !pushes && stream.isActive(now) && stream.parent !== at) ends.wanted = true;
        else if (pushes && ends.cursor < stream.next) link.ready(s);
        else if (!pushes && plan.relayed && ends.theirs < stream.next) link.tell(s, now + ANNOUNCE_DELAY);
      }
      if (plan.relayed && link.eager && !(core.plan.relayed && wasEager)) newlyEager.push(at);
      core.list(at);
    }
    const wasRelayed = core.plan.relayed;
    core.plan = plan;
    for (const at of newlyEager) decline(core, at);
    unseal(core, core.own);
    if (wasRelayed && !plan.relayed) takeFromOrigins(core);
    else if (!wasRelayed && plan.relayed) {
      learnBeginnings(core);
      hopeAnew(core);
    }
  }

  /**
   * A member is in the room, or there again after it was believed to be gone. `beginning`: where its stream begins, unless that
   * is known from before.
   *
   * @param {number} now
   * @param {MemberId} id
   * @param {Beginning} beginning
   */
  entered(now, id, beginning) {
    const core = this.#core;
    core.now = now;
    core.namesMembers = true;
    const known = core.known({ origin: id });
    if (known !== undefined) core.streams.at(known).forgetAt = undefined;
    const position = core.departed.get(id);
    core.departed.delete(id);
    const resume = (/** @type {number | undefined} */ s, /** @type {number} */ next) => {
      if (s !== undefined) core.streams.at(s).resume(next);
    };
    const { offered, received, sent } = position ?? {};
    // Links may have stayed when it was believed to be gone: what was said meanwhile is owed, whatever the hub says.
    const room = position?.room ?? offered;
    if (room !== undefined) resume(core.stream({ origin: id }, "room"), room);
    if (received !== undefined) resume(core.stream({ origin: id, to: core.id }, "received"), received);
    if (sent !== undefined) resume(core.stream({ origin: core.id, to: id }, "sent"), sent);
    const s = core.stream({ origin: id }, "room");
    if (s === undefined) return;
    const stream = core.streams.at(s);
    stream.isNamed = true;
    stream.beginning = beginning;
    // It may have known this member all the time, whatever the hub takes it for.
    const isUnmet = position !== undefined && room === undefined;
    if (isUnmet && typeof beginning === "number") stream.reappear(beginning);
    // Others may have told of it before the hub did.
    const isOpen = !stream.hasBegun || stream.isUntouched;
    if (beginning !== "before" && core.plan.relayed && isOpen) {
      stream.begin();
      repaired(core, s);
    }
    askForDeparted(core, s);
  }

  /**
   * A member is gone: what a survivor has of its stream the others get, and then it is forgotten.
   *
   * @param {number} now
   * @param {MemberId} id
   */
  gone(now, id) {
    this.#core.now = now;
    gone(this.#core, id);
  }

  /**
   * Forgets a member that is gone at once. Gives the tickets of messages to it that were not taken yet.
   *
   * @param {number} now
   * @param {MemberId} id
   */
  forget(now, id) {
    this.#core.now = now;
    return forget(this.#core, id);
  }

  // ---- links ---------------------------------------------------------------------------------------

  /**
   * A link can carry frames. HELLO is the first.
   *
   * @param {number} now
   * @param {MemberId} peer
   * @param {LinkUp} how
   */
  linkUp(now, peer, how) {
    const core = this.#core;
    this.linkDown(now, peer);
    const granted = Math.max(0, RECEIVE_WINDOW - (core.unconsumed.get(peer)?.cost ?? 0));
    const link = new Link(peer, core.plan.eager.has(peer), how, granted, core.vouched);
    const at = core.links.insert(link);
    core.byPeer.set(peer, at);
    // What counts against this link's first credit opens this one when it is consumed, whatever link it came by.
    const unconsumed = core.unconsumed.get(peer);
    if (unconsumed) {
      const old = unconsumed.link;
      unconsumed.link = at;
      grant(core, old);
    }
    link.control.push(greeting(core, at));
    const s = core.known({ origin: core.id, to: peer });
    // Of what begins later HELLO does not tell, also where it is said again.
    if (s !== undefined) link.ends(s).routed = true;
    core.list(at);
  }

  /**
   * A link is no more.
   *
   * @param {number} now
   * @param {MemberId} peer
   */
  linkDown(now, peer) {
    const core = this.#core;
    core.now = now;
    const at = core.byPeer.get(peer);
    if (at === undefined) return;
    core.byPeer.delete(peer);
    const link = core.links.at(at);
    core.links.remove(at);
    // Where what came right behind HELLO was wrong, the link never opened.
    core.events.retain((event) => event.type !== "open" || event.peer !== peer);
    if (link.open && core.expected.has(peer)) {
      core.expected.set(peer, { from: link.endsOf(core.own).theirs, since: now });
    }
    for (const { repair } of core.streams.things()) {
      if (repair) repair.asked = repair.asked.filter((asked) => asked !== at);
    }
    forgetCovers(core, at);
    loseRoutes(core, at);
    bereave(core, at);
    for (const s of core.streams.places()) {
      if (core.streams.at(s).repair) settleGap(core, s);
      trim(core, s);
    }
    fillOwn(core);
  }

  /**
   * A link has fallen silent, or was heard again.
   *
   * @param {number} now
   * @param {MemberId} peer
   * @param {boolean} suspect
   */
  suspect(now, peer, suspect) {
    const core = this.#core;
    core.now = now;
    const at = core.byPeer.get(peer);
    if (at === undefined || core.links.at(at).suspect === suspect) return;
    core.links.at(at).suspect = suspect;
    if (!suspect) {
      askForOrphans(core, at);
      return;
    }
    bereave(core, at);
    fillOwn(core);
  }

  /**
   * A round trip over a link takes so long.
   *
   * @param {MemberId} peer
   * @param {number} rtt
   */
  measured(peer, rtt) {
    const at = this.#core.byPeer.get(peer);
    if (at !== undefined) this.#core.links.at(at).measured(rtt);
  }

  /**
   * Whether links are to come that are not open yet.
   *
   * @param {boolean} hopeful
   */
  hope(hopeful) {
    this.#core.hopeful = hopeful;
  }

  /**
   * A link is to go: whoever has a stream from it looks for another way, and nobody is to depend on it anew. Gives whether it is
   * of use still: chunks are under way from here, or come by it that nobody else has.
   *
   * @param {number} now
   * @param {MemberId} peer
   */
  drain(now, peer) {
    const core = this.#core;
    core.now = now;
    const at = core.byPeer.get(peer);
    return at !== undefined && core.links.at(at).isSound && drain(core, at);
  }

  /**
   * A link that was to go stays.
   *
   * @param {MemberId} peer
   */
  drainNoMore(peer) {
    const at = this.#core.byPeer.get(peer);
    if (at !== undefined) drainNoMore(this.#core, at);
  }

  /**
   * The send buffer of a link's reliable lane holds so many bytes.
   *
   * @param {MemberId} peer
   * @param {number} bytes
   */
  buffered(peer, bytes) {
    const at = this.#core.byPeer.get(peer);
    if (at === undefined) return;
    this.#core.links.at(at).buffered = bytes;
    this.#core.list(at);
  }

  /**
   * Takes a frame of a link's reliable lane. A frame of a link that is not up is ignored.
   *
   * @param {number} now
   * @param {MemberId} peer
   * @param {Uint8Array} bytes kept, and sent on; nobody may write to them
   * @throws {import("./courier/error.js").LinkError} How the other end broke the protocol: the link is of no use any more.
   */
  frame(now, peer, bytes) {
    this.#core.now = now;
    const at = this.#core.byPeer.get(peer);
    if (at !== undefined) take(this.#core, at, bytes);
  }

  /**
   * Members that what is said to `to` is passed on by, one after another; `to` is the last. False where there is no link to
   * the first.
   *
   * @param {number} now
   * @param {MemberId} to
   * @param {MemberId[]} path
   */
  route(now, to, path) {
    this.#core.now = now;
    return path.length > 0 && route(this.#core, to, path);
  }

  /**
   * In a mesh, there is no link to an origin: its stream is asked of somebody else, one who knows where it begins for this
   * member.
   *
   * @param {number} now
   * @param {MemberId} origin
   */
  detour(now, origin) {
    this.#core.now = now;
    detour(this.#core, origin);
  }

  // ---- what this member says -----------------------------------------------------------------------

  /**
   * Whether one more message to the room, or to a member, may wait for its turn.
   *
   * @param {MemberId | undefined} to
   * @param {number} payload its length
   */
  hasRoomFor(to, payload) {
    const s = this.#core.known({ origin: this.#core.id, to });
    return s === undefined || this.#core.streams.at(s).waiting.hasRoomFor(payload);
  }

  /** Whether messages wait for room in a log. */
  get isWaiting() {
    return this.#core.streams.things().some(({ waiting }) => !waiting.isEmpty);
  }

  /** Bytes, with overhead, that are kept of what this member said. */
  get kept() {
    return this.#core.streams.things().reduce((sum, { isOwn, log }) => (isOwn ? sum + log.bytes : sum), 0);
  }

  /** Whether everybody who can be reached has all that this member said. */
  get isFlushed() {
    return isFlushed(this.#core);
  }

  /**
   * Whether all that was said to the room and came here before `until` is where it should go on to.
   *
   * @param {number} now
   * @param {number} until
   */
  isPassedOn(now, until) {
    return isPassedOn(this.#core, now, until);
  }

  /**
   * Says something to the room, or to a member: answered by `sent` where it has a ticket.
   *
   * @param {number} now
   * @param {MemberId | undefined} to
   * @param {number | undefined} ticket
   * @param {Head} head
   * @param {Uint8Array} payload
   */
  send(now, to, ticket, head, payload) {
    this.#core.now = now;
    send(this.#core, to, ticket, head, payload);
  }

  /**
   * Says something to the room and gives the number of its last chunk; undefined where the log is full.
   *
   * @param {number} now
   * @param {Head} head
   * @param {Uint8Array} payload
   */
  publish(now, head, payload) {
    this.#core.now = now;
    return publish(this.#core, head, payload);
  }

  /**
   * A member is owed what this one says from now on over a link of their own, also while there is none.
   *
   * @param {number} now
   * @param {MemberId} peer
   */
  expect(now, peer) {
    this.#expectFrom(now, peer, this.next);
  }

  /**
   * The same of what was said since a time, or of all that is kept: it was to come by others, and may not have.
   *
   * @param {number} now
   * @param {MemberId} peer
   * @param {number} [since]
   */
  expectSince(now, peer, since) {
    const { log } = this.#core.streams.at(this.#core.own);
    this.#expectFrom(now, peer, since === undefined ? log.first : log.firstSince(since));
  }

  /**
   * @param {number} now
   * @param {MemberId} peer
   * @param {number} from
   */
  #expectFrom(now, peer, from) {
    const core = this.#core;
    const known = core.expected.get(peer);
    if (known) known.until = undefined;
    if (core.expected.has(peer)) return;
    const at = core.byPeer.get(peer);
    const isLinked = at !== undefined && core.links.at(at).open;
    core.expected.set(peer, isLinked ? undefined : { from, since: now });
  }

  /**
   * A member gets this one's stream from others where there is no link to it. What it was owed until now, and had no link to get
   * it by, is kept for a while: others may not have kept it.
   *
   * @param {number} now
   * @param {MemberId} peer
   */
  expectNoMore(now, peer) {
    const core = this.#core;
    core.now = now;
    const expected = core.expected.get(peer);
    if (expected && expected.from < this.next) {
      expected.until ??= now + STALL_LINKING;
      core.sweepBy(expected.until);
    } else if (core.expected.delete(peer)) {
      fillOwn(core);
    }
  }

  /** Lets go of all that waits; gives the tickets. */
  close() {
    return this.#core.streams.things().flatMap(({ waiting }) => waiting.clear());
  }

  /**
   * The application was given a message with a payload of `bytes`: until it has taken it, its origin's link is held back.
   *
   * @param {MemberId} origin
   * @param {number} bytes
   */
  hold(origin, bytes) {
    hold(this.#core, origin, bytes);
  }

  /**
   * The application took a message with a payload of `bytes`.
   *
   * @param {number} now
   * @param {MemberId} origin
   * @param {number} bytes
   */
  consumed(now, origin, bytes) {
    this.#core.now = now;
    consumed(this.#core, origin, bytes);
  }

  // ---- signatures ----------------------------------------------------------------------------------

  /**
   * What is said in this room is signed from now on, and what is passed on is believed only where it is. A courier that was
   * not told so believes its neighbours.
   *
   * @param {string} room
   */
  sign(room) {
    this.#core.signing ??= new Signing(room);
  }

  /** Whether what is said is signed. */
  get signs() {
    return this.#core.signing !== undefined;
  }

  /**
   * What is to be signed or verified of a frame that is not the courier's, and a number for the answer that none of its own
   * has; undefined where nothing is signed.
   *
   * @param {Uint8Array} frame
   */
  vouch(frame) {
    return vouch(this.#core, frame);
  }

  /** There is more than one other in the room. */
  inCompany() {
    inCompany(this.#core);
  }

  /**
   * A member's key, by the hub's word. The first one counts until the member is forgotten.
   *
   * @param {number} now
   * @param {MemberId} id
   * @param {string} key as hex digits
   */
  key(now, id, key) {
    this.#core.now = now;
    keyOf(this.#core, id, key);
  }

  /**
   * Asks for signatures that are due. To be called when what was said in one turn has been said.
   *
   * @param {number} now
   */
  seal(now) {
    this.#core.now = now;
    seal(this.#core);
  }

  /**
   * The answer to the event `sign`.
   *
   * @param {number} now
   * @param {number} token
   * @param {Uint8Array} signature
   */
  signed(now, token, signature) {
    this.#core.now = now;
    signed(this.#core, token, signature);
  }

  /**
   * The answer to the event `verify`.
   *
   * @param {number} now
   * @param {number} token
   * @param {boolean} good
   */
  verified(now, token, good) {
    this.#core.now = now;
    verified(this.#core, token, good);
  }

  // ---- outputs -------------------------------------------------------------------------------------

  /**
   * What came.
   *
   * @returns {CourierEvent | undefined}
   */
  pollEvent() {
    return this.#core.events.shift();
  }

  /**
   * Somebody whom {@link Courier.nextFrame} may have something for.
   *
   * @returns {MemberId | undefined}
   */
  pollDirty() {
    const core = this.#core;
    for (let at; (at = core.dirty.shift()) !== undefined; ) {
      const link = core.links.get(at);
      if (!link?.listed) continue;
      link.listed = false;
      return link.peer;
    }
    return undefined;
  }

  /**
   * The next packet for the other end of a link, as far as its credit and its send buffer allow.
   *
   * @param {number} now
   * @param {MemberId} peer
   */
  nextPacket(now, peer) {
    const core = this.#core;
    core.now = now;
    const at = core.byPeer.get(peer);
    if (at === undefined) return undefined;
    const link = core.links.at(at);
    const packet = new PacketWriter();
    for (;;) {
      const frame = link.spilt ?? nextFrame(core, at);
      link.spilt = undefined;
      if (!frame) break;
      if (packet.length > 0 && packet.length + frame.length > PACKET_TARGET) {
        link.spilt = frame;
        core.list(at);
        break;
      }
      packet.push(frame);
    }
    return packet.length > 0 ? packet.take() : undefined;
  }

  /**
   * The next frame alone.
   *
   * @param {number} now
   * @param {MemberId} peer
   */
  nextFrame(now, peer) {
    this.#core.now = now;
    const at = this.#core.byPeer.get(peer);
    return at === undefined ? undefined : nextFrame(this.#core, at);
  }

  /**
   * When {@link Courier.tick} is due.
   *
   * @returns {number | undefined}
   */
  pollTimeout() {
    const core = this.#core;
    let due = Math.min(core.repairs.first?.due ?? Infinity, core.sweepAt ?? Infinity, sealAt(core));
    for (let at = 0; at < core.links.end; at++) {
      const link = core.links.get(at);
      if (link?.open && link.tellAt !== undefined) due = Math.min(due, link.tellAt);
    }
    return due === Infinity ? undefined : due;
  }

  /**
   * Does what is due.
   *
   * @param {number} now
   */
  tick(now) {
    const core = this.#core;
    core.now = now;
    for (const at of core.links.places()) {
      const { tellAt } = core.links.at(at);
      if (tellAt !== undefined && tellAt <= now) core.list(at);
    }
    for (let entry; (entry = core.repairs.first) && entry.due <= now; ) {
      core.repairs.delete(entry.due, entry.s);
      repairDue(core, entry.s);
    }
    if (core.sweepAt !== undefined && core.sweepAt <= now) sweep(core);
  }

  /** The first chunk of its stream to the room that this member has not said yet. */
  get next() {
    return this.#core.streams.at(this.#core.own).next;
  }

  /** What was done so far. @returns {Readonly<Counters>} */
  get counters() {
    return this.#core.counters;
  }

  /**
   * Of what an origin says to the room: the first chunk that is missing here, how many links it takes, and whom it comes
   * from.
   *
   * @param {MemberId} origin
   * @returns {{ next: number, hop: number, parent: MemberId | undefined } | undefined}
   */
  standing(origin) {
    const core = this.#core;
    const s = core.known({ origin });
    if (s === undefined) return undefined;
    const { next, far, parent } = core.streams.at(s);
    return { next, hop: far.hop, parent: parent === undefined ? undefined : core.links.at(parent).peer };
  }

  /**
   * Whether an origin's stream goes, or would go, from here to a member.
   *
   * @param {MemberId} origin
   * @param {MemberId} peer
   */
  carries(origin, peer) {
    const core = this.#core;
    const at = core.byPeer.get(peer);
    if (at === undefined) return false;
    const s = core.known({ origin });
    return s === undefined ? core.plan.relayed && core.links.at(at).eager : pushes(core, at, s);
  }
}
