// @ts-check
// Before the first paint: the theme that was chosen here, so that the page never flashes in the wrong colours; and a
// watch over the page's own scripts, so that it says so where one of them does not arrive.
(() => {
  addEventListener("error", ({ target }) => {
    if (target instanceof HTMLScriptElement) document.documentElement.dataset["broken"] = "";
  }, true);
  try {
    const theme = localStorage.getItem("roomful:theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset["theme"] = theme;
  } catch {
    // Storage is off: the system's preference stands.
  }
})();
