"""Multiple choice.

- AQuA-RAT (Ling et al. 2017, arXiv:1705.04146): options "A)12", and the right letter in ``correct``.
- AGIEval (Zhong et al. 2023, arXiv:2304.06364): a passage or none, options "(A)12", the right letter in ``label``;
  its MATH part has no options, and the answer in ``answer``.
- CommonsenseQA (Talmor et al. 2019, arXiv:1811.00937) and ARC (Clark et al. 2018, arXiv:1803.05457): a stem and
  labelled choices, the right label in ``answerKey``. OpenBookQA is published in ARC's form.

A test file without answers (CommonsenseQA's) is asked all the same; its problems have the answer "".
"""

from __future__ import annotations

import re
from typing import Any

from thinkling.tasks.benchmarks.benchmark import (
    Choices,
    Item,
    Part,
    choice_kind,
    letter_answer,
    lettered,
    same_kind,
)
from thinkling.tasks.benchmarks.records import Record, Source

# "A)12", "(A)12", "(A) 12", "A. 12", and what the Chinese sets have: "A. 12" in full width, "A 12".
OPTION = re.compile(r"\s*(?:\(([A-Z])\)|([A-Z])(?:\s*[).\uff0e]|\s))\s*(.*\S)\s*", re.DOTALL)
_LEVEL = re.compile(r"(?:Level )?(\d)")


def is_aqua(source: Source) -> bool:
    return {"question", "options", "rationale", "correct"} <= set(source.first)


def read_aqua(source: Source) -> tuple[Part, ...]:
    items = tuple(map(_aqua, source.records))
    return (Part("aqua", choice_kind(letter for item in items for letter, _ in item.choices), items),)


def _aqua(record: Record) -> Item:
    choices = _options(record, "options")
    answer = letter_answer(record, "correct", choices)
    return Item(record, record.text("question"), answer, ("question", "options", "correct"), choices)


def is_agieval(source: Source) -> bool:
    return {"passage", "question", "options", "label", "other"} <= set(source.first)


def read_agieval(source: Source) -> tuple[Part, ...]:
    items = tuple(map(_agieval, source.records))
    kind = same_kind(source.path, ("choice" if item.choices else "math" for item in items))
    if kind == "choice":
        kind = choice_kind(letter for item in items for letter, _ in item.choices)
    name = source.stem.lower()
    return (Part(name if name.startswith("agieval") else f"agieval-{name}", kind, items),)


def _agieval(record: Record) -> Item:
    question = record.text("question")
    if record.row.get("passage"):
        question = f"{record.text('passage')}\n{question}"
    other = record.row.get("other")
    meta = {"subject": other["type"]} if isinstance(other, dict) and "type" in other else {}
    used = ("passage", "question", "options", "label", "answer")
    if record.row.get("options") is None:
        return Item(record, question, record.text("answer"), used, level=_level(other), meta=meta)
    choices = _options(record, "options")
    return Item(record, question, letter_answer(record, "label", choices), used, choices, _level(other), meta)


def _level(other: Any) -> int:
    found = _LEVEL.fullmatch(str(other.get("level"))) if isinstance(other, dict) else None
    return int(found[1]) if found else 0


def is_commonsenseqa(source: Source) -> bool:
    return _stemmed(source) and "question_concept" in source.first["question"]


def is_arc(source: Source) -> bool:
    return _stemmed(source) and "question_concept" not in source.first["question"]


def _stemmed(source: Source) -> bool:
    question = source.first.get("question")
    return isinstance(question, dict) and {"stem", "choices"} <= set(question)


def read_commonsenseqa(source: Source) -> tuple[Part, ...]:
    return _read_stemmed(source, "commonsenseqa")


def read_arc(source: Source) -> tuple[Part, ...]:
    return _read_stemmed(source, source.stem.lower())


def _read_stemmed(source: Source, name: str) -> tuple[Part, ...]:
    # Only a file in which no record has an answer was published without; elsewhere a missing one is a fault.
    answered = any("answerKey" in record.row for record in source.records)
    items = tuple(_stem(record, answered) for record in source.records)
    return (Part(name, choice_kind(letter for item in items for letter, _ in item.choices), items),)


def _stem(record: Record, answered: bool) -> Item:
    question = record.row.get("question")
    if not isinstance(question, dict):
        raise record.fault("an object with stem and choices in the field 'question'", question)
    inner = Record(record.where, record.number, question)
    stem, listed = inner.text("stem"), question.get("choices")
    if not isinstance(listed, list) or not all(isinstance(choice, dict) for choice in listed):
        raise record.fault("a list of objects with label and text in the field 'choices'", listed)
    labels = [str(choice.get("label")) for choice in listed]
    # Some of ARC's questions number their choices.
    renamed = {str(place + 1): chr(ord("A") + place) for place in range(len(labels))}
    letters = renamed if labels == list(renamed) else {label: label for label in labels}
    texts = [str(choice.get("text", "")).strip() for choice in listed]
    choices = lettered(inner, "choices", [(letters[label], text) for label, text in zip(labels, texts, strict=True)])
    meta = {"subject": question["question_concept"]} if "question_concept" in question else {}
    answer = ""
    if answered:
        key = record.text("answerKey")
        if key not in letters:
            raise record.fault(f"one of the labels {', '.join(labels)} in the field 'answerKey'", key)
        answer = letters[key]
    return Item(record, stem, answer, ("question", "answerKey"), choices, meta=meta)


def _options(record: Record, name: str) -> Choices:
    """Choices from texts that each begin with their letter."""
    listed = record.row.get(name)
    if not isinstance(listed, list):
        raise record.fault(f"a list of choices in the field {name!r}", listed)
    found = [OPTION.fullmatch(str(option)) for option in listed]
    pairs = [(match[1] or match[2], match[3]) for match in found if match]
    if len(pairs) < len(listed):
        raise record.fault(f"choices such as 'A) 12' or '(A) 12' in the field {name!r}", listed)
    return lettered(record, name, pairs)
