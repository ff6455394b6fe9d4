// @ts-check
// A member in Rust: one `roomful join --json` process.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import { Participant } from "./participant.js";
import { BINARY, endWithThisProcess } from "./server.js";
import { describe, fromJson, toJson } from "./values.js";

export class Member extends Participant {
  /**
   * @param {string} name
   * @param {import("node:child_process").ChildProcessByStdio<import("node:stream").Writable, import("node:stream").Readable, import("node:stream").Readable>} child
   */
  constructor(name, child) {
    super(name);
    this.child = child;
  }

  /**
   * Starts one; it has joined when this is done.
   * @param {string} address of the room
   * @param {string} name
   * @param {string[]} [options] of `roomful join`
   */
  static async join(address, name, options = []) {
    const child = spawn(BINARY, ["join", address, "--name", name, "--json", "--json-input", ...options], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, RUST_BACKTRACE: "1" },
    });
    const member = new Member(name, child);
    const { log } = member;
    createInterface({ input: child.stdout }).on("line", (line) => {
      const entry = JSON.parse(line);
      // In the words of pages.
      log.push(entry.event === "message" ? { ...entry, data: describe(fromJson(entry.data)) } : entry);
    });
    createInterface({ input: child.stderr }).on("line", (line) => log.push({ event: "err", line }));
    child.stdin.on("error", () => {});
    endWithThisProcess(child);
    child.on("error", (error) => log.end(`did not start: ${error.message}`));
    child.on("exit", (code, signal) => log.end(`ended with ${code ?? signal}`));
    await member.joined();
    return member;
  }

  /**
   * Says something on channel "chat".
   * @param {unknown} value
   */
  async say(value) {
    const line = JSON.stringify({ send: { channel: "chat", data: toJson(value) } });
    if (!this.child.stdin.write(`${line}\n`)) await once(this.child.stdin, "drain");
  }

  /** Stops reading and everything else, as a machine that hangs. */
  freeze() {
    this.child.kill("SIGSTOP");
  }

  thaw() {
    this.child.kill("SIGCONT");
  }

  /** Leaves: the end of its input. */
  async leave() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.stdin.end();
    await once(this.child, "exit");
  }

  /** Dies without a word. */
  async kill() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill("SIGKILL");
    await once(this.child, "exit");
  }
}
