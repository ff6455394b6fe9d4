// @ts-check
// The log of a room: messages and notices, bounded in number and in characters. Pure.

import { LOG_CHARS, LOG_KEPT, NAMES_REMEMBERED, NOTICE_GATHER_MS, NOTICE_NAMES, TEXT_KEPT } from "./limits.js";

/** @import { State } from "./state.js" */

/**
 * @typedef {Object} Message
 * @property {"message"} kind
 * @property {number} id
 * @property {number} at        when it was sent or received here, in ms since 1970
 * @property {boolean} own
 * @property {string} from      member id
 * @property {string} name      as the sender was called then
 * @property {string} text
 * @property {number} cut       characters that were not kept
 * @property {"pending" | "sent" | "failed"} state
 * @property {boolean} alone    nobody else was there to receive it
 * @property {string} [why]     of the failure
 * @property {string} [ticket]  of own messages
 */
/**
 * Who came and went, several in one line.
 * @typedef {Object} Presence
 * @property {"presence"} kind
 * @property {number} id
 * @property {number} at
 * @property {string} event  `joined`, or the reason of the departure
 * @property {readonly string[]} names
 * @property {number} more   further ones, not named
 */
/**
 * Messages of a member that will never come.
 * @typedef {Object} Gap
 * @property {"gap"} kind
 * @property {number} id
 * @property {number} at
 * @property {readonly string[]} names
 */
/**
 * @typedef {Object} Notice
 * @property {"notice"} kind
 * @property {number} id
 * @property {number} at
 * @property {"plain" | "good"} tone
 * @property {string} text
 */
/** @typedef {Message | Presence | Gap | Notice} Entry */

/** @typedef {Omit<Message, "id"> | Omit<Presence, "id" | "more"> | Omit<Gap, "id"> | Omit<Notice, "id">} Draft */

/**
 * Adds an entry, lets the oldest go where a bound is reached.
 * @param {State} state
 * @param {Draft} draft
 * @returns {State}
 */
export function append(state, draft) {
  const last = state.log.at(-1);
  const gathered = last === undefined ? undefined : gather(last, draft);
  if (gathered !== undefined) return { ...state, log: [...state.log.slice(0, -1), gathered] };
  const id = state.nextEntry;
  const entry = /** @type {Entry} */ (draft.kind === "presence" ? { ...draft, id, more: 0 } : { ...draft, id });
  const log = bounded([...state.log, entry]);
  return { ...state, log, nextEntry: id + 1, trimmed: state.trimmed || log.length <= state.log.length };
}

/**
 * Changes one own message.
 * @param {State} state
 * @param {string} ticket
 * @param {(message: Message) => Message} change
 * @returns {State}
 */
export function amend(state, ticket, change) {
  const log = state.log.map((entry) => (entry.kind === "message" && entry.ticket === ticket ? change(entry) : entry));
  return { ...state, log };
}

/**
 * Takes one own message away.
 * @param {State} state
 * @param {string} ticket
 * @returns {State}
 */
export function remove(state, ticket) {
  return { ...state, log: state.log.filter((entry) => entry.kind !== "message" || entry.ticket !== ticket) };
}

/** What is kept of a text, and how much is not. @param {string} text */
export function kept(text) {
  const part = text.length > TEXT_KEPT ? text.slice(0, TEXT_KEPT) : text;
  return { text: part, cut: text.length - part.length };
}

/** The names seen last, as many as are remembered. @param {ReadonlyMap<string, string>} names */
export function newest(names) {
  return names.size <= NAMES_REMEMBERED ? names : new Map([...names].slice(-NAMES_REMEMBERED));
}

/**
 * One entry of two, where the second only adds a name to the first.
 * @param {Entry} last
 * @param {Draft} draft
 * @returns {Entry | undefined}
 */
function gather(last, draft) {
  if (draft.at - last.at > NOTICE_GATHER_MS) return undefined;
  if (draft.kind === "presence" && last.kind === "presence" && draft.event === last.event) {
    const names = [...last.names, ...draft.names];
    const more = last.more + Math.max(0, names.length - NOTICE_NAMES);
    return { ...last, names: names.slice(0, NOTICE_NAMES), more };
  }
  if (draft.kind === "gap" && last.kind === "gap") {
    const fresh = draft.names.filter((name) => !last.names.includes(name));
    return { ...last, names: [...last.names, ...fresh].slice(0, NOTICE_NAMES) };
  }
  return undefined;
}

/** @param {Entry[]} log */
function bounded(log) {
  let from = Math.max(0, log.length - LOG_KEPT);
  let chars = 0;
  for (let at = log.length - 1; at >= from; at--) {
    const entry = log[at];
    chars += entry?.kind === "message" ? entry.text.length : 0;
    // The newest stays, however long it is.
    if (chars > LOG_CHARS && at < log.length - 1) from = at + 1;
  }
  return log.slice(from);
}
