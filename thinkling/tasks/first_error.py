"""Where the work on a chained sum first goes wrong: known from the problem itself, without a model's judgement."""

from __future__ import annotations

import re

from thinkling.core.types import Problem
from thinkling.tasks.chain import apply, expression
from thinkling.tasks.steps import split_steps

_EQUATION = re.compile(r"(\d+)([-+*])(\d+)=(\d+)")
_SECOND_THOUGHT = ("Check:", "Wait,")


def first_wrong_step(problem: Problem, thinking: str) -> int | None:
    """The index in ``split_steps(thinking)`` of the first step that is not what the problem asks for.

    A plan must be the problem's expression, and equations must be its equations in their order (factors and
    summands may change places). None where every step is right, even if the work stops too early, and where
    it is only doubted afterwards ("Check:", "Wait,").
    """
    due = [(str(op), int(left), int(right)) for op, left, right, _ in problem.meta["steps"]]
    events = [(str(op), int(a), int(b)) for op, a, b in problem.meta["events"]]
    plan = expression(int(problem.meta["start"]), events)
    for index, step in enumerate(map(str.strip, split_steps(thinking))):
        if step.startswith(_SECOND_THOUGHT):
            return None
        if index == 0 and step.endswith(":"):
            if step[:-1] != plan:
                return index
            continue
        found = _EQUATION.fullmatch(step.rstrip("."))
        if not found or not due:
            return index
        (left, op, right, result), (wanted, a, b) = found.groups(), due.pop(0)
        same = (int(left), int(right)) in ((a, b), (b, a) if wanted in "+*" else (a, b))
        if op != wanted or not same or int(result) != apply(wanted, a, b):
            return index
    return None
