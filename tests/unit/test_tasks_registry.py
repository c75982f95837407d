"""Bring your own: a family or a reward from a Python file, problems from JSONL; and how each is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from thinkling.core.errors import UserError
from thinkling.core.types import Message
from thinkling.tasks import registry
from thinkling.tasks.family import pose
from thinkling.tasks.sets import conversations, problems

FAMILY = """
from thinkling.core.types import Message
from thinkling.tasks.family import Draft
from thinkling.tasks.grading import grade_number

class Doubling:
    name = "doubling"
    styles = ("direct", "steps")

    def draw(self, rng, level=None, ood=False):
        n = rng.randint(1, 10_000)
        return Draft(f"Double {n}.", str(2 * n), str(n), meta={"n": n})

    def solve(self, problem, style, rng, slip=False):
        n = problem.meta["n"]
        return Message.assistant(f"The answer is {2 * n}.", None if style == "direct" else f"{n}+{n}={2 * n}")

    def grade(self, problem, text):
        return grade_number(text, problem.answer)

doubling = Doubling()

def short(problem, message):
    return 1.0 / (1 + len(message.text))
"""
RENAMED = FAMILY.replace("doubling = Doubling()", "").replace("class Doubling", "class F")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(FAMILY)
    return path


def rows_file(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


@pytest.mark.parametrize("name", ["Doubling", "doubling"])
def test_a_family_from_a_file(own: Path, name: str) -> None:
    family = registry.family(f"{own}:{name}")
    found = problems(family, "test", 10, 1)
    assert [family.grade(p, f"The answer is {p.answer}.").score for p in found] == [1.0] * 10
    [(problem, style, messages)] = conversations([(family, 1.0)], 1, 3, styles={"steps": 1.0})
    assert (problem.family, style) == ("doubling", "steps") and "=" in (messages[-1].thinking or "")


def test_a_reward_from_a_file(own: Path) -> None:
    reward = registry.reward(f"{own}:short")
    problem = problems(registry.family(f"{own}:Doubling"), "train", 1, 1)[0]
    assert reward(problem, Message.assistant("abc")) == 0.25


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("class F:\n    styles = ('direct',)", "attribute 'name'"),
        ("class F:\n    name = 'f'", "attribute 'styles'"),
        ("class F:\n    name = 'f'\n    styles = 'direct'", "expected styles to be texts"),
        ("class F:\n    name = 'f'\n    styles = ('direct',)", r"method draw\(rng, level, ood\)"),
        (RENAMED.replace("def solve", "def solved"), r"method solve\(problem"),
        (RENAMED.replace("def grade(self, problem, text)", "def grade(self)"), "grade"),
        ("class F:\n    def __init__(self, x): pass", "needs no arguments"),
        ("1 / 0", "ZeroDivisionError"),
        ("class G: pass", "defines no 'F'"),
    ],
)  # fmt: skip
def test_a_family_that_lacks_something_is_refused_by_what_it_lacks(tmp_path: Path, source: str, said: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(source)
    with pytest.raises(UserError, match=said):
        registry.family(f"{path}:F")


def test_rewards_are_checked(own: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"FILE\.py:NAME"):
        registry.reward("short")
    with pytest.raises(UserError, match="did you mean short"):
        registry.reward(f"{own}:shortt")
    with pytest.raises(UserError, match="expected a function"):
        registry.reward(f"{own}:__name__")
    bad = tmp_path / "reward.py"
    bad.write_text("def r(problem):\n    return 1.0")
    with pytest.raises(UserError, match=r"expected \(problem, message\)"):
        registry.reward(f"{bad}:r")
    with pytest.raises(UserError, match="there is none"):
        registry.reward(f"{tmp_path / 'gone.py'}:r")


def test_unknown_names_get_a_hint() -> None:
    with pytest.raises(UserError, match="did you mean letters"):
        registry.family("leters")
    with pytest.raises(UserError, match=r"facts\.jsonl"):
        registry.family("facts")


def test_mixtures(own: Path) -> None:
    found = registry.mixture({"chain": 2.0, "coin": 0.0, f"{own}:Doubling": 1.0})
    assert [(family.name, weight) for family, weight in found] == [("chain", 2.0), ("doubling", 1.0)]
    with pytest.raises(UserError, match="two are called 'doubling'"):
        registry.mixture([f"{own}:Doubling", f"{own}:doubling"])
    for bad in ({}, {"chain": -1.0}, {"chain": 0.0}):
        with pytest.raises(UserError, match="mixture"):
            registry.mixture(bad)


def test_problems_from_jsonl(tmp_path: Path) -> None:
    path = rows_file(
        tmp_path / "mine.jsonl",
        {"prompt": "2+2?", "answer": 4, "solution": "2+2=4", "split": "train"},
        {"question": "2+2?", "answer": "4", "think": "one more way: 1+3=4", "split": "train"},
        "",
        {"question": "Capital of Arn?", "answer": "Veld", "split": "test", "level": 2, "family": "towns"},
        {"question": "A thousand?", "answer": "1,000"},
    )
    family = registry.family(str(path))
    assert (family.name, family.styles) == ("mine", ("direct", "steps"))
    [train] = [p for p in problems(family, "train", 9, 1, at_most=True) if p.prompt == "2+2?"]
    [test] = [p for p in problems(family, "test", 9, 1, at_most=True) if p.level == 2]
    assert family.grade(train, "The answer is 4.0.").score == 1.0
    assert family.grade(test, "The answer is veld.").score == 1.0
    assert family.grade(test, "The answer is Elm.").score == 0.0
    rng = random.Random(0)
    assert {family.solve(train, "steps", rng).thinking for _ in range(20)} == {"2+2=4", "one more way: 1+3=4"}
    assert family.solve(test, "steps", rng).thinking is None
    assert all(p.split == "train" for p, _, _ in conversations([(family, 1.0)], 30, 1))
    assert test.meta["family"] == "towns"


def test_a_file_without_solutions_is_answered_at_once(tmp_path: Path) -> None:
    rows = [{"question": f"Twice {n}?", "answer": 2 * n} for n in range(50)]
    family = registry.family(str(rows_file(tmp_path / "q.jsonl", *rows)))
    assert family.styles == ("direct",)
    splits = {pose("q", draft).split for draft in family.drafts(random.Random(0))}  # type: ignore[attr-defined]
    assert "train" in splits and len(splits) > 1


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ('{"question": "2+2?", "answer": ', "one JSON object"),
        ("[1, 2]", "expected a JSON object; got list"),
        ({"question": "2+2?"}, "answer; the row has the fields question"),
        ({"answer": "4"}, "prompt or question"),
        ({"question": "  ", "answer": "4"}, "prompt or question"),
        ({"question": "2+2?", "answer": "4", "split": "dev"}, "'dev'"),
        ({"question": "2+2?", "answer": "4", "level": "hard"}, "'hard'"),
        ({"question": "2+2?", "answer": "..."}, "would not be graded as right"),
        ({"question": "1+1?", "answer": "3"}, "asks it with another"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, bad: object, said: str) -> None:
    path = rows_file(tmp_path / "bad.jsonl", {"question": "1+1?", "answer": "2"}, "", bad)
    with pytest.raises(UserError, match=f"bad.jsonl:3: .*{said}"):
        registry.family(str(path))


def test_missing_and_empty_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is none"):
        registry.family(str(tmp_path / "none.jsonl"))
    with pytest.raises(UserError, match="at least one problem"):
        registry.family(str(rows_file(tmp_path / "empty.jsonl", "")))
    with pytest.raises(UserError, match="at least one fact"):
        registry.family("facts", facts=rows_file(tmp_path / "facts.jsonl", ""))
    with pytest.raises(UserError, match=r"facts\.jsonl:1: .*subject"):
        registry.family("facts", facts=rows_file(tmp_path / "facts.jsonl", {"id": "f"}))
