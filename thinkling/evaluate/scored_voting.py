"""What a verifier adds to voting: best-of-k (its highest score wins) and the weighted vote (its scores are the votes).

Both are expectations over all C(n, k) ways to choose k of a problem's n stored samples, with ties broken uniformly,
as in ``voting.py``. Best-of-k is exact: only the rank of the best sample chosen matters. The weighted vote adds up
real numbers, so no counting shortcut exists: it enumerates the subsets where they are few, else averages over a
fixed set of them, and says which.

Cobbe et al. 2021, arXiv:2110.14168 (best-of-k by a verifier); Li et al. 2023 ("DiVeRSe"),
arXiv:2206.02336 (verifier-weighted votes).

Shapes: P problems, n stored samples, K numbers of samples (1, 2, ...), S subsets, A distinct answers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.evaluate.statistics import Floats
from thinkling.evaluate.voting import Answer, binomials, check_correct, common_width, maj_curve, tally

SUBSETS = 256  # enumerates every k of 10 samples; leaves 3 points of error on one problem, 0.1 on a thousand
_SAME = 1e-9  # sums of scores this close, relative to the larger, tie: 0.1 + 0.2 is 0.3
_LEAST = 1e-300  # the weight of a score of 0: a vote still, lost in any other sum
_CHUNK = 1 << 20  # sums held at a time: arrays of 8 MiB


def best_of_k(answers: Sequence[Answer | None], correct: Mapping[Any, float], scores: Sequence[float], k: int) -> float:
    """Expected correctness of the highest-scored of k samples, exactly, by order statistics.

    With G samples scored at least as high as a score s, and H higher, P(the best of k has score s) =
    [C(n-H, k) - C(n-G, k)] / C(n, k); samples of equal score are equally likely to be the one. An unreadable
    sample is never chosen, whatever its score. With correctness itself as the score this is pass@k.
    """
    curve_K = best_of_curves([answers], [correct], [scores])[0]
    return float(curve_K[_position(k, len(curve_K))])


def best_of_curves(
    answers: Sequence[Sequence[Answer | None]],
    correct: Sequence[Mapping[Any, float]],
    scores: Sequence[Sequence[float]],
    up_to: int | None = None,
) -> Floats:
    """``best_of_k`` of many problems for k = 1..``up_to`` (the fewest samples of any problem, if None); [P, K]."""
    width = common_width(answers, up_to)
    made_PK = np.zeros((len(answers), width))
    for n, rows in _by_size(answers).items():
        right_Pn, score_Pn = np.zeros((len(rows), n)), np.full((len(rows), n), -np.inf)
        for at, row in enumerate(rows):
            for i, answer in enumerate(_checked(answers[row], correct[row], scores[row])):
                if answer is not None:
                    right_Pn[at, i] = correct[row].get(answer, 0.0)
                    score_Pn[at, i] = scores[row][i]
        choose = binomials(n)
        none_above = choose[n - np.arange(n + 1), 1 : width + 1] / choose[n, 1 : width + 1]
        made_PK[rows] = _shared_within_ties(right_Pn, score_Pn) @ (none_above[:-1] - none_above[1:])
    return np.clip(made_PK, 0.0, 1.0)


def _shared_within_ties(right_Pn: Floats, score_Pn: Floats) -> Floats:
    """Correctness from the highest score down, each replaced by its mean over samples of the same score."""
    order = np.argsort(-score_Pn, axis=1, kind="stable")
    ranked, scored = np.take_along_axis(right_Pn, order, 1), np.take_along_axis(score_Pn, order, 1)
    first = np.ones_like(scored, dtype=bool)
    first[:, 1:] = scored[:, 1:] != scored[:, :-1]
    group = np.cumsum(first.ravel()) - 1
    mean = np.bincount(group, ranked.ravel()) / np.bincount(group)
    return np.asarray(mean[group].reshape(ranked.shape), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class WeightedVote:
    """An expected accuracy, from how many ``subsets``, and whether those were all there are."""

    value: float
    subsets: int
    exact: bool


@dataclass(frozen=True, slots=True)
class WeightedCurves:
    """Weighted votes of many problems. ``exact_K[k-1]``: at k every subset was counted; [P, K], [K], [K]."""

    value_PK: Floats
    subsets_K: tuple[int, ...]
    exact_K: tuple[bool, ...]


def weighted_vote(
    answers: Sequence[Answer | None],
    correct: Mapping[Any, float],
    scores: Sequence[float],
    k: int,
    *,
    subsets: int = SUBSETS,
    seed: int = 0,
) -> WeightedVote:
    """Expected accuracy of the answer with the largest sum of scores among k samples.

    ``scores`` are finite and not negative (probabilities, not log-probabilities). All C(n, k) subsets are
    counted if there are at most ``subsets``; otherwise that many are drawn, the same ones for every problem of n
    samples under one ``seed``, and the standard error of ``value`` is below 1 / (2 sqrt(subsets)). A score of 0
    is taken as the least possible vote: it decides where there is no other. With equal scores this is ``maj_at_k``.
    """
    _position(k, len(answers))
    made = weighted_curves([answers], [correct], [scores], subsets=subsets, seed=seed)
    return WeightedVote(float(made.value_PK[0, k - 1]), made.subsets_K[k - 1], made.exact_K[k - 1])


def weighted_curves(
    answers: Sequence[Sequence[Answer | None]],
    correct: Sequence[Mapping[Any, float]],
    scores: Sequence[Sequence[float]],
    up_to: int | None = None,
    *,
    subsets: int = SUBSETS,
    seed: int = 0,
) -> WeightedCurves:
    """``weighted_vote`` of many problems for k = 1..``up_to`` (the fewest samples of any problem, if None).

    Problems that differ in n may differ in what is exact: ``exact_K`` and ``subsets_K`` are those of the largest.
    """
    width = common_width(answers, up_to)
    if subsets < 1:
        raise UserError(f"a weighted vote needs at least one subset, came subsets={subsets}")
    made_PK = np.zeros((len(answers), width))
    alike: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, said in enumerate(answers):
        _checked(said, correct[row], scores[row], weights=True)
        votes, _ = tally(said)
        if len({correct[row].get(answer, 0.0) for answer in votes}) <= 1:  # whoever wins, it is as right
            made_PK[row] = maj_curve(said, correct[row])[:width]
        else:
            alike[len(said), len(votes)].append(row)
    for (n, distinct), rows in alike.items():
        step = max(1, _CHUNK // (subsets * distinct))
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            tables = [_table(answers[row], correct[row], scores[row], distinct) for row in some]
            weight_APn, right_AP = (np.stack(part, axis=1) for part in zip(*tables, strict=True))
            for k in range(1, width + 1):
                chosen_Sn = _chosen(n, k, subsets, seed)
                made_PK[some, k - 1] = _winners_right(chosen_Sn, weight_APn, right_AP)
    largest = max(map(len, answers))
    counts = [math.comb(largest, k) for k in range(1, width + 1)]
    return WeightedCurves(made_PK, tuple(min(c, subsets) for c in counts), tuple(c <= subsets for c in counts))


def _table(
    answers: Sequence[Answer | None], correct: Mapping[Any, float], scores: Sequence[float], distinct: int
) -> tuple[Floats, Floats]:
    """The weight with which each sample votes for each answer, and how right that is; [A, n], [A]."""
    # The rightest first: most problems then have nothing to add up beyond the first row.
    ranked = sorted(tally(answers)[0], key=lambda answer: -correct.get(answer, 0.0))
    place = {answer: at for at, answer in enumerate(ranked)}
    weight_An = np.zeros((distinct, len(answers)))
    for i, answer in enumerate(answers):
        if answer is not None:
            weight_An[place[answer], i] = max(scores[i], _LEAST)
    return weight_An, np.array([correct.get(answer, 0.0) for answer in ranked])


def _winners_right(chosen_Sn: Floats, weight_APn: Floats, right_AP: Floats) -> Floats:
    """Mean over subsets of the mean correctness of those answers whose sum is largest; [P]."""
    distinct, problems, n = weight_APn.shape
    totals_APS = (weight_APn.reshape(-1, n) @ chosen_Sn.T).reshape(distinct, problems, -1)
    top_PS = totals_APS.max(axis=0)
    winner_APS = totals_APS >= top_PS * (1 - _SAME)
    right_PS = np.zeros_like(top_PS)
    for winner_PS, right_P in zip(winner_APS, right_AP, strict=True):
        if right_P.any():
            right_PS += winner_PS * right_P[:, None]
    right_PS /= winner_APS.sum(axis=0, dtype=np.int16)
    # Where no chosen sample could be read, all answers "tie" at no vote at all.
    return np.asarray((right_PS * (top_PS > 0.0)).mean(axis=1), dtype=np.float64)


@lru_cache(maxsize=256)
def _chosen(n: int, k: int, subsets: int, seed: int) -> Floats:
    """All k-subsets of n samples as rows of zeros and ones, or ``subsets`` drawn ones; [S, n].

    Those drawn are the first k of shuffled orders, so that along k the same orders grow by one sample each.
    """
    if math.comb(n, k) <= subsets:
        index = np.array(list(combinations(range(n), k)))
    else:
        generator = np.random.default_rng(derive(seed, "weighted vote", n, subsets))
        index = generator.random((subsets, n)).argsort(axis=1)[:, :k]
    made_Sn = np.zeros((len(index), n))
    np.put_along_axis(made_Sn, index, 1.0, axis=1)
    made_Sn.flags.writeable = False
    return made_Sn


def _checked(
    answers: Sequence[Answer | None], correct: Mapping[Any, float], scores: Sequence[float], weights: bool = False
) -> Sequence[Answer | None]:
    if len(scores) != len(answers):
        raise UserError(f"expected one score per sample; came {len(scores)} scores for {len(answers)} samples")
    check_correct(correct)
    for answer, score in zip(answers, scores, strict=True):
        if answer is not None and not (math.isfinite(score) and (score >= 0.0 or not weights)):
            wanted = "finite and not negative (exponentiate log-probabilities)" if weights else "finite"
            raise UserError(f"expected scores that are {wanted}; came {score} for {answer!r}")
    return answers


def _by_size(answers: Sequence[Sequence[Answer | None]]) -> dict[int, list[int]]:
    sizes: dict[int, list[int]] = defaultdict(list)
    for row, said in enumerate(answers):
        sizes[len(said)].append(row)
    return dict(sizes)


def _position(k: int, n: int) -> int:
    if not 1 <= k <= n:
        raise UserError(f"expected k between 1 and the {n} stored samples, came k={k}")
    return k - 1
