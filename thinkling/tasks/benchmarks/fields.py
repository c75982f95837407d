"""Any file of records whose fields the user names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from thinkling.core.errors import UserError
from thinkling.tasks.benchmarks.benchmark import (
    KINDS,
    YES_NO,
    Choices,
    Item,
    Part,
    canonical_number,
    choice_kind,
    letter_range,
    lettered,
    yes_no_answer,
)
from thinkling.tasks.benchmarks.multiple_choice import OPTION
from thinkling.tasks.benchmarks.records import Record, Source
from thinkling.tasks.grading import number

_CHOICE_KIND = re.compile(r"choice:A-[B-Z]")


@dataclass(frozen=True, slots=True)
class Fields:
    """Names of the fields of a record, and how to take its answer.

    ``choices`` holds a list of texts, of objects with label and text, or an object letter -> text. The answer is
    then a letter or the text of a choice; with ``first_choice`` (0 or 1) it is the number of a choice, counted
    from there. ``kind`` "" is a choice where there are choices; a number, yes or no, or mathematics (a LaTeX
    command) where all answers are of that sort; else text. An answer that is null or "" leaves its problem unscored.
    """

    question: str
    answer: str
    choices: str = ""
    level: str = ""
    kind: str = ""
    first_choice: int | None = None

    def __post_init__(self) -> None:
        if self.kind and self.kind not in KINDS and not _CHOICE_KIND.fullmatch(self.kind):
            raise UserError(f"expected a kind of answer out of {', '.join(KINDS)}; got {self.kind!r}")
        if self.kind and bool(self.choices) != self.kind.startswith("choice"):
            raise UserError(f"a field of choices belongs to a kind choice:A-E; got the kind {self.kind!r}")
        if self.first_choice is not None and (self.first_choice not in (0, 1) or not self.choices):
            raise UserError("the number of the first choice is 0 or 1, and belongs to a field of choices")


def read_fields(source: Source, fields: Fields) -> tuple[Part, ...]:
    """The problems of a file by its named fields. Raises UserError naming the record that lacks one."""
    for record in source.records:
        for name in filter(None, (fields.question, fields.answer, fields.choices, fields.level)):
            if name not in record.row:
                raise record.fault(f"the field {name!r}")
    name = source.stem.lower()
    if fields.choices:
        items = tuple(_choice(record, fields) for record in source.records)
        letters = {letter for item in items for letter, _ in item.choices}
        kind = choice_kind(letters | ({fields.kind[-1]} if fields.kind else set()))
        if fields.kind and kind != fields.kind:
            raise UserError(f"{source.path}: expected the choices of {fields.kind}; the file has those of {kind}")
        return (Part(name, kind, items),)
    kind = fields.kind or _kind(source.records, fields.answer)
    return (Part(name, kind, tuple(_plain(record, fields, kind) for record in source.records)),)


def _kind(records: Sequence[Record], name: str) -> str:
    values = [record.row[name] for record in records if not _missing(record, name)]
    texts = [str(value).strip() for value in values]
    if values and all(
        isinstance(value, bool) or text.lower() in YES_NO for value, text in zip(values, texts, strict=True)
    ):
        return "yes-no"
    if texts and all(number(text) is not None for text in texts):
        return "number"
    return "math" if any("\\" in text for text in texts) else "text"


def _missing(record: Record, name: str) -> bool:
    return record.row[name] is None or record.row[name] == ""


def _plain(record: Record, fields: Fields, kind: str) -> Item:
    name = fields.answer
    if _missing(record, name):
        answer = ""
    elif kind == "number":
        answer = canonical_number(record, name, record.text(name))
    elif kind == "yes-no":
        answer = yes_no_answer(record, name)
    else:
        answer = record.text(name)
    return Item(record, record.text(fields.question), answer, (fields.question, name), level=_level(record, fields))


def _choice(record: Record, fields: Fields) -> Item:
    choices = _choices(record, fields.choices)
    answer = "" if _missing(record, fields.answer) else _letter(record, fields, choices)
    used = (fields.question, fields.answer, fields.choices)
    return Item(record, record.text(fields.question), answer, used, choices, _level(record, fields))


def _level(record: Record, fields: Fields) -> int:
    return record.whole(fields.level) if fields.level else 0


def _choices(record: Record, name: str) -> Choices:
    """Choices from any of the shapes that are in use; without letters of their own they get A, B, ... in order."""
    value: Any = record.row[name]
    if isinstance(value, dict) and isinstance(value.get("label"), list) and isinstance(value.get("text"), list):
        value = [
            dict(zip(("label", "text"), pair, strict=False))
            for pair in zip(value["label"], value["text"], strict=False)
        ]
    elif isinstance(value, dict):
        value = [{"label": label, "text": text} for label, text in value.items()]
    if not isinstance(value, list) or not 2 <= len(value) <= 26:
        raise record.fault(f"2 to 26 choices in the field {name!r}", value)
    if all(isinstance(choice, dict) and {"label", "text"} <= set(choice) for choice in value):
        return lettered(record, name, [(str(choice["label"]), str(choice["text"]).strip()) for choice in value])
    letters = letter_range("A", "Z")[: len(value)]
    texts = [str(choice).strip() for choice in value]
    marked = [OPTION.fullmatch(text) for text in texts]
    if [match and (match[1] or match[2]) for match in marked] == letters:
        texts = [match[3] for match in marked if match]
    return lettered(record, name, list(zip(letters, texts, strict=True)))


def _letter(record: Record, fields: Fields, choices: Choices) -> str:
    said = record.text(fields.answer)
    if fields.first_choice is not None:
        place = int(said) - fields.first_choice if said.isdecimal() else -1
        if not 0 <= place < len(choices):
            last = len(choices) - 1 + fields.first_choice
            raise record.fault(f"a number from {fields.first_choice} to {last} in the field {fields.answer!r}", said)
        return choices[place][0]
    meant = {letter for letter, text in choices if said in (letter, f"({letter})", text)}
    if len(meant) != 1:
        raise record.fault(
            f"the letter or the text of one choice in the field {fields.answer!r} (a choice's number needs "
            "the number of the first)",
            said,
        )
    return meant.pop()
