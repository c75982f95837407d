"""What the tables of results are made of: names with their color, columns that sort, intervals as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from thinkling.evaluate.axis import Axis, interval
from thinkling.evaluate.browse.charts import Scale, color
from thinkling.evaluate.results import Table, estimate
from thinkling.evaluate.statistics import Estimate

CELL = (0.0, 200.0)  # pixels of an interval in a table


def name_of(name: str, place: int, more: str = "") -> str:
    """A strategy's name with its color before it, and ``more`` behind."""
    paint = f'<i class="swatch" style="background:{color(place)}"></i>'
    text = re.sub(r"([,(:/])", r"\1<wbr>", escape(name))
    return f'<span class="named">{paint}<bdi>{text}</bdi>{more}</span>'


def sortable(head: Sequence[tuple[str, str, str]], body: str) -> str:
    """A table whose columns the page's script can sort by each cell's ``data-value``."""
    cells = "".join(
        f'<th scope="col"{f" class={kind}" if kind else ""}><span class="column">{escape(title)}</span>{more}</th>'
        for title, kind, more in head
    )
    table = f'<table class="sortable"><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll">{table}</div>'


def cell_axis(estimates: Sequence[Estimate]) -> Axis:
    """The axis that a column of intervals shares."""
    ends = [end for one in estimates for end in (one.low, one.high)] or [0.0, 1.0]
    return Scale("", percent=True).axis(ends, *CELL)


def cell(made: Table | None) -> str:
    """An interval in words, with its n."""
    if not made:
        return "–"
    one = estimate(made)
    return f"{interval(one, percent=True)} n={one.n:,}"


def exactly(value: float) -> Estimate:
    """A number without an interval, as a point's place."""
    return Estimate(value, value, value, 0)
