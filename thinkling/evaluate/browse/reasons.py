"""The sections on why: which mistakes were made, and whether a model reasons or recites."""

from __future__ import annotations

from html import escape

from thinkling.evaluate.browse.cells import cell
from thinkling.evaluate.plots import data_table
from thinkling.evaluate.report.page import Section, section
from thinkling.evaluate.results import Table


def mistakes(table: Table) -> Section | None:
    """What became of each answer, by the first mistake of those that are wrong; a table per task."""
    by_task: dict[str, dict[str, dict[str, int]]] = {}
    for name, tasks in table.get("mistakes", {}).items():
        for task, counts in tasks.items():
            by_task.setdefault(task, {})[name] = counts
    if not by_task:
        return None
    parts = []
    for task, rows in by_task.items():
        labels = list(dict.fromkeys(label for counts in rows.values() for label in counts))
        body = [[name, *(f"{counts.get(label, 0):,}" for label in labels)] for name, counts in rows.items()]
        parts.append(f"<h3><bdi>{escape(task)}</bdi></h3>{data_table([task, *labels], body)}")
    return section(
        "Mistakes",
        "What goes wrong first",
        *parts,
        lead="Each answer's work is held against the problem's true steps, and a wrong one counts by its first "
        "mistake. Strategies that vote have many works, and are left out.",
    )


def recite(table: Table) -> Section | None:
    """Accuracy before and after a change that should not matter, or matters in a known way."""
    made = table.get("recite")
    if not made:
        return None
    head = ["strategy, task and change", "verdict", "before", "after", "change", "gave the old answer"]
    body, sentences = [], []
    for name, tasks in made["strategies"].items():
        for task, kinds in tasks.items():
            for kind, row in kinds.items():
                where = f"{name}, {task}, {kind}"
                numbers = [cell(row[part]) for part in ("before", "after", "change", "recited")]
                body.append([where, row["verdict"], *numbers])
                sentences.append(f"<li><bdi>{escape(f'{name}, {task}')}</bdi>: {escape(row['sentence'])}</li>")
    refused = [
        f"<li><bdi>{escape(row['task'])}</bdi>, {escape(row['perturbation'])}: {row['problems']:,} not changed: "
        f"{escape(row['reason'])}</li>"
        for row in made["refused"]
    ]
    more = f"<details><summary>problems that could not be changed</summary><ul>{''.join(refused)}</ul></details>"
    return section(
        "Recite",
        "Does it reason, or recite?",
        data_table(head, body, text=(1,)),
        f"<ul>{''.join(sentences)}</ul>",
        more if refused else "",
        lead="Each problem was asked again with something changed, and is compared with itself.",
    )
