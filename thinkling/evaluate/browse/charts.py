"""Charts of an evaluation: points with intervals in both directions, curves with bands, rows of dots and lines.

As in ``plots.py``: inline SVG by hand, colors as CSS variables, tooltips as SVG ``<title>``, numbers beside the
picture. Unlike there, a chart's axes need not begin at 0: a dot with its interval says nothing by its height.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from thinkling.evaluate.axis import Axis, nice_step, number
from thinkling.evaluate.statistics import Estimate

LEFT, RIGHT, TOP, BOTTOM = 58, 20, 14, 46
LETTER = 6.4  # mean width of a letter of a label
CELL_EDGE = 20  # pixels beside a table's interval, for half of the outermost tick's text
COLORS = 10  # --s0 to --s9; a strategy beyond them shares one, with a broken line


@dataclass(frozen=True, slots=True)
class Mark:
    """A point with its interval upwards, and sideways where ``x`` has one too. ``tip`` is its tooltip."""

    x: Estimate
    y: Estimate
    tip: str


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one color. ``whiskers`` draws their intervals, ``joined`` a curve through them, ``band`` one around it.

    ``ringed`` points stand out, ``label`` is written beside the last one.
    """

    name: str
    color: int
    marks: Sequence[Mark]
    whiskers: bool = False
    joined: bool = False
    band: bool = False
    ringed: bool = False
    label: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """What an axis shows: label, ends and ticks (None: as the points ask), whether it is logarithmic, in percent."""

    label: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    percent: bool = False
    ticks: Sequence[float] | None = None

    def axis(self, values: Sequence[float], start: float, end: float) -> Axis:
        """The axis that holds all values, from a round number to a round number."""
        low, high = min(values), max(values)
        if self.log:
            low, high = _round_down(low), 1 / _round_down(1 / high)
            return Axis(low, high if high > low else low * 3, start, end, log=True)
        if high - low <= 1e-9 * max(1.0, abs(high)):
            low, high = low - 0.05, high + 0.05
        step = nice_step((high - low) / 5)
        low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
        if self.percent:
            low, high = max(0.0, low), min(1.0, high)
        return Axis(low if self.low is None else self.low, high if self.high is None else self.high, start, end)


def color(place: int) -> str:
    """The CSS color of the strategy at ``place``."""
    return f"var(--s{place % COLORS})"


def xy_chart(
    title: str,
    series: Sequence[Series],
    x: Scale,
    y: Scale,
    *,
    size: tuple[int, int] = (480, 320),
    diagonal: bool = False,
    legend: bool = True,
    note: str = "",
    numbers: str = "",
) -> str:
    """Points and curves over two numbers, as a ``<figure>``; ``numbers`` is the table of the same."""
    width, height = size
    marks = [mark for one in series for mark in one.marks]
    x_axis = x.axis([end for mark in marks for end in (mark.x.low, mark.x.high)], LEFT, width - RIGHT)
    y_axis = y.axis([end for mark in marks for end in (mark.y.low, mark.y.high)], height - BOTTOM, TOP)
    body = [_grid(x_axis, y_axis, x, y, width, height)]
    if diagonal:
        body.append(f'<path class="ideal" d="M{_at(x_axis, y_axis, 0, 0)}L{_at(x_axis, y_axis, 1, 1)}"/>')
    body += [_under(one, x_axis, y_axis) for one in series]
    body += [_over(one, x_axis, y_axis) for one in series]
    body += _labels([one for one in series if one.label], marks, x_axis, y_axis, width)
    return figure(title, "".join(body), size, _legend(series) if legend else "", note, numbers)


def figure(title: str, body: str, size: tuple[int, int], legend: str = "", note: str = "", numbers: str = "") -> str:
    """A card with heading, legend, picture, a remark and the numbers."""
    width, height = size
    kind = "chart wide" if width > 600 else "chart"
    text = f'<p class="note">{escape(note)}</p>' if note else ""
    table = f"<details><summary>Numbers</summary>{numbers}</details>" if numbers else ""
    return (
        f'<figure class="{kind}"><figcaption>{escape(title)}</figcaption>{legend}<div class="scroll">'
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{body}</svg></div>'
        f"{text}{table}</figure>"
    )


def dot_and_line(estimate: Estimate, axis: Axis, place: int | None, tip: str, zero: bool = False) -> str:
    """An interval as a picture for a table's cell, on an axis that all rows share."""
    low, high, at = axis.at(estimate.low), axis.at(estimate.high), axis.at(estimate.value)
    paint = color(place) if place is not None else "var(--ink)"
    rule = f'<path class="zero" d="M{axis.at(0.0):.1f} 0V20"/>' if zero else ""
    return (
        f'<svg class="interval" viewBox="{_cell_box(axis, 20)}" role="img" '
        f'aria-label="{escape(tip)}"><title>{escape(tip)}</title>{rule}'
        f'<path class="span" d="M{low:.1f} 10H{high:.1f}" style="stroke:{paint}"/>'
        f'<circle cx="{at:.1f}" cy="10" r="4" style="fill:{paint}"/></svg>'
    )


def axis_of_cells(axis: Axis, percent: bool = True, signed: bool = False) -> str:
    """The ticks above a column of ``dot_and_line``."""
    parts = []
    for tick in axis.ticks(4):
        text = f"{100 * tick:+.0f}".replace("-", "−").replace("+0", "0") if signed else number(tick, percent)
        parts.append(f'<text class="tick" x="{axis.at(tick):.1f}" y="13" text-anchor="middle">{escape(text)}</text>')
    return f'<svg class="interval" viewBox="{_cell_box(axis, 18)}" aria-hidden="true">{"".join(parts)}</svg>'


def _cell_box(axis: Axis, height: int) -> str:
    return f"{axis.start - CELL_EDGE:g} 0 {axis.end - axis.start + 2 * CELL_EDGE:g} {height}"


def _round_down(value: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is at most ``value``."""
    power = 10.0 ** math.floor(math.log10(value) + 1e-12)
    return max(step * power for step in (1, 2, 5) if step * power <= value * (1 + 1e-9) or step == 1)


def _log_ticks(axis: Axis) -> list[float]:
    """1, 2, 5, 10, ... where these are few, else 1, 3, 10, ..., else powers of ten."""
    powers = range(math.floor(math.log10(axis.low) - 1e-9), math.ceil(math.log10(axis.high) + 1e-9) + 1)
    for steps in ((1, 2, 5), (1, 3)):
        made = [step * 10.0**power for power in powers for step in steps]
        made = [mark for mark in made if axis.low * (1 - 1e-9) <= mark <= axis.high * (1 + 1e-9)]
        if len(made) <= 8:
            return made
    return [10.0**power for power in powers if axis.low * (1 - 1e-9) <= 10.0**power <= axis.high * (1 + 1e-9)]


def _grid(x_axis: Axis, y_axis: Axis, x: Scale, y: Scale, width: int, height: int) -> str:
    base, parts = height - BOTTOM, []
    for tick in y_axis.ticks():
        at = y_axis.at(tick)
        parts.append(f'<path class="rule" d="M{LEFT} {at:.1f}H{width - RIGHT}"/>')
        parts.append(_text("tick", LEFT - 8, at + 4, number(tick, y.percent), "end"))
    for tick in _log_ticks(x_axis) if x.log else x.ticks or x_axis.ticks():
        at = x_axis.at(tick)
        parts.append(f'<path class="rule" d="M{at:.1f} {base}v5"/>')
        parts.append(_text("tick", at, base + 19, number(tick, x.percent)))
    parts.append(_text("label", (LEFT + width - RIGHT) / 2, height - 6, x.label))
    turned = f'transform="translate(13 {(base + TOP) / 2:.0f}) rotate(-90)"'
    parts.append(f'<text class="label" {turned} text-anchor="middle">{escape(y.label)}</text>')
    return "".join(parts)


def _under(one: Series, x_axis: Axis, y_axis: Axis) -> str:
    """A series' band and curve, which must not cover any point."""
    paint, parts = color(one.color), []
    if one.band:
        edge = [_at(x_axis, y_axis, mark.x.value, mark.y.high) for mark in one.marks]
        edge += [_at(x_axis, y_axis, mark.x.value, mark.y.low) for mark in reversed(one.marks)]
        parts.append(f'<path class="band" d="M{"L".join(edge)}Z" style="fill:{paint}"/>')
    if one.joined:
        points = [_at(x_axis, y_axis, mark.x.value, mark.y.value) for mark in one.marks]
        dash = ' stroke-dasharray="6 4"' if one.color >= COLORS else ""
        parts.append(f'<path class="line" d="M{"L".join(points)}" style="stroke:{paint}"{dash}/>')
    return "".join(parts)


def _over(one: Series, x_axis: Axis, y_axis: Axis) -> str:
    """A series' points with their intervals; of a long curve only targets for the pointer."""
    paint, parts = color(one.color), []
    radius, kind = (4.5, "dot") if one.whiskers else (3.0, "dot") if len(one.marks) <= 24 else (5.0, "hover")
    for mark in one.marks:
        x, y = x_axis.at(mark.x.value), y_axis.at(mark.y.value)
        lines = ""
        if one.whiskers:
            across = f"M{x_axis.at(mark.x.low):.1f} {y:.1f}H{x_axis.at(mark.x.high):.1f}"
            along = f"M{x:.1f} {y_axis.at(mark.y.low):.1f}V{y_axis.at(mark.y.high):.1f}"
            lines = f'<path class="whisker" d="{across}{along}" style="stroke:{paint}"/>'
        ring = f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="9" style="stroke:{paint}"/>' if one.ringed else ""
        dot = f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}" style="fill:{paint}"/>'
        parts.append(f"<g><title>{escape(mark.tip)}</title>{lines}{ring}{dot}</g>")
    return "".join(parts)


def _labels(series: Sequence[Series], marks: Sequence[Mark], x_axis: Axis, y_axis: Axis, width: int) -> list[str]:
    """Names beside their points, each where it covers no point and no other name; where there is no such place, none.

    Boxes are (left, top, right, bottom).
    """
    taken = []
    for mark in marks:
        x, y = x_axis.at(mark.x.value), y_axis.at(mark.y.value)
        taken.append((x - 5, y - 5, x + 5, y + 5))
        taken.append((x - 1, y_axis.at(mark.y.high), x + 1, y_axis.at(mark.y.low)))
    parts = []
    for one in series:
        x, y = x_axis.at(one.marks[-1].x.value), y_axis.at(one.marks[-1].y.value)
        wide = LETTER * len(one.name)
        for left, base in ((x + 13, y + 4), (x - 13 - wide, y + 4), (x + 9, y - 11), (x + 9, y + 19),
                           (x - 9 - wide, y - 11), (x - 9 - wide, y + 19)):  # fmt: skip
            box = (left, base - 10, left + wide, base + 3)
            inside = box[0] >= LEFT and box[2] <= width - 2 and box[1] >= 0 and box[3] <= y_axis.start
            if inside and not any(_overlap(box, other) for other in taken):
                parts.append(_text("name", left, base, one.name, "start"))
                taken.append(box)
                break
    return parts


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _legend(series: Sequence[Series]) -> str:
    named = {one.name: one.color for one in series if one.name}
    items = "".join(
        f'<li><i style="background:{color(place)}"></i><bdi>{escape(name)}</bdi></li>' for name, place in named.items()
    )
    return f'<ul class="legend">{items}</ul>'


def _text(kind: str, x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _at(x_axis: Axis, y_axis: Axis, x: float, y: float) -> str:
    return f"{x_axis.at(x):.1f} {y_axis.at(y):.1f}"
