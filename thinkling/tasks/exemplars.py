"""Worked examples to show before a question: from a file that the user points to, or from a family of ours.

Each is a question, the rationale (the chain of thought; "" where there is none) and the bare answer. Known forms,
told apart by content:

- ours: JSONL or a JSON list of {"question", "rationale", "answer"};
- {"question", "target"}, the target ending in "The answer is 6." (Wei et al. 2022, arXiv:2201.11903, table 20);
- {"problem", "solution"} with a boxed answer (Minerva: Lewkowycz et al. 2022, arXiv:2206.14858, appendix D.2);
- a whole prompt of "Q: ... A: ... So the answer is (B)." as plain text (BIG-Bench Hard: Suzgun et al. 2022,
  arXiv:2210.09261), or many such prompts, as JSONL of {"task", "prompt"} or as a JSON object task -> prompt;
- {"cot_pool": ["Q: ... A: ..."]}, as in the llm-reasoners library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive, stream
from thinkling.core.types import Message, Problem
from thinkling.tasks.benchmarks.records import Record, read_text
from thinkling.tasks.family import Family
from thinkling.tasks.math_grading import last_boxed
from thinkling.tasks.sets import problems

_CHOICE = 8  # times as many problems as are wanted, of which the shortest are shown
_QUESTION = re.compile(r"^Q:[ \t]*", re.MULTILINE)
_ANSWER = re.compile(r"^A:[ \t]*", re.MULTILINE)
_CONCLUSION = re.compile(r"(?:\bSo )?\b[Tt]he answer is:?[ \t]+(.+)")
_MINERVA = re.compile(r"\s*\bFinal Answer: The final answer is\b.*", re.DOTALL)
_OPENER = "Let's think step by step."


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A worked example; ``answer`` is bare ("6", "(B)"), ``rationale`` leads up to it without stating it."""

    question: str
    rationale: str
    answer: str


def exemplars_of(family: Family, n: int, seed: int) -> tuple[Exemplar, ...]:
    """At most ``n`` problems of the family's own train split with its solutions, step by step where it can."""
    return tuple(
        Exemplar(problem.prompt, message.thinking or "", problem.answer)
        for problem, message in solved(family, n, seed, _length)
    )


def solved(
    family: Family, n: int, seed: int, length: Callable[[Problem, Message], int]
) -> list[tuple[Problem, Message]]:
    """At most ``n`` solved train problems: by ``length``, the shortest of several times as many.

    A small model's context must hold them, the question and the answer, and it knows nothing of positions beyond
    the windows it was trained on.
    """
    style = "steps" if "steps" in family.styles else family.styles[0]
    drawn = problems(family, "train", _CHOICE * n, derive(seed, "shots"), at_most=True)
    pairs = [(problem, family.solve(problem, style, stream(seed, "shot", problem.key))) for problem in drawn]
    return sorted(pairs, key=lambda pair: length(*pair))[:n]


def _length(problem: Problem, message: Message) -> int:
    return len(problem.prompt) + len(message.thinking or "") + len(message.text)


def read_exemplars(path: str | Path, task: str | None = None) -> tuple[Exemplar, ...]:
    """The exemplars in a file, in its order; ``task`` picks one prompt of a file that holds several.

    Raises UserError where the file is of no known form, an example lacks its answer, or a task must be named.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"expected a file of exemplars at {file}; there is none")
    text = read_text(file)
    rows, prompts = _parsed(file, text)
    if prompts:
        return _pairs(f"{file}: {(chosen := _chosen(file, prompts, task))}", prompts[chosen])
    if task is not None:
        raise UserError(
            f"{file}: expected a file of several tasks to pick {task!r} from; it holds one set of exemplars"
        )
    made = tuple(_exemplar(record) for record in rows)
    if not made:
        raise UserError(f"{file}: expected at least one exemplar; the file is empty")
    return made


def _parsed(file: Path, text: str) -> tuple[list[Record], dict[str, str]]:
    """The file's records, or its prompts by task; one of the two is empty."""
    try:
        rows: Any = json.loads(text)
    except ValueError:
        if not text.lstrip().startswith(("{", "[")):
            return [], {file.stem: text}
        rows = _lines(file, text)
    if isinstance(rows, dict) and isinstance(rows.get("cot_pool"), list):
        return [], {file.stem: "\n\n".join(str(pair).strip() for pair in rows["cot_pool"])}
    if isinstance(rows, dict) and not {"question", "problem"} & set(rows):
        if rows and all(isinstance(prompt, str) and _QUESTION.search(prompt) for prompt in rows.values()):
            return [], rows
        raise UserError(
            f"{file}: expected exemplars (question, rationale, answer), a list cot_pool, or an object of prompts "
            f"'Q: ... A: ...' by task; got an object with {', '.join(map(str, rows)) or 'nothing'}"
        )
    rows = rows if isinstance(rows, list) else [rows]
    if rows and all(isinstance(row, dict) and set(row) == {"task", "prompt"} for row in rows):
        return [], {str(row["task"]): str(row["prompt"]) for row in rows}
    faulty = next((place for place, row in enumerate(rows, 1) if not isinstance(row, dict)), None)
    if faulty:
        raise UserError(f"{file}: exemplar {faulty}: expected a JSON object; got {type(rows[faulty - 1]).__name__}")
    return [Record(f"{file}: exemplar {place}", place, row) for place, row in enumerate(rows, 1)], {}


def _lines(file: Path, text: str) -> list[Any]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise UserError(f"{file}:{number}: expected one JSON object; {error}") from None
    return rows


def _chosen(file: Path, prompts: dict[str, str], task: str | None) -> str:
    if task is None and len(prompts) == 1:
        return next(iter(prompts))
    if task not in prompts:
        came = "none was named" if task is None else f"got {task!r}"
        raise UserError(f"{file}: expected one of its tasks: {', '.join(prompts)}; {came}")
    return task


def _exemplar(record: Record) -> Exemplar:
    """An exemplar from one of the three shapes of a record."""
    if "target" in record.row:
        rationale, answer = _concluded(record, "target")
        return Exemplar(record.text("question"), rationale, answer)
    if "solution" in record.row:
        solution = _MINERVA.sub("", record.text("solution"))
        boxed = last_boxed(solution)
        if boxed is None:
            raise record.fault("an answer in \\boxed{...} in the field 'solution'", record.row["solution"])
        return Exemplar(record.text("problem"), solution, boxed.text)
    rationale = record.text("rationale") if record.row.get("rationale") else ""
    return Exemplar(record.text("question"), rationale, record.text("answer"))


def _concluded(record: Record, name: str) -> tuple[str, str]:
    """A text split into what leads up to its last "The answer is X." and X."""
    text = record.text(name)
    found = list(_CONCLUSION.finditer(text))
    if not found:
        raise record.fault(f"'The answer is ...' in the field {name!r}", text)
    answer = found[-1][1].strip().removesuffix(".").strip()
    return text[: found[-1].start()].strip().removeprefix(_OPENER).strip(), answer


def _pairs(where: str, prompt: str) -> tuple[Exemplar, ...]:
    """The exemplars in a prompt "Q: ... A: ..."; what comes before the first question is an instruction."""
    made = []
    for place, piece in enumerate(_QUESTION.split(prompt)[1:], 1):
        question, *answers = _ANSWER.split(piece)
        record = Record(f"{where}, question {place}", place, {"A": answers[0]} if len(answers) == 1 else {})
        if not record.row:
            raise record.fault("one answer 'A: ...' after each question 'Q: ...'", piece)
        made.append(Exemplar(question.strip(), *_concluded(record, "A")))
    if not made:
        raise UserError(f"{where}: expected questions 'Q: ...' with answers 'A: ...'; got {prompt.strip()[:60]!r}")
    return tuple(made)
