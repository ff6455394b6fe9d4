// @ts-check
// Codes in plain words: what happened, and what the reader can do about it.

/**
 * @typedef {Object} Explanation
 * @property {string} title   what happened
 * @property {string} advice  what to do now
 * @property {"retry" | "token" | "name" | "lobby"} remedy  which step the page offers first
 */

/**
 * Why the room could not be entered, or was lost. The server's own hint stands in for codes that are not known here.
 * @param {string} code
 * @param {string} [message]
 * @param {string} [hint]
 * @returns {Explanation}
 */
export function explain(code, message = "", hint = "") {
  const known = FAILURES[code];
  if (known) return { title: known[0], advice: known[1], remedy: known[2] };
  return {
    title: sentence(message) || "The room could not be entered.",
    advice: sentence(hint) || "Try again. If it happens again, tell whoever runs this server the code below.",
    remedy: "retry",
  };
}

/** @type {Readonly<Record<string, readonly [string, string, Explanation["remedy"]]>>} */
const FAILURES = {
  token_required: ["This room is by invitation.", "Paste the token that you were given, or open the invitation link again.", "token"],
  token_invalid: ["That token is not valid here.", "Check that you copied all of it, or ask for a new one.", "token"],
  token_expired: ["Your token has expired.", "Ask for a new invitation and paste its token here.", "token"],
  token_other_room: ["That token belongs to another room.", "Ask for a token for this room, or open the room it was made for.", "token"],
  not_allowed: ["Your token does not allow this.", "Ask whoever invited you for a token with more rights.", "token"],
  identity_taken: ["You are already in this room.", "Someone with your identity is here, perhaps you in another tab. Leave there first, then try again.", "retry"],
  replaced: ["You joined from somewhere else.", "This tab stepped aside for the newer one. Come back here whenever you like.", "retry"],
  removed: ["You were removed from this room.", "Talk to whoever runs the room before you come back.", "lobby"],
  room_full: ["The room is full.", "Try again when somebody has left, or meet in another room.", "retry"],
  server_full: ["The server is full.", "Try again in a few minutes.", "retry"],
  too_many_connections: ["Too many connections from your network.", "Close other tabs of this room, wait a minute and try again.", "retry"],
  rate_limited: ["That was too much at once.", "Wait a minute, then try again.", "retry"],
  too_slow: ["Your connection could not keep up.", "Check your network, then try again.", "retry"],
  silent: ["Your connection went quiet.", "Check your network, then try again.", "retry"],
  shutting_down: ["The server is restarting.", "It should be back in a moment.", "retry"],
  join_timeout: ["The server waited too long for us.", "Check your network, then try again.", "retry"],
  bad_room: ["There is no room with this name.", "Names of rooms use letters, digits, dots, hyphens and underscores.", "lobby"],
  bad_key: ["This link is cut off.", "The key at its end is not whole. Open or copy the whole link again, up to its last letter.", "lobby"],
  bad_name: ["The server does not accept that name.", "Choose another one, with at most 64 characters.", "name"],
  bad_version: ["This page is older or newer than the server.", "Reload the page to get the matching one.", "retry"],
  unsupported: ["This browser cannot link to others.", "Roomful needs WebRTC. Use a current Chrome, Edge, Firefox or Safari, and allow WebRTC where an extension blocks it.", "lobby"],
  insecure: ["This page was opened over an insecure connection.", "Open it over https, or on localhost.", "lobby"],
  unreachable: ["The server does not answer.", "Check your network. If others reach it, a firewall or a browser extension may block WebSockets.", "retry"],
  timeout: ["The server does not answer.", "Check your network, then try again.", "retry"],
  connection_lost: ["The connection to the room was lost.", "Check your network, then join again.", "retry"],
};

/**
 * A member's departure.
 * @param {string} reason as in the protocol's `gone`
 */
export function departure(reason) {
  switch (reason) {
    case "left": return "left";
    case "crashed": return "dropped out";
    case "unresponsive": return "stopped responding";
    case "timeout": return "lost the connection";
    case "replaced": return "moved to another window";
    case "removed": return "was removed";
    default: return "is gone";
  }
}

/**
 * Why what somebody says is not shown, and what to do about it.
 * @param {string} reason as in the SDK's `unreadable`
 * @param {string} name  of who says it; empty where it is an entry of the room's state
 */
export function unreadableWords(reason, name) {
  const what = name === "" ? "Some of what this room keeps" : `What ${name} says`;
  switch (reason) {
    case "no_key": return `${what} is secret, and the link that you opened has no key. Ask for the whole link, with what follows #.`;
    case "not_sealed": return `${what} is not shown: it is not sealed with the room’s key, so it may be anybody’s. Send everybody the whole link.`;
    case "replayed": return `${what} was said before, and somebody repeats it. Do not trust whoever runs this server.`;
    default: return `${what} cannot be read: it is sealed with another key. Compare your links.`;
  }
}

/**
 * How packets travel to a member. Whether a direct way crosses routers makes no difference to anybody.
 * @param {string} path
 */
export function pathWords(path) {
  switch (path) {
    case "host":
    case "reflexive": return "direct";
    case "relayed": return "through a relay";
    case "socket": return "through the server";
    default: return "";
  }
}

/** A topology with its article, as in “the room is now …”. @param {string} topology */
export function topologyWords(topology) {
  switch (topology) {
    case "mesh": return "a mesh: everyone is linked to everyone";
    case "small-world": return "a small world: few links each, and members pass on";
    case "tree": return "a tree: members pass on along its branches";
    case "star": return "a star: a relay passes everything on";
    default: return `linked as ${topology.replaceAll(/[-_]/g, " ")}`;
  }
}

/**
 * Why a link is not open.
 * @param {string} reason
 */
export function linkReason(reason) {
  return LINK_REASONS[reason] ?? sentence(reason.replaceAll("_", " "));
}

/** @type {Readonly<Record<string, string>>} */
const LINK_REASONS = {
  timeout: "No way through to them yet.",
  ice_failed: "No way through to them yet.",
  connect_timeout: "No way through to them yet.",
  silent: "They have gone quiet.",
  silence: "They have gone quiet.",
  suspect: "They have gone quiet.",
  closed: "The link was closed.",
  bad_frame: "They sent something unreadable.",
  over_credit: "They sent more than was agreed.",
  superseded: "A newer attempt took over.",
};

/** A round-trip time. @param {number | undefined} ms */
export function rttWords(ms) {
  if (ms === undefined || !Number.isFinite(ms)) return "";
  if (ms < 1) return "<1 ms";
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

/** “Ada”, “Ada and Bob”, “Ada, Bob and 3 others”. @param {readonly string[]} names @param {number} shown */
export function list(names, shown) {
  const rest = names.length - shown;
  // One left over takes no more room by name than as “1 other”.
  const named = rest > 1 ? names.slice(0, shown) : names;
  const tail = rest > 1 ? `${rest} others` : undefined;
  const all = tail === undefined ? [...named] : [...named, tail];
  const last = all.pop() ?? "";
  return all.length === 0 ? last : `${all.join(", ")} and ${last}`;
}

/** @param {number} n @param {string} one @param {string} [many] */
export function count(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}

/** @param {string} text */
function sentence(text) {
  const trimmed = text.trim().slice(0, 400);
  if (trimmed === "") return "";
  const started = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(started) ? started : `${started}.`;
}
