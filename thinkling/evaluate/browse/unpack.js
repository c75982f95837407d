// The data of the page: zlib streams in base64, one per <script type="text/plain">, unpacked when first needed.

const KEPT_BLOCKS = 12;
const parsed = new Promise((done) => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", done, { once: true });
  else done();
});
const blocks = new Map();

async function unpack(name) {
  const letters = atob(document.getElementById(name).textContent);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

// One problem with all its answers. The blocks used last are kept, the others forgotten.
async function problemAt(place) {
  await parsed;
  const { starts } = index;
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= place) low = middle;
    else high = middle - 1;
  }
  const made = blocks.get(low) ?? unpack(`block-${low}`);
  blocks.delete(low);
  blocks.set(low, made);
  if (blocks.size > KEPT_BLOCKS) blocks.delete(blocks.keys().next().value);
  return (await made)[place - starts[low]];
}
