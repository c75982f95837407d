// The six steps of attention, for one head of one layer: tokens, queries and keys, scores, weights, context, next token.
// The scaled dot-product attention of Vaswani et al. 2017, section 3.2; grouped queries of Ainslie et al. 2023.
import {Bars, html, Select, Spinner} from '../../lib/ui.js';
import {Failure, useAsked} from '../parts/ask.js';
import {Formula, n, o, over, root, row, sub, sum, t, v} from '../parts/formula.js';
import {HeatMap, masked} from '../parts/heatmap.js';
import {Strip} from '../parts/strip.js';
import {counted, inline, percent, rounded} from '../parts/text.js';

export function Walk({api, body, place, move, empty}) {
  const {layer, head, position} = place;
  const ask = empty ? null : (signal) => api.post('/api/glass/walk', {...body, layer, head, position}, {signal});
  const asked = useAsked(ask, [body, layer, head, position]);
  const walk = asked.value;
  if (!walk) return html`<${Failure} asked=${asked} />${asked.loading && html`<${Spinner} label="Looking inside" />`}`;
  const at = walk.position;
  const names = walk.tokens.map((token) => inline(token.text, 14));
  const given = {walk, names, at, pick: (to) => move({position: to})};
  return html`
    <${Pickers} walk=${walk} place=${place} move=${move} loading=${asked.loading} />
    <div class="walk-steps" aria-busy=${asked.loading}>
      <${Embedding} ...${given} />
      <${Projections} ...${given} />
      <${Scores} ...${given} />
      <${Weights} ...${given} />
      <${Context} ...${given} />
      <${NextToken} ...${given} />
    </div>`;
}

function Pickers({walk, place, move, loading}) {
  const numbers = (count, word) => Array.from({length: count}, (_, i) => ({value: String(i), label: `${word} ${i + 1} of ${count}`}));
  return html`<div class="pickers card">
    <${Select} label="Layer" value=${String(place.layer)} options=${numbers(walk.layers, 'layer')}
      onChange=${(to) => move({layer: Number(to)})} />
    <${Select} label="Head" value=${String(place.head)} options=${numbers(walk.heads, 'head')}
      onChange=${(to) => move({head: Number(to)})} />
    <${Strip} label="Position: the token that looks back" tokens=${walk.tokens} chosen=${walk.position}
      onChoose=${(to) => move({position: to})} />
    ${loading && html`<${Spinner} label="Looking inside" />`}
  </div>`;
}

function Step({number, title, children}) {
  return html`<section class="walk-step card" aria-labelledby=${`step-${number}`}>
    <h2 id=${`step-${number}`}><span class="step-number" aria-hidden="true">${number}</span>${title}</h2>
    ${children}
  </section>`;
}

function Embedding({walk, names, at}) {
  const shared = {rows: names, chosen: at, name: (r, c) => `“${names[r]}”, number ${c + 1} of ${walk.width}`};
  return html`<${Step} number=${1} title="Tokens become vectors">
    <p>Each token’s id picks a row of ${counted(walk.width)} numbers from a table with ${counted(walk.vocabulary)} rows: its embedding. The same
      token gets the same row wherever it stands.</p>
    <${Formula}>${row(sub(v('x'), v('t')), o('='), v('E'), o('['), sub(t('id'), v('t')), o(']'))}<//>
    <${HeatMap} title="Embeddings" values=${walk.embedding} ...${shared}
      rows=${names.map((name, i) => `${walk.tokens[i].id}  ${name}`)} wide
      note="Each row: the token’s id, the token, and its numbers as colours." />
    ${walk.layer > 0 && html`<p>By layer ${walk.layer + 1} the layers before have added to these vectors what they found out.
      This sum is the residual stream.</p>
      <${HeatMap} title=${`What layer ${walk.layer + 1} reads`} values=${walk.residual} ...${shared} />`}
  <//>`;
}

function Projections({walk, names, at}) {
  const shared = walk.heads / walk.kv_heads;
  const first = Math.floor(walk.head / shared) * shared;
  const maps = [['Query', walk.query], ['Key', walk.key], ['Value', walk.value]];
  return html`<${Step} number=${2} title="Query, key and value">
    <p>The vectors are normalised (RMSNorm), and three learned matrices turn each into a query (what this token looks for), a key (what it
      offers to be found by) and a value (what it hands over). Head ${walk.head + 1} sees ${walk.head_dim} numbers of each.</p>
    <${Formula}>${['q', 'k', 'v'].map((name) => row(
      sub(v(name), v('t')), o('='), sub(v('W'), v(name)), t('norm'), o('('), sub(v('x'), v('t')), o(')'),
    ))}<//>
    <p class="note">Queries and keys are shown after rotary positions, which turn pairs of their numbers by an angle that grows with the position,
      and, in models of the Qwen3 kind, after a norm of their own (QK-norm).
      ${shared > 1 && ` ${counted(walk.heads)} heads share ${counted(walk.kv_heads)} sets of keys and values (grouped-query attention):
        heads ${first + 1} to ${first + shared} read these same keys and values.`}</p>
    <div class="abreast">${maps.map(([title, values]) => html`<${HeatMap} key=${title} title=${title} values=${values} rows=${names}
      chosen=${at}
      name=${(r, c) => `${title.toLowerCase()} of “${names[r]}”, number ${c + 1}`} />`)}</div>
  <//>`;
}

function Scores({walk, names, at, pick}) {
  return html`<${Step} number=${3} title="Scores">
    <p>How well does a query fit a key? Their dot product says it, divided by the square root of their length,
      √${walk.head_dim} = ${rounded(Math.sqrt(walk.head_dim))}, so that scores do not grow with it. A token looks only at itself and at what came before: later places are masked.</p>
    <${Formula}>${row(
      sub(v('s'), row(v('i'), v('j'))), o('='), over(row(sub(v('q'), v('i')), o('·'), sub(v('k'), v('j'))), root(n(walk.head_dim))),
    )}${row(v('j'), o('≤'), v('i'))}<//>
    <div class="beside">
      <${HeatMap} square title="Scores" note="A row looks back, a column is looked at." values=${walk.scores} rows=${names} columns=${names}
        chosen=${at}
        name=${(r, c) => `query of “${names[r]}” with key of “${names[c]}”`} onPick=${pick} />
      <${Products} walk=${walk} names=${names} at=${at} />
    </div>
  <//>`;
}

/** The scores of the chosen place, worked out: the dot product, and what is left of it after the division. */
function Products({walk, names, at}) {
  const dot = (j) => walk.query[at].reduce((total, value, k) => total + value * walk.key[j][k], 0);
  const best = walk.scores[at].map((score, j) => ({score, j})).filter(({score}) => score !== null).sort((a, b) => b.score - a.score).slice(0, 12);
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Scores, worked out"><table class="products">
    <caption>What the query of “${names[at]}” finds${at >= 12 ? ': the 12 best keys' : ', best first'}</caption>
    <thead><tr><th scope="col" class="text">key of</th><th scope="col">q · k</th><th
      scope="col">÷ ${rounded(Math.sqrt(walk.head_dim))} = score</th></tr></thead>
    <tbody>${best.map(({score, j}) => html`<tr key=${j}><th scope="row"
      class="text mono">${names[j]}</th><td>${rounded(dot(j))}</td><td>${rounded(score)}</td></tr>`)}</tbody>
  </table></div>`;
}

function Weights({walk, names, at, pick}) {
  const weights = walk.weights[at];
  const rows = weights.slice(0, at + 1).map((value, j) => ({key: j, label: names[j], value, text: percent(value), title: `position ${j + 1}`}));
  const most = rows.length > 16 ? [...rows].sort((a, b) => b.value - a.value).slice(0, 16) : rows;
  return html`<${Step} number=${4} title="Weights">
    <p>The softmax turns a row of scores into shares of attention, which add up to 1. A score that is larger by 1 gets a
      weight 2.72 times as large.</p>
    <${Formula}>${row(
      sub(v('a'), row(v('i'), v('j'))), o('='),
      over(row(t('exp'), sub(v('s'), row(v('i'), v('j')))), row(sum(row(v('m'), o('≤'), v('i'))), t('exp'), sub(v('s'), row(v('i'), v('m'))))),
    )}<//>
    <div class="beside">
      <${HeatMap} square title="Attention" note="A row looks back, a column is looked at." signed=${false} values=${masked(walk.weights)}
        rows=${names} columns=${names} chosen=${at}
        name=${(r, c) => `“${names[r]}” at “${names[c]}”`} onPick=${pick} />
      <div><h3>Where “${names[at]}” looks${rows.length > 16 ? ': the 16 largest' : ''}</h3>
        <${Bars} label=${`Attention of ${names[at]}`} rows=${most} /></div>
    </div>
  <//>`;
}

function Context({walk, names, at}) {
  const parts = walk.weights[at].slice(0, at + 1).map((value, j) => [value, j]).sort((a, b) => b[0] - a[0]).slice(0, 4);
  return html`<${Step} number=${5} title="The context vector">
    <p>What the head brings back is the mean of the values, weighted by attention.</p>
    <${Formula}>${row(sub(v('c'), v('i')), o('='), sum(row(v('j'), o('≤'), v('i'))), sub(v('a'), row(v('i'), v('j'))), sub(v('v'), v('j')))}<//>
    <p class="note">For “${names[at]}”: ${parts.map(([value, j], k) => `${k ? ' + ' : ''}${rounded(value)} × value of “${names[j]}”`).join('')}${at >= 4 ? ' + …' : ''}</p>
    <${HeatMap} title="Context vectors" values=${walk.context} rows=${names} chosen=${at}
      name=${(r, c) => `context of “${names[r]}”, number ${c + 1}`} />
    <p>The context vectors of all ${counted(walk.heads)} heads, side by side, pass through one more matrix and are added to the residual stream; then a
      feed-forward network adds its own. So it goes on through ${counted(walk.layers)} layers.</p>
  <//>`;
}

function NextToken({walk, names, at}) {
  const rows = walk.logits.map((one) => ({
    key: one.id, label: inline(one.text, 24), value: one.probability, text: percent(one.probability), title: `id ${one.id}, logit ${rounded(one.logit)}`,
  }));
  const surprise = Math.exp(walk.entropy);
  return html`<${Step} number=${6} title="The next token">
    <p>After the last layer and a last norm, the vector at this place is compared with a vector for each of the ${counted(walk.vocabulary)} tokens: their dot
      products are the logits, and a softmax makes them probabilities.</p>
    <${Formula}>${row(
      v('p'), o('('), v('w'), o(')'), o('='), over(row(t('exp'), sub(v('z'), v('w'))), row(sum(v('u')), t('exp'), sub(v('z'), v('u')))),
    )}${row(
      sub(v('z'), v('w')), o('='), sub(v('U'), v('w')), o('·'), t('norm'), o('('), v('h'), o(')'),
    )}<//>
    <h3>What comes after “${names[at]}”: the ${walk.logits.length} likeliest</h3>
    <${Bars} label="The likeliest next tokens" rows=${rows} />
    <p class="note">Entropy ${rounded(walk.entropy)} nats: as unsure as an even choice among ${rounded(surprise, 2)} tokens.</p>
  <//>`;
}
