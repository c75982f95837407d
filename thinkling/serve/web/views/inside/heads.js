// Attention of every head of every layer, small; one of them large, as a map and as lines.
import {html, Spinner, useMemo} from '../../lib/ui.js';
import {Failure, useAsked} from '../parts/ask.js';
import {HeatMap, masked, Pixels} from '../parts/heatmap.js';
import {Strip} from '../parts/strip.js';
import {inline, percent} from '../parts/text.js';

const LINE = 22; // height of a token in the drawing of lines
const SIDE = 116; // width of its labels
const ACROSS = 190;

export function Heads({api, body, place, move, empty, onWalk}) {
  const asked = useAsked(empty ? null : (signal) => api.post('/api/glass/attention', body, {signal}), [body]);
  const {tokens, weights} = asked.value ?? {};
  if (!weights) return html`<${Failure} asked=${asked} />${asked.loading && html`<${Spinner} label="Looking inside" />`}`;
  const layer = Math.min(place.layer, weights.length - 1);
  const head = Math.min(place.head, weights[layer].length - 1);
  const at = place.position < 0 ? tokens.length - 1 : Math.min(place.position, tokens.length - 1);
  const names = tokens.map((token) => inline(token.text, 14));
  return html`<div aria-busy=${asked.loading}>
    <p class="lead">Each square is a head: a row looks back, a column is looked at. Some heads look at the token before, some at the first
      token (where attention rests that is not needed elsewhere: an attention sink), some gather what belongs together.</p>
    <${Grid} weights=${weights} layer=${layer} head=${head} move=${move} />
    <section class="card large-head" aria-labelledby="head-title">
      <div class="section-head"><h2 id="head-title">Layer ${layer + 1}, head ${head + 1}</h2>
        <button type="button" class="button small" onClick=${onWalk}>Walk through this head</button></div>
      <${Habits} map=${weights[layer][head]} />
      <${Strip} label="The token that looks back" tokens=${tokens} chosen=${at} onChoose=${(to) => move({position: to})} />
      <div class="beside">
        <${HeatMap} square title="Attention" signed=${false} values=${masked(weights[layer][head])} rows=${names} columns=${names}
          chosen=${at}
          name=${(r, c) => `“${names[r]}” at “${names[c]}”`} onPick=${(to) => move({position: to})} />
        <${Lines} map=${weights[layer][head]} names=${names} at=${at} pick=${(to) => move({position: to})} />
      </div>
    </section>
  </div>`;
}

function Grid({weights, layer, head, move}) {
  const heads = weights[0].length;
  return html`<div class="heads scroll" role="group" aria-label="Heads, one row for each layer" tabindex="-1">
    <table style=${{'--heads': heads}}>
      <caption class="unseen">Attention of every head</caption>
      <thead><tr><td></td>${weights[0].map((_, h) => html`<th key=${h} scope="col">head ${h + 1}</th>`)}</tr></thead>
      <tbody>${weights.map((row, l) => html`<tr key=${l}>
        <th scope="row">layer ${l + 1}</th>
        ${row.map((map, h) => html`<td key=${h}><button type="button" class="head" aria-pressed=${String(l === layer && h === head)}
          aria-label=${`Layer ${l + 1}, head ${h + 1}`} onClick=${() => move({layer: l, head: h})}
          onKeyDown=${(event) => stepped(event, l, h)}><${Pixels} values=${masked(map)} signed=${false} largest=${1} /></button></td>`)}
      </tr>`)}</tbody>
    </table>
  </div>`;
}

/** The arrow keys go from head to head. */
function stepped(event, l, h) {
  const by = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
  if (!by) return;
  event.preventDefault();
  const body = event.currentTarget.closest('tbody');
  body.rows[l + by[0]]?.cells[h + by[1] + 1]?.querySelector('button')?.focus();
}

/** On what the head's attention falls, on the mean over all tokens but the first, which has no choice. */
function Habits({map}) {
  const shares = useMemo(() => {
    const rows = map.slice(1);
    const mean = (of) => (rows.length ? rows.reduce((total, row, i) => total + of(row, i + 1), 0) / rows.length : 0);
    return [
      ['the first token', mean((row) => row[0])],
      ['the token before', mean((row, i) => row[i - 1])],
      ['the token itself', mean((row, i) => row[i])],
    ];
  }, [map]);
  if (map.length < 2) return null;
  return html`<p>On average, ${shares.map(([name, share], k) => html`${['', ', ', ' and '][k]}<b>${percent(share)}</b>
    ${k ? ' on' : ' of the attention falls on'} ${name}`)}.</p>`;
}

/** Tokens on the left look at tokens on the right; a line is as strong as its weight. */
function Lines({map, names, at, pick}) {
  const height = names.length * LINE;
  const y = (i) => (i + 0.5) * LINE;
  const lines = map.flatMap((row, i) => row.slice(0, i + 1).map((weight, j) => ({i, j, weight})).filter(({weight}) => weight >= 0.02));
  const width = 2 * SIDE + ACROSS;
  return html`<figure class="lines">
    <figcaption>Who looks at whom</figcaption>
    <p class="note">From the left, a token looks at those on the right. The lines of “${names[at]}” are in colour.</p>
    <div class="scroll" tabindex="0" role="group" aria-label="Lines of attention"><svg viewBox=${`0 0 ${width} ${height}`} width=${width}
      height=${height} aria-hidden="true">
      ${lines.filter(({i}) => i !== at).map(({i, j, weight}) => html`<line key=${`${i} ${j}`} class="other" x1=${SIDE} x2=${SIDE + ACROSS}
        y1=${y(i)} y2=${y(j)}
        stroke-opacity=${0.35 * weight} />`)}
      ${lines.filter(({i}) => i === at).map(({j, weight}) => html`<line key=${`at ${j}`} class="own" x1=${SIDE} x2=${SIDE + ACROSS}
        y1=${y(at)} y2=${y(j)}
        stroke-width=${1 + 4 * weight} stroke-opacity=${0.25 + 0.75 * weight} />`)}
      ${names.map((name, i) => html`<g key=${i} class=${i === at ? 'own' : ''} onClick=${() => pick(i)}>
        <rect x="0" y=${i * LINE} width=${SIDE - 4} height=${LINE} rx="4" /><text x=${SIDE - 10} y=${y(i)} text-anchor="end"
          dominant-baseline="central">${name}</text></g>
        <text key=${`right ${i}`} class=${map[at][i] >= 0.02 && i <= at ? 'seen' : 'faint'} x=${SIDE + ACROSS + 8} y=${y(i)}
          dominant-baseline="central">${name}</text>`)}
    </svg></div>
  </figure>`;
}
