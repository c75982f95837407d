// The picker of a reasoning strategy: its options as fields, and the strategy inside it.
import {NumberInput, Select, html, useId} from '../lib/ui.js';

export function StrategyFields({strategies, value, onChange, label = 'Strategy'}) {
  const known = strategies.find((one) => one.name === value.name);
  const set = (name, given) => {
    const options = {...value.options};
    if (given === '') delete options[name];
    else options[name] = given;
    onChange({...value, options});
  };
  return html`<div class="stack">
    <${Select} label=${label} value=${value.name} options=${strategies.map((one) => one.name)} hint=${known?.summary.replaceAll('`', '')}
      onChange=${(name) => onChange({name, options: {}, inner: null})} />
    ${known?.options.length > 0 && html`<div class="options">
      ${known.options.map((option) => html`<${Option} key=${`${value.name}.${option.name}`} option=${option} value=${value.options[option.name] ?? option.default ?? ''} onChange=${(given) => set(option.name, given)} />`)}
    </div>`}
    ${known?.inner && html`<div class="inner"><${StrategyFields} label="Each sample by" strategies=${strategies}
      value=${value.inner ?? {name: 'plain', options: {}, inner: null}} onChange=${(inner) => onChange({...value, inner})} /></div>`}
  </div>`;
}

function Option({option, value, onChange}) {
  const id = useId();
  if (option.type === 'choice') return html`<${Select} label=${option.name} value=${String(value)} options=${option.choices} onChange=${onChange} />`;
  if (option.type === 'bool') {
    return html`<${Select} label=${option.name} value=${String(value)} options=${['true', 'false']} onChange=${(given) => onChange(given === 'true')} />`;
  }
  const numeric = option.type === 'int' || option.type === 'float';
  return html`<div class="field"><label for=${id}>${option.name}</label>
    ${numeric
      ? html`<${NumberInput} id=${id} step=${option.type === 'int' ? 1 : 'any'} value=${value}
          onCommit=${(given) => onChange(Number.isFinite(given) ? given : '')} />`
      : html`<input id=${id} type="text" value=${value} onChange=${(event) => onChange(event.currentTarget.value.trim())} />`}</div>`;
}
