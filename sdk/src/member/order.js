// @ts-check
/**
 * The order of Rust's ordered containers, where it can be seen from outside: by bytes of UTF-8, which is by code points.
 *
 * @module
 */

/**
 * @template Value
 * @param {Iterable<[string, Value]>} entries
 */
export function sortedEntries(entries) {
  return [...entries].sort(([a], [b]) => compareTexts(a, b));
}

/**
 * Compares by code points; `<` would compare UTF-16 units.
 *
 * @param {string} a
 * @param {string} b
 */
export function compareTexts(a, b) {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const [x, y] = [a.charCodeAt(at), b.charCodeAt(at)];
    // Surrogates stand for what comes after all other units.
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

/** @param {number} unit */
function rank(unit) {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x1_0000 : unit;
}
