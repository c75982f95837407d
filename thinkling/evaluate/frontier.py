"""Accuracy against tokens: which strategies are worth their cost, and how much cheaper one curve is than another.

A strategy is on the Pareto frontier if no other is at least as accurate for at most as many tokens (and better in
one of the two). All tokens count: pruned branches, judges and discarded samples too. A curve of accuracy over
growing budgets ("test-time compute") is compared at equal accuracy, where the ratio of tokens says what a
difference in accuracy cannot: "the same for a quarter of the tokens" (Snell et al. 2024, arXiv:2408.03314,
state the gain of compute-optimal scaling over best-of-n so).

Shapes: P problems, S strategies, K budgets, N resamples; a leading ``...`` is any number of resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from thinkling.core.errors import UserError
from thinkling.evaluate.resampling import column_estimates, resampled_means
from thinkling.evaluate.statistics import DRAWS, Estimate, Floats

Monotone = Literal["refuse", "running_max", "isotonic"]


@dataclass(frozen=True, slots=True)
class Point:
    """A strategy's mean tokens and accuracy over the shared problems.

    ``on_frontier`` is read off the means; ``share`` says in which share of resamples of the problems it is so, for
    a lucky point looks efficient.
    """

    name: str
    tokens: Estimate
    accuracy: Estimate
    on_frontier: bool
    share: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One strategy at growing budgets: per problem, its total tokens and accuracy at each; [P, K] both."""

    name: str
    keys: tuple[str, ...]
    tokens_PK: Floats
    accuracy_PK: Floats


def pareto(tokens: Sequence[float] | Floats, accuracy: Sequence[float] | Floats) -> NDArray[np.bool_]:
    """Which of S points no other dominates; [..., S] -> [..., S]. Equal points are both on the frontier.

    j dominates i if tokens_j <= tokens_i and accuracy_j >= accuracy_i, one of them strictly.
    """
    cost, gain = np.asarray(tokens, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    if cost.shape != gain.shape or cost.ndim == 0 or not (np.isfinite(cost).all() and np.isfinite(gain).all()):
        raise UserError(f"expected finite tokens and accuracies of one shape; came {cost.shape} and {gain.shape}")
    cost_i, cost_j, gain_i, gain_j = cost[..., :, None], cost[..., None, :], gain[..., :, None], gain[..., None, :]
    no_worse = (cost_j <= cost_i) & (gain_j >= gain_i)
    dominated = no_worse & ((cost_j < cost_i) | (gain_j > gain_i))
    return np.asarray(~dominated.any(axis=-1))


def frontier(
    strategies: Mapping[str, Mapping[str, Mapping[str, tuple[float, float]]]],
    *,
    seed: int = 0,
    confidence: float = 0.95,
    draws: int = DRAWS,
) -> list[Point]:
    """Every strategy as a ``Point``, cheapest first, over the problems that all of them answered.

    ``strategies`` maps a name to family -> problem key -> (mean total tokens, accuracy). Families count the same;
    their problems are redrawn for all strategies at once. Raises UserError where they have no problem in common.
    """
    columns = {}
    for family in sorted(set().union(*strategies.values())):
        keys = sorted(set.intersection(*(set(asked.get(family, ())) for asked in strategies.values())))
        if keys:
            rows = [[strategies[name][family][key] for name in strategies] for key in keys]
            columns[family] = np.array(rows, dtype=np.float64).reshape(len(keys), -1)
    if not columns:
        raise UserError(
            f"no problem was answered by all of {', '.join(strategies) or 'no strategies'}; ask the same ones"
        )
    estimates = column_estimates(columns, seed=seed, confidence=confidence, draws=draws)
    redrawn_NSV = resampled_means(columns, seed=seed, draws=draws).reshape(draws, len(strategies), 2)
    share_S = pareto(redrawn_NSV[..., 0], redrawn_NSV[..., 1]).mean(axis=0)
    tokens, accuracy = estimates[0::2], estimates[1::2]
    on_S = pareto([point.value for point in tokens], [point.value for point in accuracy])
    points = [
        Point(name, tokens[i], accuracy[i], bool(on_S[i]), float(share_S[i])) for i, name in enumerate(strategies)
    ]
    return sorted(points, key=lambda point: (point.tokens.value, -point.accuracy.value))


def monotone_accuracy(accuracy: Sequence[float] | Floats, monotone: Monotone) -> Floats:
    """Accuracies at growing budgets, made never to fall; [K].

    "refuse" raises UserError where they fall. "running_max" keeps the best so far: whoever may spend more may
    also spend less; it leans towards lucky points. "isotonic" is the nearest nondecreasing curve in least squares
    (pool adjacent violators, Ayer et al. 1955): it averages luck out, and counts a true decline against the peak.
    """
    values = np.asarray(accuracy, dtype=np.float64)
    if monotone == "refuse":
        if (np.diff(values) < 0).any():
            raise UserError(
                f"accuracy falls as tokens grow ({np.round(values, 4).tolist()}), so equal accuracy is met twice; "
                "choose 'running_max' or 'isotonic' to say how that is read"
            )
        return values
    if monotone == "running_max":
        return np.maximum.accumulate(values)
    if monotone == "isotonic":
        return np.asarray(isotonic_regression(values).x, dtype=np.float64)
    raise UserError(f"expected monotone to be 'refuse', 'running_max' or 'isotonic', came {monotone!r}")


def cost_at(
    tokens: Sequence[float] | Floats, accuracy: Sequence[float] | Floats, target: float, *, monotone: Monotone
) -> float:
    """Fewest tokens at which a curve (budgets ascending; [K], [K]) reaches the accuracy ``target``.

    Between two budgets, accuracy is taken as linear in log(tokens), where such curves are nearly straight. Nothing
    is extrapolated: raises UserError for a target below the first accuracy or above the highest.
    """
    fitted = monotone_accuracy(accuracy, monotone)
    cost = np.asarray(tokens, dtype=np.float64)
    if cost.shape != fitted.shape or cost.ndim != 1 or not cost.size or cost[0] <= 0 or (np.diff(cost) <= 0).any():
        raise UserError(f"expected one accuracy per budget, tokens positive and ascending; came {cost.tolist()}")
    if not fitted[0] <= target <= fitted[-1]:
        raise UserError(
            f"the curve runs from {fitted[0]:.4f} to {fitted[-1]:.4f} in accuracy and does not meet {target:.4f}; "
            "compare within its range, or run further budgets"
        )
    return _crossing(cost, fitted, target)


def _crossing(cost: Floats, fitted: Floats, target: float) -> float:
    """The first crossing; the first budget's cost below the curve, infinite above it."""
    after = int(np.searchsorted(fitted, target, side="left"))
    if after == 0:
        return float(cost[0])
    if after == fitted.size:
        return float("inf")
    part = (target - fitted[after - 1]) / (fitted[after] - fitted[after - 1])
    return float(np.exp(np.log(cost[after - 1]) + part * np.log(cost[after] / cost[after - 1])))


def cost_ratio(
    left: Curve,
    right: Curve,
    target: float,
    *,
    monotone: Monotone,
    seed: int = 0,
    confidence: float = 0.95,
    draws: int = DRAWS,
) -> Estimate:
    """Tokens of ``left`` over tokens of ``right`` at equal accuracy ``target``; 0.25: a quarter of the tokens.

    Both curves are means over the same problems, redrawn together. A resample in which only ``left`` misses the
    target counts as an infinite ratio, only ``right`` as 0, both as anything, so an end may be 0 or infinite: more
    budget is needed. One that begins above the target counts as its first budget. In resamples "refuse" reads
    falls as "running_max". Raises UserError as ``cost_at`` does, or where the problems are not the same.
    """
    if left.keys != right.keys:
        raise UserError(f"{left.name} and {right.name} must list the same problems in the same order")
    sides = (left, right)
    for side in sides:
        if side.tokens_PK.shape != side.accuracy_PK.shape or len(side.tokens_PK) != len(side.keys):
            raise UserError(f"{side.name}: expected tokens and accuracy of shape [{len(side.keys)} problems, budgets]")
    means = [(side.tokens_PK.mean(axis=0), side.accuracy_PK.mean(axis=0)) for side in sides]
    costs = [cost_at(tokens_K, accuracy_K, target, monotone=monotone) for tokens_K, accuracy_K in means]
    table = np.concatenate([part for side in sides for part in (side.tokens_PK, side.accuracy_PK)], axis=1)
    redrawn = resampled_means({"curves": table}, seed=seed, draws=draws)
    reading: Monotone = "running_max" if monotone == "refuse" else monotone
    costs_N2, at = np.empty((draws, 2)), 0
    for column, side in enumerate(sides):
        width = side.tokens_PK.shape[1]
        cost_NK, gain_NK = redrawn[:, at : at + width], redrawn[:, at + width : at + 2 * width]
        at += 2 * width
        for row in range(draws):
            costs_N2[row, column] = _crossing(cost_NK[row], monotone_accuracy(gain_NK[row], reading), target)
    with np.errstate(invalid="ignore"):
        ratios = costs_N2[:, 0] / costs_N2[:, 1]
    # Sorted and picked, for infinities cannot be interpolated between; "anything" widens either end.
    ends = ((1 - confidence) / 2, (1 + confidence) / 2)
    low, high = (
        np.sort(np.nan_to_num(ratios, nan=unknown, posinf=np.inf))[round(end * (draws - 1))]
        for end, unknown in zip(ends, (0.0, np.inf), strict=True)
    )
    return Estimate(costs[0] / costs[1], float(low), float(high), len(left.keys))
