"""The published formats, and finding which of them a file has by its content alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from thinkling.core.errors import UserError
from thinkling.tasks.benchmarks import big_bench, competition, multiple_choice, short_answers, word_problems
from thinkling.tasks.benchmarks.benchmark import SPLITS, Benchmark, Part, assemble
from thinkling.tasks.benchmarks.fields import Fields, read_fields
from thinkling.tasks.benchmarks.records import Source, read_source


@dataclass(frozen=True, slots=True)
class Format:
    """A shape of data: ``fits`` looks at the first record; ``read`` refuses any record that is of another shape."""

    name: str
    shape: str
    fits: Callable[[Source], bool]
    read: Callable[[Source], tuple[Part, ...]]


FORMATS: tuple[Format, ...] = (
    Format("gsm8k", "question, answer with '#### 42'", word_problems.is_gsm8k, word_problems.read_gsm8k),
    Format(
        "gsm-symbolic",
        "as gsm8k, with original_id and instance",
        word_problems.is_gsm_symbolic,
        word_problems.read_gsm_symbolic,
    ),
    Format("gsm-hard", "input, code, target", word_problems.is_gsm_hard, word_problems.read_gsm_hard),
    Format("pal", "input, target (a number)", word_problems.is_pal, word_problems.read_pal),
    Format("svamp", "Body, Question, Answer", word_problems.is_svamp, word_problems.read_svamp),
    Format(
        "mawps",
        "sQuestion, lSolutions: AddSub, SingleEq, MultiArith",
        word_problems.is_mawps,
        word_problems.read_mawps,
    ),
    Format("aqua", "question, options, rationale, correct", multiple_choice.is_aqua, multiple_choice.read_aqua),
    Format(
        "agieval",
        "passage, question, options, label, other",
        multiple_choice.is_agieval,
        multiple_choice.read_agieval,
    ),
    Format(
        "commonsenseqa",
        "question with stem, choices and question_concept; answerKey",
        multiple_choice.is_commonsenseqa,
        multiple_choice.read_commonsenseqa,
    ),
    Format("arc", "question with stem and choices; answerKey", multiple_choice.is_arc, multiple_choice.read_arc),
    Format(
        "strategyqa",
        "qid, question, answer (true or false)",
        short_answers.is_strategyqa,
        short_answers.read_strategyqa,
    ),
    Format(
        "coin-flip",
        "examples of question, answer about a coin",
        short_answers.is_coin_flip,
        short_answers.read_coin_flip,
    ),
    Format(
        "last-letters",
        "examples of question, answer about last letters",
        short_answers.is_last_letters,
        short_answers.read_last_letters,
    ),
    Format("big-bench", "examples of input, target_scores", big_bench.is_big_bench, big_bench.read_big_bench),
    Format("bbh", "examples of input, target", big_bench.is_bbh, big_bench.read_bbh),
    Format("bbh-lines", "task, input, target", big_bench.is_bbh_lines, big_bench.read_bbh_lines),
    Format("math", "problem, answer or solution with a box", competition.is_math, competition.read_math),
    Format("competition", "problem, answer, url: AIME, AMC", competition.is_competition, competition.read_competition),
)


def load(
    path: str | Path,
    format: str | None = None,
    *,
    fields: Fields | None = None,
    task: str | None = None,
    name: str | None = None,
    split: str | None = None,
) -> Benchmark:
    """The problems of one file.

    ``format`` None: what the content shows; ``fields`` names the fields of a file in no known format. ``task``
    picks one task of a file that holds several; ``name`` renames the benchmark (and so the problems' family);
    ``split`` puts its problems there (None: where their records say, else test). Raises UserError where the
    file fits no format or several, where a record is of another shape, and where a task must be named.
    """
    parts = load_all(path, format, fields=fields, name=name, split=split)
    wanted = [part for part in parts if task in (None, part.name, part.name.removeprefix("bbh-"))]
    if len(wanted) == 1:
        return wanted[0]
    names = ", ".join(part.name for part in parts)
    came = "none was named" if task is None else f"got {task!r}"
    raise UserError(f"{path}: expected one of its {len(parts)} tasks: {names}; {came}")


def load_all(
    path: str | Path,
    format: str | None = None,
    *,
    fields: Fields | None = None,
    name: str | None = None,
    split: str | None = None,
) -> tuple[Benchmark, ...]:
    """As `load`, with one Benchmark for each task of the file; of nearly all formats that is one."""
    if split is not None and split not in SPLITS.values():
        raise UserError(f"expected a split out of train, val, test; got {split!r}")
    if format is not None and fields is not None:
        raise UserError(f"expected a format or the names of fields, not both; got the format {format!r} and {fields}")
    source = read_source(path)
    parts = read_fields(source, fields) if fields else _format(source, format).read(source)
    if name is not None:
        if len(parts) > 1:
            raise UserError(f"{path}: expected a file with one task to rename; it has {len(parts)}")
        parts = (replace(parts[0], name=name),)
    return tuple(assemble(part, split) for part in parts)


def _format(source: Source, name: str | None) -> Format:
    """The format called ``name``, or without a name the only one that fits."""
    known = "; ".join(f"{format.name} ({format.shape})" for format in FORMATS)
    if name is not None:
        for format in FORMATS:
            if format.name == name:
                return format
        raise UserError(f"expected a format out of {', '.join(format.name for format in FORMATS)}; got {name!r}")
    fitting = [format for format in FORMATS if format.fits(source)]
    if len(fitting) == 1:
        return fitting[0]
    record = source.records[0]
    fields = ", ".join(record.row) or "none"
    place = f"{record.where} (under 'examples')" if source.boxed else record.where
    if fitting:
        names = " and ".join(format.name for format in fitting)
        raise UserError(f"{place}: expected one format; the fields {fields} fit {names}: name the one that is meant")
    raise UserError(
        f"{place}: expected a known format; none has the fields {fields}. Known are {known}. For any other file of "
        "records name the fields that hold question and answer"
    )
