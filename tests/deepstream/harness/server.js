// @ts-check
// What the clients talk to: `roomful serve`, or deepstream's own server where ORIGINAL names a folder that has it
// installed (`ORIGINAL=../../bench/peers/deepstream npm test`). What the original cannot do says so in its test.

import { rmSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { atEnd } from "./ending.js";
import { Server as Process, freePort } from "../../browser/harness/server.js";

/** @import { TestContext } from "node:test" */
/** @import { Wire } from "./client.js" */

/**
 * What a test wants to be other than it is with `roomful serve --dev`.
 * @typedef {object} Settings
 * @property {string} [webhook] address that is asked about logins
 * @property {number} [loginTimeoutMs]
 * @property {number} [loginAttempts]
 * @property {number} [heartbeatMs]
 * @property {boolean} [store] whether records are kept on disk
 * @property {"allow" | "deny"} [otherwise] what holds where no rule speaks
 * @property {boolean} [closed] whether only those may log in whom the configuration knows
 * @property {string} [toml] more of Roomful's section [deepstream]
 */

/**
 * A test's options. @typedef {{ skip?: string | false, wire?: Wire }} Options
 */

const ORIGINAL = process.env.ORIGINAL === undefined ? undefined : resolve(process.env.ORIGINAL);
const ORIGINAL_PROGRAM = fileURLToPath(new URL("original.js", import.meta.url));

/**
 * For a test's options: it does not hold for deepstream's own server.
 * @param {string} why what that one does instead
 * @param {Wire} [wire] only with this protocol
 * @returns {Options}
 */
export function unlikeOriginal(why, wire) {
  return { skip: ORIGINAL === undefined ? false : `the original ${why}`, wire };
}

export class Server extends Process {
  /** @type {Settings} */
  #settings = {};

  /**
   * Starts a server; it serves when this is done.
   * @param {TestContext} t it ends with this test
   * @param {Settings} [settings] none: as `--dev` has it
   */
  static async with(t, settings) {
    const server = await Server.from(settings);
    atEnd(t, () => server.stop("SIGKILL"));
    return server;
  }

  /** @param {Settings} [settings] */
  static async from(settings) {
    const server = new Server(await freePort(), settings === undefined ? ["--dev"] : await configured(settings));
    server.#settings = settings ?? {};
    await server.run();
    return server;
  }

  /** @override */
  get command() {
    return ORIGINAL === undefined
      ? super.command
      : [process.execPath, ORIGINAL_PROGRAM, ORIGINAL, String(this.port), JSON.stringify(this.#settings)];
  }

  /** Its address for clients of deepstream, without a path. */
  get ws() {
    return `ws://127.0.0.1:${this.port}`;
  }
}

/** What servers that are not for everybody sign tokens with. */
export const KEY = { name: "tests", secret: "only-for-tests-only-for-tests-only-for-tests" };

/** @type {string[]} */
const folders = [];
process.on("exit", () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/**
 * The options by which `roomful serve` is as a test wants it.
 * @param {Settings} settings
 */
async function configured({ webhook, loginTimeoutMs, loginAttempts, heartbeatMs, store, otherwise, closed = webhook !== undefined, toml = "" }) {
  const folder = await mkdtemp(join(tmpdir(), "roomful-"));
  folders.push(folder);
  const lines = ["[keys]", `${KEY.name} = "${KEY.secret}"`, "[deepstream]"];
  if (store) lines.push(`store = "${join(folder, "records.redb")}"`);
  if (loginTimeoutMs !== undefined) lines.push(`login_timeout = "${loginTimeoutMs}ms"`);
  if (loginAttempts !== undefined) lines.push(`login_attempts = ${loginAttempts}`);
  if (heartbeatMs !== undefined) lines.push(`heartbeat = "${heartbeatMs}ms"`);
  if (otherwise !== undefined) lines.push(`otherwise = "${otherwise}"`);
  if (webhook !== undefined) lines.push("[deepstream.webhook]", `url = "${webhook}"`);
  const file = join(folder, "roomful.toml");
  await writeFile(file, `${lines.join("\n")}\n${toml}`);
  return closed ? ["--config", file] : ["--dev", "--config", file];
}
