// One problem: the question, the gold answer, and every strategy's answer side by side.

const GLYPHS = {
  right: "✓",
  wrong: "✗",
  ambiguous: "≈",
  unparsed: "?",
  "cut off": "…",
  error: "!",
  "no gold": "○",
  "in part": "½",
  "not asked": "·",
};

const classOf = (status) => `status-${status.replace(" ", "-")}`;

// A status as a colored sign; in the list without its word.
function sign(place, word = true) {
  const status = index.statuses[place];
  const made = element(
    "span",
    { className: `sign ${classOf(status)}` },
    element("span", { "aria-hidden": "true" }, GLYPHS[status]),
  );
  if (word) made.append(` ${status}`);
  return made;
}

function answerOf(answer, most = 60) {
  return element(
    "bdi",
    { className: "answer-text", title: typeof answer === "string" ? answer : "" },
    line(answer, most),
  );
}

// The distinct answers of a vote as bars of their share.
function tallied(outcome, strategy) {
  const weighed = strategy.how === "best" || strategy.how === "weighted";
  const unread = outcome.attempts.length - outcome.tally.reduce((sum, row) => sum + row[2], 0);
  const sum = outcome.tally.reduce((total, row) => total + row[1], 0);
  const whole = weighed ? (strategy.how === "best" ? 1 : sum || 1) : outcome.attempts.length;
  const rows = outcome.tally.map(([answer, weight, votes, score], place) => {
    const share = Math.min(1, Math.max(0, weight / whole));
    const bar = element("i", {
      className: score >= 1 ? "status-right" : score > 0 ? "status-in-part" : "status-wrong",
    });
    bar.style.width = percent(share);
    const told = weighed ? `${rounded(weight)}, ${plural(votes, "vote")}` : `${votes} (${percent(share)})`;
    const won = place < outcome.winners ? "won" : "";
    return element(
      "li",
      { className: won },
      answerOf(answer, 28),
      element("span", { className: "track" }, bar),
      element("span", { className: "told" }, told),
    );
  });
  if (unread)
    rows.push(
      element(
        "li",
        {},
        element("span", { className: "answer-text" }, "no answer"),
        element("span", { className: "track" }),
        element("span", { className: "told" }, counted(unread)),
      ),
    );
  return element("ul", { className: "tally" }, rows);
}

function attemptBody(attempt) {
  if (attempt.error !== undefined) return [said(attempt.error, "failed")];
  const trace = attempt.trace ? traceOf(attempt.trace) : { nodes: [], final: false };
  const nodes = [];
  if (!trace.final) {
    if (attempt.thinking) nodes.push(said(attempt.thinking, "thinking"));
    nodes.push(attempt.text ? said(attempt.text) : element("p", { className: "note" }, "It said nothing."));
  }
  if (trace.nodes.length) nodes.push(element("div", { className: "trace" }, trace.nodes));
  if (attempt.finish === "length")
    nodes.push(element("p", { className: "note" }, "Cut off at the longest answer allowed."));
  return nodes;
}

// The samples of a vote: a button each, which shows what that sample said.
function sampled(outcome, problem) {
  const panel = element("div", { className: "sample" });
  const buttons = outcome.attempts.map((place, number) => {
    const attempt = problem.attempts[place];
    const status = index.statuses[attempt.status];
    const answer = attempt.answer === null ? status : line(attempt.answer, 12);
    const button = element(
      "button",
      { type: "button", "aria-expanded": "false" },
      sign(attempt.status, false),
      " ",
      element("bdi", {}, answer),
    );
    button.title = `sample ${number + 1}: ${status}`;
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") !== "true";
      for (const other of buttons) other.setAttribute("aria-expanded", "false");
      button.setAttribute("aria-expanded", String(open));
      const judged = outcome.judged?.[number] ?? null;
      const value = judged === null ? "" : `, judged ${rounded(judged)}`;
      const facts = `Sample ${number + 1}, ${status}, ${plural(attempt.tokens, "token")}${value}`;
      panel.replaceChildren(...(open ? [element("p", { className: "part" }, facts), ...attemptBody(attempt)] : []));
    });
    return button;
  });
  return [element("div", { className: "chips", role: "group", "aria-label": "Samples" }, buttons), panel];
}

function card(outcome, strategy, place, problem) {
  const head = element("header", {}, swatch(place), element("bdi", {}, strategy.name));
  if (!outcome)
    return element(
      "section",
      { className: "card" },
      head,
      element("p", { className: "note" }, "Not asked: attempts are missing."),
    );
  head.append(sign(outcome.status));
  const body = element("section", { className: `card ${classOf(index.statuses[outcome.status])}` }, head);
  const facts = [plural(outcome.tokens, "token"), plural(outcome.calls, "call")];
  if (outcome.agreement !== undefined) facts.push(`${percent(outcome.agreement)} agree`);
  if (outcome.score !== null && outcome.score > 0 && outcome.score < 1) facts.push(`counts ${rounded(outcome.score)}`);
  const first = problem.attempts[outcome.attempts[0]];
  const leading = outcome.tally
    ? outcome.tally.slice(0, outcome.winners).map((row) => row[0])
    : first.answer === null
      ? []
      : [first.answer];
  const named = leading.flatMap((answer, i) => [i ? " or " : "", answerOf(answer)]);
  body.append(
    element("p", { className: "final" }, named.length ? named : "no answer"),
    element("p", { className: "note" }, facts.join(" · ")),
  );
  if (outcome.tally) body.append(tallied(outcome, strategy), ...sampled(outcome, problem));
  else {
    if (first.tied)
      body.append(
        element(
          "p",
          { className: "note" },
          `${first.tied} answers shared the highest weight; each counts 1/${first.tied}.`,
        ),
      );
    body.append(...attemptBody(first));
  }
  return body;
}

function problemView(problem, place) {
  const level = index.level[place] ? `, level ${index.level[place]}` : "";
  const about = element(
    "p",
    { className: "note about" },
    element("bdi", {}, index.tasks[index.task[place]]),
    `${level}, `,
    element("code", {}, index.key[place]),
  );
  const gold = element(
    "p",
    { className: "gold" },
    "Right answer: ",
    element("bdi", { className: "answer-text" }, index.gold[place] ? whole(problem.gold) : "not known"),
  );
  const cards = index.strategies.map((strategy, i) => card(problem.outcomes[i], strategy, i, problem));
  return [about, said(problem.question, "question"), gold, element("div", { className: "abreast" }, cards)];
}
