// The curves of one stage, asked for again and again while it trains.
import {useEffect, useState} from '../../lib/ui.js';
import {joined} from '../parts/scale.js';

const EVERY = 2000; // ms between two looks at a stage that runs
const PATIENCE = 30_000; // ms at most, while the server does not answer

/**
 * {series: Map of name to points, error, loaded} of a stage. While `live`, what is new is fetched every other second,
 * unless nobody looks. A log that got shorter (a run resumed from an earlier checkpoint) comes from its beginning (`reset`).
 */
export function useCurves(api, run, stage, live) {
  const [state, set] = useState({key: '', series: new Map(), next: 0, error: null, loaded: false});
  const key = JSON.stringify([run, stage]);
  useEffect(() => {
    if (!run || !stage) return undefined;
    const stop = new AbortController();
    let timer = 0;
    let [series, next] = state.key === key ? [state.series, state.next] : [new Map(), 0];
    let wait = EVERY;
    const place = `/api/runs/${encodeURIComponent(run)}/curves?stage=${encodeURIComponent(stage)}`;
    const ask = (after) => api.get(`${place}&after=${after}`, {signal: stop.signal});
    const look = async () => {
      if (!document.hidden) {
        try {
          const found = await ask(next);
          series = merged(found.reset ? new Map() : series, found.series);
          next = found.next;
          wait = EVERY;
          set({key, series, next, error: null, loaded: true});
        } catch (error) {
          if (error.name === 'AbortError') return;
          wait = Math.min(PATIENCE, 2 * wait);
          set((before) => ({...before, key, series, next, error}));
        }
      }
      if (live && !stop.signal.aborted) timer = setTimeout(look, wait);
    };
    look();
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [key, live]);
  return state.key === key ? state : {series: new Map(), error: null, loaded: false};
}

function merged(series, fresh) {
  const made = new Map(series);
  for (const [name, points] of Object.entries(fresh)) made.set(name, joined(made.get(name) ?? [], points));
  return made;
}
