"""Steps of a thought: where they end, that nothing is lost, and where a sum first goes wrong."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkling.core.types import Message
from thinkling.tasks import registry
from thinkling.tasks.first_error import first_wrong_step
from thinkling.tasks.sets import problems
from thinkling.tasks.steps import AGGREGATIONS, split_steps, step_marks

WORDS = st.sampled_from(
    ["Check:", "1+2=3", "is", "done.", "2-", "4:43", "x", "\n", " ", "\t", "", "é。", "3.", "a;", "9"]
)


@given(st.one_of(st.text(), st.lists(WORDS).map(" ".join), st.lists(WORDS).map("".join)))
def test_the_steps_together_are_the_text(text: str) -> None:
    steps = split_steps(text)
    assert "".join(steps) == text
    assert all(steps) and all(step.strip() for step in steps[1:])
    assert not any(step != step.rstrip() for step in steps[:-1]), "blanks belong to the step that follows"


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("13+5=18 18+43=61 61-27=34", ["13+5=18", " 18+43=61", " 61-27=34"]),
        ("12+3*8: 3*8=24 12+24=36", ["12+3*8:", " 3*8=24", " 12+24=36"]),
        ("6x+2*10=56: 2*10=20 Check: 6*6=36 36+20=56.", ["6x+2*10=56:", " 2*10=20", " Check: 6*6=36", " 36+20=56."]),
        ("Ida does not, heads. Zoe flips, tails.", ["Ida does not, heads.", " Zoe flips, tails."]),
        ("Flips: Ida Zoe. 2 even, heads.", ["Flips: Ida Zoe.", " 2 even, heads."]),
        ("Eliza ends in a. Patrick ends in k.", ["Eliza ends in a.", " Patrick ends in k."]),
        ("Eliza Patrick: a+k", ["Eliza Patrick:", " a+k"]),
        ("1:12 2- 3- 4:43 5- Check: 12<43.", ["1:12", " 2- 3- 4:43", " 5- Check:", " 12<43."]),
        ("1 6 7: 12 66 79", ["1 6 7:", " 12 66 79"]),
        ("9.11 vs 9.90: 9=9 11<90.", ["9.11 vs 9.90:", " 9=9", " 11<90."]),
        ("1. Add 2.5 and 3.\n2. Then halve", ["1. Add 2.5 and 3.", "\n2. Then halve"]),
        ("Step 2: we add\n so 5 ", ["Step 2: we add", "\n so 5 "]),
        ("", []),
        (" \n", [" \n"]),
    ],
)
def test_where_steps_end(text: str, steps: list[str]) -> None:
    assert list(split_steps(text)) == steps


def test_marks_are_the_ends_of_the_steps_of_the_thought() -> None:
    assert step_marks(Message.assistant("The answer is 3. Good.", think="1+1=2 2+1=3")) == (5, 11)
    assert step_marks(Message.assistant("So 2. Then 3. The answer is 3.")) == (5, 13)
    assert step_marks(Message.assistant("The answer is 3.", think="")) == ()


def test_every_built_in_solution_has_steps() -> None:
    for name in registry.core_five:
        family = registry.family(name)
        for problem in problems(family, "train", 40, 3):
            if problem.level < 2:
                continue
            thinking = family.solve(problem, "steps", random.Random(1)).thinking or ""
            assert 2 <= len(split_steps(thinking)) <= 20, (name, thinking)


def test_aggregations() -> None:
    assert {how: f((0.5, 0.2, 0.9)) for how, f in AGGREGATIONS.items()} == {
        "product": pytest.approx(0.09), "minimum": 0.2, "last": 0.9,
    }  # fmt: skip


def test_the_first_wrong_step_of_a_slipped_solution_is_the_slip() -> None:
    """A slip of `solve` leaves the equations before it untouched, so the first that differs is where it happened."""
    chain = registry.family("chain")
    seen = set()
    for problem in problems(chain, "train", 300, 5):
        for style in ("steps", "equation", "check"):
            right = chain.solve(problem, style, random.Random(2))
            assert first_wrong_step(problem, right.thinking or "") is None
            slipped = chain.solve(problem, style, random.Random(2), slip=True).thinking or ""
            steps, wanted = split_steps(slipped), split_steps(right.thinking or "")
            differ = [i for i, step in enumerate(steps) if i >= len(wanted) or step != wanted[i]]
            found = first_wrong_step(problem, slipped)
            if found is None:  # a last event forgotten: what is there is right
                assert slipped.split(" Check")[0].split(" Wait")[0] in (right.thinking or "")
            else:
                assert found == differ[0]
                seen.add(found)
    assert len(seen) > 3


def test_a_wrong_plan_a_swapped_factor_and_a_step_too_many() -> None:
    chain = registry.family("chain")
    problem = next(p for p in problems(chain, "train", 200, 5) if p.meta["events"][0][0] == "+*" and p.level == 1)
    (_, a, b, product), (_, start, _, total) = problem.meta["steps"]
    rows = f"{a}*{b}={product} {start}+{product}={total}"
    assert first_wrong_step(problem, f"{start}+{a}*{b}: {rows}") is None
    assert first_wrong_step(problem, f"{start}-{a}*{b}: {rows}") == 0
    assert first_wrong_step(problem, f"{b}*{a}={product} {product}+{start}={total}") is None
    assert first_wrong_step(problem, f"{rows} {total}+1={total + 1}") == 2
    assert first_wrong_step(problem, f"{a}*{b}={product + 1}") == 0
    assert first_wrong_step(problem, f"{rows} Check: {total}-{product}={start + 5}.") is None
