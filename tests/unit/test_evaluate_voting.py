"""Votes over k of n samples: the lecture's numbers, enumeration as the slow twin, n = 200, and what a verifier adds."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from thinkling.core.errors import UserError
from thinkling.evaluate.comparison import all_pairs
from thinkling.evaluate.resampling import column_estimates
from thinkling.evaluate.scored_voting import best_of_curves, best_of_k, weighted_curves, weighted_vote
from thinkling.evaluate.statistics import pass_at_k
from thinkling.evaluate.voting import agreement, maj_at_k, maj_curve, maj_curves, vote_shares

Said = Sequence[Any]


def twin(answers: Said, correct: Mapping[Any, float], k: int, weights: Sequence[float] | None = None) -> float:
    """The expected accuracy of the (weighted) vote, subset by subset. Weights must be whole to tie exactly."""
    total = 0.0
    for chosen in combinations(range(len(answers)), k):
        votes: Counter[Any] = Counter()
        for i in chosen:
            if answers[i] is not None:
                votes[answers[i]] += 1 if weights is None else weights[i]
        winners = [answer for answer, count in votes.items() if count == max(votes.values())]
        total += sum(correct.get(answer, 0.0) for answer in winners) / max(1, len(winners))
    return total / math.comb(len(answers), k)


def best_twin(answers: Said, correct: Mapping[Any, float], scores: Sequence[float], k: int) -> float:
    total = 0.0
    for chosen in combinations(range(len(answers)), k):
        readable = [i for i in chosen if answers[i] is not None]
        best = [i for i in readable if scores[i] == max(scores[j] for j in readable)]
        total += sum(correct.get(answers[i], 0.0) for i in best) / max(1, len(best))
    return total / math.comb(len(answers), k)


answer_lists = st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1, max_size=9)
correctness = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from([0.0, 0.5, 1.0, 0.3]))


def test_the_worked_examples() -> None:
    assert maj_curve("AABBC", {"A": 1.0}) == pytest.approx([0.4, 0.4, 13 / 30, 0.5, 0.5], abs=1e-14)
    assert maj_at_k("AABBC", {"A": 1.0}, 3) == pytest.approx(0.43333333333333335, abs=1e-14)
    said = [7, 7, 3, None, None, None]
    assert maj_at_k(said, {7: 1.0}, 3) == pytest.approx(0.65, abs=1e-14)
    assert maj_at_k(said, {7: 1.0}, 6) == 1.0, "exactly: a vote over all samples is a plain yes or no"
    assert maj_at_k([None, None], {7: 1.0}, 1) == 0.0


@given(answer_lists, correctness)
def test_counting_is_enumerating(answers: Said, correct: dict[str, float]) -> None:
    wanted = [twin(answers, correct, k) for k in range(1, len(answers) + 1)]
    assert maj_curve(answers, correct) == pytest.approx(wanted, abs=1e-12)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(0, 4))
def test_the_shares_of_a_win_add_up_to_a_readable_sample(counts: list[int], unparsed: int) -> None:
    multiplicities = tuple(sorted(counts, reverse=True))
    shares, n = vote_shares(multiplicities, unparsed), sum(counts) + unparsed
    copies = [multiplicities.count(m) for m in sorted(set(counts), reverse=True)]
    some = [1 - math.comb(unparsed, k) / math.comb(n, k) for k in range(1, n + 1)]
    assert np.array(copies) @ shares == pytest.approx(some, abs=1e-12)
    assert not shares.flags.writeable, "shared by all problems of this pattern"


def test_two_hundred_samples_are_exact_and_fast() -> None:
    started = time.process_time()
    for k in (1, 99, 100, 101, 199):
        right = hypergeom(200, 120, k)
        wanted = right.sf(k // 2) + (0.5 * right.pmf(k // 2) if k % 2 == 0 else 0.0)
        assert maj_at_k(["r"] * 120 + ["w"] * 80, {"r": 1.0}, k) == pytest.approx(wanted, abs=1e-11)
    many = [f"{i % 23}" for i in range(170)] + [None] * 30
    curve = maj_curve(many, {str(i): 1.0 for i in range(23)})
    assert curve[99] == pytest.approx(1.0) and curve[0] == pytest.approx(0.85) and np.isfinite(curve).all()
    assert maj_curve(range(200), {0: 1.0}) == pytest.approx(np.full(200, 1 / 200))
    assert time.process_time() - started < 5.0


def test_two_hundred_samples_agree_with_drawing_them() -> None:
    answers = ["a"] * 60 + ["b"] * 50 + ["c"] * 45 + ["d"] * 25 + [None] * 20
    generator, hits, draws = np.random.default_rng(0), 0.0, 20_000
    votes = generator.multivariate_hypergeometric([60, 50, 45, 25, 20], 25, size=draws)[:, :4]
    best = votes == votes.max(axis=1, keepdims=True)
    hits = (best[:, 0] / best.sum(axis=1)).mean()
    assert maj_at_k(answers, {"a": 1.0}, 25) == pytest.approx(hits, abs=4 * 0.5 / math.sqrt(draws))


def test_six_strategies_on_two_thousand_problems_take_seconds() -> None:
    """All k, their intervals, all pairs tested at two k: about one second of one core."""
    generator, problems, n = np.random.default_rng(3), 2000, 16
    samples = []
    for _ in range(6):
        rates = generator.dirichlet([2.0, 1.0, 0.5, 0.5, 0.3, 0.3], size=problems).cumsum(axis=1)
        drawn = (generator.random((problems, n, 1)) > rates[:, None, :]).sum(axis=2)
        samples.append([[None if answer == 5 else answer for answer in row] for row in drawn.tolist()])
    started = time.process_time()
    curves = [maj_curves(said, [{0: 1.0}] * problems) for said in samples]
    bands = [column_estimates({"all": curve_PK}) for curve_PK in curves]
    for k in (1, 8):
        results = {str(i): {"all": dict(enumerate(curve_PK[:, k - 1].tolist()))} for i, curve_PK in enumerate(curves)}
        assert len(all_pairs(results)) == 15  # type: ignore[arg-type]
    assert time.process_time() - started < 3.0
    assert all(estimate.low < estimate.value < estimate.high for band in bands for estimate in band)


@given(answer_lists, correctness)
def test_the_ends_of_the_curve(answers: Said, correct: dict[str, float]) -> None:
    curve = maj_curve(answers, correct)
    assert curve[0] == pytest.approx(np.mean([0.0 if a is None else correct.get(a, 0.0) for a in answers]))
    winners = agreement(answers).winners
    assert curve[-1] == pytest.approx(np.mean([correct.get(a, 0.0) for a in winners]) if winners else 0.0)


def test_voting_helps_where_right_is_the_favourite_and_hurts_where_it_is_not() -> None:
    # At even k a tie costs what the extra vote gains, so that the curve climbs (or falls) at odd k.
    up = maj_curve("rrrrrrwwww", {"r": 1.0})[::2]
    down = maj_curve("rrrrwwwwww", {"r": 1.0})[::2]
    assert (np.diff(up) > 0).all() and (np.diff(down) < 0).all() and up == pytest.approx(1 - down)


def test_many_problems_are_one_by_one_and_have_intervals() -> None:
    answers = ["AABBC", "CCCAB", [None, "A", "A", "B", None, "A"]]
    correct = [{"A": 1.0}, {"C": 0.5, "A": 1.0}, {"A": 1.0}]
    made = maj_curves(answers, correct)
    assert made.shape == (3, 5)
    for row, said, right in zip(made, answers, correct, strict=True):
        assert row == pytest.approx(maj_curve(said, right)[:5])
    at = column_estimates({"one": made[:2], "two": made[2:]})
    assert at[2].value == pytest.approx((made[:2, 2].mean() + made[2, 2]) / 2) and at[2].n == 3
    assert at[2].low <= at[2].value <= at[2].high
    with pytest.raises(UserError, match="the fewest samples of any problem"):
        maj_curves(answers, correct, up_to=6)


def test_agreement_counts_the_unreadable_or_not() -> None:
    made = agreement(["x", None, "y", "x", "y", None, "z", None])
    assert made.winners == ("x", "y") and made.tied == 2 and made.votes == 2
    assert made.of_parsed == pytest.approx(0.4) and made.of_all == pytest.approx(0.25)
    nobody = agreement([None])
    assert nobody.tied == 0 and nobody.of_parsed == nobody.of_all == 0.0


@given(st.data())
def test_best_of_k_is_enumerating(data: st.DataObject) -> None:
    answers, correct = data.draw(answer_lists), data.draw(correctness)
    scores = data.draw(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=len(answers), max_size=len(answers)))
    for k in range(1, len(answers) + 1):
        assert best_of_k(answers, correct, scores, k) == pytest.approx(
            best_twin(answers, correct, scores, k), abs=1e-12
        )


def test_best_of_k_of_the_worked_example() -> None:
    curve = best_of_curves(["AABBC"], [{"A": 1.0}], [[0.9, 0.2, 0.8, 0.1, 0.3]])[0]
    assert curve == pytest.approx([0.4, 0.5, 0.6, 0.8, 1.0])


@given(st.integers(1, 40), st.data())
def test_an_infallible_verifier_makes_best_of_k_pass_at_k(n: int, data: st.DataObject) -> None:
    right, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    answers, scores = ["r"] * right + ["w"] * (n - right), [1.0] * right + [0.0] * (n - right)
    assert best_of_k(answers, {"r": 1.0}, scores, k) == pytest.approx(pass_at_k(n, right, k), abs=1e-12)
    blind = best_of_k(answers, {"r": 1.0}, [0.5] * n, k)
    assert blind == pytest.approx(right / n), "a verifier that cannot tell picks one at random"


def test_best_of_curves_takes_problems_of_different_size() -> None:
    answers, correct = [["a", "b", None], ["b", "b", "a", "a", "c"]], [{"a": 1.0}, {"a": 1.0, "c": 0.5}]
    scores = [[0.1, 0.9, 5.0], [0.3, 0.3, 0.3, 0.2, 0.9]]
    made = best_of_curves(answers, correct, scores)
    for p in range(2):
        wanted = [best_twin(answers[p], correct[p], scores[p], k) for k in (1, 2, 3)]
        assert made[p] == pytest.approx(wanted)


@given(st.data())
def test_a_weighted_vote_is_enumerating(data: st.DataObject) -> None:
    answers, correct = data.draw(answer_lists), data.draw(correctness)
    weights = data.draw(st.lists(st.integers(1, 4), min_size=len(answers), max_size=len(answers)))
    for k in range(1, len(answers) + 1):
        made = weighted_vote(answers, correct, weights, k)
        assert made.exact and made.subsets == math.comb(len(answers), k)
        assert made.value == pytest.approx(twin(answers, correct, k, weights), abs=1e-12)


@given(answer_lists, correctness, st.sampled_from([0.0, 0.1, 0.7]))
def test_equal_weights_are_a_majority(answers: Said, correct: dict[str, float], weight: float) -> None:
    made = weighted_curves([answers], [correct], [[weight] * len(answers)])
    assert made.value_PK[0] == pytest.approx(maj_curve(answers, correct), abs=1e-12)


def test_weights_decide_and_their_rounding_does_not() -> None:
    assert weighted_vote(["a", "b", "b"], {"a": 1.0}, [0.9, 0.4, 0.4], 3).value == 1.0
    assert weighted_vote(["a", "b", "b"], {"a": 1.0}, [0.3, 0.1, 0.2], 3).value == 0.5, "0.1 + 0.2 ties with 0.3"
    assert weighted_vote(["a", "b", "b", "b"], {"a": 1.0}, [0.1, 0.0, 0.0, 0.0], 4).value == 1.0


def test_where_subsets_are_many_a_fixed_part_of_them_is_averaged_and_says_so() -> None:
    generator = np.random.default_rng(4)
    answers = ["r"] * 7 + ["w"] * 6 + [None] * 3
    weights = generator.integers(1, 9, size=16).tolist()
    exact = twin(answers, {"r": 1.0}, 8, weights)
    made = weighted_vote(answers, {"r": 1.0}, weights, 8, subsets=2000)
    assert not made.exact and made.subsets == 2000
    assert made.value == pytest.approx(exact, abs=4 * 0.5 / math.sqrt(2000)) and made.value != exact
    assert weighted_vote(answers, {"r": 1.0}, weights, 8, subsets=2000) == made
    assert weighted_vote(answers, {"r": 1.0}, weights, 8, subsets=2000, seed=1) != made
    whole = weighted_vote(answers, {"r": 1.0}, weights, 8, subsets=math.comb(16, 8))
    assert whole.exact and whole.value == pytest.approx(exact, abs=1e-12)
    curves = weighted_curves([answers], [{"r": 1.0}], [weights], subsets=120)
    assert curves.exact_K == tuple(math.comb(16, k) <= 120 for k in range(1, 17)) and curves.subsets_K[2] == 120


def test_weighted_curves_do_not_depend_on_their_company() -> None:
    generator = np.random.default_rng(5)
    answers = [[["r", "w", "v", None][i] for i in generator.integers(0, 4, size=12)] for _ in range(300)]
    weights = [generator.random(12).tolist() for _ in answers]
    together = weighted_curves(answers, [{"r": 1.0}] * 300, weights, subsets=5000).value_PK
    for p in (0, 17, 299):
        alone = weighted_curves([answers[p]], [{"r": 1.0}], [weights[p]], subsets=5000).value_PK[0]
        assert together[p] == pytest.approx(alone)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: maj_at_k("AB", {"A": 1.0}, 3), "between 1 and the 2 stored samples"),
        (lambda: maj_at_k("AB", {"A": 1.0}, 0), "between 1 and the 2 stored samples"),
        (lambda: maj_at_k([], {}, 1), "at least one stored sample"),
        (lambda: maj_at_k("AB", {"A": 1.5}, 1), "must lie in"),
        (lambda: maj_curve(["A"] * 1001, {"A": 1.0}), "at most 1000"),
        (lambda: maj_curves([], []), "at least one problem"),
        (lambda: agreement([]), "at least one stored sample"),
        (lambda: best_of_k("AB", {"A": 1.0}, [1.0], 1), "one score per sample"),
        (lambda: best_of_k("AB", {"A": 1.0}, [1.0, math.nan], 1), "finite"),
        (lambda: best_of_k("AB", {"A": 1.0}, [1.0, 2.0], 3), "between 1 and the 2"),
        (lambda: weighted_vote("AB", {"A": 1.0}, [0.5, -0.1], 1), "not negative"),
        (lambda: weighted_vote("AB", {"A": 1.0}, [0.5, 0.1], 1, subsets=0), "at least one subset"),
    ],
)
def test_nonsense_is_refused(call: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        call()
