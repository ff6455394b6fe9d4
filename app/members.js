// @ts-check
// The list of people: who is here, and how this page is linked to each of them.

import { initials, tint } from "./avatar.js";
import { el, icon, part, say } from "./dom.js";
import { linkReason, pathWords, rttWords } from "./reasons.js";

/** @import { Person, State } from "./state.js" */

/**
 * @typedef {Object} Row
 * @property {HTMLLIElement} element
 * @property {(person: Person, chosen: boolean, meshed: boolean) => void} show
 */

/**
 * @param {{ choose: (id: string) => void, rename: () => void }} commands
 * @returns {(state: State) => void}
 */
export function mountMembers(commands) {
  const members = part(document, "#members", HTMLUListElement);
  const figure = part(document, "#people-count", HTMLElement);
  const tabFigure = part(document, "#tab-people", HTMLElement);
  /** @type {Map<string, Row>} */
  const rows = new Map();

  return (state) => {
    const here = new Set(state.people.map((person) => person.id));
    for (const [id, row] of rows) {
      if (here.has(id)) continue;
      row.element.remove();
      rows.delete(id);
    }
    /** @type {Element | null} */
    let place = members.firstElementChild;
    for (const person of state.people) {
      const row = rows.get(person.id) ?? makeRow(person, commands);
      rows.set(person.id, row);
      row.show(person, state.chosen === person.id, state.topology === "mesh");
      if (row.element === place) place = place.nextElementSibling;
      else members.insertBefore(row.element, place);
    }
    say(figure, String(state.people.length || ""));
    say(tabFigure, String(state.people.length || ""));
  };
}

/** @param {Person} first @param {{ choose: (id: string) => void, rename: () => void }} commands @returns {Row} */
function makeRow(first, commands) {
  const face = el("span", { class: `avatar ${first.self ? "own" : `tint-${tint(first.id)}`}`, "aria-hidden": "true" });
  const name = el("bdi", { class: "name", "data-testid": "member-name" });
  const link = el("span", { class: "state", "data-testid": "member-link" });
  const rtt = el("span", { class: "rtt mono" });
  const pick = el("button", { type: "button", class: "pick" },
    face, el("span", { class: "lines" }, el("span", { class: "line" }, name, ...(first.self ? [el("span", { class: "you" }, "you")] : [])), link), rtt);
  const element = el("li", { class: "member", "data-testid": "member", "data-member": first.id }, pick);
  pick.addEventListener("click", () => commands.choose(first.id));
  if (first.self) {
    const rename = el("button", { type: "button", class: "button bare square", "aria-label": "Change your name", title: "Change your name", "data-testid": "rename" }, icon("pencil"));
    rename.addEventListener("click", commands.rename);
    element.append(rename);
    element.dataset["self"] = "";
  }

  return {
    element,
    show(person, chosen, meshed) {
      say(face, initials(person.name));
      say(name, person.name);
      name.title = person.name;
      pick.setAttribute("aria-pressed", String(chosen));
      const { state, words, ms } = linkWords(person, meshed);
      element.dataset["link"] = state;
      say(link, words);
      link.title = person.link?.path ? `${words} (${person.link.path})` : words;
      say(rtt, ms);
    },
  };
}

/**
 * @param {Person} person
 * @param {boolean} meshed whether everybody is to be linked to everybody
 * @returns {{ state: string, words: string, ms: string }}
 */
export function linkWords(person, meshed) {
  if (person.self) return { state: "self", words: "in this tab", ms: "" };
  const link = person.link;
  const reason = link === undefined ? "" : linkReason(link.reason);
  switch (link?.state) {
    case "open":
      return { state: "open", words: pathWords(link.path) || "linked", ms: rttWords(link.rtt_ms) };
    case "suspect":
      return { state: "suspect", words: reason || "Gone quiet, waiting for a sign", ms: "" };
    case "failed":
      return { state: "failed", words: reason ? `No link. ${reason}` : "No link. Trying again…", ms: "" };
    case "connecting":
      return { state: "connecting", words: reason ? `Connecting… ${reason}` : "Connecting…", ms: "" };
    default:
      return { state: "none", words: meshed ? "Not linked yet" : "by way of others", ms: "" };
  }
}
