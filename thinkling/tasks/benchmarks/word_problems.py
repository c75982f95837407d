"""Word problems with a number as their answer.

- GSM8K (Cobbe et al. 2021, arXiv:2110.14168): a solution that ends in "#### 42"; GSM-Symbolic (Mirzadeh et al.
  2024, arXiv:2410.05229) is the same with the number of its template and instance.
- SVAMP (Patel et al. 2021, arXiv:2103.07191): a body and a question.
- MAWPS' form, in which AddSub, SingleEq and MultiArith are published: sQuestion and lSolutions.
- PAL's form (Gao et al. 2022, arXiv:2211.10435): input and target, with code in GSM-Hard.
"""

from __future__ import annotations

from thinkling.tasks.benchmarks.benchmark import Item, Part, canonical_number, number_answer
from thinkling.tasks.benchmarks.records import Record, Source

MARK = "####"


def is_gsm8k(source: Source) -> bool:
    return _marked(source) and "original_id" not in source.first


def is_gsm_symbolic(source: Source) -> bool:
    return _marked(source) and {"original_id", "instance"} <= set(source.first)


def _marked(source: Source) -> bool:
    # GSM-Symbolic's templates show the GSM8K problem that they were made from: they are not problems themselves.
    fields = set(source.first)
    return MARK in str(source.first.get("answer")) and "question" in fields and "question_annotated" not in fields


def read_gsm8k(source: Source) -> tuple[Part, ...]:
    return (Part("gsm8k", "number", tuple(map(_gsm8k, source.records))),)


def read_gsm_symbolic(source: Source) -> tuple[Part, ...]:
    return (Part("gsm-symbolic", "number", tuple(map(_gsm8k, source.records))),)


def _gsm8k(record: Record) -> Item:
    solution, mark, final = record.text("answer").rpartition(MARK)
    if not mark:
        raise record.fault(f"a solution that ends in {MARK!r} and a number", record.row["answer"])
    answer = canonical_number(record, "answer", final.strip())
    return Item(record, record.text("question"), answer, ("question", "answer"), meta={"solution": solution.strip()})


def is_svamp(source: Source) -> bool:
    return {"Body", "Question", "Answer"} <= set(source.first)


def read_svamp(source: Source) -> tuple[Part, ...]:
    return (Part("svamp", "number", tuple(map(_svamp, source.records))),)


def _svamp(record: Record) -> Item:
    question = f"{record.text('Body')} {record.text('Question')}"
    return Item(record, question, number_answer(record, "Answer"), ("Body", "Question", "Answer"))


def is_mawps(source: Source) -> bool:
    return {"sQuestion", "lSolutions"} <= set(source.first)


def read_mawps(source: Source) -> tuple[Part, ...]:
    return (Part(source.stem.lower(), "number", tuple(map(_mawps, source.records))),)


def _mawps(record: Record) -> Item:
    solutions = record.row.get("lSolutions")
    if not isinstance(solutions, list) or len(solutions) != 1:
        raise record.fault("a list of one number in the field 'lSolutions'", solutions)
    answer = canonical_number(record, "lSolutions", str(solutions[0]).strip())
    return Item(record, record.text("sQuestion"), answer, ("sQuestion", "lSolutions"))


def is_gsm_hard(source: Source) -> bool:
    return set(source.first) == {"input", "code", "target"}


def read_gsm_hard(source: Source) -> tuple[Part, ...]:
    return (Part("gsm-hard", "number", tuple(map(_pal, source.records))),)


def is_pal(source: Source) -> bool:
    fields = set(source.first)
    return not source.boxed and {"input", "target"} <= fields and not fields & {"code", "task", "target_scores"}


def read_pal(source: Source) -> tuple[Part, ...]:
    return (Part(source.stem.lower(), "number", tuple(map(_pal, source.records))),)


def _pal(record: Record) -> Item:
    return Item(record, record.text("input"), number_answer(record, "target"), ("input", "target"))
