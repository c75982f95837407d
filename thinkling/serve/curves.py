"""Curves from a run log: each row's numbers, by name, over its step.

Rows are JSON lines (`thinkling.core.runlog`). Numbers in nested objects get dotted names, ``held_out.chain``; of an
estimate with its interval, the value is told; what is not finite becomes a gap (None). A line that is still being
written does not count yet.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MOST_POINTS = 2_000  # of a series, when a log is read from its beginning
MOST_LINES = 20_000  # in one answer, when it is read on
MOST_BYTES = 2**24  # of a line; what is longer is no log
MOST_SERIES = 200
MOST_LETTERS = 100  # in a series' name
DEEPEST = 4  # levels of nested objects
ESTIMATE = {"value", "low", "high"}

Point = tuple[float, float | None]


@dataclass(slots=True)
class Curves:
    """``next``: the line to go on from. ``reset``: this is the log from its beginning, not what was new."""

    next: int
    reset: bool
    series: dict[str, list[Point]]


def read_curves(file: BinaryIO, after: int) -> Curves:
    """The rows from line ``after`` on (0: the first).

    From the beginning on, all are read, and each series thinned to at most 2,000 points that keep its extremes and
    gaps. Later ones are given exactly, at most 20,000 lines of them at once. A log that has become shorter than
    ``after`` (training went back to a checkpoint) is read from its beginning.
    """
    line = 0
    while line < after and file.readline(MOST_BYTES).endswith(b"\n"):
        line += 1
    reset = line < after or after == 0
    if line < after:
        file.seek(0)
        line = 0
    series: dict[str, _Series] = {}
    first = line
    while (reset or line - first < MOST_LINES) and (raw := file.readline(MOST_BYTES)).endswith(b"\n"):
        line += 1
        for name, point in _points(raw):
            if name not in series and len(series) == MOST_SERIES:
                continue
            series.setdefault(name, _Series(MOST_POINTS if reset else MOST_LINES + 2)).add(point)
    return Curves(line, reset, {name: made.points() for name, made in series.items()})


def _points(raw: bytes) -> Iterator[tuple[str, Point]]:
    """The numbers of a row with its step; nothing for a row without one, or a line that is no row."""
    try:
        row = json.loads(raw)
    except (ValueError, RecursionError):
        return
    step = _number(row.get("step")) if isinstance(row, dict) else None
    if step is None:
        return
    del row["step"]
    for name, value in _numbers(row, "", DEEPEST):
        yield name, (step, _number(value))


def _numbers(row: dict[str, Any], above: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        name = above + key
        if len(name) > MOST_LETTERS:
            continue
        if isinstance(value, dict) and value.keys() >= ESTIMATE:
            value = value["value"]
        if isinstance(value, dict) and depth > 1:
            yield from _numbers(value, f"{name}.", depth - 1)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, value


def _number(value: Any) -> float | None:
    """A finite number as JSON and JavaScript have it, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    try:
        value = float(value)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


Numbered = tuple[int, Point]


def _joined(left: list[Numbered], right: list[Numbered]) -> list[Numbered]:
    """Of two neighbouring buckets' points: the lowest, the highest, and a gap if there is one."""
    points = left + right
    gap = next((point for point in points if point[1][1] is None), None)
    values = [(point[1][1], point) for point in points if point[1][1] is not None]
    kept = [min(values)[1], max(values)[1]] if values else []
    return sorted({*kept, *([gap] if gap is not None else [])})


@dataclass(slots=True)
class _Series:
    """Points as they come, at most ``most`` of them: beyond that, ever more neighbours share a bucket.

    All buckets but the last stand for equally many points (``width``), so the curve is as fine at its end as at its
    beginning.
    """

    most: int
    buckets: list[list[Numbered]] = field(default_factory=list)
    width: int = 1
    count: int = 0
    held: int = 0
    ends: list[Numbered] = field(default_factory=list)

    def add(self, point: Point) -> None:
        numbered = (self.count, point)
        if self.count % self.width:
            before = self.buckets[-1]
            self.buckets[-1] = _joined(before, [numbered])
            self.held += len(self.buckets[-1]) - len(before)
        else:
            self.buckets.append([numbered])
            self.held += 1
        self.ends = [*self.ends[:1], numbered]
        self.count += 1
        while self.held > self.most - 2:  # the first and the last are kept besides
            self._merge()

    def points(self) -> list[Point]:
        """In the order in which they came."""
        return [point for _, point in sorted({*self.ends, *(each for bucket in self.buckets for each in bucket)})]

    def _merge(self) -> None:
        """Two neighbours into one."""
        pairs = zip(self.buckets[::2], [*self.buckets[1::2], []], strict=False)
        self.buckets = [_joined(left, right) for left, right in pairs]
        self.width *= 2
        self.held = sum(map(len, self.buckets))
