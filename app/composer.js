// @ts-check
// The message field: grows with what is typed, Enter sends, and the others see that somebody is typing.

import { part, say } from "./dom.js";
import { COMPOSED_MAX, TYPING_EVERY_MS } from "./limits.js";

/** @import { State } from "./state.js" */

/**
 * @param {{ send: (text: string) => void, typing: (typing: boolean) => void }} commands
 * @returns {(state: State) => void}
 */
export function mountComposer(commands) {
  const form = part(document, "#send", HTMLFormElement);
  const field = part(form, "#composer", HTMLTextAreaElement);
  const submit = part(form, "[type=submit]", HTMLButtonElement);
  const left = part(form, "#composer-left", HTMLElement);

  let open = false;
  /** When the others were last told that somebody types here; 0 where they think nobody does. */
  let toldAt = 0;

  function stopTyping() {
    if (toldAt === 0) return;
    toldAt = 0;
    commands.typing(false);
  }

  function measure() {
    // Both steps are needed: a field does not shrink below a height that it was given.
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight + 2}px`;
    const room = COMPOSED_MAX - field.value.length;
    say(left, room > COMPOSED_MAX / 10 ? "" : room < 0 ? `${(-room).toLocaleString()} characters too many.` : `${room.toLocaleString()} characters left.`);
    left.classList.toggle("wrong", room < 0);
    submit.setAttribute("aria-disabled", String(!open || room < 0 || field.value.trim() === ""));
  }

  field.addEventListener("input", () => {
    measure();
    if (field.value.trim() === "") stopTyping();
    else if (open && (toldAt === 0 || performance.now() - toldAt > TYPING_EVERY_MS)) {
      toldAt = performance.now();
      commands.typing(true);
    }
  });
  field.addEventListener("blur", stopTyping);
  field.addEventListener("keydown", (event) => {
    // While an input method composes, Enter belongs to it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.replace(/^\s*\n/, "").trimEnd();
    if (!open || text === "" || field.value.length > COMPOSED_MAX) return;
    field.value = "";
    measure();
    stopTyping();
    commands.send(text);
    field.focus();
  });

  return (state) => {
    const opens = state.phase.at === "in" || state.phase.at === "reconnecting";
    if (opens === open) return;
    open = opens;
    field.disabled = !open;
    if (!open) toldAt = 0;
    measure();
  };
}
