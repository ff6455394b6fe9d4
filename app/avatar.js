// @ts-check
// A member's face: initials on a tint of its own, the same in the chat, the list and the drawing.

import { el } from "./dom.js";

const TINTS = 8;

/** One of the tints of `tokens.css`; ids are random, so any part of one serves. @param {string} id */
export function tint(id) {
  let sum = 0;
  for (const unit of id) sum = (sum * 31 + unit.charCodeAt(0)) >>> 0;
  return sum % TINTS;
}

/** Up to two letters. @param {string} name */
export function initials(name) {
  const words = name.split(/[\s._-]+/u).filter((word) => /[\p{L}\p{N}]/u.test(word));
  const letters = words.map((word) => [...word].find((letter) => /[\p{L}\p{N}]/u.test(letter)) ?? "");
  const first = letters[0] ?? [...name][0] ?? "?";
  const last = letters.length > 1 ? letters.at(-1) : "";
  return `${first}${last}`.toLocaleUpperCase();
}

/** @param {string} id @param {string} name */
export function avatar(id, name) {
  return el("span", { class: `avatar tint-${tint(id)}`, "aria-hidden": "true" }, initials(name));
}
