// @ts-check
// Before the first paint, so that the page never flashes in the wrong colours: the theme that was chosen here.
(() => {
  try {
    const theme = localStorage.getItem("roomful:theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset["theme"] = theme;
  } catch {
    // Storage is off: the system's preference stands.
  }
})();
