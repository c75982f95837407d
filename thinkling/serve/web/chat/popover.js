// A token looked at: how likely it was, what else could have stood there, and what temperature would make of it.
import {entropyOf, percent, reweigh, visible} from './distribution.js';
import {Bars, Icon, Slider, createPortal, cx, html, useEffect, useLayoutEffect, useMemo, useRef, useState} from '../lib/ui.js';

const SHOWN = () => (innerHeight < 820 || innerWidth < 600 ? 6 : 10); // rivals: as many as leave the text in sight
const WAIT = 180; // milliseconds on one token before the server is asked

/**
 * `at`: {token, index, box (its rectangle), pinned}. `next(index, signal)` asks the server for the distribution there,
 * null where it cannot be asked. `onFork(rival)`, null where no answer can begin; `onClose(focusBack)`; `onEnter`/`onLeave`: the pointer comes and goes.
 */
export function Popover({at, next, sampling, onFork, onClose, onEnter, onLeave}) {
  const {token, index, box, pinned} = at;
  const frame = useRef(null);
  const [asked, setAsked] = useState(null);
  const [error, setError] = useState(null);
  const [temperature, setTemperature] = useState(sampling.temperature ?? 1);
  const [topP, setTopP] = useState(sampling.top_p ?? 1);

  useEffect(() => {
    setAsked(null);
    setError(null);
    if (!next) return undefined;
    const stop = new AbortController();
    const timer = setTimeout(() => next(index, stop.signal).then(setAsked, (failed) => stop.signal.aborted || setError(failed)), pinned ? 0 : WAIT);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [token, index, next]);

  useLayoutEffect(() => place(frame.current, box));
  useEffect(() => {
    if (pinned === 'keys') frame.current.querySelector('.bars button')?.focus();
  }, [pinned]);

  const known = asked?.candidates ?? token.top ?? [];
  const rows = useMemo(() => reweigh(known, temperature, topP), [known, temperature, topP]);
  const rank = rows.findIndex((one) => one.id === token.id);
  const [most] = useState(SHOWN);
  const shown = rows.slice(0, most);
  if (rank >= most) shown.push(rows[rank]);
  const entropy = asked?.entropy ?? (known.length ? entropyOf(known) : null);
  const chance = token.logprob === undefined || token.logprob === null ? null : Math.exp(token.logprob);
  const bars = shown.map((one) => ({
    key: one.id, label: one.special ? one.text : visible(one.text), value: one.share, text: percent(one.share), chosen: one.id === token.id, tone: one.kept ? '' : 'off',
    title: one.id === token.id ? 'The token that was drawn' : onFork && `Answer again from here with ${visible(one.text)}`,
    onClick: one.id === token.id || !onFork ? undefined : () => onFork(one),
  }));
  const pressed = (event) => {
    if (event.key === 'Escape') { event.stopPropagation(); onClose(true); }
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    const buttons = [...frame.current.querySelectorAll('.bars button')];
    const where = buttons.indexOf(document.activeElement);
    if (where < 0) return;
    event.preventDefault();
    buttons[(where + (event.key === 'ArrowDown' ? 1 : buttons.length - 1)) % buttons.length].focus();
  };

  return createPortal(html`<div ref=${frame} class="popover" role="dialog" aria-label=${`Token ${index + 1}`} onKeyDown=${pressed}
      onPointerEnter=${onEnter} onPointerLeave=${onLeave}>
    <header><span class=${cx('token-name', token.kind)}>${token.kind === 'mark' ? token.mark : visible(token.text)}</span>
      <span class="faint number">token ${index + 1} · id ${token.id}</span></header>
    <dl class="facts">
      <div><dt>Probability</dt><dd>${chance === null ? 'given' : percent(chance)}</dd></div>
      <div><dt>Rank</dt><dd>${rank >= 0 ? rank + 1 : known.length ? `> ${known.length}` : '–'}</dd></div>
      <div><dt>Entropy</dt><dd>${entropy === null ? '–' : html`${entropy.toFixed(2)} nats${asked ? '' : ' +'}`}</dd></div>
    </dl>
    ${bars.length > 0 && html`<${Bars} label="What could have stood here" rows=${bars} />`}
    ${error && html`<p class="hint">${error.message}</p>`}
    ${bars.length > 0 && html`<div class="knobs">
      <${Slider} label="Temperature" value=${temperature} min=${0} max=${2} step=${0.05} exact=${false} format=${(v) => v.toFixed(2)} onChange=${setTemperature} />
      <${Slider} label="Top-p" value=${topP} min=${0.05} max=${1} step=${0.01} exact=${false} format=${(v) => v.toFixed(2)} onChange=${setTopP} />
    </div>
    ${onFork && html`<p class="hint"><${Icon} name="fork" size=${13} /> Choose another token to answer again from here.</p>`}`}
  </div>`, document.getElementById('overlay'));
}

/** Beside the token: below it where there is room, else above, and never beyond the window. */
function place(frame, box) {
  const {offsetWidth: width, offsetHeight: height} = frame;
  const below = box.bottom + 8;
  const top = below + height < innerHeight - 8 ? below : Math.max(8, box.top - height - 8);
  frame.style.left = `${Math.max(8, Math.min(innerWidth - width - 8, box.left - 12))}px`;
  frame.style.top = `${Math.min(top, Math.max(8, innerHeight - height - 8))}px`;
}
