// A line chart: axes, several series, and a cursor that the pointer or the arrow keys move from step to step.
import {cx, html, useLayoutEffect, useMemo, useRef, useState} from '../../lib/ui.js';
import {Fold, PagedTable} from './paged.js';
import {FEW, logTicks, nearest, smoothed, thinned, ticks} from './scale.js';
import {counted, rounded} from './text.js';

const HEIGHT = 240;
const EDGE = {top: 10, right: 14, bottom: 26, left: 54};

/**
 * `series`: [{name, label, points: [[step, value], ...], tone: 0..5, dashed}], steps rising. `log`: a logarithmic
 * scale, where all values allow one; `smooth`: from 0 to below 1, the weight of what came before.
 */
export function Chart({title, note, series, log, smooth}) {
  const box = useRef(null);
  const width = useWidth(box);
  const [hidden, setHidden] = useState([]);
  const [step, setStep] = useState(null);
  const shown = series.filter((one) => !hidden.includes(one.name) && one.points.length);
  const drawn = useMemo(() => shown.map((one) => ({...one, line: smoothed(one.points, smooth)})), [series, hidden, smooth]);
  const view = useMemo(() => viewOf(drawn, log, smooth, width), [drawn, log, smooth, width]);
  const steps = useMemo(() => [...new Set(shown.flatMap((one) => one.points.map(([at]) => at)))].sort((a, b) => a - b), [series, hidden]);
  const axis = useMemo(() => steps.map((at) => [at]), [steps]);
  const current = step === null || !steps.length ? null : steps[nearest(axis, step)];
  const toggle = (name) => setHidden((before) => (before.includes(name) ? before.filter((one) => one !== name) : [...before, name]));
  const keyed = (event) => {
    const at = current === null ? steps.length - 1 : steps.indexOf(current);
    const far = Math.max(1, Math.round(steps.length / 20));
    const by = {ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -far, PageUp: far}[event.key];
    const to = by ? at + by : {Home: 0, End: steps.length - 1}[event.key];
    if (event.key === 'Escape') setStep(null);
    if (to === undefined || !steps.length || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    setStep(steps[Math.min(steps.length - 1, Math.max(0, to))]);
  };
  const pointed = (event) => {
    const left = event.clientX - box.current.getBoundingClientRect().left;
    setStep(view.stepAt(left));
  };
  const reading = current === null ? null : drawn.map((one) => ({...one, read: readAt(one, current)})).filter((one) => one.read);
  const told = reading && `step ${counted(current)}: ${reading.map((one) => `${one.label} ${rounded(one.read.value, 4)}`).join(', ')}`;
  const logged = log && !view.log;
  return html`<figure class="chart card">
    <figcaption>${title}${note && html`<small>${note}</small>`}</figcaption>
    <ul class="chart-legend">${series.map((one) => html`<li key=${one.name}>${series.length > 1
      ? html`<button type="button" aria-pressed=${String(!hidden.includes(one.name))} onClick=${() => toggle(one.name)}><${Sign}
        of=${one} /> ${one.label}</button>`
      : html`<span><${Sign} of=${one} /> ${one.label}</span>`}
      <span class="number">${rounded((reading?.find((other) => other.name === one.name)?.read ?? {value: one.points.at(-1)?.[1]}).value, 4)}</span></li>`)}
      <li class="chart-at">${current === null ? (steps.length ? `last step ${counted(steps.at(-1))}` : '') : `step ${counted(current)}`}</li></ul>
    <div ref=${box} class="plot" role="slider" tabindex="0" aria-label=${`${title}: a step to read values at`}
      aria-valuemin=${steps[0] ?? 0}
      aria-valuemax=${steps.at(-1) ?? 0} aria-valuenow=${current ?? steps.at(-1) ?? 0}
      aria-valuetext=${told ?? `${counted(steps.length)} steps; the arrow keys go through them`}
      onKeyDown=${keyed} onPointerMove=${pointed} onPointerDown=${pointed} onPointerLeave=${() => setStep(null)} onBlur=${() => setStep(null)}>
      ${view.empty
        ? html`<p class="muted plot-empty">Nothing to draw yet.</p>`
        : html`<${Drawing} view=${view} drawn=${drawn} current=${current} reading=${reading} width=${width} />`}
    </div>
    ${logged && html`<p class="note">Values at or below zero have no logarithm, so this scale stays linear.</p>`}
    <${Fold} title="As a table">${() => html`<${Values} title=${title} series=${shown} steps=${steps} />`}<//>
  </figure>`;
}

const Sign = ({of}) => html`<i class=${cx('sign', `tone-${of.tone}`, of.dashed && 'dashed')} aria-hidden="true"></i>`;

/** The axes, the lines, and the cursor on them. */
function Drawing({view, drawn, current, reading, width}) {
  const {x, y} = view;
  const lines = useMemo(() => drawn.map((one) => ({
    ...one,
    raw: one.line === one.points ? null : path(thinned(one.points), view),
    d: path(thinned(one.line), view),
  })), [drawn, view]);
  return html`<svg width=${width} height=${HEIGHT} viewBox=${`0 0 ${width} ${HEIGHT}`} aria-hidden="true">
    ${view.yTicks.map((value) => html`<g key=${`y${value}`}><line class="grid" x1=${EDGE.left} x2=${width - EDGE.right} y1=${y(value)}
      y2=${y(value)} />
      <text x=${EDGE.left - 8} y=${y(value)} text-anchor="end" dominant-baseline="central">${rounded(value)}</text></g>`)}
    ${view.xTicks.map((value) => html`<text key=${`x${value}`} x=${x(value)} y=${HEIGHT - 8}
      text-anchor="middle">${counted(value)}</text>`)}
    <svg x=${EDGE.left} y=${EDGE.top} width=${view.width} height=${view.height}
      viewBox=${`${EDGE.left} ${EDGE.top} ${view.width} ${view.height}`}>
      ${lines.map((one) => one.raw && html`<path key=${`raw ${one.name}`} class=${`raw tone-${one.tone}`} d=${one.raw} />`)}
      ${lines.map((one) => html`<path key=${one.name} class=${cx('line', `tone-${one.tone}`, one.dashed && 'dashed')} d=${one.d} />`)}
    </svg>
    ${drawn.filter((one) => one.points.length < FEW).map((one) => one.points.map(([step, value], k) => value !== null && html`<circle
      key=${`${one.name} ${k}`} class=${cx('point', `tone-${one.tone}`)} cx=${x(step)} cy=${y(value)} r="2.5" />`))}
    ${current !== null && html`<line class="cursor" x1=${x(current)} x2=${x(current)} y1=${EDGE.top} y2=${HEIGHT - EDGE.bottom} />`}
    ${reading?.map((one) => html`<circle key=${`dot ${one.name}`} class=${`tone-${one.tone}`} cx=${x(one.read.step)}
      cy=${y(one.read.smooth)} r="3.5" />`)}
  </svg>`;
}

function Values({title, series, steps}) {
  const found = useMemo(() => series.map((one) => new Map(one.points)), [series]);
  return html`<${PagedTable} caption=${title} count=${steps.length} size=${25}
    columns=${[{name: 'step'}, ...series.map((one) => ({name: one.label}))]}
    row=${(i) => [counted(steps[i]), ...found.map((values) => rounded(values.get(steps[i]) ?? null, 4))]} />`;
}

/** Scales and ticks for what is drawn. Where lines are smoothed, single points may leave the picture: a hundredth at each end. */
function viewOf(drawn, log, smooth, width) {
  const finite = (points) => points.map(([, value]) => value).filter((value) => value !== null);
  const values = Float64Array.from(drawn.flatMap((one) => finite(one.points))).sort();
  const steps = drawn.flatMap((one) => [one.points[0][0], one.points.at(-1)[0]]);
  if (!values.length || width === 0) return {empty: true, log: true, stepAt: () => null};
  const logged = log && values[0] > 0;
  let [low, high] = [values[0], values.at(-1)];
  if (smooth > 0) {
    const lines = Float64Array.from(drawn.flatMap((one) => finite(one.line))).sort();
    const at = (share) => values[Math.round(share * (values.length - 1))];
    [low, high] = [Math.min(lines[0], at(0.01)), Math.max(lines.at(-1), at(0.99))];
  }
  const [from, to] = [Math.min(...steps), Math.max(...steps)];
  if (low === high) [low, high] = logged ? [low / 2, high * 2] : [low - (Math.abs(low) || 1) / 10, high + (Math.abs(high) || 1) / 10];
  const bend = logged ? Math.log10 : (value) => value;
  const room = (bend(high) - bend(low)) * 0.04;
  const [bottom, top] = [bend(low) - room, bend(high) + room];
  const inner = {width: Math.max(10, width - EDGE.left - EDGE.right), height: HEIGHT - EDGE.top - EDGE.bottom};
  const x = (step) => EDGE.left + (to === from ? 0.5 : (step - from) / (to - from)) * inner.width;
  const y = (value) => EDGE.top + (1 - (bend(value) - bottom) / (top - bottom)) * inner.height;
  return {
    empty: false, log: logged, x, y, ...inner,
    stepAt: (left) => from + Math.min(1, Math.max(0, (left - EDGE.left) / inner.width)) * (to - from),
    yTicks: logged ? logTicks(low, high) : ticks(low, high, 5),
    xTicks: ticks(from, to, Math.max(2, Math.floor(inner.width / 90))).filter(Number.isInteger),
  };
}

function path(points, {x, y}) {
  let d = '';
  let pen = 'M';
  for (const [step, value] of points) {
    if (value === null) {
      pen = 'M';
      continue;
    }
    d += `${pen}${x(step).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = 'L';
  }
  return d;
}

/** What a series says at a step: the nearest of its points, unless that is further off than its points are apart. */
function readAt({points, line}, step) {
  const i = nearest(points, step);
  const gap = points.length > 1 ? (points.at(-1)[0] - points[0][0]) / (points.length - 1) : Infinity;
  if (Math.abs(points[i][0] - step) > gap) return null;
  return points[i][1] === null ? null : {step: points[i][0], value: points[i][1], smooth: line[i][1]};
}

function useWidth(box) {
  const [width, set] = useState(0);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([entry]) => set(Math.floor(entry.contentRect.width)));
    observer.observe(box.current);
    set(Math.floor(box.current.getBoundingClientRect().width));
    return () => observer.disconnect();
  }, []);
  return width;
}
