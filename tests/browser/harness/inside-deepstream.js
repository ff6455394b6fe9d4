// @ts-check
// What runs in a page with deepstream's clients: they do as the test says and report what they see. The clients are
// left as they come, but for what they print: whatever a user meets, the tests meet.

/** @import { Entry } from "./log.js" */
/** @import { Wire } from "./deepstream.js" */

/** The bundles' globals; `report` is set by the test. */
const { report, deepstream, DeepstreamClient } =
  /** @type {{ report: (entry: Entry) => void, deepstream: any, DeepstreamClient: any }} */ (/** @type {unknown} */ (globalThis));

/** @type {any[]} */
const clients = [];
/** @type {Wire} */
let wire;

/** The page's only client, or its first. */
const client = () => clients[0];

/** @param {string} name of a list @param {any} of the client that opens it */
const list = (name, of = client()) => {
  const list = of.record.getList(name);
  return new Promise((resolve) => list.whenReady(() => resolve(list)));
};

/** @param {string} name @returns {Promise<any>} */
const record = (name) => {
  const record = client().record.getRecord(name);
  return new Promise((resolve) => record.whenReady(() => resolve(record)));
};

const inside = {
  /**
   * Makes a client and logs it in.
   * @param {Wire} kind
   * @param {string} address
   * @param {string} [username]
   */
  async enter(kind, address, username) {
    wire = kind;
    const made = kind === "text" ? deepstream(address, { silentDeprecation: true }) : new DeepstreamClient.DeepstreamClient(address);
    made.on("error", (/** @type {any} */ text, /** @type {string} */ code) => report({ event: "error", code, text: String(text) }));
    made.on("connectionStateChanged", (/** @type {string} */ state) => report({ event: "state", state: state.toUpperCase() }));
    await new Promise((resolve, reject) => made.login({ username }, (/** @type {boolean} */ success, /** @type {any} */ data) =>
      success ? resolve(data) : reject(new Error(JSON.stringify(data)))));
    clients.push(made);
  },

  // ---- events --------------------------------------------------------------------------------------------------------

  /** @param {string} name */
  hear: (name) => client().event.subscribe(name, (/** @type {any} */ data) => report({ event: "heard", name, data })),

  /** @param {string} name */
  hearNoMore: (name) => client().event.unsubscribe(name),

  /** @param {string} name @param {any} data */
  emit: (name, data) => client().event.emit(name, data),

  // ---- records and lists ---------------------------------------------------------------------------------------------

  /** Watches a path of a record. @param {string} name @param {string} path */
  async watch(name, path) {
    (await record(name)).subscribe(path, (/** @type {any} */ value) => report({ event: "value", name, path, value: JSON.stringify(value) }));
  },

  /** Writes, and waits until the server has it. @param {string} name @param {string} path @param {any} value */
  async write(name, path, value) {
    const opened = await record(name);
    await new Promise((resolve, reject) => opened.set(path, value, (/** @type {any} */ error) => (error ? reject(error) : resolve(undefined))));
  },

  /** @param {string} name */
  read: async (name) => (await record(name)).get(),

  /** @param {string} name */
  snapshot: (name) =>
    new Promise((resolve, reject) =>
      client().record.snapshot(name, (/** @type {any} */ error, /** @type {any} */ data) => (error ? reject(error) : resolve(data)))),

  /** Every client of the page opens a list. @param {string} name */
  async openList(name) {
    await Promise.all(clients.map((client) => list(name, client)));
  },

  /** What each client of the page has in an open list. @param {string} name @returns {string[][]} */
  entries: (name) => clients.map((client) => client.record.getList(name).getEntries()),

  /** @param {string} name @param {string[]} entries */
  setEntries: (name, entries) => client().record.getList(name).setEntries(entries),

  /**
   * Each client of the page changes a list, all in one tick, at a time that pages share.
   * @param {string} name
   * @param {{ add?: string, remove?: string }[]} changes one for each
   * @param {number} at in ms since the epoch
   */
  async change(name, changes, at) {
    const lists = await Promise.all(clients.map((client) => list(name, client)));
    await new Promise((resolve) => setTimeout(resolve, at - Date.now()));
    for (const [place, { add, remove }] of changes.entries()) {
      if (add !== undefined) lists[place].addEntry(add);
      if (remove !== undefined) lists[place].removeEntry(remove);
    }
  },

  /** Is in a list, and adds itself again where it is missing. @param {string} name @param {string} me */
  async takePart(name, me) {
    const open = await list(name);
    const look = () => {
      report({ event: "list", name, entries: open.getEntries() });
      if (!open.getEntries().includes(me)) open.addEntry(me);
    };
    open.subscribe(look);
    look();
  },

  // ---- presence ------------------------------------------------------------------------------------------------------

  watchUsers: () => client().presence.subscribe((/** @type {string} */ user, /** @type {boolean} */ here) => report({ event: "presence", user, here })),

  /** @returns {Promise<string[]>} */
  users: () => (wire === "protobuf" ? client().presence.getAll() : new Promise((resolve) => client().presence.getAll(resolve))),

  // ---- calls ---------------------------------------------------------------------------------------------------------

  /**
   * Answers calls: `reject` and `error` do what they say, and numbers are added up.
   * @param {string} name
   */
  provide: (name) =>
    client().rpc.provide(name, (/** @type {any} */ data, /** @type {any} */ response) => {
      report({ event: "call", name });
      if (data === "reject") response.reject();
      else if (data === "error") response.error("as asked");
      else response.send(data.reduce((/** @type {number} */ a, /** @type {number} */ b) => a + b));
    }),

  /** @param {string} name @param {any} data */
  async call(name, data) {
    try {
      return { answer: await client().rpc.make(name, data) };
    } catch (error) {
      return { error: String(error) };
    }
  },
};

Object.assign(globalThis, { inside });
