// @ts-check
// What a test began ends with it, last first: clients close before their server does.

/** @import { TestContext } from "node:test" */

/** @type {WeakMap<TestContext, (() => unknown)[]>} */
const endings = new WeakMap();

/**
 * @param {TestContext} t
 * @param {() => unknown} end
 */
export function atEnd(t, end) {
  const known = endings.get(t);
  if (known !== undefined) return void known.push(end);
  const ends = [end];
  endings.set(t, ends);
  t.after(async () => {
    const errors = [];
    for (let end = ends.pop(); end !== undefined; end = ends.pop()) {
      try {
        await end();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  });
}
