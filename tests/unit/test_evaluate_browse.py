"""The page of an evaluation: self-contained, true to the outcomes, and deaf to what models write into it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections import Counter
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.synthetic_evaluation import Baker, synthetic
from thinkling.core.types import Problem, Usage
from thinkling.evaluate.attempts import Attempt, Judgement, Pool
from thinkling.evaluate.axis import Axis, change
from thinkling.evaluate.browse import data
from thinkling.evaluate.browse.charts import Mark, Scale, Series, xy_chart
from thinkling.evaluate.browse.page import SCRIPTS, page
from thinkling.evaluate.evaluation import Evaluation, evaluate, read
from thinkling.evaluate.outcomes import FAILURES, Outcome, Read, Reader, combined
from thinkling.evaluate.plan import plan
from thinkling.evaluate.statistics import Estimate
from thinkling.evaluate.voting import agreement
from thinkling.rollout.scripted import Scripted

HOSTILE = (
    "<script>window.hacked=1</script>",
    "</script></style></title><img src=x onerror=window.hacked=1>",
    "<!-- <script> ]]> --!>",
    "\u2028 and \u2029 and \ufeff and \x00 end the line",
    "\u202eright to left\u202c \u2066isolated\u2069",
    "&lt;b&gt; &#x3c; \" ' `${1}` \\u003c",
    "🍞 é 漢字 \U0010ffff",
)
FOLDER = Path(data.__file__).parent


class Tags(HTMLParser):
    """Collects a page's tags, and whatever could reach out of it."""

    VOID = frozenset({"meta", "circle", "path", "wbr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name in ("src", "srcset", "data", "action") or name.startswith("on"):
                self.faults.append(f"{tag} {name}={value}")
            if name == "href":
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> does not close what is open")


def unpacked(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text)))


def carried(html: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The index of a page, and all its problems."""
    found = dict(re.findall(r'<script type="text/plain" id="([\w-]+)">([A-Za-z0-9+/=]*)</script>', html))
    index = unpacked(found.pop("index"))
    assert list(found) == [f"block-{i}" for i in range(len(found))]
    blocks = [unpacked(block) for block in found.values()]
    assert index["starts"] == [sum(map(len, blocks[:i])) for i in range(len(blocks))]
    return index, [problem for block in blocks for problem in block]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return synthetic(tmp_path_factory.mktemp("browse"), problems=12)


@pytest.fixture(scope="module")
def html(made: Evaluation) -> str:
    return (made.folder / "report.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_needs_nothing_else(html: str) -> None:
    found = Tags(html)
    assert found.faults == [] and found.open == []
    assert found.tags["link"] == found.tags["img"] == found.tags["iframe"] == 0
    assert "url(" not in html and "@import" not in html and not re.search(r"https?:|//\w+\.\w", html)
    assert len(found.ids) == len(set(found.ids)) and {link[1:] for link in found.links} <= set(found.ids)
    assert all(link.startswith("#") for link in found.links)
    assert "prefers-color-scheme: dark" in html and 'name="viewport"' in html and "@media print" in html
    drawn = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r"\b(nan|inf|infinity|none|null|undefined)\b", drawn.split("<main>")[1], re.IGNORECASE)


def test_only_the_pages_own_script_may_run(html: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    policy = unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', html)[0])
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{digest}';")
    assert "unsafe-inline" not in policy.split("style-src")[0] and "unsafe-eval" not in policy


def test_scripts_never_make_markup_out_of_text() -> None:
    for name in SCRIPTS:
        code = (FOLDER / name).read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|fetch\(", code
        )
        assert "</" not in code, "a script must not end itself"


def test_what_is_carried_is_what_the_strategies_did(made: Evaluation, html: str) -> None:
    index, problems = carried(html)
    everything = data.asked(made.tasks, made.plans, made.outcomes)
    assert len(problems) == len(everything) == len(index["key"]) == 24
    assert [strategy["name"] for strategy in index["strategies"]] == [plan.spec for plan in made.plans]
    statuses = set()
    for i, (problem, one) in enumerate(zip(problems, everything, strict=True)):
        assert (index["key"][i], index["tasks"][index["task"][i]]) == (one.problem.key, made.tasks[one.task].name)
        assert problem["question"] == one.problem.prompt and problem["gold"] == one.problem.answer
        assert len({json.dumps(row) for row in problem["attempts"]}) <= len(problem["attempts"]) <= 21
        for place, (shown, outcome) in enumerate(zip(problem["outcomes"], one.outcomes, strict=True)):
            assert outcome is not None
            assert shown["score"] == outcome.score == index["strategies"][place]["scores"][i]
            assert shown["tokens"] == outcome.cost.prompt + outcome.cost.completion
            attempts = [problem["attempts"][at] for at in shown["attempts"]]
            assert [row["text"] for row in attempts] == [read.attempt.text for read in outcome.reads]
            assert [row.get("thinking") for row in attempts] == [read.attempt.thinking for read in outcome.reads]
            assert [row["answer"] for row in attempts] == [read.answer for read in outcome.reads]
            named = [index["statuses"][row["status"]] for row in attempts]
            assert named == [read.status for read in outcome.reads]
            statuses |= set(named)
    assert statuses >= {"right", "wrong", "unparsed", "error"}


def test_attempts_that_strategies_share_are_carried_once(made: Evaluation, html: str) -> None:
    _, problems = carried(html)
    places = {plan.spec: at for at, plan in enumerate(made.plans)}
    for problem in problems:
        sixteen, eight = (problem["outcomes"][places[spec]]["attempts"] for spec in ("sc", "sc:n=8"))
        assert len(sixteen) == len(set(sixteen)) == 16 and eight == sixteen[:8]


def test_the_same_pool_gives_the_same_page(tmp_path: Path) -> None:
    made = synthetic(tmp_path, problems=4, strategies=("plain", "sc:n=4"), reply=Baker(failing=False))
    html = (made.folder / "report.html").read_bytes()
    (made.folder / "report.html").unlink()
    assert read(made.folder).sampled == 0
    assert (made.folder / "report.html").read_bytes() == html
    assert not list(made.folder.glob("*.new"))


def test_numbers_stand_in_the_tables(made: Evaluation, html: str) -> None:
    for name, row in made.table["strategies"].items():
        accuracy = row["accuracy"]
        told = f"{100 * accuracy['value']:.1f}% [{100 * accuracy['low']:.1f}, {100 * accuracy['high']:.1f}]"
        assert told in html and f"{name}: {told} n={accuracy['n']}" in unescape(html)
        for status, count in row["statuses"].items():
            assert f"{status} {count}" in html
    assert html.count('class="sure"') + html.count('class="pale"') == len(made.table["comparisons"]) == 45
    for row in made.table["strategies"].values():
        assert "confidence" not in row or row["confidence"]["above_80"]["sentence"] in unescape(html)


def test_of_each_pair_the_better_one_stands_left(made: Evaluation, html: str) -> None:
    names = [plan.spec for plan in made.plans]
    scored = {name: data_of(made, name) for name in names}
    cells = re.findall(r'data-value="(\d+)" data-better="(\d+),(\d+)"', html)
    assert len(cells) == 90
    for (won, left, right), (lost, *turned) in zip(cells[::2], cells[1::2], strict=True):
        assert turned == [right, left]
        ours, theirs = scored[names[int(left)]], scored[names[int(right)]]
        shared = [(ours[key], theirs[key]) for key in ours if key in theirs]
        assert int(won) == sum(a > b + 1e-12 for a, b in shared)
        assert int(lost) == sum(b > a + 1e-12 for a, b in shared)


def test_a_turned_difference_turns_its_interval(made: Evaluation, html: str) -> None:
    shown = re.findall(r'<td data-value="[\d.e-]+">(\+[\d.]+ pt \[[+−][\d.]+, [+−][\d.]+\])</td>', html)
    expected = []
    for pair in made.table["comparisons"]:
        value, low, high = (pair["difference"][name] for name in ("value", "low", "high"))
        turned = (value, low, high) if value >= 0 else (-value, -high, -low)
        expected.append(change(Estimate(*turned, 1), percent=True))
    assert sorted(shown) == sorted(expected) and len(shown) == 45
    assert any(pair["difference"]["value"] < 0 for pair in made.table["comparisons"])


def data_of(made: Evaluation, name: str) -> dict[tuple[str, str], float]:
    return {
        (task, one.problem.key): one.score
        for task, some in made.outcomes[name].items()
        for one in some
        if one.score is not None
    }


def test_whatever_a_model_says_is_carried_and_never_markup(tmp_path: Path) -> None:
    made = synthetic(
        tmp_path, problems=6, strategies=("plain", "sc:n=4", "mine.py:paths", "refine"), reply=Baker(HOSTILE * 3)
    )
    html = (made.folder / "report.html").read_text(encoding="utf-8")
    found = Tags(html)
    assert found.faults == [] and found.tags["script"] == 2 + len(re.findall('id="block-', html))
    index, problems = carried(html)
    said = {row["text"] for problem in problems for row in problem["attempts"]}
    assert said == {read.attempt.text for made in data.asked(made.tasks, made.plans, made.outcomes)
                    for outcome in made.outcomes if outcome for read in outcome.reads}  # fmt: skip
    assert sum(any(text in whole for whole in said) for text in HOSTILE) >= 4, "the test met its hostile texts"


def test_hostile_names_and_questions_are_escaped(made: Evaluation) -> None:
    evil = "<script>alert(1)</script>\u202e"
    table = json.loads(json.dumps(made.table))
    table["settings"] |= {"model": evil + "\udcff", "exemplars": evil}
    table["strategies"][evil] = table["strategies"].pop("plain")
    table["strategies"][evil]["confidence"] = {
        **table["strategies"]["sc"]["confidence"],
        "above_80": {**table["strategies"]["sc"]["confidence"]["above_80"], "sentence": evil},
    }
    table["tasks"][evil] = {"problems": 1}
    table["comparisons"] = [
        {**pair, **{side: evil for side in ("left", "right") if pair[side] == "plain"}, "test": '"><u>'}
        for pair in table["comparisons"]
    ]
    table["frontier"] = [{**point, "name": point["name"].replace("plain", evil)} for point in table["frontier"]]
    tasks = [
        replace(task, problems=tuple(replace(p, prompt=evil, answer=evil) for p in task.problems))
        for task in made.tasks
    ]
    html = page(tasks, made.plans, made.outcomes, table)
    found = Tags(html)
    assert found.faults == [] and found.open == [] and "alert(1)</script>" not in html and '"><u>' not in html
    assert "surrogates" not in html and html.encode("utf-8", "xmlcharrefreplace")


def test_a_name_that_utf8_cannot_spell_does_not_stop_the_report(tmp_path: Path) -> None:
    made = synthetic(tmp_path, problems=2, strategies=("plain",), tasks=1)
    settings = replace(made.settings, model="b\udcffker")
    evaluate(settings, made.folder, lambda: Scripted(Baker()))
    assert "b&#56575;ker" in (made.folder / "report.html").read_text(encoding="utf-8")


def test_a_lone_surrogate_in_an_answer_survives(tmp_path: Path) -> None:
    made = synthetic(tmp_path, problems=2, strategies=("plain",), tasks=1)
    (first, *rest) = made.outcomes["plain"]["gsm8k"]
    torn = replace(first.reads[0], attempt=replace(first.reads[0].attempt, text="a \ud83c b"))
    _, problems = carried(
        page(made.tasks, made.plans, {"plain": {"gsm8k": [replace(first, reads=(torn,)), *rest]}}, made.table)
    )
    assert problems[0]["attempts"][0]["text"] == "a \ud83c b"


@given(st.text(max_size=60), st.integers(4, 40))
def test_a_long_text_keeps_its_ends_and_counts_the_rest(text: str, limit: int) -> None:
    made = data.shortened(text, limit)
    if len(text) <= limit:
        assert made == text
    else:
        head, gap, tail = made
        assert isinstance(head, str) and isinstance(tail, str) and isinstance(gap, int)
        assert len(head) + len(tail) == limit and text.startswith(head) and text.endswith(tail)
        assert gap == len(text) - limit > 0 and len(head) >= len(tail)


def test_a_million_characters_do_not_travel(tmp_path: Path) -> None:
    def rambling(effect: Any, index: int) -> str:
        return "x" * 1_000_000 + " The answer is 3."

    made = synthetic(tmp_path, problems=3, strategies=("plain",), tasks=1, reply=rambling, max_tokens=2_000_000)
    html = (made.folder / "report.html").read_text(encoding="utf-8")
    _, problems = carried(html)
    head, gap, tail = problems[0]["attempts"][0]["text"]
    assert len(head) + gap + len(tail) == 1_000_017 and tail.endswith("The answer is 3.")
    assert len(head) + len(tail) == data.LONGEST and len(html) < 300_000


def test_with_many_attempts_less_of_each_text_is_carried(made: Evaluation) -> None:
    everything = data.asked(made.tasks, made.plans, made.outcomes)
    assert data.text_limit(everything) == data.LONGEST
    assert data.text_limit([]) == data.LONGEST
    outcome = everything[0].outcomes[0]
    assert outcome is not None

    def many(count: int) -> list[data.Asked]:
        reads = [replace(outcome.reads[0], attempt=replace(outcome.reads[0].attempt, key=str(i))) for i in range(count)]
        return [replace(everything[0], outcomes=(replace(outcome, reads=tuple(reads)),))]

    assert data.text_limit(many(8_000)) == data.CHARACTERS // 8_000
    assert data.text_limit(many(50_000)) == data.SHORTEST


def test_blocks_are_small_and_whole(made: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "BLOCK", 20_000)
    packed = data.packed(made.tasks, made.plans, made.outcomes)
    blocks = [unpacked(block) for block in packed.blocks]
    assert len(blocks) > 3 and sum(map(len, blocks)) == 24
    sizes = [len(json.dumps(block, separators=(",", ":"))) for block in blocks]
    longest = max(len(json.dumps(row, separators=(",", ":"))) for block in blocks for row in block)
    assert all(size <= max(20_000 + 24, longest + 2) for size in sizes)
    starts = unpacked(packed.index)["starts"]
    assert starts == [sum(map(len, blocks[:i])) for i in range(len(blocks))]


def attempt(answer: str | None, score: float | None, status: str, value: float | None = None) -> Read:
    kept = Attempt("k", "t", "p", "plain", 1.0, 0, "text", None, "stop", Usage(1, 1, 0, 1))
    return Read(kept, answer, score, status, score, None if value is None else Judgement("k", "v", value))


READS = st.lists(
    st.tuples(st.sampled_from(["1", "2", "3", None]), st.sampled_from([0.1, 0.2, 0.3, 0.7])), min_size=1, max_size=8
)


@given(READS, st.sampled_from(["sc", "vote", "bon"]))
def test_tallies_add_up(drawn: list[tuple[str | None, float]], kind: str) -> None:
    spec = {
        "sc": f"sc:n={len(drawn)}",
        "vote": f"vote:n={len(drawn)},verifier=v",
        "bon": f"bon:n={len(drawn)},verifier=v",
    }
    chosen = plan(spec[kind])
    reads = [attempt(a, float(a == "1"), "right" if a == "1" else "wrong" if a else "unparsed", v) for a, v in drawn]
    (outcome,) = combined([(Problem("p", "test", "t", "?", "1"), reads)], chosen)
    counted = data.tally(outcome, chosen)
    for answer, weight, votes, score in counted:
        mine = [value for said, value in drawn if said == answer]
        slow = {"sc": float(len(mine)), "vote": sum(mine), "bon": max(mine)}[kind]
        assert (weight, votes, score) == (pytest.approx(slow), len(mine), float(answer == "1"))
    assert [row[1] for row in counted] == sorted((row[1] for row in counted), reverse=True)
    assert sum(row[2] for row in counted) == sum(answer is not None for answer, _ in drawn)
    leading = data.winners(counted)
    if kind == "sc":
        assert sorted(leading) == sorted(map(str, agreement([answer for answer, _ in drawn]).winners))
    if counted and kind == "sc":  # equal samples of best-of-n, not equal answers, share its win
        assert outcome.score == pytest.approx(sum(answer == "1" for answer in leading) / len(leading))


def outcome_of(*reads: Read, score: float | None) -> Outcome:
    return Outcome(Problem("p", "test", "t", "?", "1"), score, Usage(), reads, len(reads),
                   statuses=Counter(read.status for read in reads))  # fmt: skip


def test_a_problem_has_one_status_per_strategy() -> None:
    right, wrong, none = attempt("1", 1.0, "right"), attempt("2", 0.0, "wrong"), attempt(None, 0.0, "unparsed")
    cut, two = attempt(None, 0.0, "cut off"), attempt(None, 0.0, "ambiguous")
    failed, unknown = attempt(None, None, "error"), attempt("1", None, "no gold")
    cases = [
        (None, "not asked"),
        (outcome_of(right, wrong, score=1.0), "right"),
        (outcome_of(right, wrong, score=0.5), "in part"),
        (outcome_of(wrong, none, none, score=0.0), "wrong"),
        (outcome_of(none, cut, cut, score=0.0), "cut off"),
        (outcome_of(two, failed, failed, score=0.0), "ambiguous"),
        (outcome_of(none, score=0.0), "unparsed"),
        (outcome_of(failed, failed, score=None), "error"),
        (outcome_of(unknown, score=None), "no gold"),
    ]
    assert [data.status(outcome) for outcome, _ in cases] == [status for _, status in cases]
    assert {status for _, status in cases} == set(data.STATUSES) and data.STATUSES[: len(FAILURES)] == FAILURES


def test_margins_stand_in_for_the_text_that_they_spell(made: Evaluation, html: str) -> None:
    _, problems = carried(html)
    place = next(at for at, plan in enumerate(made.plans) if plan.spec.endswith("paths"))
    seen = 0
    for problem in problems:
        outcome = problem["outcomes"][place]
        shown = problem["attempts"][outcome["attempts"][0]]
        if "trace" not in shown:
            continue
        for candidate in shown["trace"]["candidates"]:
            assert "text" not in candidate and len(candidate["pieces"]) == len(candidate["margins"])
            assert all(0 <= margin <= 100 and isinstance(margin, int) for margin in candidate["margins"])
            seen += 1
        chosen = shown["trace"]["candidates"][shown["trace"]["tied"][0]]
        assert "".join(chosen["pieces"]).endswith(shown["text"])
        thought = "".join(chosen["pieces"][: chosen["thought"]])
        assert thought == (shown.get("thinking") or "")
    assert seen > 60


def test_tokens_past_the_limit_are_counted_not_carried() -> None:
    row = {
        "text": "abcdef",
        "thinking": "xy",
        "weight": float("inf"),
        "margins": [["xy", 0.5], ["abc", 1.0], ["def", 0.0]],
    }
    made = data._candidate(row, 5)
    assert made == {"weight": None, "pieces": ["xy", "abc"], "margins": [50, 100], "thought": 1, "pieces_left_out": 3}


def test_outcomes_do_not_depend_on_the_order_of_the_plans(made: Evaluation) -> None:
    plans = [plan(spec) for spec in ("sc:n=4", "sc", "sc:n=8")]
    with Pool(made.folder) as pool:
        whole = Reader(pool, made.settings.asking).outcomes(made.tasks[0], plans[1])
        del pool.attempts[whole[0].reads[5].attempt.key]
        expected = {one.spec: Reader(pool, made.settings.asking).outcomes(made.tasks[0], one) for one in plans}
        for order in permutations(plans):
            reader = Reader(pool, made.settings.asking)
            assert {one.spec: reader.outcomes(made.tasks[0], one) for one in order} == expected
    assert expected["sc"][0].statuses["error"] == 1, "what the pool lacks could not be sampled"
    assert len(expected["sc"]) == len(whole) and "error" not in expected["sc:n=4"][0].statuses


def test_one_strategy_on_one_task_makes_a_page_too(tmp_path: Path) -> None:
    made = synthetic(tmp_path, problems=3, strategies=("plain",), tasks=1)
    html = (made.folder / "report.html").read_text(encoding="utf-8")
    assert Tags(html).faults == [] and "Where it gets hard" not in html and "Task by task" not in html
    assert "Not shown: there is one strategy alone" in html and "Not shown: no strategy voted" in html


def test_a_backend_that_counts_no_tokens_has_a_linear_axis(made: Evaluation) -> None:
    table = json.loads(json.dumps(made.table))
    for point in table["frontier"]:
        point["tokens"] = {"value": 0.0, "low": 0.0, "high": 0.0, "n": 3}
    for row in table["strategies"].values():
        for one in row.get("curve", []):
            one["tokens"] = 0.0
    html = page(made.tasks, made.plans, made.outcomes, table)
    assert "(logarithmic)" not in html and "all of them" in html


ESTIMATES = st.tuples(st.floats(1, 1e6), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))


@given(st.lists(ESTIMATES, min_size=1, max_size=12))
def test_points_lie_in_their_frame(points: list[tuple[float, float, float, float]]) -> None:
    series = []
    for i, (cost, *accuracy) in enumerate(points):
        low, value, high = sorted(accuracy)
        mark = Mark(Estimate(cost, cost / 1.2, cost * 1.2, 9), Estimate(value, low, high, 9), "tip")
        series.append(Series(f"strategy {i}", i, [mark], whiskers=True, ringed=True, label=True))
    svg = xy_chart("t", series, Scale("x", log=True), Scale("y", percent=True), size=(960, 430))
    assert "nan" not in svg and "inf" not in svg
    for x, y in re.findall(r'class="dot" cx="([-\d.]+)" cy="([-\d.]+)"', svg):
        assert 58 <= float(x) <= 940 and 13.9 <= float(y) <= 384.1
    for d in re.findall(r'class="whisker" d="M([-\d.]+) [-\d.]+H([-\d.]+)', svg):
        assert 58 <= float(d[0]) <= float(d[1]) <= 940.1
    assert 2 <= len(re.findall(r'class="rule" d="M[-\d.]+ 384v5"', svg)) <= 8


def test_axes_end_at_round_numbers() -> None:
    axis = Scale("", percent=True).axis([0.42, 0.937], 0, 100)
    assert (axis.low, axis.high) == (pytest.approx(0.4), pytest.approx(1.0))
    assert Scale("", percent=True).axis([0.98, 1.0], 0, 1).high == 1.0
    log = Scale("", log=True).axis([350, 900], 0, 1)
    assert isinstance(log, Axis) and (log.low, log.high) == (pytest.approx(200), pytest.approx(1000))
