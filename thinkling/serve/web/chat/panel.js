// The panel of an answer's settings: model, strategy, sampling, thinking, system prompt; two sides when comparing.
import {StrategyFields} from './strategy.js';
import {IconButton, ModelSelect, NumberInput, Segmented, Select, Slider, Switch, html, useId, useState, useStore} from '../lib/ui.js';

const KINDS = [
  {value: 'text', label: 'text'}, {value: 'number', label: 'a number'}, {value: 'numbers', label: 'a list of numbers'},
  {value: 'yes-no', label: 'yes or no'}, {value: 'math', label: 'a formula'}, {value: 'choice:A-D', label: 'a choice A–D'},
];

/** A field for a number that may stay empty. */
function OptionalNumber({label, value, onChange, hint, min = 0, placeholder}) {
  const id = useId();
  return html`<div class="field"><label for=${id}>${label}</label>
    <${NumberInput} id=${id} min=${min} step="1" value=${value} placeholder=${placeholder}
      onCommit=${(made) => onChange(Number.isFinite(made) ? Math.max(min, Math.round(made)) : '')} />
    ${hint && html`<p class="hint">${hint}</p>`}</div>`;
}

export function SettingsPanel({session, library, enterSends, setEnterSends, onClose}) {
  useStore(session);
  const [chosen, setSide] = useState(0);
  const side = session.comparing ? chosen : 0;
  const settings = session.sides[side];
  const id = useId();
  const set = (change) => {
    const next = {...session.sides[side], ...change}; // not as drawn last: two fields may change in one frame
    session.setSettings(side, next);
    if (side === 0) library.remember(next);
  };
  const card = library.models.find((one) => one.id === settings.model);
  const thinks = card?.capabilities?.think !== false;
  return html`<aside class="panel scroll" aria-label="Settings">
    <header class="panel-head"><h2>Settings</h2><${IconButton} icon="close" label="Close the settings" onClick=${onClose} /></header>
    <div class="panel-body">
      <${Switch} label="Compare two answers" checked=${session.comparing} onChange=${(on) => { session.setComparing(on); setSide(on ? 1 : 0); }}
        hint="One question, answered under two settings side by side." />
      ${session.comparing && html`<${Segmented} bare label="Which answer's settings" value=${String(side)} onChange=${(v) => setSide(Number(v))}
        options=${[{value: '0', label: 'Answer A'}, {value: '1', label: 'Answer B'}]} />`}
      <${ModelSelect} bare=${false} models=${library.models} model=${settings.model} onChange=${(model) => set({model})} />
      <section class="stack"><h3>Reasoning</h3>
        <${StrategyFields} strategies=${library.strategies} value=${settings.strategy} onChange=${(strategy) => set({strategy})} />
        ${settings.strategy.name !== 'plain' && html`<${Select} label="Answers are read as" value=${settings.answer_kind} options=${KINDS} onChange=${(answer_kind) => set({answer_kind})} hint="How a vote tells equal answers apart." />`}
        ${thinks && html`<${Segmented} label="Thinking" value=${settings.think} options=${['auto', 'on', 'off']} onChange=${(think) => set({think})} />`}
        ${thinks && settings.think !== 'off' && html`<${Slider} label="Thinking budget" value=${settings.thinking_budget} min=${0} max=${2048} step=${16}
          format=${(v) => (v ? `${v} tokens` : 'no bound')} onChange=${(thinking_budget) => set({thinking_budget: Math.round(thinking_budget)})} hint="Tokens of thinking at most; 0 sets no bound." />`}
      </section>
      <section class="stack"><h3>Sampling</h3>
        <${Slider} label="Temperature" value=${settings.temperature} min=${0} max=${2} step=${0.05} onChange=${(temperature) => set({temperature})} />
        <${Slider} label="Top-p" value=${settings.top_p} min=${0.01} max=${1} step=${0.01} onChange=${(top_p) => set({top_p})} />
        <${Slider} label="Top-k" value=${settings.top_k} min=${0} max=${200} step=${1} format=${(v) => (v ? String(v) : 'off')} onChange=${(top_k) => set({top_k: Math.round(top_k)})} />
        <${Slider} label="Min-p" value=${settings.min_p} min=${0} max=${1} step=${0.01} format=${(v) => (v ? String(v) : 'off')} onChange=${(min_p) => set({min_p})} />
        <div class="options"><${OptionalNumber} label="Max tokens" min=${1} value=${settings.max_tokens} placeholder="all that fit" onChange=${(max_tokens) => set({max_tokens})} />
          <${OptionalNumber} label="Seed" value=${settings.seed} placeholder="random" onChange=${(seed) => set({seed})} /></div>
      </section>
      <section class="stack"><h3>Chat</h3>
        <div class="field"><label for=${id}>System prompt</label>
          <textarea id=${id} rows="4" value=${session.system} placeholder="None" onInput=${(event) => session.setSystem(event.currentTarget.value)}></textarea></div>
        <${Switch} label="Enter sends" checked=${enterSends} onChange=${setEnterSends} hint=${enterSends ? 'Shift+Enter begins a new line.' : 'Ctrl+Enter sends.'} />
      </section>
    </div>
  </aside>`;
}
