// @ts-check
// The log of the room: messages in bubbles, notices between them, and a way back down for whoever scrolled up.

import { avatar } from "./avatar.js";
import { button, el, icon, part, say } from "./dom.js";
import { GROUP_MS, NOTICE_SHOWN, TYPING_NAMES } from "./limits.js";
import { fold, parts } from "./prose.js";
import { count, departure, list } from "./reasons.js";
import { others } from "./state.js";

/** @import { Entry, Message } from "./log.js" */
/** @import { State } from "./state.js" */

/** Distance from the end, in px, at which the reader still counts as being there. */
const AT_END = 64;
// Made once: a format costs far more to make than to use.
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const CALENDAR = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });

/**
 * @typedef {Object} ChatCommands
 * @property {(reading: boolean) => void} reading  whether the newest message is in sight
 * @property {(message: Message) => void} resend
 * @property {(message: Message) => void} discard
 */

/**
 * @param {ChatCommands} commands
 * @returns {(state: State) => void}
 */
export function mountChat(commands) {
  const log = part(document, "#log", HTMLElement);
  const jump = part(document, "#jump", HTMLButtonElement);
  const typing = part(document, "#typing", HTMLElement);
  const trimmed = el("p", { class: "notice", hidden: "" }, "Older messages are no longer kept here.");
  log.append(trimmed);

  /** What is on the page, by entry. @type {Map<number, { entry: Entry, continued: boolean, node: HTMLElement }>} */
  const shown = new Map();
  let atEnd = true;

  function toEnd() {
    log.scrollTop = log.scrollHeight;
  }

  function look() {
    const { clientHeight, scrollHeight, scrollTop } = log;
    // A panel that is not shown has no height, and nobody reads it.
    const visible = clientHeight > 0 && document.visibilityState === "visible";
    if (clientHeight > 0) atEnd = scrollHeight - scrollTop - clientHeight < AT_END;
    commands.reading(visible && atEnd);
  }

  log.addEventListener("scroll", look, { passive: true });
  document.addEventListener("visibilitychange", look);
  // The window shrinks when a keyboard slides in; the end of the log stays in sight.
  new ResizeObserver(() => {
    if (atEnd) toEnd();
    look();
  }).observe(log);
  jump.addEventListener("click", () => {
    atEnd = true;
    toEnd();
    look();
    log.focus();
  });

  return (state) => {
    const stay = atEnd;
    trimmed.hidden = !state.trimmed;
    showEntries(state);
    showTyping(state);
    if (stay) toEnd();
    jump.hidden = state.unread === 0 || stay;
    say(jump, `${count(state.unread, "new message")} ↓`);
  };

  /** @param {State} state */
  function showEntries(state) {
    const kept = new Set(state.log.map((entry) => entry.id));
    for (const [id, { node }] of shown) {
      if (kept.has(id)) continue;
      node.remove();
      shown.delete(id);
    }
    /** @type {Entry | undefined} */
    let before;
    /** @type {Element} */
    let place = trimmed;
    for (const entry of state.log) {
      const continued = follows(before, entry);
      const old = shown.get(entry.id);
      const fresh = old?.entry === entry && old.continued === continued ? old : { entry, continued, node: draw(entry, continued) };
      if (fresh !== old) {
        if (old === undefined) place.after(fresh.node);
        else old.node.replaceWith(fresh.node);
        shown.set(entry.id, fresh);
      }
      place = fresh.node;
      before = entry;
    }
  }

  /** @param {Entry} entry @param {boolean} continued */
  function draw(entry, continued) {
    if (entry.kind === "message") return bubble(entry, continued, commands);
    return el("p", { class: `notice ${entry.kind}`, "data-testid": entry.kind === "gap" ? "gap" : "notice" }, ...noticeWords(entry));
  }

  /** @param {State} state */
  function showTyping(state) {
    const names = state.typing.map((id) => state.names.get(id) ?? "Someone");
    const inside = state.phase.at === "in" || state.phase.at === "reconnecting";
    const alone = inside && others(state).length === 0 && state.log.length > 0;
    const words = names.length > 0
      ? `${list(names, TYPING_NAMES)} ${names.length === 1 ? "is" : "are"} typing`
      : alone ? "Nobody else is here now." : "";
    typing.classList.toggle("active", names.length > 0);
    say(typing, words);
  }
}

/** Whether a message goes on where the one before it stopped. @param {Entry | undefined} before @param {Entry} entry */
function follows(before, entry) {
  return before?.kind === "message" && entry.kind === "message" && before.from === entry.from && before.own === entry.own
    && entry.at - before.at < GROUP_MS;
}

/** @param {Message} message @param {boolean} continued @param {ChatCommands} commands */
function bubble(message, continued, commands) {
  const text = el("p", { class: "text", dir: "auto", "data-testid": "message-text" });
  const node = el("article", {
    class: "message",
    "data-testid": "message",
    "data-own": String(message.own),
    "data-from": message.from,
    "data-state": message.state,
  });
  node.classList.toggle("own", message.own);
  node.classList.toggle("continued", continued);

  const at = new Date(message.at);
  const time = el("time", { datetime: at.toISOString(), title: CALENDAR.format(at) }, CLOCK.format(at));
  const who = el("span", { class: "who", dir: "auto" }, message.own ? "You" : message.name);
  const head = el("header", {}, who, " ", time);
  const body = el("div", { class: "bubble" }, text);
  if (!message.own) node.append(avatar(message.from, message.name));
  node.append(head, body);

  const folded = fold(message.text);
  write(text, folded);
  if (folded.length < message.text.length) {
    text.append("…");
    const all = button(`Show all ${message.text.length.toLocaleString()} characters`, () => {
      write(text, message.text);
      all.remove();
      text.tabIndex = -1;
      text.focus({ preventScroll: true });
    }, "button bare small more");
    body.append(all);
  }
  if (message.cut > 0) body.append(el("p", { class: "cut" }, `${message.cut.toLocaleString()} further characters are not shown.`));

  if (message.state === "pending") node.append(el("p", { class: "fate" }, "Sending…"));
  else if (message.state === "failed") {
    node.append(el("p", { class: "fate failed" }, icon("alert"), `Not sent. ${message.why ?? ""} `,
      button("Try again", () => commands.resend(message), "button bare small"),
      button("Delete", () => commands.discard(message), "button bare small")));
  } else if (message.alone) node.append(el("p", { class: "fate" }, "Nobody else was here to read this."));
  return node;
}

/** Text of others becomes text and links on the page, never markup. @param {HTMLElement} into @param {string} text */
function write(into, text) {
  into.replaceChildren(...parts(text).map(({ text: words, href }) =>
    href === undefined ? words : el("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, words)));
}

/** @param {Exclude<Entry, Message>} entry @returns {(Node | string)[]} */
function noticeWords(entry) {
  if (entry.kind === "notice") return [entry.text];
  if (entry.kind === "gap") {
    return [icon("alert"), `Some messages from ${list(entry.names, NOTICE_SHOWN)} did not make it to you. Ask them to say it again.`];
  }
  const everyone = entry.more > 0 ? [...entry.names, ...Array.from({ length: entry.more }, () => "")] : entry.names;
  return [`${list(everyone, NOTICE_SHOWN)} ${entry.event === "joined" ? "joined" : departure(entry.event)}`];
}
