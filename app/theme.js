// @ts-check
// Light or dark: the system's choice, unless the reader chose here.

import { rememberTheme, rememberedTheme } from "./memory.js";

const ORDER = /** @type {const} */ (["", "light", "dark"]);
const WORDS = { "": "as the system", light: "light", dark: "dark" };

/**
 * Makes a button step through the three themes. It says which one is on.
 * @param {HTMLButtonElement} toggle
 */
export function mountTheme(toggle) {
  let theme = ORDER.find((one) => one === rememberedTheme()) ?? "";

  function show() {
    if (theme === "") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
    toggle.dataset["theme"] = theme === "" ? "system" : theme;
    const words = `Colours: ${WORDS[theme]}`;
    toggle.setAttribute("aria-label", words);
    toggle.title = words;
  }

  toggle.addEventListener("click", () => {
    theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length] ?? "";
    rememberTheme(theme);
    show();
  });
  // Another tab of the app changed it.
  addEventListener("storage", (event) => {
    if (event.key !== "roomful:theme") return;
    theme = ORDER.find((one) => one === event.newValue) ?? "";
    show();
  });
  show();
}
