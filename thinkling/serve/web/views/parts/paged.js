// A table of any length, a page of rows at a time.

import {html, useEffect, useState} from '../../lib/ui.js';
import {counted} from './text.js';

// `row(i)` gives the cells of row i, the first of which names it; `columns`: [{name, text}] (text: not a number).
export function PagedTable({caption, columns, count, row, size = 50, at = -1}) {
  const [page, setPage] = useState(0);
  const last = Math.max(0, Math.ceil(count / size) - 1);
  const shown = Math.min(page, last);
  useEffect(() => {
    if (at >= 0) setPage(Math.floor(at / size));
  }, [at, size]);
  const from = shown * size;
  const rows = Array.from({length: Math.min(size, count - from)}, (_, k) => from + k);
  const kind = (column) => (column.text ? 'text' : undefined);
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${`${caption}, as a table`}>
      <table>
        <caption>${caption}</caption>
        <thead>
          <tr>${columns.map((column) => html`<th scope="col" class=${kind(column)}>${column.name}</th>`)}</tr>
        </thead>
        <tbody>
          ${rows.map((i) => {
            const [first, ...others] = row(i);
            return html`<tr key=${i} class=${i === at ? 'chosen' : undefined}>
              <th scope="row">${first}</th>
              ${others.map((cell, k) => html`<td class=${kind(columns[k + 1])}>${cell}</td>`)}
            </tr>`;
          })}
        </tbody>
      </table>
    </div>
    ${
      last > 0 &&
      html`<div class="pages">
      <button type="button" disabled=${shown === 0} onClick=${() => setPage(shown - 1)}>‹ Earlier</button>
      <span>${counted(from + 1)}–${counted(from + rows.length)} of ${counted(count)}</span>
      <button type="button" disabled=${shown === last} onClick=${() => setPage(shown + 1)}>Later ›</button>
    </div>`
    }
  `;
}

// A fold that makes its content when it is first opened.
export function Fold({title, children, open = false}) {
  const [opened, setOpened] = useState(open);
  return html`<details class="fold" open=${open} onToggle=${(event) => event.currentTarget.open && setOpened(true)}>
    <summary>${title}</summary>
    ${opened && (typeof children === 'function' ? children() : children)}
  </details>`;
}
