// @ts-check
// Everything the room page shows, as one value, and what each event makes of it. Pure: no clock, no network, no page.

import { NOTICE_SHOWN } from "./limits.js";
import * as log from "./log.js";
import { list, topologyWords } from "./reasons.js";

/** @import { Entry } from "./log.js" */
/** @import { Link, Report } from "./links.js" */

/**
 * @typedef {Object} Person
 * @property {string} id
 * @property {string} name
 * @property {boolean} self
 * @property {Link} [link]  as this page sees it; none to oneself
 */

/**
 * Where this page stands with the room. `asking`: a name is missing. `reconnecting`: the server is out of reach, links
 * go on. `failed`: refused or lost, and not coming back by itself.
 * @typedef {{ at: "asking" | "joining" | "in" | "reconnecting" | "left" }
 *   | { at: "failed", code: string, message: string, hint: string }} Phase
 */

/** @typedef {"chat" | "people" | "links"} Panel */

/**
 * @typedef {Object} State
 * @property {Phase} phase
 * @property {boolean} entered         has been in the room since the page was opened
 * @property {string} self             own id; empty before the room was entered
 * @property {string} topology
 * @property {string} pinned           what it is to be; `auto`: what fits
 * @property {boolean} mayPin          may choose it
 * @property {readonly Person[]} people  oneself first, then in order of arrival
 * @property {ReadonlyMap<string, string>} names  also of those who left
 * @property {ReadonlyMap<string, Report>} reports
 * @property {ReadonlyMap<string, number>} spoke  how many messages of each have passed, for the drawing
 * @property {readonly string[]} typing  ids
 * @property {readonly Entry[]} log
 * @property {boolean} trimmed         older entries were let go
 * @property {number} nextEntry
 * @property {number} unread
 * @property {boolean} reading         the newest message is in sight
 * @property {Panel} panel             the one in front where there is room for one
 * @property {string} chosen           id of the member in the spotlight; empty for none
 */

/**
 * @typedef {{ type: "asking" }
 *   | { type: "joining" }
 *   | { type: "entered", self: string, topology: string, pinned: string, mayPin: boolean, people: readonly Person[], at: number }
 *   | { type: "people", people: readonly Person[] }
 *   | { type: "came", id: string, name: string, at: number }
 *   | { type: "went", id: string, name: string, reason: string, at: number }
 *   | { type: "renamed", id: string, from: string, to: string, at: number }
 *   | { type: "reported", id: string, report: Report }
 *   | { type: "typing", id: string, typing: boolean }
 *   | { type: "received", id: string, text: string, at: number }
 *   | { type: "sending", ticket: string, text: string, at: number, audience: number }
 *   | { type: "sent", ticket: string }
 *   | { type: "unsent", ticket: string, why: string }
 *   | { type: "discarded", ticket: string }
 *   | { type: "missed", id: string, at: number }
 *   | { type: "noted", text: string, at: number }
 *   | { type: "topology", to: string, at: number }
 *   | { type: "pinned", to: string }
 *   | { type: "reconnecting", at: number }
 *   | { type: "reconnected", at: number }
 *   | { type: "failed", code: string, message: string, hint: string, at: number }
 *   | { type: "left" }
 *   | { type: "reading", reading: boolean }
 *   | { type: "panel", panel: Panel }
 *   | { type: "chosen", id: string }} Action
 */

/** @type {State} */
export const INITIAL = {
  phase: { at: "joining" },
  entered: false,
  self: "",
  topology: "",
  pinned: "auto",
  mayPin: false,
  people: [],
  names: new Map(),
  reports: new Map(),
  spoke: new Map(),
  typing: [],
  log: [],
  trimmed: false,
  nextEntry: 1,
  unread: 0,
  reading: true,
  panel: "chat",
  chosen: "",
};

/**
 * @param {State} state
 * @param {Action} action
 * @returns {State}
 */
export function reduce(state, action) {
  switch (action.type) {
    case "asking":
      return { ...state, phase: { at: "asking" } };
    case "joining":
      return { ...state, phase: { at: "joining" } };
    case "entered": {
      const { self, topology, pinned, mayPin } = action;
      const entered = withPeople({ ...state, self, topology, pinned, mayPin }, action.people);
      return {
        ...welcomed(entered, action.at),
        phase: { at: "in" },
        entered: true,
        // A second entrance is a new session, with links and streams of its own.
        reports: new Map(),
        typing: [],
        chosen: "",
      };
    }
    case "people":
      return withPeople(state, action.people);
    case "came":
      return log.append(state, { kind: "presence", event: "joined", names: [action.name], at: action.at });
    case "went": {
      const { typing, reports, spoke } = state;
      return log.append(
        {
          ...state,
          typing: typing.filter((id) => id !== action.id),
          reports: without(reports, action.id),
          spoke: without(spoke, action.id),
          chosen: state.chosen === action.id ? "" : state.chosen,
        },
        { kind: "presence", event: action.reason, names: [action.name], at: action.at },
      );
    }
    case "renamed":
      return log.append(state, { kind: "notice", tone: "plain", text: `${action.from} is now called ${action.to}`, at: action.at });
    case "reported":
      return state.people.some((person) => person.id === action.id)
        ? { ...state, reports: new Map(state.reports).set(action.id, action.report) }
        : state;
    case "typing":
      return withTyping(state, action.id, action.typing);
    case "received": {
      const said = log.append(withTyping(state, action.id, false), {
        kind: "message", own: false, from: action.id, name: state.names.get(action.id) ?? "Someone", at: action.at,
        state: "sent", alone: false, ...log.kept(action.text),
      });
      return spokeUp({ ...said, unread: state.reading ? 0 : state.unread + 1 }, action.id);
    }
    case "sending":
      return log.append(state, {
        kind: "message", own: true, from: state.self, name: state.names.get(state.self) ?? "You", at: action.at,
        ticket: action.ticket, state: "pending", alone: action.audience === 0, ...log.kept(action.text),
      });
    case "sent":
      return spokeUp(log.amend(state, action.ticket, (message) => ({ ...message, state: "sent", why: "" })), state.self);
    case "unsent":
      return log.amend(state, action.ticket, (message) => ({ ...message, state: "failed", why: action.why }));
    case "discarded":
      return log.remove(state, action.ticket);
    case "missed":
      return log.append(state, { kind: "gap", names: [state.names.get(action.id) ?? "someone"], at: action.at });
    case "noted":
      return log.append(state, { kind: "notice", tone: "plain", text: action.text, at: action.at });
    case "topology":
      return log.append({ ...state, topology: action.to }, {
        kind: "notice", tone: "plain", text: `The room is now ${topologyWords(action.to)}`, at: action.at,
      });
    case "pinned":
      return { ...state, pinned: action.to };
    case "reconnecting":
      return state.phase.at === "in" ? { ...state, phase: { at: "reconnecting" } } : state;
    case "reconnected":
      return state.phase.at === "reconnecting"
        ? log.append({ ...state, phase: { at: "in" } }, { kind: "notice", tone: "good", text: "Back with the server", at: action.at })
        : state;
    case "failed": {
      const { code, message, hint } = action;
      return { ...away(state), phase: { at: "failed", code, message, hint } };
    }
    case "left":
      return { ...away(state), phase: { at: "left" } };
    case "reading":
      if (action.reading === state.reading) return state;
      return { ...state, reading: action.reading, unread: action.reading ? 0 : state.unread };
    case "panel":
      return { ...state, panel: action.panel };
    case "chosen":
      return { ...state, chosen: action.id === state.chosen ? "" : action.id };
  }
}

/** Who enters a room of others sees an empty log, and is told why. @param {State} state @param {number} at @returns {State} */
function welcomed(state, at) {
  const names = others(state).map((person) => person.name);
  if (names.length === 0 || state.log.length > 0) return state;
  const text = `You joined ${list(names, NOTICE_SHOWN)}. What was said before stays with them.`;
  return log.append(state, { kind: "notice", tone: "plain", text, at });
}

/** Everybody but oneself. @param {State} state */
export function others(state) {
  return state.people.filter((person) => !person.self);
}

/** What this page itself would publish. @param {State} state @returns {Map<string, Link>} */
export function ownLinks(state) {
  return new Map(state.people.flatMap(({ id, link }) => (link === undefined ? [] : [[id, link]])));
}

/** Outside, nobody is seen; what was said stays. @param {State} state @returns {State} */
function away(state) {
  return { ...state, people: [], reports: new Map(), typing: [], chosen: "" };
}

/** @param {State} state @param {readonly Person[]} people @returns {State} */
function withPeople(state, people) {
  const names = new Map(state.names);
  for (const { id, name } of people) {
    // Deleted first, so that the map's order is that of the last sight.
    names.delete(id);
    names.set(id, name);
  }
  return { ...state, people, names: log.newest(names) };
}

/** @param {State} state @param {string} id @param {boolean} typing @returns {State} */
function withTyping(state, id, typing) {
  if (state.typing.includes(id) === typing) return state;
  if (!typing) return { ...state, typing: state.typing.filter((one) => one !== id) };
  const here = state.people.some((person) => person.id === id && !person.self);
  return here ? { ...state, typing: [...state.typing, id] } : state;
}

/** @param {State} state @param {string} id @returns {State} */
function spokeUp(state, id) {
  return { ...state, spoke: new Map(state.spoke).set(id, (state.spoke.get(id) ?? 0) + 1) };
}

/**
 * @template V
 * @param {ReadonlyMap<string, V>} map
 * @param {string} id
 * @returns {ReadonlyMap<string, V>}
 */
function without(map, id) {
  if (!map.has(id)) return map;
  const left = new Map(map);
  left.delete(id);
  return left;
}
