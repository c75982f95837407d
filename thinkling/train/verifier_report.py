"""How good a verifier is: does it rank right above wrong, and are its probabilities what they say?

Every number comes with its n and a 95% interval, from a bootstrap that redraws problems within their families,
with all their solutions (solutions to one problem are no independent evidence).

Shape suffixes: P problems, S solutions (or steps) of all problems in a row, U distinct values, B bins, R redraws, of
which the first is the sample itself.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thinkling.core.seeds import derive, stream

Floats = NDArray[np.float64]
REDRAWS = 500
BINS = 10
SIZES = (1, 2, 4, 8, 16)  # of the groups from which one answer is chosen
SUBSETS = 64  # groups of votes tried for each size, where an exact expectation would take too long


@dataclass(frozen=True, slots=True)
class Group:
    """One problem's judgements: the ``value`` of each, ``right`` in [0, 1] (a share for steps), the ``answer``."""

    family: str
    value: Floats
    right: Floats
    answer: tuple[str | None, ...] = ()


def ranking(groups: Sequence[Group], seed: int) -> dict[str, Any]:
    """``within``: the probability that a right solution outranks a wrong one of the same problem, averaged over
    the problems that have both; ``pooled``: the same over all solutions, whose problems differ in difficulty."""
    weight_RP = redraws([group.family for group in groups], seed)
    within_P = np.asarray([auc(group.value, group.right, np.ones((1, len(group.value))))[0] for group in groups])
    by_family = {
        family: estimate(within_P, weight_RP * [group.family == family for group in groups])
        for family in dict.fromkeys(group.family for group in groups)
    }
    value_S, right_S, weight_RS = _in_a_row(groups, weight_RP)
    pooled = _with_interval(auc(value_S, right_S, weight_RS), len(value_S))
    return {"within": estimate(within_P, weight_RP), "within_by_family": by_family, "pooled": pooled}


def calibration(groups: Sequence[Group], seed: int) -> dict[str, Any]:
    """``ece``: mean distance between what a bin says and what comes true, weighted by its size (Guo et al. 2017,
    arXiv:1706.04599, section 2); ``brier``: mean squared error (Brier 1950), beside ``brier_constant``, that of
    saying the mean always; ``reliability``: the bins."""
    weight_RP = redraws([group.family for group in groups], seed)
    value_S, right_S, weight_RS = _in_a_row(groups, weight_RP)
    in_bin_SB = np.eye(BINS)[np.minimum((value_S * BINS).astype(int), BINS - 1)]
    total_R = weight_RS.sum(axis=1)
    gap_RB = np.abs((weight_RS * (value_S - right_S)) @ in_bin_SB)
    mean_R = weight_RS @ right_S / total_R
    n, table = len(value_S), []
    for b, members in enumerate(in_bin_SB.T > 0):
        if members.any():
            said, came_true = float(value_S[members].mean()), float(right_S[members].mean())
            bounds = {"from": b / BINS, "to": (b + 1) / BINS}
            table.append(bounds | {"n": int(members.sum()), "value": said, "right": came_true})
    return {
        "ece": _with_interval(gap_RB.sum(axis=1) / total_R, n),
        "brier": _with_interval(weight_RS @ (value_S - right_S) ** 2 / total_R, n),
        "brier_constant": _with_interval(weight_RS @ right_S**2 / total_R - mean_R**2, n),
        "reliability": table,
    }


def choosing(groups: Sequence[Group], seed: int) -> list[dict[str, Any]]:
    """The accuracy of one answer chosen from ``n`` solutions: at random, by majority, by the verifier's highest
    value, by votes weighted with its values; and of ``any``, an oracle (pass@n). Of the two differences, each
    problem's own is averaged."""
    weight_RP = redraws([group.family for group in groups], seed)
    asked = [group for group in groups if len(group.value)]
    weight_RP = weight_RP[:, [len(group.value) > 0 for group in groups]]
    rows = []
    for n in SIZES:
        if n > max(len(group.value) for group in asked):
            break
        votes = [_votes(group, n, derive(seed, "votes", n, place)) for place, group in enumerate(asked)]
        per_problem = {
            "random": np.asarray([group.right.mean() for group in asked]),
            "majority": np.asarray([plain for plain, _ in votes]),
            "verifier": np.asarray([best_of(group.value, group.right, n) for group in asked]),
            "weighted": np.asarray([weighted for _, weighted in votes]),
            "any": np.asarray([best_of(group.right, group.right, n) for group in asked]),
        }
        per_problem["verifier_minus_majority"] = per_problem["verifier"] - per_problem["majority"]
        per_problem["weighted_minus_majority"] = per_problem["weighted"] - per_problem["majority"]
        rows.append({"n": n} | {name: estimate(value_P, weight_RP) for name, value_P in per_problem.items()})
    return rows


def auc(value_S: Floats, right_S: Floats, weight_RS: Floats) -> Floats:
    """Area under the ROC curve for each row of weights, [R]; a tie counts half, a soft label as a right one and a
    wrong one in these shares. NaN where a row has only one kind."""
    if not len(value_S):
        return np.full(len(weight_RS), np.nan)
    order = np.argsort(value_S, kind="stable")
    starts = np.flatnonzero(np.diff(value_S[order], prepend=-np.inf))
    right_RU = np.add.reduceat((weight_RS * right_S)[:, order], starts, axis=1)
    wrong_RU = np.add.reduceat((weight_RS * (1 - right_S))[:, order], starts, axis=1)
    below_RU = np.cumsum(wrong_RU, axis=1) - wrong_RU / 2
    pairs_R = right_RU.sum(axis=1) * wrong_RU.sum(axis=1)
    return np.divide((right_RU * below_RU).sum(axis=1), pairs_R, out=np.full(len(pairs_R), np.nan), where=pairs_R > 0)


def best_of(value: Floats, right: Floats, n: int) -> float:
    """Expected ``right`` of the highest ``value`` among ``n`` drawn without replacement (all, if there are fewer).

    The highest of n is one of the k lowest of N with probability C(k, n) / C(N, n): pass@k's argument (Chen et al.
    2021, section 2.1) for any order. Of equal values one is drawn.
    """
    n, found, below = min(n, len(value)), 0.0, 0
    for tied in np.unique(value):
        members = value == tied
        upto = below + int(members.sum())
        found += (math.comb(upto, n) - math.comb(below, n)) * float(right[members].mean())
        below = upto
    return found / math.comb(len(value), n)


def estimate(value_P: Floats, weight_RP: Floats) -> dict[str, Any]:
    """The mean over the problems that have a number (NaN: none), with its interval and their count."""
    known = ~np.isnan(value_P)
    weight_RP = weight_RP[:, known]
    total_R = weight_RP.sum(axis=1)
    mean_R = np.divide(weight_RP @ value_P[known], total_R, out=np.full(len(total_R), np.nan), where=total_R > 0)
    return _with_interval(mean_R, int((weight_RP[0] > 0).sum()))


def redraws(families: Sequence[str], seed: int) -> Floats:
    """How often each problem is drawn, [R, P]: once in the first row, else as often as chance has it."""
    weight_RP = np.ones((REDRAWS + 1, len(families)))
    generator = np.random.default_rng(derive(seed, "redraws"))
    places: dict[str, list[int]] = defaultdict(list)
    for place, family in enumerate(families):
        places[family].append(place)
    for own in places.values():
        weight_RP[1:, own] = generator.multinomial(len(own), np.full(len(own), 1 / len(own)), size=REDRAWS)
    return weight_RP


def _with_interval(value_R: Floats, n: int) -> dict[str, Any]:
    if np.isnan(value_R[0]):
        return {"value": None, "low": None, "high": None, "n": n}
    low, high = np.nanquantile(value_R[1:], [0.025, 0.975])
    return {"value": float(value_R[0]), "low": float(low), "high": float(high), "n": n}


def _in_a_row(groups: Sequence[Group], weight_RP: Floats) -> tuple[Floats, Floats, Floats]:
    owner = np.repeat(np.arange(len(groups)), [len(group.value) for group in groups])
    values, rights = [group.value for group in groups], [group.right for group in groups]
    return np.concatenate(values), np.concatenate(rights), weight_RP[:, owner]


def _votes(group: Group, n: int, seed: int) -> tuple[float, float]:
    """Expected accuracy of a vote among ``n`` solutions: each counting 1, and each its value."""
    size = len(group.value)
    rng = stream(seed, "subsets")
    subsets = [rng.sample(range(size), n) for _ in range(SUBSETS)] if n < size else [list(range(size))]
    plain = [_elected(group, subset, dict.fromkeys(subset, 1.0)) for subset in subsets]
    weighted = [_elected(group, subset, {i: float(group.value[i]) for i in subset}) for subset in subsets]
    return float(np.mean(plain)), float(np.mean(weighted))


def _elected(group: Group, subset: Sequence[int], weight: Mapping[int, float]) -> float:
    """How right the answer with most weight is; of several that share it, on average."""
    tally: dict[str, float] = defaultdict(float)
    right: dict[str, float] = {}
    for i in subset:
        answer = group.answer[i]
        if answer is not None:
            tally[answer] += weight[i]
            right[answer] = float(group.right[i])
    if not tally:
        return float(np.mean([group.right[i] for i in subset]))
    most = max(tally.values())
    return float(np.mean([right[answer] for answer, total in tally.items() if total >= most - 1e-9]))
