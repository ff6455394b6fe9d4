// @ts-check
// Before the first paint: the theme that was chosen here, so that the page never flashes in the wrong colours; and a
// watch over the page's own scripts, so that it says so where they do not arrive or do not start.
(() => {
  const page = document.documentElement.dataset;
  addEventListener("error", () => {
    if (page["started"] === undefined) page["broken"] = "";
  }, true);
  try {
    const theme = localStorage.getItem("roomful:theme");
    if (theme === "light" || theme === "dark") page["theme"] = theme;
  } catch {
    // Storage is off: the system's preference stands.
  }
})();
