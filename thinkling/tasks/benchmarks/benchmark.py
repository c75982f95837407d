"""What a loader makes of a published file: problems of one kind of answer, ready to be asked and graded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from thinkling.core.errors import UserError
from thinkling.core.seeds import content_key
from thinkling.core.types import Problem, Verdict
from thinkling.tasks import cleansing
from thinkling.tasks.answers import AnswerKind, answer_kind
from thinkling.tasks.benchmarks.records import Record
from thinkling.tasks.grading import number

KINDS = ("number", "yes-no", "letters", "text", "math", "choice:A-E")
# A record's own name of its split -> ours.
SPLITS = {"train": "train", "val": "val", "validation": "val", "dev": "val", "test": "test"}
YES_NO = ("yes", "no")
_LONGEST_NUMBER = 300  # characters: far beyond any gold, and still a float
_EXPONENT = re.compile(r"-?\d+(?:\.\d+)?[eE][-+]?\d{1,3}")
_MARK = re.compile(r"\(([A-Z])\)")
_FLOAT_DIGITS = 15  # significant digits that survive a binary float
_FLOAT_PLACES = 6  # a float that these few places spell is meant to be that decimal

Choices = tuple[tuple[str, str], ...]  # (letter, text) in order


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Problems of one kind of answer (``kind``: see `thinkling.tasks.answers`), in the order of the file.

    A problem with the answer "" has no gold answer and is never scored. A problem that the file holds twice is
    here twice, with the same key.
    """

    name: str
    problems: tuple[Problem, ...]
    kind: str

    @property
    def unscored(self) -> int:
        """How many problems have no gold answer."""
        return sum(not problem.answer for problem in self.problems)

    @property
    def duplicates(self) -> int:
        """How many problems repeat an earlier one word for word."""
        return len(self.problems) - len({problem.key for problem in self.problems})

    def grade(self, problem: Problem, text: str) -> Verdict:
        """The verdict on a whole response; a choice may also be named by its text."""
        return self.kind_of(problem).grade(text, problem.answer)

    def kind_of(self, problem: Problem) -> AnswerKind:
        """How the problem's answer is read and graded; a vote counts what grading reads."""
        if self.kind == "math":
            return answer_kind(self.kind)
        kind, _, letters = self.kind.partition(":")
        choices = "".join(letter_range(letters[0], letters[-1])) if letters else ""
        question = problem.prompt
        if "choices" in problem.meta:  # "poly(A)" in a choice must not be taken for the mark of one
            plain = ((letter, _MARK.sub(r"\1", text)) for letter, text in problem.meta["choices"].items())
            question = with_choices("", tuple(plain))
        read = partial(cleansing.read_exactly, kind, choices=choices, question=question)
        grade = partial(cleansing.grade, kind, mode="exact", choices=choices, question=question, whole=True)
        return AnswerKind(self.kind, read, grade, choices)


@dataclass(frozen=True, slots=True)
class Item:
    """One record as a question: ``answer`` canonical ("" unscored), ``used`` the fields that it was made from."""

    record: Record
    question: str
    answer: str
    used: tuple[str, ...]
    choices: Choices = ()
    level: int = 0
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """What a format reads out of a file: items with one kind of answer, under one name."""

    name: str
    kind: str
    items: tuple[Item, ...]


def letter_range(first: str, last: str) -> list[str]:
    return [chr(code) for code in range(ord(first), ord(last) + 1)]


def choice_kind(letters: Iterable[str]) -> str:
    """ "choice:A-E" from the letters that occur, of which A must be one."""
    return f"choice:A-{max(letters)}"


def with_choices(question: str, choices: Choices) -> str:
    """The question as the papers ask it (Kojima et al. 2022): "... Answer Choices: (A) 12 (B) 15"."""
    if not choices:
        return question
    return f"{question} Answer Choices: {' '.join(f'({letter}) {text}' for letter, text in choices)}"


def assemble(part: Part, split: str | None = None) -> Benchmark:
    """The Benchmark of a part. ``split`` holds for every problem; None: the record's own ``split``, else test."""
    return Benchmark(part.name, tuple(_problem(part.name, item, split) for item in part.items), part.kind)


def _problem(name: str, item: Item, split: str | None) -> Problem:
    prompt = with_choices(item.question, item.choices)
    said = str(item.record.row.get("split", "test"))
    if split is None and said not in SPLITS:
        raise item.record.fault(f"a split out of {', '.join(SPLITS)}", said)
    split = split or SPLITS[said]
    rest = {key: value for key, value in item.record.row.items() if key not in (*item.used, "split")}
    meta = {"line": item.record.number, **item.meta, "source": rest}
    if item.choices:
        meta["choices"] = dict(item.choices)
    key = content_key(f"{name}|{' '.join(prompt.split())}")
    return Problem(key, split, name, prompt, item.answer, item.level, meta=meta)


def number_answer(record: Record, name: str) -> str:
    """The number in a field, canonical: "1,000" is "1000", 39.0 is "39", the float 3244047.0999999996 is "3244047.1".

    A float that no short decimal spells (0.6666666666666666) stays as it is.
    """
    return canonical_number(record, name, record.text(name))


def canonical_number(record: Record, name: str, written: str) -> str:
    """`number_answer` of a text that was cut out of a field."""
    if len(written) > _LONGEST_NUMBER:
        raise record.fault(f"a number of at most {_LONGEST_NUMBER} characters in the field {name!r}", written)
    spelled = _without_exponent(written)
    value = number(spelled)
    if value is None:
        raise record.fault(f"a number in the field {name!r}", written)
    if value.denominator == 1:
        return str(value.numerator)
    if "/" in written:
        return f"{value.numerator}/{value.denominator}"
    plain = spelled.replace(",", "").replace("$", "").replace("\u2212", "-")
    short = f"{float(value):.{_FLOAT_PLACES}f}".rstrip("0")
    is_float = len(plain.strip("-").replace(".", "").lstrip("0")) > _FLOAT_DIGITS
    if is_float and f"{float(short):.{_FLOAT_DIGITS}g}" == f"{float(value):.{_FLOAT_DIGITS}g}":
        return short.rstrip(".")
    return plain.rstrip("0")


def _without_exponent(written: str) -> str:
    """ "1.4e-05" as "0.000014"; any other text as it is."""
    if not _EXPONENT.fullmatch(written):
        return written
    return format(Decimal(written), "f")


def yes_no_answer(record: Record, name: str) -> str:
    """ "yes" or "no" from a field that holds such a word, or true or false."""
    value = record.row.get(name)
    if isinstance(value, bool):
        return YES_NO[not value]
    word = record.text(name).lower()
    if word not in YES_NO:
        raise record.fault(f"yes or no in the field {name!r}", value)
    return word


def letter_answer(record: Record, name: str, choices: Choices) -> str:
    """The letter in a field, which must be one of the choices'."""
    letter = record.text(name)
    letters = [known for known, _ in choices]
    if letter not in letters:
        raise record.fault(f"one of the letters {', '.join(letters)} in the field {name!r}", letter)
    return letter


def lettered(record: Record, name: str, found: Sequence[tuple[str, str]]) -> Choices:
    """Choices in the order of their letters, which must be A, B, ... without a gap, each with a text."""
    ordered = tuple(sorted(found))
    letters = [letter for letter, _ in ordered]
    if len(ordered) < 2 or letters != letter_range("A", "Z")[: len(ordered)] or not all(text for _, text in ordered):
        raise record.fault(f"choices lettered A, B, ... in the field {name!r}", record.row.get(name))
    return ordered


def same_kind(path: object, kinds: Iterable[str]) -> str:
    """The one kind that all records have. Raises UserError where they differ."""
    distinct = sorted(set(kinds))
    if len(distinct) > 1:
        raise UserError(f"{path}: expected one kind of answer in the file; got {' and '.join(distinct)}")
    return distinct[0]
