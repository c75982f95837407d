"""`thinkling eval`, `compare` and the report of an evaluation: what they print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from thinkling.cli.models import model_id, open_model
from thinkling.core.locate import find_model
from thinkling.evaluate.comparing import compare_folders
from thinkling.evaluate.comparison import Comparison
from thinkling.evaluate.evaluation import Evaluation, Settings, evaluate, prepare, read, smallest_difference
from thinkling.evaluate.named_files import verifiers
from thinkling.evaluate.results import estimate
from thinkling.rollout.backend import Backend

SHOWN_PAIRS = 15


def run(settings: Settings, out: Path, *, max_len: int, slots: int) -> Evaluation:
    """Evaluate, and print the table."""
    console = _console()
    settings = replace(settings, model_id=model_id(settings.model))
    named = [path for spec in settings.strategies for path in verifiers(spec)]
    for path in named:
        find_model(str(path))  # before anything is asked
    tasks, plans = prepare(settings)
    problems = sum(len(task.problems) for task in tasks)
    console.print(f"{problems:,} problems of {len(tasks)} tasks; {smallest_difference(problems)}.", highlight=False)

    def open_backend() -> Backend:
        return open_model(settings.model, max_len=max_len, slots=slots, judged=bool(named))

    made = evaluate(settings, out, open_backend)
    show(made, console)
    return made


def report(folder: Path) -> None:
    """Grade an evaluation anew, and print the table; its report.html is made again."""
    show(read(folder), _console())


def show(made: Evaluation, console: Console) -> None:
    """The table of strategies, and the pairs that differ."""
    table = Table(title=f"{made.settings.model}: {', '.join(task.name for task in made.tasks)}", title_justify="left")
    table.add_column("strategy", overflow="fold")
    for name in ("accuracy", "95% interval", "n", "tokens/problem", "calls", "not right because"):
        table.add_column(name, justify="left" if name.startswith("not") else "right")
    best = {point["name"] for point in made.table["frontier"] if point["on_frontier"]}
    for name, row in made.table["strategies"].items():
        accuracy = row["accuracy"]
        marked = f"{name} *" if name in best else name
        if accuracy is None:
            table.add_row(marked, "none", "", "0", "", "", _failures(row))
            continue
        table.add_row(
            marked,
            f"{100 * accuracy['value']:.1f}",
            f"{100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f}",
            f"{accuracy['n']:,}",
            f"{row['tokens']['total']:,.0f}",
            f"{row['tokens']['calls']:.1f}",
            _failures(row),
        )
    console.print(table)
    if best:
        console.print("* no other strategy is as accurate for as few tokens", style="dim")
    for name, row in made.table["strategies"].items():
        if row["unscored"]:
            why = "no gold answer, or all attempts failed"
            console.print(f"{name}: {row['unscored']:,} problems have no score ({why})", style="red")
        if row["error"]:
            console.print(f"{name}: the first attempt that failed: {row['error']}", style="red")
        if "confidence" in row:
            console.print(f"{name}: {row['confidence']['above_80']['sentence']}", highlight=False)
    for name, by_task in made.table.get("recite", {}).get("strategies", {}).items():
        for task, kinds in by_task.items():
            for row in kinds.values():
                console.print(f"{name}, {task}, {row['sentence']}", highlight=False)
    for size, row in made.table.get("overlap", {}).get("sizes", {}).items():
        console.print(
            f"{row['problems']:,} problems share {size} words in a row with the training text "
            f"({row['mean']:.1%} of all such runs)",
            highlight=False,
        )
    for row in made.table.get("recite", {}).get("refused", []):
        text = f"{row['task']}: {row['problems']:,} problems not {row['perturbation']}: {row['reason']}"
        console.print(text, style="dim", highlight=False)
    if "not_compared" in made.table:
        console.print(f"not compared: {made.table['not_compared']}", style="red")
    pairs = [Comparison(**{**pair, "difference": estimate(pair["difference"])}) for pair in made.table["comparisons"]]
    show_pairs(pairs, console)


def compare(folders: Sequence[Path]) -> None:
    """Print every pair of strategies of these evaluations."""
    show_pairs(compare_folders(folders), _console())


def show_pairs(pairs: Sequence[Comparison], console: Console) -> None:
    """Differences with interval and corrected p, the surest first."""
    if not pairs:
        return
    table = Table(title="paired differences (Holm-corrected)", title_justify="left")
    for name in ("strategy", "against"):
        table.add_column(name, overflow="fold")
    for name in ("points", "95% interval", "p", "problems", "won/lost/tied"):
        table.add_column(name, justify="right")
    for pair in sorted(pairs, key=lambda pair: pair.adjusted)[:SHOWN_PAIRS]:
        difference = pair.difference
        table.add_row(
            pair.left,
            pair.right,
            f"{100 * difference.value:+.1f}",
            f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}",
            f"{pair.adjusted:.2g}",
            f"{difference.n:,}",
            f"{pair.wins}/{pair.losses}/{pair.ties}",
            style="" if pair.adjusted < 0.05 else "dim",
        )
    console.print(table)
    if len(pairs) > SHOWN_PAIRS:
        console.print(f"and {len(pairs) - SHOWN_PAIRS} more, in results.json", style="dim")


def _console() -> Console:
    """Prints names as they are: what stands in brackets is no markup, what stands between colons no emoji."""
    return Console(markup=False, emoji=False)


def _failures(row: dict[str, Any]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in row["statuses"].items() if name != "right")
