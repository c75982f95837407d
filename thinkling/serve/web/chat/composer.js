// Where one writes. What was typed is kept until the server has it, over reloads too.
import {explain} from '../lib/api.js';
import {spell} from './settings.js';
import {Icon, IconButton, Notice, Segmented, html, useEffect, useEvent, useLayoutEffect, useRef, useState, useStore} from '../lib/ui.js';

const keyOf = (session) => `thinkling.typed.${session.id ?? 'new'}`;

export function Composer({session, library, enterSends, onSettings, onSent, suggested}) {
  useStore(session);
  const [text, setText] = useState(() => sessionStorage.getItem(keyOf(session)) ?? '');
  const [problem, setProblem] = useState(null);
  const [sending, setSending] = useState(false);
  const field = useRef(null);

  const type = useEvent((next) => {
    setText(next);
    sessionStorage.setItem(keyOf(session), next);
  });
  useEffect(() => {
    if (suggested) { type(suggested.text); field.current.focus(); }
  }, [suggested]);
  useEffect(() => { if (matchMedia('(pointer: fine)').matches) field.current.focus(); }, [session]);
  useLayoutEffect(() => {
    field.current.style.height = 'auto';
    field.current.style.height = `${Math.min(field.current.scrollHeight + 2, innerHeight * 0.4)}px`;
  }, [text]);

  const send = async () => {
    if (!text.trim() || session.busy || sending) return;
    setProblem(null);
    setSending(true);
    const key = keyOf(session);
    onSent();
    try {
      await session.ask(text.trim());
      sessionStorage.removeItem(key);
      sessionStorage.removeItem(keyOf(session));
      setText('');
    } catch (error) {
      setProblem(error);
    }
    setSending(false);
    field.current?.focus();
  };
  const pressed = (event) => {
    if (event.key === 'Enter' && !event.isComposing && (event.ctrlKey || event.metaKey || (enterSends && !event.shiftKey))) {
      event.preventDefault();
      send();
    }
  };

  const {busy} = session;
  const [side] = session.sides;
  const why = problem ?? session.error;
  const specs = session.sides.filter(Boolean).map((one) => spell(one.strategy, library.strategies));
  const thinks = library.models.find((one) => one.id === side.model)?.capabilities?.think !== false;
  return html`<div class="composer">
    ${why && html`<${Notice} tone="bad" title=${explain(why).title}
      actions=${problem && html`<button type="button" class="button small" onClick=${send}>Try again</button>`}>${explain(why).advice}<//>`}
    <div class="composer-box">
      <textarea ref=${field} rows="1" value=${text} placeholder="Ask something" aria-label="Your message"
        onInput=${(event) => type(event.currentTarget.value)} onKeyDown=${pressed}></textarea>
      <div class="composer-tools">
        ${thinks && html`<${Segmented} bare label="Thinking" value=${side.think} onChange=${(think) => session.setSettings(0, {...session.sides[0], think})}
          options=${[{value: 'auto', label: 'Auto'}, {value: 'on', label: 'Think'}, {value: 'off', label: 'Direct'}]} />`}
        <button type="button" class="chip-button" onClick=${onSettings} title="Strategy and settings">
          <${Icon} name=${session.comparing ? 'columns' : 'sliders'} size=${15} /><span>${session.comparing ? specs.join(' vs ') : specs[0] === 'plain' ? 'Strategy' : specs[0]}</span></button>
        <span class="grow"></span>
        ${busy
          ? html`<${IconButton} class="send stop" icon="stop" label="Stop (Esc)" onClick=${() => session.stop()} />`
          : html`<${IconButton} class="send" icon="send" label=${enterSends ? 'Send (Enter)' : 'Send (Ctrl+Enter)'} disabled=${!text.trim() || sending} onClick=${send} />`}
      </div>
    </div>
  </div>`;
}
