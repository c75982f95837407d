// Everything that a model said goes into the page as text nodes, never as markup. Characters that nobody sees, or that
// turn the order of what follows, are shown by their code.

const LONG = 1400; // characters that a text may have before it is folded
const UNSEEN =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]/gu;
const counted = (number) => Number(number).toLocaleString("en-US");
const rounded = (number) => (number === null ? "–" : Number(number.toPrecision(3)).toLocaleString("en-US"));
const percent = (share) => `${Math.round(100 * share)}%`;
const plural = (count, noun) => `${counted(count)} ${noun}${count === 1 ? "" : "s"}`;

// An element with properties and attributes, and children: nodes, or strings that become text.
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== ""));
  return made;
}

// A text as nodes, with unseen characters spelled out.
function seen(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(UNSEEN)) {
    const code = `U+${match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
    nodes.push(
      text.slice(from, match.index),
      element("span", { className: "unseen", title: "a character that is not seen" }, code),
    );
    from = match.index + match[0].length;
  }
  nodes.push(text.slice(from));
  return nodes;
}

// A text that came whole, or as [beginning, number of characters left out, end].
function whole(text) {
  if (typeof text === "string") return seen(text);
  const [head, gap, tail] = text;
  const told = ` … ${counted(gap)} characters are left out here, see attempts.jsonl … `;
  return [...seen(head), element("span", { className: "gap" }, told), ...seen(tail)];
}

// A short form for a line: no breaks, at most so many characters.
function line(text, most = 60) {
  const head = (typeof text === "string" ? text : text[0])
    .slice(0, 4 * most)
    .replace(/\s+/g, " ")
    .trim();
  const letters = [...head];
  return seen(letters.length > most || typeof text !== "string" ? `${letters.slice(0, most - 1).join("")}…` : head);
}

function sizeOf(text) {
  return typeof text === "string" ? text.length : text[0].length + text[1] + text[2].length;
}

// A block of text, folded with a button where it is long.
function said(text, kind = "", short = LONG) {
  const box = element("div", { className: `said ${kind}`, dir: "auto" });
  if (sizeOf(text) <= short * 1.2) {
    box.append(...whole(text));
    return box;
  }
  const head = (typeof text === "string" ? text : text[0]).slice(0, short).replace(/[\ud800-\udbff]$/, "");
  const unfold = element(
    "button",
    { type: "button", className: "unfold" },
    `Show all ${counted(sizeOf(text))} characters`,
  );
  unfold.addEventListener("click", () => box.replaceChildren(...whole(text)));
  box.append(...seen(head), "… ", unfold);
  return box;
}

// A fold whose content is made when it is first opened.
function fold(title, make, open = false) {
  const box = element("details", {}, element("summary", {}, title));
  const fill = () => {
    if (box.open && box.childElementCount === 1) box.append(...[make()].flat());
  };
  box.addEventListener("toggle", fill);
  box.open = open;
  fill();
  return box;
}

function swatch(place) {
  const made = element("i", { className: "swatch" });
  made.style.background = `var(--s${place % 10})`;
  return made;
}
