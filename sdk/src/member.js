// @ts-check
/** @import {Config, Input, Output} from "./member/io.js" */
export class Member {
  /** @param {Config} config @param {number} now */
  constructor(config, now) { void config; void now; }
  get id() { return ""; }
  /** @param {number} now @param {Input} input */
  handle(now, input) { void now; void input; }
  /** @returns {Output | undefined} */
  pollOutput() { return undefined; }
  /** @returns {number | undefined} */
  pollTimeout() { return undefined; }
}
