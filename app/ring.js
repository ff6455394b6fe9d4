// @ts-check
// The geometry of a room: members sit around a table, links are chords across it. Pure.

/** @typedef {{ x: number, y: number }} Point */

/** The drawing's own units; CSS scales it. */
export const WIDTH = 420;
export const HEIGHT = 330;
const CENTRE = { x: WIDTH / 2, y: HEIGHT / 2 };
const RADII = { x: 122, y: 116 };
/** How far chords bend towards the middle of the table: 0 is straight. */
const BEND = 0.22;

/** The angle of a seat; the first one is nearest to the reader. @param {number} at @param {number} seats */
export function angle(at, seats) {
  return Math.PI / 2 + (at / Math.max(1, seats)) * 2 * Math.PI;
}

/** @param {number} radians @param {number} [reach] 1 is on the ring @returns {Point} */
export function seat(radians, reach = 1) {
  return { x: CENTRE.x + Math.cos(radians) * RADII.x * reach, y: CENTRE.y + Math.sin(radians) * RADII.y * reach };
}

/** How large a member is drawn. @param {number} members */
export function faceRadius(members) {
  if (members <= 8) return 21;
  if (members <= 16) return 16;
  if (members <= 30) return 11;
  return Math.max(3, Math.min(8, 330 / members));
}

/** The point towards which a chord bends. @param {Point} a @param {Point} b @returns {Point} */
export function bend(a, b) {
  const middle = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  return { x: middle.x + (CENTRE.x - middle.x) * BEND, y: middle.y + (CENTRE.y - middle.y) * BEND };
}

/** An SVG path. @param {Point} a @param {Point} b */
export function chord(a, b) {
  const c = bend(a, b);
  return `M${round(a.x)} ${round(a.y)}Q${round(c.x)} ${round(c.y)} ${round(b.x)} ${round(b.y)}`;
}

/** A point on a chord. @param {Point} a @param {Point} b @param {number} t 0 at a, 1 at b @returns {Point} */
export function along(a, b, t) {
  const c = bend(a, b);
  const s = 1 - t;
  return {
    x: s * s * a.x + 2 * s * t * c.x + t * t * b.x,
    y: s * s * a.y + 2 * s * t * c.y + t * t * b.y,
  };
}

/** The nearest way round from one angle to another. @param {number} from @param {number} to */
export function turn(from, to) {
  const difference = (to - from) % (2 * Math.PI);
  if (difference > Math.PI) return difference - 2 * Math.PI;
  return difference < -Math.PI ? difference + 2 * Math.PI : difference;
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 100) / 100;
}
