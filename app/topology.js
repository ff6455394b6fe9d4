// @ts-check
// The drawing of who is linked to whom: members around a table, links as chords, messages running along them.
// It moves only while something changes, and not at all for readers who asked for stillness.

import { initials, tint } from "./avatar.js";
import { el, part, say, svg } from "./dom.js";
import { edges, linksInWords, summary, waysFrom } from "./links.js";
import { FADING, INITIALED, LABELLED, LINKS_DRAWN, PULSES } from "./limits.js";
import { HEIGHT, WIDTH, along, angle, chord, faceRadius, seat, turn } from "./ring.js";
import { ownLinks } from "./state.js";

/** @import { Edge } from "./links.js" */
/** @import { Point } from "./ring.js" */
/** @import { Person, State } from "./state.js" */

/** Time constants: how fast members move to their seats, and how long a message is on its way. */
const SETTLE_MS = 130;
const PULSE_MS = 650;
/** How long a link that is gone fades; as in the style. */
const FADE_MS = 900;
/** Longer pauses between frames count as this: a tab that comes back to the front does not jump. */
const FRAME_MAX_MS = 64;
/** Links beyond which each is drawn fainter, so that the few that are not well stand out. */
const HAZY = 60;
/** Characters of a name at a seat. */
const LABEL_CHARS = 11;

/**
 * A member's place in the drawing.
 * @typedef {Object} Seat
 * @property {string} id
 * @property {SVGGElement} element
 * @property {SVGTextElement} label
 * @property {number} angle    now
 * @property {number} target   where it goes
 * @property {number} presence 0 … 1: how far it has faded in
 * @property {boolean} leaving
 * @property {Point} at
 */
/** @typedef {{ element: SVGPathElement, edge: Edge }} Chord */
/** @typedef {{ element: SVGCircleElement, from: string, to: string, start: number }} Pulse */

/**
 * @param {{ choose: (id: string) => void }} commands
 * @returns {(state: State) => void}
 */
export function mountTopology(commands) {
  const figure = part(document, "#drawing", HTMLElement);
  const summaryLine = part(document, "#links-summary", HTMLElement);
  const legend = part(document, "#legend", HTMLElement);
  const words = part(document, "#links-words", HTMLElement);
  const topology = part(document, "#topology", HTMLElement);
  const details = part(document, "#links details", HTMLDetailsElement);

  const chordLayer = svg("g", { class: "chords" });
  const pulseLayer = svg("g", { class: "pulses" });
  const seatLayer = svg("g", { class: "seats" });
  figure.append(svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", focusable: "false" }, chordLayer, pulseLayer, seatLayer));

  /** Writes the text beside the drawing: only for who reads it, since it is long in large rooms. */
  let inWords = () => {};
  details.addEventListener("toggle", () => inWords());

  const still = matchMedia("(prefers-reduced-motion: reduce)");
  /** @type {Map<string, Seat>} */
  const seats = new Map();
  /** @type {Map<string, Chord>} */
  const chords = new Map();
  /** @type {Set<Pulse>} */
  const pulses = new Set();
  let radius = faceRadius(1);
  let chosen = "";
  let pointed = "";
  let fading = 0;
  let frame = 0;
  let lastFrame = 0;
  /** Whether somebody is not at their seat yet, or a chord has no shape yet. */
  let restless = false;
  /** @type {Pick<State, "people" | "reports" | "topology" | "pinned" | "self"> | undefined} */
  let drawn;
  /** Who passes on what the one in the light says, or this member; nobody in a mesh. @type {Set<string>} */
  let passing = new Set();
  /** @type {State["spoke"]} */
  let spoke = new Map();

  return (state) => {
    const changed = drawn === undefined || drawn.people !== state.people || drawn.reports !== state.reports
      || drawn.topology !== state.topology || drawn.pinned !== state.pinned;
    if (changed) {
      drawn = state;
      seatPeople(state.people);
      const reports = new Map(state.reports).set(state.self, ownLinks(state));
      const links = edges(state.people.map((person) => person.id), reports);
      drawChords(links.slice(0, LINKS_DRAWN));
      tell(state, links, state.people.filter((person) => !reports.has(person.id)).length);
      inWords = () => tellInWords(state, links);
      if (details.open) inWords();
    }
    if (chosen !== state.chosen || changed) {
      chosen = state.chosen;
      light();
    }
    if (spoke !== state.spoke) {
      for (const [id, times] of state.spoke) if (times !== spoke.get(id)) pulse(id);
      spoke = state.spoke;
    }
    if (restless || pulses.size > 0) move();
  };

  /** @param {readonly Person[]} people */
  function seatPeople(people) {
    radius = faceRadius(people.length);
    const here = new Set(people.map((person) => person.id));
    for (const place of seats.values()) {
      if (here.has(place.id)) continue;
      place.leaving = true;
      restless = true;
    }
    for (const [at, person] of people.entries()) {
      const target = angle(at, people.length);
      const old = seats.get(person.id);
      const place = old ?? newSeat(person, target);
      if (old === undefined) seats.set(person.id, place);
      restless ||= old === undefined || place.target !== target || place.leaving;
      place.target = target;
      place.leaving = false;
      dress(place, person, people.length);
    }
  }

  /** @param {Person} person @param {number} target @returns {Seat} */
  function newSeat(person, target) {
    const label = svg("text", { class: "label" });
    const element = svg("g", { class: "seat" },
      svg("title", {}), svg("circle", { class: "ring" }), svg("circle", { class: `face ${person.self ? "own" : `tint-${tint(person.id)}`}` }),
      svg("text", { class: "letters", "text-anchor": "middle", dy: "0.35em" }), label);
    element.classList.toggle("self", person.self);
    element.addEventListener("pointerenter", () => point(person.id));
    element.addEventListener("pointerleave", () => point(""));
    element.addEventListener("click", () => commands.choose(person.id));
    seatLayer.append(element);
    return { id: person.id, element, label, angle: target, target, presence: 0, leaving: false, at: seat(target) };
  }

  /** Size and words of a seat follow from how many there are. @param {Seat} place @param {Person} person @param {number} members */
  function dress(place, person, members) {
    const { element, label } = place;
    part(element, ".ring", SVGCircleElement).setAttribute("r", String(radius + Math.min(4, radius / 4)));
    part(element, ".face", SVGCircleElement).setAttribute("r", String(radius));
    const letters = part(element, ".letters", SVGTextElement);
    letters.setAttribute("font-size", String(Math.max(7, radius * 0.68)));
    say(letters, members <= INITIALED ? initials(person.name) : "");
    const name = person.self ? "You" : person.name;
    say(label, members <= LABELLED ? short(name) : "");
    say(part(element, "title", SVGTitleElement), name);
  }

  /** @param {readonly Edge[]} links */
  function drawChords(links) {
    const wanted = new Set(links.map((link) => link.key));
    for (const [key, { element }] of chords) {
      if (wanted.has(key)) continue;
      chords.delete(key);
      fade(element);
    }
    for (const link of links) {
      const old = chords.get(link.key);
      const element = old?.element ?? svg("path", { class: "chord" });
      if (old === undefined) {
        chordLayer.append(element);
        restless = true;
      }
      if (element.dataset["state"] !== link.state) element.dataset["state"] = link.state;
      chords.set(link.key, { element, edge: link });
    }
    chordLayer.style.setProperty("--haze", String(Math.max(0.08, Math.min(1, HAZY / links.length))));
  }

  /** A link that is gone stays in sight for a moment. @param {SVGPathElement} element */
  function fade(element) {
    if (still.matches || document.visibilityState !== "visible" || fading >= FADING) {
      element.remove();
      return;
    }
    fading += 1;
    element.classList.add("fading");
    setTimeout(() => {
      fading -= 1;
      element.remove();
    }, FADE_MS);
  }

  /** @param {State} state @param {readonly Edge[]} links @param {number} silent */
  function tell(state, links, silent) {
    // Alone there is nothing to draw.
    figure.hidden = state.people.length < 2;
    details.hidden = figure.hidden;
    say(summaryLine, state.people.length === 0 ? "You are not in the room." : summary(state.people.length, links, silent, state.topology));
    const how = state.topology.replaceAll(/[-_]/g, " ");
    say(topology, state.people.length < 2 ? "" : state.pinned === "auto" ? `${how} (auto)` : how);
    for (const line of legend.children) {
      const kind = line instanceof HTMLElement ? line.dataset["state"] : "";
      line.toggleAttribute("hidden", kind === undefined ? passing.size === 0 : !links.some((link) => link.state === kind));
    }
  }

  /** @param {State} state @param {readonly Edge[]} links */
  function tellInWords(state, links) {
    const nameOf = (/** @type {string} */ id) => (id === state.self ? "you" : state.names.get(id) ?? "someone");
    const lines = state.people.map(({ id, name, self }) => `${self ? "You" : name}: ${linksInWords(id, links, nameOf)}.`);
    for (const [at, line] of lines.entries()) {
      const item = words.children[at] ?? words.appendChild(el("li", { dir: "auto" }));
      say(item, line);
    }
    while (words.children.length > lines.length) words.lastElementChild?.remove();
  }

  /** @param {string} id */
  function point(id) {
    pointed = id;
    light();
  }

  /** Puts one member's links into the light, and the rest into the shade. */
  function light() {
    const id = pointed || chosen;
    const speaker = seats.has(id) ? id : drawn?.self ?? "";
    const links = [...chords.values()].map(({ edge }) => edge);
    passing = drawn === undefined || drawn.topology === "mesh" ? new Set() : waysFrom(speaker, links).passing;
    legend.querySelector("[data-passes]")?.toggleAttribute("hidden", passing.size === 0);
    figure.classList.toggle("lit", id !== "" && seats.has(id));
    for (const { element, edge } of chords.values()) element.classList.toggle("bright", edge.a === id || edge.b === id);
    /** @type {Set<string>} */
    const near = new Set([id]);
    for (const { edge } of chords.values()) {
      if (edge.a === id) near.add(edge.b);
      if (edge.b === id) near.add(edge.a);
    }
    for (const place of seats.values()) {
      place.element.classList.toggle("bright", near.has(place.id));
      place.element.classList.toggle("chosen", place.id === id);
      place.element.classList.toggle("passes", passing.has(place.id));
    }
  }

  /** A message of this member runs along its open links. @param {string} id */
  function pulse(id) {
    // Hidden tabs draw no frames: pulses would pile up until the tab comes back.
    if (still.matches || document.visibilityState !== "visible") return;
    for (const { edge } of chords.values()) {
      if (pulses.size >= PULSES) return;
      if (edge.state !== "open" || (edge.a !== id && edge.b !== id)) continue;
      const element = svg("circle", { r: Math.max(2, Math.min(4, radius / 4)), class: "pulse" });
      pulseLayer.append(element);
      pulses.add({ element, from: id, to: edge.a === id ? edge.b : edge.a, start: performance.now() });
    }
  }

  /** Starts moving, unless it moves already. */
  function move() {
    if (still.matches) restless = !step(Number.POSITIVE_INFINITY);
    else if (frame === 0) {
      lastFrame = performance.now();
      frame = requestAnimationFrame(tick);
    }
  }

  /** @param {number} now */
  function tick(now) {
    const elapsed = Math.min(FRAME_MAX_MS, Math.max(0, now - lastFrame));
    lastFrame = now;
    if (restless) restless = !step(elapsed);
    run();
    frame = !restless && pulses.size === 0 ? 0 : requestAnimationFrame(tick);
  }

  /** @param {number} elapsed @returns {boolean} whether everybody sits */
  function step(elapsed) {
    const part = 1 - Math.exp(-elapsed / SETTLE_MS);
    let settled = true;
    for (const place of seats.values()) {
      const wanted = place.leaving ? 0 : 1;
      place.angle += turn(place.angle, place.target) * part;
      place.presence += (wanted - place.presence) * part;
      const near = Math.abs(turn(place.angle, place.target)) < 0.002 && Math.abs(wanted - place.presence) < 0.01;
      if (near) {
        place.angle = place.target;
        place.presence = wanted;
      }
      settled &&= near;
      if (place.leaving && near) {
        place.element.remove();
        seats.delete(place.id);
        continue;
      }
      set(place);
    }
    for (const { element, edge } of chords.values()) {
      const a = seats.get(edge.a);
      const b = seats.get(edge.b);
      if (a === undefined || b === undefined) continue;
      element.setAttribute("d", chord(a.at, b.at));
      element.style.opacity = String(Math.min(a.presence, b.presence));
    }
    return settled;
  }

  /** Messages go on along their chords. */
  function run() {
    for (const one of pulses) {
      const a = seats.get(one.from);
      const b = seats.get(one.to);
      const t = (performance.now() - one.start) / PULSE_MS;
      if (t >= 1 || a === undefined || b === undefined) {
        one.element.remove();
        pulses.delete(one);
        continue;
      }
      const { x, y } = along(a.at, b.at, t * t * (3 - 2 * t));
      one.element.setAttribute("cx", String(x));
      one.element.setAttribute("cy", String(y));
    }
  }

  /** @param {Seat} place */
  function set(place) {
    place.at = seat(place.angle, 0.86 + 0.14 * place.presence);
    const { x, y } = place.at;
    place.element.setAttribute("transform", `translate(${x.toFixed(2)} ${y.toFixed(2)}) scale(${(0.6 + 0.4 * place.presence).toFixed(3)})`);
    place.element.style.opacity = place.presence.toFixed(3);
    const across = Math.cos(place.angle);
    const out = radius + 9;
    place.label.setAttribute("x", String(across * out));
    place.label.setAttribute("y", String(Math.sin(place.angle) * (out + 6)));
    place.label.setAttribute("dy", "0.35em");
    place.label.setAttribute("text-anchor", Math.abs(across) < 0.35 ? "middle" : across > 0 ? "start" : "end");
  }
}

/** A name for a small place: the first one is what people go by. @param {string} name */
function short(name) {
  const letters = [...(name.length <= LABEL_CHARS ? name : name.split(/\s/u)[0] || name)];
  return letters.length <= LABEL_CHARS ? letters.join("") : `${letters.slice(0, LABEL_CHARS - 1).join("").trimEnd()}…`;
}
