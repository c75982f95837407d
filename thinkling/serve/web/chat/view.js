// The chat: conversations on the left, what is said in the middle, the settings of an answer on the right.
import {explain} from '../lib/api.js';
import {Composer} from './composer.js';
import {Conversations} from './conversations.js';
import {Library} from './library.js';
import {SettingsPanel} from './panel.js';
import {Announcer, Thread} from './thread.js';
import {IconButton, ModelSelect, Notice, Spinner, cx, html, useEffect, useLayoutEffect, useRef, useState, useMedia, useStore, useStored} from '../lib/ui.js';

const QUESTIONS = [
  'A coin is heads up. Ada flips the coin. Ben does not flip the coin. Cleo flips the coin. Is the coin still heads up?',
  'What do you get if you join the last letters of "Ada Ben Cleo"?',
  'Ada buys 3 apples and 2 pears. Each pear costs $4. All the fruit costs $23 together. What does one apple cost?',
  'Sort from smallest to largest: 41, 7, 23, 16.',
];

let library = null; // it outlives the view, and so do the answers that are arriving

function useLibrary({api, models, settings}) {
  const [error, setError] = useState(null);
  if (library === null || library.models !== models) library = new Library({api, models, settings});
  useEffect(() => {
    library.onOpened = (id) => history.replaceState(null, '', `#/chat/${encodeURIComponent(id)}`);
    if (!library.strategies.length) library.begin().catch(setError);
  }, [library]);
  return {library, error};
}

/** The open session: {session, error}. A new chat stays the same session once the history has given it an id. */
function useSession(params, model, ready) {
  const {id} = params;
  const [state, set] = useState({session: null, error: null});
  const made = useRef(null);
  useEffect(() => {
    if (!ready) return undefined;
    if (id === null) {
      made.current = library.fresh(model);
      set({session: made.current, error: null});
      return undefined;
    }
    let wanted = true;
    library.open(id).then(
      (session) => wanted && set({session, error: session ? null : new Error('This conversation is not here any more.')}),
      (error) => wanted && set({session: null, error}),
    );
    return () => { wanted = false; };
  }, [params, ready]);
  return state;
}

/** A side panel: beside the chat where there is room, over it, as a modal dialog, where there is not. */
function Drawer({over, side, label, onClose, children}) {
  const at = useRef(null);
  useEffect(() => {
    if (!over) return undefined;
    const dialog = at.current;
    dialog.showModal();
    return () => dialog.close();
  }, [over]);
  if (!over) return html`<div class=${cx('drawer', side)}>${children}</div>`;
  return html`<dialog ref=${at} class=${cx('drawer over', side)} aria-label=${label} onCancel=${(event) => { event.preventDefault(); onClose(); }}
    onClick=${(event) => event.target === at.current && onClose()}>${children}</dialog>`;
}

function Title({session}) {
  useStore(session);
  const [editing, edit] = useState(false);
  const field = useRef(null);
  useLayoutEffect(() => { if (editing) field.current.select(); }, [editing]);
  if (session.id === null) return html`<h1>New chat</h1>`;
  if (!editing) return html`<h1><button type="button" class="title" title="Rename" onClick=${() => edit(true)}>${session.title || 'Untitled'}</button></h1>`;
  const rename = (event) => {
    event.preventDefault();
    if (!field.current) return; // it is gone, and its going blurs it
    const title = field.current.value.trim();
    edit(false);
    if (title && title !== session.title) session.rename(title).catch((error) => { session.error = error; session.changed(); });
  };
  return html`<form class="grow" onSubmit=${rename}><input ref=${field} class="input" aria-label="Title" defaultValue=${session.title} onBlur=${rename}
    onKeyDown=${(event) => event.key === 'Escape' && edit(false)} /></form>`;
}

function Welcome({session, onPick}) {
  const card = session.library.models.find((one) => one.id === session.sides[0].model);
  return html`<div class="welcome">
    <img src="/web/style/icon.svg" alt="" width="52" height="52" />
    <h2>Ask a small model that thinks</h2>
    <p class="muted">${card ? html`<strong>${card.id}</strong>${card.context_length ? ` reads and writes up to ${card.context_length.toLocaleString()} tokens.` : ''}` : 'No model is served.'}
      ${' '}Watch it think, compare strategies, and look into every token.</p>
    <ul class="questions">${QUESTIONS.map((text) => html`<li key=${text}><button type="button" onClick=${() => onPick(text)}>${text}</button></li>`)}</ul>
  </div>`;
}

export default function View({api, models, model, setModel, params, settings}) {
  const {library: kept, error: broken} = useLibrary({api, models, settings});
  useStore(kept);
  const narrow = useMedia('(max-width: 980px)');
  const [listOpen, setListOpen] = useStored('list', true);
  const [listOver, setListOver] = useState(false);
  const [panelOpen, setPanelOpen] = useStored('panel', false);
  const [panelOver, setPanelOver] = useState(false);
  const [enterSends, setEnterSends] = useStored('enterSends', true);
  const [sent, setSent] = useState(0);
  const [suggested, suggest] = useState(null);
  const ready = kept.strategies.length > 0;
  const {session, error} = useSession(params, model, ready);

  useEffect(() => {
    const pressed = (event) => { if (event.key === 'Escape' && !event.defaultPrevented && !document.querySelector('dialog[open]')) session?.stop(); };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, [session]);

  const list = narrow ? listOver : listOpen;
  const panel = narrow ? panelOver : panelOpen;
  const setList = narrow ? setListOver : setListOpen;
  const setPanel = narrow ? setPanelOver : setPanelOpen;
  const why = broken ?? error;
  return html`<div class="chat">
    ${list && html`<${Drawer} over=${narrow} side="left" label="Conversations" onClose=${() => setListOver(false)}>
      <${Conversations} library=${kept} current=${session?.id ?? params.id} onPick=${() => setListOver(false)} /><//>`}
    <section class="chat-main" aria-label="Chat">
      <header class="top">
        <${IconButton} icon="sidebar" label="Conversations" aria-expanded=${String(list)} onClick=${() => setList(!list)} />
        ${session ? html`<${Title} key=${session.id ?? 'new'} session=${session} />` : html`<h1>Chat</h1>`}
        ${session && html`<${Model} session=${session} models=${models} setModel=${setModel} />`}
        <${IconButton} icon="sliders" label="Settings" aria-expanded=${String(panel)} onClick=${() => setPanel(!panel)} />
      </header>
      ${why && html`<div class="middle"><${Notice} tone="bad" title=${explain(why).title} actions=${html`<a class="button small" href="#/chat">New chat</a>`}>${explain(why).advice}<//></div>`}
      ${!session && !why && html`<div class="middle"><${Spinner} /></div>`}
      ${session && html`
        <${Thread} key=${session} session=${session} scrollTo=${sent}>
          <${Welcome} session=${session} onPick=${(text) => suggest({text})} />
        <//>
        <${Announcer} session=${session} />
        <${Composer} session=${session} library=${kept} enterSends=${enterSends} suggested=${suggested}
          onSettings=${() => setPanel(!panel)} onSent=${() => setSent((n) => n + 1)} />`}
    </section>
    ${panel && session && html`<${Drawer} over=${narrow} side="right" label="Settings" onClose=${() => setPanelOver(false)}>
      <${SettingsPanel} session=${session} library=${kept} enterSends=${enterSends} setEnterSends=${setEnterSends} onClose=${() => setPanel(false)} /><//>`}
    <div id="overlay"></div>
  </div>`;
}

function Model({session, models, setModel}) {
  useStore(session);
  return html`<${ModelSelect} models=${models} model=${session.sides[0].model} onChange=${(id) => {
    setModel(id);
    session.setSettings(0, {...session.sides[0], model: id});
  }} />`;
}
