// TeX in markdown, drawn as MathML. The typesetter is fetched when the first formula appears.
import {html, useEffect, useLayoutEffect, useRef, useState} from './ui.js';

let typesetter = null;
let fetching = null;

/** Formulas in their usual fences: $x$, $$x$$, \(x\), \[x\]. A dollar before a digit after the formula is money. */
const INLINE = [
  {fence: /^\$\$([^$]+?)\$\$/, display: true},
  {fence: /^\$(?!\s)((?:\\.|[^\\$\n])+?)(?<!\s)\$(?!\d)/, display: false},
  {fence: /^\\\(([\s\S]+?)\\\)/, display: false},
  {fence: /^\\\[([\s\S]+?)\\\]/, display: true},
];
const BLOCK = [/^ {0,3}\$\$([\s\S]+?)\$\$[ \t]*(?:\n+|$)/, /^ {0,3}\\\[([\s\S]+?)\\\][ \t]*(?:\n+|$)/];

function inlineMaths(text) {
  for (const {fence, display} of INLINE) {
    const found = fence.exec(text);
    if (found) return {type: 'maths', raw: found[0], tex: found[1].trim(), display};
  }
  return undefined;
}

function blockMaths(text) {
  for (const fence of BLOCK) {
    const found = fence.exec(text);
    if (found && !/\n\s*\n/.test(found[1])) return {type: 'maths', raw: found[0], tex: found[1].trim(), display: true};
  }
  return undefined;
}

const startOf = (text) => {
  const at = text.search(/\$|\\[([]/);
  return at < 0 ? undefined : at;
};

export const mathExtensions = [
  {name: 'maths', level: 'inline', start: startOf, tokenizer: inlineMaths},
  {name: 'maths', level: 'block', start: (text) => text.match(/\n {0,3}(?:\$\$|\\\[)/)?.index, tokenizer: blockMaths},
];

async function fetchTypesetter() {
  fetching ??= import('../vendor/temml.js').then((module) => { typesetter = module.default; });
  return fetching;
}

export function Maths({tex, display}) {
  const at = useRef(null);
  const [ready, set] = useState(typesetter !== null);
  useEffect(() => {
    if (!ready) fetchTypesetter().then(() => set(true), () => {}); // without it the formula stays as it was written
  }, []);
  useLayoutEffect(() => {
    if (ready) typesetter.render(tex, at.current, {displayMode: display, throwOnError: false, trust: false, maxExpand: 500, maxSize: [20, 20]});
  }, [ready, tex, display]);
  return html`<span ref=${at} class=${display ? 'maths display' : 'maths'}>${ready ? null : html`<code>${tex}</code>`}</span>`;
}
