// What happens between a prompt and the next token, on real numbers.
import {html, Segmented, Switch, useEffect, useMemo, useState} from '../lib/ui.js';
import {Heads} from './inside/heads.js';
import {Lens} from './inside/lens.js';
import {Walk} from './inside/walk.js';
import {isLocal, NeedsLocal} from './parts/ask.js';

const PARTS = [
  {value: 'walk', label: 'Six steps'},
  {value: 'heads', label: 'All heads'},
  {value: 'lens', label: 'Layer by layer'},
];
const EXAMPLE = 'Question: Tom has 3 apples and buys 4 more. How many apples does Tom have? Answer: 3+4=';
export const LONGEST = 64; // tokens; the server says so too

export default function View({api, models, model, setModel, params}) {
  const [part, setPart] = useState(PARTS.some((one) => one.value === params.path[0]) ? params.path[0] : 'walk');
  const [prompt, setPrompt] = useState(params.query.prompt ?? EXAMPLE);
  const [chat, setChat] = useState(params.query.chat === '1');
  const [place, setPlace] = useState({layer: 0, head: 0, position: -1});
  const local = isLocal(models, model);
  useEffect(() => { // a link to another part, or back
    if (PARTS.some((one) => one.value === params.path[0])) setPart(params.path[0]);
    if (params.query.prompt !== undefined) setPrompt(params.query.prompt);
    if (params.query.chat !== undefined) setChat(params.query.chat === '1');
  }, [JSON.stringify(params)]);
  useEffect(() => setPlace({layer: 0, head: 0, position: -1}), [model]);
  useEffect(() => setPlace((before) => ({...before, position: -1})), [prompt, chat]);
  const body = useMemo(
    () => ({model, ...(chat ? {messages: [{role: 'user', content: prompt}]} : {prompt})}),
    [model, chat, prompt],
  );
  const move = (to) => setPlace((before) => ({...before, ...to}));

  if (!local) return html`<${NeedsLocal} models=${models} model=${model} setModel=${setModel}
    why="One can only look inside a model that runs here" />`;
  const given = {api, body, place, move, empty: prompt === ''};
  return html`<div class="view inside-view">
    <p class="lead">A decoder-only Transformer reads the tokens of a prompt, and gives a probability to every token that might come
      next. Every number here is the model’s own, for this prompt.</p>
    <div class="prompt">
      <div class="field"><label for="inside-prompt">Prompt, up to ${LONGEST} tokens</label>
        <textarea id="inside-prompt" rows="2" spellcheck=${false} dir="auto" value=${prompt}
          onInput=${(event) => setPrompt(event.currentTarget.value)}></textarea></div>
      <${Switch} label="As a message of a chat" checked=${chat} onChange=${setChat} />
    </div>
    <${Segmented} label="What to look at" bare value=${part} options=${PARTS} onChange=${setPart} />
    ${part === 'walk' && html`<${Walk} ...${given} />`}
    ${part === 'heads' && html`<${Heads} ...${given} onWalk=${() => setPart('walk')} />`}
    ${part === 'lens' && html`<${Lens} ...${given} />`}
  </div>`;
}
