// @ts-check
// The empty table: one seat taken by the reader, the others free. Shown where a room waits for people.

import { initials } from "./avatar.js";
import { say, svg } from "./dom.js";
import { HEIGHT, WIDTH, angle, chord, faceRadius, seat } from "./ring.js";

const SEATS = 7;

/**
 * @param {string} name the reader's, or empty
 * @returns {{ element: SVGSVGElement, rename: (name: string) => void }}
 */
export function emptyTable(name) {
  const places = Array.from({ length: SEATS }, (_, at) => seat(angle(at, SEATS)));
  const chords = places.flatMap((a, at) =>
    places.slice(at + 1).map((b) => svg("path", { d: chord(a, b), class: at === 0 ? "chord near" : "chord" })));
  const radius = faceRadius(SEATS);
  const [mine, ...free] = places;
  const letters = svg("text", { class: "letters", "text-anchor": "middle", dy: "0.35em" });
  const you = svg("g", { class: "you", transform: `translate(${mine?.x ?? 0} ${mine?.y ?? 0})` },
    svg("circle", { r: radius + 5, class: "halo" }), svg("circle", { r: radius, class: "face" }), letters);
  const element = svg("svg", { class: "table", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", focusable: "false" },
    ...chords, ...free.map(({ x, y }) => svg("circle", { cx: x, cy: y, r: radius, class: "seat" })), you);
  const rename = (/** @type {string} */ fresh) => say(letters, fresh.trim() === "" ? "?" : initials(fresh));
  rename(name);
  return { element, rename };
}
