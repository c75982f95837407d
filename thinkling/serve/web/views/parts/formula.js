// Formulas in MathML, which browsers draw and screen readers speak. Small builders, so that a formula reads as one.
import {html} from '../../lib/ui.js';

export const v = (name) => html`<mi>${name}</mi>`;
export const o = (sign) => html`<mo stretchy="false">${sign}</mo>`;
export const n = (number) => html`<mn>${number}</mn>`;
export const t = (words) => html`<mtext>${words}</mtext>`;
export const row = (...parts) => html`<mrow>${parts}</mrow>`;
export const sub = (base, below) => html`<msub>${base}${below}</msub>`;
export const over = (above, below) => html`<mfrac>${above}${below}</mfrac>`;
export const root = (inside) => html`<msqrt>${inside}</msqrt>`;
export const sum = (below) => html`<munder>${o('∑')}${below}</munder>`;

/** One or more formulas, side by side where there is room. */
export const Formula = ({children}) => html`<div class="formula">
  ${[children].flat(2).filter((part) => typeof part === 'object').map((part, k) => html`<math key=${k} display="block">${part}</math>`)}
</div>`;
