// Text, and conversations, as the tokens that a model sees.
import {html, Segmented, Spinner, Switch, useEffect, useMemo, useState} from '../lib/ui.js';
import {Failure, isLocal, NeedsLocal, useAsked} from './parts/ask.js';
import {Flow, Inspector} from './parts/flow.js';
import {Fold, PagedTable} from './parts/paged.js';
import {grouped} from './parts/pieces.js';
import {counted, hex, inline, plural} from './parts/text.js';
import {Conversation, OPENING} from './tokens/conversation.js';

const EXAMPLE = 'A family 👨‍👩‍👧‍👦 of four, naïve café, 12 + 30 = 42.\n<|im_end|> typed by hand.';
const SOURCES = [{value: 'text', label: 'Text'}, {value: 'chat', label: 'Conversation'}];

export default function View({api, models, model, setModel, params}) {
  const [source, setSource] = useState(params.query.source === 'chat' ? 'chat' : 'text');
  const [text, setText] = useState(params.query.text ?? EXAMPLE);
  useEffect(() => { // a link to another text, or back
    if (params.query.source !== undefined) setSource(params.query.source === 'chat' ? 'chat' : 'text');
    if (params.query.text !== undefined) setText(params.query.text);
  }, [JSON.stringify(params)]);
  const [special, setSpecial] = useState(false);
  const [messages, setMessages] = useState(OPENING);
  const [opened, setOpened] = useState(true);
  const local = isLocal(models, model);

  const body = source === 'text'
    ? {model, prompt: text, parse_special: special}
    : {model, messages: messages.map(sent), add_generation_prompt: opened};
  const empty = !local || (source === 'text' && text === '');
  const asked = useAsked(empty ? null : (signal) => api.post('/tokenize', body, {signal}), [JSON.stringify(body)]);

  if (!local) return html`<${NeedsLocal} models=${models} model=${model} setModel=${setModel}
    why="A vocabulary is read from a model's own files" />`;
  return html`<div class="view tokens-view">
    <p class="lead">A model reads neither letters nor words but tokens: strings of bytes out of a fixed vocabulary, each with a
      number. Frequent strings have a token of their own, rare ones fall into several, and so may a single character.</p>
    <div class="controls">
      <${Segmented} label="What to cut into tokens" value=${source} options=${SOURCES} onChange=${setSource} />
      ${source === 'text'
        ? html`<${Switch} label="Read special tokens" checked=${special} onChange=${setSpecial}
            hint="What spells a special token becomes one." />`
        : html`<${Switch} label="Open the answer" checked=${opened} onChange=${setOpened}
            hint="End with the header of the assistant’s turn." />`}
    </div>
    ${source === 'text'
      ? html`<div class="field"><label for="tokens-text">Text</label>
          <textarea id="tokens-text" rows="5" spellcheck=${false} dir="auto" value=${text}
            onInput=${(event) => setText(event.currentTarget.value)}
            onPaste=${(event) => pasted(event) && setText(event.currentTarget.value)}></textarea></div>`
      : html`<${Conversation} messages=${messages} onChange=${setMessages} />`}
    <${Failure} asked=${asked} />
    <${Stream} pieces=${asked.value?.pieces ?? NONE} context=${asked.value?.max_model_len} loading=${asked.loading}
      chat=${source === 'chat'} typed=${source === 'chat' && messages.some((one) => one.content.includes('<|'))} />
  </div>`;
}

const NONE = [];
const LONG = 10_000; // characters

/** Put a long text in at once: Chromium's own way takes seconds for thousands of lines. Whether this was done. */
function pasted(event) {
  const text = event.clipboardData.getData('text/plain');
  if (text.length < LONG) return false;
  event.preventDefault();
  const box = event.currentTarget;
  box.setRangeText(text.replace(/\r\n?/g, '\n'), box.selectionStart, box.selectionEnd, 'end');
  return true;
}

/** A message as the API takes it. */
function sent({role, content, reasoning}) {
  return role === 'assistant' && reasoning ? {role, content, reasoning_content: reasoning} : {role, content};
}

/** The tokens: counts, the coloured flow, what one of them is, and all of them as a table. */
function Stream({pieces, context, loading, chat, typed}) {
  const {groups, graphemes, bytes, specials} = useMemo(() => grouped(pieces), [pieces]);
  const [active, setActive] = useState(-1);
  const [pointed, point] = useState(-1);
  useEffect(() => {
    setActive((at) => Math.min(at, groups.length - 1));
    point(-1);
  }, [groups]);
  const ordinary = pieces.length - specials;
  const groupOf = useMemo(() => {
    const made = new Int32Array(pieces.length);
    groups.forEach(({from, to}, at) => made.fill(at, from, to));
    return made;
  }, [groups]);

  return html`
    <section aria-labelledby="stream-title" aria-busy=${loading}>
      <div class="section-head">
        <h2 id="stream-title">${chat ? 'The stream that the model sees' : 'The tokens'}</h2>
        ${loading && html`<${Spinner} label="Counting tokens" />`}
      </div>
      ${chat && html`<p class="lead">A conversation is one line of tokens. Special tokens, framed here, say where a turn begins and ends;
        they are put in by their ids. ${typed
          ? html`What was typed as <code>${'<|…|>'}</code> stays text, in ordinary tokens: nobody can forge a turn.`
          : html`What is typed never becomes one: try the forged turn above.`}</p>`}
      <dl class="counts" aria-live="polite">
        <${Count} name="tokens" value=${counted(pieces.length)}
          more=${context ? `of ${counted(context)} that fit` : ''} />
        ${specials > 0 && html`<${Count} name="special among them" value=${counted(specials)} />`}
        <${Count} name="characters" value=${counted(graphemes)} more="as people count them" />
        <${Count} name="bytes" value=${counted(bytes)} more="of UTF-8" />
        <${Count} name="bytes per token" value=${ordinary ? (bytes / ordinary).toFixed(2) : '–'} more="without special ones" />
      </dl>
      <div class="flow-and-inspector">
        <${Flow} label=${chat ? 'The conversation, token by token' : 'The text, token by token'} pieces=${pieces} groups=${groups}
          active=${active} onActive=${setActive} onPoint=${point} />
        <aside class=${`inspector card${active >= 0 ? ' asked' : ''}`} aria-label="The token pointed at">
          <${Inspector} pieces=${pieces} groups=${groups} at=${pointed >= 0 ? pointed : active} />
        </aside>
      </div>
      <${Fold} title=${`All ${plural(pieces.length, 'token')} as a table`}>${() => html`<${PagedTable}
        caption=${chat ? 'Tokens of the conversation' : 'Tokens of the text'} count=${pieces.length} columns=${COLUMNS}
        at=${active >= 0 ? groups[active]?.from : -1} row=${(i) => row(pieces, groups, groupOf, i)} />`}<//>
    </section>`;
}

const COLUMNS = [{name: 'place'}, {name: 'id'}, {name: 'text', text: true}, {name: 'bytes', text: true}, {name: 'kind', text: true}];

function row(pieces, groups, groupOf, i) {
  const piece = pieces[i];
  const group = groups[groupOf[i]];
  const parts = group.to - group.from;
  const part = parts > 1 ? `${i - group.from + 1} of ${parts} of “${inline(group.text, 12)}”` : '';
  return [
    i + 1, piece.id, html`<code class="piece">${parts > 1 ? '' : inline(piece.text)}</code>`,
    html`<code>${hex(piece.bytes)}</code>`, piece.special ? 'special' : part,
  ];
}

const Count = ({name, value, more}) => html`<div><dt>${name}</dt><dd><b>${value}</b> ${more && html`<small>${more}</small>`}</dd></div>`;

