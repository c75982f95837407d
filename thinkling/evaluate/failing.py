"""Why answers are not right: for our own families, the first mistake of each, against the true steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from thinkling.evaluate.outcomes import Outcome
from thinkling.evaluate.plan import Plan
from thinkling.evaluate.tasks import Task
from thinkling.tasks.mistakes.diagnosis import DIAGNOSED, diagnose, tally

Outcomes = Mapping[str, Mapping[str, Sequence[Outcome]]]


def mistakes(tasks: Sequence[Task], plans: Sequence[Plan], outcomes: Outcomes) -> dict[str, dict[str, dict[str, int]]]:
    """Strategy -> task -> label -> how many answers, for strategies that answer once and families with true steps.

    A vote has many works and no single one to blame, so it is left out.
    """
    made: dict[str, dict[str, dict[str, int]]] = {}
    for plan in plans:
        for task in tasks:
            if plan.how == "single" and task.problems[0].family in DIAGNOSED:
                made.setdefault(plan.spec, {})[task.name] = _of_task(task, outcomes[plan.spec][task.name])
    return made


def _of_task(task: Task, outcomes: Sequence[Outcome]) -> dict[str, int]:
    found = []
    for one in outcomes:
        for read in one.reads:
            attempt = read.attempt
            if not attempt.error:
                verdict = task.grade(one.problem, attempt.text)
                found.append(diagnose(one.problem, attempt.thinking, verdict, attempt.finish))
    return tally(found)
