// @ts-check
// How the room is, in a few words at the top, with a banner where words alone are not enough.

import { button, el, icon, part, say } from "./dom.js";
import { count, explain } from "./reasons.js";
import { others } from "./state.js";

/** @import { State } from "./state.js" */

/**
 * @param {{ room: string, secret: boolean, retry: () => void }} context
 * @returns {(state: State) => void}
 */
export function mountStatus({ room, secret, retry }) {
  const pill = part(document, "#status", HTMLElement);
  const banner = part(document, "#banner", HTMLElement);
  const tabs = part(document, "#tabs", HTMLElement);
  const unread = part(document, "#tab-unread", HTMLElement);
  const title = part(document, "#room-name", HTMLElement);
  say(title, room);
  title.title = room;
  let bannered = "";

  return (state) => {
    const { body } = document;
    body.dataset["phase"] = state.phase.at;
    body.dataset["panel"] = state.panel;
    say(pill, secret && state.phase.at === "in" ? `Secret · ${pillWords(state)}` : pillWords(state));
    document.title = `${state.unread > 0 ? `(${state.unread}) ` : ""}${room} · Roomful`;
    unread.hidden = state.unread === 0;
    say(unread, state.unread > 99 ? "99+" : String(state.unread));
    for (const tab of tabs.querySelectorAll("button")) {
      tab.setAttribute("aria-pressed", String(tab.dataset["panel"] === state.panel));
    }
    showBanner(state);
  };

  /** @param {State} state */
  function showBanner(state) {
    const { phase } = state;
    const shown = phase.at === "reconnecting" || (phase.at === "failed" && lostMidway(state));
    const key = shown ? `${phase.at}:${phase.at === "failed" ? phase.code : openLinks(state)}` : "";
    if (key === bannered) return;
    bannered = key;
    banner.hidden = !shown;
    banner.classList.toggle("bad", phase.at === "failed");
    if (phase.at === "reconnecting") {
      const open = openLinks(state);
      const goesOn = open > 0
        ? `Messages go on over your ${open === 1 ? "open link" : `${open} open links`}.`
        : "Messages wait until somebody can be reached.";
      banner.replaceChildren(icon("alert"), el("p", {}, el("strong", {}, "The server is out of reach. "), `${goesOn} Reconnecting by itself…`));
    } else if (phase.at === "failed") {
      const { title: what, advice } = explain(phase.code, phase.message, phase.hint);
      banner.replaceChildren(icon("alert"), el("p", {}, el("strong", {}, `${what} `), advice), button("Join again", retry, "button quiet small"));
    } else banner.replaceChildren();
  }
}

/**
 * Whether the room was lost after it had been entered, so that what was said stays readable under a banner. What needs
 * an answer first (a token, a name) takes the whole page instead.
 * @param {State} state
 */
export function lostMidway(state) {
  const { phase } = state;
  return phase.at === "failed" && state.entered && explain(phase.code).remedy === "retry";
}

/** @param {State} state */
function openLinks(state) {
  return others(state).filter((person) => person.link?.state === "open").length;
}

/** @param {State} state */
function pillWords(state) {
  switch (state.phase.at) {
    case "asking": return "Not in the room";
    case "joining": return "Connecting…";
    case "reconnecting": return "Reconnecting…";
    case "failed": return state.entered ? "Disconnected" : "Not connected";
    case "left": return "You left";
    case "in": {
      const rest = others(state).length;
      const open = openLinks(state);
      if (rest === 0) return "Only you so far";
      // Outside of a mesh few links reach everybody.
      const reached = state.topology === "mesh" ? open === rest : open > 0;
      return reached ? `${count(rest + 1, "person", "people")}` : `Linked to ${open} of ${rest}`;
    }
  }
}
