// How a strategy came to its answer: paths with the margin of each token (CoT-decoding), a tree of steps (beam
// search), a chain of parts (zero-shot, refine, budget), or answers side by side.

// Where a text goes on after another that it begins with, whatever the spaces between words; -1 where it does not.
function endOf(text, beginning) {
  let at = 0;
  for (const letter of beginning.replace(/\s+/g, "")) {
    while (/\s/.test(text.charAt(at))) at += 1;
    if (!text.startsWith(letter, at)) return -1;
    at += letter.length;
  }
  return at;
}

// What a candidate adds to the one that it continues.
function added(candidate, parent) {
  if (!parent || typeof candidate.text !== "string" || typeof parent.text !== "string") return candidate;
  const [now, before] = [candidate, parent].map((one) => (one.text || one.thinking === null ? "text" : "thinking"));
  const [own, given] = [candidate[now], parent[before]];
  const end = now === before && typeof own === "string" && typeof given === "string" && given ? endOf(own, given) : -1;
  if (end < 0) return candidate;
  return {
    ...candidate,
    thinking: now === "thinking" ? "" : candidate.thinking,
    text: "",
    [now]: own.slice(end).trimStart(),
  };
}

function spoken(candidate) {
  return [
    candidate.thinking ? said(candidate.thinking, "thinking") : null,
    candidate.text ? said(candidate.text) : null,
  ].filter(Boolean);
}

// Tokens over a scale: p(top 1) - p(top 2), in percent.
function coloured(candidate) {
  const box = element("div", { className: "said tokens", dir: "auto" });
  candidate.pieces.forEach((piece, i) => {
    const token = element("span", { title: `margin ${(candidate.margins[i] / 100).toFixed(2)}` }, seen(piece));
    if (i < candidate.thought) token.className = "thinking";
    token.style.setProperty("--sure", `${candidate.margins[i]}%`);
    if (i && i === candidate.thought) box.append("\n");
    box.append(token);
  });
  if (candidate.pieces_left_out)
    box.append(element("span", { className: "gap" }, ` … ${counted(candidate.pieces_left_out)} characters more`));
  return box;
}

function pathTitle(candidate, number) {
  const answer = candidate.answer === null ? "no answer" : line(candidate.answer, 24);
  return [
    `path ${number + 1}: `,
    element("bdi", {}, answer),
    candidate.answer === null ? "" : `, Δ ${rounded(candidate.weight)}`,
  ];
}

function paths(trace) {
  const chosen = trace.tied.filter((place) => place < trace.candidates.length);
  const scale = element(
    "p",
    { className: "scale note" },
    "margin 0 ",
    element("i", {}),
    " 1: p(likeliest) − p(second) of each token",
  );
  const shown = chosen.flatMap((place) => [
    element("p", { className: "part" }, pathTitle(trace.candidates[place], place)),
    trace.candidates[place].pieces ? coloured(trace.candidates[place]) : spoken(trace.candidates[place]),
  ]);
  const others = trace.candidates
    .map((candidate, place) => [candidate, place])
    .filter(([, place]) => !chosen.includes(place))
    .map(([candidate, place]) => {
      const title = element("span", {}, pathTitle(candidate, place));
      return fold(title, () => (candidate.pieces ? coloured(candidate) : spoken(candidate)));
    });
  return [scale, ...shown.flat(), ...others];
}

// A tree as an outline: the steps that were kept and pruned, each under the one that it continues.
function tree(trace) {
  const won = new Set();
  for (const end of trace.tied)
    for (let at = end; at >= 0 && at < trace.candidates.length; at = trace.candidates[at].parent) won.add(at);
  const children = new Map();
  trace.candidates.forEach((candidate, place) => {
    if (!children.has(candidate.parent)) children.set(candidate.parent, []);
    children.get(candidate.parent).push(place);
  });
  const grow = (parent) => {
    const list = element("ul", { className: "tree" });
    for (const place of children.get(parent) ?? []) {
      const candidate = trace.candidates[place];
      const own = added(candidate, trace.candidates[parent]);
      const state = won.has(place) ? "won" : candidate.kept ? "kept" : "pruned";
      const value = element("span", { className: "judged" }, rounded(candidate.weight));
      const ended =
        candidate.answer === null ? null : element("b", {}, " → ", element("bdi", {}, line(candidate.answer, 24)));
      const text = element(
        "span",
        { className: "step" },
        line(own.text || own.thinking || "(nothing more)", 160),
        ended,
      );
      list.append(
        element(
          "li",
          { className: state },
          element("div", { title: state }, value, text),
          children.has(place) ? grow(place) : null,
        ),
      );
    }
    return list;
  };
  const key = element(
    "p",
    { className: "note" },
    "Each step with the verifier's value; in bold the path that won, pale what was pruned.",
  );
  return [key, element("div", { className: "scroll" }, grow(-1))];
}

function chain(trace) {
  return trace.candidates.flatMap((candidate, place) => {
    const own = added(candidate, trace.candidates[candidate.parent]);
    const title = `${place + 1}. ${candidate.role}, ${plural(candidate.tokens, "token")}`;
    return [element("p", { className: "part" }, title), ...spoken(own)];
  });
}

function abreast(trace) {
  return trace.candidates.map((candidate, place) => {
    const answer = candidate.answer === null ? "no answer" : line(candidate.answer, 24);
    const title = element(
      "span",
      {},
      `${candidate.role} ${place + 1}: `,
      element("bdi", {}, answer),
      `, weight ${rounded(candidate.weight)}`,
    );
    return fold(title, () => spoken(candidate));
  });
}

// The view that fits a trace, and whether it holds the final text, which then is not shown twice.
function traceOf(trace) {
  const any = (test) => trace.candidates.some(test);
  let view = [];
  let final = false;
  if (any((one) => one.pieces)) [view, final] = [paths(trace), true];
  else if (any((one) => one.role === "step")) view = tree(trace);
  else if (any((one) => one.parent >= 0)) [view, final] = [chain(trace), !trace.left_out];
  else if (trace.candidates.length > 1) view = abreast(trace);
  const left = trace.left_out
    ? element("p", { className: "note" }, `${counted(trace.left_out)} more were not kept.`)
    : null;
  const note = trace.note ? element("p", { className: "note" }, seen(trace.note)) : null;
  return { nodes: [note, ...view, left].filter(Boolean), final };
}
