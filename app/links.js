// @ts-check
// Who is linked to whom. Every member publishes its own links on a `latest` channel; here those reports become one
// picture of the room. Reports come from others, so they are parsed, bounded and never believed about third parties.

import { LINKS_PUBLISHED } from "./limits.js";
import { count, list, rttWords } from "./reasons.js";

/** @typedef {"connecting" | "open" | "suspect" | "failed" | "closed"} LinkState */

/**
 * One end's view of a link.
 * @typedef {Object} Link
 * @property {LinkState} state
 * @property {string} path      `host`, `reflexive`, `relayed`, `socket`; empty where unknown
 * @property {number} [rtt_ms]
 * @property {string} reason    in plain words or a code; empty where there is none
 */

/** What a member says of its links, by the id of the other end. @typedef {ReadonlyMap<string, Link>} Report */

/**
 * A link as the picture shows it, ends in the order of the roster.
 * @typedef {Object} Edge
 * @property {string} key
 * @property {string} a
 * @property {string} b
 * @property {"open" | "connecting" | "suspect" | "failed"} state
 * @property {number} [rtt_ms]
 * @property {string} path
 */

/** @type {readonly LinkState[]} */
const STATES = ["connecting", "open", "suspect", "failed", "closed"];
const PATHS = ["", "host", "reflexive", "relayed", "socket"];

/**
 * What is published: `{ links: [[id, state, path, rtt_ms], …] }`, nothing but what the picture needs.
 * @param {Iterable<readonly [string, Link]>} links
 */
export function report(links) {
  /** @type {[string, string, string, number | null][]} */
  const told = [];
  for (const [id, link] of links) {
    if (link.state === "closed") continue;
    if (told.length === LINKS_PUBLISHED) break;
    told.push([id, link.state, link.path, link.rtt_ms === undefined ? null : coarse(link.rtt_ms)]);
  }
  return { links: told };
}

/**
 * Reads what a member published; whatever does not fit is left out.
 * @param {unknown} value
 * @returns {Report | undefined} undefined where it is no report at all
 */
export function parseReport(value) {
  const told = typeof value === "object" && value !== null && "links" in value ? value.links : undefined;
  if (!Array.isArray(told)) return undefined;
  /** @type {Map<string, Link>} */
  const links = new Map();
  for (const row of told.slice(0, LINKS_PUBLISHED)) {
    if (!Array.isArray(row)) continue;
    const [id, state, path, rtt] = /** @type {unknown[]} */ (row);
    const known = STATES.find((name) => name === state);
    if (typeof id !== "string" || !/^[0-9a-f]{16}$/.test(id) || known === undefined) continue;
    /** @type {Link} */
    const link = { state: known, path: PATHS.find((name) => name === path) ?? "", reason: "" };
    if (typeof rtt === "number" && rtt >= 0 && rtt < 600_000) link.rtt_ms = rtt;
    links.set(id, link);
  }
  return links;
}

/**
 * The picture: one edge for every pair of which at least one end speaks.
 * @param {readonly string[]} roster            ids of everybody in the room
 * @param {ReadonlyMap<string, Report>} reports by the id of who reports, oneself included
 * @returns {Edge[]}
 */
export function edges(roster, reports) {
  const place = new Map(roster.map((id, at) => [id, at]));
  /** @type {Edge[]} */
  const found = [];
  for (const [at, id] of roster.entries()) {
    for (const [peer, seen] of reports.get(id) ?? []) {
      const there = place.get(peer);
      if (there === undefined || there === at) continue;
      const back = reports.get(peer)?.get(id);
      // A pair that both ends report is made once, from the earlier end.
      if (back !== undefined && there < at) continue;
      const state = together(seen.state, back?.state, reports.has(peer));
      if (state === undefined) continue;
      const [a, b] = at < there ? [id, peer] : [peer, id];
      /** @type {Edge} */
      const edge = { key: `${a}-${b}`, a, b, state, path: seen.path || (back?.path ?? "") };
      const rtt = seen.rtt_ms ?? back?.rtt_ms;
      if (rtt !== undefined) edge.rtt_ms = rtt;
      found.push(edge);
    }
  }
  return found;
}

/**
 * Two views of one link. Open needs both ends, where both speak.
 * @param {LinkState} here
 * @param {LinkState | undefined} there
 * @param {boolean} speaks  whether the other end reports at all
 * @returns {Edge["state"] | undefined}
 */
function together(here, there, speaks) {
  if (here === "closed") return there === undefined || there === "closed" ? undefined : together(there, undefined, true);
  if (there === undefined) return here === "open" && speaks ? "connecting" : here;
  const views = [here, there];
  if (views.every((state) => state === "open")) return "open";
  if (views.includes("failed")) return "failed";
  return views.includes("suspect") ? "suspect" : "connecting";
}

/**
 * The shortest ways from a member over open links: how many links to each, and who has to pass on.
 * @param {string} from
 * @param {readonly Edge[]} links
 * @returns {{ hops: Map<string, number>, passing: Set<string> }}
 */
export function waysFrom(from, links) {
  /** @type {Map<string, string[]>} */
  const neighbours = new Map();
  for (const { a, b, state } of links) {
    if (state !== "open") continue;
    for (const [one, other] of [[a, b], [b, a]]) {
      const known = neighbours.get(one);
      if (known === undefined) neighbours.set(one, [other]);
      else known.push(other);
    }
  }
  const hops = new Map([[from, 0]]);
  /** @type {Set<string>} */
  const passing = new Set();
  // A map is gone through in the order in which it grows.
  for (const [id, hop] of hops) {
    for (const other of neighbours.get(id) ?? []) {
      if (hops.has(other)) continue;
      hops.set(other, hop + 1);
      if (id !== from) passing.add(id);
    }
  }
  return { hops, passing };
}

/**
 * The picture in one sentence.
 * @param {number} members everybody, oneself included
 * @param {readonly Edge[]} links
 * @param {number} silent  members that do not report their links
 * @param {string} [topology]
 */
export function summary(members, links, silent, topology = "mesh") {
  if (members <= 1) return "Nobody to link to yet.";
  const open = links.filter((link) => link.state === "open").length;
  const pairs = (members * (members - 1)) / 2;
  const failed = links.filter((link) => link.state === "failed").length;
  const shaky = links.filter((link) => link.state === "suspect").length;
  const unseen = silent > 1 ? (silent * (silent - 1)) / 2 : 0;
  const parts = [];
  if (topology !== "mesh") parts.push(`${count(members, "member")}, ${count(open, "link")}`);
  else if (open === pairs) parts.push(members === 2 ? "You two are linked directly" : `Everyone is linked to everyone: ${open} links`);
  else parts.push(`${open} of ${count(pairs - unseen, "link")} open`);
  if (shaky > 0) parts.push(`${shaky} gone quiet`);
  if (failed > 0) parts.push(`${failed} failed`);
  if (unseen > 0 && topology === "mesh") parts.push(`${unseen} more that nobody tells of`);
  return `${parts.join(" · ")}.`;
}

/**
 * One member's links in words, for readers who do not see the picture.
 * @param {string} id
 * @param {readonly Edge[]} links
 * @param {(id: string) => string} nameOf
 */
export function linksInWords(id, links, nameOf) {
  const mine = links.filter((link) => link.a === id || link.b === id);
  const other = (/** @type {Edge} */ link) => nameOf(link.a === id ? link.b : link.a);
  const names = (/** @type {Edge["state"]} */ state) => mine.filter((link) => link.state === state).map((link) => {
    const rtt = rttWords(link.rtt_ms);
    return state === "open" && rtt !== "" ? `${other(link)} (${rtt})` : other(link);
  });
  const said = /** @type {const} */ ([
    ["linked to", "open"], ["connecting to", "connecting"], ["has lost touch with", "suspect"], ["not linked to", "failed"],
  ]).flatMap(([words, state]) => {
    const who = names(state);
    return who.length === 0 ? [] : [`${words} ${list(who, who.length)}`];
  });
  return said.length === 0 ? "no links" : said.join("; ");
}

/** Whole milliseconds, so that a trembling clock is not news. @param {number} ms */
function coarse(ms) {
  return ms < 1 ? 0.5 : Math.round(ms);
}
