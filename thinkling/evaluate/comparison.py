"""Is one strategy better than another? Paired tests over the same problems, corrected for how many were made.

Two strategies are compared problem by problem, so that the problems' own difficulty cancels. A problem is the unit:
its samples are averaged first, for they are not independent. Where every problem is a plain yes or no on both sides
the p-value is McNemar's exact one; where it is a fraction (a mean over samples, a tie in expectation) McNemar does
not apply, and the signs of the differences are permuted instead. Of a family of comparisons Holm's correction keeps
the chance of even one false claim at alpha.

Read as: outcomes = family -> problem key -> a score, or the scores of the problem's samples. Families weigh the
same, as everywhere in this package.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr
from scipy.stats import t

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.evaluate.resampling import column_estimates
from thinkling.evaluate.statistics import DRAWS, Estimate, Floats, wilson

Outcomes = Mapping[str, Mapping[str, "float | Sequence[float]"]]

ARRANGEMENTS = 10_000  # of signs, where they are drawn: p-values down to 1 in 10,001
_EXACT_SIGNS = 20  # 2^20 sums take a few milliseconds
_NOISE = 1e-12  # differences this small are rounding


@dataclass(frozen=True, slots=True)
class PValue:
    """A two-sided p-value and the ``test`` that it comes from."""

    value: float
    test: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """``difference`` = ``left`` - ``right`` over ``difference.n`` shared problems, with its interval.

    ``p`` is the raw two-sided p-value of ``test``; ``adjusted`` is Holm's over the family that it was computed in
    (``p`` itself for a comparison planned alone). ``wins`` counts the problems where ``left`` scores higher.
    """

    left: str
    right: str
    difference: Estimate
    p: float
    adjusted: float
    test: str
    wins: int
    losses: int
    ties: int


def mcnemar(wins: int, losses: int) -> float:
    """Two-sided exact p-value of McNemar's test (McNemar 1947): problems that both solve or both fail say nothing.

    Given wins + losses = m discordant problems, wins is Binomial(m, 1/2) if neither is better:
    p = min(1, 2 P(X <= min(wins, losses))). Without a discordant problem p = 1.
    """
    if wins < 0 or losses < 0:
        raise UserError(f"McNemar's test counts problems: expected wins and losses >= 0, came {wins} and {losses}")
    return min(1.0, 2.0 * float(bdtr(min(wins, losses), wins + losses, 0.5)))


def sign_flip(differences: Sequence[float] | Floats, *, seed: int = 0, arrangements: int = ARRANGEMENTS) -> PValue:
    """Two-sided permutation p-value of a sum of paired differences (Fisher 1935, "The Design of Experiments", 21).

    If the strategies' names were exchangeable in each problem, every difference could as well have the other sign:
    p = P(|sum of s_i d_i| >= |sum of d_i|) over random signs s. All 2^m arrangements are counted for up to 20
    nonzero differences; else ``arrangements`` are drawn and p = (1 + as extreme) / (1 + drawn), which is never 0
    (Phipson and Smyth 2010). On differences of -1, 0 and 1 the exact p is McNemar's.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise UserError("sign_flip expects a list of finite differences, one per problem")
    values = values[np.abs(values) > _NOISE]
    observed = abs(values.sum()) - 1e-9 * np.abs(values).sum()  # as extreme up to rounding is as extreme
    if values.size <= _EXACT_SIGNS:
        sums = np.zeros(1)
        for value in values[1:]:  # the first keeps its sign: the other half mirrors this one
            sums = np.concatenate([sums + value, sums - value])
        sums = sums + (values[0] if values.size else 0.0)
        return PValue(float(np.mean(np.abs(sums) >= observed)), "sign-flip, exact")
    extreme = int((np.abs(_flipped_sums(values, derive(seed, "sign flip"), arrangements)) >= observed).sum())
    return PValue((1 + extreme) / (1 + arrangements), f"sign-flip, {arrangements} drawn")


def _flipped_sums(values: Floats, seed: int, arrangements: int) -> Floats:
    """Sums under random signs. A random byte signs eight values at once, through a table of their 256 sums."""
    padded = np.zeros(-(-values.size // 8) * 8)
    padded[: values.size] = values
    signs = 1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    sums_of_byte = padded.reshape(-1, 8) @ signs.T
    drawn = np.random.default_rng(seed).integers(0, 256, (len(sums_of_byte), arrangements), dtype=np.uint8)
    total = np.zeros(arrangements)
    for table, byte in zip(sums_of_byte, drawn, strict=True):
        total += table[byte]
    return total


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given (Holm 1979).

    With p ascending, adjusted_i = max over j <= i of min(1, (m - j + 1) p_j): claim what is at most alpha, and the
    chance of any false claim among the m is at most alpha, however they depend on each other.
    """
    raw = np.asarray(p_values, dtype=np.float64)
    if not ((raw >= 0.0) & (raw <= 1.0)).all():
        raise UserError(f"expected p-values in [0, 1], came {list(p_values)}")
    order = np.argsort(raw, kind="stable")
    stepped = np.minimum(1.0, np.maximum.accumulate(raw[order] * (raw.size - np.arange(raw.size))))
    adjusted = np.empty_like(raw)
    adjusted[order] = stepped
    return [float(value) for value in adjusted]


def compare(
    results: Mapping[str, Outcomes],
    left: str,
    right: str,
    *,
    seed: int = 0,
    confidence: float = 0.95,
    draws: int = DRAWS,
) -> Comparison:
    """One planned comparison of two named strategies over the problems that both have.

    The interval is a paired bootstrap: problems are redrawn within their family. Where no difference varies (both
    right on the same problems, say) it cannot show any spread, and the interval is that of a share seen 0 times in
    n (Wilson), for outcomes in [0, 1]. McNemar's test is taken where all outcomes are 0 or 1 and families are
    of one size; otherwise signs are flipped on each problem's part in the mean over families.
    """
    return _compared(results, [(left, right)], seed, confidence, draws)[0]


def all_pairs(
    results: Mapping[str, Outcomes], *, seed: int = 0, confidence: float = 0.95, draws: int = DRAWS
) -> list[Comparison]:
    """Every pair of strategies in the order given, with p-values adjusted over all of these pairs.

    Each row is what ``compare`` says of the pair, but for ``adjusted``. The intervals are not adjusted: each holds
    by itself. Raises UserError where a pair has no problem in common.
    """
    rows = _compared(results, list(combinations(results, 2)), seed, confidence, draws)
    return [replace(row, adjusted=p) for row, p in zip(rows, holm([row.p for row in rows]), strict=True)]


@dataclass(frozen=True, slots=True)
class ClusteredMean:
    """A mean over all samples whose interval knows which problem each is of; ``estimate.n`` counts problems.

    ``naive_error`` is the standard error that one would state for independent samples.
    """

    estimate: Estimate
    standard_error: float
    naive_error: float
    samples: int

    @property
    def design_effect(self) -> float:
        """How many samples of these are worth one independent one; 1 where none varies."""
        return (self.standard_error / self.naive_error) ** 2 if self.naive_error else 1.0


def clustered_mean(samples: Mapping[str, Sequence[float]], confidence: float = 0.95) -> ClusteredMean:
    """Mean of scores with a standard error that is robust to clusters (problem key -> scores of its samples).

    SE^2 = s^2 / n + sum over clusters c, i in c, j in c, j != i of (x_i - mean)(x_j - mean) / n^2 (Miller 2024,
    "Adding Error Bars to Evals", arXiv:2411.00640, section 2.2). The interval is Student's with (clusters - 1)
    degrees of freedom; below some 30 clusters it is still too narrow. Raises UserError for fewer than two.
    """
    if len(samples) < 2 or not all(len(scores) for scores in samples.values()):
        raise UserError(f"a clustered error needs two problems or more, each with a sample; came {len(samples)}")
    sizes = np.array([len(scores) for scores in samples.values()])
    values = np.concatenate([np.asarray(scores, dtype=np.float64) for scores in samples.values()])
    if not np.isfinite(values).all():
        raise UserError("clustered_mean expects finite scores; leave unscored samples out")
    apart = values - values.mean()
    sums = np.add.reduceat(apart, np.cumsum(sizes) - sizes)
    naive = apart @ apart / (values.size - 1) / values.size
    error = math.sqrt(naive + (sums @ sums - apart @ apart) / values.size**2)
    half = float(t.ppf((1 + confidence) / 2, len(samples) - 1)) * error
    mean = float(values.mean())
    return ClusteredMean(Estimate(mean, mean - half, mean + half, len(samples)), error, math.sqrt(naive), values.size)


@dataclass(frozen=True, slots=True)
class _Paired:
    """Differences per family, in order of keys, and what of the outcomes decides how they are tested."""

    keys: tuple[tuple[str, tuple[str, ...]], ...]
    differences: dict[str, Floats]
    binary: bool
    in_unit: bool


def _compared(
    results: Mapping[str, Outcomes], pairs: Sequence[tuple[str, str]], seed: int, confidence: float, draws: int
) -> list[Comparison]:
    unknown = sorted({name for pair in pairs for name in pair} - set(results))
    if unknown:
        raise UserError(f"no results of {', '.join(unknown)}; there are {', '.join(results)}")
    means = {name: _means(results[name], name) for name in dict.fromkeys(name for pair in pairs for name in pair)}
    paired = [_paired(means, left, right) for left, right in pairs]
    # Pairs about the same problems are resampled together: one draw of problems serves all their columns.
    alike: dict[object, list[int]] = {}
    for at, pair in enumerate(paired):
        alike.setdefault(pair.keys, []).append(at)
    estimates: dict[int, Estimate] = {}
    for places in alike.values():
        families = paired[places[0]].differences
        columns = {f: np.stack([paired[at].differences[f] for at in places], axis=1) for f in families}
        made = column_estimates(columns, seed=seed, confidence=confidence, draws=draws)
        estimates.update(zip(places, made, strict=True))
    return [
        _row(left, right, pair, _widened(estimates[at], pair, confidence), seed)
        for at, ((left, right), pair) in enumerate(zip(pairs, paired, strict=True))
    ]


def _row(left: str, right: str, pair: _Paired, difference: Estimate, seed: int) -> Comparison:
    values = np.concatenate(list(pair.differences.values()))
    wins, losses = int((values > 0).sum()), int((values < 0).sum())
    if pair.binary and len({part.size for part in pair.differences.values()}) == 1:
        p = PValue(mcnemar(wins, losses), "McNemar, exact")
    else:
        p = sign_flip(np.concatenate([part / part.size for part in pair.differences.values()]), seed=seed)
    return Comparison(left, right, difference, p.value, p.value, p.test, wins, losses, values.size - wins - losses)


def _widened(estimate: Estimate, pair: _Paired, confidence: float) -> Estimate:
    """The interval of differences that are all the same, from how many problems might still differ unseen."""
    if not pair.in_unit or any(np.ptp(part) > _NOISE for part in pair.differences.values()):
        return estimate
    unseen = wilson(0, estimate.n, confidence).high
    low, high = estimate.value - unseen * (1 + estimate.value), estimate.value + unseen * (1 - estimate.value)
    return replace(estimate, low=low, high=high)


def _paired(means: Mapping[str, dict[str, dict[str, float]]], left: str, right: str) -> _Paired:
    keys, differences, seen = [], {}, []
    for family in sorted(set(means[left]) & set(means[right])):
        shared = tuple(sorted(set(means[left][family]) & set(means[right][family])))
        if shared:
            sides = np.array([[means[name][family][key] for key in shared] for name in (left, right)])
            difference = sides[0] - sides[1]
            differences[family] = np.where(np.abs(difference) > _NOISE, difference, 0.0)
            keys.append((family, shared))
            seen.append(sides.ravel())
    if not seen:
        raise UserError(f"{left} and {right} have no problem in common; compare strategies on the same problems")
    flat: NDArray[np.float64] = np.concatenate(seen)
    binary = bool(np.isin(flat, (0.0, 1.0)).all())
    return _Paired(tuple(keys), differences, binary, bool(((flat >= 0.0) & (flat <= 1.0)).all()))


def _means(outcomes: Outcomes, name: str) -> dict[str, dict[str, float]]:
    """One number per problem. Raises UserError where a problem has no sample, or one that is no number."""
    made: dict[str, dict[str, float]] = {}
    for family, problems in outcomes.items():
        made[family] = {}
        for key, value in problems.items():
            scores = (value,) if isinstance(value, (int, float)) else value
            mean = math.fsum(scores) / len(scores) if len(scores) else math.nan
            if not math.isfinite(mean):
                raise UserError(f"{name}: problem {key} of {family} has no finite score; leave unscored problems out")
            made[family][key] = mean
    return made
