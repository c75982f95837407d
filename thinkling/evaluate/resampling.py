"""One resample for many numbers: the mean of every column over the same redrawn problems.

A curve over k, the points of a frontier or the bins of a calibration plot are all means over one set of problems.
Drawing the problems once for all of them is faster than a bootstrap each, and keeps the columns paired: what is
computed from several means (a ratio, a sum of gaps) has its interval from resamples in which they belong together.

Shapes: P problems, K columns, N draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.evaluate.statistics import DRAWS, Estimate, Floats

_CHUNK = 1 << 21  # drawn indices held at a time: 16 MiB of them


def resampled_means(strata: Mapping[str, Floats], *, seed: int, draws: int = DRAWS) -> Floats:
    """Mean over strata of column means in ``draws`` resamples of the problems within each stratum; [N, K].

    ``strata`` maps a family to its values, [P, K] with the K columns alike in all. Which problems are drawn
    depends on the seed, the family's name and its P alone, so two calls about the same problems are paired.
    Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 6. Raises UserError on bad shapes.
    """
    tables = _tables(strata)
    width = next(iter(tables.values())).shape[1]
    total = np.zeros((draws, width))
    for family, values_PK in tables.items():
        problems = len(values_PK)
        step = max(1, _CHUNK // problems)
        for start in range(0, draws, step):
            rows = min(step, draws - start)
            counts_NP = _drawn_counts(derive(seed, "resampled means", family, start), problems, rows)
            total[start : start + rows] += counts_NP.astype(np.float64) @ values_PK / problems
    return total / len(tables)


def column_estimates(
    strata: Mapping[str, Floats], *, seed: int = 0, confidence: float = 0.95, draws: int = DRAWS
) -> list[Estimate]:
    """One ``Estimate`` per column: the mean over families of its mean, with a percentile bootstrap interval.

    The intervals hold for each column by itself, not for a whole curve at once.
    """
    tables = _tables(strata)
    value_K = np.mean([values.mean(axis=0) for values in tables.values()], axis=0)
    tail = (1 - confidence) / 2
    low_K, high_K = np.quantile(resampled_means(tables, seed=seed, draws=draws), [tail, 1 - tail], axis=0)
    n = sum(len(values) for values in tables.values())
    return [Estimate(float(v), float(low), float(high), n) for v, low, high in zip(value_K, low_K, high_K, strict=True)]


@lru_cache(maxsize=8)
def _drawn_counts(seed: int, problems: int, rows: int) -> NDArray[np.uint16]:
    """How often each problem is drawn in each resample. Kept, since many numbers are asked about the same problems."""
    drawn = np.random.default_rng(seed).integers(0, problems, size=(rows, problems))
    drawn += np.arange(rows)[:, None] * problems
    counts = np.bincount(drawn.ravel(), minlength=rows * problems).reshape(rows, problems)
    return counts.astype(np.uint16)


def _tables(strata: Mapping[str, Floats]) -> dict[str, Floats]:
    tables = {family: np.asarray(values, dtype=np.float64) for family, values in sorted(strata.items())}
    if not tables:
        raise UserError("expected at least one family of problems, came none; nothing can be resampled")
    widths = {values.shape[1:] for values in tables.values()}
    for family, values in tables.items():
        if values.ndim != 2 or 0 in values.shape or len(widths) > 1 or not np.isfinite(values).all():
            raise UserError(
                f"expected finite values of shape [problems, columns], columns alike in all families; "
                f"came {values.shape} in {family!r}; leave out problems without a value in every column"
            )
    return tables
