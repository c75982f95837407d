// The logit lens: what each layer's residual stream would say if it were the last (nostalgebraist 2020; Belrose et al.
// 2023 say where it errs: early layers may speak in another basis than the last).
import {Bars, html, Spinner, useLayoutEffect, useRef, useState} from '../../lib/ui.js';
import {Failure, useAsked} from '../parts/ask.js';
import {inline, percent} from '../parts/text.js';

export function Lens({api, body, empty}) {
  const asked = useAsked(empty ? null : (signal) => api.post('/api/glass/lens', {...body, top: 5}, {signal}), [body]);
  const [at, setAt] = useState(null);
  const table = useRef(null);
  const {tokens, layers} = asked.value ?? {};
  useLayoutEffect(() => {
    const scroll = table.current?.parentElement;
    if (scroll) scroll.scrollLeft = scroll.scrollWidth; // to what comes next
  }, [tokens]);
  if (!layers) return html`<${Failure} asked=${asked} />${asked.loading && html`<${Spinner} label="Looking inside" />`}`;
  const last = layers.length - 1;
  const [l, p] = at && at[0] <= last && at[1] < tokens.length ? at : [last, tokens.length - 1];
  const called = (layer) => (layer === 0 ? 'embeddings' : `after layer ${layer}`);
  const final = layers[last].top;
  const keyed = (event) => {
    const by = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
    const ends = {Home: [l, 0], End: [l, tokens.length - 1]}[event.key];
    if ((!by && !ends) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const to = ends ?? [Math.min(last, Math.max(0, l + by[0])), Math.min(tokens.length - 1, Math.max(0, p + by[1]))];
    setAt(to);
    table.current.tBodies[0].rows[to[0]].cells[to[1] + 1].focus();
  };
  const pointed = (event) => {
    const cell = event.target.closest('td');
    if (cell) setAt([cell.parentElement.rowIndex - 1, cell.cellIndex - 1]);
  };
  const rows = layers[l].top[p].map((one) => ({
    key: one.id, label: inline(one.text, 20), value: one.probability, text: percent(one.probability), chosen: one.id === final[p][0].id,
  }));
  return html`<div class="lens" aria-busy=${asked.loading}>
    <p class="lead">After every layer, the residual stream is put through the last norm and the output table, as if it were finished (the logit
      lens). A cell shows the likeliest next token and, by its colour, how likely; a frame says that the last layer agrees. Early layers
      need not speak this language yet, so read them with care: where the output table is the embedding table, the first row
      mostly names the token that was just read.</p>
    <div class="lens-and-panel">
      <div class="scroll lens-scroll" onPointerOver=${pointed}>
        <table ref=${table} role="grid" aria-label="Likeliest next token, layer by layer" onKeyDown=${keyed}>
          <thead><tr><th scope="col">after the token</th>${tokens.map((token, t) => html`<th key=${t} scope="col"
            class=${t === p ? 'at' : ''}>${inline(token.text, 12)}</th>`)}</tr></thead>
          <tbody>${layers.map((layer, k) => html`<tr key=${k}>
            <th scope="row" class=${k === l ? 'at' : ''}>${called(layer.layer)}</th>
            ${layer.top.map((top, t) => html`<td key=${t} tabindex=${k === l && t === p ? 0 : -1}
              class=${`${top[0].id === final[t][0].id ? 'settled' : ''}${k === l && t === p ? ' at' : ''}`}
              style=${{'--p': `${Math.round(100 * top[0].probability)}%`}} onFocus=${() => setAt([k, t])}
              >${inline(top[0].text, 10)}<span class="unseen">, ${percent(top[0].probability)}</span></td>`)}
          </tr>`)}</tbody>
        </table>
      </div>
      <aside class=${`card panel${at ? ' asked' : ''}`} aria-live="polite">
        <h2>${l === 0 ? 'From the embeddings' : `After layer ${layers[l].layer}${l === last ? ', the last' : ''}`}</h2>
        <p class="note">What comes after “${inline(tokens[p].text)}”, place ${p + 1}</p>
        <${Bars} label="Five likeliest tokens" rows=${rows} />
      </aside>
    </div>
  </div>`;
}
