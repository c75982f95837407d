// The tokens of a prompt in a row, one of them chosen: radio buttons, so that the arrow keys go along.
import {html, useId} from '../../lib/ui.js';
import {inline} from './text.js';

export function Strip({label, tokens, chosen, onChoose}) {
  const name = useId();
  return html`<fieldset class="strip">
    <legend>${label}</legend>
    <div>${tokens.map((token, at) => html`<label key=${at} class=${token.special ? 'special' : ''}>
      <input type="radio" name=${name} checked=${at === chosen} aria-label=${`${at + 1}: ${inline(token.text)}`}
        onChange=${() => onChoose(at)} />
      <span>${inline(token.text) || '∅'}</span>
    </label>`)}</div>
  </fieldset>`;
}
