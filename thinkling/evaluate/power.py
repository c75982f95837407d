"""Before a run: how small a difference can n problems show, and how many problems does a difference need?

For two strategies asked the same yes-or-no problems and compared by the exact McNemar test. What decides is the
discordance, the share of problems that only one of the two solves: problems that both solve or both fail say
nothing. Measure it in an earlier run (wins + losses over n), or assume both accuracies and their correlation.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom, norm

from thinkling.core.errors import UserError

ALPHA, POWER = 0.05, 0.8
_IGNORED = 1e-12  # probability of numbers of discordant problems that are left out
_STEP = 1e-6  # to which a difference is found; rounded up


def discordance_of(left: float, right: float, correlation: float) -> float:
    """Share of problems that only one of two strategies solves, from their accuracies and correlation (phi).

    left (1 - right) + right (1 - left) - 2 phi sqrt(left (1 - left) right (1 - right)). Raises UserError where two
    such accuracies cannot have that correlation.
    """
    if not (0 <= left <= 1 and 0 <= right <= 1 and -1 <= correlation <= 1):
        raise UserError(f"expected two accuracies in [0, 1] and a correlation; came {left}, {right}, {correlation}")
    shared = correlation * math.sqrt(left * (1 - left) * right * (1 - right))
    only_left, only_right = left * (1 - right) - shared, right * (1 - left) - shared
    both, neither = left * right + shared, (1 - left) * (1 - right) + shared
    if min(only_left, only_right, both, neither) < -1e-12:
        raise UserError(
            f"accuracies of {left} and {right} cannot correlate by {correlation}: "
            f"some of the four kinds of problems would be fewer than none; choose a correlation nearer to 0"
        )
    return max(0.0, only_left) + max(0.0, only_right)


def mcnemar_power(n: int, difference: float, discordance: float, alpha: float = ALPHA) -> float:
    """Probability that the exact McNemar test on ``n`` problems gives p <= ``alpha``.

    sum over m of Bin(m; n, discordance) * P(rejected | wins ~ Binomial(m, (1 + difference / discordance) / 2)),
    without a normal approximation (Duffy 1984, "Asymptotic and Exact Power for the McNemar Test and its Analogue
    with R Controls per Case").
    """
    _check(difference, discordance, alpha)
    if n < 1:
        raise UserError(f"expected at least one problem, came n={n}")
    low, high = binom.ppf(_IGNORED, n, discordance), binom.isf(_IGNORED, n, discordance)
    m = np.arange(max(1, int(low)), int(high) + 1)
    # Rejected where min(wins, losses) <= the largest count whose lower tail is at most alpha / 2.
    critical = binom.ppf(alpha / 2, m, 0.5)
    critical = critical - (binom.cdf(critical, m, 0.5) > alpha / 2)
    better = (1 + difference / discordance) / 2
    rejected = binom.cdf(critical, m, better) + binom.sf(m - critical - 1, m, better)
    return float(binom.pmf(m, n, discordance) @ rejected)


def connor_problems(difference: float, discordance: float, *, power: float = POWER, alpha: float = ALPHA) -> int:
    """Problems needed by the textbook's formula, which the exact test exceeds somewhat where n is small.

    n = [z_(1-alpha/2) sqrt(psi) + z_power sqrt(psi - delta^2)]^2 / delta^2 for a discordance psi and a difference
    delta (Connor 1987, "Sample Size for Testing Differences in Proportions for the Paired-Sample Design").
    """
    _check(difference, discordance, alpha, power)
    if difference == 0:
        raise UserError("no number of problems shows a difference of 0; state the smallest one worth finding")
    z_alpha, z_power = norm.isf(alpha / 2), norm.ppf(power)
    root = z_alpha * math.sqrt(discordance) + z_power * math.sqrt(discordance - difference**2)
    return math.ceil((root / difference) ** 2)


def problems_needed(difference: float, discordance: float, *, power: float = POWER, alpha: float = ALPHA) -> int:
    """Problems needed to show an accuracy ``difference`` with probability ``power`` at two-sided ``alpha``.

    The n at which ``mcnemar_power`` first reaches ``power``, found by bisection around Connor's: an exact test's
    power moves in small steps, so that a slightly smaller n may reach it by luck of the steps.
    """
    enough = connor_problems(difference, discordance, power=power, alpha=alpha)
    while mcnemar_power(enough, difference, discordance, alpha) < power:
        enough += max(1, enough // 10)
    few = 0
    while enough - few > 1:
        middle = (few + enough) // 2
        if mcnemar_power(middle, difference, discordance, alpha) >= power:
            enough = middle
        else:
            few = middle
    return enough


def detectable_difference(n: int, discordance: float, *, power: float = POWER, alpha: float = ALPHA) -> float:
    """The smallest accuracy difference that ``n`` problems show with probability ``power`` at two-sided ``alpha``.

    A difference cannot exceed the discordance: raises UserError where even that would not be shown, with the
    number of problems that it takes.
    """
    _check(discordance, discordance, alpha, power)
    if mcnemar_power(n, discordance, discordance, alpha) < power:
        least = problems_needed(discordance, discordance, power=power, alpha=alpha)
        raise UserError(
            f"{n} problems of which two strategies differ on {discordance:.1%} cannot show any difference with power "
            f"{power:.0%} at alpha {alpha}: ask at least {least}"
        )

    def surplus(difference: float) -> float:
        return mcnemar_power(n, difference, discordance, alpha) - power

    return min(discordance, float(brentq(surplus, 0.0, discordance, xtol=_STEP)) + _STEP)


def _check(difference: float, discordance: float, alpha: float, power: float = POWER) -> None:
    if not (0 < discordance <= 1 and 0 <= difference <= discordance):
        raise UserError(
            f"expected 0 <= difference <= discordance <= 1 (a difference is at most the share of problems on which "
            f"the two differ); came a difference of {difference} and a discordance of {discordance}"
        )
    if not (0 < alpha < 1 and alpha < power < 1):
        raise UserError(f"expected 0 < alpha < power < 1, came alpha={alpha} and power={power}")
