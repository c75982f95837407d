"""Paired tests: published numbers, enumeration as the slow twin, error rates by simulation, power before a run."""

from __future__ import annotations

import math
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.evaluate.comparison import all_pairs, clustered_mean, compare, holm, mcnemar, sign_flip
from thinkling.evaluate.power import (
    connor_problems,
    detectable_difference,
    discordance_of,
    mcnemar_power,
    problems_needed,
)
from thinkling.evaluate.resampling import column_estimates, resampled_means
from thinkling.evaluate.statistics import paired_difference, wilson

DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]  # eighths of an inch, Fisher 1935


def test_mcnemar_gives_the_published_p_of_the_approval_ratings() -> None:
    # Agresti 1990, 350: of 1600 voters 86 came to approve of the prime minister and 150 ceased to.
    assert mcnemar(86, 150) == pytest.approx(3.716e-05, rel=1e-3)
    assert mcnemar(0, 0) == mcnemar(4, 4) == 1.0 and mcnemar(5, 0) == mcnemar(0, 5) == 2 / 32


@given(st.integers(0, 12), st.integers(0, 12))
def test_mcnemar_is_counting_coin_flips(wins: int, losses: int) -> None:
    n = wins + losses
    tail = sum(math.comb(n, i) for i in range(min(wins, losses) + 1)) / 2**n
    assert mcnemar(wins, losses) == pytest.approx(min(1.0, 2 * tail))


def test_sign_flip_gives_fishers_p_of_darwins_maize() -> None:
    made = sign_flip([float(value) for value in DARWIN])
    assert made.value == pytest.approx(2 * 863 / 2**15) and made.test == "sign-flip, exact"


@given(st.lists(st.integers(-5, 5), max_size=9))
def test_exact_sign_flip_is_enumerating(values: list[int]) -> None:
    sums = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True))) for signs in product([1, -1], repeat=len(values))
    ]
    wanted = np.mean([total >= abs(sum(values)) for total in sums])
    assert sign_flip([value / 16 for value in values]).value == pytest.approx(wanted)


@given(st.integers(0, 10), st.integers(0, 10), st.integers(0, 30))
def test_on_yes_and_no_sign_flip_is_mcnemar(wins: int, losses: int, ties: int) -> None:
    made = sign_flip([1.0] * wins + [-1.0] * losses + [0.0] * ties)
    assert made.value == pytest.approx(mcnemar(wins, losses))


def test_drawn_signs_agree_with_counted_ones() -> None:
    generator = np.random.default_rng(0)
    values = generator.integers(-8, 9, size=60) + (generator.random(60) < 0.25)
    ways = np.ones(1)  # the exact distribution of the sum, by convolution
    for value in np.abs(values[values != 0]):
        ways = np.convolve(ways, np.r_[0.5, np.zeros(2 * value - 1), 0.5])
    sums = np.arange(ways.size) - ways.size // 2
    exact = ways[np.abs(sums) >= abs(values.sum())].sum()
    made = sign_flip(values / 8)
    assert made.test == "sign-flip, 10000 drawn" and 0.05 < exact < 0.95
    assert made.value == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 10_000))
    assert sign_flip(values / 8) == made and sign_flip(values / 8, seed=1) != made
    assert sign_flip([1.0] * 400).value == 1 / 10_001, "what was drawn cannot show less than one in that many"


def test_sign_flip_errs_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    p = [sign_flip(generator.normal(0, 1, 40), seed=i, arrangements=999).value for i in range(1000)]
    assert 0.03 < np.mean(np.array(p) <= 0.05) < 0.07 and 0.45 < np.mean(p) < 0.55


@pytest.mark.parametrize(
    ("raw", "adjusted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # the textbooks' example
        ([0.5, 0.003, 0.32, 0.054, 0.0003], [0.64, 0.012, 0.64, 0.162, 0.0015]),  # as pingouin documents
        ([0.2], [0.2]),
        ([], []),
        ([1.0, 0.0, 1.0], [1.0, 0.0, 1.0]),
    ],
)
def test_holm_published(raw: list[float], adjusted: list[float]) -> None:
    assert holm(raw) == pytest.approx(adjusted)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0, 1))
def test_holm_claims_what_stepping_down_claims(raw: list[float], alpha: float) -> None:
    claimed, order = set(), sorted(range(len(raw)), key=raw.__getitem__)
    for step, i in enumerate(order):
        if raw[i] * (len(raw) - step) > alpha:
            break
        claimed.add(i)
    adjusted = holm(raw)
    assert {i for i, p in enumerate(adjusted) if p <= alpha} == claimed or alpha == 1.0
    assert [adjusted[i] for i in order] == sorted(adjusted) and all(a >= p for a, p in zip(adjusted, raw, strict=True))


def outcomes(generator: np.random.Generator, rates: np.ndarray) -> dict[str, dict[str, float]]:
    return {"f": {str(i): float(generator.random() < rate) for i, rate in enumerate(rates)}}


def test_a_comparison_of_yes_and_no() -> None:
    left = {"f": {"a": 1.0, "b": 1.0, "c": 0.0, "d": 1.0, "only left": 0.0}}
    right = {"f": {"a": 0.0, "b": 1.0, "c": 0.0, "d": 0.0, "only right": 1.0}, "g": {"z": 1.0}}
    made = compare({"cot": left, "direct": right}, "cot", "direct")
    assert (made.wins, made.losses, made.ties, made.difference.n) == (2, 0, 2, 4)
    assert made.difference.value == pytest.approx(0.5) and made.test == "McNemar, exact"
    assert made.p == made.adjusted == mcnemar(2, 0) == 0.5
    back = compare({"cot": left, "direct": right}, "direct", "cot")
    assert back.difference.value == -0.5 and (back.wins, back.losses, back.p) == (0, 2, 0.5)


def test_samples_of_a_problem_are_averaged_before_anything_else() -> None:
    generator = np.random.default_rng(2)
    samples = {name: {"f": {str(i): generator.integers(0, 2, 8).tolist() for i in range(60)}} for name in "xy"}
    means = {name: {"f": {k: sum(v) / 8 for k, v in families["f"].items()}} for name, families in samples.items()}
    made = compare(samples, "x", "y")
    assert made == compare(means, "x", "y") and made.difference.n == 60
    assert made.test == "sign-flip, 10000 drawn", "a mean is no yes or no: McNemar does not apply"
    arrays = {name: {"f": {k: np.array(v) for k, v in families["f"].items()}} for name, families in samples.items()}
    assert compare(arrays, "x", "y") == made  # type: ignore[arg-type]


def test_the_interval_is_the_paired_bootstrap_of_the_package() -> None:
    generator = np.random.default_rng(3)
    before = {f: {str(i): float(generator.random()) for i in range(n)} for f, n in (("a", 150), ("b", 40))}
    after = {f: {k: v + generator.normal(0.05, 0.1) for k, v in rows.items()} for f, rows in before.items()}
    made = compare({"after": after, "before": before}, "after", "before").difference
    wanted = paired_difference(after, before)
    half = (wanted.high - wanted.low) / 2
    assert made.value == pytest.approx(wanted.value) and made.n == wanted.n
    assert (made.low, made.high) == pytest.approx((wanted.low, wanted.high), abs=0.1 * half)


def test_families_weigh_the_same_in_the_difference_and_in_its_test() -> None:
    big, small = {str(i): 1.0 for i in range(90)}, {str(i): 0.0 for i in range(10)}
    zero = {"big": dict.fromkeys(big, 0.0), "small": dict.fromkeys(small, 1.0)}
    made = compare({"x": {"big": big, "small": small}, "y": zero}, "x", "y")
    assert made.difference.value == pytest.approx(0.0) and (made.wins, made.losses) == (90, 10)
    assert made.p > 0.9 and made.test.startswith("sign-flip"), "McNemar would have called 90 to 10 a clear win"


def test_differences_that_never_vary_still_have_an_interval() -> None:
    same = {"f": {str(i): float(i % 2) for i in range(20)}}
    made = compare({"x": same, "y": same}, "x", "y").difference
    assert (made.value, made.low, made.high) == pytest.approx((0.0, -wilson(0, 20).high, wilson(0, 20).high))
    all_right = {"f": dict.fromkeys(same["f"], 1.0)}
    none_right = {"f": dict.fromkeys(same["f"], 0.0)}
    made = compare({"x": all_right, "y": none_right}, "x", "y").difference
    assert made.value == made.high == 1.0 and 0.6 < made.low < 0.9


def test_all_pairs_are_the_single_comparisons_with_holm_over_them() -> None:
    generator = np.random.default_rng(4)
    rates = generator.random(120)
    results = {f"s{i}": outcomes(generator, np.clip(rates + 0.08 * i, 0, 1)) for i in range(4)}
    results["short"] = {"f": {k: v for k, v in list(results["s3"]["f"].items())[:50]}}
    rows = all_pairs(results, seed=3)
    assert [(row.left, row.right) for row in rows] == list(combinations(results, 2))
    assert [row.adjusted for row in rows] == holm([row.p for row in rows])
    for row in rows:
        alone = compare(results, row.left, row.right, seed=3)
        ends = [(made.difference.value, made.difference.low, made.difference.high) for made in (alone, row)]
        assert ends[0] == pytest.approx(ends[1], abs=1e-12) and alone.difference.n == row.difference.n
        assert alone.p == row.p and alone.adjusted == row.p <= row.adjusted
    assert rows[-1].difference.n == 50 and rows[-1].difference.low < 0 < rows[-1].difference.high


def test_the_best_of_many_is_often_lucky_and_holm_knows() -> None:
    generator = np.random.default_rng(5)
    raw = adjusted = 0
    for trial in range(200):
        results = {str(i): outcomes(generator, np.full(60, 0.5)) for i in range(5)}
        rows = all_pairs(results, seed=trial, draws=20)
        raw += any(row.p <= 0.05 for row in rows)
        adjusted += any(row.adjusted <= 0.05 for row in rows)
    assert raw > 30 and adjusted <= 18, "no two differ: of 200 families some 10 may seem to"


@given(
    st.dictionaries(
        st.text(max_size=2), st.lists(st.sampled_from([0.0, 1.0, 0.25]), min_size=1, max_size=5), min_size=2
    )
)
def test_the_clustered_error_is_its_formula(samples: dict[str, list[float]]) -> None:
    made = clustered_mean(samples)
    flat = [x for scores in samples.values() for x in scores]
    n, mean = len(flat), sum(flat) / len(flat)
    naive = sum((x - mean) ** 2 for x in flat) / (n - 1) / n
    cross = sum(
        (x - mean) * (y - mean)
        for scores in samples.values()
        for i, x in enumerate(scores)
        for j, y in enumerate(scores)
        if i != j
    )
    assert made.standard_error == pytest.approx(math.sqrt(max(0.0, naive + cross / n**2)), abs=1e-7)
    assert made.naive_error == pytest.approx(math.sqrt(naive)) and made.samples == n
    assert made.estimate.value == pytest.approx(mean) and made.estimate.n == len(samples)


def test_copies_of_a_sample_are_worth_nothing() -> None:
    once = {str(i): [float(i % 3 == 0)] for i in range(90)}
    copied = {key: scores * 16 for key, scores in once.items()}
    single, many = clustered_mean(once), clustered_mean(copied)
    assert single.standard_error == pytest.approx(single.naive_error) and single.design_effect == pytest.approx(1)
    assert many.standard_error == pytest.approx(single.standard_error, rel=0.01)
    assert many.design_effect == pytest.approx(16, rel=0.02)


def test_the_clustered_interval_covers_and_the_naive_one_does_not() -> None:
    generator, clustered, naive = np.random.default_rng(6), 0, 0
    for _ in range(400):
        rates = generator.beta(0.8, 0.4, size=50)
        sizes = generator.integers(4, 17, size=50)
        made = clustered_mean(
            {str(i): (generator.random(s) < r).tolist() for i, (r, s) in enumerate(zip(rates, sizes, strict=True))}
        )
        clustered += made.estimate.low <= 2 / 3 <= made.estimate.high
        naive += abs(made.estimate.value - 2 / 3) <= 1.96 * made.naive_error
    assert clustered >= 365 and naive <= 280


def test_columns_are_resampled_together() -> None:
    values = np.random.default_rng(7).random((300, 2))
    table = np.column_stack([values, values[:, 0] - values[:, 1]])
    means = resampled_means({"f": table}, seed=1)
    assert means.shape == (2000, 3) and means[:, 2] == pytest.approx(means[:, 0] - means[:, 1])
    assert means.std(axis=0) == pytest.approx(table.std(axis=0) / math.sqrt(300), rel=0.08)
    lows = [
        column_estimates({"f": columns}, seed=seed)[0].low
        for columns, seed in ((table[:, :1], 1), (table, 1), (table, 2))
    ]
    assert lows[0] == pytest.approx(lows[1], abs=1e-12) != pytest.approx(lows[2], abs=1e-12)
    constants = resampled_means({"f": np.ones((7, 1)), "g": np.full((900, 1), 3.0)}, seed=1)
    assert constants == pytest.approx(np.full((2000, 1), 2.0)), "families weigh the same"
    larger = resampled_means({"f": np.repeat(table, 30, axis=0)}, seed=1, draws=500)  # in several chunks
    assert larger.std(axis=0) == pytest.approx(table.std(axis=0) / math.sqrt(9000), rel=0.15)
    assert larger.mean(axis=0) == pytest.approx(table.mean(axis=0), abs=0.002)


@pytest.mark.parametrize(("difference", "discordance", "n"), [(0.4, 0.5, 23), (0.15, 0.45, 155)])
def test_connor_published(difference: float, discordance: float, n: int) -> None:
    # 0.45 against 0.05: powerandsamplesize.com; a discordant odds ratio of 2 at 0.45: 155 pairs.
    assert connor_problems(difference, discordance) == n


def test_discordance_from_accuracies() -> None:
    assert discordance_of(0.75, 0.85, 0.6) == pytest.approx(
        0.25 * 0.85 + 0.75 * 0.15 - 1.2 * math.sqrt(0.1875 * 0.1275)
    )
    assert discordance_of(0.5, 0.5, 1.0) == 0.0 and discordance_of(0.5, 0.5, -1.0) == 1.0
    assert discordance_of(0.6, 0.7, 0.0) == pytest.approx(0.6 * 0.3 + 0.4 * 0.7)
    with pytest.raises(UserError, match="nearer to 0"):
        discordance_of(0.1, 0.9, 0.9)


@pytest.mark.parametrize(
    ("n", "difference", "discordance"), [(1, 0.3, 0.5), (12, 0.3, 0.5), (25, 0.2, 0.2), (30, 0.0, 0.4)]
)
def test_power_is_the_chance_of_a_small_p(n: int, difference: float, discordance: float) -> None:
    win, loss = (discordance + difference) / 2, (discordance - difference) / 2
    wanted = sum(
        math.comb(n, w) * math.comb(n - w, l) * win**w * loss**l * (1 - discordance) ** (n - w - l)
        for w in range(n + 1)
        for l in range(n + 1 - w)  # noqa: E741
        if mcnemar(w, l) <= 0.05
    )
    assert mcnemar_power(n, difference, discordance) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(("n", "discordance"), [(150, 0.3), (500, 0.2), (2000, 0.12)])
def test_what_can_be_shown_is_shown_in_four_runs_of_five(n: int, discordance: float) -> None:
    difference = detectable_difference(n, discordance)
    generator = np.random.default_rng(8)
    cells = [(discordance + difference) / 2, (discordance - difference) / 2, 1 - discordance]
    counts = generator.multinomial(n, cells, size=2000)
    shown = np.mean([mcnemar(int(wins), int(losses)) <= 0.05 for wins, losses, _ in counts])
    assert shown == pytest.approx(0.8, abs=0.03)
    assert problems_needed(difference, discordance) == pytest.approx(n, abs=2)
    assert connor_problems(difference, discordance) == pytest.approx(n, rel=0.1)


def test_the_numbers_in_the_documentation() -> None:
    assert (mcnemar(25, 10), mcnemar(80, 65)) == pytest.approx((0.017, 0.245), abs=5e-4)
    shown = [[round(100 * detectable_difference(n, share), 1) for share in (0.05, 0.1, 0.2, 0.3)] for n in (500, 2000)]
    assert shown == [[2.9, 4.1, 5.7, 7.0], [1.4, 2.0, 2.8, 3.5]] and problems_needed(0.01, 0.2) == 15_889


def test_problems_needed_are_enough_and_not_more() -> None:
    for difference, discordance in ((0.03, 0.2), (0.1, 0.1), (0.2, 0.6)):
        n = problems_needed(difference, discordance)
        assert mcnemar_power(n, difference, discordance) >= 0.8 > mcnemar_power(n - 1, difference, discordance)
    assert problems_needed(0.03, 0.2) > problems_needed(0.03, 0.1), "less discordance, fewer problems"
    assert detectable_difference(400, 0.2) > detectable_difference(1600, 0.2)
    assert detectable_difference(400, 0.2, power=0.9) > detectable_difference(400, 0.2)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: mcnemar(-1, 2), "counts problems"),
        (lambda: sign_flip([math.nan]), "finite differences"),
        (lambda: holm([0.5, 1.2]), "p-values in"),
        (lambda: compare({"x": {"f": {"1": 1.0}}}, "x", "y"), "no results of y; there are x"),
        (lambda: compare({"x": {"f": {"1": 1.0}}, "y": {"f": {"2": 1.0}}}, "x", "y"), "no problem in common"),
        (lambda: compare({"x": {"f": {"1": []}}, "y": {"f": {"1": 1.0}}}, "x", "y"), "no finite score"),
        (lambda: compare({"x": {"f": {"1": math.nan}}, "y": {"f": {"1": 1.0}}}, "x", "y"), "no finite score"),
        (lambda: clustered_mean({"a": [1.0]}), "two problems or more"),
        (lambda: clustered_mean({"a": [1.0], "b": []}), "two problems or more"),
        (lambda: clustered_mean({"a": [1.0], "b": [math.inf]}), "finite scores"),
        (lambda: resampled_means({}, seed=0), "at least one family"),
        (lambda: resampled_means({"f": np.ones(3)}, seed=0), "of shape"),
        (lambda: resampled_means({"f": np.ones((3, 1)), "g": np.ones((3, 2))}, seed=0), "of shape"),
        (lambda: resampled_means({"f": np.full((3, 1), np.nan)}, seed=0), "finite values"),
        (lambda: detectable_difference(20, 0.1), "ask at least 78"),
        (lambda: detectable_difference(20, 0.0), "discordance <= 1"),
        (lambda: problems_needed(0.3, 0.2), "at most the share of problems"),
        (lambda: problems_needed(0.0, 0.2), "difference of 0"),
        (lambda: problems_needed(0.1, 0.2, power=0.01), "alpha < power"),
        (lambda: mcnemar_power(0, 0.1, 0.2), "at least one problem"),
        (lambda: discordance_of(1.2, 0.5, 0.0), "two accuracies"),
    ],
)
def test_nonsense_is_refused(call: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        call()
