"""The page of an evaluation in a real browser: what it shows, how it is used, and that no answer can do anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.tab import Tab
from tests.synthetic_evaluation import synthetic
from tests.unit.test_evaluate_browse import HOSTILE, carried
from thinkling.evaluate.evaluation import Evaluation

SHOWN = "(document.querySelector('#problem h3')?.textContent ?? '')"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return synthetic(tmp_path_factory.mktemp("browse"), problems=30)


@pytest.fixture(scope="module")
def index(made: Evaluation) -> dict[str, Any]:
    return carried((made.folder / "report.html").read_text(encoding="utf-8"))[0]


@pytest.fixture
def page(tab: Tab, made: Evaluation) -> Tab:
    """The page, freshly opened on a desktop, its first problem shown."""
    show(tab, made.folder / "report.html")
    return tab


def show(tab: Tab, path: Path, fragment: str = "") -> None:
    tab.open(path.as_uri() + fragment)
    tab.wait("document.querySelector('#problem .abreast') !== null")


def click(page: Tab, selector: str, at: int = 0) -> None:
    page.run(f"document.querySelectorAll({json.dumps(selector)})[{at}].click()")


def choose(page: Tab, label: str, text: str) -> None:
    """Pick an entry of the filter with this label."""
    page.run(
        f"""(() => {{
        const labels = [...document.querySelectorAll('#filters label')];
        const label = labels.find((one) => one.textContent.startsWith({json.dumps(label)}));
        const box = label.querySelector('select');
        box.value = [...box.options].find((one) => one.textContent === {json.dumps(text)}).value;
        box.dispatchEvent(new Event('change'));
        }})()"""
    )


def search(page: Tab, words: str) -> None:
    page.run(
        "(() => { const box = document.querySelector('#filters input');"
        f"box.value = {json.dumps(words)}; box.dispatchEvent(new Event('input')); }})()"
    )


def found(page: Tab) -> list[int]:
    """The problems that the list holds, all of its pages."""
    made: list[int] = []
    while True:
        made += [int(text) - 1 for text in page.texts("#rows .number")]
        if page.run("document.querySelector('#pages button:last-child').disabled"):
            return made
        click(page, "#pages button:last-child")


def test_it_opens_quietly_and_asks_for_nothing(page: Tab, made: Evaluation, index: dict[str, Any]) -> None:
    assert page.errors == [] and page.requested == [(made.folder / "report.html").as_uri()]
    assert page.run(SHOWN) == "Problem 1"
    assert page.texts("#problem .card header bdi") == [plan.spec for plan in made.plans]
    assert index["question"][0] in page.texts("#problem .question")[0]
    assert page.texts("#problem .gold")[0] == f"Right answer: {index['gold'][0]}"


def test_only_a_page_of_the_list_is_in_the_document(page: Tab, index: dict[str, Any]) -> None:
    assert len(page.texts("#rows li")) == 20 and page.texts("#count") == ["60 problems"]
    assert page.texts("#pages span") == ["1–20"]
    assert found(page) == list(range(60)) and len(page.texts("#rows li")) == 20
    assert page.texts("#pages span") == ["41–60"]


Wanted = Callable[[dict[str, Any], int], bool]


def answers(index: dict[str, Any], i: int) -> set[tuple[str, ...]]:
    return {tuple(sorted(strategy["answers"][i])) for strategy in index["strategies"]}


def known(index: dict[str, Any], i: int) -> list[float]:
    return [s["scores"][i] for s in index["strategies"] if s["scores"][i] is not None]


@pytest.mark.parametrize(
    ("label", "text", "wanted"),
    [
        ("Task", "loaves", lambda index, i: index["task"][i] == 1),
        ("Level", "2", lambda index, i: index["level"][i] == 2),
        ("Level", "none", lambda index, i: index["level"][i] == 0),
        ("Show", "strategies disagree", lambda index, i: len(answers(index, i)) > 1),
        ("Show", "vote was tied", lambda index, i: any(s["tied"][i] for s in index["strategies"])),
        ("Show", "all right", lambda index, i: min(known(index, i)) == 1),
        ("Show", "none right", lambda index, i: max(known(index, i)) < 1),
        ("Show", "some right, some not", lambda index, i: min(known(index, i)) < 1 <= max(known(index, i))),
        ("plain", "wrong", lambda index, i: index["strategies"][0]["statuses"][i] == 1),
    ],
)
def test_filters_keep_what_they_say(page: Tab, index: dict[str, Any], label: str, text: str, wanted: Wanted) -> None:
    expected = [i for i in range(60) if wanted(index, i)]
    assert 0 < len(expected) < 60, "the filter has something to do"
    choose(page, label, text)
    assert page.texts("#count") == [f"{len(expected)} of 60 problems"]
    assert found(page) == expected


def test_filters_of_several_strategies_hold_together(page: Tab, index: dict[str, Any]) -> None:
    choose(page, "plain", "wrong")
    choose(page, "sc:n=8", "right")
    plain, eight = index["strategies"][0], index["strategies"][3]
    assert eight["name"] == "sc:n=8"
    assert found(page) == [i for i in range(60) if plain["statuses"][i] == 1 and eight["statuses"][i] == 0] != []


def test_search_finds_words_keys_and_answers(page: Tab, index: dict[str, Any]) -> None:
    search(page, index["key"][33][:9])
    assert found(page) == [33]
    search(page, "BAKER  loaves")
    assert len(found(page)) == 60
    search(page, "no such words")
    assert found(page) == [] and page.texts("#count") == ["0 of 60 problems"] and page.texts("#pages span") == ["none"]
    assert page.errors == []


def test_a_vote_shows_its_tally_and_each_sample_on_demand(page: Tab, made: Evaluation) -> None:
    place = [plan.spec for plan in made.plans].index("sc")
    first = made.outcomes["sc"]["gsm8k"][0]
    card = f"#problem .card:nth-child({place + 1})"
    told = page.texts(f"{card} .tally .told")
    assert sum(int(text.split()[0]) for text in told) == 16
    votes = sorted((int(text.split()[0]) for text in told), reverse=True)
    assert votes[0] == round(16 * (first.confidence or 0))
    assert len(page.texts(f"{card} .chips button")) == 16 and page.texts(f"{card} .sample .said") == []
    click(page, f"{card} .chips button", 4)
    read = first.reads[4]
    assert page.texts(f"{card} .sample .said")[-1] == read.attempt.text
    assert page.texts(f"{card} .sample .thinking") == [read.attempt.thinking]
    assert page.run(f"document.querySelectorAll('{card} [aria-expanded=true]').length") == 1
    click(page, f"{card} .chips button", 4)
    assert page.texts(f"{card} .sample .said") == []


def test_traces_are_drawn_by_what_they_are(page: Tab, made: Evaluation) -> None:
    cards = {plan.spec.rpartition(":")[2]: f"#problem .card:nth-child({at + 1})" for at, plan in enumerate(made.plans)}
    outcomes = {plan.spec.rpartition(":")[2]: made.outcomes[plan.spec]["gsm8k"][0] for plan in made.plans}

    paths = outcomes["paths"].reads[0].attempt.trace
    assert paths is not None
    chosen = paths["candidates"][paths["tied"][0]]
    assert "".join(page.texts(f"{cards['paths']} .tokens > span")) == "".join(piece for piece, _ in chosen["margins"])
    sure = page.run(
        f"[...document.querySelectorAll('{cards['paths']} .tokens > span')]"
        ".map((one) => one.style.getPropertyValue('--sure'))"
    )
    assert sure == [f"{round(100 * round(gap, 4))}%" for _, gap in chosen["margins"]]
    assert len(page.texts(f"{cards['paths']} details")) == len(paths["candidates"]) - len(paths["tied"])

    tree = outcomes["search"].reads[0].attempt.trace
    assert tree is not None
    assert len(page.texts(f"{cards['search']} .tree li")) == len(tree["candidates"])
    assert len(page.texts(f"{cards['search']} .tree .pruned")) == sum(not one["kept"] for one in tree["candidates"])
    assert len(page.texts(f"{cards['search']} .tree .won")) == 4, "three steps and the end"
    assert page.run(f"document.querySelector('{cards['search']} .tree .tree .tree .tree .won') !== null")

    chain = outcomes["zs-cot"].reads[0].attempt.trace
    assert chain is not None
    parts = page.texts(f"{cards['zs-cot']} .said")
    assert len(parts) == 2 and parts[1].startswith("Therefore, the answer"), "a part shows what it adds"
    assert parts[0] == chain["candidates"][0]["text"]


def test_the_keyboard_goes_through_the_list(page: Tab) -> None:
    page.run("document.querySelector('#rows button').focus()")
    for key, number in (("ArrowDown", 2), ("j", 3), ("ArrowUp", 2), ("k", 1), ("ArrowUp", 1)):
        page.press(key)
        page.wait(f"{SHOWN} === 'Problem {number}'")
        page.wait("document.activeElement?.getAttribute('aria-current') === 'true'")
        assert page.run("document.activeElement.querySelector('.number').textContent") == str(number)
    page.press("Tab")
    assert page.run("document.activeElement.tagName") == "BUTTON", "nothing traps the focus"


def test_going_past_the_end_of_a_page_turns_it(page: Tab) -> None:
    click(page, "#rows button", 19)
    page.wait(f"{SHOWN} === 'Problem 20'")
    click(page, "#problem .bar button", 1)
    page.wait(f"{SHOWN} === 'Problem 21'")
    assert page.texts("#rows .number")[0] == "21" and page.run("location.hash") == "#problem-21"


def test_an_address_names_a_problem(page: Tab, made: Evaluation) -> None:
    show(page, made.folder / "report.html", "#problem-42")
    assert page.run(SHOWN) == "Problem 42"
    assert page.run("document.querySelector('#rows [aria-current] .number').textContent") == "42"
    page.run("location.hash = '#problem-7'")
    page.wait(f"{SHOWN} === 'Problem 7'")
    show(page, made.folder / "report.html", "#problem-4200")
    assert page.run(SHOWN) == "Problem 1"


def test_tables_sort_by_their_numbers(page: Tab, made: Evaluation) -> None:
    accuracy = [row["accuracy"]["value"] for row in made.table["strategies"].values()]
    click(page, "#strategies .sortable th button", 1)
    shown = [float(text.split("%")[0]) for text in page.texts("#strategies .sortable tbody td:nth-child(3)")]
    assert shown == [round(100 * value, 1) for value in sorted(accuracy, reverse=True)]
    click(page, "#strategies .sortable th button", 1)
    assert page.run("document.querySelector('#strategies th[aria-sort]').getAttribute('aria-sort')") == "ascending"
    assert [float(text.split("%")[0]) for text in page.texts("#strategies .sortable tbody td:nth-child(3)")] == shown[
        ::-1
    ]


def test_problems_won_lead_to_those_problems(page: Tab, index: dict[str, Any]) -> None:
    cell = "document.querySelector('#differences [data-better] button').parentElement"
    more, less = map(int, page.run(f"{cell}.dataset.better").split(","))
    count = int(page.run(f"{cell}.textContent"))
    click(page, "#differences [data-better] button")
    ours, theirs = (index["strategies"][place]["scores"] for place in (more, less))
    pairs = list(zip(ours, theirs, strict=True))
    expected = [i for i, (a, b) in enumerate(pairs) if a is not None and b is not None and a > b]
    assert found(page) == expected and len(expected) == count > 0
    click(page, "#better button")
    assert len(found(page)) == 60


@pytest.mark.parametrize("width", [360, 390, 700, 1000, 1400])
def test_nothing_is_wider_than_the_window(new_tab: Callable[..., Tab], made: Evaluation, width: int) -> None:
    page = new_tab(is_mobile=width < 600)
    show(page, made.folder / "report.html")
    page.screen(width, 800)
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.run("document.documentElement.scrollWidth") <= width


def test_it_follows_the_system_into_the_dark(page: Tab) -> None:
    def brightness(selector: str, what: str) -> int:
        color = page.run(f"getComputedStyle(document.querySelector('{selector}')).{what}")
        return sum(int(part) for part in color[4:-1].split(","))

    assert brightness("body", "backgroundColor") > 700 and brightness("#problem", "color") < 200
    page.screen(1400, 1000, dark=True)
    assert brightness("body", "backgroundColor") < 120 and brightness("#problem", "color") > 600


def test_on_paper_the_list_is_gone_and_the_problem_stays(page: Tab) -> None:
    page.screen(800, 1000, media="print")
    shown = "getComputedStyle(document.querySelector('{}')).display"
    assert page.run(shown.format(".finder")) == "none" and page.run(shown.format("nav")) == "none"
    assert page.run(shown.format("#problem")) != "none" and page.run("document.documentElement.scrollWidth") <= 800


def test_without_scripts_the_results_are_there(new_tab: Callable[..., Tab], made: Evaluation) -> None:
    page = new_tab(java_script_enabled=False)
    page.open((made.folder / "report.html").as_uri())
    assert page.run("document.querySelector('noscript').getBoundingClientRect().height") > 0
    assert page.run("document.querySelector('#browser').hidden")
    assert "95% interval" in page.run("document.querySelector('#strategies').innerText")


def test_what_models_say_does_nothing(new_tab: Callable[..., Tab], tmp_path: Path) -> None:
    made = synthetic(
        tmp_path, problems=5, tasks=1, strategies=("plain", "sc:n=6", "mine.py:paths", "refine"),
        reply=lambda effect, index: f"{HOSTILE[(effect.seed + index) % len(HOSTILE)]} The answer is 3.",
    )  # fmt: skip
    path = made.folder / "report.html"
    page = new_tab(1200, 900)
    seen = ""
    for number in range(1, 6):
        show(page, path, f"#problem-{number}")
        page.wait(f"{SHOWN} === 'Problem {number}'")
        page.run("document.querySelectorAll('#problem .chips button').forEach((one) => one.click())")
        page.run("document.querySelectorAll('#problem details').forEach((one) => { one.open = true; })")
        assert page.run("document.querySelectorAll('#problem :is(script, img, style, b:not(.step b))').length") == 0
        seen += page.run("document.querySelector('#problem').textContent")
        assert page.errors == [] and page.requested == [path.as_uri()]
    assert page.run("window.hacked") is None
    for whole in (*HOSTILE[:3], HOSTILE[5], HOSTILE[6]):
        assert whole in seen
    for code in ("U+2028", "U+FEFF", "U+0000", "U+202E", "U+2066"):
        assert code in seen
    assert not set("\u202e\u2066\u2028\x00") & set(seen)


def test_even_a_script_that_got_in_would_not_run(page: Tab) -> None:
    page.run(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hacked = 1'}))"
    )
    page.run(
        "new Promise((done) => { const image = new Image(); image.addEventListener('error', done);"
        " image.setAttribute('onerror', 'window.hacked = 2'); image.src = 'x'; document.body.append(image); })"
    )
    assert page.run("window.hacked") is None
    assert page.requested == [page.run("location.href")], "and nothing could be fetched"


def test_a_very_long_answer_is_folded_and_shortened(new_tab: Callable[..., Tab], tmp_path: Path) -> None:
    made = synthetic(
        tmp_path, problems=2, tasks=1, strategies=("plain",), max_tokens=2_000_000,
        reply=lambda effect, index: "word" * 250_000 + " The answer is 3.",
    )  # fmt: skip
    page = new_tab(390, 800, is_mobile=True)
    show(page, made.folder / "report.html")
    assert len(page.texts("#problem")[0]) < 4_000
    assert page.texts("#problem .unfold") == ["Show all 1,000,017 characters"]
    click(page, "#problem .unfold")
    (said,) = page.texts("#problem .card .said")
    assert 20_000 < len(said) < 20_200 and "980,017 characters are left out here" in said
    assert said.endswith("The answer is 3.")
    assert page.run("document.documentElement.scrollWidth") <= 390, "a word without an end is broken"
