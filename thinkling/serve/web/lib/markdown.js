// Markdown as virtual nodes: marked's lexer reads it, and nothing is ever parsed as HTML. What a model writes can
// therefore run nothing and load nothing: raw HTML shows as text, an image as a link to it.
import {copyText} from './clipboard.js';
import {Marked} from '../vendor/marked.js';
import {Maths, mathExtensions} from './maths.js';
import {Icon, Component, html, useRef, useState} from './ui.js';

const marked = new Marked({gfm: true, breaks: true, extensions: undefined});
marked.use({extensions: mathExtensions});

const DEEPEST = 24; // levels of blocks and emphasis

const plain = (raw) => ({type: 'raw', raw});

/** The blocks of a text. One that a model caught in a loop writes (`> > > >`) can be too deep for the lexer's stack. */
function read(lexer, text) {
  try {
    return lexer.lex(text);
  } catch (error) {
    if (error instanceof RangeError) return [plain(text)];
    throw error;
  }
}

/** Whether a token holds others more than `levels` levels deep. */
function deeper(token, levels) {
  const inside = [token.tokens, token.items, token.header, token.rows?.flat()].filter(Boolean).flat();
  return inside.length > 0 && (levels === 0 || inside.some((one) => deeper(one, levels - 1)));
}

/**
 * The blocks of a text that grows. A block that another one follows is closed: it is never read again, and its
 * token stays the same object, so that only the last block is drawn again while an answer arrives.
 */
export class Blocks {
  #source = '';
  #closed = [];
  #read = 0; // how much of the source the closed blocks take
  #links = {};

  /** The tokens of all blocks of `source`, which usually is the text of the last call with more at its end. */
  read(source) {
    const text = source.replace(/\r\n?/g, '\n');
    if (!text.startsWith(this.#source)) {
      this.#closed = [];
      this.#read = 0;
      this.#links = {};
    }
    this.#source = text;
    const lexer = new marked.Lexer(marked.defaults);
    Object.assign(lexer.tokens.links, this.#links);
    const open = read(lexer, text.slice(this.#read)).map((token) => (deeper(token, DEEPEST) ? plain(token.raw) : token));
    let last = open.length - 1;
    while (last > 0 && open[last].type === 'space') last -= 1;
    const done = open.slice(0, Math.max(0, last));
    const length = done.reduce((sum, token) => sum + token.raw.length, 0);
    this.#closed.push(...done.filter((token) => token.type !== 'space'));
    this.#read += length;
    Object.assign(this.#links, lexer.tokens.links);
    return [...this.#closed, ...open.slice(Math.max(0, last)).filter((token) => token.type !== 'space')];
  }

  get closed() {
    return this.#closed.length;
  }
}

class Block extends Component {
  shouldComponentUpdate(next) {
    return next.token !== this.props.token;
  }

  render({token}) {
    return block(token);
  }
}

/** A text in markdown. While it grows, give it the same place in the tree: it remembers what it has read. */
export function Markdown({text}) {
  const blocks = useRef(null);
  blocks.current ??= new Blocks();
  return html`<div class="prose">${blocks.current.read(text).map((token, i) => html`<${Block} key=${i} token=${token} />`)}</div>`;
}

function block(token) {
  switch (token.type) {
    case 'heading': {
      // the page has a heading of its own above: those of an answer come below it
      const level = `h${Math.min(6, token.depth + 1)}`;
      return html`<${level} class=${`depth-${token.depth}`}>${inlines(token.tokens)}<//>`;
    }
    case 'paragraph':
      return html`<p>${inlines(token.tokens)}</p>`;
    case 'text':
      return token.tokens ? html`<span>${inlines(token.tokens)}</span>` : entities(token.text);
    case 'code':
      return html`<${Code} text=${token.text} lang=${(token.lang ?? '').split(/\s/)[0]} />`;
    case 'blockquote':
      return html`<blockquote>${blocks(token.tokens)}</blockquote>`;
    case 'list': {
      const items = token.items.map((item, i) => html`<li key=${i} class=${item.task ? 'task' : undefined}>${blocks(item.tokens)}</li>`);
      return token.ordered ? html`<ol start=${token.start === 1 ? undefined : token.start}>${items}</ol>` : html`<ul>${items}</ul>`;
    }
    case 'checkbox':
      return html`<input type="checkbox" checked=${token.checked} disabled aria-label=${token.checked ? 'done' : 'to do'} />`;
    case 'table':
      return html`<div class="table scroll" role="group" aria-label="Table" tabindex="0"><table>
        <thead><tr>${token.header.map((cell) => html`<th scope="col" class=${cell.align}>${inlines(cell.tokens)}</th>`)}</tr></thead>
        <tbody>${token.rows.map((row) => html`<tr>${row.map((cell) => html`<td class=${cell.align}>${inlines(cell.tokens)}</td>`)}</tr>`)}</tbody>
      </table></div>`;
    case 'hr':
      return html`<hr />`;
    case 'maths':
      return html`<${Maths} tex=${token.tex} display=${token.display} />`;
    case 'def':
    case 'space':
      return null;
    default: // raw HTML among them, and what is nested beyond all sense
      return html`<p class="raw">${token.raw.trim()}</p>`;
  }
}

const blocks = (tokens) => tokens.map((token, i) => html`<${Block} key=${i} token=${token} />`);

const inlines = (tokens) => tokens.map(inline);

function inline(token) {
  switch (token.type) {
    case 'text':
      return token.tokens ? inlines(token.tokens) : entities(token.text);
    case 'escape':
      return token.text;
    case 'strong':
      return html`<strong>${inlines(token.tokens)}</strong>`;
    case 'em':
      return html`<em>${inlines(token.tokens)}</em>`;
    case 'del':
      return html`<del>${inlines(token.tokens)}</del>`;
    case 'codespan':
      return html`<code>${token.text}</code>`;
    case 'br':
      return html`<br />`;
    case 'maths':
      return html`<${Maths} tex=${token.tex} display=${token.display} />`;
    case 'link':
      return link(token.href, inlines(token.tokens));
    case 'image':
      return link(token.href, `[image: ${token.text || token.href}]`);
    case 'checkbox':
      return block(token);
    default:
      return token.raw;
  }
}

function link(href, inside) {
  if (!/^(https?:\/\/|mailto:)/i.test(href)) return html`<span>${inside}</span>`;
  return html`<a href=${href} target="_blank" rel="noopener noreferrer">${inside}</a>`;
}

const NAMED = {amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0', hellip: '…', mdash: '—', ndash: '–', times: '×', rarr: '→', larr: '←'};

/** Text with its character references replaced: no HTML parser will do it. */
function entities(text) {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(\w{2,8}));/gi, (whole, decimal, hex, name) => {
    if (name) return NAMED[name] ?? whole;
    const code = decimal ? Number.parseInt(decimal, 10) : Number.parseInt(hex, 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
  });
}

function Code({text, lang}) {
  const [copied, set] = useState(false);
  const copy = async () => {
    await copyText(text);
    set(true);
    setTimeout(() => set(false), 1600);
  };
  return html`<figure class="code">
    <figcaption><span>${lang || 'text'}</span>
      <button type="button" onClick=${copy} aria-label="Copy the code"><${Icon} name=${copied ? 'check' : 'copy'} size=${14} />${copied ? 'Copied' : 'Copy'}</button></figcaption>
    <pre class="scroll" tabindex="0" role="group" aria-label=${lang ? `Code in ${lang}` : 'Code'}><code>${text}</code></pre>
  </figure>`;
}
