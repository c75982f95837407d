// All conversations: the list, the ones that are open, and where they are kept.
import {Session} from './session.js';
import {Store, readStored, writeStored} from '../lib/ui.js';

/** The server's history. */
class KeptHistory {
  constructor(api) {
    this.api = api;
  }

  async list(query, before) {
    const wants = new URLSearchParams({limit: '50'});
    if (query) wants.set('query', query);
    if (before) wants.set('before', before);
    return (await this.api.get(`/api/conversations?${wants}`)).conversations;
  }

  read = (id) => this.api.get(`/api/conversations/${encodeURIComponent(id)}`);
  create = (begun) => this.api.post('/api/conversations', begun);
  change = (id, change) => this.api.patch(`/api/conversations/${encodeURIComponent(id)}`, change);
  remove = (id) => this.api.remove(`/api/conversations/${encodeURIComponent(id)}`);
  addMessage = (id, message) => this.api.post(`/api/conversations/${encodeURIComponent(id)}/messages`, message);
  export = (id) => this.api.get(id === null ? '/api/export' : `/api/conversations/${encodeURIComponent(id)}/export`);
  import = async (content) => (await this.api.post('/api/import', content)).imported;
}

/** Where the server keeps no history: conversations that end with the page. */
class PassingHistory {
  #kept = new Map();
  #made = 0;

  async list(query) {
    const wanted = query.toLowerCase();
    return [...this.#kept.values()].filter((one) => one.title.toLowerCase().includes(wanted)).sort((a, b) => b.updated - a.updated);
  }

  read = async (id) => this.#kept.get(id) ?? null;

  async create(begun) {
    const now = Date.now() / 1000;
    const conversation = {...begun, id: `here-${this.#made += 1}`, created: now, updated: now, current: null, messages: []};
    this.#kept.set(conversation.id, conversation);
    return conversation;
  }

  async change(id, change) {
    Object.assign(this.#kept.get(id), change);
  }

  async remove(id) {
    this.#kept.delete(id);
  }

  async addMessage(id, message) {
    const kept = this.#kept.get(id);
    const stored = {...message, id: `${id}-${kept.messages.length}`, created: Date.now() / 1000};
    kept.messages.push(stored);
    Object.assign(kept, {current: stored.id, updated: stored.created});
    return stored;
  }
}

export class Library extends Store {
  conversations = [];
  more = false;
  query = '';
  error = null;
  strategies = [];
  #sessions = new Map();
  #asked = 0;

  constructor({api, models, settings}) {
    super();
    this.api = api;
    this.models = models;
    this.keeps = settings.history;
    this.history = settings.history ? new KeptHistory(api) : new PassingHistory();
    this.onOpened = () => {};
  }

  async begin() {
    const [strategies] = await Promise.all([this.api.get('/api/strategies'), this.search('')]);
    this.strategies = Array.isArray(strategies) ? strategies : strategies.strategies;
    this.changed();
  }

  /** List the conversations that hold `query` anywhere. The answer to an earlier search is dropped. */
  async search(query) {
    this.query = query;
    await this.#load((found) => { this.conversations = found; });
  }

  async loadMore() {
    const last = this.conversations[this.conversations.length - 1];
    await this.#load((found) => this.conversations.push(...found), last.id);
  }

  async #load(put, before = null) {
    const turn = (this.#asked += 1);
    try {
      const found = await this.history.list(this.query, before);
      if (turn !== this.#asked) return;
      put(found);
      this.more = found.length >= 50;
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.changed();
  }

  /** The session of a conversation, opened once; null where there is no such conversation. */
  async open(id) {
    if (!this.#sessions.has(id)) {
      const conversation = await this.history.read(id);
      if (conversation === null) return null;
      if (!this.#sessions.has(id)) this.#sessions.set(id, new Session(this, conversation, this.remembered()));
    }
    return this.#sessions.get(id);
  }

  fresh(model) {
    return new Session(this, null, {...this.remembered(), model});
  }

  /** The settings that the next chat begins with: the last ones that were used. */
  remembered() {
    return readStored('settings', {});
  }

  remember(settings) {
    const {seed, ...rest} = settings;
    writeStored('settings', rest);
  }

  opened(session) {
    this.#sessions.set(session.id, session);
    this.onOpened(session.id);
    this.touched(session);
  }

  touched(session) {
    const now = Date.now() / 1000;
    const before = this.conversations.find((one) => one.id === session.id);
    const entry = {created: now, ...before, id: session.id, title: session.title, updated: now, messages: session.tree.byId.size};
    this.conversations = [entry, ...this.conversations.filter((one) => one.id !== session.id)];
    this.changed();
  }

  async rename(id, title) {
    await this.history.change(id, {title});
    this.conversations = this.conversations.map((one) => (one.id === id ? {...one, title} : one));
    const session = this.#sessions.get(id);
    if (session && session.title !== title) { session.title = title; session.changed(); }
    this.changed();
  }

  async remove(id) {
    await this.history.remove(id);
    this.#sessions.get(id)?.stop();
    this.#sessions.delete(id);
    this.conversations = this.conversations.filter((one) => one.id !== id);
    this.changed();
  }

  async import(content) {
    const count = await this.history.import(content);
    await this.search('');
    return count;
  }
}
