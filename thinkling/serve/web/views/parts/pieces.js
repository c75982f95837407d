// Tokens and characters, brought together. A byte-level vocabulary may cut within a character (an emoji of a family is
// seven code points and up to 25 bytes), and a token may hold many: a group is the least run of tokens that begins and
// ends between two characters as people count them (extended grapheme clusters, UAX #29).

const SEGMENTER = new Intl.Segmenter('en', {granularity: 'grapheme'});
const PLAIN = /^[\t\n\x20-\x7e]*$/;

// `pieces`: [{id, text, bytes, special}] in order. Gives
// {groups: [{from, to, text, special, graphemes}], graphemes, bytes, specials}: tokens from <= i < to.
export function grouped(pieces) {
  const groups = [];
  let bytes = 0;
  let specials = 0;
  for (let from = 0; from < pieces.length;) {
    if (pieces[from].special) {
      groups.push({from, to: from + 1, text: pieces[from].text, special: true, graphemes: 0});
      specials += 1;
      from += 1;
      continue;
    }
    let to = from;
    while (to < pieces.length && !pieces[to].special) to += 1;
    bytes += gather(pieces, from, to, groups);
    from = to;
  }
  const graphemes = groups.reduce((sum, group) => sum + group.graphemes, 0);
  return {groups, graphemes, bytes, specials};
}

// The groups of a run without special tokens; the number of its bytes.
function gather(pieces, from, to, groups) {
  const run = [];
  for (let i = from; i < to; i += 1) for (const byte of pieces[i].bytes) run.push(byte);
  const {text, places} = decoded(run);
  const edges = boundaries(text);
  let start = from;
  let begun = 0; // index in text
  let end = 0; // index in run
  for (let i = from; i < to; i += 1) {
    end += pieces[i].bytes.length;
    const place = places[end];
    if (place < 0 || !edges[place]) continue;
    let graphemes = 0;
    for (let at = begun + 1; at <= place; at += 1) graphemes += edges[at];
    groups.push({from: start, to: i + 1, text: text.slice(begun, place), special: false, graphemes});
    start = i + 1;
    begun = place;
  }
  return run.length;
}

// UTF-8 to a string, and for every byte (and the end) the index in it of the character that begins there, or -1.
// A byte that fits nowhere becomes U+FFFD.
function decoded(bytes) {
  const places = new Int32Array(bytes.length + 1).fill(-1);
  const out = [];
  let length = 0;
  for (let at = 0; at < bytes.length;) {
    places[at] = length;
    const size = sizeAt(bytes, at);
    let point = 0xfffd;
    if (size === 1) point = bytes[at];
    else if (size > 1) {
      point = bytes[at] & (0x7f >> size);
      for (let k = 1; k < size; k += 1) point = (point << 6) | (bytes[at + k] & 0x3f);
    }
    const character = String.fromCodePoint(point);
    out.push(character);
    length += character.length;
    at += Math.max(1, size);
  }
  places[bytes.length] = length;
  return {text: out.join(''), places};
}

// How many bytes the character at `at` has; 0 where the bytes are not UTF-8 (RFC 3629: no overlong forms, surrogates or
// points above U+10FFFF).
function sizeAt(bytes, at) {
  const lead = bytes[at];
  if (lead < 0x80) return 1;
  const size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || at + size > bytes.length) return 0;
  for (let k = 1; k < size; k += 1) if ((bytes[at + k] & 0xc0) !== 0x80) return 0;
  const second = bytes[at + 1];
  if ((lead === 0xe0 && second < 0xa0) || (lead === 0xed && second > 0x9f)) return 0;
  if ((lead === 0xf0 && second < 0x90) || (lead === 0xf4 && second > 0x8f)) return 0;
  return size;
}

// 1 where a grapheme begins or the text ends.
function boundaries(text) {
  const edges = new Uint8Array(text.length + 1);
  edges[text.length] = 1;
  if (PLAIN.test(text)) return edges.fill(1);
  for (const {index} of SEGMENTER.segment(text)) edges[index] = 1;
  return edges;
}

// Groups in blocks of about `size`, each [from, to) into `groups`.
export function blocks(groups, size = 240) {
  const made = [];
  for (let from = 0; from < groups.length; from += size) made.push([from, Math.min(groups.length, from + size)]);
  return made;
}
