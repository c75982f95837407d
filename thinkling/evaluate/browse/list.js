// The list of problems: filters, one page of rows at a time, and the problem that is selected.

const NARROW = matchMedia("(max-width: 900px)");
const PAGE = NARROW.matches ? 8 : 20;
const VIEWS = {
  "all problems": () => true,
  "strategies disagree": (i) =>
    new Set(index.strategies.filter((one) => asked(one, i)).map((one) => JSON.stringify([...one.answers[i]].sort())))
      .size > 1,
  "some right, some not": (i) => new Set(scoresOf(i).map((score) => score >= 1)).size > 1,
  "vote was tied": (i) => index.strategies.some((one) => one.tied[i]),
  "all right": (i) => scoresOf(i).length > 0 && scoresOf(i).every((score) => score >= 1),
  "none right": (i) => scoresOf(i).length > 0 && scoresOf(i).every((score) => score < 1),
};
const asked = (strategy, i) => index.statuses[strategy.statuses[i]] !== "not asked";
const scoresOf = (i) => index.strategies.map((one) => one.scores[i]).filter((score) => score !== null);

let index = null;
let haystack = [];
let found = [];
let page = 0;
let selected = -1;
const filters = { words: [], task: "", level: "", view: "all problems", statuses: [], better: null };
const part = (name) => document.getElementById(name);

function matches(i) {
  if (filters.task !== "" && index.task[i] !== Number(filters.task)) return false;
  if (filters.level !== "" && index.level[i] !== Number(filters.level)) return false;
  if (!VIEWS[filters.view](i)) return false;
  if (
    !filters.statuses.every((wanted, place) => wanted === "" || index.strategies[place].statuses[i] === Number(wanted))
  )
    return false;
  if (filters.better) {
    const [more, less] = filters.better.map((place) => index.strategies[place].scores[i]);
    if (more === null || less === null || more - less <= 1e-12) return false;
  }
  return filters.words.every((word) => haystack[i].includes(word));
}

function refresh() {
  found = index.key.map((_, i) => i).filter(matches);
  const at = found.indexOf(selected);
  page = Math.max(0, Math.floor(at / PAGE));
  const all = index.key.length;
  part("count").textContent =
    found.length === all ? plural(all, "problem") : `${counted(found.length)} of ${plural(all, "problem")}`;
  draw();
}

function row(i) {
  const signs = index.strategies.map((strategy) => sign(strategy.statuses[i], false));
  const told = index.strategies
    .map((strategy) => `${strategy.name}: ${index.statuses[strategy.statuses[i]]}`)
    .join(", ");
  const button = element(
    "button",
    { type: "button", title: told },
    element("span", { className: "number" }, counted(i + 1)),
    element("bdi", { className: "what" }, line(index.question[i], 110)),
    element("span", { className: signs.length > 4 ? "signs many" : "signs", role: "img", "aria-label": told }, signs),
  );
  if (i === selected) button.setAttribute("aria-current", "true");
  button.addEventListener("click", () => select(i, true));
  return element("li", {}, button);
}

function draw() {
  const from = page * PAGE;
  part("rows").replaceChildren(...found.slice(from, from + PAGE).map(row));
  const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
  const turn = (name, to, off) => {
    const button = element("button", { type: "button", disabled: off }, name);
    button.addEventListener("click", () => {
      page = to;
      draw();
    });
    return button;
  };
  const told = found.length ? `${counted(from + 1)}–${counted(Math.min(found.length, from + PAGE))}` : "none";
  part("pages").replaceChildren(
    turn("‹ Earlier", page - 1, page === 0),
    element("span", {}, told),
    turn("Later ›", page + 1, page >= last),
  );
}

// Show a problem. `byHand`: somebody chose it, so the address names it, and on a phone it is scrolled to.
async function select(i, byHand = false) {
  selected = i;
  const at = found.indexOf(i);
  if (at >= 0) page = Math.floor(at / PAGE);
  draw();
  const problem = await problemAt(i);
  if (selected !== i) return;
  const step = (name, by) => {
    const to = found[found.indexOf(i) + by];
    const button = element("button", { type: "button", disabled: to === undefined || !found.includes(i) }, name);
    button.addEventListener("click", () => select(to, true));
    return button;
  };
  const back = element("a", { href: "#problems", className: "back" }, "Back to the list");
  const bar = element(
    "div",
    { className: "bar" },
    element("h3", {}, `Problem ${counted(i + 1)}`),
    back,
    step("‹ Previous", -1),
    step("Next ›", 1),
  );
  part("problem").replaceChildren(bar, ...problemView(problem, i));
  if (byHand) {
    history.replaceState(null, "", `#problem-${i + 1}`);
    if (NARROW.matches) part("problem").scrollIntoView();
  }
}

function choice(label, entries, change) {
  const box = element(
    "select",
    {},
    entries.map(([value, text]) => element("option", { value }, text)),
  );
  box.addEventListener("change", () => {
    change(box.value);
    refresh();
  });
  return element("label", {}, element("span", {}, label), box);
}

function buildFilters() {
  const form = part("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  const search = element("input", { type: "search", placeholder: "question, answer or key", autocomplete: "off" });
  search.addEventListener("input", () => {
    filters.words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    refresh();
  });
  form.append(element("label", { className: "search" }, element("span", {}, "Search"), search));
  form.append(
    choice(
      "Show",
      Object.keys(VIEWS).map((name) => [name, name]),
      (value) => {
        filters.view = value;
      },
    ),
  );
  if (index.tasks.length > 1)
    form.append(
      choice("Task", [["", "all"], ...index.tasks.map((name, i) => [i, name])], (value) => {
        filters.task = value;
      }),
    );
  const levels = [...new Set(index.level)].sort((a, b) => a - b);
  if (levels.length > 1)
    form.append(
      choice("Level", [["", "all"], ...levels.map((level) => [level, level || "none"])], (value) => {
        filters.level = value;
      }),
    );
  filters.statuses = index.strategies.map(() => "");
  const perStrategy = index.strategies.map((strategy, place) => {
    const known = [...new Set(strategy.statuses)].sort((a, b) => a - b);
    const made = choice("", [["", "any"], ...known.map((status) => [status, index.statuses[status]])], (value) => {
      filters.statuses[place] = value;
    });
    made.firstChild.append(swatch(place), element("bdi", {}, strategy.name));
    return made;
  });
  form.append(
    element("details", {}, element("summary", {}, "By strategy"), element("div", { className: "each" }, perStrategy)),
  );
  form.append(element("p", { id: "better", hidden: true }));
}

// Only the problems where one strategy scores higher than another.
function showBetter(pair) {
  filters.better = pair;
  const note = part("better");
  note.hidden = pair === null;
  if (pair) {
    const [more, less] = pair.map((place) => element("bdi", {}, index.strategies[place].name));
    const clear = element("button", { type: "button" }, "Show all again");
    clear.addEventListener("click", () => {
      showBetter(null);
    });
    note.replaceChildren("Where ", more, " scores higher than ", less, ". ", clear);
  }
  refresh();
  if (found.length && pair) select(found[0]);
}

function move(event) {
  const by = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
  if (!by || event.ctrlKey || event.metaKey || event.altKey || !found.length) return;
  event.preventDefault();
  const at = found.indexOf(selected);
  select(found[Math.min(found.length - 1, Math.max(0, at < 0 ? page * PAGE : at + by))], true).then(() => {
    part("rows").querySelector("[aria-current]")?.focus({ preventScroll: true });
  });
}

function named() {
  const match = /^#problem-(\d+)$/.exec(location.hash);
  return match && Number(match[1]) >= 1 && Number(match[1]) <= index.key.length ? Number(match[1]) - 1 : -1;
}

async function start() {
  if (typeof DecompressionStream === "undefined") {
    part("browser").replaceWith(
      element("p", { className: "absent" }, "This browser cannot unpack the problems; one of 2023 or later can."),
    );
    return;
  }
  index = await unpack("index");
  haystack = index.key.map((key, i) =>
    [index.question[i], index.gold[i], key, ...index.strategies.flatMap((one) => one.answers[i])]
      .join("\n")
      .toLowerCase(),
  );
  buildFilters();
  part("browser").hidden = false;
  part("rows").addEventListener("keydown", move);
  addEventListener("hashchange", () => {
    const place = named();
    if (place >= 0 && place !== selected) select(place).then(() => part("problem").scrollIntoView());
  });
  selected = Math.max(0, named());
  refresh();
  await select(selected);
  if (named() >= 0) part("problem").scrollIntoView({ behavior: "instant" });
}
