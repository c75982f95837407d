"""Length growth: selection between styles against change within them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from thinkling.evaluate.decompose import (
    STYLES,
    Answer,
    by_level,
    by_style,
    check_words,
    decompose,
    growth,
    problem_means,
    style_of,
)
from thinkling.tasks.registry import all_families, family
from thinkling.tasks.sets import problems


@pytest.mark.parametrize(
    ("thinking", "style"),
    [
        (None, "none"),
        ("  ", "none"),
        ("3*8=24 12+24=36", "steps"),
        ("12+3*8: 3*8=24 12+24=36", "equation"),
        ("3*8=24 12+24=36 Check: 36-24=12.", "check"),
        ("12+3*8: 3*8=25 Wait, 3*8=24.", "check"),
        ("a checkered shirt", "steps"),
    ],
)
def test_styles_are_read_off_the_thinking(thinking: str | None, style: str) -> None:
    assert style_of(thinking) == style


def test_check_words_counts_each() -> None:
    assert check_words("Wait, 3. Check: 4. wait") == 3
    assert check_words(None) == 0 and check_words("waiting") == 0


def answers(plan: list[tuple[str, int]], family: str = "f") -> list[Answer]:
    return [Answer(family, str(i), 1, style, tokens, 1.0) for i, (style, tokens) in enumerate(plan)]


def test_pure_selection_and_pure_growth() -> None:
    before = answers([("none", 5), ("none", 5), ("steps", 25), ("steps", 25)])
    chosen = answers([("steps", 25)] * 4)
    made = decompose(before, chosen)
    assert (made.total.value, made.selection.value, made.within.value) == (10.0, 10.0, 0.0)
    longer = answers([("none", 8), ("none", 8), ("steps", 30), ("steps", 30)])
    made = decompose(before, longer)
    assert made.selection.value == 0.0 and made.within.value == pytest.approx(4.0)


def test_a_new_style_is_all_selection() -> None:
    made = decompose(answers([("none", 5)] * 4), answers([("none", 5)] * 2 + [("check", 40)] * 2))
    assert made.within.value == 0.0 and made.selection.value == pytest.approx(17.5)


def test_a_family_that_takes_to_a_style_is_selection() -> None:
    """Tokens are constant per family and style, so nothing can have changed within a style."""
    short = answers([("none", 5), ("steps", 25)] * 10, "short")
    before = short + answers([("none", 3)] * 18 + [("steps", 60)] * 2, "long")
    after = short + answers([("none", 3)] * 4 + [("steps", 60)] * 16, "long")
    made = decompose(before, after)
    assert made.within.value == pytest.approx(0.0) and made.within.low == pytest.approx(made.within.high)
    assert made.selection.value == pytest.approx(0.7 * 57 / 2) and made.selection.low > 0
    assert made.total.n == 40


def test_families_weigh_the_same_and_those_of_one_side_stay_out() -> None:
    before = answers([("steps", 10)] * 4, "f") + answers([("steps", 10)] * 40, "g")
    after = answers([("steps", 20)] * 4, "f") + answers([("steps", 10)] * 40, "g")
    assert decompose(before, [*after, *answers([("check", 99)], "h")]).within.value == pytest.approx(5.0)
    with pytest.raises(ValueError, match="nothing to decompose"):
        decompose(answers([("steps", 10)], "f"), answers([("steps", 10)], "g"))


ANSWERS = st.lists(
    st.tuples(st.sampled_from(STYLES), st.integers(1, 60), st.sampled_from("ab")), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(ANSWERS, ANSWERS)
def test_the_parts_sum_to_the_change_and_swap_sign_with_the_models(
    first: list[tuple[str, int, str]], second: list[tuple[str, int, str]]
) -> None:
    one, two = (
        [Answer(family, str(i), 1, style, n, None) for i, (style, n, family) in enumerate(plan)]
        for plan in (first, second)
    )
    families = {a.family for a in one} & {a.family for a in two}
    assume(families)
    made, back = decompose(one, two, draws=20), decompose(two, one, draws=20)
    means = [[np.mean([a.tokens for a in side if a.family == f]) for f in sorted(families)] for side in (one, two)]
    assert made.total.value == pytest.approx(np.mean(means[1]) - np.mean(means[0]))
    assert made.selection.value + made.within.value == pytest.approx(made.total.value)
    assert made.selection.value == pytest.approx(-back.selection.value)
    assert made.total.low <= made.total.high


def test_intervals_hold_the_point_and_shrink_with_more_problems() -> None:
    def model(count: int, share: float, mean: int, seed: int) -> list[Answer]:
        rng = random.Random(seed)
        plan = [("steps", mean + rng.randint(-9, 9)) if rng.random() < share else ("none", 5) for _ in range(count)]
        return answers(plan)

    widths = []
    for count in (50, 800):
        made = decompose(model(count, 0.3, 30, 1), model(count, 0.8, 40, 2))
        for part in (made.total, made.selection, made.within):
            assert part.low <= part.value <= part.high and part.n == count
        widths.append(made.total.high - made.total.low)
        assert made.selection.low > 0 and made.within.low > 0
    assert widths[1] < widths[0] / 2.5


def test_accuracy_is_decomposed_alike_and_unscored_answers_stay_out() -> None:
    before = [Answer("f", str(i), 1, "none", 5, float(i % 4 == 0)) for i in range(40)]
    after = [Answer("f", str(i), 1, "steps", 30, 1.0 if i < 30 else None) for i in range(40)]
    made = decompose(before, after, "score")
    assert made.total.value == pytest.approx(0.75) and made.selection.value == pytest.approx(0.75)
    with pytest.raises(ValueError, match="nothing to decompose"):
        decompose([Answer("f", "1", 1, "none", 5, None)], after, "score")


def test_summaries_by_style_level_and_problem() -> None:
    rows = [
        Answer("f", "1", 1, "none", 4, 0.0),
        Answer("f", "1", 1, "steps", 20, 1.0),
        Answer("g", "2", 3, "steps", 40, None),
        Answer("g", "3", 3, "steps", 60, 0.0),
    ]
    used = by_style(rows)
    assert (used["steps"].share, used["steps"].tokens, used["steps"].accuracy) == (0.75, 40.0, 0.5)
    assert used["check"] == type(used["check"])(0.0, None, None, 0)
    assert by_level(rows) == {1: (12.0, 2), 3: (50.0, 2)}
    assert problem_means(rows, "score") == {"f": {"1": 0.5}, "g": {"3": 0.0}}
    assert growth(rows, [*rows[:2], Answer("g", "2", 3, "steps", 44, 1.0)]).value == pytest.approx(2.0)


@pytest.mark.parametrize("name", [name for name in all_families if name != "facts"])
def test_the_style_of_a_worked_solution_is_recognized(name: str) -> None:
    made, rng = family(name), random.Random(1)
    for problem in problems(made, "train", 30, seed=1):
        for style in made.styles:
            for slip in (False, True):
                thinking = made.solve(problem, style, rng, slip).thinking
                assert style_of(thinking) == ("none" if style == "direct" else style), thinking
