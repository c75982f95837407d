"""Kinds of answers: how each is found in what a model said, and compared with a gold answer.

Strategies vote over canonical answers and measure at the place where an answer stands, so finding is
separate from grading; and both read a text by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from thinkling.core.errors import UserError
from thinkling.core.types import Problem, Verdict
from thinkling.tasks.grading import (
    Reading,
    grade_choice,
    grade_letter,
    grade_number,
    grade_numbers,
    grade_text,
    number,
    read_choice,
    read_letter,
    read_number,
    read_numbers,
    read_text,
)
from thinkling.tasks.math_grading import grade_math, read_math

YES_NO = {"yes": "yes", "no": "no"}
NAMES = ("number", "numbers", "yes-no", "letters", "text", "math", "choice:A-E")


@dataclass(frozen=True, slots=True)
class AnswerKind:
    """A kind of answer. ``read`` finds the one that a text claims; ``grade`` compares it with a gold one.

    ``name`` is what spells it in settings ("number", "choice:A-E"); ``options`` are a multiple choice's letters.
    """

    name: str
    read: Callable[[str], Reading]
    grade: Callable[[str, str], Verdict]
    options: str = ""

    def answer(self, text: str) -> str | None:
        """The canonical answer in ``text``; None where there is none, or more than one."""
        return self.read(text).answer


def answer_kind(name: str) -> AnswerKind:
    """The kind of answer that ``name`` spells. Raises UserError for another name."""
    if name == "number":
        return AnswerKind(name, read_number, grade_number)
    if name == "numbers":
        return AnswerKind(name, read_numbers, _grade_list)
    if name == "yes-no":
        return words(name, YES_NO)
    if name in ("letters", "text"):
        return AnswerKind(name, read_text, grade_text)
    if name == "math":
        return AnswerKind(name, read_math, grade_math)
    match = re.fullmatch(r"choice:([A-Z])-([A-Z])", name)
    if match and match[1] < match[2]:
        letters = "".join(map(chr, range(ord(match[1]), ord(match[2]) + 1)))
        return AnswerKind(name, partial(read_letter, letters=letters), partial(grade_letter, letters=letters), letters)
    raise UserError(f"expected a kind of answer out of {', '.join(NAMES)}; got {name!r}")


def words(name: str, choices: Mapping[str, str]) -> AnswerKind:
    """One of a few words; ``choices`` maps each accepted word to what it means."""
    return AnswerKind(name, partial(read_choice, choices=choices), partial(grade_choice, choices=choices))


def kind_of(family: Any, problem: Problem) -> AnswerKind:
    """How the answer to a problem is read: as its family says (``kind``), else as a number where it is one, or text."""
    said = getattr(family, "kind", None)
    if isinstance(said, AnswerKind):
        return said
    return answer_kind(said or ("number" if number(problem.answer) is not None else "text"))


def _grade_list(text: str, gold: str) -> Verdict:
    return grade_numbers(text, [int(item) for item in gold.split(",")])
