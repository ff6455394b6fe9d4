// @ts-check
/**
 * A room as one member sees it: its session with the hub, its links, and the messages that go over them.
 *
 * {@link Member} owns no socket. Its edge (in a browser `driver.js`) opens the WebSocket and the peer connections that it
 * asks for and reports what happens to them. It is the twin of `crates/room/src/member.rs`, with the same chapters;
 * `protocol/traces/` holds both to the same outputs.
 *
 * - `hub`: what the hub says, and coming back to it; `session` is what lasts from one socket to the next, `resume` what is
 *   told of it.
 * - `links`: what the plan wants; `link` negotiates one and notices when it falls silent, `carriage` is its way over the hub.
 * - `frames`: what comes over a link and what goes; `../courier.js` delivers what must arrive, `lossy` the rest.
 * - `app`: what the application asks for; `call` numbers its calls.
 * - `vouch`: signatures of what is said on lossy channels.
 *
 * @module
 */

import { FrameError } from "./frame.js";
import { DRAIN_TIMEOUT, LEAVE_FLUSH, LEAVE_LINGER, LEAVE_LOOK, SLEPT_AFTER } from "./limits.js";
import { call, callFailed, publish, reply, send } from "./member/app.js";
import { Core } from "./member/core.js";
import { askWays, buffered, consumed, hearCourier, packetCame, pump } from "./member/frames.js";
import { close, connected, disconnected, giveUpEntering, gone, hubSaid, parted, pin, tellChange } from "./member/hub.js";
import {
  apply, carriedCame, drain, failLink, faulty, isCurrent, isUp, linkUp, local, partLink, prove, tellParted, tellRtts,
} from "./member/links.js";
import { tellTraffic } from "./member/traffic.js";
import { signed, verified } from "./member/vouch.js";
import { LinkError } from "./courier/error.js";

/** @import {Config, Input, Output} from "./member/io.js" */
/** @import {Peer} from "./member/core.js" */

/**
 * One member of a room.
 *
 * Make one, drain {@link Member.pollOutput}, then call {@link Member.handle} for whatever happens and drain again; several
 * inputs may be handled before draining, so that small messages share packets. When {@link Member.pollTimeout} is due,
 * handle `timeout`.
 */
export class Member {
  #core;

  /**
   * A member that is about to enter.
   *
   * @param {Config} config
   * @param {number} now in µs since an origin of the caller's choice, as all times here
   */
  constructor(config, now) {
    this.#core = new Core(config, now);
    this.#core.outputs.push({ type: "connect" });
  }

  /** This member's id. */
  get id() {
    return this.#core.id;
  }

  /**
   * Tells the machine what happened.
   *
   * @param {number} now
   * @param {Input} input
   */
  handle(now, input) {
    const core = this.#core;
    if (now - core.now > SLEPT_AFTER) for (const { link } of core.peers.values()) link.slept(now);
    core.now = now;
    if (core.session.state === "closed") {
      this.#refuseClosed(input);
      return;
    }
    this.#take(input);
    hearCourier(core);
    if (core.session.isJoined && core.isRelayed && core.courier.isSettled) core.session.settle(core.now);
    this.#leaveWhenDrained();
    this.#leaveWhenFlushed();
  }

  /**
   * The next thing to do. Packets are put together only here, so that what several inputs caused shares them.
   *
   * @returns {Output | undefined}
   */
  pollOutput() {
    const core = this.#core;
    while (core.outputs.isEmpty && core.session.state !== "closed") {
      // What was said in this turn is signed together.
      core.courier.seal(core.now);
      hearCourier(core);
      if (!core.outputs.isEmpty) break;
      for (let peer; (peer = core.courier.pollDirty()); ) core.dirty.add(peer);
      const peer = core.dirty.takeFirst();
      if (peer === undefined) break;
      pump(core, peer);
    }
    return core.outputs.shift();
  }

  /**
   * When `timeout` is due. Ask after draining the outputs.
   *
   * @returns {number | undefined}
   */
  pollTimeout() {
    const core = this.#core;
    if (core.session.state === "closed") return undefined;
    let due = Infinity;
    const consider = (/** @type {number | undefined} */ time) => {
      if (time !== undefined) due = Math.min(due, time);
    };
    for (const { link, returning, parting, draining, lossy } of core.peers.values()) {
      consider(link.timeout);
      consider(returning);
      consider(parting?.until);
      consider(draining?.look);
      if (link.isOpen) consider(lossy.resendAt);
    }
    if (core.session.isJoined) for (const at of core.unrouted.values()) consider(at);
    for (const { until } of core.leaving.values()) consider(until);
    if (core.session.isJoined && !core.isRelay) consider(core.meter.timeout);
    consider(core.session.timeout);
    consider(core.drainBy);
    consider(core.leaveBy);
    if (core.leaveBy !== undefined && core.isRelayed) consider(core.now + LEAVE_LOOK);
    consider(core.calls.timeout);
    consider(core.courier.pollTimeout());
    return due === Infinity ? undefined : due;
  }

  /** @param {Input} input */
  #take(input) {
    const core = this.#core;
    switch (input.type) {
      case "connected":
        return connected(core);
      case "disconnected":
        return disconnected(core, input.code, input.reason);
      case "hub":
        return hubSaid(core, input.message);
      case "local":
        return local(core, input.peer, input.attempt, input.data);
      case "link_up":
        return linkUp(core, input.peer, input.attempt, input.path);
      case "link_down":
        if (!isCurrent(core, input)) return undefined;
        return (input.closed ? partLink : failLink)(core, input.peer, input.reason);
      case "packet":
        prove(core, input);
        return isUp(core, input) ? this.#packet(input) : undefined;
      case "carried":
        return carriedCame(core, input.message);
      case "buffered":
        return buffered(core, input);
      case "send":
        return send(core, input);
      case "publish":
        return publish(core, input);
      case "call":
        return call(core, input);
      case "cancel_call":
        return core.calls.cancel(input.ticket);
      case "reply":
        return reply(core, input.to, input.call, input.answer);
      case "set_state":
        return tellChange(core, core.session.setState(input.key, input.value));
      case "set_attributes":
        return tellChange(core, core.session.setAttributes(input.set));
      case "pin":
        return pin(core, input.ticket, input.topology);
      case "set_token":
        core.session.config.token = input.token;
        return undefined;
      case "consumed":
        return consumed(core, input.from, input.bytes, input.lossy);
      case "drain":
        return this.#drain();
      case "signed":
        return signed(core, input.token, input.signature);
      case "verified":
        return verified(core, input.token, input.good);
      case "leave":
        core.leaveBy ??= core.now + LEAVE_FLUSH;
        return undefined;
      case "timeout":
        return this.#tick();
    }
  }

  /** @param {Input & { type: "packet" }} input */
  #packet({ peer, lane, bytes }) {
    try {
      packetCame(this.#core, peer, lane, bytes);
    } catch (error) {
      if (error instanceof FrameError) failLink(this.#core, peer, `bad_frame: ${error.message}`);
      else if (error instanceof LinkError) faulty(this.#core, peer, error);
      else throw error;
    }
  }

  #tick() {
    const core = this.#core;
    const { session } = core;
    if (session.state === "pause" && session.until <= core.now) {
      session.state = "connecting";
      core.outputs.push({ type: "connect" });
    } else if (
      (session.state === "connecting" || session.state === "joining") &&
      session.hub === undefined &&
      session.enterBy <= core.now
    ) {
      giveUpEntering(core, "it did not answer in time");
      return;
    }
    const told = session.tick(core.now);
    if (told) {
      for (const message of told) core.tell(message);
    } else {
      core.outputs.push({ type: "disconnect" });
      disconnected(core, undefined, "the server has been silent for too long");
    }
    const isAwaited = (/** @type {Peer} */ { link }) => link.role !== undefined && !link.isOpen;
    core.courier.hope(!session.isJoined || [...core.peers.values()].some(isAwaited));
    if (session.tellsRtts(core.now)) tellRtts(core);
    core.courier.tick(core.now);
    askWays(core);
    tellTraffic(core);
    const silent = [...core.leaving].filter(([, { until }]) => until <= core.now).map(([id]) => id);
    for (const id of silent.sort()) parted(core, id);
    for (const ticket of core.calls.expired(core.now)) callFailed(core, ticket, "timeout", "no answer came in time");
    for (const [id] of core.sortedPeers()) this.#tickPeer(id);
  }

  /** @param {string} id */
  #tickPeer(id) {
    const core = this.#core;
    const peer = core.peers.get(id);
    if (!peer) return;
    const { link, lossy } = peer;
    const todo = link.tick(core.now, core.session.isJoined);
    const isDue = (/** @type {number | undefined} */ time) => time !== undefined && time <= core.now;
    if (isDue(lossy.resendAt)) core.dirty.add(id);
    if (isDue(peer.returning)) gone(core, id, "timeout");
    tellParted(core, id);
    drain(core, id);
    apply(core, id, todo);
  }

  /** Nobody is to depend on this relay any more. */
  #drain() {
    const core = this.#core;
    if (!core.isRelay || core.leaveBy !== undefined) return;
    if (core.drainBy === undefined && core.session.isJoined) core.tell({ type: "drain" });
    core.drainBy ??= core.now + DRAIN_TIMEOUT;
  }

  /** With one link, nothing goes by way of this relay. */
  #leaveWhenDrained() {
    const core = this.#core;
    if (core.drainBy === undefined) return;
    let links = 0;
    for (const { link } of core.peers.values()) if (link.role !== undefined) links += 1;
    if (links > 1 && core.drainBy > core.now) return;
    core.drainBy = undefined;
    core.leaveBy ??= core.now + LEAVE_FLUSH;
  }

  #leaveWhenFlushed() {
    const core = this.#core;
    if (core.leaveBy === undefined) return;
    if (core.leaveBy <= core.now || (core.courier.isFlushed && this.#isDispensable(core.leaveBy))) {
      close(core, undefined, "left", "");
    }
  }

  /**
   * Whether nobody depends any more on what this member has of others' streams, or on its own reaching all: neighbours that
   * took it may be about to leave as well.
   *
   * @param {number} leaveBy
   */
  #isDispensable(leaveBy) {
    const core = this.#core;
    const people = [...core.peers.values()].filter(({ link, info }) => link.role !== undefined && !info.relay);
    if (!core.isRelayed || people.length === 0) return true;
    const since = leaveBy - LEAVE_FLUSH;
    return (
      core.now >= since + LEAVE_LINGER &&
      people.some(({ link }) => link.isOpen) &&
      core.courier.isPassedOn(core.now, since + LEAVE_LINGER / 2)
    );
  }

  /** @param {Input} input */
  #refuseClosed(input) {
    if (input.type === "send") this.#core.event({ type: "not_sent", ticket: input.ticket, why: "closed" });
    if (input.type === "call") callFailed(this.#core, input.ticket, "closed", "the room is closed");
    if (input.type === "pin") this.#core.event({ type: "not_pinned", ticket: input.ticket, why: "closed" });
  }
}
