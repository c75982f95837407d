"""The first sections of the page: what each strategy reached, and what it cost.

Both are read off the table of results (``results.tabulate``) and drawn without a script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from thinkling.evaluate.axis import Axis, interval, number
from thinkling.evaluate.browse.cells import cell, cell_axis, exactly, name_of, sortable
from thinkling.evaluate.browse.charts import Mark, Scale, Series, axis_of_cells, dot_and_line, xy_chart
from thinkling.evaluate.outcomes import FAILURES
from thinkling.evaluate.plots import data_table, empty
from thinkling.evaluate.report.page import Section, heading, section
from thinkling.evaluate.results import Table, estimate
from thinkling.evaluate.statistics import Estimate


def strategies(table: Table) -> Section:
    """One row per strategy: accuracy as a dot and a line, what it cost, how its attempts ended."""
    rows = table["strategies"]
    made = {name: estimate(row["accuracy"]) for name, row in rows.items() if row["accuracy"]}
    axis = cell_axis(list(made.values()))
    best = {point["name"] for point in table["frontier"] if point["on_frontier"]}
    head = [
        ("strategy", "text", ""),
        ("accuracy", "text", axis_of_cells(axis)),
        ("95% interval", "", ""),
        ("n", "", ""),
        ("tokens per problem", "", ""),
        ("thinking", "", ""),
        ("calls", "", ""),
        ("attempts", "text", ""),
    ]
    body = "".join(
        _strategy(name, place, row, made.get(name), axis, name in best)
        for place, (name, row) in enumerate(rows.items())
    )
    shown = [status for status in FAILURES if any(status in row["statuses"] for row in rows.values())]
    several = len(table["tasks"]) > 1
    return section(
        "Strategies",
        "What each strategy reached",
        sortable(head, body),
        _status_legend(shown),
        _unscored(table),
        _by_task(table) if several else "",
        lead="Every strategy answered the same problems. A dot is the accuracy, the line its 95% interval; "
        + ("the mean over tasks, each counting the same. " if several else "")
        + "Tokens are all that a problem cost: prompts, thinking, samples that were outvoted or pruned, judges."
        + (" A star marks those on the frontier: no other is as accurate for as few tokens." if best else ""),
    )


def cost(table: Table) -> Section:
    """Accuracy against tokens: the strategies with both intervals, and what votes reach with fewer samples."""
    rows, series = table["strategies"], []
    points = {point["name"]: point for point in table["frontier"]}
    for place, name in _longest_curves(rows).items():
        marks = [_budget(name, one) for one in rows[name]["curve"]]
        series.append(Series("", place, marks, joined=True, band=True))
    for place, (name, row) in enumerate(rows.items()):
        if row["accuracy"]:
            marks = [_point(name, row, points.get(name))]
            ringed = bool(points.get(name) and points[name]["on_frontier"])
            series.append(Series(name, place, marks, whiskers=True, ringed=ringed, label=True))
    title = "Accuracy against tokens"
    if not series:
        return section("Cost", "Is it worth its tokens?", empty(title, "no strategy has a score"))
    least = min(mark.x.low for one in series for mark in one.marks)
    numbers = data_table(["strategy", "tokens per problem", "accuracy", "n", "on the frontier"], _cost_rows(table))
    notes = ["Ringed: on the frontier; beside the numbers, in which share of resamples."] if points else []
    if any(one.joined for one in series):
        notes.append("Curves: a vote over 1, 2, 4, ... of the samples, in expectation over which; with 95% bands.")
    return section(
        "Cost",
        "Is it worth its tokens?",
        xy_chart(
            title,
            series,
            Scale("tokens per problem, all of them" + (" (logarithmic)" if least > 0 else ""), log=least > 0),
            Scale("accuracy", percent=True),
            size=(960, 430),
            note=" ".join(notes),
            numbers=numbers,
        ),
        lead="Above and to the left is better. Points are taken over the problems that all strategies answered.",
    )


def _strategy(name: str, place: int, row: Table, accuracy: Estimate | None, axis: Axis, best: bool) -> str:
    star = '<span class="star" title="on the frontier">★</span>' if best else ""
    cells = [f'<th scope="row" data-value="{place}">{name_of(name, place, star)}</th>']
    if accuracy is None:
        cells.append(
            '<td class="text" data-value="-1">none has a score</td><td data-value="-1">–</td><td data-value="0">0</td>'
        )
    else:
        tip = f"{name}: {interval(accuracy, percent=True)} n={accuracy.n:,}"
        cells.append(f'<td class="text" data-value="{accuracy.value}">{dot_and_line(accuracy, axis, place, tip)}</td>')
        cells.append(f'<td data-value="{accuracy.value}">{interval(accuracy, percent=True)}</td>')
        cells.append(f'<td data-value="{accuracy.n}">{accuracy.n:,}</td>')
    tokens = row["tokens"]
    for key in ("total", "thinking", "calls"):
        value = tokens.get(key, 0.0)
        text = f"{value:,.0f}" if value >= 100 or value == round(value) else f"{value:,.1f}"
        cells.append(f'<td data-value="{value}">{text}</td>')
    cells.append(f'<td class="text" data-value="{row["statuses"].get("right", 0)}">{_statuses(row["statuses"])}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _statuses(counts: Mapping[str, int]) -> str:
    """How the attempts ended, as a bar of shares."""
    whole = sum(counts.values())
    told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    parts = "".join(
        f'<i class="status-{name.replace(" ", "-")}" style="width:{100 * count / whole:.2f}%"></i>'
        for name, count in counts.items()
    )
    return f'<span class="shares" role="img" aria-label="{told}" title="{told}">{parts}</span>'


def _status_legend(names: Sequence[str]) -> str:
    items = "".join(f'<li><i class="status-{name.replace(" ", "-")}"></i>{escape(name)}</li>' for name in names)
    return f'<ul class="legend">{items}</ul>'


def _unscored(table: Table) -> str:
    """Problems that are left out of n are never left out silently."""
    told = [f"{row['unscored']:,} of {name}" for name, row in table["strategies"].items() if row["unscored"]]
    if not told:
        return ""
    text = "Problems without a score, because all attempts failed or no gold answer is known, are not in n: "
    return f'<p class="note">{escape(text + ", ".join(told))}.</p>'


def _by_task(table: Table) -> str:
    tasks = list(table["tasks"])
    rows = [[name, *(cell(row["by_task"].get(task)) for task in tasks)] for name, row in table["strategies"].items()]
    return heading("Task by task") + data_table(["strategy", *tasks], rows)


def _point(name: str, row: Table, point: Table | None) -> Mark:
    if point:
        tokens, accuracy = estimate(point["tokens"]), estimate(point["accuracy"])
    else:
        tokens, accuracy = exactly(row["tokens"]["total"]), estimate(row["accuracy"])
    return Mark(tokens, accuracy, f"{name}: {interval(accuracy, percent=True)} for {number(tokens.value)} tokens")


def _longest_curves(rows: Mapping[str, Table]) -> dict[int, str]:
    """Whose curves are drawn: of majority votes over the same samples, the longest holds all others."""
    longest: dict[object, tuple[int, str]] = {}
    for place, (name, row) in enumerate(rows.items()):
        if row.get("curve"):
            kind = (row["leaf"], row["temperature"]) if row["how"] == "majority" else name
            if kind not in longest or rows[longest[kind][1]]["n"] < row["n"]:
                longest[kind] = (place, name)
    return dict(longest.values())


def _budget(name: str, one: Table) -> Mark:
    accuracy = estimate(one["accuracy"])
    tip = f"{name} with {one['k']} samples: {interval(accuracy, percent=True)} for {number(one['tokens'])} tokens"
    return Mark(exactly(one["tokens"]), accuracy, tip)


def _cost_rows(table: Table) -> list[list[str]]:
    rows: list[list[str]] = []
    for point in table["frontier"]:
        tokens, accuracy = estimate(point["tokens"]), estimate(point["accuracy"])
        best = f"{'yes' if point['on_frontier'] else 'no'} ({point['share']:.0%})"
        rows.append([point["name"], interval(tokens), interval(accuracy, True), f"{accuracy.n:,}", best])
    for name, row in table["strategies"].items():
        for one in row.get("curve", []):
            accuracy = estimate(one["accuracy"])
            told = [number(one["tokens"]), interval(accuracy, True), f"{accuracy.n:,}", "–"]
            rows.append([f"{name}, {one['k']} samples", *told])
    return rows
