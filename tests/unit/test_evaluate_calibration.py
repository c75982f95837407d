"""Confidence against correctness: small cases by hand, brute-force twins, coverage by simulation, the verdict."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.evaluate.calibration import (
    above,
    brier,
    calibration_error,
    nearly_always_right,
    reliability,
    risk_coverage,
)
from thinkling.evaluate.statistics import Estimate, wilson

SURE = [0.95, 0.9, 0.9, 0.55, 0.5, 0.5, 0.05, 0.0]
RIGHT = [1.0, 1.0, 0.0, 1.0, 0.5, 1.0, 0.0, 0.0]
points = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.8, 1.0]), st.sampled_from([0.0, 0.5, 1.0])), min_size=1
)


def alike(made: Estimate | None, wanted: Estimate) -> bool:
    return made is not None and made.as_json() == pytest.approx(wanted.as_json())


def test_bins_of_equal_width_by_hand() -> None:
    made = reliability(SURE, RIGHT, bins=10)
    assert [(b.low, b.high, b.accuracy.n) for b in made] == [
        (0, 0.1, 2),
        (0.4, 0.5, 2),
        (0.5, 0.6, 1),
        (0.8, 0.9, 2),
        (0.9, 1, 1),
    ]
    assert [b.accuracy.value for b in made] == [0.0, 0.75, 1.0, 0.5, 1.0]
    assert made[0].confidence == pytest.approx(0.025) and made[3].confidence == pytest.approx(0.9)
    assert alike(made[3].accuracy, wilson(1, 2))
    gaps = 2 * 0.025 + 2 * 0.25 + 0.45 + 2 * 0.4 + 0.05
    assert calibration_error(SURE, RIGHT).value == pytest.approx(gaps / 8)


@given(points, st.integers(1, 12), st.sampled_from(["width", "mass"]))
def test_bins_hold_every_problem_once_and_add_up_to_the_error(pairs: list[Any], bins: int, equal: Any) -> None:
    sure, right = [c for c, _ in pairs], [y for _, y in pairs]
    made = reliability(sure, right, bins=bins, equal=equal)
    assert sum(b.accuracy.n for b in made) == len(pairs) and len(made) <= bins
    for b in made:
        inside = [(c, y) for c, y in pairs if b.low < c <= b.high or c == b.low == 0.0]
        assert b.accuracy.n == len(inside)
        assert b.confidence == pytest.approx(np.mean([c for c, _ in inside]))
        assert b.accuracy.value == pytest.approx(np.mean([y for _, y in inside]))
    gaps = sum(b.accuracy.n * abs(b.accuracy.value - b.confidence) for b in made) / len(pairs)
    assert calibration_error(sure, right, bins=bins, equal=equal, draws=10).value == pytest.approx(gaps)


def test_bins_of_equal_mass_hold_alike_many() -> None:
    sure = np.random.default_rng(0).beta(8, 1, size=1000)
    mass = [b.accuracy.n for b in reliability(sure.tolist(), [1.0] * 1000, equal="mass")]
    width = [b.accuracy.n for b in reliability(sure.tolist(), [1.0] * 1000)]
    assert mass == [100] * 10 and max(width) > 400


def test_confidence_on_an_edge_of_a_bin_is_found_there() -> None:
    grid = [i / 10 for i in range(11)]
    assert [b.accuracy.n for b in reliability(grid, [1.0] * 11)] == [2] + [1] * 9


@pytest.mark.parametrize(("shift", "n"), [(0.0, 300), (0.05, 300), (0.2, 300), (0.2, 1500)])
def test_the_interval_of_the_calibration_error_covers_it(shift: float, n: int) -> None:
    generator, hits = np.random.default_rng(1), 0
    grid = (np.arange(200_000) + 0.5) / 200_000
    gap = np.clip(grid - shift, 0, 1) - grid
    truth = np.abs(gap.reshape(10, -1).mean(axis=1)).mean()
    for trial in range(120):
        sure = generator.random(n)
        right = (generator.random(n) < np.clip(sure - shift, 0, 1)).astype(float)
        made = calibration_error(sure.tolist(), right.tolist(), seed=trial, draws=300)
        hits += made.low <= truth + 1e-12 and truth <= made.high
        assert made.low <= made.value <= made.high and made.n == n
    assert hits >= 109, "where nothing is wrong, a naive interval would hardly ever reach 0"


def test_brier_is_a_mean_of_squares() -> None:
    made = brier(SURE, RIGHT)
    assert made.value == pytest.approx(np.mean([(c - y) ** 2 for c, y in zip(SURE, RIGHT, strict=True)]))
    assert made.low < made.value < made.high and made.n == 8
    assert brier([1.0, 0.0], [1.0, 0.0]).value == 0.0 and brier([0.5] * 9, [1.0] * 9).value == 0.25


def test_risk_and_coverage_by_hand() -> None:
    made = risk_coverage([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1])
    assert made.coverage == (0.25, 0.5, 0.75, 1.0)
    assert made.risk == pytest.approx((0.0, 0.0, 1 / 3, 0.25)) and made.aurc == pytest.approx(7 / 48)
    useless = risk_coverage([0.5] * 4, [1, 1, 0, 1])
    assert useless.risk == pytest.approx((0.25,) * 4) and useless.aurc == 0.25
    worst = risk_coverage([0.1, 0.2, 0.3, 0.4], [1, 1, 1, 0])
    assert worst.risk == pytest.approx((1.0, 0.5, 1 / 3, 0.25))


@given(st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.9]), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=5))
def test_equal_confidences_come_in_every_order(pairs: list[tuple[float, float]]) -> None:
    curves = []
    for order in permutations(pairs):
        ranked = sorted(order, key=lambda pair: -pair[0])  # stable: ties keep this order
        curves.append([1 - np.mean([y for _, y in ranked[: i + 1]]) for i in range(len(ranked))])
    made = risk_coverage([c for c, _ in pairs], [y for _, y in pairs])
    assert made.risk == pytest.approx(np.mean(curves, axis=0), abs=1e-12)
    assert made.aurc == pytest.approx(np.mean(curves), abs=1e-12)


def test_above_is_strict_and_brings_its_coverage() -> None:
    made = above([12 / 15, 4 / 5, 13 / 16, 1.0, 0.2], [0.0, 0.0, 1.0, 1.0, 0.0], 0.8)
    assert made.n == 2 and alike(made.accuracy, wilson(2, 2)) and made.coverage == wilson(2, 5)
    assert above([0.1, 0.2], [1.0, 1.0], 0.8).accuracy is None
    tied = above([0.9] * 10, [1.0] * 9 + [0.5], 0.8).accuracy
    assert tied is not None and tied.value == pytest.approx(0.95) and tied.low < 0.75, "a half does not narrow it"


@pytest.mark.parametrize(
    ("right", "wrong", "verdict"),
    [
        (73, 0, "holds"),
        (72, 0, "undecided"),
        (190, 10, "undecided"),
        (990, 10, "holds"),
        (90, 10, "fails"),
        (0, 3, "fails"),
    ],
)
def test_the_verdict_goes_by_the_interval(right: int, wrong: int, verdict: str) -> None:
    n = right + wrong
    made = nearly_always_right([0.9] * n + [0.8] * 50, [1.0] * right + [0.0] * (wrong + 50))
    assert made.verdict == verdict and made.n == n and alike(made.accuracy, wilson(right, n))
    assert made.coverage == wilson(n, n + 50)
    assert made.sentence.startswith(verdict.capitalize()) and f"{right / n:.1%} of {n} answers" in made.sentence


def test_the_verdict_reads_as_a_sentence() -> None:
    made = nearly_always_right([0.9] * 100 + [0.5] * 100, [1.0] * 90 + [0.0] * 110)
    assert made.sentence == (
        "Fails: above 80% confidence, 90.0% of 100 answers are right (95% interval 82.6% to 94.5%: below 95% even at "
        "the upper end); that is 50.0% of all 200 problems."
    )
    nobody = nearly_always_right([0.5, 0.8], [1.0, 1.0])
    assert nobody.verdict == "undecided" and nobody.accuracy is None and "none of 2 problems" in nobody.sentence
    assert nearly_always_right([0.9] * 100, [1.0] * 90 + [0.0] * 10, least=0.8).verdict == "holds"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: brier([0.5], [1.0, 0.0]), "one confidence and one correctness per problem"),
        (lambda: risk_coverage([], []), "one confidence and one correctness per problem"),
        (lambda: above([80.0], [1.0], 0.8), "every confidence must lie in"),
        (lambda: above([float("nan")], [1.0], 0.8), "every confidence must lie in"),
        (lambda: reliability([0.5], [2.0]), "every correctness must lie in"),
        (lambda: reliability([0.5], [1.0], bins=0), "bins >= 1"),
        (lambda: calibration_error([0.5], [1.0], equal="size"), "'width' or 'mass'"),  # type: ignore[arg-type]
    ],
)
def test_nonsense_is_refused(call: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        call()
