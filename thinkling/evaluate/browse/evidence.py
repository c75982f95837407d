"""The sections on how far the results carry: what differs, whether agreement can be trusted, where it gets hard.

All of it is read off the table of results (``results.tabulate``) and drawn without a script.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from thinkling.evaluate.axis import Axis, change, interval
from thinkling.evaluate.browse.cells import CELL, cell, exactly, name_of, sortable
from thinkling.evaluate.browse.charts import Mark, Scale, Series, axis_of_cells, dot_and_line, xy_chart
from thinkling.evaluate.plots import data_table, empty
from thinkling.evaluate.report.page import Section, grid, section
from thinkling.evaluate.results import Table, estimate
from thinkling.evaluate.statistics import Estimate

SHOWN_PAIRS = 12


def differences(table: Table) -> Section:
    """Every pair of strategies: the paired difference with its interval, and Holm's p."""
    names = list(table["strategies"])
    pairs = [_better_first(pair) for pair in table["comparisons"]]
    pairs.sort(key=lambda pair: (pair["adjusted"], -pair["difference"]["value"]))
    if not pairs:
        return section("Differences", "What differs", empty("Paired differences", "there is one strategy alone"))
    made = [estimate(pair["difference"]) for pair in pairs]
    axis = Scale("").axis([0.0, *(end for one in made for end in (one.low, one.high))], *CELL)
    head = [
        ("strategy", "text", ""),
        ("against", "text", ""),
        ("points", "text", axis_of_cells(axis, signed=True)),
        ("difference", "", ""),
        ("p", "", ""),
        ("won", "", ""),
        ("lost", "", ""),
        ("tied", "", ""),
    ]
    body = [_pair(pair, one, axis, names) for pair, one in zip(pairs, made, strict=True)]
    rest = len(body) - SHOWN_PAIRS
    more = f"<details><summary>{rest} more pairs</summary>{sortable(head, ''.join(body[SHOWN_PAIRS:]))}</details>"
    return section(
        "Differences",
        "What differs",
        sortable(head, "".join(body[:SHOWN_PAIRS])),
        more if rest > 0 else "",
        lead="Two strategies are compared problem by problem, so that the problems' own difficulty cancels. p is "
        "corrected for how many pairs are looked at (Holm); pairs with a p of 0.05 or more are pale. The numbers of "
        "problems won and lost lead to those problems.",
    )


def confidence(table: Table) -> Section:
    """Does agreement tell right from wrong: reliability, the verdict on "above 80%", risk against coverage."""
    title = "Does agreement mean that it is right?"
    sure = [(place, name, row) for place, (name, row) in enumerate(table["strategies"].items()) if "confidence" in row]
    if not sure:
        return section(
            "Confidence", title, empty("Reliability", "no strategy voted, so there is no agreement to trust")
        )
    cards = [_reliability(place, name, row["confidence"]) for place, name, row in sure]
    return section(
        "Confidence",
        title,
        grid(*cards, _risk(sure)),
        lead="Agreement is the winning answer's share of all samples. On the dashed line it is as often right as it "
        "is confident; below, it is too sure of itself.",
    )


def levels(table: Table) -> Section | None:
    """Accuracy by level, where the problems have one."""
    rows = {name: row["by_level"] for name, row in table["strategies"].items() if row["by_level"]}
    if not rows:
        return None
    places = {name: place for place, name in enumerate(table["strategies"])}
    series = []
    for name, by_level in rows.items():
        marks = [
            Mark(exactly(float(level)), one, f"{name}, level {level}: {interval(one, percent=True)} n={one.n}")
            for level, one in ((level, estimate(made)) for level, made in by_level.items())
        ]
        series.append(Series(name, places[name], marks, joined=True, band=len(rows) <= 4))
    every = sorted({level for made in rows.values() for level in made}, key=int)
    cells = [[level, *(cell(made.get(level)) for made in rows.values())] for level in every]
    chart = xy_chart(
        "Accuracy by level",
        series,
        Scale("level", ticks=[float(level) for level in every[:: 1 + len(every) // 16]]),
        Scale("accuracy", low=0.0, high=1.0, percent=True),
        size=(960, 340),
        numbers=data_table(["level", *rows], cells),
    )
    return section(
        "Levels", "Where it gets hard", chart, lead="A level is a problem's difficulty, as its task counts it."
    )


def _better_first(pair: Table) -> Table:
    """The same comparison with the strategy on the left that came out better."""
    made = pair["difference"]
    if made["value"] >= 0:
        return pair
    turned = {**made, "value": -made["value"], "low": -made["high"], "high": -made["low"]}
    sides = {"left": pair["right"], "right": pair["left"], "wins": pair["losses"], "losses": pair["wins"]}
    return {**pair, **sides, "difference": turned}


def _pair(pair: Table, difference: Estimate, axis: Axis, names: Sequence[str]) -> str:
    left, right = names.index(pair["left"]), names.index(pair["right"])
    told = change(difference, percent=True)
    tip = f"{pair['left']} against {pair['right']}: {told}, p {pair['adjusted']:.2g}"
    place = left if pair["adjusted"] < 0.05 else None
    drawn = dot_and_line(difference, axis, place, tip, zero=True)
    cells = [
        f'<th scope="row" class="text" data-value="{left}">{name_of(pair["left"], left)}</th>',
        f'<td class="text" data-value="{right}">{name_of(pair["right"], right)}</td>',
        f'<td class="text" data-value="{difference.value}">{drawn}</td>',
        f'<td data-value="{difference.value}">{told}</td>',
        f'<td data-value="{pair["adjusted"]}" title="{escape(pair["test"])}; before the correction {pair["p"]:.2g}">'
        f"{_p(pair['adjusted'])}</td>",
        f'<td data-value="{pair["wins"]}" data-better="{left},{right}">{pair["wins"]:,}</td>',
        f'<td data-value="{pair["losses"]}" data-better="{right},{left}">{pair["losses"]:,}</td>',
        f'<td data-value="{pair["ties"]}">{pair["ties"]:,}</td>',
    ]
    kind = "sure" if pair["adjusted"] < 0.05 else "pale"
    return f'<tr class="{kind}">{"".join(cells)}</tr>'


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}" if value < 0.01 else f"{value:.2f}"


def _reliability(place: int, name: str, made: Table) -> str:
    verdict, sentence = made["above_80"]["verdict"], made["above_80"]["sentence"]
    marks = []
    for one in made["reliability"]:
        right = estimate(one["accuracy"])
        tip = f"agreement {one['low']:.0%} to {one['high']:.0%}: {interval(right, percent=True)} right, n={right.n:,}"
        marks.append(Mark(exactly(one["confidence"]), right, tip))
    rows = [
        [f"{one['low']:.0%} to {one['high']:.0%}", f"{one['confidence']:.1%}", cell(one["accuracy"])]
        for one in made["reliability"]
    ]
    error, score = estimate(made["calibration_error"]), estimate(made["brier"])
    note = (
        f"Calibration error {error.value:.3f} [{error.low:.3f}, {error.high:.3f}]; Brier score {score.value:.3f} "
        f"[{score.low:.3f}, {score.high:.3f}]; n={error.n:,}, of them {made['tied']:,} tied votes."
    )
    full = Scale("share that is right", low=0.0, high=1.0, percent=True)
    chart = xy_chart(
        name,
        [Series(name, place, marks, whiskers=True, joined=True)],
        Scale("agreement", low=0.0, high=1.0, percent=True),
        full,
        diagonal=True,
        legend=False,
        note=note,
        numbers=data_table(["agreement", "mean", "right"], rows),
    )
    claim = f'<p class="verdict {verdict}"><b>“Above 80% agreement, nearly always right”</b> {escape(sentence)}</p>'
    return chart.replace("</figcaption>", f"</figcaption>{claim}", 1)


def _risk(sure: Sequence[tuple[int, str, Table]]) -> str:
    series, rows = [], []
    for place, name, row in sure:
        made = row["confidence"]
        marks = [
            Mark(exactly(x), exactly(y), f"{name}, the surest {x:.0%} answered: {y:.1%} of them wrong")
            for x, y in zip(made["coverage"], made["risk"], strict=True)
        ]
        series.append(Series(name, place, marks, joined=True))
        rows.append([name, f"{made['aurc']:.3f}", f"{made['risk'][-1]:.1%}"])
    return xy_chart(
        "Risk against coverage",
        series,
        Scale("share of problems that is answered, the surest first", low=0.0, high=1.0, percent=True),
        Scale("wrong among them", low=0.0, percent=True),
        note="A useful confidence begins low and rises late. A flat line would be guessing.",
        numbers=data_table(["strategy", "area (mean risk)", "risk if all are answered"], rows),
    )
