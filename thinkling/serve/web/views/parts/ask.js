// Asking the server while somebody types.
import {explain} from '../../lib/api.js';
import {html, Notice, useEffect, useReducer, useState} from '../../lib/ui.js';

/**
 * What `ask(signal)` resolves to, asked again `wait` ms after `wants` have last changed; a call that is outdated is
 * cancelled. `ask` null: there is nothing to ask. `value` stays the last one until the next arrives.
 */
export function useAsked(ask, wants, wait = 250) {
  const [state, set] = useState({value: null, error: null, loading: false});
  const [turn, again] = useReducer((n) => n + 1, 0);
  useEffect(() => {
    if (!ask) {
      set({value: null, error: null, loading: false});
      return undefined;
    }
    const stop = new AbortController();
    set((before) => ({...before, loading: true}));
    const due = setTimeout(() => {
      ask(stop.signal).then(
        (value) => stop.signal.aborted || set({value, error: null, loading: false}),
        (error) => stop.signal.aborted || set({value: null, error, loading: false}),
      );
    }, state.value === null && state.error === null ? 0 : wait);
    return () => {
      clearTimeout(due);
      stop.abort();
    };
  }, [...wants, ask === null, turn]);
  return {...state, reload: again};
}

/** Why the last call gave nothing, and a way to try again. */
export function Failure({asked}) {
  if (!asked.error) return null;
  const {title, advice} = explain(asked.error);
  const retry = html`<button type="button" class="button small" onClick=${asked.reload}>Retry</button>`;
  return html`<${Notice} tone="bad" title=${title} actions=${retry}>${advice}<//>`;
}

export const isLocal = (models, id) => models.some((one) => one.id === id && one.local);

/** In place of a view that must look into a model itself. */
export function NeedsLocal({models, model, setModel, why}) {
  const local = models.filter((one) => one.local);
  const actions = local.map((one) => html`<button type="button" class="button small"
    onClick=${() => setModel(one.id)}>Use ${one.id}</button>`);
  const title = model ? `“${model}” runs on another server.` : 'No model is served.';
  return html`<${Notice} title=${title} actions=${actions}>${why}${local.length ? '.' : ', and no model here is local.'}<//>`;
}
