// How a strategy came to its answer: candidates side by side while they grow, the vote, the tree, the margins.
import {percent} from './distribution.js';
import {Bars, Icon, cx, html, useLayoutEffect, useRef, useState} from '../lib/ui.js';

const LIVE = 12; // candidates of the latest round that are shown while they grow

/** The rounds of a strategy while it works: the latest in full. */
export function Growing({effects}) {
  const last = effects[effects.length - 1];
  if (!last) return null;
  const shown = last.samples.slice(0, LIVE);
  return html`<div role="group" class="trace live" aria-label="Candidates as they grow">
    <p class="trace-line"><span class="pulse" aria-hidden="true"></span> Round ${effects.length} · ${last.samples.length} ${last.samples.length === 1 ? 'candidate' : 'candidates'}</p>
    <div class="candidates scroll" tabindex="0" role="group" aria-label="Candidates">${shown.map((one, i) => html`<div key=${i} class="candidate growing">
      <div class="candidate-head"><span>#${i + 1}</span></div>
      <${GrowingText} one=${one} />
    </div>`)}</div>
  </div>`;
}

function GrowingText({one}) {
  const at = useRef(null);
  useLayoutEffect(() => { at.current.scrollTop = at.current.scrollHeight; });
  return html`<div ref=${at} class="candidate-text">${one.thinking && html`<span class="thought">${tail(one.thinking)}${'\n'}</span>`}${tail(one.text)}</div>`;
}

/** The end of a growing text: what has just come is what one wants to see, and a long one costs nothing. */
const tail = (text) => (text.length > 700 ? `…${text.slice(-700)}` : text);

/** `samples`: how many were drawn in all, where that is known. */
export function TraceView({trace, usage, samples}) {
  const [open, setOpen] = useState(false);
  const {candidates = [], tally = [], note} = trace;
  const isTree = candidates.some((one) => one.parent >= 0);
  const tokens = usage?.completion_tokens ?? candidates.reduce((sum, one) => sum + (one.tokens ?? 0), 0);
  const facts = [
    `${candidates.length} ${isTree ? 'steps' : candidates.length === 1 ? 'candidate' : 'candidates'}`,
    `${tokens.toLocaleString()} tokens written`,
    samples > candidates.length && `${samples} samples drawn`,
    usage?.prompt_tokens && `${usage.prompt_tokens.toLocaleString()} read`,
  ].filter(Boolean).join(' · ');
  return html`<div role="group" class="trace" aria-label="How the answer was found">
    <button type="button" class="trace-line" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>
      <${Icon} name=${open ? 'up' : 'down'} size=${15} /><strong>${trace.strategy}</strong><span class="muted grow">${facts}</span></button>
    ${tally.length > 0 && html`<${Tally} tally=${tally} candidates=${candidates} />`}
    ${open && html`<div class="trace-body">
      ${note && html`<p class="hint">${note}</p>`}
      ${isTree ? html`<${Steps} candidates=${candidates} />` : html`<${Side} candidates=${candidates} tied=${trace.tied ?? []} />`}
    </div>`}
  </div>`;
}

function Tally({tally, candidates}) {
  const total = tally.reduce((sum, [, weight]) => sum + weight, 0) || 1;
  const whole = tally.every(([, weight]) => Number.isInteger(weight));
  const chosen = candidates.find((one) => one.chosen)?.answer ?? tally[0][0];
  const rows = tally.slice(0, 8).map(([answer, weight]) => ({
    key: answer, label: answer, value: weight / total, chosen: answer === chosen,
    text: whole ? `${weight} of ${total}` : weight.toPrecision(3),
  }));
  return html`<${Bars} class="tally" label=${whole ? 'The vote' : 'The weight of each answer'} rows=${rows} />`;
}

function Side({candidates, tied}) {
  const weights = candidates.map((one) => one.weight ?? 0);
  const best = Math.max(...weights, 1e-9);
  const alike = weights.every((one) => one === weights[0]); // a plain vote: there is nothing to compare
  const at = useRef(null);
  useLayoutEffect(() => {
    const chosen = at.current.querySelector('.chosen');
    if (chosen) at.current.scrollLeft = chosen.offsetLeft - at.current.offsetLeft;
  }, []);
  return html`<div ref=${at} class="candidates scroll" tabindex="0" role="group" aria-label="Candidates">
    ${candidates.map((one, i) => html`<${Card} key=${i} one=${one} number=${i + 1} best=${alike ? 0 : best} tied=${tied.length > 1 && tied.includes(i)} />`)}</div>`;
}

function Card({one, number, best, tied}) {
  return html`<article class=${cx('candidate', one.chosen && 'chosen', one.kept === false && 'pruned')} aria-label=${`Candidate ${number}`}>
    <div class="candidate-head"><span>#${number}</span>
      ${one.role !== 'answer' && html`<span class="chip">${one.role}</span>`}
      ${one.chosen && html`<span class="chip good"><${Icon} name="check" size=${12} />chosen</span>`}
      ${tied && !one.chosen && html`<span class="chip">tied</span>`}
      <span class="grow"></span><span class="faint number">${one.tokens ?? 0} tok${one.finish === 'length' ? ' · cut' : ''}</span></div>
    <div class="candidate-answer"><strong>${one.answer ?? 'no answer'}</strong>
      ${best > 0 && html`<span class="meter" aria-hidden="true"><span style=${{'--share': String(Math.max(0, one.weight ?? 0) / best)}}></span></span>
      <span class="number faint" title="weight">${Number((one.weight ?? 0).toPrecision(3))}</span>`}</div>
    ${one.margins?.length > 0
      ? html`<div class="candidate-text margins">${one.margins.map(([piece, margin], i) => html`<span key=${i} class=${`m${Math.min(4, Math.floor(margin * 5))}`} title=${`margin ${percent(margin)}`}>${piece}</span>`)}</div>`
      : html`<div class="candidate-text">${one.thinking && html`<span class="thought">${one.thinking}${'\n'}</span>`}${one.text}</div>`}
  </article>`;
}

/** Beam search as a tree: each step under the one that it continues, pruned ones pale. */
function Steps({candidates}) {
  const below = new Map();
  candidates.forEach((one, i) => {
    const parent = one.parent ?? -1;
    if (!below.has(parent)) below.set(parent, []);
    below.get(parent).push(i);
  });
  const whole = (i) => (i < 0 ? '' : `${candidates[i].thinking ?? ''}${candidates[i].text ?? ''}`);
  const level = (parent) => html`<ul>${(below.get(parent) ?? []).map((i) => {
    const one = candidates[i];
    const text = whole(i);
    const before = whole(parent);
    return html`<li key=${i} class=${cx('step', one.kept === false && 'pruned', one.chosen && 'chosen')}>
      <div class="step-line"><span class="chip number">${Number((one.weight ?? 0).toPrecision(3))}</span>
        <span>${text.startsWith(before) ? text.slice(before.length) : text}</span>
        ${one.chosen && html`<span class="chip good"><${Icon} name="check" size=${12} />chosen</span>`}
        ${one.kept === false && html`<span class="faint">pruned</span>`}</div>
      ${below.has(i) && level(i)}
    </li>`;
  })}</ul>`;
  return html`<div class="steps">${level(-1)}</div>`;
}
