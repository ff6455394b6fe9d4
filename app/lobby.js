// @ts-check
// The lobby: a name, a room, and the link to it.

import { newKey } from "/sdk/secret.js";
import { icon, part, say } from "./dom.js";
import { rememberName, rememberStay, rememberedName } from "./memory.js";
import { inventRoom, keyIn, nameVerdict, roomVerdict } from "./names.js";
import { linkTo } from "./share.js";
import { emptyTable } from "./table.js";
import { mountTheme } from "./theme.js";

/** @import { Verdict } from "./names.js" */

const form = part(document, "#enter", HTMLFormElement);
const name = part(form, "#name", HTMLInputElement);
const nameHelp = part(form, "#name-help", HTMLElement);
const room = part(form, "#room", HTMLInputElement);
const roomHelp = part(form, "#room-help", HTMLElement);
const secret = part(form, "#secret", HTMLInputElement);
const copyButton = part(form, "#copy", HTMLButtonElement);
const copied = part(form, "#copied", HTMLElement);

/** The key of the room, if it is to be secret. */
const madeKey = `#${newKey()}`;

if (!isSecureContext) say(part(form, "#secret-help", HTMLElement), "Secret rooms need this page to come over https, or from localhost.");
mountTheme(part(document, "#theme", HTMLButtonElement));
const table = emptyTable(rememberedName());
part(document, "#scene", HTMLElement).append(table.element);

// Values that the browser kept over a reload or a step back stand.
if (name.value === "") name.value = rememberedName();
if (room.value === "") room.value = inventRoom();
showRoom(false);
showCopied(false);
table.rename(name.value);
if (name.value === "") name.focus();
document.documentElement.dataset["started"] = "";

name.addEventListener("input", () => {
  table.rename(name.value);
  if (name.getAttribute("aria-invalid") === "true") show(name, nameHelp, nameVerdict(name.value), "");
});
room.addEventListener("input", () => showRoom(false));
secret.addEventListener("change", () => showRoom(true));
room.addEventListener("blur", () => showRoom(true));
part(form, "#another", HTMLButtonElement).addEventListener("click", () => {
  room.value = inventRoom();
  showRoom(false);
});

copyButton.addEventListener("click", async () => {
  const verdict = showRoom(true);
  if (verdict.problem !== "") return room.focus();
  const link = linkOf(verdict.name);
  try {
    await navigator.clipboard.writeText(link);
    showCopied(true);
    setTimeout(() => showCopied(false), 4_000);
  } catch {
    say(roomHelp, `Copying is blocked here. The link is ${link}`);
  }
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const who = nameVerdict(name.value);
  const where = showRoom(true);
  show(name, nameHelp, who, "");
  if (who.problem !== "") return name.focus();
  if (where.problem !== "") return room.focus();
  rememberName(who.name);
  // Named and asked for: the room page need not ask again.
  rememberStay(where.name, who.name);
  location.assign(`/${where.name}${keyOf()}`);
});

/** @param {boolean} strict whether unfinished typing is already judged @returns {Verdict} */
function showRoom(strict) {
  const verdict = roomVerdict(room.value);
  const typing = !strict && room.value.trim() === "";
  const given = keyIn(room.value) !== "";
  if (given) secret.checked = true;
  secret.disabled = given || !isSecureContext;
  // The key itself is for the clipboard, not for whoever looks over a shoulder.
  const link = linkOf(verdict.name).replace(/^https?:\/\//, "").replace(/#key=.*/, "#key=…");
  show(room, roomHelp, typing ? { ...verdict, problem: "" } : verdict, typing ? "" : `Its link: ${link}`);
  return verdict;
}

/**
 * @param {HTMLInputElement} field
 * @param {HTMLElement} help
 * @param {Verdict} verdict
 * @param {string} fine what to say when nothing is wrong
 */
function show(field, help, verdict, fine) {
  const wrong = verdict.problem !== "";
  if (wrong) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
  const said = `${verdict.problem}|${verdict.better}|${fine}`;
  // The help is a live region: only news are worth saying.
  if (help.dataset["said"] === said) return;
  help.dataset["said"] = said;
  help.classList.toggle("wrong", wrong);
  say(help, wrong ? verdict.problem : fine);
  if (!wrong || verdict.better === "") return;
  const better = document.createElement("button");
  better.type = "button";
  better.append(`Use “${verdict.better}”`);
  better.addEventListener("click", () => {
    field.value = verdict.better;
    field.dispatchEvent(new Event("input"));
    field.focus();
  });
  help.append(" ", better);
}

/** @param {boolean} done */
function showCopied(done) {
  copyButton.replaceChildren(icon(done ? "check" : "copy"), done ? "Copied" : "Copy its link");
  say(copied, done ? "The link is on your clipboard." : "");
}

/** The key of a link that was typed, or a new one; empty where the room is for everybody. */
function keyOf() {
  return keyIn(room.value) || (secret.checked ? madeKey : "");
}

/** @param {string} of */
function linkOf(of) {
  return linkTo(of, keyOf());
}
