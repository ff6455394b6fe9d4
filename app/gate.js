// @ts-check
// What stands before the room: asking for a name or a token, connecting, and telling why there is no way in.

import { button, el, part, say } from "./dom.js";
import { TOKEN_MAX } from "./limits.js";
import { nameVerdict } from "./names.js";
import { explain } from "./reasons.js";
import { lostMidway } from "./status.js";
import { emptyTable } from "./table.js";

/** @import { State } from "./state.js" */

/**
 * @typedef {Object} GateContext
 * @property {string} room
 * @property {() => string} name         the one to offer
 * @property {(name: string) => void} enter
 * @property {(token: string) => void} present  enters with a token
 * @property {() => void} retry
 * @property {() => void} cancel
 */

/**
 * @param {GateContext} context
 * @returns {(state: State) => void}
 */
export function mountGate(context) {
  const gate = part(document, "#gate", HTMLElement);
  const composer = part(document, "#composer", HTMLTextAreaElement);
  const behind = [...document.querySelectorAll(".chat, .side, .tabs, .skip")];
  let shown = "";

  return (state) => {
    const { phase } = state;
    const open = phase.at !== "in" && phase.at !== "reconnecting" && !lostMidway(state);
    const key = !open ? "" : phase.at === "failed" ? `failed ${phase.code}` : phase.at;
    if (key === shown) return;
    const first = shown === "";
    shown = key;
    gate.hidden = !open;
    // What is behind the gate cannot be reached with the keyboard either.
    for (const panel of behind) panel.toggleAttribute("inert", open);
    gate.replaceChildren(...(open ? [el("div", { class: "card", "data-gate": phase.at }, ...content(state))] : []));
    const field = gate.querySelector("input");
    if (!open) {
      // Whoever has a keyboard can write at once; elsewhere this would only bring up one on the screen.
      if (matchMedia("(pointer: fine)").matches) composer.focus();
    } else if (phase.at !== "joining") (field ?? part(gate, "h2", HTMLElement)).focus({ preventScroll: first });
  };

  /** @param {State} state @returns {Node[]} */
  function content(state) {
    const { phase } = state;
    switch (phase.at) {
      case "asking": return asking(`Join ${context.room}`, "Tell the others what to call you.");
      case "joining": return [
        el("div", { class: "knock", "aria-hidden": "true" }, el("span", {}), el("span", {}), el("span", {})),
        heading(`Entering ${context.room}…`),
        el("div", { class: "actions" }, button("Cancel", context.cancel, "button quiet")),
      ];
      case "left": return [
        heading("You left the room."),
        el("p", {}, "What was said stays with those who were there."),
        el("div", { class: "actions" }, button("Join again", context.retry, "button"), toLobby()),
      ];
      case "failed": {
        const { title, advice, remedy } = explain(phase.code, phase.message, phase.hint);
        const code = el("p", { class: "code mono" }, phase.code);
        if (remedy === "token") return [...token(title, advice), code];
        if (remedy === "name") return [...asking(title, advice), code];
        const again = remedy === "retry" ? [button("Try again", context.retry, "button")] : [];
        return [heading(title), el("p", {}, advice), el("div", { class: "actions" }, ...again, toLobby()), code];
      }
      default: return [];
    }
  }

  /** @param {string} title @param {string} advice @returns {Node[]} */
  function asking(title, advice) {
    const input = el("input", { class: "input", id: "gate-name", autocomplete: "nickname", maxlength: "200", "aria-describedby": "gate-help", "data-testid": "name" });
    input.value = context.name();
    const help = el("p", { class: "help", id: "gate-help", "aria-live": "polite" });
    const table = emptyTable(input.value);
    input.addEventListener("input", () => table.rename(input.value));
    const form = el("form", { class: "form", novalidate: "" },
      el("div", { class: "field" }, el("label", { for: "gate-name" }, "Your name"), input, help),
      el("div", { class: "actions" }, el("button", { type: "submit", class: "button", "data-testid": "enter" }, "Join the room")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const { name, problem } = nameVerdict(input.value);
      say(help, problem);
      help.classList.toggle("wrong", problem !== "");
      input.setAttribute("aria-invalid", String(problem !== ""));
      if (problem === "") context.enter(name);
      else input.focus();
    });
    return [table.element, heading(title), el("p", {}, advice), form];
  }

  /** @param {string} title @param {string} advice @returns {Node[]} */
  function token(title, advice) {
    const input = el("input", {
      class: "input mono", id: "gate-token", type: "password", autocomplete: "off", spellcheck: "false",
      maxlength: String(TOKEN_MAX), "aria-describedby": "gate-help", "data-testid": "token",
    });
    const help = el("p", { class: "help", id: "gate-help", "aria-live": "polite" });
    const form = el("form", { class: "form", novalidate: "" },
      el("div", { class: "field" }, el("label", { for: "gate-token" }, "Token"), input, help),
      el("div", { class: "actions" }, el("button", { type: "submit", class: "button", "data-testid": "enter" }, "Join the room"), toLobby()));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const value = input.value.trim();
      if (value !== "") return context.present(value);
      say(help, "Paste the token first.");
      help.classList.add("wrong");
      input.focus();
    });
    return [heading(title), el("p", {}, advice), form];
  }
}

/** @param {string} words */
function heading(words) {
  return el("h2", { tabindex: "-1" }, words);
}

function toLobby() {
  return el("a", { class: "button quiet", href: "/" }, "To the lobby");
}
