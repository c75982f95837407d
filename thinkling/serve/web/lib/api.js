// Talking to the server: JSON requests, streams, the key, and errors that say what to do.
import {events} from './sse.js';

const KEY = 'thinkling.key';

/** What the server, or the way to it, answered instead of a result. `status` 0: there was no answer at all. */
export class ApiError extends Error {
  constructor(status, message, {type = null, code = null, param = null, retryAfter = null, requestId = null} = {}) {
    super(message);
    this.name = 'ApiError';
    Object.assign(this, {status, type, code, param, retryAfter, requestId});
  }
}

let askForKey = null;

/** `ask(rejected)` shows a dialog and resolves to a key, or to null. `rejected`: whether a key was refused before. */
export function onKeyWanted(ask) {
  askForKey = ask;
}

let asking = null;

async function newKey(used) {
  const held = sessionStorage.getItem(KEY);
  if (held !== used) return held !== null; // someone else got one meanwhile
  if (!askForKey) return false;
  asking ??= askForKey(used !== null).finally(() => { asking = null; });
  const key = await asking;
  if (key) sessionStorage.setItem(KEY, key);
  return Boolean(key);
}

async function send(method, path, body, signal) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const headers = {};
    if (key) headers.authorization = `Bearer ${key}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    let answer;
    try {
      answer = await fetch(path, {method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body)});
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new ApiError(0, 'The server does not answer.', {code: 'unreachable'});
    }
    if (answer.status === 401 && await newKey(key)) continue;
    if (!answer.ok) throw await problem(answer);
    return answer;
  }
}

async function problem(answer) {
  const text = await answer.text();
  const wait = Number.parseFloat(answer.headers.get('retry-after') ?? '');
  const rest = {retryAfter: Number.isFinite(wait) ? wait : null, requestId: answer.headers.get('x-request-id')};
  return fromError(answer.status, text, rest);
}

function fromError(status, text, rest = {}) {
  try {
    const {error, detail} = JSON.parse(text);
    if (error) return new ApiError(status, error.message, {type: error.type, code: error.code, param: error.param, ...rest});
    if (typeof detail === 'string') return new ApiError(status, detail, rest);
  } catch {
    // not JSON: a proxy in between, say
  }
  return new ApiError(status, text.slice(0, 300) || `The server answered with status ${status}.`, rest);
}

async function json(method, path, body, signal) {
  const answer = await send(method, path, body, signal);
  return answer.status === 204 ? null : answer.json();
}

/** The chunks of a streamed answer. An error event ends it as an ApiError; so does a connection that breaks off. */
async function* stream(path, body, {signal} = {}) {
  const answer = await send('POST', path, body, signal);
  let ended = false;
  try {
    for await (const data of events(answer.body)) {
      if (data === '[DONE]') { ended = true; return; }
      const chunk = JSON.parse(data);
      if (chunk.error) throw fromError(chunk.error.status ?? 500, data);
      yield chunk;
    }
  } catch (error) {
    if (error instanceof ApiError || error.name === 'AbortError') throw error;
    throw new ApiError(0, 'The connection broke off in the middle of the answer.', {code: 'broken_off'});
  }
  if (!ended) throw new ApiError(0, 'The connection broke off in the middle of the answer.', {code: 'broken_off'});
}

export const api = {
  get: (path, {signal} = {}) => json('GET', path, undefined, signal),
  post: (path, body, {signal} = {}) => json('POST', path, body, signal),
  patch: (path, body, {signal} = {}) => json('PATCH', path, body, signal),
  remove: (path, {signal} = {}) => json('DELETE', path, undefined, signal),
  text: async (path, {signal} = {}) => (await send('GET', path, undefined, signal)).text(),
  stream,
};

/** A heading and an advice for an error, in plain words. */
export function explain(error) {
  const said = error.message;
  switch (true) {
    case !(error instanceof ApiError):
      return {title: 'The page made a mistake.', advice: said};
    case error.code === 'unreachable':
      return {title: said, advice: 'Is it still running? Start it again with "thinkling serve", then retry. What you typed is kept.'};
    case error.code === 'broken_off':
      return {title: said, advice: 'What had arrived is kept. Regenerate to try again.'};
    case error.code === 'context_length_exceeded':
      return {title: 'This is too long for the model.', advice: `${said} Shorten the text, lower "max tokens", or start a new chat.`};
    case error.status === 429:
      return {title: 'The server is busy.', advice: error.retryAfter ? `Try again in ${Math.ceil(error.retryAfter)} s.` : 'Try again in a moment.'};
    case error.code === 'model_loading':
      return {title: 'The model is still loading.', advice: 'Try again in a moment.'};
    case error.status === 503: // a broken model, a server that stops: trying again may not help
      return {title: 'The server cannot do this now.', advice: said};
    case error.status === 401:
      return {title: 'The server wants a key.', advice: said};
    case error.status === 404 && error.code === 'model_not_found':
      return {title: 'This model is not served any more.', advice: `${said} Pick another one.`};
    case error.status === 413:
      return {title: 'This is more than the server accepts.', advice: said};
    case error.status >= 500:
      return {title: 'The server failed.', advice: error.requestId ? `${said} (request ${error.requestId})` : said};
    default:
      return {title: 'The server refused this.', advice: said};
  }
}
