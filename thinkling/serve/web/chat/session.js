// One open conversation: its tree, the answers that are arriving, and what can be done with it.
import {Draft} from './draft.js';
import {completed, requestOf, spell} from './settings.js';
import {Tree} from './tree.js';
import {Store} from '../lib/ui.js';

const MARK = /^<(\|.+\||\/?think)>$/; // how special tokens are spelled
let made = 0;

export class Session extends Store {
  error = null; // of the conversation itself: a message that could not be stored, say
  #stops = new Map(); // the id of an arriving answer -> what stops it
  #saving = 0;

  /** `conversation` null: a new chat, which the history learns of with its first message. */
  constructor(library, conversation, settings) {
    super();
    this.library = library;
    this.id = conversation?.id ?? null;
    this.title = conversation?.title ?? '';
    this.system = conversation?.system ?? '';
    const kept = conversation?.settings ?? {};
    this.sides = [completed({...settings, ...kept.a}), kept.b ? completed(kept.b) : null];
    this.tree = new Tree(conversation?.messages);
    const {current} = conversation ?? {};
    this.current = current && this.tree.byId.has(current) ? current : this.tree.last;
  }

  get path() {
    return this.current === null ? [] : this.tree.path(this.current);
  }

  get busy() {
    return this.#stops.size > 0;
  }

  get comparing() {
    return this.sides[1] !== null;
  }

  /** Ask something after `parent` (a message's id; null: at the beginning). Resolves once it is stored and asked. */
  async ask(text, parent = this.#end()) {
    this.error = null;
    if (this.id === null) await this.#begin(text);
    const stored = await this.library.history.addMessage(this.id, {parent, role: 'user', content: text, reasoning: '', meta: {}});
    this.tree.add(stored);
    this.current = stored.id;
    this.answer(stored.id);
  }

  /** What the next question comes after. One that fell to nothing is no part of the talk: the next stands beside it. */
  #end() {
    const last = this.tree.byId.get(this.current);
    return last?.draft ? this.tree.byId.get(last.parent).parent ?? null : this.current;
  }

  /** Answer a user's message: once, or once per side of a comparison. */
  answer(user) {
    const sides = this.sides.filter(Boolean);
    const together = sides.length > 1 ? `${Date.now().toString(36)}-${made}` : null;
    const drafts = sides.map((settings, side) => this.#draft(user, settings, {compare: together, side}));
    this.current = drafts[0].id;
    this.changed();
    for (const message of drafts) this.#run(message);
  }

  /** Another answer to the same question; where it fell to nothing, in its place. */
  regenerate(id) {
    const message = this.tree.byId.get(id);
    const user = message.parent;
    if (message.draft && !message.draft.live) this.tree.remove(id);
    this.answer(user);
  }

  /** Another wording of a user's message: a branch beside it. */
  edit(id, text) {
    return this.ask(text, this.tree.byId.get(id).parent ?? null);
  }

  /** Another answer that goes as this one did up to token `index`, and there takes `rival` instead. */
  fork(id, index, rival) {
    const message = this.tree.byId.get(id);
    const before = tokensOf(message).slice(0, index);
    const settings = completed({...this.sides[0], ...message.meta.sampling, model: message.meta.model});
    const kind = rival.special ?? MARK.test(rival.text) ? 'mark' : kindAt(tokensOf(message), index);
    const {top} = tokensOf(message)[index];
    const taken = {id: rival.id, kind, text: kind === 'mark' ? '' : rival.text, mark: kind === 'mark' ? rival.text : undefined, logprob: rival.logprob, top};
    const given = [...before, taken];
    const forked = this.#draft(message.parent, settings, {compare: null, side: 0, forked: index}, given);
    this.current = forked.id;
    this.changed();
    this.#run(forked, given.map((token) => token.id));
  }

  stop() {
    for (const stop of this.#stops.values()) stop.abort();
  }

  /** Show the branch that a message is on. */
  choose(id) {
    this.current = this.tree.leaf(id);
    this.changed();
    this.#remember({current: this.current});
  }

  dismiss(id) {
    const {parent} = this.tree.byId.get(id);
    this.tree.remove(id);
    this.current = this.tree.byId.has(this.current) ? this.current : parent ?? null;
    this.error = null;
    this.changed();
  }

  rename(title) {
    this.title = title;
    this.changed();
    return this.library.rename(this.id, title);
  }

  setSystem(system) {
    this.system = system;
    this.changed();
    this.#rememberSoon();
  }

  setSettings(side, settings) {
    this.sides = this.sides.map((one, i) => (i === side ? settings : one));
    this.changed();
    this.#rememberSoon();
  }

  setComparing(on) {
    this.sides = [this.sides[0], on ? completed(this.sides[0]) : null];
    this.changed();
    this.#rememberSoon();
  }

  async #begin(text) {
    const [line] = text.trim().split('\n');
    const title = line.length > 60 ? `${line.slice(0, 60).replace(/\s+\S*$/, '')}…` : line;
    const conversation = await this.library.history.create({title, system: this.system, settings: this.#settings()});
    this.id = conversation.id;
    this.title = conversation.title;
    this.library.opened(this);
  }

  #settings() {
    return {a: this.sides[0], b: this.sides[1]};
  }

  #rememberSoon() {
    clearTimeout(this.#saving);
    this.#saving = setTimeout(() => this.#remember({system: this.system, settings: this.#settings()}), 600);
  }

  async #remember(change) {
    if (this.id === null || String(change.current ?? '').startsWith('draft-')) return;
    try {
      await this.library.history.change(this.id, change);
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error) {
    this.error = error;
    this.changed();
  }

  #draft(user, settings, {compare, side, forked}, given) {
    const spec = given ? 'plain' : spell(settings.strategy, this.library.strategies);
    const {model, strategy, ...sampling} = settings;
    const meta = {model, strategy: spec, sampling, ...(compare && {compare, side}), ...(forked !== undefined && {forked})};
    const id = `draft-${made += 1}`;
    const message = {id, key: id, parent: user, role: 'assistant', content: '', reasoning: '', meta, draft: new Draft(given), settings};
    this.tree.add(message);
    return message;
  }

  async #run(message, forced = null) {
    const {draft, settings, parent} = message;
    const stop = new AbortController();
    this.#stops.set(message.id, stop);
    const card = this.library.models.find((one) => one.id === settings.model);
    const body = requestOf({settings, strategies: this.library.strategies, system: this.system, path: this.tree.path(parent), card, forced});
    try {
      for await (const chunk of this.library.api.stream('/v1/chat/completions', body, {signal: stop.signal})) draft.take(chunk);
      draft.end();
    } catch (error) {
      if (stop.signal.aborted) draft.end('stopped');
      else draft.end('error', error);
    }
    this.#stops.delete(message.id);
    if (draft.text || draft.thinking) await this.#keep(message);
    else if (draft.finish === 'stopped') this.dismiss(message.id);
    this.changed();
  }

  /** Store an answer that has come to its end. */
  async #keep(message) {
    const {draft} = message;
    const meta = {...message.meta, finish: draft.finish, timing: draft.timing, weights: draft.weights};
    if (draft.usage) meta.usage = draft.usage;
    if (draft.trace) Object.assign(meta, {trace: draft.trace, samples: draft.samples});
    if (draft.tokens.length) meta.tokens = draft.tokens.map(({id, kind, text, mark, logprob}) => ({id, kind, text, mark, logprob}));
    const said = {parent: message.parent, role: 'assistant', content: draft.text, reasoning: draft.thinking, meta};
    try {
      const stored = await this.library.history.addMessage(this.id, said);
      const shown = this.current === message.id;
      // the rivals that came with the answer stay at hand until the page is left
      this.tree.replace(message.id, {...stored, key: message.key, meta, tokens: draft.tokens, error: draft.error});
      if (shown) this.current = stored.id;
      else if (this.current !== stored.id) await this.#remember({current: this.current});
      this.library.touched(this);
    } catch (error) {
      this.#failed(error);
    }
  }
}

/** The token records of a message, stored or arriving. */
export function tokensOf(message) {
  return message.draft?.tokens ?? message.tokens ?? message.meta.tokens ?? [];
}

/** Whether a token at this place would be thought or said: as the one that stood there, else as those before it. */
function kindAt(tokens, index) {
  for (let i = index; i >= 0; i -= 1) if (tokens[i].kind !== 'mark') return tokens[i].kind;
  return 'text';
}
