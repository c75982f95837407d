"""`thinkling ask MODEL QUESTION --strategy SPEC`: the candidates, the vote, the answer, and what it cost."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from thinkling.cli.models import open_model
from thinkling.core.types import Candidate, Sample, Sampled, Sampling, Trace, Usage
from thinkling.reasoning.prompting import ask_for
from thinkling.reasoning.spec import spell, strategy
from thinkling.reasoning.strategy import Setting, as_policy, check
from thinkling.rollout.driver import Failure, drive
from thinkling.tasks.answers import answer_kind
from thinkling.tasks.exemplars import read_exemplars

SHOWN = 20
BAR = 24


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and how."""

    text: str
    strategy: str
    kind: str = "text"
    exemplars: Path | None = None
    plain_text: bool = False
    think: bool | None = None
    temperature: float = 0.0
    max_tokens: int = 512
    seed: int = 0


def ask(model: str, question: Question) -> None:
    """Answer by a strategy; how it got there goes to stderr, so that a pipe gets the answer alone."""
    chosen = strategy(question.strategy)
    spec = spell(chosen)
    kind = answer_kind(question.kind)
    shown = read_exemplars(question.exemplars) if question.exemplars else ()
    backend = open_model(model, judged="verifier=" in spec)
    setting = Setting(kind, backend.capabilities, shown)
    check(chosen, spec, setting, question.plain_text, f"model {backend.name!r}")
    sampling = Sampling(temperature=question.temperature, max_tokens=question.max_tokens)
    asked = ask_for(question.text, Sample((), sampling, question.seed, think=question.think), question.plain_text)
    bill: list[Usage] = []
    begun = time.monotonic()
    done = drive(
        [as_policy(chosen, spec, setting).respond(asked)],
        backend,
        on_done=lambda index, outcome, usage: bill.append(usage),
    )
    outcome = done[0]
    if isinstance(outcome, Failure):
        raise outcome.exception
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    show(outcome[0], bill[0], time.monotonic() - begun, console)
    print(outcome[0].message.text.strip(), file=sys.stdout)


def show(sampled: Sampled, usage: Usage, seconds: float, console: Console) -> None:
    """The trace as tables, and the bill."""
    trace = sampled.trace or Trace("")
    if len(trace.candidates) > 1:
        console.print(_candidates(trace))
    if trace.tally:
        console.print(_tally(trace))
    if trace.note:
        console.print(trace.note, style="dim")
    thinking = f", {usage.thinking:,} of them thinking" if usage.thinking else ""
    console.print(
        f"{usage.calls:,} calls, {usage.prompt:,} tokens of prompts, {usage.completion:,} sampled{thinking}; "
        f"{seconds:.1f} s",
        style="dim",
    )


def _candidates(trace: Trace) -> Table:
    table = Table(title=f"{trace.strategy}: {len(trace.candidates)} candidates", title_justify="left")
    for name in ("#", "weight", "tokens", "answer"):
        table.add_column(name, justify="right")
    table.add_column("what it said", no_wrap=True, overflow="ellipsis", ratio=1)
    depth: dict[int, int] = {-1: -1}
    for number, made in enumerate(trace.candidates):
        depth[number] = depth.get(made.parent, -1) + 1
        if number < SHOWN:
            table.add_row(*_row(number, made, depth[number], number in trace.tied), style="" if made.kept else "dim")
    if len(trace.candidates) > SHOWN:
        table.add_row("", "", "", "", f"... and {len(trace.candidates) - SHOWN} more")
    return table


def _row(number: int, made: Candidate, depth: int, chosen: bool) -> tuple[str, str, str, str, Text]:
    said = " | ".join(filter(None, (made.message.thinking, made.message.text))).replace("\n", " ").strip()
    role = "" if made.role == "answer" else f"({made.role}) "
    answer = made.answer if made.answer is not None else "-"
    mark = f"{number}*" if chosen else str(number)
    return mark, f"{made.weight:.3g}", f"{made.usage.completion:,}", answer[:40], Text("  " * depth + role + said)


def _tally(trace: Trace) -> Table:
    table = Table(title="the vote" + (", tied" if len(trace.tied) > 1 else ""), title_justify="left", box=None)
    table.add_column("answer", justify="right")
    table.add_column("")
    table.add_column("weight", justify="right")
    top = max(abs(weight) for _, weight in trace.tally) or 1.0
    for answer, weight in trace.tally[:SHOWN]:
        table.add_row(answer[:40], "█" * max(1, round(BAR * weight / top)), f"{weight:.4g}")
    return table
