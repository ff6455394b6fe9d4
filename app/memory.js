// @ts-check
// What the app remembers in this browser: the name and the theme, and for this tab the token. Where storage is off
// (private windows, strict settings) it remembers until the page is closed.

import { roomOfPath } from "./names.js";
import { TOKEN_MAX } from "./limits.js";

/** @type {Map<string, string>} */
const fallback = new Map();

/** @param {"localStorage" | "sessionStorage"} where @param {string} key */
function read(where, key) {
  try {
    return window[where].getItem(key) ?? "";
  } catch {
    return fallback.get(key) ?? "";
  }
}

/** @param {"localStorage" | "sessionStorage"} where @param {string} key @param {string} value empty forgets */
function write(where, key, value) {
  try {
    if (value === "") window[where].removeItem(key);
    else window[where].setItem(key, value);
  } catch {
    fallback.set(key, value);
  }
}

export const rememberedName = () => read("localStorage", "roomful:name");
export const rememberName = (/** @type {string} */ name) => write("localStorage", "roomful:name", name);

/** `light`, `dark`, or empty for the system's. */
export const rememberedTheme = () => read("localStorage", "roomful:theme");
export const rememberTheme = (/** @type {string} */ theme) => write("localStorage", "roomful:theme", theme);

/** Tokens are secrets: for this tab and this room only. @param {string} room */
export const rememberedToken = (room) => read("sessionStorage", `roomful:token:${room}`);
export const rememberToken = (/** @type {string} */ room, /** @type {string} */ token) =>
  write("sessionStorage", `roomful:token:${room}`, token.slice(0, TOKEN_MAX));

/** Whether this tab was in the room already, so that a reload goes straight back. @param {string} room */
export const wasIn = (room) => read("sessionStorage", `roomful:in:${room}`) === "yes";
export const rememberIn = (/** @type {string} */ room, /** @type {boolean} */ inside) =>
  write("sessionStorage", `roomful:in:${room}`, inside ? "yes" : "");

/**
 * Takes what an invitation put into the address out of it, before anything else can see or copy it.
 * @returns {{ room: string, name: string }} `name` is empty where the address has none
 */
export function takeInvitation() {
  const address = new URL(location.href);
  const room = roomOfPath(address.pathname);
  const token = address.searchParams.get("token");
  const name = address.searchParams.get("name") ?? "";
  if (token !== null) rememberToken(room, token.trim());
  if (token !== null || name !== "") {
    address.searchParams.delete("token");
    address.searchParams.delete("name");
    history.replaceState(history.state, "", address);
  }
  return { room, name };
}
