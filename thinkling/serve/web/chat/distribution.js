// What temperature and top-p do to the next token's distribution.

/** Entropy in nats of candidates with their log-probabilities; what they leave over counts as one more outcome. */
export function entropyOf(candidates) {
  const shares = candidates.map((one) => Math.exp(one.logprob));
  const rest = Math.max(0, 1 - shares.reduce((sum, p) => sum + p, 0));
  return [...shares, rest].reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0);
}

/**
 * The candidates, likeliest first, under a temperature and a top-p: {...candidate, share, kept}.
 *
 * p_i ~ exp(logprob_i / T), 0 being greedy; of these the smallest set that holds `topP` is kept and made whole again.
 * Tokens beyond the candidates are taken to be as unlikely as the last of them, which bounds what they can weigh.
 */
export function reweigh(candidates, temperature, topP) {
  const sorted = [...candidates].sort((a, b) => b.logprob - a.logprob);
  if (!sorted.length) return [];
  const listed = sorted.reduce((sum, one) => sum + Math.exp(one.logprob), 0);
  const least = sorted[sorted.length - 1].logprob;
  const beyond = Math.max(0, 1 - listed) / Math.exp(least); // how many such tokens make up the rest
  const warm = Math.max(temperature, 1e-4);
  const highest = sorted[0].logprob;
  const weights = sorted.map((one) => Math.exp((one.logprob - highest) / warm));
  const total = weights.reduce((sum, one) => sum + one, 0) + beyond * Math.exp((least - highest) / warm);
  let before = 0;
  const cut = sorted.map((one, i) => {
    const kept = i === 0 || before < topP;
    before += weights[i] / total;
    return {...one, share: weights[i] / total, kept};
  });
  const held = topP < 1 ? cut.reduce((sum, one) => (one.kept ? sum + one.share : sum), 0) : 1;
  return cut.map((one) => ({...one, share: one.kept ? one.share / held : 0}));
}

/** A token's text so that it can be seen: spaces and line ends have signs. */
export function visible(text) {
  if (text === '') return '∅';
  return text.replace(/\n/g, '⏎').replace(/\t/g, '⇥').replace(/^ | $/g, '␣').replace(/ {2,}/g, (run) => '␣'.repeat(run.length));
}

export const percent = (p) => (p >= 0.9995 ? '100%' : p >= 0.1 ? `${(100 * p).toFixed(1)}%` : p >= 0.0001 ? `${(100 * p).toPrecision(2)}%` : '<0.01%');
