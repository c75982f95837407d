// State: small hooks, and a store whose listeners run at most once per animation frame.
import {useCallback, useEffect, useLayoutEffect, useReducer, useRef, useState} from '../vendor/preact-hooks.js';
import {Component, h} from '../vendor/preact.js';

/** Class names, the falsy ones left out. */
export const cx = (...names) => names.filter(Boolean).join(' ');

/** A callback that always sees the latest render, yet never changes itself. */
export function useEvent(act) {
  const latest = useRef(act);
  useLayoutEffect(() => { latest.current = act; });
  return useCallback((...given) => latest.current(...given), []);
}

/** State that outlives the page, in localStorage. */
export function useStored(key, initial) {
  const [value, set] = useState(() => readStored(key, initial));
  const store = useCallback((next) => set((before) => {
    const made = typeof next === 'function' ? next(before) : next;
    writeStored(key, made);
    return made;
  }), [key]);
  return [value, store];
}

/** What localStorage holds under a key; `initial` where there is nothing, or nothing that can be read. */
export function readStored(key, initial) {
  try {
    const found = localStorage.getItem(`thinkling.${key}`);
    return found === null ? initial : JSON.parse(found);
  } catch {
    return initial; // private windows may refuse storage, and others may have written there
  }
}

export function writeStored(key, value) {
  try {
    localStorage.setItem(`thinkling.${key}`, JSON.stringify(value));
  } catch {
    // a full or refused storage costs the setting its memory, nothing else
  }
}

/**
 * What `load(signal)` resolves to, loaded again when `wants` change; the answer to an outdated call is dropped.
 * `loading` is true while a call is out; `value` stays the last one until the next arrives.
 */
export function useLoad(load, wants) {
  const [state, set] = useState({value: null, error: null, loading: true});
  const [turn, again] = useReducer((n) => n + 1, 0);
  useEffect(() => {
    const stop = new AbortController();
    set((before) => ({...before, error: null, loading: true}));
    Promise.resolve(load(stop.signal)).then(
      (value) => stop.signal.aborted || set({value, error: null, loading: false}),
      (error) => stop.signal.aborted || set((before) => ({...before, error, loading: false})),
    );
    return () => stop.abort();
  }, [...wants, turn]);
  return {...state, reload: again};
}

/** Whether a media query holds now. */
export function useMedia(query) {
  const [holds, set] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const heard = () => set(list.matches);
    heard();
    list.addEventListener('change', heard);
    return () => list.removeEventListener('change', heard);
  }, [query]);
  return holds;
}

/** Something that changes, and tells whoever listens, once per animation frame however often it changed. */
export class Store {
  #heard = new Set();
  #due = 0;
  #cost = 0;
  version = 0;

  listen(act) {
    this.#heard.add(act);
    return () => this.#heard.delete(act);
  }

  /** Tell the listeners at the next frame. After a costly round, frames are skipped, so that input stays prompt. */
  changed() {
    this.version += 1;
    if (this.#due) return;
    const later = () => {
      this.#due = 0;
      const began = performance.now();
      for (const act of [...this.#heard]) act();
      // listeners only schedule their rendering: what it cost shows once the page is idle again
      setTimeout(() => { this.#cost = performance.now() - began; }, 0);
    };
    // a hidden page gets no frames, but its answers must go on
    if (document.hidden) this.#due = setTimeout(later, 250);
    else if (this.#cost > 24) this.#due = setTimeout(() => requestAnimationFrame(later), Math.min(400, 3 * this.#cost));
    else this.#due = requestAnimationFrame(later);
  }
}

/** Render again whenever the store has changed. */
export function useStore(store) {
  const [, again] = useReducer((n) => n + 1, 0);
  const seen = useRef(-1);
  seen.current = store ? store.version : -1;
  useLayoutEffect(() => {
    if (!store) return undefined;
    if (store.version !== seen.current) again(); // it changed between rendering and listening
    return store.listen(again);
  }, [store]);
  return store;
}

/** A component that renders again only when one of its properties is another. */
export function memo(draw) {
  return class Memo extends Component {
    shouldComponentUpdate(next) {
      const before = this.props;
      for (const key in next) if (next[key] !== before[key]) return true;
      for (const key in before) if (!(key in next)) return true;
      return false;
    }

    render(props) {
      return h(draw, props);
    }
  };
}
