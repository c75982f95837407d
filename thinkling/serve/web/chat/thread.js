// The conversation as it is read: the newest turns are drawn, earlier ones as one scrolls up to them.
import {AnswerTurn, CompareTurn, UserTurn} from './turns.js';
import {IconButton, Notice, html, useEffect, useLayoutEffect, useReducer, useRef, useState, useStore} from '../lib/ui.js';

const STEP = 30; // turns that are drawn at first, and with each look further up
const NEAR = 80; // pixels from the end that still count as being there

/** The branches at a message's place: an id for each, answers that were compared being one. */
function branchesOf(tree, message) {
  const found = new Map();
  for (const id of tree.siblings(message.id)) {
    const group = tree.byId.get(id).meta.compare ?? id;
    if (!found.has(group)) found.set(group, id);
  }
  const groups = [...found.keys()];
  return {branches: [...found.values()], at: groups.indexOf(message.meta.compare ?? message.id)};
}

const kept = new Map(); // arrays with the same entries are the same array, so that memoized turns stay
function same(key, list) {
  const before = kept.get(key);
  if (before && before.length === list.length && before.every((one, i) => one === list[i])) return before;
  kept.set(key, list);
  return list;
}

function Turn({message, session}) {
  const {tree} = session;
  const key = message.key ?? message.id;
  const {branches, at} = branchesOf(tree, message);
  const given = {session, branches: same(`${key}/branches`, branches), at};
  if (message.role === 'user') return html`<${UserTurn} message=${message} ...${given} />`;
  if (!message.meta.compare) return html`<${AnswerTurn} message=${message} busy=${session.busy} ...${given} />`;
  const members = tree.siblings(message.id).map((id) => tree.byId.get(id)).filter((one) => one.meta.compare === message.meta.compare);
  members.sort((a, b) => a.meta.side - b.meta.side);
  return html`<${CompareTurn} members=${same(`${key}/members`, members)} shown=${message.id} ...${given} />`;
}

/** A question that the page was left on before an answer was stored. */
function Unanswered({session}) {
  return html`<${Notice} actions=${html`<button type="button" class="button small" onClick=${() => session.answer(session.current)}>Answer it</button>`}>
    There is no answer to this yet.<//>`;
}

export function Thread({session, scrollTo, children}) {
  useStore(session);
  const frame = useRef(null);
  const inner = useRef(null);
  const top = useRef(null);
  const atEnd = useRef(true);
  const anchor = useRef(null);
  const [away, setAway] = useState(false);
  const [count, more] = useReducer((n) => n + STEP, STEP);
  const {path} = session;
  const shown = path.slice(-count);

  const toEnd = () => {
    atEnd.current = true;
    setAway(false);
    frame.current.scrollTop = frame.current.scrollHeight;
  };
  useEffect(() => { if (scrollTo) toEnd(); }, [scrollTo]);
  useEffect(() => {
    const node = frame.current;
    const grown = new ResizeObserver(() => { if (atEnd.current) node.scrollTop = node.scrollHeight; });
    grown.observe(inner.current);
    return () => grown.disconnect();
  }, []);
  const scrolled = () => {
    const {scrollTop, scrollHeight, clientHeight} = frame.current;
    atEnd.current = scrollHeight - scrollTop - clientHeight < NEAR;
    if (away === atEnd.current) setAway(!atEnd.current);
  };
  // Earlier turns come before the reader gets to them, and what is read stays where it is.
  useEffect(() => {
    if (!top.current) return undefined;
    const seen = new IntersectionObserver(([entry]) => {
      if (!entry.isIntersecting) return;
      const first = inner.current.querySelector('.turn');
      anchor.current = {first, top: first.getBoundingClientRect().top};
      more();
    }, {root: frame.current, rootMargin: '900px 0px 0px 0px'});
    seen.observe(top.current);
    return () => seen.disconnect();
  }, [count, path.length > count]);
  useLayoutEffect(() => {
    if (!anchor.current) return;
    frame.current.scrollTop += anchor.current.first.getBoundingClientRect().top - anchor.current.top;
    anchor.current = null;
  }, [count]);

  return html`<div ref=${frame} class="thread scroll" onScroll=${scrolled} tabindex="0" role="log" aria-live="off" aria-label="Conversation">
    <div ref=${inner} class="thread-inner">
      ${path.length > count && html`<div ref=${top} class="earlier" aria-hidden="true"></div>`}
      ${shown.map((message) => html`<${Turn} key=${message.key ?? message.id} message=${message} session=${session} />`)}
      ${path.length > 0 && path.at(-1).role === 'user' && !session.busy && html`<${Unanswered} session=${session} />`}
      ${path.length === 0 && children}
    </div>
    ${away && html`<${IconButton} class="to-end" icon="down" label="To the end" onClick=${toEnd} />`}
  </div>`;
}

/** Reads an arriving answer to a screen reader, some sentences at a time. */
export function Announcer({session}) {
  useStore(session);
  const [words, say] = useState('');
  const message = session.path.at(-1);
  const draft = message?.draft;
  useEffect(() => {
    if (!draft) return undefined;
    let read = 0;
    say('The answer begins.');
    const timer = setInterval(() => {
      const end = draft.live ? Math.max(draft.text.lastIndexOf('. '), draft.text.lastIndexOf('\n')) + 1 : draft.text.length;
      if (end > read) { say(draft.text.slice(read, end)); read = end; }
      if (!draft.live) { clearInterval(timer); }
    }, 2500);
    return () => clearInterval(timer);
  }, [draft]);
  return html`<div class="unseen" role="status" aria-live="polite">${words}</div>`;
}
