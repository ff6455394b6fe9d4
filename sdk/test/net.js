// Couriers, and links between them with a latency each; the twin of crates/room/tests/courier/net.rs.

import assert from "node:assert/strict";

import { Courier } from "../src/courier.js";
import { Agenda } from "./agenda.js";

const HEAD = { kind: "message", channel: "c" };

/** The id of a member by its number. */
export function id(member) {
  return member.toString(16).padStart(16, "0");
}

/** The number of a member by its id. */
export function number(id) {
  return Number.parseInt(id, 16);
}

/** Numbers that a seed determines: Mulberry32, good enough to shuffle with. */
function dice(seed) {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) % Math.max(bound, 1);
  };
}

/** A room of couriers. Members are numbered; times are in µs. */
export class Net {
  now = 0;
  members = new Map();
  /** What each origin has said, in order. */
  said = new Map();
  below;
  #links = new Map();
  #agenda = new Agenda();
  #connections = 0;

  constructor(seed) {
    this.below = dice(seed);
  }

  /** A connected graph: a balanced tree of eager links, and random lazy ones. */
  static random(seed, members, lazy) {
    const net = new Net(seed);
    for (let member = 1; member <= members; member++) {
      net.add(member).metAll();
      if (member > 1) net.link(member, Math.floor((member + 1) / 3), 5 + net.below(60), true);
    }
    for (let n = 0; n < lazy; n++) {
      const [a, b, ms] = [1 + net.below(members), 1 + net.below(members), 5 + net.below(60)];
      if (a !== b && !net.#links.has(`${a} ${b}`)) net.link(a, b, ms, false);
    }
    net.run(1_000_000);
    return net;
  }

  /** A member; gives its courier. */
  add(member) {
    const courier = new Courier(id(member), this.now);
    this.members.set(member, {
      courier,
      heard: new Map(),
      told: new Map(),
      // The first byte of each message, in the order in which they came.
      all: [],
      gaps: [],
      hops: [],
      // Whose streams no neighbour could bring.
      unreached: [],
      consumes: true,
      eager: new Set(),
      peers: new Set(),
      wake: Infinity,
    });
    return courier;
  }

  node(member) {
    return this.members.get(member);
  }

  /** Links two members; `eager`: streams of which nothing is known yet go over it. */
  link(a, b, ms, eager) {
    this.linkSince(a, b, ms, eager, this.now);
  }

  /** The same; what came since a time is offered. */
  linkSince(a, b, ms, eager, offerFrom) {
    const connection = ++this.#connections;
    for (const [from, to] of [[a, b], [b, a]]) {
      this.#links.set(`${from} ${to}`, { latency: ms * 1_000, connection, last: this.now });
      const node = this.node(from);
      node.peers.add(to);
      if (eager) node.eager.add(to);
      node.courier.plan(this.now, { epoch: 0, relayed: true, eager: new Set([...node.eager].map(id)) });
      node.courier.linkUp(this.now, id(to), { vouches: true, offerFrom });
      node.courier.measured(id(to), 2_000 * ms);
    }
    this.pump(a);
    this.pump(b);
  }

  unlink(a, b) {
    for (const [from, to] of [[a, b], [b, a]]) {
      this.#links.delete(`${from} ${to}`);
      const node = this.node(from);
      if (!node) continue;
      node.peers.delete(to);
      node.courier.linkDown(this.now, id(to));
      this.pump(from);
    }
  }

  neighbours(member) {
    return [...(this.node(member)?.peers ?? [])].sort((a, b) => a - b);
  }

  /** A member is gone without a word; its neighbours notice. */
  crash(member) {
    const neighbours = this.neighbours(member);
    this.members.delete(member);
    for (const peer of neighbours) this.unlink(member, peer);
  }

  /** Gives whether there was room for it. */
  say(origin, text) {
    const payload = bytes(text);
    const taken = this.node(origin).courier.publish(this.now, HEAD, payload) !== undefined;
    if (taken) append(this.said, origin, payload);
    this.pump(origin);
    return taken;
  }

  tell(origin, to, text) {
    this.node(origin).courier.send(this.now, id(to), undefined, HEAD, bytes(text));
    this.pump(origin);
  }

  /** Lets time pass, in µs. */
  run(time) {
    const end = this.now + time;
    for (let entry; (entry = this.#agenda.next(end)); ) {
      this.now = entry.at;
      entry.run();
    }
    this.now = end;
  }

  pump(member) {
    const node = this.node(member);
    if (!node) return;
    for (;;) {
      for (let event; (event = node.courier.pollEvent()); ) this.#heard(member, node, event);
      const peer = node.courier.pollDirty();
      if (peer === undefined) break;
      for (let frame; (frame = node.courier.nextFrame(this.now, peer)); ) {
        node.courier.buffered(peer, 0);
        this.#carry(member, number(peer), frame);
      }
    }
    const due = Math.max(node.courier.pollTimeout() ?? Infinity, this.now);
    if (due < node.wake) {
      node.wake = due;
      this.#agenda.add(due, () => this.#wake(member, due));
    }
  }

  /** Everybody who is still there heard everything, once and in order, from whoever is in `origins`. */
  check(origins) {
    for (const [member, node] of this.members) {
      assert.deepEqual(node.gaps, [], `member ${member}`);
      for (const origin of origins) {
        if (origin === member) continue;
        const [said, heard] = [this.said.get(origin) ?? [], node.heard.get(origin) ?? []];
        assertSame(heard, said, `member ${member} of what ${origin} said`);
      }
    }
  }

  /** Whether everybody can still be reached over links. */
  get isConnected() {
    const [first] = this.members.keys();
    const seen = new Set([first]);
    for (const member of seen) for (const peer of this.neighbours(member)) seen.add(peer);
    return seen.size === this.members.size;
  }

  /** The sum of a counter over all members. */
  count(name) {
    return [...this.members.values()].reduce((sum, { courier }) => sum + courier.counters[name], 0);
  }

  #heard(member, node, event) {
    const { origin, payload } = event;
    if (event.type === "message") {
      node.courier.hold(origin, payload.length);
      if (node.consumes) node.courier.consumed(this.now, origin, payload.length);
      if (payload.length > 0) node.all.push(payload[0]);
      if (!event.addressed) node.hops.push(event.hop);
      append(event.addressed ? node.told : node.heard, number(origin), payload);
    } else if (event.type === "gap") {
      node.gaps.push({ origin: number(origin), from: event.from, to: event.to });
    } else if (event.type === "unreached") {
      node.unreached.push(number(origin));
    } else if (event.type === "unroutable") {
      this.#agenda.add(this.now + 50_000, () => this.#route(member, number(event.to)));
    }
  }

  #carry(from, to, frame) {
    const way = this.#links.get(`${from} ${to}`);
    if (!way) return;
    way.last = Math.max(way.last, this.now + way.latency);
    this.#agenda.add(way.last, () => {
      const node = this.node(to);
      if (!node || this.#links.get(`${from} ${to}`) !== way) return;
      node.courier.frame(this.now, id(from), frame);
      this.pump(to);
    });
  }

  #wake(member, due) {
    const node = this.node(member);
    if (node?.wake !== due) return;
    node.wake = Infinity;
    node.courier.tick(this.now);
    this.pump(member);
  }

  #route(from, to) {
    const node = this.node(from);
    if (!node) return;
    node.courier.route(this.now, id(to), this.#path(from, to).map(id));
    this.pump(from);
  }

  /** The shortest way over links. */
  #path(from, to) {
    const back = new Map([[from, from]]);
    for (const [member] of back) {
      if (member === to) break;
      for (const peer of this.neighbours(member)) {
        if (!back.has(peer) && this.members.has(peer)) back.set(peer, member);
      }
    }
    const path = [];
    for (let at = to; at !== from && back.has(at); at = back.get(at)) path.unshift(at);
    return path;
  }
}

/** The same bytes in the same order; far faster than `assert.deepEqual`, which compares each byte as a thing. */
export function assertSame(seen, expected, message) {
  assert.equal(seen.length, expected.length, message);
  assert.ok(seen.every((payload, n) => Buffer.compare(payload, expected[n]) === 0), message);
}

export function bytes(text) {
  return typeof text === "string" ? new TextEncoder().encode(text) : text;
}

function append(map, key, value) {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
