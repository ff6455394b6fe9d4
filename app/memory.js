// @ts-check
// What the app remembers in this browser: the name and the theme; and in this tab: the token, and which room it is in.
// Where storage is off (strict settings) it remembers until the page is closed.

import { keyIn, roomOfPath } from "./names.js";
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

/** The name under which this tab is in a room, so that a reload goes straight back; empty where it is not. @param {string} room */
export const rememberedStay = (room) => read("sessionStorage", `roomful:stay:${room}`);
export const rememberStay = (/** @type {string} */ room, /** @type {string} */ name) =>
  write("sessionStorage", `roomful:stay:${room}`, name);

/**
 * Takes what an invitation put into the address out of it, before anything else can see or copy it. The room's key stays:
 * it is for everybody who is sent the address, and no server sees it.
 * @returns {{ room: string, name: string, key: string }} `name` and `key` are empty where the address has none
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
  return { room, name, key: keyIn(address.hash) };
}
