// Training runs: their curves, live while they train, and their reports.
import {explain} from '../lib/api.js';
import {cx, html, Notice, Segmented, Select, Slider, Spinner, Switch, useEffect, useLoad, useState, useStored} from '../lib/ui.js';
import {Chart} from './parts/chart.js';
import {families} from './parts/scale.js';
import {useCurves} from './runs/curves.js';

const AGAIN = 10_000; // ms between two looks at the list, while something runs
const STATES = {running: 'training', done: 'finished', stopped: 'stopped'};
// What the families of series mean, in the order in which people ask for them; others come after.
const MEANINGS = {
  loss: ['Loss', 'what training lowers, on the batch of the step'],
  val_bpb: ['Held-out bits per byte', 'of text that is not trained on'],
  reward: ['Reward', 'mean over the sampled answers'],
  held_out: ['Held out', 'on problems that are not trained on'],
  length: ['Length', 'tokens of an answer'],
  entropy: ['Entropy', 'nats per sampled token'],
  kl: ['KL divergence', 'from the model before'],
  gradient_norm: ['Gradient norm', 'before clipping'],
  tokens_per_second: ['Tokens per second', ''],
  rate_factor: ['Learning rate', 'as a share of its peak'],
};

export default function View({api, params}) {
  const found = useLoad((signal) => api.get('/api/runs', {signal}), []);
  const runs = found.value?.runs ?? [];
  const running = runs.some((one) => one.state === 'running');
  useEffect(() => {
    const timer = running ? setInterval(() => document.hidden || found.reload(), AGAIN) : 0;
    return () => clearInterval(timer);
  }, [running]);
  if (!found.value) {
    const why = found.error && explain(found.error);
    return why
      ? html`<${Notice} tone="bad" title=${why.title} actions=${html`<button type="button" class="button small"
        onClick=${found.reload}>Retry</button>`}>${why.advice}<//>`
      : html`<${Spinner} label="Looking for runs" />`;
  }
  if (!runs.length) return html`<${Notice}
    title="There is no run here yet.">Train a model with <code>thinkling run nano</code>, and its curves appear here while it trains.<//>`;
  const run = runs.find((one) => one.id === params.id) ?? runs[0];
  return html`<div class="view runs-view">
    <nav class="run-list" aria-label="Runs">
      <ul>${runs.map((one) => html`<li key=${one.id}><a href=${`#/runs/${encodeURIComponent(one.id)}`}
        aria-current=${one.id === run.id ? 'page' : undefined}>
        <b>${one.name}</b><span
          class=${cx('state', one.state)}>${STATES[one.state] ?? one.state}</span><small>${ago(one.updated)}</small></a></li>`)}</ul>
    </nav>
    <${Run} key=${run.id} api=${api} run=${run} runs=${runs} stage=${params.path[1]} />
  </div>`;
}

function Run({api, run, runs, stage: wanted}) {
  const stages = run.stages.filter((one) => one.series);
  const [chosen, choose] = useState(wanted ?? '');
  const [shown, show] = useState(stages.length ? 'curves' : 'report');
  const stage = stages.find((one) => one.name === chosen) ?? stages.find((one) => one.state === 'running') ?? stages.at(-1);
  const tabs = [{value: 'curves', label: 'Curves'}, {value: 'report', label: 'Report'}];
  return html`<section class="run" aria-labelledby="run-title">
    <div class="section-head"><h2 id="run-title">${run.name}</h2>
      ${run.report && stages.length > 0 && html`<${Segmented} label="What to show" bare value=${shown} options=${tabs}
        onChange=${show} />`}</div>
    <ol class="stages" aria-label="Stages">${run.stages.map((one) => html`<li key=${one.name}
      class=${cx('stage', one.state)}>${one.name}<span class="unseen"> (${STATES[one.state] ?? one.state})</span></li>`)}</ol>
    ${shown === 'curves' && stage && html`<${Curves} api=${api} run=${run} runs=${runs} stages=${stages} stage=${stage}
      choose=${choose} />`}
    ${shown === 'report' && run.report && html`<${Report} run=${run} />`}
    ${!stage && !run.report && html`<p class="muted">None of its stages has written curves or a report so far.</p>`}
  </section>`;
}

function Curves({api, run, runs, stages, stage, choose}) {
  const [log, setLog] = useStored('runs.log', false);
  const [smooth, setSmooth] = useStored('runs.smooth', 0.6);
  const [beside, setBeside] = useState('');
  const live = stage.state === 'running';
  const curves = useCurves(api, run.id, stage.name, live);
  const others = runs.filter((one) => one.id !== run.id && one.stages.some((other) => other.name === stage.name && other.series));
  const other = others.find((one) => one.id === beside);
  const compared = useCurves(api, other?.id ?? '', stage.name, other?.stages.find((one) => one.name === stage.name).state === 'running');
  const charts = families([...curves.series.keys()]).sort(([a], [b]) => rank(a) - rank(b));
  const seriesOf = (names) => names.flatMap((name, k) => [
    {name, label: short(name), points: curves.series.get(name), tone: k % 6, dashed: k >= 6},
    ...(other && compared.series.has(name)
      ? [{
        name: `${other.id} ${name}`, label: `${short(name)}, ${other.name}`, points: compared.series.get(name),
        tone: (k + (names.length > 1 ? 0 : 1)) % 6, dashed: true,
      }]
      : []),
  ]);
  return html`
    <div class="controls card">
      <${Select} label="Stage" value=${stage.name}
        options=${stages.map((one) => ({value: one.name, label: one.state === 'running' ? `${one.name} (training)` : one.name}))}
        onChange=${choose} />
      ${others.length > 0 && html`<${Select} label="Compare with" value=${beside}
        options=${[{value: '', label: 'nothing'}, ...others.map((one) => ({value: one.id, label: one.name}))]} onChange=${setBeside} />`}
      <${Slider} label="Smoothing" min=${0} max=${0.99} step=${0.01} exact=${false} value=${smooth}
        format=${(value) => (value ? value.toFixed(2) : 'none')} onChange=${setSmooth} hint="Curves of fewer than 40 points stay as they are." />
      <${Switch} label="Logarithmic scale" checked=${log} onChange=${setLog} />
      ${live && html`<span class="live-mark"><i aria-hidden="true"></i>live</span>`}
    </div>
    ${curves.error && html`<${Notice} tone=${live ? 'warn' : 'bad'}
      title=${explain(curves.error).title}>${explain(curves.error).advice}${live ? ' It is asked again by itself.' : ''}<//>`}
    ${!curves.loaded && !curves.error && html`<${Spinner} label="Loading curves" />`}
    ${curves.loaded && charts.length === 0 && html`<p class="muted">This stage has logged nothing yet.</p>`}
    <div class="charts">${charts.map(([title, names]) => html`<${Chart} key=${title}
      title=${MEANINGS[title]?.[0] ?? title.replaceAll('_', ' ')} note=${MEANINGS[title]?.[1]}
      series=${seriesOf(names)} log=${log} smooth=${smooth} />`)}</div>`;
}

/** A series' name within its family: held_out.coin is coin there. */
const short = (name) => name.replace(/^[^./]*[./]/, '');
const ORDER = Object.keys(MEANINGS);
const rank = (family) => (family in MEANINGS ? ORDER.indexOf(family) : ORDER.length);

/** The report is a page of its own, with scripts of its own: in a frame that may run them and do nothing else. */
function Report({run}) {
  const address = `/runs/${encodeURIComponent(run.id)}/report`;
  return html`<div class="report">
    <p><a href=${address} target="_blank" rel="noopener">Open the report in its own tab</a></p>
    <iframe src=${address} title=${`Report of ${run.name}`} sandbox="allow-scripts" loading="lazy"></iframe>
  </div>`;
}

/** A moment (seconds since 1970, or an ISO date) as people say it. */
function ago(moment) {
  const then = typeof moment === 'number' ? moment * 1000 : Date.parse(moment);
  if (!Number.isFinite(then)) return '';
  const seconds = Math.max(0, (Date.now() - then) / 1000);
  const [size, unit] = [[60, 'second'], [3600, 'minute'], [86_400, 'hour'], [Infinity, 'day']].find(([limit]) => seconds < limit);
  const count = Math.floor(seconds / {second: 1, minute: 60, hour: 3600, day: 86_400}[unit]);
  return new Intl.RelativeTimeFormat('en', {numeric: 'auto'}).format(-count, unit);
}
