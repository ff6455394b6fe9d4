// @ts-check
// A mesh: everybody in a list is connected to everybody else, directly. deepstream keeps the list and carries the
// signals by which two browsers find each other; what is said goes over data channels and not through a server.

/** How long to wait before a connection that broke is tried again, where the other is still in the list. */
const AGAIN_MS = 1_000;

/**
 * A connection to another user.
 * @typedef {object} Link
 * @property {string} id made by the one who calls, so that signals of an earlier attempt are told apart
 * @property {any} peer simple-peer's
 */

/**
 * Everybody in the list `users`.
 *
 * Dispatches `user` when a connection changes (`detail`: `{ user, state }` with state `trying`, `open` or `closed`) and
 * `message` (`detail`: `{ user, text }`).
 */
export class Mesh extends EventTarget {
  /** @type {Map<string, Link>} */
  #links = new Map();
  #isLeaving = false;

  /**
   * @param {any} client deepstream's, logged in or about to be
   * @param {any} SimplePeer
   * @param {string} [list] who is here
   */
  constructor(client, SimplePeer, list = "users") {
    super();
    this.client = client;
    this.SimplePeer = SimplePeer;
    /** A random name for this page. @type {string} */
    this.me = client.getUid();
    client.event.subscribe(`rtc-signal/${this.me}`, (/** @type {any} */ signal) => this.#signalled(signal));
    this.users = client.record.getList(list);
    this.users.whenReady(() => {
      this.users.subscribe(() => this.#listed());
      this.#listed();
    });
  }

  /** Says something to everybody. @param {string} text */
  broadcast(text) {
    for (const { peer } of this.#links.values()) if (peer.connected) peer.send(text);
  }

  /** Leaves: the others need not find out. */
  leave() {
    this.#isLeaving = true;
    this.users.removeEntry(this.me);
    for (const { peer } of this.#links.values()) peer.destroy();
    this.client.close();
  }

  // ---- who is here ---------------------------------------------------------------------------------------------------

  #listed() {
    if (this.#isLeaving) return;
    const users = new Set(this.users.getEntries());
    // Also after the connection to the server was lost: it has taken this page off the list then.
    if (!users.delete(this.me)) return this.users.addEntry(this.me);
    for (const [user, { peer }] of this.#links) if (!users.has(user)) peer.destroy();
    for (const user of users) this.#call(user);
  }

  /** @param {string} user */
  #isHere(user) {
    return !this.#isLeaving && this.users.getEntries().includes(user);
  }

  // ---- connections ---------------------------------------------------------------------------------------------------

  /** Of two, the one whose name comes first calls. @param {string} user */
  #call(user) {
    if (this.me < user && !this.#links.has(user) && this.#isHere(user)) this.#link(user, this.client.getUid(), true);
  }

  /**
   * @param {string} user
   * @param {string} id
   * @param {boolean} initiator
   */
  #link(user, id, initiator) {
    const peer = new this.SimplePeer({ initiator });
    this.#links.set(user, { id, peer });
    this.#tell(user, "trying");
    peer.on("signal", (/** @type {any} */ signal) => this.client.event.emit(`rtc-signal/${user}`, { from: this.me, id, signal }));
    peer.on("connect", () => this.#tell(user, "open"));
    peer.on("data", (/** @type {Uint8Array} */ data) =>
      this.dispatchEvent(new CustomEvent("message", { detail: { user, text: new TextDecoder().decode(data) } })));
    // What is wrong with a connection ends it, and "close" follows.
    peer.on("error", () => {});
    peer.on("close", () => {
      if (this.#links.get(user)?.peer !== peer) return;
      this.#links.delete(user);
      this.#tell(user, "closed");
      setTimeout(() => this.#call(user), AGAIN_MS);
    });
    return peer;
  }

  /** @param {{ from: string, id: string, signal: any }} signal */
  #signalled({ from, id, signal }) {
    const link = this.#links.get(from);
    if (link?.id === id) return link.peer.signal(signal);
    // A new call, in place of one that has failed at the other end. Anything else is late.
    if (signal.type !== "offer" || !this.#isHere(from)) return;
    this.#links.delete(from);
    link?.peer.destroy();
    this.#link(from, id, false).signal(signal);
  }

  /** @param {string} user @param {"trying" | "open" | "closed"} state */
  #tell(user, state) {
    this.dispatchEvent(new CustomEvent("user", { detail: { user, state } }));
  }
}
