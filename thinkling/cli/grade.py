"""`thinkling grade`: grade a file of model outputs, as a paper did it or by what was said; no model is needed.

One JSON object a line, gzip or not, in one of three formats: logs of zero-shot chain of thought, outputs on
BIG-Bench Hard, or anything of one's own with a field for the text and one for the gold answer.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from thinkling.core.errors import UserError
from thinkling.core.types import Verdict
from thinkling.tasks import bbh, cleansing, kojima
from thinkling.tasks.cleansing import MODES, Mode

GZIP_MAGIC = b"\x1f\x8b"
_LONGEST_INT = 18  # digits of a JSON number that is read as one; longer ones stay text, which no limit refuses
_SHOWN = 60  # characters of an answer in the examples

Row = dict[str, Any]


class Modes(StrEnum):
    paper = "paper"
    exact = "exact"
    both = "both"


class Kind(StrEnum):
    number = "number"
    choice = "choice"
    yes_no = "yes-no"
    letters = "letters"
    text = "text"


def grade(
    file: Annotated[Path, typer.Argument(help="JSONL of model outputs, gzip or not.")],
    mode: Annotated[
        Modes, typer.Option(help="As the paper did it, by what was said, or both, with the verdicts that change.")
    ] = Modes.exact,
    out: Annotated[Path | None, typer.Option("--out", help="JSONL with one verdict per output, in order.")] = None,
    text_field: Annotated[str | None, typer.Option(help="Your own format: the field with the response.")] = None,
    gold_field: Annotated[str | None, typer.Option(help="Your own format: the field with the gold answer.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="Your own format: what the answers are.")] = None,
    choices: Annotated[str, typer.Option(help="With --kind choice, the letters; without, ABCDE.")] = "",
    question_field: Annotated[
        str, typer.Option(help='With --kind choice, the field with the question and its "(A) ... (B) ...".')
    ] = "",
) -> None:
    """Grade a file of model outputs: accuracy, interval and unparsed share per data set and method.

    The format is known by its fields: logs of zero-shot chain of thought (dataset, method, pred_before, gold),
    outputs on BIG-Bench Hard (task, input, prediction, target), or your own with --text-field, --gold-field
    and --kind.
    """
    own = None
    if text_field or gold_field or kind or choices or question_field:
        if not (text_field and gold_field and kind):
            raise UserError("a format of your own needs --text-field, --gold-field and --kind, all three")
        if kind != "choice" and (choices or question_field):
            raise UserError(f"--choices and --question-field belong to --kind choice; came --kind {kind}")
        own = Own(file.name, text_field, gold_field, kind, kojima.choice_letters(choices), question_field)
    tally = Tally(MODES if mode == "both" else tuple(known for known in MODES if known == mode))
    if out is None:
        for _ in graded(file, tally, own):
            pass
    else:
        with _replacing(out, file) as sink:
            for record in graded(file, tally, own):
                sink.write(json.dumps(record) + "\n")
    typer.echo("\n".join(tally.lines()))


def graded(file: Path, tally: Tally, own: Own | None = None) -> Iterator[dict[str, Any]]:
    """One record per output of ``file``, in order, counted in ``tally``.

    A record is the output's identity (line, dataset, method, and n where it has one), then pred, correct, status
    and reason: at its top for one mode, under each mode's name for two. Raises UserError naming the line that
    is no output in the file's format.
    """
    read: Callable[[str, Row], Output] | None = own.output if own else None
    for line, row in read_rows(file):
        where = f"{file}:{line}"
        read = read or _format_of(file, where, row)
        output = read(where, row)
        verdicts = {mode: output.verdict(mode=mode) for mode in tally.modes}
        tally.add(line, output, verdicts)
        record = {"line": line, "dataset": output.dataset, "method": output.method}
        record |= {"n": row["n"]} if "n" in row else {}
        told = {mode: _told(verdict) for mode, verdict in verdicts.items()}
        yield record | (told if len(told) > 1 else next(iter(told.values())))
    if read is None or not tally.counts:
        raise UserError(f"{file}: expected one JSON object a line; the file has none")


def _told(verdict: Verdict) -> dict[str, Any]:
    correct = None if verdict.score is None else verdict.score == 1.0
    return {"pred": verdict.extracted, "correct": correct, "status": verdict.status, "reason": verdict.reason}


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a model: what it answers, the part its answer is taken from, and how it is graded."""

    dataset: str
    method: str
    text: str
    gold: str
    verdict: Callable[..., Verdict]  # takes ``mode``


@dataclass(frozen=True, slots=True)
class Own:
    """A format of the user's: whole responses; ``dataset`` and ``method`` are used where a row has them."""

    file_name: str
    text_field: str
    gold_field: str
    kind: str
    choices: str = ""
    question_field: str = ""

    def output(self, where: str, row: Row) -> Output:
        """The output in a row."""
        text, gold = _text(where, row, self.text_field), _gold(where, row, self.gold_field)
        question = _text(where, row, self.question_field) if self.question_field else ""
        dataset = _text(where, row, "dataset") if "dataset" in row else self.file_name
        method = _text(where, row, "method") if "method" in row else ""
        verdict = partial(cleansing.grade, self.kind, text, gold, choices=self.choices, question=question, whole=True)
        return Output(dataset, method, text, gold, verdict)


def _zero_shot_log(where: str, row: Row) -> Output:
    """Kojima et al. 2022: ``pred_before`` is what followed the last trigger."""
    dataset, method = _text(where, row, "dataset"), _text(where, row, "method")
    for name, value, known in (("dataset", dataset, kojima.DATASETS), ("method", method, kojima.METHODS)):
        if value not in known:
            raise UserError(
                f"{where}: expected a {name} out of {', '.join(known)}; got {value!r}. For others tell the "
                "format: --text-field pred_before --gold-field gold --kind KIND"
            )
    answers, text, gold = kojima.DATASETS[dataset], _text(where, row, "pred_before"), _gold(where, row, "gold")
    question = _text(where, row, "question") if "question" in row else ""
    whole = kojima.METHODS[method]
    verdict = partial(
        cleansing.grade, answers.kind, text, gold, choices=answers.choices, question=question, whole=whole
    )
    return Output(dataset, method, text, gold, verdict)


def _big_bench_hard(where: str, row: Row, chain_of_thought: bool) -> Output:
    """Suzgun et al. 2022; a file holds either chain-of-thought or answer-only outputs."""
    task, question, prediction = (_text(where, row, name) for name in ("task", "input", "prediction"))
    if task not in bbh.TASKS:
        raise UserError(f"{where}: {task!r} is no task of BIG-Bench Hard, which has {', '.join(sorted(bbh.TASKS))}")
    target = _gold(where, row, "target")
    verdict = partial(bbh.grade, task, question, prediction, target, chain_of_thought=chain_of_thought)
    method = "cot" if chain_of_thought else "direct"
    return Output(task, method, bbh.answer_part(prediction, chain_of_thought), target, verdict)


def _format_of(file: Path, where: str, row: Row) -> Callable[[str, Row], Output]:
    """The format of a file, by the fields of its first row."""
    if {"dataset", "method", "pred_before", "gold"} <= set(row):
        return _zero_shot_log
    if {"task", "input", "prediction", "target"} <= set(row):
        predictions = (str(other.get("prediction")) for _, other in read_rows(file))
        return partial(_big_bench_hard, chain_of_thought=bbh.is_chain_of_thought(predictions))
    raise UserError(
        f"{where}: expected the fields dataset, method, pred_before, gold (zero-shot chain of thought), or task, "
        "input, prediction, target (BIG-Bench Hard), or your own with --text-field, --gold-field and --kind; "
        f"the row has {_fields(row)}"
    )


def _text(where: str, row: Row, name: str) -> str:
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        came = repr(value)[:_SHOWN] if name in row else f"only the fields {_fields(row)}"
        raise UserError(f"{where}: expected text in the field {name!r} (an empty one for no answer); came {came}")
    return value


def _gold(where: str, row: Row, name: str) -> str:
    """The gold answer as text; "" where it is null: such an output stays unscored."""
    return "" if name in row and row[name] is None else _text(where, row, name)


def _fields(row: Row) -> str:
    return f"{', '.join(map(str, row)) or 'none'}"[:200]


@dataclass
class Tally:
    """Verdicts counted per (data set, method), and an example of each sort of change between two modes."""

    modes: Sequence[Mode]
    counts: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    examples: dict[tuple[tuple[str, str], str], str] = field(default_factory=dict)

    def add(self, line: int, output: Output, verdicts: Mapping[Mode, Verdict]) -> None:
        """Count one output's verdicts."""
        group = (output.dataset, output.method)
        count = self.counts.setdefault(group, Counter())
        count["n"] += 1
        for mode, verdict in verdicts.items():
            count[f"{mode} {_outcome(verdict)}"] += 1
            count[f"{mode} unparsed"] += verdict.status == "unparsed"
        if len(verdicts) < 2 or _outcome(verdicts["paper"]) == _outcome(verdicts["exact"]):
            return
        change = f"to {_outcome(verdicts['exact'])}"
        count[change] += 1
        if (group, change) not in self.examples:
            told = (f"{mode} {_outcome(one)} {_short(one.extracted or '')}" for mode, one in verdicts.items())
            reason = verdicts["exact"].reason.partition(";")[0]
            place = f"{' '.join(map(_printable, group))}, line {line}"
            said = f"{place}: {_short(output.text)} for {_short(output.gold)}: {', '.join(told)}"
            self.examples[group, change] = f"{said} ({reason})" if reason else said

    def lines(self) -> Iterator[str]:
        """The table, one line per data set and method, and what changed between two modes."""
        flawed = [mode for mode in self.modes if any(count[f"{mode} unscored"] for count in self.counts.values())]
        changes = ["to right", "to wrong"] if len(self.modes) > 1 else []
        heads = ["data set", "method", "n"]
        for mode in self.modes:
            heads += [mode, "95% interval", "unparsed"] + ["unscored"] * (mode in flawed)
        table = [heads + changes]
        for group, count in self.counts.items():
            cells = [*map(_printable, group), str(count["n"])]
            for mode in self.modes:
                cells += _accuracy(count, mode) + [str(count[f"{mode} unscored"])] * (mode in flawed)
            table.append(cells + [str(count[change]) for change in changes])
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for row in table:
            names = (cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True))
            numbers = (cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True))
            yield "  ".join((*names, *numbers))
        yield from self._averages()
        if self.examples:
            yield from ("", "one of each sort of change:", *self.examples.values())

    def _averages(self) -> Iterator[str]:
        for mode in self.modes:
            shares = {task: _share(count, mode) for (task, _), count in self.counts.items()}
            known = {task: share for task, share in shares.items() if share is not None}
            average = bbh.paper_average(known)
            if average is not None:
                yield f"{mode}: mean over the 23 tasks of the paper {average:.1%}"


def _outcome(verdict: Verdict) -> str:
    return "unscored" if verdict.score is None else "right" if verdict.score == 1.0 else "wrong"


def _share(count: Counter[str], mode: str) -> float | None:
    scored = count[f"{mode} right"] + count[f"{mode} wrong"]
    return count[f"{mode} right"] / scored if scored else None


def _accuracy(count: Counter[str], mode: str) -> list[str]:
    """Accuracy among the scored outputs, its Wilson interval, and the unparsed share of all."""
    from thinkling.evaluate.statistics import wilson

    unparsed = f"{count[f'{mode} unparsed'] / count['n']:.1%}"
    scored = count[f"{mode} right"] + count[f"{mode} wrong"]
    if not scored:
        return ["-", "-", unparsed]
    estimate = wilson(count[f"{mode} right"], scored)
    return [f"{estimate.value:.1%}", f"[{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]", unparsed]


def _short(text: str) -> str:
    return repr(text.strip()[:_SHOWN])


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)


def read_rows(file: Path) -> Iterator[tuple[int, Row]]:
    """Line number and object of each line that is not blank. Numbers keep their spelling: 8.00 is "8.00".

    Raises UserError naming the line that is no JSON object in UTF-8, or the file that is damaged.
    """
    if not file.is_file():
        raise UserError(f"expected a JSONL file at {file}; there is none")
    with file.open("rb") as raw:
        zipped = raw.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
        lines = gzip.GzipFile(fileobj=raw) if zipped else raw
        number = 0
        try:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _object(f"{file}:{number}", line)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"{file}: damaged gzip after line {number} ({error}); fetch the file again") from None


def _object(where: str, line: bytes) -> Row:
    try:
        row = json.loads(line.decode("utf-8-sig"), parse_float=str, parse_int=_int, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: expected one JSON object in UTF-8; {error}") from None
    if not isinstance(row, dict):
        raise UserError(f"{where}: expected a JSON object; got {type(row).__name__}")
    return row


def _int(digits: str) -> int | str:
    return int(digits) if len(digits) <= _LONGEST_INT else digits


@contextmanager
def _replacing(out: Path, source: Path) -> Iterator[TextIO]:
    """A file to write, which takes the place of ``out`` once it is complete; until then ``out`` stays as it is."""
    out = out.resolve()  # a link stays a link
    if out == source.resolve():
        raise UserError(f"--out {out} is the file that is graded; name another")
    if not out.parent.is_dir() or (out.exists() and not out.is_file()):
        raise UserError(f"--out {out}: expected a file in a folder that is there")
    draft = out.with_name(f".{out.name}.draft")
    try:
        with draft.open("w", encoding="utf-8") as sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)
