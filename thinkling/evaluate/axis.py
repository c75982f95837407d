"""Axes and numbers for charts: where a value lies, where the ticks are, how a number is written."""

from __future__ import annotations

import math
from dataclasses import dataclass

from thinkling.evaluate.statistics import Estimate


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of values laid on a range of pixels, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        value = math.log(value) if self.log else value
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Round numbers (1, 2 or 5 times a power of ten) inside the range; on a log axis 1, 3, 10, ..."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            marks = [step * 10.0**power for power in powers for step in (1, 3)]
            return [mark for mark in marks if self.low <= mark <= self.high]
        step = nice_step((self.high - self.low) / count)
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def nice_step(rough: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least ``rough``."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= rough * (1 - 1e-9))


def number(value: float, percent: bool = False) -> str:
    """A number for people: 3 significant digits, thousands with commas, shares as percent."""
    if percent:
        digits = f"{value * 100:.1f}"
        return f"{digits.removesuffix('.0')}%"
    if value == 0:
        return "0"
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g}M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:.3g}k"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def interval(estimate: Estimate, percent: bool = False) -> str:
    """``61.2% [58.0, 64.3]``."""
    scale, unit = (100, "%") if percent else (1, "")
    return f"{estimate.value * scale:.1f}{unit} [{estimate.low * scale:.1f}, {estimate.high * scale:.1f}]"


def change(estimate: Estimate, percent: bool = False) -> str:
    """A difference: ``+3.1 [+2.0, +4.2]``, with ``pt`` (percentage points) after that of two shares."""
    scale, unit = (100, " pt") if percent else (1, "")
    low, high = (f"{bound * scale:+.1f}" for bound in (estimate.low, estimate.high))
    return f"{estimate.value * scale:+.1f}{unit} [{low}, {high}]".replace("-", "\u2212")


def rounded_up(value: float) -> float:
    """The upper end of an axis from 0 that holds ``value``."""
    if value <= 0:
        return 1.0
    step = nice_step(value / 5)
    return math.ceil(value / step - 1e-9) * step
