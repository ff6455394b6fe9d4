// @ts-check
// State flows one way: what happens is dispatched as an action, the reducer makes the next state, views show it.

/**
 * @template S, A
 * @typedef {Object} Store
 * @property {() => S} state
 * @property {(action: A) => void} dispatch
 * @property {(view: (state: S) => void) => void} show  calls the view now, and again after state changed
 * @property {() => void} flush  shows what is due now rather than soon
 */

/** The longest that a change waits to be shown. */
const SHOWN_WITHIN_MS = 50;

/**
 * @template S, A
 * @param {S} initial
 * @param {(state: S, action: A) => S} reduce pure
 * @param {(render: () => void) => void} [schedule] calls back soon, at least once
 * @returns {Store<S, A>}
 */
export function createStore(initial, reduce, schedule = nextFrame) {
  let state = initial;
  let due = false;
  /** @type {((state: S) => void)[]} */
  const views = [];

  function flush() {
    if (!due) return;
    due = false;
    for (const view of views) view(state);
  }

  return {
    state: () => state,
    dispatch(action) {
      const next = reduce(state, action);
      if (next === state) return;
      state = next;
      if (due) return;
      due = true;
      schedule(flush);
    },
    flush,
    show(view) {
      views.push(view);
      view(state);
    },
  };
}

/**
 * A flood of changes is shown once a frame. Hidden tabs draw no frames, but their titles and logs go on too.
 * @param {() => void} render
 */
function nextFrame(render) {
  requestAnimationFrame(render);
  setTimeout(render, SHOWN_WITHIN_MS);
}
