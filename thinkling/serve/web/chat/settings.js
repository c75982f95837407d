// What an answer is asked with: the settings of a chat, and the request that they become.

/** `think`: auto, on or off. An empty `max_tokens` leaves all that fits; an empty `seed` draws one. */
export const DEFAULTS = {
  model: '', strategy: {name: 'plain', options: {}, inner: null}, answer_kind: 'text',
  temperature: 0.7, top_p: 1, top_k: 0, min_p: 0, max_tokens: '', seed: '', think: 'auto', thinking_budget: 0,
};

/** Settings read from anywhere, made whole. */
export function completed(settings) {
  const made = {...DEFAULTS, ...settings};
  made.strategy = {...DEFAULTS.strategy, ...made.strategy};
  return made;
}

/** `sc:n=8(zs-cot)`: options at their defaults are left out, as is a plain inner strategy. */
export function spell(chosen, strategies) {
  const known = strategies.find((one) => one.name === chosen.name);
  const options = Object.entries(chosen.options ?? {})
    .filter(([name, value]) => value !== '' && value !== known?.options.find((one) => one.name === name)?.default)
    .map(([name, value]) => `${name}=${value}`);
  const inner = known?.inner && chosen.inner && chosen.inner.name !== 'plain' ? `(${spell(chosen.inner, strategies)})` : '';
  return chosen.name + (options.length ? `:${options.join(',')}` : '') + inner;
}

/** The body of a chat completion. `path`: the messages before the answer. `card`: the model's entry in the list. */
export function requestOf({settings, strategies, system, path, card, forced = null}) {
  const spec = forced ? 'plain' : spell(settings.strategy, strategies);
  const body = {
    model: settings.model,
    messages: messagesOf(system, path),
    stream: true,
    stream_options: {include_usage: true},
    temperature: settings.temperature,
  };
  if (settings.top_p < 1) body.top_p = settings.top_p;
  if (settings.top_k > 0) body.top_k = settings.top_k;
  if (settings.min_p > 0) body.min_p = settings.min_p;
  if (settings.max_tokens !== '') body.max_tokens = settings.max_tokens;
  if (settings.seed !== '') body.seed = settings.seed;
  if (settings.think !== 'auto') body.think = settings.think === 'on';
  if (settings.think !== 'off' && settings.thinking_budget > 0) body.thinking_budget = settings.thinking_budget;
  if (spec !== 'plain') Object.assign(body, {strategy: spec, strategy_events: true, answer_kind: settings.answer_kind});
  if (card?.local && card.capabilities?.logprobs) Object.assign(body, {tokens: true, top_logprobs: 10});
  if (forced) body.forced_tokens = forced;
  return body;
}

/** Earlier thinking is left out: models are trained to answer without it, and it costs context. */
export function messagesOf(system, path) {
  const messages = path.map(({role, content}) => ({role, content}));
  return system ? [{role: 'system', content: system}, ...messages] : messages;
}
