// Texts and numbers as a reader sees them. Nothing here is ever markup.

// Characters that nobody sees, or that turn the order of what follows.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

const code = (character) => `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`;

// The text of a flow: unseen characters by their code, a line break with a sign before it.
export const seen = (text) => text.replace(UNSEEN, (one) => `⟨${code(one)}⟩`).replaceAll('\n', '↵\n');

// The text within one line: breaks, tabs and outer blanks as signs.
export function inline(text, most = 40) {
  const letters = [...text.slice(0, 4 * most)];
  const cut = letters.length > most || text.length > 4 * most;
  const head = cut ? `${letters.slice(0, most - 1).join('')}…` : text;
  return head
    .replace(UNSEEN, (one) => `⟨${code(one)}⟩`)
    .replaceAll('\n', '↵')
    .replaceAll('\t', '⇥')
    .replace(/^ +| +$/g, (blanks) => '␣'.repeat(blanks.length));
}

export const hex = (bytes) => bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join(' ');
export const counted = (number) => Number(number).toLocaleString('en-US');
export const plural = (count, noun) => `${counted(count)} ${noun}${count === 1 ? '' : 's'}`;

// A number at so many significant digits, short: 0.0312, 12.5, 16,570, 1.2e-7.
export function rounded(number, digits = 3) {
  if (number === null || number === undefined) return '–';
  if (!Number.isFinite(number)) return String(number);
  const size = Math.abs(number);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return minus(number.toExponential(digits - 1).replace('e+', 'e'));
  return minus(
    Number(number.toPrecision(Math.max(digits, Math.ceil(Math.log10(size + 1))))).toLocaleString('en-US', {
      maximumSignificantDigits: 15,
    }),
  );
}

export const percent = (share) => (share > 0 && share < 0.001 ? '< 0.1%' : `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}%`);

const minus = (text) => text.replace('-', '−').replace('e−', 'e-').replace(/^-/, '−');
