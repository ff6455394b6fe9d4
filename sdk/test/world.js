// A world in memory: members connected by links with latency, a hub that knows just enough, and a clock that only this
// world moves. Nothing here is random.

import { Member } from "../src/member.js";
import { decodeServerMessage, decodeClientMessage, encodeMessage } from "../src/wire.js";
import { LINK_RESUME } from "../src/limits.js";
import { Agenda } from "./agenda.js";

const HUB_LATENCY = 5_000;

export class World {
  now = 1_000_000;
  agenda = new Agenda();
  members = [];
  hub = new Hub("00000000000000aa");
  /** One-way, between members. */
  latency = 10_000;
  /** Pairs whose packets vanish, as "name name". */
  cut = new Set();
  /** Decides about each lossy packet: true drops it. */
  loses = () => false;

  /** A member that starts to enter. */
  enter(name, options = {}) {
    const member = new Inhabitant(this, name, this.members.length + 1, options);
    this.members.push(member);
    member.drain();
    return member;
  }

  after(delay, run) {
    this.agenda.add(this.now + delay, run);
  }

  /** Lets time pass. */
  run(duration) {
    const until = this.now + duration;
    for (let entry; (entry = this.agenda.next(until)); ) {
      this.now = entry.at;
      entry.run();
    }
    this.now = until;
  }

  /** Packets between two members vanish (or do so no longer). */
  setCut(a, b, isCut) {
    for (const key of [`${a.name} ${b.name}`, `${b.name} ${a.name}`]) {
      if (isCut) this.cut.add(key);
      else this.cut.delete(key);
    }
  }

  /** Another hub in the place of this one; all sockets end. */
  restartHub() {
    this.hub = new Hub("00000000000000bb");
    for (const member of this.members) member.loseSocket();
  }
}

/** A member and its edge. */
export class Inhabitant {
  events = [];
  packets = 0;
  #world;
  #socket = 0;
  #connected = false;
  #connections = new Map();
  #timer = 0;
  #dead = false;

  constructor(world, name, number, { secret, consumes = true, hubDown = false, ...config }) {
    this.name = name;
    this.consumes = consumes;
    this.hubDown = hubDown;
    this.#world = world;
    this.machine = new Member(
      { secret: secret ?? number.toString(16).padStart(32, "0"), name, seed: number, ...config },
      world.now,
    );
  }

  get id() {
    return this.machine.id;
  }

  input(input) {
    if (this.#dead) return;
    this.machine.handle(this.#world.now, input);
    this.drain();
  }

  /** Events of one type so far. */
  heard(type) {
    return this.events.filter((event) => event.type === type);
  }

  /** Payloads of the messages heard, as texts. */
  texts(from) {
    const messages = this.heard("message").filter((event) => !from || event.from === from.id);
    return messages.map(({ payload }) => Buffer.from(payload).toString());
  }

  send(ticket, text, { to, channel = "chat" } = {}) {
    const payload = typeof text === "string" ? Buffer.from(text) : text;
    this.input({ type: "send", ticket, channel, to: to?.id, payload });
  }

  /** The link to a member as last heard. */
  link(other) {
    return this.heard("link").findLast((event) => event.peer === other.id);
  }

  /** The socket breaks without a word; `down` keeps it from coming back. */
  loseSocket(down = false) {
    this.hubDown = down;
    if (!this.#connected && this.#socket === 0) return;
    this.#world.hub.left(this, false);
    this.#connected = false;
    this.#socket += 1;
    this.input({ type: "disconnected", reason: "cut" });
  }

  /** Stops without a word: nothing is sent, nothing answered any more. */
  die() {
    this.#dead = true;
    this.#world.hub.left(this, false);
  }

  drain() {
    for (let output; (output = this.machine.pollOutput()); ) this.#perform(output);
    for (const connection of this.#connections.values()) connection.settle();
    const due = this.machine.pollTimeout();
    const turn = ++this.#timer;
    if (due === undefined) return;
    this.#world.agenda.add(Math.max(due, this.#world.now + 1), () => {
      if (turn === this.#timer) this.input({ type: "timeout" });
    });
  }

  fromHub(message) {
    const socket = this.#socket;
    const text = encodeMessage(message);
    this.#world.after(HUB_LATENCY, () => {
      if (socket === this.#socket && this.#connected) this.input({ type: "hub", message: decodeServerMessage(text) });
    });
  }

  #perform(output) {
    const world = this.#world;
    switch (output.type) {
      case "connect": {
        const socket = ++this.#socket;
        world.after(HUB_LATENCY, () => {
          if (socket !== this.#socket || this.#dead) return;
          this.#connected = !this.hubDown;
          this.input(this.hubDown ? { type: "disconnected", reason: "nobody there" } : { type: "connected" });
        });
        break;
      }
      case "disconnect":
        this.#socket += 1;
        this.#connected = false;
        break;
      case "tell": {
        const text = encodeMessage(output.message);
        if (this.#connected) world.after(HUB_LATENCY, () => world.hub.said(this, decodeClientMessage(text)));
        break;
      }
      case "event":
        this.events.push(output.event);
        if (this.consumes) this.#consume(output.event);
        break;
      case "open":
        this.#connections.set(output.peer, new Connection(world, this, output));
        break;
      case "close":
        this.#connections.get(output.peer)?.close();
        this.#connections.delete(output.peer);
        break;
      case "remote":
        this.#connections.get(output.peer)?.remote(output.data);
        break;
      case "packet":
        this.packets += 1;
        this.#connections.get(output.peer)?.send(output.lane, output.bytes);
        break;
      case "restart_ice":
        break;
    }
  }

  #consume(event) {
    const lossy = event.type === "lossy";
    if (!lossy && event.type !== "message" && event.type !== "call") return;
    this.#world.after(0, () => this.consume(event));
  }

  /** The application takes a message. */
  consume({ type, from, payload }) {
    this.input({ type: "consumed", from, bytes: payload.length, lossy: type === "lossy" });
  }

  connection(peer) {
    return this.#connections.get(peer);
  }

  get isDead() {
    return this.#dead;
  }
}

/** One end of a connection. An offer and its answer are all the negotiation it needs. */
class Connection {
  #world;
  #owner;
  #peer;
  #attempt;
  #up = false;
  #closed = false;
  /** What came before this end was told that it is up. */
  #early = [];
  #buffered = { reliable: 0, lossy: 0 };
  #reported = { reliable: 0, lossy: 0 };

  constructor(world, owner, { peer, attempt, role }) {
    this.#world = world;
    this.#owner = owner;
    this.#peer = peer;
    this.#attempt = attempt;
    if (role === "offer") world.after(1_000, () => this.#input({ type: "local", data: { offer: "sdp" } }));
  }

  remote(data) {
    if ("offer" in data) this.#world.after(1_000, () => this.#input({ type: "local", data: { answer: "sdp" } }));
    if ("candidate" in data || this.#up) return;
    this.#up = true;
    this.#world.after(3 * this.#world.latency, () => {
      this.#input({ type: "link_up", path: "host" });
      const early = this.#early;
      this.#early = undefined;
      for (const packet of early) this.#input(packet);
    });
  }

  send(lane, bytes) {
    const world = this.#world;
    this.#buffered[lane] += bytes.length;
    const copy = Uint8Array.from(bytes);
    const other = world.members.find(({ id }) => id === this.#peer);
    const arrive = () => {
      const { isDead } = this.#owner;
      // SCTP sends again what is reliable, as long as there is somebody to do so.
      if (!isDead && lane === "reliable" && world.cut.has(`${this.#owner.name} ${other.name}`)) {
        world.after(200_000, arrive);
        return;
      }
      this.#buffered[lane] -= copy.length;
      if (!this.#closed) this.settle();
      if (isDead || world.cut.has(`${this.#owner.name} ${other.name}`)) return;
      if (lane === "lossy" && world.loses(this.#owner, other)) return;
      const end = other.connection(this.#owner.id);
      if (end?.#attempt === this.#attempt && !this.#closed) end.#arrived({ type: "packet", lane, bytes: copy });
    };
    world.after(world.latency, arrive);
  }

  #arrived(packet) {
    if (this.#early) this.#early.push(packet);
    else this.#input(packet);
  }

  /** As browsers do: told where the buffer has become small. */
  settle() {
    for (const lane of ["reliable", "lossy"]) {
      const bytes = this.#buffered[lane];
      if (bytes <= LINK_RESUME && this.#reported[lane] !== bytes) {
        this.#reported[lane] = bytes;
        this.#world.after(0, () => this.#input({ type: "buffered", lane, bytes: this.#buffered[lane] }));
      }
    }
  }

  close() {
    this.#closed = true;
    const other = this.#world.members.find(({ id }) => id === this.#peer);
    this.#world.after(this.#world.latency, () => {
      const end = other.connection(this.#owner.id);
      if (end?.#attempt === this.#attempt && !this.#owner.isDead) end.#input({ type: "link_down", reason: "closed by the other side", closed: true });
    });
  }

  #input(input) {
    if (!this.#closed) this.#owner.input({ ...input, peer: this.#peer, attempt: this.#attempt });
  }
}

/** A room as the simplest hub keeps it: everybody is linked to everybody; who was there first offers. */
export class Hub {
  #id;
  #present = new Map();
  #state = {};
  #version = 1;
  #topology = "mesh";
  #epoch = 1;

  constructor(id) {
    this.#id = id;
  }

  said(member, message) {
    const entry = this.#present.get(member.id);
    if (message.type !== "join" && !entry) return;
    switch (message.type) {
      case "join":
        this.#join(member, message, entry);
        break;
      case "signal":
        this.#present.get(message.to)?.member.fromHub({ type: "signal", from: member.id, attempt: message.attempt, data: message.data });
        break;
      case "leave":
        this.#gone(member.id, "left");
        break;
      case "state": {
        entry.op = message.op;
        const version = ++this.#version;
        this.#state[message.key] = { value: message.value, version };
        this.#tellAll({ type: "state", key: message.key, value: message.value, version, by: member.id, op: message.op });
        break;
      }
      case "attributes": {
        entry.op = message.op;
        const attributes = { ...entry.info.attributes, ...message.set };
        for (const [key, value] of Object.entries(message.set)) if (value === null) delete attributes[key];
        entry.info = { ...entry.info, attributes };
        this.#tellAll({ type: "update", id: member.id, attributes, op: message.op });
        break;
      }
      case "links":
        for (const id of [...(message.suspect ?? []), ...(message.down ?? [])]) {
          if (this.#present.get(id)?.away) this.#gone(id, "crashed");
        }
        break;
      case "topology": {
        const { pin } = message;
        if (pin === "ring") {
          member.fromHub({ type: "pinned", pin, refused: { code: "topology_unavailable", message: "no", hint: "ask", fatal: false } });
          break;
        }
        member.fromHub({ type: "pinned", pin });
        const [from, to] = [this.#topology, pin === "auto" ? "mesh" : pin];
        if (from !== to) this.#tellAll({ type: "topology", from, to, epoch: ++this.#epoch });
        this.#topology = to;
        break;
      }
      case "ping":
        member.fromHub({ type: "pong" });
        break;
    }
  }

  /** The socket ended. */
  left(member) {
    const entry = this.#present.get(member.id);
    if (entry) entry.away = true;
  }

  #join(member, join, known) {
    const info = known?.info ?? { id: member.id, name: join.name, attributes: join.attributes ?? {} };
    const others = [...this.#present.values()].filter((other) => other.member !== member);
    for (const [key, entry] of Object.entries(join.resume?.state ?? {})) {
      if (entry.version > (this.#state[key]?.version ?? 0)) this.#state[key] = entry;
      this.#version = Math.max(this.#version, entry.version);
    }
    const entry = known ?? { info, member, op: 0 };
    entry.away = false;
    entry.member = member;
    this.#present.set(member.id, entry);
    member.fromHub({
      type: "welcome",
      v: 1,
      hub: this.#id,
      self: info,
      room: "world",
      members: others.map((other) => other.info),
      links: others.map((other) => ({ peer: other.info.id, role: this.#role(member.id, other.info.id) })),
      state: this.#state,
      topology: this.#topology,
      epoch: this.#epoch,
      resumed: Boolean(known),
      op: entry.op,
      ping_ms: 10_000,
      admin: join.name !== "Eve",
      ice: [],
    });
    if (known) return;
    for (const other of others) {
      other.member.fromHub({ type: "member", ...info });
      other.member.fromHub({ type: "links", open: [{ peer: member.id, role: this.#role(other.info.id, member.id) }] });
    }
  }

  /** Who was there first offers. */
  #role(id, other) {
    const order = [...this.#present.keys()];
    return order.indexOf(id) < order.indexOf(other) ? "offer" : "answer";
  }

  #gone(id, reason) {
    if (!this.#present.delete(id)) return;
    this.#tellAll({ type: "gone", id, reason });
  }

  #tellAll(message) {
    for (const { member, away } of this.#present.values()) if (!away) member.fromHub(message);
  }
}
