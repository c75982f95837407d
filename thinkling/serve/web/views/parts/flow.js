// Text as a flow of tokens. Only what is near the window is made of elements; the rest is plain text that takes the
// same room. One token is active: the arrows move it (a listbox of options), the pointer shows others in passing.

import {html, useEffect, useMemo, useRef, useState} from '../../lib/ui.js';
import {blocks} from './pieces.js';
import {counted, hex, inline, seen} from './text.js';

const HUES = 5;
const NEAR = '800px';
const SHOWN = 40; // tokens of one group, in the inspector

export function Flow({label, pieces, groups, active, onActive, onPoint}) {
  const box = useRef(null);
  const made = useMemo(() => blocks(groups), [groups]);
  const near = useNear(box, made);
  const at = useMemo(() => made.findIndex(([from, to]) => active >= from && active < to), [made, active]);

  const keyed = (event) => {
    const to = target(event, box.current, active, groups.length);
    if (to === null) return;
    event.preventDefault();
    onActive(to);
  };
  const pointed = (event) => {
    const option = event.target.closest('[data-group]');
    onPoint(option ? Number(option.dataset.group) : -1);
  };
  useEffect(() => {
    if (document.activeElement === box.current) {
      document.getElementById(`token-${active}`)?.scrollIntoView({block: 'nearest'});
    }
  }, [active, at]);

  return html`<div
    ref=${box}
    class="flow"
    role="listbox"
    aria-label=${label}
    aria-orientation="horizontal"
    aria-activedescendant=${active >= 0 ? `token-${active}` : undefined}
    tabindex="0"
    dir="auto"
    onKeyDown=${keyed}
    onFocus=${(event) => active < 0 && groups.length && event.currentTarget.matches(':focus-visible') && onActive(0)}
    onPointerOver=${pointed}
    onPointerLeave=${() => onPoint(-1)}
    onMouseDown=${(event) => {
      const option = event.target.closest('[data-group]');
      if (option) onActive(Number(option.dataset.group));
    }}
  >${made.map(
    ([from, to], k) => html`<${Block}
      key=${k}
      place=${k}
      pieces=${pieces}
      groups=${groups}
      from=${from}
      to=${to}
      near=${near.has(k) || k === at}
      active=${k === at ? active : -1}
    />`,
  )}</div>`;
}

function Block({place, pieces, groups, from, to, near, active}) {
  const inside = useMemo(() => {
    const shown = groups.slice(from, to);
    if (!near) return shown.map((group) => seen(group.text)).join('');
    return shown.map(
      (group, k) => html`<${Option} key=${k} at=${from + k} group=${group} pieces=${pieces} active=${from + k === active} />`,
    );
  }, [pieces, groups, from, to, near, active]);
  return html`<span role="presentation" data-block=${place}>${inside}</span>`;
}

function Option({at, group, pieces, active}) {
  const tokens = pieces.slice(group.from, group.to);
  const count = tokens.length;
  const told = `${inline(group.text)}, ${group.special ? 'special token' : 'token'} ${tokens.map((one) => one.id).join(' ')}`;
  const hue = group.special ? 'special' : `hue-${group.from % HUES}`;
  return html`<span
    id=${`token-${at}`}
    data-group=${at}
    role="option"
    aria-selected=${active}
    aria-label=${told}
    class=${`token ${hue}${count > 1 ? ' torn' : ''}${active ? ' active' : ''}`}
    style=${count > 1 ? {'--parts': count} : undefined}
  >${seen(group.text)}${count > 1 && html`<span class="parts" aria-hidden="true">${count}</span>`}</span>`;
}

// The blocks near the window, as they come and go.
function useNear(box, made) {
  const [near, setNear] = useState(new Set([0]));
  useEffect(() => {
    const observer = new IntersectionObserver(
      (entries) =>
        setNear((old) => {
          const next = new Set(old);
          for (const entry of entries) {
            const place = Number(entry.target.dataset.block);
            if (entry.isIntersecting) next.add(place);
            else next.delete(place);
          }
          return next;
        }),
      {root: scroller(box.current), rootMargin: `${NEAR} 0px`},
    );
    for (const block of box.current.querySelectorAll('[data-block]')) observer.observe(block);
    return () => observer.disconnect();
  }, [made]);
  return near;
}

// What scrolls the box, if it is not the window: a margin around the window does not reach into it.
function scroller(box) {
  let at = box.parentElement;
  while (at && !/auto|scroll/.test(getComputedStyle(at).overflowY)) at = at.parentElement;
  return at;
}

// Where a key leads: to the neighbour, the ends, or the token above or below; null: nowhere.
function target(event, box, active, count) {
  if (event.ctrlKey || event.metaKey || event.altKey || count === 0) return null;
  const steps = {ArrowRight: 1, ArrowLeft: -1};
  if (event.key in steps) return Math.min(count - 1, Math.max(0, active + steps[event.key]));
  if (event.key === 'Home') return 0;
  if (event.key === 'End') return count - 1;
  if (event.key === 'ArrowDown') return vertical(box, active, 1);
  if (event.key === 'ArrowUp') return vertical(box, active, -1);
  return null;
}

function vertical(box, active, by) {
  const here = box.querySelector(`#token-${active}`)?.getClientRects()[0];
  if (!here) return null;
  const middle = (here.left + here.right) / 2;
  let best = null;
  let distance = Infinity;
  let line = null;
  for (let i = active + by; ; i += by) {
    const rects = box.querySelector(`#token-${i}`)?.getClientRects();
    const rect = rects?.[by > 0 ? rects.length - 1 : 0];
    if (!rect) return best;
    if ((rect.top - here.top) * by < here.height / 2) continue;
    line ??= rect.top;
    if (Math.abs(rect.top - line) > here.height / 2) return best;
    const off = Math.max(0, rect.left - middle, middle - rect.right);
    if (off < distance) [best, distance] = [i, off];
  }
}

// What is to be said of one group: its tokens, with ids and bytes.
export function Inspector({pieces, groups, at}) {
  const group = groups[at];
  if (!group) return html`<p class="note">Point at a token, or go through them with the arrow keys.</p>`;
  const tokens = pieces.slice(group.from, group.to);
  const where = tokens.length === 1 ? `Token ${group.from + 1}` : `Tokens ${group.from + 1} to ${group.to}`;
  return html`
    <p class="what"><span class="big">${inline(group.text, 24) || 'empty'}</span></p>
    <p class="note">
      ${where} of ${pieces.length}${group.special ? ': a special token, put in by its id' : ''}${
        tokens.length > 1 &&
        `: ${group.graphemes === 1 ? 'one character' : `${group.graphemes} characters`} in ${tokens.length} tokens`
      }
    </p>
    <dl class="token-facts">
      ${tokens.slice(0, SHOWN).map(
        (token) => html`<div>
          <dt>id ${token.id}</dt>
          <dd><code>${hex(token.bytes)}</code></dd>
        </div>`,
      )}
    </dl>
    ${tokens.length > SHOWN && html`<p class="note">and ${counted(tokens.length - SHOWN)} more</p>`}
  `;
}
