"""Asking a base model, which has never seen a chat: worked examples as plain text, then the question.

The format is ours alone and nothing in it is a special token::

    Question: ...
    Solution: the work
    Answer: The answer is 4.

with a blank line between examples. What follows ``Answer:`` on its line is graded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from thinkling.core.seeds import derive
from thinkling.core.types import Message, Problem, Verdict
from thinkling.tasks.exemplars import solved
from thinkling.tasks.family import Family

STOP = ("\n\n", "\nQuestion:")


def _one_paragraph(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text.strip())


def worked_examples(family: Family, count: int, seed: int) -> str:
    """``count`` solved problems of the train split, step by step where the family can, the shortest first."""
    pairs = solved(family, count, seed, lambda problem, message: len(_shot(problem, message)))
    return "".join(_shot(problem, message) for problem, message in pairs)


def _shot(problem: Problem, message: Message) -> str:
    work = _one_paragraph(message.thinking or "")
    solution = f"Solution: {work}\n" if work else ""
    return f"Question: {_one_paragraph(problem.prompt)}\n{solution}Answer: {message.text.strip()}\n\n"


def prefixes(families: Sequence[Family], count: int, seed: int) -> Callable[[Problem], str]:
    """The function from a problem to the text that a base model is to continue."""
    shots = {family.name: worked_examples(family, count, derive(seed, family.name)) for family in families}
    return lambda problem: f"{shots[problem.family]}Question: {_one_paragraph(problem.prompt)}\n"


def answer_in(text: str) -> str:
    """The part of a continuation that is graded: the line after ``Answer:``, or all of it without one."""
    _, mark, rest = text.partition("Answer:")
    return rest.strip().split("\n")[0] if mark else text


class PlainTextGrader:
    """Grades a plain continuation with its family's own grader."""

    def __init__(self, family: Family) -> None:
        self.family = family

    def grade(self, problem: Problem, text: str) -> Verdict:
        return self.family.grade(problem, answer_in(text))
