// @ts-check
// Names of rooms and members: what is allowed, in plain words, and inviting names for new rooms.

import { NAME_MAX, ROOM_NAME_MAX } from "./limits.js";

/** Words that the server keeps for itself (protocol, "Identities"). */
const RESERVED = new Set([
  "sdk", "api", "metrics", "healthz", "deepstream", "deepstream-v3", "whip", "whep", "app",
]);

const ROOM = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/**
 * @typedef {Object} Verdict
 * @property {string} name     the name to use when `problem` is empty
 * @property {string} problem  what is wrong, as a sentence; empty where nothing is
 * @property {string} better   a name that would do instead; empty where there is none
 */

/**
 * Judges what was typed as a room: a name, or a whole link to a room.
 * @param {string} typed
 * @returns {Verdict}
 */
export function roomVerdict(typed) {
  const name = roomInLink(typed.trim()) ?? typed.trim();
  if (name === "") return { name, problem: "Give the room a name.", better: "" };
  if (RESERVED.has(name)) {
    return { name, problem: `“${name}” is a word the server needs for itself.`, better: `${name}-room` };
  }
  if (name.length > ROOM_NAME_MAX) {
    return { name, problem: `A room’s name has at most ${ROOM_NAME_MAX} characters.`, better: tidyRoom(name) };
  }
  if (ROOM.test(name)) return { name, problem: "", better: "" };
  const better = tidyRoom(name);
  const problem = /^[._-]/.test(name)
    ? "A room’s name starts with a letter or a digit."
    : /\s/.test(name)
      ? "A room’s name has no spaces."
      : "Use letters (a–z), digits, dots, hyphens and underscores.";
  return { name, problem, better };
}

/**
 * The room that an address names: the first part of its path.
 * @param {string} pathname as in `location.pathname`
 */
export function roomOfPath(pathname) {
  const first = pathname.split("/")[1] ?? "";
  try {
    return decodeURIComponent(first);
  } catch {
    return first;
  }
}

/**
 * Judges a display name.
 * @param {string} typed
 * @returns {Verdict}
 */
export function nameVerdict(typed) {
  const name = typed.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ").trim();
  if (name === "") return { name, problem: "Tell the others what to call you.", better: "" };
  if ([...name].length > NAME_MAX) {
    return { name, problem: `A name has at most ${NAME_MAX} characters.`, better: [...name].slice(0, NAME_MAX).join("") };
  }
  return { name, problem: "", better: "" };
}

/**
 * A name for a new room that nobody else is likely to think of.
 * @param {(below: number) => number} [pick] gives a whole number in 0 … below − 1
 */
export function inventRoom(pick = randomBelow) {
  const word = (/** @type {readonly string[]} */ words) => words[pick(words.length)] ?? "";
  return `${word(QUALITIES)}-${word(BEINGS)}-${word(PLACES)}`;
}

/**
 * The key at the end of an address, as it stands there with its `#`; empty where there is none. Also what only was a key
 * once, for the SDK to refuse: without it one would enter and speak in the clear.
 * @param {string} text a fragment, or a whole link
 */
export function keyIn(text) {
  return /#(?:.*[&;?/])?key(?:=|%3d).*$/i.exec(text.trim())?.[0] ?? "";
}

/** @param {string} text @returns {string | undefined} */
function roomInLink(text) {
  if (!/^https?:\/\//i.test(text)) return undefined;
  try {
    return roomOfPath(new URL(text).pathname);
  } catch {
    return undefined;
  }
}

/** @param {string} name */
function tidyRoom(name) {
  const plain = name
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .replace(/ß/g, "ss")
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/-{2,}/g, "-")
    .replace(/^[._-]+/, "")
    .slice(0, ROOM_NAME_MAX)
    .replace(/[-.]+$/, "");
  return RESERVED.has(plain) ? `${plain}-room` : plain;
}

/** @param {number} below small beside 2^32, so that the remainder is as good as even */
function randomBelow(below) {
  const [drawn] = crypto.getRandomValues(new Uint32Array(1));
  return (drawn ?? 0) % below;
}

const QUALITIES = /** @type {const} */ ([
  "amber", "bright", "brisk", "calm", "candid", "cheerful", "clear", "clever", "cosy", "curious", "early", "easy",
  "fair", "fresh", "gentle", "glad", "golden", "happy", "honest", "jolly", "keen", "kind", "lively", "lucky",
  "mellow", "merry", "mild", "neat", "noble", "open", "patient", "playful", "proud", "quick", "quiet", "ready",
  "rosy", "silver", "snug", "steady", "sunny", "swift", "tidy", "warm", "wide", "wild", "wise", "young",
]);
const BEINGS = /** @type {const} */ ([
  "badger", "beaver", "bee", "bison", "comet", "crane", "cricket", "dolphin", "dove", "falcon", "finch", "fox",
  "gecko", "goose", "hare", "heron", "ibis", "jay", "kestrel", "koala", "lark", "lemur", "lynx", "magpie",
  "marten", "mole", "moose", "newt", "orca", "otter", "owl", "panda", "pelican", "puffin", "quail", "raven",
  "robin", "salmon", "seal", "sparrow", "stork", "swan", "tiger", "toad", "trout", "turtle", "whale", "wren",
]);
const PLACES = /** @type {const} */ ([
  "attic", "balcony", "barn", "bay", "beach", "bridge", "cabin", "camp", "canyon", "cave", "cliff", "cottage",
  "cove", "creek", "deck", "dune", "farm", "field", "fjord", "forest", "garden", "glade", "grove", "harbour",
  "hill", "island", "kitchen", "lagoon", "lake", "library", "loft", "lodge", "market", "meadow", "mill", "orchard",
  "park", "pier", "plaza", "pond", "porch", "reef", "ridge", "shore", "terrace", "valley", "veranda", "yard",
]);
