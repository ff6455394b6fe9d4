// @ts-check
// One member in the spotlight: chosen in the drawing, in the list of people or here, by pointer or keyboard. Its links, one a
// line: to whom, how they are, which way they take and how long there and back.

import { el, part, say } from "./dom.js";
import { edges, waysFrom } from "./links.js";
import { count, pathWords, rttWords } from "./reasons.js";
import { ownLinks } from "./state.js";

/** @import { Edge } from "./links.js" */
/** @import { State } from "./state.js" */

/** @type {Readonly<Record<Edge["state"], string>>} */
const STATES = { open: "open", connecting: "connecting", suspect: "gone quiet", failed: "failed" };

/**
 * @param {{ choose: (id: string) => void }} commands
 * @returns {(state: State) => void}
 */
export function mountSpotlight(commands) {
  const panel = part(document, "#spotlight", HTMLElement);
  const picker = part(document, "#spotlight-of", HTMLSelectElement);
  const table = part(document, "#spotlight-links", HTMLTableElement);
  const rows = part(table, "tbody", HTMLTableSectionElement);
  const note = part(document, "#spotlight-note", HTMLElement);
  let chosen = "";
  /** @type {Pick<State, "people" | "reports" | "chosen" | "topology"> | undefined} */
  let shown;

  // Choosing whom the light is on already would put it out.
  picker.addEventListener("change", () => commands.choose(picker.value === "" ? chosen : picker.value));

  return (state) => {
    const changed = shown?.people !== state.people || shown?.reports !== state.reports || shown?.chosen !== state.chosen
      || shown?.topology !== state.topology;
    if (!changed) return;
    shown = state;
    chosen = state.chosen;
    panel.hidden = state.people.length < 2;
    offer(state);
    table.hidden = chosen === "";
    note.hidden = chosen === "";
    if (chosen !== "") show(state);
  };

  /** @param {State} state */
  function offer(state) {
    const options = [{ id: "", name: "nobody" }, ...state.people.map(({ id, name, self }) => ({ id, name: self ? `${name} (you)` : name }))];
    for (const [at, { id, name }] of options.entries()) {
      const option = picker.options[at] ?? picker.appendChild(el("option", {}));
      if (option.value !== id) option.value = id;
      say(option, name);
    }
    while (picker.options.length > options.length) picker.remove(options.length);
    picker.value = chosen;
  }

  /** @param {State} state */
  function show(state) {
    const reports = new Map(state.reports).set(state.self, ownLinks(state));
    const links = edges(state.people.map((person) => person.id), reports);
    const mine = links.filter(({ a, b }) => a === chosen || b === chosen);
    const nameOf = (/** @type {string} */ id) => (id === state.self ? "you" : state.names.get(id) ?? "someone");
    for (const [at, link] of mine.entries()) {
      const row = rows.rows[at] ?? rows.appendChild(el("tr", {}, el("th", { scope: "row" }, el("bdi", {})), el("td", {}), el("td", {}), el("td", { class: "mono" })));
      row.dataset["state"] = link.state;
      say(part(row, "bdi", HTMLElement), nameOf(link.a === chosen ? link.b : link.a));
      const cells = [STATES[link.state], pathWords(link.path), rttWords(link.rtt_ms)];
      for (const [place, words] of cells.entries()) say(/** @type {HTMLElement} */ (row.cells[place + 1]), words);
    }
    while (rows.rows.length > mine.length) rows.deleteRow(-1);
    say(note, reach(links, state));
  }

  /** How far what the chosen one says travels. @param {readonly Edge[]} links @param {State} state */
  function reach(links, state) {
    const { hops, passing } = waysFrom(chosen, links);
    const reached = hops.size - 1;
    if (reached < 1) return "Nobody is reached over open links.";
    const farthest = Math.max(...hops.values());
    if (farthest === 1) return `Reaches ${count(reached, "member")} directly.`;
    const silent = state.people.length - 1 - reached;
    const rest = silent > 0 ? `; ${count(silent, "member")} not in sight` : "";
    return `Reaches ${count(reached, "member")} within ${count(farthest, "hop")}; ${count(passing.size, "member passes", "members pass")} it on${rest}.`;
  }
}
