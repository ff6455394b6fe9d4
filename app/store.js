// @ts-check
// State flows one way: what happens is dispatched as an action, the reducer makes the next state, views show it.

/**
 * @template S, A
 * @typedef {Object} Store
 * @property {() => S} state
 * @property {(action: A) => void} dispatch
 * @property {(view: (state: S) => void) => void} show  calls the view now, and after each turn in which state changed
 */

/**
 * @template S, A
 * @param {S} initial
 * @param {(state: S, action: A) => S} reduce pure
 * @returns {Store<S, A>}
 */
export function createStore(initial, reduce) {
  let state = initial;
  let scheduled = false;
  /** @type {((state: S) => void)[]} */
  const views = [];

  function render() {
    scheduled = false;
    for (const view of views) view(state);
  }

  return {
    state: () => state,
    dispatch(action) {
      const next = reduce(state, action);
      if (next === state) return;
      state = next;
      if (scheduled) return;
      scheduled = true;
      // A microtask, not an animation frame: hidden tabs draw no frames, and their titles and logs must go on.
      queueMicrotask(render);
    },
    show(view) {
      views.push(view);
      view(state);
    },
  };
}
