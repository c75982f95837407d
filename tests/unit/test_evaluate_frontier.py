"""Accuracy against tokens: domination by brute force, interpolation by hand, intervals that find a known ratio."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.evaluate.frontier import Curve, cost_at, cost_ratio, frontier, monotone_accuracy, pareto

grid = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 4)), min_size=1, max_size=8)


@given(grid)
def test_pareto_is_whom_nobody_dominates(points: list[tuple[int, int]]) -> None:
    wanted = [not any(t <= mine and a >= gain and (t, a) != (mine, gain) for t, a in points) for mine, gain in points]
    assert pareto([t for t, _ in points], [a for _, a in points]).tolist() == wanted
    assert any(wanted)


def test_pareto_takes_many_at_once() -> None:
    generator = np.random.default_rng(0)
    tokens, accuracy = generator.integers(1, 9, (2, 50, 6)).astype(float)
    made = pareto(tokens, accuracy)
    assert made.shape == (50, 6) and all((made[i] == pareto(tokens[i], accuracy[i])).all() for i in range(50))


def test_frontier_names_who_is_worth_its_tokens() -> None:
    generator, keys = np.random.default_rng(1), [str(i) for i in range(400)]
    cost, rate = (
        {"direct": 20, "cot": 100, "vote": 1600, "waste": 900},
        {"direct": 0.3, "cot": 0.6, "vote": 0.75, "waste": 0.5},
    )
    strategies = {
        name: {key: (cost[name] * generator.uniform(0.5, 1.5), float(generator.random() < rate[name])) for key in keys}
        for name in ("vote", "waste", "cot", "direct")
    }
    strategies["direct"]["elsewhere"] = (1e9, 1.0)
    made = frontier({name: {"f": rows} for name, rows in strategies.items()}, draws=500)
    assert [point.name for point in made] == ["direct", "cot", "waste", "vote"], "cheapest first"
    assert [point.on_frontier for point in made] == [True, True, False, True]
    assert made[2].share < 0.05 and made[1].share > 0.95 and made[0].share == 1.0
    assert all(point.accuracy.n == point.tokens.n == 400 for point in made)
    assert made[1].tokens.low < 100 < made[1].tokens.high and made[1].accuracy.low < 0.6 < made[1].accuracy.high


def test_a_lucky_point_is_told_from_a_sure_one() -> None:
    generator, keys = np.random.default_rng(2), range(100)
    same = {n: {str(i): (100.0 + n, float(generator.random() < 0.5)) for i in keys} for n in range(3)}
    shares = [point.share for point in frontier({str(n): {"f": rows} for n, rows in same.items()})]
    assert shares[0] == 1.0 and all(0.01 < share < 0.99 for share in shares[1:])


def test_families_count_the_same_on_the_frontier_however_large_they_are() -> None:
    """Solving all of 10 problems and nothing of 100 is as good as the other way round."""
    sizes = {"large": 100, "small": 10}
    strategies = {
        solved: {
            family: {str(i): (10.0 + (solved == "small"), float(family == solved)) for i in range(size)}
            for family, size in sizes.items()
        }
        for solved in sizes
    }
    large, small = frontier(strategies, draws=200)
    assert (large.accuracy.value, small.accuracy.value, small.tokens.value) == (0.5, 0.5, 11.0)
    assert large.accuracy.n == 110


def test_cost_is_linear_in_log_tokens() -> None:
    tokens, accuracy = [100, 400, 1600], [0.4, 0.6, 0.7]
    assert cost_at(tokens, accuracy, 0.5, monotone="refuse") == pytest.approx(200)
    assert cost_at(tokens, accuracy, 0.65, monotone="refuse") == pytest.approx(800)
    for t, a in zip(tokens, accuracy, strict=True):
        assert cost_at(tokens, accuracy, a, monotone="refuse") == pytest.approx(t)
    for outside in (0.39, 0.71):
        with pytest.raises(UserError, match="does not meet"):
            cost_at(tokens, accuracy, outside, monotone="refuse")


def test_a_curve_that_falls_is_read_as_one_says() -> None:
    tokens, accuracy = [1, 2, 4, 8], [0.2, 0.6, 0.4, 0.8]
    with pytest.raises(UserError, match="equal accuracy is met twice"):
        cost_at(tokens, accuracy, 0.5, monotone="refuse")
    assert monotone_accuracy(accuracy, "running_max").tolist() == [0.2, 0.6, 0.6, 0.8]
    assert monotone_accuracy(accuracy, "isotonic") == pytest.approx([0.2, 0.5, 0.5, 0.8])
    assert cost_at(tokens, accuracy, 0.6, monotone="running_max") == pytest.approx(2)
    assert cost_at(tokens, accuracy, 0.5, monotone="isotonic") == pytest.approx(2), "where it is first reached"
    assert cost_at(tokens, accuracy, 0.7, monotone="running_max") == pytest.approx(math.sqrt(32))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_whatever_the_reading_accuracy_never_falls(values: list[float]) -> None:
    for reading in ("running_max", "isotonic"):
        made = monotone_accuracy(values, reading)  # type: ignore[arg-type]
        assert (np.diff(made) >= -1e-12).all() and made.size == len(values)
    rising = sorted(values)
    for reading in ("refuse", "running_max", "isotonic"):
        assert monotone_accuracy(rising, reading) == pytest.approx(rising)  # type: ignore[arg-type]


def curve(name: str, seed: int, cost: float, problems: int = 600) -> Curve:
    """Accuracy 0.3, 0.45, 0.6, 0.75 at ``cost`` times 1, 2, 4, 8 tokens."""
    generator = np.random.default_rng(seed)
    tokens = cost * np.array([1, 2, 4, 8]) * generator.uniform(0.8, 1.2, (problems, 4))
    right = generator.random((problems, 4)) < [0.3, 0.45, 0.6, 0.75]
    return Curve(name, tuple(map(str, range(problems))), tokens, right.astype(float))


def test_the_ratio_finds_a_known_one_and_covers_it() -> None:
    hits = 0
    for seed in range(60):
        left, right = curve("a", 2 * seed, 100.0), curve("b", 2 * seed + 1, 400.0)
        made = cost_ratio(left, right, 0.5, monotone="isotonic", seed=seed, draws=200)
        hits += made.low <= 0.25 <= made.high
        assert 0.15 < made.value < 0.4 and made.n == 600
    assert hits >= 52


def test_a_curve_against_itself_costs_the_same() -> None:
    one = curve("a", 3, 100.0)
    made = cost_ratio(one, one, 0.5, monotone="running_max", draws=100)
    assert made.value == made.low == made.high == 1.0
    double = Curve("twice", one.keys, 2 * one.tokens_PK, one.accuracy_PK)
    made = cost_ratio(double, one, 0.5, monotone="refuse", draws=100)
    assert (made.value, made.low, made.high) == pytest.approx((2.0, 2.0, 2.0))


def test_an_accuracy_that_is_hardly_reached_has_no_end() -> None:
    left, right = curve("a", 4, 100.0, problems=60), curve("b", 5, 100.0, problems=60)
    peak = float(left.accuracy_PK.mean(axis=0).max())
    sure = Curve("sure", right.keys, right.tokens_PK, np.tile([0.0, 0.2, 0.5, 1.0], (60, 1)))
    made = cost_ratio(left, sure, peak, monotone="isotonic", draws=300)
    assert math.isfinite(made.value) and made.high == math.inf and made.low > 0
    made = cost_ratio(sure, left, peak, monotone="isotonic", draws=300)
    assert made.low == 0.0 and math.isfinite(made.high)
    made = cost_ratio(left, left, peak, monotone="isotonic", draws=300)
    assert (made.low, made.high) == (0.0, math.inf)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: pareto([1.0, 2.0], [1.0]), "of one shape"),
        (lambda: pareto([1.0, math.nan], [1.0, 1.0]), "finite"),
        (lambda: frontier({}), "no strategies"),
        (lambda: frontier({"a": {"f": {"1": (1.0, 1.0)}}, "b": {"f": {"2": (1.0, 1.0)}}}), "by all of a, b"),
        (lambda: cost_at([2, 1], [0.1, 0.2], 0.1, monotone="refuse"), "positive and ascending"),
        (lambda: cost_at([0, 1], [0.1, 0.2], 0.1, monotone="refuse"), "positive and ascending"),
        (lambda: cost_at([1, 2], [0.1], 0.1, monotone="refuse"), "one accuracy per budget"),
        (lambda: cost_at([1], [0.1], 0.1, monotone="median"), "'refuse', 'running_max' or"),  # type: ignore[arg-type]
        (lambda: cost_ratio(curve("a", 0, 1.0), curve("b", 0, 1.0, 50), 0.5, monotone="isotonic"), "the same problems"),
        (
            lambda: cost_ratio(
                curve("a", 0, 1.0),
                Curve("b", curve("a", 0, 1.0).keys, np.ones((2, 2)), np.ones((2, 2))),
                0.5,
                monotone="isotonic",
            ),
            "b: expected tokens and accuracy of shape",
        ),
    ],
)
def test_nonsense_is_refused(call: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        call()
