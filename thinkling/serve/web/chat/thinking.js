// What the model thought: open while it thinks, folded once it answers, and then as the reader wants it.
import {Icon, html, useEffect, useReducer, useRef, useState} from '../lib/ui.js';

export function Thinking({text, live, answered, seconds, tokens}) {
  const [wanted, want] = useState(null); // what the reader chose; null: nothing yet
  const [, tick] = useReducer((n) => n + 1, 0);
  const body = useRef(null);
  const open = wanted ?? (live || !answered);
  useEffect(() => {
    if (!live) return undefined;
    const timer = setInterval(tick, 1000); // the seconds go on between tokens
    return () => clearInterval(timer);
  }, [live]);
  useEffect(() => {
    if (live && open && body.current) body.current.scrollTop = body.current.scrollHeight;
  });
  const facts = [seconds ? `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s` : '', tokens ? `${tokens.toLocaleString()} tokens` : ''].filter(Boolean).join(' · ');
  return html`<div class="thinking" role="group" aria-label="Thinking">
    <button type="button" aria-expanded=${String(open)} onClick=${() => want(!open)}>
      ${live ? html`<span class="pulse" aria-hidden="true"></span>` : html`<${Icon} name="think" size=${15} />`}
      <span>${live ? 'Thinking' : 'Thought'}</span><span class="number thinking-facts">${facts}</span><${Icon} name=${open ? 'up' : 'down'} size=${14} /></button>
    ${open && html`<div ref=${body} class="thinking-text scroll" tabindex="0" role="group" aria-label="The thinking">${text}</div>`}
  </div>`;
}
