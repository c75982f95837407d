"""Intervals: published values, brute force, coverage, and the degenerate ends."""

from __future__ import annotations

import math
import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkling.evaluate.statistics import (
    bootstrap,
    clear_of_zero,
    paired_difference,
    pass_at_k,
    ratio,
    share,
    share_of_means,
    wilson,
)


def test_a_share_from_means_and_counts_is_that_of_the_answers_themselves() -> None:
    answers = {"a": [1.0, 0.0, 0.0], "b": [1.0] * 20, "c": [0.0] * 7 + [1.0] * 13}
    means = {family: float(np.mean(values)) for family, values in answers.items()}
    made, whole = share_of_means(means, {"a": 3, "b": 20, "c": 20}), share(answers)
    assert (made.value, made.low, made.high) == pytest.approx((whole.value, whole.low, whole.high)) and made.n == 43
    halves = share_of_means({"a": 0.24}, {"a": 10})
    assert halves.value == 0.24 and halves.low < 0.1 and halves.high > 0.5


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [(10, 3, 5, 0.916667), (5, 1, 2, 0.4), (200, 2, 100, 0.751256), (4, 0, 2, 0.0), (4, 4, 1, 1.0)],
)
def test_pass_at_k_golden(n: int, c: int, k: int, expected: float) -> None:
    assert pass_at_k(n, c, k) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(st.data())
def test_pass_at_k_counts_subsets(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 9))
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    hits = [any(i < c for i in chosen) for chosen in combinations(range(n), k)]
    assert pass_at_k(n, c, k) == pytest.approx(np.mean(hits), abs=1e-12)


@settings(deadline=None)
@given(st.data())
def test_pass_at_k_agrees_with_exact_binomials_where_floats_would_overflow(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 3000))
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    exact = 1 - math.comb(n - c, k) / math.comb(n, k) if math.comb(n - c, k) else 1.0
    assert pass_at_k(n, c, k) == pytest.approx(exact, abs=1e-9)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 60))
def test_pass_at_k_grows_with_k_and_c(n: int, k: int) -> None:
    k = min(k, n)
    values = [pass_at_k(n, c, k) for c in range(n + 1)]
    assert values == sorted(values) and values[0] == 0.0 and values[-1] == 1.0
    assert pass_at_k(n, n // 2, k) >= pass_at_k(n, n // 2, 1) - 1e-12


@pytest.mark.parametrize(("n", "c", "k"), [(3, 4, 1), (3, 1, 4), (3, 1, 0), (3, -1, 1)])
def test_pass_at_k_refuses_nonsense(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass_at_k needs"):
        pass_at_k(n, c, k)


@settings(deadline=None)
@given(st.integers(1, 500), st.floats(0, 1))
def test_wilson_is_its_closed_form(n: int, p: float) -> None:
    c = round(p * n)
    made, z = wilson(c, n), 1.959963984540054
    centre = (c + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(c * (n - c) / n + z * z / 4)
    assert made.low == pytest.approx(max(0, centre - half), abs=1e-9)
    assert made.high == pytest.approx(min(1, centre + half), abs=1e-9)
    assert made.low <= made.value <= made.high and made.n == n


def test_wilson_at_the_ends_is_not_a_point() -> None:
    assert wilson(0, 500).high == pytest.approx(0.00762, abs=1e-4)
    assert wilson(500, 500).low == pytest.approx(1 - 0.00762, abs=1e-4)
    with pytest.raises(ValueError):
        wilson(3, 2)


def test_share_of_one_family_is_wilson_and_of_several_is_narrower_than_the_widest() -> None:
    ones = [1.0] * 30 + [0.0] * 20
    assert share({"a": ones}).low == pytest.approx(wilson(30, 50).low)
    both = share({"a": ones, "b": ones})
    assert both.value == pytest.approx(0.6) and both.n == 100
    alone, joint = wilson(30, 50), wilson(60, 100)
    assert alone.low < both.low and both.high < alone.high
    assert both.low == pytest.approx(joint.low, abs=0.01), "two equal families are like one twice as large"


def test_share_counts_each_family_alike() -> None:
    made = share({"big": [1.0] * 900, "small": [0.0] * 100})
    assert made.value == pytest.approx(0.5)


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_share_that_cannot_vary_still_has_an_interval(end: float) -> None:
    made = share({"a": [end] * 40, "b": [end] * 40})
    assert made.value == end and made.high - made.low > 0.03
    assert 0 <= made.low <= made.high <= 1


@pytest.mark.parametrize("problems", [1, 2, 30])
def test_problems_that_are_all_half_right_are_no_certainty(problems: int) -> None:
    made = share({"a": [0.5] * problems})
    assert made.low < made.value == 0.5 < made.high and made.n == problems
    assert made.high - made.low == pytest.approx(
        wilson(problems // 2, problems).high - wilson(problems // 2, problems).low
    )


def test_bootstrap_matches_the_normal_interval_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(3, 2, size=400)
    made = bootstrap({"a": list(values)}, seed=5, draws=8000)
    half = 1.96 * values.std() / 20
    assert made.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert made.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_bootstrap_resamples_problems_not_samples() -> None:
    rates = [0.0] * 50 + [1.0] * 49 + [0.5]  # 100 problems, 16 samples each, all alike within a problem
    clustered = share({"a": rates}, seed=1)
    naive = wilson(round(16 * sum(rates)), 1600)
    assert clustered.high - clustered.low > 3 * (naive.high - naive.low)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    rng, hits = random.Random(3), 0
    for trial in range(200):
        rates = [rng.betavariate(2, 1) for _ in range(60)]
        seen = [sum(rng.random() < rate for _ in range(8)) / 8 for rate in rates]
        made = share({"a": seen}, seed=trial, draws=400)
        hits += made.low <= 2 / 3 <= made.high
    assert 180 <= hits <= 199


def test_bootstrap_is_deterministic_and_its_seed_matters() -> None:
    values = {"a": [random.Random(i).random() for i in range(50)], "b": [0.5, 0.75]}
    assert bootstrap(values, seed=1) == bootstrap(dict(reversed(values.items())), seed=1)
    assert bootstrap(values, seed=1) != bootstrap(values, seed=2)


def test_paired_difference_is_tighter_than_unpaired_and_uses_shared_problems_only() -> None:
    rng = random.Random(0)
    before = {"a": {str(i): rng.random() for i in range(200)}}
    after = {"a": {key: value + 0.1 + rng.gauss(0, 0.02) for key, value in before["a"].items()}}
    made = paired_difference(after, before)
    assert made.value == pytest.approx(0.1, abs=0.01) and made.high - made.low < 0.01
    assert clear_of_zero(made) and made.n == 200
    after["a"]["elsewhere"] = 99.0
    after["other family"] = {"1": 5.0}
    assert paired_difference(after, before) == made
    assert not clear_of_zero(paired_difference(before, before))


def test_nothing_to_average_is_an_error() -> None:
    with pytest.raises(ValueError, match="no problem in common"):
        paired_difference({"a": {"1": 1.0}}, {"a": {"2": 1.0}})
    with pytest.raises(ValueError, match="no problems"):
        share({"a": []})
    with pytest.raises(ValueError, match="not finite"):
        bootstrap({"a": [float("nan")]}, seed=0)


def coins(count: int, share: float, seed: int, names: str = "p") -> dict[str, float]:
    rng = random.Random(seed)
    return {f"{names}{i}": float(rng.random() < share) for i in range(count)}


def test_a_ratio_is_of_means_over_the_best_and_its_interval_shrinks() -> None:
    widths = []
    for count in (100, 1600):
        on, off, control = coins(count, 0.9, 1), coins(count, 0.3, 2), coins(count, 0.5, 3)
        made = ratio(on, [off, control])
        assert made.value == pytest.approx(np.mean([*on.values()]) / np.mean([*control.values()]))
        assert made.low < made.value < made.high and made.n == count
        assert ratio(on, [off, control]) == made
        widths.append(made.high - made.low)
    assert widths[1] < widths[0] / 3


def test_a_ratio_over_the_same_problems_is_paired() -> None:
    on = coins(400, 0.5, 1)
    half = {key: value / 2 for key, value in on.items()}
    assert ratio(on, [half]).low == pytest.approx(2.0) and ratio(on, [half]).high == pytest.approx(2.0)
    apart = ratio(on, [{f"other {key}": value for key, value in half.items()}])
    assert apart.value == pytest.approx(2.0) and apart.low < 1.9 and apart.high > 2.1 and apart.n == 800


def test_a_ratio_covers_the_truth() -> None:
    hits = sum(
        made.low <= 2.0 <= made.high
        for seed in range(200)
        if (made := ratio(coins(150, 0.8, seed), [coins(150, 0.4, seed + 999)], seed=seed, draws=400))
    )
    assert 180 <= hits <= 199


def test_a_ratio_over_nothing_right_has_no_upper_end() -> None:
    rare = {f"p{i}": float(i == 0) for i in range(100)}
    made = ratio(coins(100, 0.9, 1), [rare])
    assert math.isfinite(made.low) and made.high == math.inf
    assert ratio(rare, [dict.fromkeys(rare, 0.0)]).value == math.inf
    for above, below in (({}, [rare]), (rare, []), (rare, [{}])):
        with pytest.raises(ValueError, match="both sides"):
            ratio(above, below)
