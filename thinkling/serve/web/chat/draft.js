// An answer while it arrives: the chunks of a stream gathered into text, thinking, tokens and candidates.
import {Store} from '../lib/ui.js';

export class Draft extends Store {
  text = '';
  thinking = '';
  tokens = [];
  effects = []; // a strategy's rounds: {n, prefix, samples: [{thinking, text}]}
  trace = null;
  usage = null;
  finish = null;
  weights = '';
  error = null;
  began = performance.now();
  firstAt = null;
  thinkBegan = null;
  thinkEnded = null;
  endedAt = null;

  /** `given`: tokens that the answer begins with, the ones of a fork. */
  constructor(given = []) {
    super();
    this.given = given.length;
    for (const token of given) this.#token(token);
  }

  get live() {
    return this.endedAt === null;
  }

  get phase() {
    if (!this.live) return 'done';
    if (this.text) return 'answering';
    if (this.thinking) return 'thinking';
    return this.effects.length ? 'exploring' : 'waiting';
  }

  get thinkSeconds() {
    if (this.thinkBegan === null) return 0;
    return ((this.thinkEnded ?? this.endedAt ?? performance.now()) - this.thinkBegan) / 1000;
  }

  /** How many samples a strategy has begun. */
  get samples() {
    return this.effects.reduce((sum, one) => sum + one.samples.length, 0);
  }

  /** Seconds to the first token, and tokens per second after it. */
  get timing() {
    const end = this.endedAt ?? performance.now();
    const seconds = this.firstAt === null ? 0 : (end - this.firstAt) / 1000;
    const made = this.usage?.completion_tokens ?? this.tokens.length - this.given;
    return {
      first_token_s: this.firstAt === null ? null : round((this.firstAt - this.began) / 1000),
      tokens_per_s: seconds > 0.02 && made > 1 ? round((made - 1) / seconds) : null,
      think_s: round(this.thinkSeconds),
    };
  }

  take(chunk) {
    if (chunk.usage) this.usage = chunk.usage;
    if (chunk.system_fingerprint) this.weights = chunk.system_fingerprint;
    if (chunk.thinkling) this.#event(chunk.thinkling);
    const choice = chunk.choices?.[0];
    if (choice) {
      const delta = choice.delta ?? {};
      const thought = delta.reasoning_content ?? delta.reasoning ?? '';
      if (thought) this.#grow('thinking', thought);
      if (delta.content) this.#grow('text', delta.content);
      for (const token of delta.tokens ?? choice.tokens ?? []) this.tokens.push(token);
      if (choice.finish_reason) this.finish = choice.finish_reason;
    }
    this.changed();
  }

  end(finish, error = null) {
    this.endedAt = performance.now();
    if (finish) this.finish = finish;
    this.error = error;
    for (const token of this.tokens) { // what the server stores: rivals are asked for again when they are wanted
      if (typeof token.logprob === 'number') token.logprob = Math.round(token.logprob * 1e4) / 1e4;
    }
    this.changed();
  }

  #token(token) {
    this.tokens.push(token);
    if (token.kind === 'think') this.thinking += token.text;
    if (token.kind === 'text') this.text += token.text;
  }

  #grow(part, piece) {
    const now = performance.now();
    this.firstAt ??= now;
    if (part === 'thinking') this.thinkBegan ??= now;
    else if (this.thinkBegan !== null) this.thinkEnded ??= now;
    this[part] += piece;
  }

  #event(event) {
    if (event.type === 'effect') {
      const samples = Array.from({length: event.n}, () => ({thinking: '', text: ''}));
      this.effects[event.effect] = {n: event.n, prefix: event.prefix ?? '', samples};
    } else if (event.type === 'candidate') {
      this.firstAt ??= performance.now();
      const effect = (this.effects[event.effect] ??= {n: 0, prefix: '', samples: []});
      const sample = (effect.samples[event.sample] ??= {thinking: '', text: ''});
      sample[event.kind === 'think' ? 'thinking' : 'text'] += event.text;
    } else if (event.type === 'trace') {
      this.trace = event;
    }
  }
}

const round = (value) => Math.round(value * 1000) / 1000;
