// An answer as its tokens: each can be looked at, and an answer can be begun again from any of them.
import {percent, visible} from './distribution.js';
import {Popover} from './popover.js';
import {cx, h, html, memo, useCallback, useEffect, useEvent, useRef, useState} from '../lib/ui.js';

const CHUNK = 128; // tokens that are drawn as one text until they come near the window

/** How sure the model was, in five steps: from above 90% down to below 5%. */
export function bucket(logprob) {
  if (logprob === undefined || logprob === null) return 'given';
  const p = Math.exp(logprob);
  return p > 0.9 ? 'p4' : p > 0.6 ? 'p3' : p > 0.25 ? 'p2' : p > 0.05 ? 'p1' : 'p0';
}

const shownText = (token) => (token.kind === 'mark' ? token.mark || '◆' : token.text);

const Chunk = memo(({tokens, from, count, near, register, forked}) => {
  const at = useRef(null);
  useEffect(() => register(at.current, from), []);
  const some = tokens.slice(from, from + count);
  return html`<span ref=${at} class="chunk">${near
    ? some.map((token, i) => h('span', {key: i, class: cx('t', token.kind, bucket(token.logprob), from + i === forked && 'fork'), 'data-at': from + i}, shownText(token)))
    : some.map(shownText).join('')}</span>`;
});

/** Which chunks are near the window: a set of their first tokens. */
function useNear() {
  const [near, set] = useState(() => new Set());
  const watch = useRef(null);
  const places = useRef(new Map());
  const register = useCallback((node, from) => {
    watch.current ??= new IntersectionObserver((seen) => set((before) => {
      const after = new Set(before);
      for (const {target, isIntersecting} of seen) {
        if (isIntersecting) after.add(places.current.get(target));
        else after.delete(places.current.get(target));
      }
      return after;
    }), {rootMargin: '600px'});
    places.current.set(node, from);
    watch.current.observe(node);
    return () => { places.current.delete(node); watch.current.unobserve(node); };
  }, []);
  useEffect(() => () => watch.current?.disconnect(), []);
  return [near, register];
}

/**
 * `tokens` may grow at its end. `next(index, signal)` asks for the distribution before token `index`; `onFork(index, rival)`
 * begins another answer, null while there is none to begin.
 */
export function TokenView({tokens, sampling, coloured, forked, next, onFork}) {
  const frame = useRef(null);
  const [at, look] = useState(null);
  const [cursor, setCursor] = useState(0);
  const [near, register] = useNear();
  const timer = useRef(0);

  const lookAt = useEvent((index, pinned) => {
    const node = frame.current.querySelector(`[data-at="${index}"]`);
    if (!node) return;
    for (const old of frame.current.querySelectorAll('.on')) old.classList.remove('on');
    node.classList.add('on');
    const {top, bottom} = node.getBoundingClientRect(); // of all lines that it lies on
    const {left} = node.getClientRects()[0];
    look({token: tokens[index], index, box: {left, top, bottom}, pinned});
  });
  const close = useEvent((back) => {
    clearTimeout(timer.current);
    for (const old of frame.current?.querySelectorAll('.on') ?? []) old.classList.remove('on');
    look(null);
    if (back) frame.current?.focus({preventScroll: true});
  });
  const later = useEvent((act, wait) => { clearTimeout(timer.current); timer.current = setTimeout(act, wait); });

  const pointed = (event) => {
    const node = event.target.closest('[data-at]');
    if (!node || event.pointerType === 'touch' || at?.pinned) return;
    later(() => lookAt(Number(node.dataset.at), false), at ? 60 : 160);
  };
  const left = () => { if (!at?.pinned) later(() => close(false), 260); };
  const clicked = (event) => {
    const node = event.target.closest('[data-at]');
    if (!node) return;
    setCursor(Number(node.dataset.at));
    later(() => {}, 0);
    lookAt(Number(node.dataset.at), 'pointer');
  };
  const pressed = (event) => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (step) {
      event.preventDefault();
      const to = Math.max(0, Math.min(tokens.length - 1, at ? cursor + step : cursor));
      setCursor(to);
      lookAt(to, 'hover');
      frame.current.querySelector(`[data-at="${to}"]`)?.scrollIntoView({block: 'nearest'});
    } else if (event.key === 'Enter' && at) {
      event.preventDefault();
      lookAt(at.index, 'keys');
    } else if (event.key === 'Escape' && at) {
      event.stopPropagation();
      close(true);
    }
  };
  useEffect(() => {
    if (!at) return undefined;
    const outside = (event) => {
      if (!event.target.closest?.('.popover') && !frame.current?.contains(event.target)) close(false);
    };
    const moved = (event) => { if (!event.target.closest?.('.popover')) close(false); };
    addEventListener('pointerdown', outside);
    addEventListener('wheel', moved, {passive: true});
    return () => { removeEventListener('pointerdown', outside); removeEventListener('wheel', moved); };
  }, [at]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const chunks = [];
  for (let from = 0; from < tokens.length; from += CHUNK) {
    const count = Math.min(CHUNK, tokens.length - from);
    chunks.push(html`<${Chunk} key=${from} tokens=${tokens} from=${from} count=${count} near=${near.has(from)} register=${register} forked=${forked} />`);
  }
  return html`<div ref=${frame} class=${cx('token-view', coloured && 'coloured')} tabindex="0" role="group"
      aria-label="The answer's tokens. Arrow keys move, Enter shows what else could have stood there."
      onPointerOver=${pointed} onPointerLeave=${left} onClick=${clicked} onKeyDown=${pressed} onBlur=${(event) => {
        if (at && !event.relatedTarget?.closest?.('.popover') && at.pinned !== 'pointer') close(false);
      }}>${chunks}
    <span class="unseen" aria-live="polite">${at ? `${visible(shownText(at.token))}, ${at.token.logprob === undefined ? 'given' : percent(Math.exp(at.token.logprob))}` : ''}</span>
    ${at && html`<${Popover} key=${at.index} at=${at} next=${next} sampling=${sampling} onClose=${close}
      onFork=${onFork && ((rival) => { const {index} = at; close(false); onFork(index, rival); })}
      onEnter=${() => clearTimeout(timer.current)} onLeave=${left} />`}
  </div>`;
}

export function Legend() {
  const steps = [['p4', '> 90%'], ['p3', '60–90%'], ['p2', '25–60%'], ['p1', '5–25%'], ['p0', '< 5%']];
  return html`<ul class="legend coloured" aria-label="Colours by probability">${steps.map(([name, text]) => html`<li key=${name}><span class=${`t ${name}`}>${text}</span></li>`)}</ul>`;
}
