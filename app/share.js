// @ts-check
// The link to a room: shown, copied, handed to the system's share sheet.

import { button, el, icon, say } from "./dom.js";

/**
 * A field with the room's link, and buttons to copy and to share it.
 * @param {() => string} link  asked each time, so that a lobby may change it
 * @param {string} label
 * @returns {{ element: HTMLElement, refresh: () => void, copy: () => Promise<void> }}
 */
export function shareLink(link, label) {
  const field = el("input", { class: "input", type: "text", readonly: "", "aria-label": label, "data-testid": "share-link", spellcheck: "false" });
  const told = el("p", { class: "help", role: "status" });
  const copyButton = button("", () => void copy(), "button quiet");
  copyButton.dataset["testid"] = "copy-link";
  const row = el("div", { class: "row" }, field, copyButton);

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let reset;
  function showCopied(/** @type {boolean} */ copied) {
    copyButton.replaceChildren(icon(copied ? "check" : "copy"), copied ? "Copied" : "Copy link");
  }

  async function copy() {
    field.select();
    if (await toClipboard(link())) {
      showCopied(true);
      say(told, "The link is on your clipboard.");
    } else {
      field.focus();
      say(told, "Copying is blocked here: press Ctrl+C or ⌘C.");
    }
    clearTimeout(reset);
    reset = setTimeout(() => { showCopied(false); say(told, ""); }, 4_000);
  }

  field.addEventListener("focus", () => field.select());
  if (typeof navigator.share === "function") {
    row.append(button("Share…", () => {
      // Closing the share sheet rejects too; there is nothing to tell then.
      navigator.share({ title: "Join me on Roomful", url: link() }).catch(() => {});
    }, "button quiet"));
  }
  showCopied(false);

  const refresh = () => { field.value = link(); };
  refresh();
  return { element: el("div", { class: "share" }, row, told), refresh, copy };
}

/**
 * The address that others open to come in: no token, no name, but the key where the room has one.
 * @param {string} room
 * @param {string} key with its `#`, or empty
 */
export function linkTo(room, key) {
  return `${location.origin}/${room}${key}`;
}

/** @param {string} text @returns {Promise<boolean>} */
async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No permission, or a plain http page that has no clipboard.
    return false;
  }
}
