// @ts-check
// The room page: puts store, session and views together.

import { mountChat } from "./chat.js";
import { mountComposer } from "./composer.js";
import { part, say } from "./dom.js";
import { mountGate } from "./gate.js";
import { mountKeys } from "./keys.js";
import { mountMembers } from "./members.js";
import { rememberName, rememberStay, rememberToken, rememberedName, rememberedStay, rememberedToken, takeInvitation } from "./memory.js";
import { newKey } from "/sdk/roomful.js";
import { keyIn, nameVerdict } from "./names.js";
import { enter } from "./session.js";
import { linkTo, shareLink } from "./share.js";
import { INITIAL, others, reduce } from "./state.js";
import { mountStatus } from "./status.js";
import { createStore } from "./store.js";
import { emptyTable } from "./table.js";
import { mountTheme } from "./theme.js";
import { mountTopology } from "./topology.js";
import { mountPin } from "./pin.js";
import { mountSpotlight } from "./spotlight.js";

/** @import { Message } from "./log.js" */
/** @import { Session } from "./session.js" */
/** @import { Panel, State } from "./state.js" */

const invitation = takeInvitation();
const { room, key } = invitation;
const store = createStore(INITIAL, reduce);
const link = () => linkTo(room, key);

// The name of this stay: from the address (it counts for this stay only), or from before a reload.
const stay = nameVerdict(invitation.name).name || rememberedStay(room);
let name = stay || rememberedName();
/** @type {Session | undefined} */
let session;
let tickets = 0;

const renameDialog = mountRename();
const inviteDialog = mountInvite();
mountTheme(part(document, "#theme", HTMLButtonElement));
store.show(mountStatus({ room, secret: key !== "", retry: () => go(name) }));
store.show(mountChat({ reading: (reading) => store.dispatch({ type: "reading", reading }), resend, discard }));
store.show(mountComposer({ send, typing: (typing) => session?.typing(typing) }));
store.show(mountMembers({ choose, rename: renameDialog }));
store.show(mountTopology({ choose }));
store.show(mountSpotlight({ choose }));
store.show(mountPin({ pin: async (topology) => session?.pin(topology) ?? "" }));
store.show(mountEmpty());
// Last, since it hands the focus over to what the others have made ready.
store.show(mountGate({
  room,
  name: () => name,
  enter(chosen) {
    rememberName(chosen);
    go(chosen);
  },
  present(token) {
    rememberToken(room, token);
    go(name);
  },
  retry: () => go(name),
  cancel: leave,
}));
mountTabs();
mountShortcuts();
// Another key is another room to whoever has only one of them: the page begins anew.
addEventListener("hashchange", () => {
  if (keyIn(location.hash) !== key) location.reload();
});
part(document, "#leave", HTMLButtonElement).addEventListener("click", leave);

// Whoever named themselves in the lobby, came with a name, or reloads, goes straight in.
if (stay !== "") go(stay);
else store.dispatch({ type: "asking" });
document.documentElement.dataset["started"] = "";

/** @param {string} as */
function go(as) {
  name = as;
  void session?.leave();
  rememberStay(room, name);
  session = enter({ address: link(), name, token: rememberedToken(room), store });
}

async function leave() {
  rememberStay(room, "");
  store.dispatch({ type: "left" });
  await session?.leave();
}

/** @param {string} text */
function send(text) {
  tickets += 1;
  const ticket = String(tickets);
  store.dispatch({ type: "sending", ticket, text, at: Date.now(), audience: others(store.state()).length });
  void session?.say(ticket, text);
}

/** @param {Message} message */
function resend(message) {
  discard(message);
  send(message.text);
}

/** @param {Message} message */
function discard({ ticket }) {
  if (ticket !== undefined) store.dispatch({ type: "discarded", ticket });
  part(document, "#composer", HTMLTextAreaElement).focus();
}

/** @param {string} id */
function choose(id) {
  store.dispatch({ type: "chosen", id });
}

/** @param {Panel} panel */
function bring(panel) {
  store.dispatch({ type: "panel", panel });
}

function mountTabs() {
  // Skip links lead to panels that may not be in front.
  for (const skip of document.querySelectorAll(".skip")) {
    skip.addEventListener("click", (event) => {
      // The address keeps its key.
      event.preventDefault();
      const target = skip.getAttribute("href") ?? "";
      bring(target === "#composer" ? "chat" : "people");
      store.flush();
      part(document, target, HTMLElement).focus();
    });
  }
  for (const tab of part(document, "#tabs", HTMLElement).querySelectorAll("button")) {
    tab.addEventListener("click", () => bring(/** @type {Panel} */ (tab.dataset["panel"])));
  }
}

/** The invitation that an empty room shows instead of a log. @returns {(state: State) => void} */
function mountEmpty() {
  const empty = part(document, "#empty", HTMLElement);
  const words = document.createElement("div");
  words.className = "words";
  const heading = document.createElement("h2");
  heading.textContent = "You are the first one here.";
  const advice = document.createElement("p");
  advice.textContent = "Share this link. Whoever opens it sits down at your table.";
  const table = emptyTable(name);
  words.append(heading, advice, shareLink(link, "Link to this room").element);
  empty.append(table.element, words);
  return (state) => {
    const alone = others(state).length === 0 && state.log.length === 0;
    empty.hidden = !(alone && state.entered);
    table.rename(state.names.get(state.self) ?? name);
  };
}

function mountInvite() {
  const dialog = part(document, "#invite-dialog", HTMLDialogElement);
  part(dialog, "#invite-link", HTMLElement).append(shareLink(link, "Link to this room").element);
  say(part(dialog, "#invite-command", HTMLElement), `roomful join ${key === "" ? link() : `'${link()}'`}`);
  part(dialog, "#invite-open", HTMLElement).hidden = key !== "" || !isSecureContext;
  part(dialog, "#invite-secret", HTMLElement).hidden = key === "";
  part(dialog, "#make-secret", HTMLButtonElement).addEventListener("click", () => { location.hash = newKey(); });
  const open = () => dialog.showModal();
  part(document, "#invite", HTMLButtonElement).addEventListener("click", open);
  return open;
}

function mountRename() {
  const dialog = part(document, "#rename-dialog", HTMLDialogElement);
  const input = part(dialog, "#rename-name", HTMLInputElement);
  const help = part(dialog, "#rename-help", HTMLElement);
  part(dialog, "#rename-cancel", HTMLButtonElement).addEventListener("click", () => dialog.close());
  part(dialog, "#rename-form", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    const verdict = nameVerdict(input.value);
    say(help, verdict.problem);
    help.classList.toggle("wrong", verdict.problem !== "");
    if (verdict.problem !== "") return input.focus();
    dialog.close();
    if (verdict.name === name) return;
    name = verdict.name;
    rememberName(name);
    rememberStay(room, name);
    session?.rename(name);
  });
  return () => {
    input.value = name;
    say(help, "");
    dialog.showModal();
    input.select();
  };
}

function mountShortcuts() {
  const focus = (/** @type {string} */ selector) => part(document, selector, HTMLElement).focus();
  const show = (/** @type {Panel} */ panel, /** @type {string} */ selector) => () => {
    bring(panel);
    // Only what is in front can take the focus.
    store.flush();
    focus(selector);
  };
  mountKeys([
    { code: "KeyC", keys: "Alt + C", words: "Write a message", run: show("chat", "#composer") },
    { code: "KeyM", keys: "Alt + M", words: "Read the messages", run: show("chat", "#log") },
    { code: "KeyP", keys: "Alt + P", words: "Go to people", run: show("people", "#people-title") },
    { code: "KeyL", keys: "Alt + L", words: "Go to links", run: show("links", "#links-title") },
    { code: "KeyI", keys: "Alt + I", words: "Invite people", run: inviteDialog },
  ], [
    { keys: "Enter", words: "Send the message" },
    { keys: "Shift + Enter", words: "Start a new line" },
  ]);
}
