"""Mathematics with answers in LaTeX.

- MATH (Hendrycks et al. 2021, arXiv:2103.03874) and MATH-500 (Lightman et al. 2023, arXiv:2305.20050): problem,
  solution, level, subject or type; the answer stands in ``answer``, or boxed in the solution.
- AIME, AMC: problem and answer with the address of the problem's page. "025" is 25.
"""

from __future__ import annotations

import re

from thinkling.tasks.benchmarks.benchmark import Item, Part, canonical_number
from thinkling.tasks.benchmarks.records import Record, Source
from thinkling.tasks.grading import number
from thinkling.tasks.math_grading import last_boxed

_LEVEL = re.compile(r"(?:Level )?(\d)")


def is_math(source: Source) -> bool:
    fields = set(source.first)
    return "problem" in fields and bool(fields & {"answer", "solution"}) and "url" not in fields


def read_math(source: Source) -> tuple[Part, ...]:
    name = "math-500" if {"unique_id", "subject"} <= set(source.first) else source.stem.lower()
    return (Part(name, "math", tuple(map(_math, source.records))),)


def _math(record: Record) -> Item:
    if "answer" in record.row:
        answer = record.text("answer")
    else:
        boxed = last_boxed(record.text("solution"))
        if boxed is None:
            raise record.fault("an answer in the field 'answer', or boxed in 'solution'")
        answer = boxed.text
    subject = record.row.get("subject", record.row.get("type"))
    meta = {} if subject is None else {"subject": subject}
    level = _LEVEL.fullmatch(str(record.row.get("level")))
    used = ("problem", "answer", "level", "subject", "type")
    return Item(record, record.text("problem"), answer, used, level=int(level[1]) if level else 0, meta=meta)


def is_competition(source: Source) -> bool:
    return {"problem", "answer", "url"} <= set(source.first)


def read_competition(source: Source) -> tuple[Part, ...]:
    return (Part(source.stem.lower(), "math", tuple(map(_competition, source.records))),)


def _competition(record: Record) -> Item:
    answer = record.text("answer")
    if number(answer) is not None:
        answer = canonical_number(record, "answer", answer)
    return Item(record, record.text("problem"), answer, ("problem", "question", "answer"))
