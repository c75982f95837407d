"""Does confidence tell right from wrong? Agreement among samples, or any other confidence, against correctness.

Calibration asks whether answers given with 80% confidence are right 80% of the time; selection asks whether the
confident answers are the right ones, so that it pays to answer only those. A measure can do one without the other.
One point per problem: its confidence and whether its answer is right (or the expectation, where a vote was tied).

Shapes: P problems, B bins, N resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thinkling.core.errors import UserError
from thinkling.evaluate.resampling import resampled_means
from thinkling.evaluate.statistics import DRAWS, Estimate, Floats, bootstrap, share_of_means, wilson

Binning = Literal["width", "mass"]
NEARLY_ALWAYS = 0.95


@dataclass(frozen=True, slots=True)
class Bin:
    """Problems with a confidence in (``low``, ``high``] (the first bin holds its lower end too)."""

    low: float
    high: float
    confidence: float
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """Error rate (``risk``) when only the most confident share (``coverage``) is answered; both run over 1..P answers.

    ``aurc`` is the mean of ``risk``: 0 is perfect, the overall error rate is what a useless confidence gets.
    """

    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    aurc: float


@dataclass(frozen=True, slots=True)
class Above:
    """The problems with a confidence above ``threshold``: how right they are and what share they make.

    ``accuracy`` is None where there is no such problem.
    """

    threshold: float
    accuracy: Estimate | None
    coverage: Estimate
    n: int


@dataclass(frozen=True, slots=True)
class NearlyAlways:
    """Whether answers above a confidence are nearly always right, with the sentence that says so."""

    verdict: Literal["holds", "fails", "undecided"]
    threshold: float
    accuracy: Estimate | None
    coverage: Estimate
    n: int
    sentence: str


def reliability(
    confidence: Sequence[float], correct: Sequence[float], *, bins: int = 10, equal: Binning = "width"
) -> list[Bin]:
    """The reliability diagram: accuracy with Wilson's interval against mean confidence, per nonempty bin.

    ``equal`` "width" cuts [0, 1] into ``bins`` equal parts (DeGroot and Fienberg 1983; Guo et al. 2017,
    arXiv:1706.04599); "mass" cuts at quantiles, so that bins hold about as many problems each (Nguyen
    and O'Connor 2015, arXiv:1508.05154); equal confidences are never parted, so there may be fewer bins.
    """
    sure_P, right_P = _points(confidence, correct)
    edges = _edges(sure_P, bins, equal)
    bin_P = _bin_of(sure_P, edges)
    made = []
    for b in range(len(edges) - 1):
        here = bin_P == b
        if here.any():
            accuracy = share_of_means({"bin": float(right_P[here].mean())}, {"bin": int(here.sum())})
            made.append(Bin(float(edges[b]), float(edges[b + 1]), float(sure_P[here].mean()), accuracy))
    return made


def calibration_error(
    confidence: Sequence[float],
    correct: Sequence[float],
    *,
    bins: int = 10,
    equal: Binning = "width",
    seed: int = 0,
    level: float = 0.95,
    draws: int = DRAWS,
) -> Estimate:
    """Expected calibration error, sum over bins of (n_b / n) |accuracy_b - confidence_b|, with an interval.

    Naeini et al. 2015; Guo et al. 2017, arXiv:1706.04599, equation 3. Noise alone opens gaps, so the value is
    overstated, most where the truth is near 0, and a percentile interval would never reach down to it. The lower end
    is therefore the value less the high quantile of sum |gap_b* - gap_b| over resamples: by the triangle inequality
    noise reaches further only that rarely. The upper end is the resamples' own quantile. Both err to the wide side.
    """
    sure_P, right_P = _points(confidence, correct)
    bin_P = _bin_of(sure_P, _edges(sure_P, bins, equal))
    gap_PB = np.zeros((sure_P.size, bin_P.max() + 1))
    gap_PB[np.arange(sure_P.size), bin_P] = right_P - sure_P
    value = float(np.abs(gap_PB.mean(axis=0)).sum())
    redrawn_NB = resampled_means({"calibration": gap_PB}, seed=seed, draws=draws)
    noise = np.quantile(np.abs(redrawn_NB - gap_PB.mean(axis=0)).sum(axis=1), (1 + level) / 2)
    high = np.quantile(np.abs(redrawn_NB).sum(axis=1), (1 + level) / 2)
    return Estimate(value, max(0.0, value - float(noise)), max(value, float(high)), sure_P.size)


def brier(confidence: Sequence[float], correct: Sequence[float], *, seed: int = 0) -> Estimate:
    """Mean of (confidence - correct)^2 (Brier 1950), bootstrapped; 0 is perfect, always saying 1/2 gets 1/4."""
    sure_P, right_P = _points(confidence, correct)
    return bootstrap({"brier": [float(value) for value in (sure_P - right_P) ** 2]}, seed=seed)


def risk_coverage(confidence: Sequence[float], correct: Sequence[float]) -> RiskCoverage:
    """The risk-coverage curve and its area (Geifman, Uziel and El-Yaniv 2019, arXiv:1805.08206).

    risk_i = 1 - mean correctness of the i most confident, i = 1..P; aurc = mean of risk_i. Problems of equal
    confidence come in random order, in expectation: each counts as their mean.
    """
    sure_P, right_P = _points(confidence, correct)
    levels, group_P = np.unique(-sure_P, return_inverse=True)
    size = np.bincount(group_P, minlength=levels.size)
    mean = np.bincount(group_P, right_P) / size
    answered = np.arange(1, sure_P.size + 1)
    risk = 1.0 - np.cumsum(np.repeat(mean, size)) / answered
    risk = np.clip(risk, 0.0, 1.0)
    return RiskCoverage(tuple((answered / sure_P.size).tolist()), tuple(risk.tolist()), float(risk.mean()))


def above(confidence: Sequence[float], correct: Sequence[float], threshold: float) -> Above:
    """Accuracy and coverage of the problems with a confidence strictly above ``threshold``, by Wilson's interval.

    Of expected correctness (ties) the interval is that of the nearest number of right answers.
    """
    sure_P, right_P = _points(confidence, correct)
    chosen = right_P[sure_P > threshold]
    n = int(chosen.size)
    accuracy = share_of_means({"above": float(chosen.mean())}, {"above": n}) if n else None
    return Above(threshold, accuracy, wilson(n, sure_P.size), n)


def nearly_always_right(
    confidence: Sequence[float], correct: Sequence[float], *, threshold: float = 0.8, least: float = NEARLY_ALWAYS
) -> NearlyAlways:
    """The claim "above 80% agreement, nearly always right", judged by the interval rather than the number.

    "holds": the interval's lower end is at least ``least``; "fails": its upper end is below; else "undecided",
    as with few problems: even if all are right, it takes 73 of them for a lower end of 0.95.
    """
    found = above(confidence, correct, threshold)
    accuracy = found.accuracy
    if accuracy is None:
        sentence = f"Undecided: none of {found.coverage.n} problems has a confidence above {threshold:.0%}."
        return NearlyAlways("undecided", threshold, None, found.coverage, 0, sentence)
    verdict: Literal["holds", "fails", "undecided"] = "undecided"
    if accuracy.low >= least:
        verdict, meaning = "holds", f"at least {least:.0%} even at the lower end"
    elif accuracy.high < least:
        verdict, meaning = "fails", f"below {least:.0%} even at the upper end"
    else:
        meaning = f"{least:.0%} lies inside, so more problems are needed to tell"
    sentence = (
        f"{verdict.capitalize()}: above {threshold:.0%} confidence, {accuracy.value:.1%} of {found.n} answers "
        f"are right (95% interval {accuracy.low:.1%} to {accuracy.high:.1%}: {meaning}); "
        f"that is {found.coverage.value:.1%} of all {found.coverage.n} problems."
    )
    return NearlyAlways(verdict, threshold, accuracy, found.coverage, found.n, sentence)


def _edges(sure_P: Floats, bins: int, equal: Binning) -> Floats:
    if bins < 1 or equal not in ("width", "mass"):
        raise UserError(f"expected bins >= 1 of equal 'width' or 'mass'; came bins={bins}, equal={equal!r}")
    if equal == "width":
        return np.arange(bins + 1) / bins
    inner = np.quantile(sure_P, np.arange(1, bins) / bins, method="inverted_cdf")
    return np.unique(np.concatenate([[0.0], inner, [1.0]]))


def _bin_of(sure_P: Floats, edges: Floats) -> NDArray[np.int64]:
    """Bin b holds edges[b] < confidence <= edges[b+1]; the first holds 0 too."""
    return np.maximum(np.searchsorted(edges, sure_P, side="left") - 1, 0)


def _points(confidence: Sequence[float], correct: Sequence[float]) -> tuple[Floats, Floats]:
    sure_P, right_P = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if sure_P.ndim != 1 or sure_P.shape != right_P.shape or sure_P.size == 0:
        raise UserError(
            f"expected one confidence and one correctness per problem; came {sure_P.size} and {right_P.size}"
        )
    for name, values in (("confidence", sure_P), ("correctness", right_P)):
        if not ((values >= 0.0) & (values <= 1.0)).all():
            raise UserError(f"every {name} must lie in [0, 1]; came values from {values.min()} to {values.max()}")
    return sure_P, right_P
