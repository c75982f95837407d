// The shell: which view is shown, which model is asked, light or dark, and the key.
import {api, explain, onKeyWanted} from './lib/api.js';
import {
  Dialog, Icon, IconButton, ModelSelect, Notice, Spinner, cx, html, render, useEffect, useErrorBoundary, useLoad, useMedia,
  useRef, useState, useStored,
} from './lib/ui.js';

const VIEWS = {
  chat: {title: 'Chat', icon: 'chat', load: () => import('./chat/view.js')},
  tokens: {title: 'Tokens', icon: 'tokens', load: () => import('./views/tokens.js')},
  inside: {title: 'Inside', icon: 'inside', load: () => import('./views/inside.js')},
  runs: {title: 'Runs', icon: 'runs', load: () => import('./views/runs.js')},
};

/** `#/chat/ID?key=value` as {view, params: {id, path, query}}. */
function routeOf(hash) {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split('?');
  const parts = path.split('/').filter(Boolean).map(decodeURIComponent);
  const view = VIEWS[parts[0]] ? parts[0] : 'chat';
  return {view, params: {id: parts[1] ?? null, path: parts.slice(1), query: Object.fromEntries(new URLSearchParams(query))}};
}

function useRoute() {
  const [route, set] = useState(() => routeOf(location.hash));
  useEffect(() => {
    const moved = () => set(routeOf(location.hash));
    addEventListener('hashchange', moved);
    return () => removeEventListener('hashchange', moved);
  }, []);
  return route;
}

/** The rules of the views beside the chat, which come with the first of them. */
let viewRules = null;
function loadViewRules() {
  viewRules ??= new Promise((done) => {
    const link = Object.assign(document.createElement('link'), {rel: 'stylesheet', href: '/web/style/views.css'});
    link.onload = link.onerror = () => done();
    document.head.append(link);
  });
  return viewRules;
}

async function loadView(name) {
  const [module] = await Promise.all([VIEWS[name].load(), name === 'chat' ? null : loadViewRules()]);
  return module.default;
}

/** What the page needs before anything else; while the server is away or loading, it is asked again. */
async function loadFacts(signal) {
  const [models, settings] = await Promise.all([api.get('/v1/models', {signal}), api.get('/api/settings', {signal})]);
  return {models: models.data, settings};
}

function Rail({view, dark, setTheme}) {
  return html`<nav class="rail" aria-label="Views">
    <a class="brand" href="#/chat" aria-label="thinkling"><img src="/web/style/icon.svg" alt="" width="30" height="30" /></a>
    <ul>${Object.entries(VIEWS).map(([name, one]) => html`<li key=${name}>
      <a href=${`#/${name}`} aria-current=${name === view ? 'page' : undefined}><${Icon} name=${one.icon} size=${20} /><span>${one.title}</span></a>
    </li>`)}</ul>
    <${IconButton} class="theme" icon=${dark ? 'sun' : 'moon'} label=${dark ? 'Light theme' : 'Dark theme'}
      onClick=${() => setTheme(dark ? 'light' : 'dark')} />
  </nav>`;
}

function KeyDialog({asked}) {
  const at = useRef(null);
  return html`<${Dialog} title="This server wants a key" onClose=${() => asked.done(null)}>
    <form class="stack" onSubmit=${(event) => { event.preventDefault(); asked.done(at.current.value.trim() || null); }}>
      <p class="muted">${asked.rejected ? 'That key was not accepted. ' : ''}It was set when the server was started. It is kept until this tab closes.</p>
      <label class="field"><span>Key</span><input ref=${at} class="input" type="password" autocomplete="current-password" autofocus required /></label>
      <footer><button type="submit" class="button primary">Use this key</button></footer>
    </form>
  <//>`;
}

function Place({view, facts, params}) {
  const [model, setModel] = useStored('model', '');
  const found = useLoad(() => loadView(view).then((View) => ({name: view, View})), [view]);
  const [broken, retry] = useErrorBoundary();
  useEffect(() => { if (broken) retry(); }, [view, params]);
  if (broken || found.error) {
    return html`<div class="middle"><${Notice} tone="bad" title="This view failed.">${(broken ?? found.error).message}<//></div>`;
  }
  if (found.value?.name !== view) return html`<div class="middle"><${Spinner} /></div>`;
  const {models, settings} = facts;
  const chosen = models.some((one) => one.id === model) ? model : models[0]?.id ?? '';
  const given = {api, models, model: chosen, setModel, params, settings};
  if (view === 'chat') return html`<${found.value.View} ...${given} />`;
  return html`<div class="page">
    <header class="top"><h1>${VIEWS[view].title}</h1>
      ${view !== 'runs' && html`<${ModelSelect} models=${models} model=${chosen} onChange=${setModel} />`}</header>
    <div class="page-body scroll" tabindex="-1"><${found.value.View} ...${given} /></div>
  </div>`;
}

function App() {
  const {view, params} = useRoute();
  const facts = useLoad(loadFacts, []);
  const [theme, setTheme] = useStored('theme', null);
  const systemDark = useMedia('(prefers-color-scheme: dark)');
  const [asked, ask] = useState(null);
  const main = useRef(null);

  useEffect(() => {
    onKeyWanted((rejected) => new Promise((answer) => {
      ask({rejected, done: (key) => { ask(null); answer(key); }});
    }));
  }, []);
  useEffect(() => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }, [theme]);
  useEffect(() => { document.title = `${VIEWS[view].title} · thinkling`; }, [view]);
  useEffect(() => {
    const away = facts.error && (facts.error.status === 0 || facts.error.status === 503);
    const timer = away ? setTimeout(facts.reload, 3000) : 0;
    return () => clearTimeout(timer);
  }, [facts.error]);

  const why = facts.error && explain(facts.error);
  return html`<div class="shell">
    <button type="button" class="skip" onClick=${() => main.current.focus()}>Skip to the content</button>
    <${Rail} view=${view} dark=${theme ? theme === 'dark' : systemDark} setTheme=${setTheme} />
    <main ref=${main} tabindex="-1" class=${cx('main', `is-${view}`)}>
      ${facts.value
        ? html`<${Place} view=${view} params=${params} facts=${facts.value} />`
        : html`<div class="middle">${why
          ? html`<${Notice} tone="bad" title=${why.title} actions=${html`<button type="button" class="button" onClick=${facts.reload}>Try again</button>`}>${why.advice}<//>`
          : html`<${Spinner} />`}</div>`}
    </main>
    ${asked && html`<${KeyDialog} asked=${asked} />`}
  </div>`;
}

render(html`<${App} />`, document.getElementById('app'));
