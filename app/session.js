// @ts-check
// One stay in a room: what the SDK tells becomes actions, what the reader does becomes calls of the SDK.

import { RoomError, join } from "/sdk/roomful.js";
import { PUBLISH_STATES_MS, PUBLISH_TIMES_MS, TYPING_BELIEVED_MS } from "./limits.js";
import { parseReport, report } from "./links.js";
import { nameVerdict } from "./names.js";
import { textOf } from "./prose.js";
import { unreadableWords } from "./reasons.js";
import { ownLinks } from "./state.js";

/** @import { Member, Room, Topology } from "/sdk/roomful.js" */
/** @import { Link } from "./links.js" */
/** @import { Action, Person, State } from "./state.js" */
/** @import { Store } from "./store.js" */

/**
 * @typedef {Object} Session
 * @property {(ticket: string, text: string) => Promise<void>} say
 * @property {(typing: boolean) => void} typing
 * @property {(name: string) => void} rename
 * @property {(topology: string) => Promise<string>} pin  has the room linked in another way; gives what went wrong, in words
 * @property {() => Promise<void>} leave  also where the room was not entered yet
 */

/** How often round-trip times alone redraw the page. */
const TIMES_SHOWN_MS = 500;

/**
 * Enters a room. Everything that happens, refusals included, is dispatched to the store.
 * @param {{ address: string, name: string, token: string, store: Store<State, Action> }} options
 * @returns {Session}
 */
export function enter({ address, name, token, store }) {
  const abort = new AbortController();
  /** @type {Room | undefined} */
  let room;
  /** What the open channels of the page take. @type {{ say: (text: string) => Promise<void>, typing: (typing: boolean) => void } | undefined} */
  let channels;
  let left = false;

  /** @param {Action} action */
  function dispatch(action) {
    // A session that was left, or followed by another one, has nothing to say to the page any more.
    if (!left) store.dispatch(action);
  }

  void open();

  async function open() {
    dispatch({ type: "joining" });
    const missing = whatIsMissing();
    if (missing !== "") return fail({ code: missing, message: "", hint: "" });
    try {
      room = await join(address, { name, token: token || undefined, signal: abort.signal });
    } catch (error) {
      if (!left) fail(failureOf(error));
      return;
    }
    if (left) return void room.leave();
    channels = follow(room);
  }

  /** @param {{ code: string, message: string, hint: string }} failure */
  function fail(failure) {
    dispatch({ type: "failed", ...failure, at: Date.now() });
    left = true;
  }

  /** @param {Room} room */
  function follow(room) {
    const chat = room.channel("chat");
    const typing = room.channel("typing", { mode: "latest" });
    const links = room.channel("links", { mode: "latest" });
    const publish = publisher((told) => void links.send(told).catch(quiet));
    const believed = typists((id, isTyping) => dispatch({ type: "typing", id, typing: isTyping }));
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let redraw;
    /** @type {Map<string, string>} */
    const shownNames = new Map();
    let keyless = false;

    /** @param {"states" | "times"} news */
    function showPeople(news) {
      clearTimeout(redraw);
      redraw = undefined;
      const people = peopleOf(room);
      dispatch({ type: "people", people });
      publish(news, ownLinks({ ...store.state(), people }));
    }

    dispatch({ type: "entered", self: room.self.id, topology: room.topology, pinned: room.pinned, mayPin: room.mayPin, people: peopleOf(room), at: Date.now() });
    publish("states", ownLinks(store.state()));
    for (const { id, name: called } of peopleOf(room)) shownNames.set(id, called);

    room.addEventListener("memberjoin", ({ member }) => {
      showPeople("states");
      shownNames.set(member.id, nameOf(member));
      dispatch({ type: "came", id: member.id, name: nameOf(member), at: Date.now() });
    });
    room.addEventListener("memberleave", ({ member, reason }) => {
      showPeople("states");
      shownNames.delete(member.id);
      believed.forget(member.id);
      dispatch({ type: "went", id: member.id, name: nameOf(member), reason, at: Date.now() });
    });
    room.addEventListener("memberupdate", ({ member }) => {
      showPeople("states");
      const from = shownNames.get(member.id) ?? "";
      const to = nameOf(member);
      shownNames.set(member.id, to);
      if (from !== to) dispatch({ type: "renamed", id: member.id, from, to, at: Date.now() });
    });
    room.addEventListener("link", ({ member, state }) => {
      const before = store.state().people.find((person) => person.id === member.id)?.link?.state;
      if (before !== state) showPeople("states");
      else redraw ??= setTimeout(() => showPeople("times"), TIMES_SHOWN_MS);
    });
    room.addEventListener("topologychange", ({ to }) => dispatch({ type: "topology", to, at: Date.now() }));
    room.addEventListener("pinchange", ({ pinned }) => dispatch({ type: "pinned", to: pinned }));
    room.addEventListener("gap", ({ member }) => dispatch({ type: "missed", id: member.id, at: Date.now() }));
    room.addEventListener("unreadable", ({ member, reason }) => {
      // Without a key nobody of those who have one can be read: said once, it is said of all.
      if (reason === "no_key" && keyless) return;
      keyless ||= reason === "no_key";
      dispatch({ type: "noted", text: unreadableWords(reason, member ? nameOf(member) : ""), at: Date.now() });
    });
    room.addEventListener("reconnecting", () => dispatch({ type: "reconnecting", at: Date.now() }));
    room.addEventListener("reconnected", () => dispatch({ type: "reconnected", at: Date.now() }));
    room.addEventListener("refused", ({ message }) => dispatch({ type: "noted", text: message, at: Date.now() }));
    room.addEventListener("close", ({ code, reason, hint }) => {
      clearTimeout(redraw);
      publish.stop();
      believed.stop();
      fail({ code: code ?? "connection_lost", message: reason, hint });
    });

    void each(chat, (from, data) => {
      believed.forget(from.id);
      dispatch({ type: "received", id: from.id, text: textOf(data), at: Date.now() });
    });
    void each(typing, (from, data) => believed.hear(from.id, data === true));
    void each(links, (from, data) => {
      const told = parseReport(data);
      if (told !== undefined) dispatch({ type: "reported", id: from.id, report: told });
    });

    return {
      say: (/** @type {string} */ text) => chat.send(text),
      typing: (/** @type {boolean} */ isTyping) => void typing.send(isTyping).catch(quiet),
    };
  }

  return {
    async say(ticket, text) {
      try {
        if (channels === undefined) throw new RoomError("closed", "You are not in the room.");
        await channels.say(text);
        dispatch({ type: "sent", ticket });
      } catch (error) {
        store.dispatch({ type: "unsent", ticket, why: failureOf(error).message });
      }
    },
    typing: (isTyping) => channels?.typing(isTyping),
    rename: (to) => void room?.setAttributes({ name: to }),
    async pin(topology) {
      try {
        await room?.pin(/** @type {Topology | "auto"} */ (topology));
        return "";
      } catch (error) {
        const { message, hint } = failureOf(error);
        return hint === "" ? message : `${message}: ${hint}`;
      }
    },
    async leave() {
      left = true;
      abort.abort();
      await room?.leave();
    },
  };
}

/** @param {Room} room @returns {Person[]} oneself first */
function peopleOf(room) {
  return [
    { id: room.self.id, name: nameOf(room.self), self: true },
    ...[...room.members.values()].map((member) => ({ id: member.id, name: nameOf(member), self: false, link: linkOf(member) })),
  ];
}

/** A member's chosen name, where it changed it in the room; else the one that it came with. @param {Member} member */
function nameOf(member) {
  const chosen = nameVerdict(member.attributes["name"] ?? "");
  return chosen.problem === "" ? chosen.name : nameVerdict(member.name).name || "Someone";
}

/** @param {Member} member @returns {Link} */
function linkOf({ link }) {
  /** @type {Link} */
  const seen = { state: link.state, path: link.path ?? "", reason: link.reason ?? "" };
  if (link.rtt_ms !== undefined) seen.rtt_ms = link.rtt_ms;
  return seen;
}

/**
 * Calls `take` for each message of a channel, until the room is left.
 * @param {AsyncIterable<{ from: Member, data: unknown }>} channel
 * @param {(from: Member, data: unknown) => void} take
 */
async function each(channel, take) {
  for await (const { from, data } of channel) take(from, data);
}

/**
 * Publishes links: soon when a state changed, now and then when only times did, never twice the same.
 * @param {(links: ReturnType<typeof report>) => void} send
 */
function publisher(send) {
  let sent = "";
  let due = Number.POSITIVE_INFINITY;
  /** @type {ReadonlyMap<string, Link>} */
  let latest = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  function flush() {
    due = Number.POSITIVE_INFINITY;
    const links = report(latest);
    const text = JSON.stringify(links);
    if (text === sent) return;
    sent = text;
    send(links);
  }

  /** @param {"states" | "times"} news @param {ReadonlyMap<string, Link>} links */
  function publish(news, links) {
    latest = links;
    const wait = news === "states" ? PUBLISH_STATES_MS : PUBLISH_TIMES_MS;
    if (performance.now() + wait >= due) return;
    due = performance.now() + wait;
    clearTimeout(timer);
    timer = setTimeout(flush, wait);
  }
  publish.stop = () => clearTimeout(timer);
  return publish;
}

/**
 * Who is typing, as far as it can be believed: a word that is not repeated fades.
 * @param {(id: string, typing: boolean) => void} tell
 */
function typists(tell) {
  /** @type {Map<string, ReturnType<typeof setTimeout>>} */
  const fading = new Map();

  /** @param {string} id @param {boolean} typing */
  function hear(id, typing) {
    clearTimeout(fading.get(id));
    fading.delete(id);
    if (typing) fading.set(id, setTimeout(() => hear(id, false), TYPING_BELIEVED_MS));
    tell(id, typing);
  }
  return {
    hear,
    /** @param {string} id */
    forget: (id) => hear(id, false),
    stop: () => fading.forEach(clearTimeout),
  };
}

/** Something that every room needs and this browser or page has not; empty where nothing is missing. */
function whatIsMissing() {
  if (typeof RTCPeerConnection === "undefined") return "unsupported";
  return "";
}

/** What is only shown in passing is not missed: the room was left, or the next one replaces it. */
function quiet() {}

/** @param {unknown} error */
function failureOf(error) {
  if (error instanceof RoomError) return { code: error.code, message: error.message, hint: error.hint };
  return { code: "unknown", message: error instanceof Error ? error.message : String(error), hint: "" };
}
