"""Intervals for accuracies, lengths and their differences. No number leaves here without its n.

Two facts shape this file. Samples of one problem are not independent, so every bootstrap resamples
*problems*, with all their samples. And an average over families is stratified: each family is
resampled within itself and counts the same, however many problems it has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from thinkling.core.seeds import derive

Floats = NDArray[np.float64]
DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with a confidence interval (95% unless asked otherwise) from ``n`` problems."""

    value: float
    low: float
    high: float
    n: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def wilson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """A share of independent trials with Wilson's score interval (Wilson 1927)."""
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"wilson needs 0 <= successes <= n and n >= 1, got {successes} of {n}")
    interval = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return Estimate(successes / n, float(interval.low), float(interval.high), n)


def pass_at_k(n: int, c: int, k: int) -> float:
    """Probability that k of n samples, drawn without replacement, hold one of the c correct ones.

    1 - C(n-c, k) / C(n, k) (Chen et al. 2021, "Evaluating Large Language Models Trained on Code",
    section 2.1), as a product, so that no binomial coefficient can overflow.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass_at_k needs 0 <= c <= n and 1 <= k <= n, got n={n} c={c} k={k}")
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))


def bootstrap(
    strata: Mapping[str, Sequence[float]], *, seed: int, confidence: float = 0.95, draws: int = DRAWS
) -> Estimate:
    """Mean over strata of each one's mean over problems, with a percentile bootstrap interval.

    ``strata`` maps a family to one number per problem: the mean over that problem's samples (so
    problems, not samples, are resampled), or a paired difference. ``n`` counts problems.
    """
    arrays = _arrays(strata)
    generator = np.random.default_rng(derive(seed, "bootstrap"))
    total = np.zeros(draws)
    for values in arrays.values():
        total += _resampled_means(values, generator, draws)
    means = total / len(arrays)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    value = float(np.mean([values.mean() for values in arrays.values()]))
    return Estimate(value, float(low), float(high), sum(values.size for values in arrays.values()))


def share(
    strata: Mapping[str, Sequence[float]], *, seed: int = 0, confidence: float = 0.95, draws: int = DRAWS
) -> Estimate:
    """Mean over families of an accuracy (or another share); one number in [0, 1] per problem.

    Where every problem is a single yes or no: Wilson intervals per family, combined over families
    as Zou and Donner (2008, "MOVER") combine separate limits, so that 0 of 500 does not claim to be
    exactly 0. Where problems have several samples: the bootstrap over problems, unless it could not
    vary at all (all problems of a family alike), where `share_of_means` is taken.
    """
    arrays = _arrays(strata)
    binary = all(np.isin(values, (0.0, 1.0)).all() for values in arrays.values())
    if not binary and all(np.ptp(values) == 0 and 0 <= values[0] <= 1 for values in arrays.values()):
        means = {family: float(values[0]) for family, values in arrays.items()}
        return share_of_means(means, {family: values.size for family, values in arrays.items()}, confidence)
    if not binary:
        return bootstrap(strata, seed=seed, confidence=confidence, draws=draws)
    return _over_families([wilson(int(values.sum()), values.size, confidence) for values in arrays.values()])


def share_of_means(means: Mapping[str, float], n: Mapping[str, int], confidence: float = 0.95) -> Estimate:
    """``share`` where of each family only its mean and the number of its yes-or-no problems are known.

    Of scores between 0 and 1 the interval is that of the nearest number of yeses: no narrower than theirs.
    """
    parts = [wilson(round(mean * n[family]), n[family], confidence) for family, mean in means.items()]
    return replace(_over_families(parts), value=sum(means.values()) / len(means))


def _over_families(parts: Sequence[Estimate]) -> Estimate:
    """The mean of independent shares, their limits combined by MOVER."""
    weight = 1 / len(parts)
    value = weight * sum(part.value for part in parts)
    below = math.sqrt(sum((weight * (part.value - part.low)) ** 2 for part in parts))
    above = math.sqrt(sum((weight * (part.high - part.value)) ** 2 for part in parts))
    n = sum(part.n for part in parts)
    return Estimate(value, max(0.0, value - below), min(1.0, value + above), n)


def paired_difference(
    after: Mapping[str, Mapping[str, float]],
    before: Mapping[str, Mapping[str, float]],
    *,
    seed: int = 0,
    confidence: float = 0.95,
    draws: int = DRAWS,
) -> Estimate:
    """Mean of after - before over the problems that both have (family -> problem key -> mean), bootstrapped.

    Pairing takes the problems' own difficulty out of the interval. Families that share no problem
    are left out; raises ValueError where none is left.
    """
    strata: dict[str, list[float]] = {}
    for family in sorted(set(after) & set(before)):
        keys = sorted(set(after[family]) & set(before[family]))
        if keys:
            strata[family] = [after[family][key] - before[family][key] for key in keys]
    if not strata:
        raise ValueError("the two have no problem in common, so there is no paired difference")
    return bootstrap(strata, seed=seed, confidence=confidence, draws=draws)


def ratio(
    above: Mapping[str, float],
    below: Sequence[Mapping[str, float]],
    *,
    seed: int = 0,
    confidence: float = 0.95,
    draws: int = DRAWS,
) -> Estimate:
    """Mean of ``above`` over the best mean of ``below`` (each: problem key -> value), bootstrapped over problems.

    A problem that several of them answered is drawn for all of them, which pairs them, and the best of
    ``below`` is found anew in each resample. Infinite over 0; the upper end also where 0 is not rare among
    the resamples. Raises ValueError where a side has no problem.
    """
    if not above or not below or not all(below):
        raise ValueError("a ratio needs problems on both sides")
    keys = sorted(set(above).union(*below))
    generator = np.random.default_rng(derive(seed, "ratio"))
    draw = generator.multinomial(len(keys), np.full(len(keys), 1 / len(keys)), size=draws)
    weights = np.vstack([np.ones((1, len(keys))), draw])  # the first row is the sample itself
    with np.errstate(divide="ignore", invalid="ignore"):
        best = np.max([_weighted_means(side, keys, weights) for side in below], axis=0)
        found = _weighted_means(above, keys, weights) / best
    # Sorted and picked instead of np.quantile, which cannot interpolate between infinities.
    spread = np.sort(np.nan_to_num(found[1:], nan=np.inf, posinf=np.inf))
    low, high = (spread[round(q * (draws - 1))] for q in ((1 - confidence) / 2, (1 + confidence) / 2))
    return Estimate(float(found[0]), float(low), float(high), len(keys))


def clear_of_zero(estimate: Estimate) -> bool:
    """Whether an interval excludes 0."""
    return estimate.low > 0 or estimate.high < 0


def _resampled_means(values: Floats, generator: np.random.Generator, draws: int) -> Floats:
    """Means of ``draws`` resamples. Drawn as counts per distinct value, which is the same
    distribution as drawing indices, and far cheaper: accuracies take few values."""
    distinct, counts = np.unique(values, return_counts=True)
    drawn = generator.multinomial(values.size, counts / values.size, size=draws)
    return np.asarray(drawn @ distinct / values.size, dtype=np.float64)


def _weighted_means(values: Mapping[str, float], keys: Sequence[str], weights: Floats) -> Floats:
    """For each row of ``weights`` over ``keys``, the mean over those keys that have a value."""
    known = np.array([key in values for key in keys], dtype=np.float64)
    made = np.array([values.get(key, 0.0) for key in keys])
    return np.asarray(weights @ made / (weights @ known), dtype=np.float64)


def _arrays(strata: Mapping[str, Sequence[float]]) -> dict[str, Floats]:
    arrays = {family: np.asarray(values, dtype=np.float64) for family, values in sorted(strata.items())}
    empty = [family for family, values in arrays.items() if values.size == 0]
    if not arrays or empty:
        raise ValueError(f"no problems to average over{f' in {empty}' if empty else ''}")
    strange = [family for family, values in arrays.items() if not np.isfinite(values).all()]
    if strange:
        raise ValueError(f"values that are not finite numbers in {strange}")
    return arrays
