"""An evaluation's problems asked again with something changed: what happens to the accuracy says recite or reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from thinkling.evaluate.outcomes import Outcome, Reader
from thinkling.evaluate.plan import Plan
from thinkling.evaluate.recite import recitals
from thinkling.evaluate.tasks import Task, perturbed
from thinkling.tasks.perturb.children import Children


@dataclass(frozen=True, slots=True)
class Perturbed:
    """A task, its children as a task per kind, and what could not be changed, and why."""

    parent: Task
    children: list[Task]
    made: Children


@dataclass(frozen=True, slots=True)
class Answered:
    """One graded attempt, as `recitals` wants it."""

    key: str
    score: float | None
    extracted: str | None


def perturb_all(tasks: Sequence[Task], kinds: Sequence[str], seed: int) -> list[Perturbed]:
    """The children of every task under every kind. Raises UserError for an unknown kind."""
    return [Perturbed(task, *perturbed(task, kinds, seed)) for task in tasks] if kinds else []


def recite_table(changed: Sequence[Perturbed], plans: Sequence[Plan], reader: Reader, seed: int) -> dict[str, Any]:
    """Strategy -> task -> perturbation -> what it shows, with its sentence; and how many could not be changed."""
    table: dict[str, Any] = {}
    for plan in plans:
        table[plan.spec] = {}
        for one in changed:
            problems = [problem for child in one.children for problem in child.problems]
            rows = [row for task in (one.parent, *one.children) for row in answered(reader.outcomes(task, plan))]
            if not problems:
                continue
            found = recitals(one.parent.problems, problems, rows, seed=seed)
            table[plan.spec][one.parent.name] = {
                kind: {**asdict(made), "sentence": made.sentence} for kind, made in found.items()
            }
    refused = [
        {"perturbation": kind, "task": one.parent.name, "reason": reason, "problems": count}
        for one in changed
        for (kind, _, reason), count in one.made.refused().items()
    ]
    return {"strategies": table, "refused": refused}


def answered(outcomes: Sequence[Outcome]) -> Iterator[Answered]:
    """Every graded attempt of these outcomes."""
    for outcome in outcomes:
        for read in outcome.reads:
            yield Answered(outcome.problem.key, read.score, read.answer)
