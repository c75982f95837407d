// What a chart needs to know about numbers: ticks, scales, smoothing and thinning. No drawing.

// About `count` round numbers that cover [low, high].
export function ticks(low, high, count = 5) {
  if (!(high > low)) return [low];
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((by) => by * power >= raw * 0.999) * power;
  const made = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high * (1 + 1e-12) + step * 1e-9; k += 1) {
    made.push(Number((k * step).toPrecision(12)));
  }
  return made;
}

// Powers of ten within [low, high], with 2 and 5 between them where there are few.
export function logTicks(low, high) {
  const made = (steps) => {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
      for (const step of steps) {
        const value = Number((step * 10 ** power).toPrecision(3));
        if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
      }
    }
    return found;
  };
  for (const steps of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 7]]) {
    const found = made(steps);
    if (found.length >= 3) return found;
  }
  return ticks(low, high, 3).filter((value) => value > 0);
}

/** Fewer points than this are left as they are: a mean of the past would only lag behind them. */
export const FEW = 40;

// The exponential moving average, without the pull of its beginning: after t values the weights sum to one
// (the correction of Adam's moments: Kingma & Ba 2015, section 3).
export function smoothed(points, strength) {
  if (strength <= 0 || points.length < FEW) return points;
  let sum = 0;
  let weight = 0;
  return points.map(([step, value]) => {
    if (value === null) return [step, value];
    sum = strength * sum + (1 - strength) * value;
    weight = strength * weight + (1 - strength);
    return [step, sum / weight];
  });
}

// At most about `most` points that draw the same line: of every stretch the first, least, greatest and last, and a gap.
export function thinned(points, most = 1200) {
  if (points.length <= most) return points;
  const made = [];
  const size = points.length / (most / 5);
  for (let from = 0; from < points.length; from += size) {
    const [start, end] = [Math.floor(from), Math.min(points.length, Math.floor(from + size))];
    const kept = new Set([start, end - 1]);
    let [least, greatest, gap] = [-1, -1, -1];
    for (let i = start; i < end; i += 1) {
      const value = points[i][1];
      if (value === null) gap = i;
      else {
        if (least < 0 || value < points[least][1]) least = i;
        if (greatest < 0 || value > points[greatest][1]) greatest = i;
      }
    }
    for (const i of [least, greatest, gap]) if (i >= 0) kept.add(i);
    for (const i of [...kept].sort((a, b) => a - b)) made.push(points[i]);
  }
  return made;
}

// The index of the point whose step is nearest; points are in order of their steps.
export function nearest(points, step) {
  let low = 0;
  let high = points.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < step) low = middle + 1;
    else high = middle;
  }
  return low > 0 && step - points[low - 1][0] <= points[low][0] - step ? low - 1 : low;
}

// New points after old ones. A run that was resumed logs some steps again: what came before of these is dropped.
export function joined(old, fresh) {
  if (fresh.length === 0) return old;
  const cut = old.findIndex(([step]) => step >= fresh[0][0]);
  return [...(cut < 0 ? old : old.slice(0, cut)), ...fresh];
}

// Series by the part of their name before the first dot, one chart each: held_out.mean and held_out.coin share one.
export function families(names) {
  const made = new Map();
  for (const name of names) {
    const [family] = name.split(/[./]/, 1);
    made.set(family, [...(made.get(family) ?? []), name]);
  }
  return [...made];
}
