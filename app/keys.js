// @ts-check
// Keyboard shortcuts. All with Alt, so that none gets in the way of typing or of a screen reader's own keys.

import { el, part } from "./dom.js";

/** @typedef {{ code: string, keys: string, words: string, run: () => void }} Shortcut */

/**
 * @param {readonly Shortcut[]} shortcuts
 * @param {readonly { keys: string, words: string }[]} fixed keys that parts of the page handle themselves
 */
export function mountKeys(shortcuts, fixed) {
  const dialog = part(document, "#keys-dialog", HTMLDialogElement);
  part(dialog, "#shortcuts", HTMLElement).append(...[...fixed, ...shortcuts].map(({ keys, words }) =>
    el("div", {}, el("dt", {}, ...caps(keys)), el("dd", {}, words))));
  part(document, "#keys", HTMLButtonElement).addEventListener("click", () => dialog.showModal());

  document.addEventListener("keydown", (event) => {
    if (!event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.getModifierState("AltGraph")) return;
    // By place on the keyboard: with Alt some systems give another letter.
    const shortcut = shortcuts.find(({ code }) => code === event.code);
    if (shortcut === undefined || document.querySelector("dialog[open]") !== null) return;
    event.preventDefault();
    shortcut.run();
  });
}

/** @param {string} keys like `Alt + C` */
function caps(keys) {
  return keys.split(" + ").flatMap((key, at) => (at === 0 ? [el("kbd", {}, key)] : [" ", el("kbd", {}, key)]));
}
