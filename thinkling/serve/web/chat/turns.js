// The turns of a conversation: a question, an answer, two answers side by side.
import {explain} from '../lib/api.js';
import {copyText} from '../lib/clipboard.js';
import {Markdown} from '../lib/markdown.js';
import {Legend, TokenView} from './tokens.js';
import {Thinking} from './thinking.js';
import {Growing, TraceView} from './trace.js';
import {messagesOf} from './settings.js';
import {tokensOf} from './session.js';
import {Icon, IconButton, Notice, Segmented, Switch, cx, html, memo, useCallback, useLayoutEffect, useRef, useState, useStore, useStored} from '../lib/ui.js';

/** ‹ 2/3 ›: the branches at this place. `branches`: a message's id for each; `at`: the one that is shown. */
function BranchSwitch({session, branches, at}) {
  if (branches.length < 2) return null;
  const go = (step) => session.choose(branches[at + step]);
  return html`<span class="branches" role="group" aria-label="Branches">
    <${IconButton} icon="left" size=${15} label="Previous branch" disabled=${at === 0} onClick=${() => go(-1)} />
    <span class="number" aria-live="polite">${at + 1}<span aria-hidden="true">/</span><span class="unseen"> of </span>${branches.length}</span>
    <${IconButton} icon="right" size=${15} label="Next branch" disabled=${at === branches.length - 1} onClick=${() => go(1)} />
  </span>`;
}

function CopyButton({text}) {
  const [copied, set] = useState(false);
  const copy = async () => {
    await copyText(text);
    set(true);
    setTimeout(() => set(false), 1600);
  };
  return html`<${IconButton} icon=${copied ? 'check' : 'copy'} size=${16} label=${copied ? 'Copied' : 'Copy'} onClick=${copy} />`;
}

export const UserTurn = memo(({message, session, branches, at}) => {
  const [editing, edit] = useState(false);
  return html`<article class="turn user" aria-label="You">
    ${editing
      ? html`<${Editor} message=${message} session=${session} onDone=${() => edit(false)} />`
      : html`<div class="bubble">${message.content}</div>
        <div class="turn-actions"><${BranchSwitch} session=${session} branches=${branches} at=${at} />
          <${CopyButton} text=${message.content} />
          <${IconButton} icon="edit" size=${16} label="Edit the message" onClick=${() => edit(true)} /></div>`}
  </article>`;
});

function Editor({message, session, onDone}) {
  const field = useRef(null);
  const [problem, setProblem] = useState(null);
  useLayoutEffect(() => { field.current.focus(); field.current.setSelectionRange(message.content.length, message.content.length); }, []);
  const send = async () => {
    const text = field.current.value.trim();
    if (!text || session.busy) return;
    try {
      await session.edit(message.id, text);
      onDone();
    } catch (error) {
      setProblem(error);
    }
  };
  const pressed = (event) => {
    if (event.key === 'Escape') { event.stopPropagation(); onDone(); }
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) send();
  };
  return html`<div class="editor stack">
    ${problem && html`<${Notice} tone="bad" title=${explain(problem).title}>${explain(problem).advice}<//>`}
    <textarea ref=${field} class="input" rows="3" aria-label="Edited message" defaultValue=${message.content} onKeyDown=${pressed}></textarea>
    <div class="row"><span class="hint grow">Sending begins a new branch; the old one stays.</span>
      <button type="button" class="button small" onClick=${onDone}>Cancel</button>
      <button type="button" class="button small primary" onClick=${send}>Send</button></div>
  </div>`;
}

export const AnswerTurn = memo(({message, session, branches, at}) => html`<article class="turn assistant" aria-label=${`Answer by ${message.meta.model ?? 'the model'}`}>
  <${Answer} message=${message} session=${session}>
    <${BranchSwitch} session=${session} branches=${branches} at=${at} />
  <//>
</article>`);

/** Answers to one question under different settings. `shown`: the id of the one that the chat goes on with. */
export const CompareTurn = memo(({members, session, shown, branches, at}) => html`<article class="turn assistant compare" aria-label="Two answers side by side">
  <div class="columns">${members.map((message, i) => html`<section key=${message.key ?? message.id} class=${cx('column', message.id === shown && 'chosen')} aria-label=${`Answer ${'AB'[i]}`}>
    <header class="column-head"><span class="chip">${'AB'[i]}</span><strong>${message.meta.strategy}</strong><span class="faint">${message.meta.model} · T ${message.meta.sampling?.temperature}</span>
      <span class="grow"></span>
      <button type="button" class="button small" aria-pressed=${String(message.id === shown)} disabled=${Boolean(message.draft?.live)} onClick=${() => session.choose(message.id)}>
        ${message.id === shown ? html`<${Icon} name="check" size=${13} />Goes on` : 'Go on with this'}</button></header>
    <${Answer} message=${message} session=${session} />
  </section>`)}</div>
  <div class="turn-actions"><${BranchSwitch} session=${session} branches=${branches} at=${at} /></div>
</article>`);

/** Strategies whose answers follow the chat as it is. The others write prompts of their own, which this page does not know. */
const PLAIN = /^(plain|(sc|bon|vote|cot-decoding)(:[^()]*)?)$/;

/** What an answer is, arriving or stored. */
function Answer({message, session, children}) {
  const {draft} = message;
  useStore(draft);
  const [mode, setMode] = useState(draft && message.meta.forked !== undefined ? 'tokens' : 'text');
  const [coloured, setColoured] = useStored('coloured', true);
  const live = Boolean(draft?.live);
  const {meta} = message;
  const text = draft ? draft.text : message.content;
  const thinking = draft ? draft.thinking : message.reasoning ?? '';
  const tokens = tokensOf(message);
  const trace = draft?.trace ?? meta.trace;
  const usage = draft?.usage ?? meta.usage;
  const error = draft?.error ?? message.error;
  const finish = draft?.finish ?? meta.finish;
  const {api} = session.library;

  const next = useCallback((index, signal) => api.post('/api/next', {
    model: meta.model, messages: messagesOf(session.system, session.tree.path(message.parent)), top: 50,
    forced_tokens: tokens.slice(0, index).map((token) => token.id),
    ...(meta.sampling?.think && meta.sampling.think !== 'auto' && {think: meta.sampling.think === 'on'}),
  }, {signal}), [message.parent, tokens]);
  const fork = useCallback((index, rival) => session.fork(message.id, index, rival), [message.id]);
  const plain = PLAIN.test(meta.strategy ?? 'plain');

  const empty = live && !text && !thinking;
  return html`
    ${draft && live && draft.effects.length > 0 && !trace && html`<${Growing} effects=${draft.effects} />`}
    ${trace && html`<${TraceView} trace=${trace} usage=${usage} samples=${draft?.samples ?? meta.samples} />`}
    ${empty && draft.effects.length === 0 && html`<p class="waiting"><span class="pulse" aria-hidden="true"></span><span class="unseen">Waiting for the first token</span></p>`}
    ${mode === 'tokens' && tokens.length > 0
      ? html`<div class="token-tools"><${Switch} label="Colour by probability" checked=${coloured} onChange=${setColoured} />${coloured && html`<${Legend} />`}</div>
        <${TokenView} tokens=${tokens} sampling=${meta.sampling ?? {}} coloured=${coloured} forked=${meta.forked}
          next=${plain ? next : null} onFork=${plain && !session.busy ? fork : null} />`
      : html`${thinking && html`<${Thinking} text=${thinking} live=${live && draft.phase === 'thinking'} answered=${Boolean(text)}
            seconds=${draft ? draft.thinkSeconds : meta.timing?.think_s} tokens=${thinkTokens(tokens, usage, trace)} />`}
        ${text && html`<div class=${cx('answer', live && 'arriving')}><${Markdown} text=${text} /></div>`}`}
    ${error && html`<${Failure} error=${error} message=${message} session=${session} />`}
    ${!live && html`<div class="turn-actions">${children}
      ${text && html`<${CopyButton} text=${text} />`}
      ${!session.busy && !meta.compare && html`<${IconButton} icon="retry" size=${16} label="Answer again" onClick=${() => session.regenerate(message.id)} />`}
      ${tokens.length > 0 && html`<${Segmented} bare label="How the answer is shown" value=${mode} onChange=${setMode} options=${[{value: 'text', label: 'Text'}, {value: 'tokens', label: 'Tokens'}]} />`}
      <${Facts} meta=${meta} draft=${draft} usage=${usage} finish=${finish} tokens=${tokens} />
    </div>`}`;
}

/** Tokens of this answer's thinking. A strategy's usage is that of all its samples, which is another number. */
function thinkTokens(tokens, usage, trace) {
  const counted = trace ? null : usage?.completion_tokens_details?.reasoning_tokens;
  return counted ?? tokens.reduce((sum, token) => sum + (token.kind === 'think' ? 1 : 0), 0);
}

const ENDS = {length: 'cut at max tokens', stopped: 'stopped', error: 'broke off'};

function Facts({meta, draft, usage, finish, tokens}) {
  const timing = meta.timing ?? draft?.timing ?? {};
  const made = usage?.completion_tokens ?? tokens.length;
  const facts = [
    meta.forked !== undefined && `forked at token ${meta.forked + 1}`,
    made > 0 && `${made.toLocaleString()} tokens`,
    timing.tokens_per_s && `${timing.tokens_per_s >= 10 ? Math.round(timing.tokens_per_s) : timing.tokens_per_s.toFixed(1)} tok/s`,
    typeof timing.first_token_s === 'number' && `first after ${timing.first_token_s.toFixed(2)} s`,
    ENDS[finish],
  ].filter(Boolean);
  return html`<span class="turn-facts number" title=${meta.model}>${facts.join(' · ')}</span>`;
}

function Failure({error, message, session}) {
  const why = explain(error);
  return html`<${Notice} tone="bad" title=${why.title} actions=${html`
    <button type="button" class="button small" onClick=${() => session.regenerate(message.id)}>Try again</button>`}>${why.advice}<//>`;
}
