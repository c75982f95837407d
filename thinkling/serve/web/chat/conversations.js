// The list of conversations: search, rename, delete, export, import.
import {explain} from '../lib/api.js';
import {Icon, IconButton, Notice, cx, html, useEffect, useLayoutEffect, useRef, useState, useStore} from '../lib/ui.js';

/** Seconds since 1970, or a date as text, as a Date. */
const dateOf = (when) => new Date(typeof when === 'number' ? when * 1000 : when);

function dayOf(when) {
  const begin = new Date();
  begin.setHours(0, 0, 0, 0);
  const days = (begin - dateOf(when)) / 86_400_000;
  if (days <= 0) return 'Today';
  if (days <= 1) return 'Yesterday';
  if (days <= 7) return 'This week';
  return dateOf(when).toLocaleDateString(undefined, {month: 'long', year: 'numeric'});
}

function save(name, content) {
  const address = URL.createObjectURL(new Blob([JSON.stringify(content, null, 2)], {type: 'application/json'}));
  Object.assign(document.createElement('a'), {href: address, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

export function Conversations({library, current, onPick}) {
  useStore(library);
  const [problem, setProblem] = useState(null);
  const [word, setWord] = useState(null);
  const timer = useRef(0);
  const file = useRef(null);
  useEffect(() => () => clearTimeout(timer.current), []);

  const search = (event) => {
    const query = event.currentTarget.value;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => library.search(query), 180);
  };
  const attempt = async (act) => {
    setProblem(null);
    setWord(null);
    try { await act(); } catch (error) { setProblem(error); }
  };
  const importFile = (event) => attempt(async () => {
    const [chosen] = event.currentTarget.files;
    event.currentTarget.value = '';
    if (!chosen) return;
    const count = await library.import(JSON.parse(await chosen.text()));
    setWord(`${count} ${count === 1 ? 'conversation' : 'conversations'} imported.`);
  });

  const why = problem ?? library.error;
  let day = '';
  return html`<div class="list">
    <a class="button new" href="#/chat" onClick=${onPick}><${Icon} name="plus" size=${16} />New chat</a>
    <div class="search"><${Icon} name="search" size=${15} /><input type="search" class="input" placeholder="Search" aria-label="Search the conversations" onInput=${search} /></div>
    ${why && html`<${Notice} tone="bad" title=${explain(why).title}>${explain(why).advice}<//>`}
    ${word && html`<${Notice}>${word}<//>`}
    <nav class="items scroll" aria-label="Conversations" tabindex="-1">
      ${library.conversations.map((one) => {
        const begins = dayOf(one.updated) !== day;
        day = dayOf(one.updated);
        return html`${begins && html`<h2 key=${day} class="day">${day}</h2>`}
          <${Entry} key=${one.id} one=${one} open=${one.id === current} library=${library} attempt=${attempt} onPick=${onPick} />`;
      })}
      ${library.conversations.length === 0 && !library.error && html`<p class="hint empty">${library.query ? 'Nothing found.' : library.keeps ? 'Your chats appear here.' : 'Chats end with this page: the server keeps none.'}</p>`}
      ${library.more && html`<button type="button" class="button small" onClick=${() => library.loadMore()}>Show more</button>`}
    </nav>
    ${library.keeps && html`<footer>
      <button type="button" class="button small" onClick=${() => file.current.click()}><${Icon} name="upload" size=${14} />Import</button>
      <button type="button" class="button small" onClick=${() => attempt(async () => save('thinkling-chats.json', await library.history.export(null)))}><${Icon} name="download" size=${14} />Export all</button>
      <input ref=${file} type="file" accept="application/json,.json" hidden aria-label="File to import" onChange=${importFile} />
    </footer>`}
  </div>`;
}

function Entry({one, open, library, attempt, onPick}) {
  const [unfolded, unfold] = useState(false);
  const [mode, setMode] = useState(''); // renaming, deleting, or neither
  const field = useRef(null);
  useLayoutEffect(() => { if (mode === 'rename') field.current.select(); }, [mode]);
  const done = () => { setMode(''); unfold(false); };
  if (mode === 'rename') {
    const rename = (event) => {
      event.preventDefault();
      if (!field.current) return; // it is gone, and its going blurs it
      const title = field.current.value.trim();
      done();
      if (title && title !== one.title) attempt(() => library.rename(one.id, title));
    };
    return html`<form class="entry renaming" onSubmit=${rename}>
      <input ref=${field} class="input" aria-label="New title" defaultValue=${one.title} onBlur=${rename} onKeyDown=${(event) => event.key === 'Escape' && done()} /></form>`;
  }
  return html`<div class=${cx('entry', open && 'open', unfolded && 'unfolded')}>
    <div class="entry-line"><a href=${`#/chat/${encodeURIComponent(one.id)}`} aria-current=${open ? 'page' : undefined} onClick=${onPick}>${one.title || 'Untitled'}</a>
      <${IconButton} icon="more" size=${16} label=${`More about ${one.title || 'this chat'}`} aria-expanded=${String(unfolded)} onClick=${() => { unfold(!unfolded); setMode(''); }} /></div>
    ${unfolded && (mode === 'delete'
      ? html`<div class="entry-actions"><span>Delete it for good?</span>
          <button type="button" class="button small danger" onClick=${() => attempt(async () => { await library.remove(one.id); if (open) location.hash = '#/chat'; })}>Delete</button>
          <button type="button" class="button small" onClick=${done}>Keep</button></div>`
      : html`<div class="entry-actions">
          <button type="button" class="button small" onClick=${() => setMode('rename')}>Rename</button>
          ${library.keeps && html`<button type="button" class="button small" onClick=${() => attempt(async () => save(`${one.title || 'chat'}.json`, await library.history.export(one.id)))}>Export</button>`}
          <button type="button" class="button small danger" onClick=${() => setMode('delete')}>Delete</button></div>`)}
  </div>`;
}
