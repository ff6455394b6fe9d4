// @ts-check
// Choosing how the room is linked, for those who may.

import { part, say } from "./dom.js";
import { topologyWords } from "./reasons.js";

/** @import { State } from "./state.js" */

/**
 * @param {{ pin: (topology: string) => Promise<string> }} commands `pin` gives what went wrong, in words; else nothing
 * @returns {(state: State) => void}
 */
export function mountPin(commands) {
  const form = part(document, "#pin", HTMLFormElement);
  const picker = part(form, "#pin-to", HTMLSelectElement);
  const button = part(form, "button", HTMLButtonElement);
  const said = part(form, "#pin-said", HTMLElement);
  let topology = "";
  let pinned = "";

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const wanted = picker.value;
    button.disabled = true;
    say(said, "");
    const problem = await commands.pin(wanted);
    button.disabled = false;
    say(said, problem || (wanted === topology || wanted === "auto" ? "" : "The room is on its way."));
  });

  return (state) => {
    form.hidden = !(state.mayPin && state.people.length > 1);
    if (state.topology === topology && state.pinned === pinned) return;
    ({ topology, pinned } = state);
    picker.value = pinned;
    // That it has moved is said in the log, and shown above.
    say(said, "");
    form.title = `The room is ${topologyWords(topology)} now${pinned === "auto" ? ", as it fits" : ""}.`;
  };
}
