"""BIG-bench's task files (Srivastava et al. 2022, arXiv:2206.04615) and BIG-Bench Hard (Suzgun et al. 2022).

A task file holds examples of an input and the scores of its possible targets; where these are yes and no (as in
StrategyQA) the answer is such a word, else a choice. BIG-Bench Hard (arXiv:2210.09261) has one file a task, with
an input that names its options itself, and a target; here its tasks may also stand in one file of JSON lines.

In the date understanding file the first choice is right in 364 of 369 questions, so a model that always says A
would look good. Where one place in the file's order is right more than three times in four, each question's
choices are shuffled by a hash of it, the same everywhere; elsewhere they stay in the file's order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from thinkling.core.errors import UserError
from thinkling.core.seeds import stream
from thinkling.tasks.benchmarks.benchmark import YES_NO, Choices, Item, Part, choice_kind, letter_range
from thinkling.tasks.benchmarks.records import Record, Source
from thinkling.tasks.grading import number

_TELLING = 0.75
_OPTION_LINE = re.compile(r"^\(([A-Z])\) ", re.MULTILINE)
_OPTION_TARGET = re.compile(r"\(([A-Z])\)")
_UNFINISHED = "\nWhich choice is true ?"  # Kojima et al. 2022 end a question that is half a sentence so


def is_big_bench(source: Source) -> bool:
    return source.boxed and {"input", "target_scores"} <= set(source.first)


def read_big_bench(source: Source) -> tuple[Part, ...]:
    name = str(source.header.get("name") or source.stem.lower())
    scored = [(record, _scores(record)) for record in source.records]
    if all({target.lower() for target in targets} == set(YES_NO) for _, (targets, _) in scored):
        items = tuple(Item(r, r.text("input"), t[right].lower(), _USED) for r, (t, right) in scored)
        return (Part(name, "yes-no", items),)
    places = Counter(right for _, (_, right) in scored)
    shuffled = len(scored) > 1 and max(places.values()) > _TELLING * len(scored)
    items = tuple(_choice(record, targets, right, shuffled) for record, (targets, right) in scored)
    return (Part(name, choice_kind(letter for item in items for letter, _ in item.choices), items),)


_USED = ("input", "target_scores")


def _scores(record: Record) -> tuple[list[str], int]:
    """The targets in the file's order, and the place of the one right target."""
    scores = record.row.get("target_scores")
    if not isinstance(scores, dict) or not 2 <= len(scores) <= 26:
        raise record.fault("2 to 26 targets with their scores in the field 'target_scores'", scores)
    right = [place for place, score in enumerate(scores.values()) if str(score) in ("1", "1.0")]
    wrong = sum(str(score) in ("0", "0.0") for score in scores.values())
    if len(right) != 1 or wrong != len(scores) - 1:
        raise record.fault("a score of 1 for one target and 0 for the others in 'target_scores'", scores)
    return [target.strip() for target in scores], right[0]


def _choice(record: Record, targets: list[str], right: int, shuffled: bool) -> Item:
    question = record.text("input")
    order = list(range(len(targets)))
    if shuffled:
        stream(0, "choices", " ".join(question.split())).shuffle(order)
    letters = letter_range("A", "Z")[: len(targets)]
    choices: Choices = tuple((letter, targets[place]) for letter, place in zip(letters, order, strict=True))
    if not question.endswith((".", "?", "!", ":", '"')):
        question += _UNFINISHED
    return Item(record, question, letters[order.index(right)], _USED, choices)


def is_bbh(source: Source) -> bool:
    return source.boxed and set(source.first) == {"input", "target"}


def is_bbh_lines(source: Source) -> bool:
    return not source.boxed and {"task", "input", "target"} == set(source.first)


def read_bbh(source: Source) -> tuple[Part, ...]:
    return (_task(source.stem.lower(), source.records),)


def read_bbh_lines(source: Source) -> tuple[Part, ...]:
    tasks: dict[str, list[Record]] = {}
    for record in source.records:
        tasks.setdefault(record.text("task"), []).append(record)
    return tuple(_task(task, records) for task, records in tasks.items())


def _task(task: str, records: Sequence[Record]) -> Part:
    """One task. In a task of choices, a target that is no option's letter (three are) leaves its problem unscored."""
    inputs = [record.text("input") for record in records]
    targets = [record.text("target") for record in records]
    letters = {letter for text in inputs for letter in _OPTION_LINE.findall(text)}
    if letters and any(map(_OPTION_TARGET.fullmatch, targets)):
        kind = choice_kind(letters)
        answers = [_option(record, text) for record, text in zip(records, inputs, strict=True)]
    elif all(target.lower() in YES_NO for target in targets):
        kind, answers = "yes-no", [target.lower() for target in targets]
    elif all(number(target) is not None for target in targets):
        kind, answers = "number", targets
    else:
        kind, answers = "text", targets
    used = ("input", "target", "task")
    items = tuple(
        Item(record, text, answer, used, meta={"task": task} | ({} if answer else {"target": target}))
        for record, text, target, answer in zip(records, inputs, targets, answers, strict=True)
    )
    return Part(f"bbh-{task}", kind, items)


def _option(record: Record, text: str) -> str:
    """The letter of the target; "" where the target is a text, which must be one of no option."""
    target = record.text("target")
    found = _OPTION_TARGET.fullmatch(target)
    if not found:
        return ""
    if found[1] not in _OPTION_LINE.findall(text):
        raise UserError(f"{record.where}: expected a target out of the options of its input; got {target!r}")
    return found[1]
