// @ts-check
// The real server: `roomful serve --dev`, on a port of its own.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { EventLog } from "./log.js";

/** The binary that the tests are about. */
export const BINARY = process.env.ROOMFUL_BIN ?? fileURLToPath(new URL("../../../target/checked/roomful", import.meta.url));

/** A port that nothing listens on now. */
export async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  return address.port;
}

/** @type {Set<import("node:child_process").ChildProcess>} */
const children = new Set();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

/**
 * Whatever becomes of the tests, none of their processes stays behind.
 * @param {import("node:child_process").ChildProcess} child
 */
export function endWithThisProcess(child) {
  children.add(child);
  child.on("exit", () => children.delete(child));
}

export class Server {
  /** @type {import("node:child_process").ChildProcess | undefined} */
  #process;
  /** What it wrote: `{ event: "out" | "err", line }`. */
  log = new EventLog("the server");

  /**
   * @param {number} port
   * @param {string[]} options
   */
  constructor(port, options) {
    this.port = port;
    this.options = options;
  }

  /**
   * Starts a server; it serves when this is done.
   * @param {string[]} [options] of `roomful serve`
   */
  static async start(options = ["--dev"]) {
    const server = new Server(await freePort(), options);
    await server.run();
    return server;
  }

  get origin() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** @param {string} room */
  address(room) {
    return `${this.origin}/${room}`;
  }

  /** The program that serves, and its arguments. */
  get command() {
    return [BINARY, "serve", ...this.options, "--listen", `127.0.0.1:${this.port}`];
  }

  /** Starts it again on the same port after {@link stop}. */
  async run() {
    this.log = new EventLog("the server");
    const { log } = this;
    const [program, ...options] = this.command;
    const child = spawn(program, options, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, RUST_BACKTRACE: "1" },
    });
    this.#process = child;
    createInterface({ input: child.stdout }).on("line", (line) => log.push({ event: "out", line }));
    createInterface({ input: child.stderr }).on("line", (line) => log.push({ event: "err", line }));
    endWithThisProcess(child);
    child.on("error", (error) => log.end(`did not start: ${error.message}`));
    child.on("exit", (code, signal) => log.end(`ended with ${code ?? signal}`));
    // It prints its address when it listens.
    await log.until("its address", (entries) => entries.find((entry) => entry.event === "out" && entry.line.includes(`:${this.port}`)));
  }

  /**
   * Ends it and waits for its end.
   * @param {NodeJS.Signals} [signal]
   * @returns {Promise<number | null>} the exit code
   */
  async stop(signal = "SIGTERM") {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    child.kill(signal);
    await once(child, "exit");
    return child.exitCode;
  }
}
