"""Charts as inline SVG, by hand: lines with bands, grouped bars with error bars, stacked areas.

Each function returns one ``<figure>``: heading, legend, the SVG, and the same numbers as a table for
whoever cannot see it or wants to copy them. Colors are CSS variables (``--base``, ``--sft``, ...) that
the page defines for light and for dark. No scripts; the tooltips are SVG ``<title>`` elements.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from thinkling.evaluate.axis import Axis, interval, nice_step, number, rounded_up
from thinkling.evaluate.statistics import Estimate

WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 60, 22, 12, 44
BAR_BOTTOM = 26  # bars have no label below their axis
MOST_POINTS = 160


@dataclass(frozen=True, slots=True)
class Line:
    """One curve, with a band from ``low`` to ``high`` where given. ``color`` names a CSS variable."""

    name: str
    color: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Bars:
    """One color of bars: group name -> value with interval. A group that is absent has no bar."""

    name: str
    color: str
    values: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a stacked area."""

    name: str
    color: str
    y: Sequence[float]


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    percent: bool = False,
    from_zero: bool = True,
    log_x: bool = False,
    note: str = "",
) -> str:
    """Curves over a shared x. Long ones are averaged down to at most 160 points."""
    drawn = [thinned(line) for line in lines if len(line.x)]
    if not drawn:
        return empty(title, "no values were logged")
    xs = [x for line in drawn for x in line.x]
    ys = [y for line in drawn for values in (line.y, line.low or [], line.high or []) for y in values]
    frame = _frame(xs, ys, percent, from_zero, log_x)
    body = [_grid(*frame, x_label, y_label, percent)]
    for line in drawn:
        body.append(_curve(line, *frame, percent))
    rows = [[line.name, *_ends(line, percent)] for line in drawn]
    table = data_table([y_label, "first", "last", "lowest", "highest"], rows)
    return _figure(title, _legend([(line.name, line.color) for line in drawn]), body, table, note)


def bar_chart(
    title: str,
    groups: Sequence[str],
    bars: Sequence[Bars],
    *,
    y_label: str,
    percent: bool = False,
    note: str = "",
    wide: bool = True,
) -> str:
    """Groups of bars with error bars; the numbers with their n in the table."""
    shown = [bar for bar in bars if any(group in bar.values for group in groups)]
    if not shown or not groups:
        return empty(title, "nothing to draw")
    width = 980 if wide else WIDTH
    tops = [bar.values[group].high for bar in shown for group in groups if group in bar.values]
    y_axis = Axis(0.0, 1.0 if percent else rounded_up(max(tops)), HEIGHT - BAR_BOTTOM, TOP)
    body = [_y_grid(y_axis, width, y_label, percent)]
    room = (width - LEFT - RIGHT) / len(groups)
    each = min(34.0, room * 0.8 / len(shown))
    for place, group in enumerate(groups):
        centre = LEFT + room * (place + 0.5)
        body.append(_text("tick", centre, HEIGHT - BAR_BOTTOM + 18, group))
        present = [bar for bar in shown if group in bar.values]
        for order, bar in enumerate(present):
            x = centre + (order - len(present) / 2) * each
            body.append(_bar(x, each, bar, group, y_axis, percent))
    rows = [
        [
            group,
            *(
                interval(bar.values[group], percent) + f" n={bar.values[group].n}" if group in bar.values else "–"
                for bar in shown
            ),
        ]
        for group in groups
    ]
    table = data_table(["", *(bar.name for bar in shown)], rows)
    return _figure(title, _legend([(bar.name, bar.color) for bar in shown]), body, table, note, width)


def area_chart(
    title: str, x: Sequence[float], layers: Sequence[Layer], *, x_label: str, y_label: str, note: str = ""
) -> str:
    """Shares stacked to 100% over x."""
    if len(x) < 2:
        return empty(title, "fewer than two points")
    frame = _frame(list(x), [0.0, 1.0], True, True, False)
    x_axis, y_axis = frame
    body = [_grid(*frame, x_label, y_label, True)]
    below = [0.0] * len(x)
    for layer in layers:
        above = [low + value for low, value in zip(below, layer.y, strict=True)]
        points = [(x_axis.at(a), y_axis.at(b)) for a, b in zip(x, above, strict=True)]
        points += [(x_axis.at(a), y_axis.at(b)) for a, b in zip(reversed(x), reversed(below), strict=True)]
        tip = f"{layer.name}: {number(layer.y[0], True)} → {number(layer.y[-1], True)}"
        body.append(
            f'<path d="{_path(points)}Z" style="fill:var(--{layer.color})" class="area">'
            f"<title>{escape(tip)}</title></path>"
        )
        below = above
    rows = [[layer.name, number(layer.y[0], True), number(layer.y[-1], True)] for layer in layers]
    table = data_table([y_label, "first", "last"], rows)
    return _figure(title, _legend([(layer.name, layer.color) for layer in layers]), body, table, note)


def data_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, text: Sequence[int] = ()) -> str:
    """A table; its first column heads the rows, the columns ``text`` align left, the others (numbers) right."""
    kinds = [' class="text"' if i in text else "" for i in range(len(header))]
    head = "".join(f'<th scope="col"{kind}>{escape(cell)}</th>' for cell, kind in zip(header, kinds, strict=True))
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row[1:], kinds[1:], strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def empty(title: str, why: str) -> str:
    """What stands where a chart has nothing to show."""
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f'<p class="absent">Not shown: {escape(why)}.</p></figure>'
    )


def thinned(line: Line, most: int = MOST_POINTS) -> Line:
    """The curve as at most ``most`` points, each the mean of a run of neighbours."""
    size = math.ceil(len(line.x) / most)
    if size <= 1:
        return line

    def means(values: Sequence[float]) -> list[float]:
        parts = [values[at : at + size] for at in range(0, len(values), size)]
        return [sum(part) / len(part) for part in parts]

    low = None if line.low is None else means(line.low)
    high = None if line.high is None else means(line.high)
    return Line(line.name, line.color, means(line.x), means(line.y), low, high, line.dashed)


def _frame(xs: Sequence[float], ys: Sequence[float], percent: bool, from_zero: bool, log_x: bool) -> tuple[Axis, Axis]:
    left, right = min(xs), max(xs)
    if right - left <= 1e-12 * max(abs(left), abs(right), 1e-9):
        left, right = (left / 2, right * 2) if log_x else (left - 0.5, right + 0.5)
    low, high = (0.0 if from_zero else min(ys)), max(ys)
    if percent and from_zero:
        high = rounded_up(high) if 0 < high <= 0.4 else 1.0
    elif high - low > 1e-12 * max(abs(high), abs(low), 1e-9):
        step = nice_step((high - low) / 5)
        low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    else:
        low, high = low - (0 if from_zero else 0.5), high + 1
    return Axis(left, right, LEFT, WIDTH - RIGHT, log_x), Axis(low, high, HEIGHT - BOTTOM, TOP)


def _grid(x_axis: Axis, y_axis: Axis, x_label: str, y_label: str, percent: bool) -> str:
    base = HEIGHT - BOTTOM
    parts = [_y_grid(y_axis, WIDTH, y_label, percent)]
    for tick in x_axis.ticks():
        x = x_axis.at(tick)
        parts.append(f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="{base}" y2="{base + 4}"/>')
        parts.append(_text("tick", x, base + 18, number(tick)))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(_text("label", middle, HEIGHT - 6, x_label))
    return "".join(parts)


def _y_grid(y_axis: Axis, width: int, y_label: str, percent: bool) -> str:
    parts = []
    for tick in y_axis.ticks():
        y = y_axis.at(tick)
        parts.append(f'<line class="rule" x1="{LEFT}" x2="{width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text("tick", LEFT - 7, y + 4, number(tick, percent), "end"))
    middle = (y_axis.start + y_axis.end) / 2
    turned = f'transform="translate(13 {middle:.0f}) rotate(-90)"'
    parts.append(f'<text class="label" {turned} text-anchor="middle">{escape(y_label)}</text>')
    return "".join(parts)


def _curve(line: Line, x_axis: Axis, y_axis: Axis, percent: bool) -> str:
    points = [(x_axis.at(x), y_axis.at(y)) for x, y in zip(line.x, line.y, strict=True)]
    color = f"var(--{line.color})"
    parts = []
    if line.low is not None and line.high is not None:
        edge = [(x_axis.at(x), y_axis.at(y)) for x, y in zip(line.x, line.high, strict=True)]
        edge += [(x_axis.at(x), y_axis.at(y)) for x, y in zip(reversed(line.x), reversed(line.low), strict=True)]
        parts.append(f'<path class="band" d="{_path(edge)}Z" style="fill:{color}"/>')
    dash = ' stroke-dasharray="5 4"' if line.dashed else ""
    parts.append(f'<path class="line" d="{_path(points)}" style="stroke:{color}"{dash}/>')
    size, kind = (3.2, "dot") if len(points) <= 24 else (5, "hover")
    for (x, y), at, value in zip(points, line.x, line.y, strict=True):
        tip = f"{line.name} at {number(at)}: {number(value, percent)}"
        parts.append(
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{size}" style="fill:{color}">'
            f"<title>{escape(tip)}</title></circle>"
        )
    return "".join(parts)


def _bar(x: float, width: float, bar: Bars, group: str, axis: Axis, percent: bool) -> str:
    estimate = bar.values[group]
    top, base = axis.at(estimate.value), axis.at(0.0)
    low, high = axis.at(estimate.low), axis.at(min(estimate.high, axis.high))
    middle = x + width / 2
    tip = f"{bar.name}, {group}: {interval(estimate, percent)} n={estimate.n}"
    box = f'x="{x + 1:.1f}" y="{top:.1f}" width="{max(1.0, width - 2):.1f}" height="{max(0.0, base - top):.1f}"'
    error = f"M{middle:.1f} {low:.1f}V{high:.1f}M{middle - 3:.1f} {low:.1f}h6M{middle - 3:.1f} {high:.1f}h6"
    return (
        f'<g class="bar"><title>{escape(tip)}</title>'
        f'<rect {box} rx="1.5" style="fill:var(--{bar.color})"/><path class="error" d="{error}"/></g>'
    )


def _text(kind: str, x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _ends(line: Line, percent: bool) -> list[str]:
    return [number(value, percent) for value in (line.y[0], line.y[-1], min(line.y), max(line.y))]


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    if len(entries) < 2:
        return ""
    items = "".join(f'<li><i style="background:var(--{color})"></i>{escape(name)}</li>' for name, color in entries)
    return f'<ul class="legend">{items}</ul>'


def _figure(title: str, legend: str, body: Sequence[str], table: str, note: str, width: int = WIDTH) -> str:
    kind = "chart wide" if width > WIDTH else "chart"
    text = f'<p class="note">{escape(note)}</p>' if note else ""
    return (
        f'<figure class="{kind}"><figcaption>{escape(title)}</figcaption>{legend}'
        f'<div class="scroll"><svg viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(body)}</svg></div>{text}<details><summary>Numbers</summary>{table}</details></figure>"
    )
