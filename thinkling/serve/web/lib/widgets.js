// The controls that all views share. Each has a label that a screen reader finds, and works by keyboard alone.
import {Fragment, h} from '../vendor/preact.js';
import {useEffect, useId, useRef, useState} from '../vendor/preact-hooks.js';
import htm from '../vendor/htm.js';
import {Icon} from './icons.js';
import {cx} from './state.js';

const html = htm.bind(h);

/** A button that shows only an icon. `pressed` (true or false) makes it a toggle. */
export function IconButton({icon, label, pressed, size, class: name, ...rest}) {
  return html`<button type="button" class=${cx('icon-button', name)} aria-label=${label} title=${label}
    aria-pressed=${pressed === undefined ? undefined : String(pressed)} ...${rest}><${Icon} name=${icon} size=${size} /></button>`;
}

/** A drop-down list. `options`: strings or {value, label}; `onChange` gets the value. `bare` hides the label. */
export function Select({label, value, options, onChange, hint, bare = false, ...rest}) {
  const id = useId();
  return html`<div class=${cx('field', bare && 'bare')}>
    <label for=${id} class=${bare ? 'unseen' : ''}>${label}</label>
    <select id=${id} value=${value} onChange=${(event) => onChange(event.currentTarget.value)} ...${rest}>
      ${options.map((one) => {
        const option = typeof one === 'string' ? {value: one, label: one} : one;
        return html`<option key=${option.value} value=${option.value} selected=${option.value === value}>${option.label}</option>`;
      })}
    </select>
    ${hint && html`<p class="hint">${hint}</p>`}
  </div>`;
}

/** The picker of a model, by id; a model that is not there any more stays visible as such. */
export function ModelSelect({models, model, onChange, label = 'Model', bare = true, ...rest}) {
  const options = models.map((one) => ({value: one.id, label: one.id}));
  if (model && !models.some((one) => one.id === model)) options.unshift({value: model, label: `${model} (gone)`});
  return html`<${Select} label=${label} bare=${bare} value=${model} options=${options} onChange=${onChange} ...${rest} />`;
}

/** A field for a number; `onCommit` gets it (NaN for none) when it is left. What is being typed survives whatever is
 *  drawn meanwhile: a plain controlled field would be set back to `value` in the middle of a number. */
export function NumberInput({value, onCommit, ...rest}) {
  const [draft, setDraft] = useState(null);
  return html`<input type="number" value=${draft ?? value} ...${rest} onInput=${(event) => setDraft(event.currentTarget.value)}
    onChange=${(event) => { onCommit(event.currentTarget.valueAsNumber); setDraft(null); }} onBlur=${() => setDraft(null)} />`;
}

/** A slider with a number field beside it; `onChange` gets a number. */
export function Slider({label, value, min, max, step, onChange, hint, format = String, exact = true}) {
  const id = useId();
  const move = (next) => { if (Number.isFinite(next)) onChange(Math.min(max, Math.max(min, next))); };
  return html`<div class="field slider">
    <label for=${id}>${label}</label>
    ${exact
      ? html`<${NumberInput} class="exact" aria-label=${`${label}, as a number`} min=${min} max=${max} step="any" value=${value} onCommit=${move} />`
      : html`<output for=${id}>${format(value)}</output>`}
    <input id=${id} type="range" min=${min} max=${max} step=${step} value=${value} aria-valuetext=${format(value)}
      onInput=${(event) => move(event.currentTarget.valueAsNumber)} />
    ${hint && html`<p class="hint">${hint}</p>`}
  </div>`;
}

export function Switch({label, checked, onChange, hint, ...rest}) {
  return html`<div class="field switch">
    <label><input type="checkbox" role="switch" checked=${checked} onChange=${(event) => onChange(event.currentTarget.checked)} ...${rest} />
      <span>${label}</span></label>
    ${hint && html`<p class="hint">${hint}</p>`}
  </div>`;
}

/** A few exclusive choices, all in sight. `options`: strings or {value, label}. */
export function Segmented({label, value, options, onChange, bare = false}) {
  const id = useId();
  return html`<fieldset class=${cx('field', 'segmented', bare && 'bare')}>
    <legend class=${bare ? 'unseen' : ''}>${label}</legend>
    <div class="segments">${options.map((one) => {
      const option = typeof one === 'string' ? {value: one, label: one} : one;
      return html`<label key=${option.value}><input type="radio" name=${id} value=${option.value}
        checked=${option.value === value} onChange=${() => onChange(option.value)} /><span>${option.label}</span></label>`;
    })}</div>
  </fieldset>`;
}

/** A modal dialog. The browser keeps the focus inside, and returns it when the dialog closes. */
export function Dialog({title, onClose, children, class: name, describedBy}) {
  const at = useRef(null);
  const id = useId();
  useEffect(() => {
    const dialog = at.current;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  return html`<dialog ref=${at} class=${cx('dialog', name)} aria-labelledby=${id} aria-describedby=${describedBy}
      onCancel=${(event) => { event.preventDefault(); onClose(); }}
      onClick=${(event) => event.target === at.current && onClose()}>
    <div class="dialog-body">
      <header><h2 id=${id}>${title}</h2><${IconButton} icon="close" label="Close" onClick=${onClose} /></header>
      ${children}
    </div>
  </dialog>`;
}

/**
 * Horizontal bars. `rows`: {key, label, value (0 to 1), text (what stands at the end), tone, chosen, onClick, title}.
 * A row with `onClick` is a button.
 */
export function Bars({rows, label, class: name}) {
  const inside = (row) => html`<${Fragment}>
    <span class="bar-label">${row.label}</span>
    <span class="bar-track" aria-hidden="true"><span class="bar-fill" style=${{'--share': String(Math.max(0, Math.min(1, row.value)))}}></span></span>
    <span class="bar-text">${row.text ?? `${(100 * row.value).toFixed(1)}%`}</span>
  <//>`;
  return html`<ul class=${cx('bars', name)} aria-label=${label}>
    ${rows.map((row) => html`<li key=${row.key} class=${cx('bar', row.tone, row.chosen && 'chosen')} title=${row.title}>
      ${row.onClick
        ? html`<button type="button" onClick=${row.onClick} aria-current=${row.chosen ? 'true' : undefined}>${inside(row)}</button>`
        : html`<div class="bar-row">${inside(row)}</div>`}
    </li>`)}
  </ul>`;
}

const SIGNS = {bad: 'warn', warn: 'warn', info: 'info'};

/** A message in its place: what happened, and what to do about it. `tone`: bad, warn or info. */
export function Notice({tone = 'info', title, children, actions}) {
  return html`<div class=${cx('notice', tone)} role=${tone === 'bad' ? 'alert' : 'status'}>
    <${Icon} name=${SIGNS[tone]} />
    <div class="notice-text">${title && html`<strong>${title}</strong>`} ${children}</div>
    ${actions && html`<div class="notice-actions">${actions}</div>`}
  </div>`;
}

export function Spinner({label = 'Loading'}) {
  return html`<span class="spinner" role="status"><span class="unseen">${label}</span></span>`;
}
