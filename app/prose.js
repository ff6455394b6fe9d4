// @ts-check
// Text of a message as it is shown: plain text and links, long text folded.

import { LINES_SHOWN, TEXT_SHOWN } from "./limits.js";

/** @typedef {{ text: string, href?: string }} Part */

/** Only http and https: whatever else a text names (javascript:, data:, file:) stays text. */
const LINK = /https?:\/\/[^\s<>"“”‘’`\u0000-\u001f]+/gi;

/**
 * Cuts a text into plain parts and links. Joined again, the parts give the text.
 * @param {string} text
 * @returns {Part[]}
 */
export function parts(text) {
  /** @type {Part[]} */
  const found = [];
  let from = 0;
  for (const match of text.matchAll(LINK)) {
    const shown = withoutTrailing(match[0]);
    const href = safeHref(shown);
    if (href === undefined) continue;
    if (match.index > from) found.push({ text: text.slice(from, match.index) });
    found.push({ text: shown, href });
    from = match.index + shown.length;
  }
  if (from < text.length) found.push({ text: text.slice(from) });
  return found;
}

/**
 * How much of a text is shown before the reader asks for all of it.
 * @param {string} text
 * @returns {string} the text itself where it is short enough
 */
export function fold(text) {
  let end = Math.min(text.length, TEXT_SHOWN);
  let line = -1;
  for (let n = 0; n < LINES_SHOWN; n++) {
    line = text.indexOf("\n", line + 1);
    if (line === -1 || line >= end) break;
    if (n === LINES_SHOWN - 1) end = line;
  }
  // A text that is only a little longer is not worth a button.
  if (end === TEXT_SHOWN && text.length < TEXT_SHOWN * 1.2) end = text.length;
  // Never between the halves of a surrogate pair.
  if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(0, end);
}

/**
 * What arrived on the chat channel, as text. People send text; programs may send anything.
 * @param {unknown} data
 * @returns {string}
 */
export function textOf(data) {
  if (typeof data === "string") return data;
  if (typeof data === "object" && data !== null && "text" in data && typeof data.text === "string") return data.text;
  if (ArrayBuffer.isView(data)) return `(${data.byteLength.toLocaleString()} bytes)`;
  if (data instanceof Date || typeof data !== "object") return String(data);
  try {
    return JSON.stringify(data, (_, value) => (typeof value === "bigint" ? String(value) : value));
  } catch {
    return "(something that cannot be shown)";
  }
}

/** Punctuation that ends the sentence rather than the link. @param {string} link */
function withoutTrailing(link) {
  let end = link.length;
  for (;;) {
    const last = link[end - 1] ?? "";
    if (".,;:!?'*_~…".includes(last)) end -= 1;
    else if (last === ")" && unbalanced(link.slice(0, end), "(", ")")) end -= 1;
    else if (last === "]" && unbalanced(link.slice(0, end), "[", "]")) end -= 1;
    else return link.slice(0, end);
  }
}

/** @param {string} text @param {string} open @param {string} close */
function unbalanced(text, open, close) {
  return text.split(close).length > text.split(open).length;
}

/** @param {string} shown @returns {string | undefined} */
function safeHref(shown) {
  try {
    const url = new URL(shown);
    // A user name in a link is the oldest way to make one host look like another.
    const honest = url.username === "" && url.password === "" && url.hostname !== "";
    return honest && (url.protocol === "https:" || url.protocol === "http:") ? url.href : undefined;
  } catch {
    return undefined;
  }
}

/** @param {number} unit */
function isHighSurrogate(unit) {
  return unit >= 0xd800 && unit <= 0xdbff;
}
