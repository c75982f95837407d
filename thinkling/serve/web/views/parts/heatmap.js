// A matrix as colours: one pixel of a canvas per number, stretched. The pointer, or the arrow keys, read a number out.
import {cx, html, useEffect, useMemo, useRef, useState} from '../../lib/ui.js';
import {Fold, PagedTable} from './paged.js';
import {rounded} from './text.js';

/**
 * `values`: rows of numbers, null where there is none. `rows`, `columns`: names; `name(r, c)`: what a cell is called.
 * `signed`: two colours around zero, else one from zero up. `chosen`: the row that is marked. `square`: cells about as
 * wide as high, for maps of tokens against tokens; `wide`: names that need more room.
 */
export function HeatMap({title, values, rows, columns = null, signed = true, chosen = -1, square = false, wide = false, name, note, onPick}) {
  const [at, setAt] = useState(null);
  const width = values[0]?.length ?? 0;
  const cell = at && at[0] < values.length && at[1] < width ? at : null;
  const largest = useMemo(() => extent(values), [values]);
  const keyed = (event) => {
    const step = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
    if (event.key === 'Enter' && cell) onPick?.(...cell);
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const [r, c] = cell ?? [Math.max(0, chosen), -step[1]];
    const far = event.shiftKey ? 8 : 1;
    setAt([clamp(r + far * step[0], values.length), clamp(c + far * step[1], width)]);
  };
  const pointed = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    setAt([
      clamp(Math.floor(((event.clientY - box.top) / box.height) * values.length), values.length),
      clamp(Math.floor(((event.clientX - box.left) / box.width) * width), width),
    ]);
  };
  const value = cell && values[cell[0]][cell[1]];
  return html`<figure class=${cx('heat', square && 'square', wide && 'wide')}>
    <figcaption>${title}</figcaption>
    ${note && html`<p class="note">${note}</p>`}
    <div class="heat-body" style=${{'--rows': values.length, '--columns': width}}>
      <ol class="heat-rows" aria-hidden="true">${rows.map((one, r) => html`<li key=${r}
        class=${r === chosen ? 'chosen' : ''}>${one}</li>`)}</ol>
      <div class="heat-cells" role="application" aria-roledescription="heat map" tabindex="0"
        aria-label=${`${title}: ${values.length} rows, ${width} columns. The arrow keys go from number to number.`}
        onKeyDown=${keyed} onPointerMove=${pointed} onPointerDown=${pointed} onClick=${() => cell && onPick?.(...cell)}
        onFocus=${() => cell ?? setAt([Math.max(0, chosen), 0])}>
        <${Pixels} values=${values} signed=${signed} largest=${largest} />
        ${chosen >= 0 && html`<span class="heat-row-mark" style=${{'--at': chosen}}></span>`}
        ${cell && html`<span class="heat-mark" style=${{'--row': cell[0], '--column': cell[1]}}></span>`}
      </div>
      ${columns && html`<ol class=${cx('heat-columns', columns.length > 20 && 'dense')} aria-hidden="true">${columns.map((one, c) => html`<li
        key=${c}><span>${one}</span></li>`)}</ol>`}
    </div>
    <div class="heat-foot">
      <${Scale} signed=${signed} largest=${largest} />
      <output aria-live="polite">${cell ? html`${name(...cell)}: <b>${value === null ? 'masked' : rounded(value, 4)}</b>` : ''}</output>
    </div>
    <${Fold} title="As a table">${() => html`<${PagedTable} caption=${title} count=${values.length} size=${16}
      columns=${[{name: 'token'}, ...values[0].map((_, c) => ({name: columns?.[c] ?? c}))]}
      row=${(r) => [rows[r], ...values[r].map((one) => (one === null ? '·' : rounded(one, 4)))]} />`}<//>
  </figure>`;
}

const clamp = (value, size) => Math.min(size - 1, Math.max(0, value));

function extent(values) {
  let largest = 0;
  for (const row of values) for (const value of row) if (value !== null) largest = Math.max(largest, Math.abs(value));
  return largest || 1;
}

function Scale({signed, largest}) {
  return html`<span class="scale">${signed ? rounded(-largest, 2) : '0'}
    <i class=${signed ? 'signed' : 'plain'} aria-hidden="true"></i> ${rounded(largest, 2)}</span>`;
}

/** Only the colours, drawn again when the theme changes. `largest`: the number that has the full colour. */
export function Pixels({values, signed, largest}) {
  const canvas = useRef(null);
  const theme = useTheme();
  useEffect(() => {
    const at = canvas.current;
    const [height, width] = [values.length, values[0]?.length ?? 0];
    if (!height || !width) return;
    at.width = width;
    at.height = height;
    const context = at.getContext('2d');
    const image = context.createImageData(width, height);
    const [none, low, high, masked] = ['--heat-none', '--heat-low', '--heat-high', '--heat-masked'].map((name) => color(at, name));
    let k = 0;
    for (const row of values) {
      for (const value of row) {
        const share = value === null ? 0 : Math.min(1, Math.abs(value) / largest) ** (signed ? 0.75 : 0.6);
        const [from, to] = value === null ? [masked, masked] : [none, signed && value < 0 ? low : high];
        for (let part = 0; part < 3; part += 1) image.data[k + part] = from[part] + (to[part] - from[part]) * share;
        image.data[k + 3] = 255;
        k += 4;
      }
    }
    context.putImageData(image, 0, 0);
  }, [values, signed, largest, theme]);
  return html`<canvas ref=${canvas} aria-hidden="true"></canvas>`;
}

/** A custom property as [red, green, blue]: a canvas knows no light-dark(), an element does. */
function color(element, name) {
  element.style.setProperty('transition', 'none', 'important'); // or it would still have its last colour
  element.style.color = `var(${name})`;
  const made = getComputedStyle(element).color.match(/[\d.]+/g).map(Number);
  element.style.color = '';
  return made.slice(0, 3);
}

/** Something that changes when the page turns light or dark. */
function useTheme() {
  const [turn, set] = useState(0);
  useEffect(() => {
    const changed = () => set((before) => before + 1);
    const system = matchMedia('(prefers-color-scheme: dark)');
    system.addEventListener('change', changed);
    const chosen = new MutationObserver(changed);
    chosen.observe(document.documentElement, {attributes: true, attributeFilter: ['data-theme']});
    return () => {
      system.removeEventListener('change', changed);
      chosen.disconnect();
    };
  }, []);
  return turn;
}

const MASKED = new WeakMap();
/** A map of attention without what lies after each token; the same map gives the same object, so that it is drawn once. */
export function masked(map) {
  if (!MASKED.has(map)) MASKED.set(map, map.map((row, i) => row.map((value, j) => (j > i ? null : value))));
  return MASKED.get(map);
}
