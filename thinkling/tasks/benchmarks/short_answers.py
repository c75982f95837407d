"""Questions with a word as their answer.

- Coin flip and last letter concatenation (Wei et al. 2022, arXiv:2201.11903; the files are Kojima et al.'s).
- StrategyQA (Geva et al. 2021, arXiv:2101.02235) as its authors publish it: the answer is true or false.
"""

from __future__ import annotations

from thinkling.tasks.benchmarks.benchmark import Item, Part, yes_no_answer
from thinkling.tasks.benchmarks.records import Record, Source


def is_coin_flip(source: Source) -> bool:
    return _pairs(source) and "coin" in str(source.first["question"])


def is_last_letters(source: Source) -> bool:
    return _pairs(source) and "last letters" in str(source.first["question"])


def _pairs(source: Source) -> bool:
    return source.boxed and set(source.first) == {"question", "answer"}


def read_coin_flip(source: Source) -> tuple[Part, ...]:
    return (Part("coin-flip", "yes-no", tuple(map(_yes_no, source.records))),)


def read_last_letters(source: Source) -> tuple[Part, ...]:
    items = tuple(Item(r, r.text("question"), _letters(r), ("question", "answer")) for r in source.records)
    return (Part("last-letters", "letters", items),)


def _letters(record: Record) -> str:
    answer = record.text("answer")
    if not answer.isalpha():
        raise record.fault("letters in the field 'answer'", answer)
    return answer.lower()


def is_strategyqa(source: Source) -> bool:
    return {"qid", "question", "answer"} <= set(source.first) and isinstance(source.first["answer"], bool)


def read_strategyqa(source: Source) -> tuple[Part, ...]:
    return (Part("strategyqa", "yes-no", tuple(map(_yes_no, source.records))),)


def _yes_no(record: Record) -> Item:
    return Item(record, record.text("question"), yes_no_answer(record, "answer"), ("question", "answer"))
