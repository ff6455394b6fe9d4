// @ts-check
// The page around a mesh: who is here, what they say, and a field to say something.

import { Mesh } from "/mesh.js";

const { deepstream, SimplePeer } = /** @type {any} */ (globalThis);
const server = new URLSearchParams(location.search).get("server") ?? `ws://${location.hostname}:7800`;
const client = deepstream(server, { silentDeprecation: true });
const mesh = new Mesh(client, SimplePeer);

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @type {Map<string, HTMLLIElement>} */
const rows = new Map();

element("me").textContent = mesh.me;
client.on("connectionStateChanged", (/** @type {string} */ state) => (element("state").textContent = state === "OPEN" ? "" : `Server: ${state}.`));
client.on("error", (/** @type {unknown} */ error, /** @type {string} */ code) => console.warn(`deepstream: ${code}`, error));
client.login({ username: mesh.me });

mesh.addEventListener("user", (event) => {
  const { user, state } = /** @type {CustomEvent} */ (event).detail;
  const row = rows.get(user) ?? document.createElement("li");
  rows.set(user, row);
  row.textContent = user;
  row.dataset.user = user;
  row.dataset.state = state;
  if (state === "closed") {
    row.remove();
    rows.delete(user);
  } else element("others").append(row);
});

/** @param {string} user @param {string} text */
function show(user, text) {
  const row = document.createElement("li");
  row.textContent = `${user}: ${text}`;
  element("messages").append(row);
}

mesh.addEventListener("message", (event) => {
  const { user, text } = /** @type {CustomEvent} */ (event).detail;
  show(user, text);
});

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = /** @type {HTMLInputElement} */ (element("text"));
  mesh.broadcast(field.value);
  show("You", field.value);
  field.value = "";
});

addEventListener("pagehide", () => mesh.leave());
