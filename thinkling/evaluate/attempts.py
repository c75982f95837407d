"""The pool of attempts: every answer ever sampled for an evaluation, kept the moment it is there.

One line of JSON per attempt in ``attempts.jsonl``, and one per verdict of a verifier or a judge on an attempt in
``judgements.jsonl``; both only ever grow. An attempt's key is the hash of all that decides it: the model, the
strategy that asked, the full prompt, the sampling and the sample's seed. So a run that was cut off goes on
at the sample, voting at any number of samples reads the same lines, and grading can be redone at will.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from thinkling.core.errors import UserError
from thinkling.core.seeds import content_key
from thinkling.core.types import Candidate, Finish, Sample, Sampled, Trace, Usage

# Fields of Sampling that the first pools do not know: where they are off, a sample's key is as it was.
YOUNGER = ("presence_penalty", "frequency_penalty", "logit_bias")
ATTEMPTS, JUDGEMENTS = "attempts.jsonl", "judgements.jsonl"
SHOWN_TRACE = 64  # candidates of a strategy's trace that are kept, with at most so many characters each:
SHOWN_TEXT = 4000


@dataclass(frozen=True, slots=True)
class Attempt:
    """One answer to one problem. ``trace`` is a strategy's own record, for those that have one."""

    key: str
    task: str
    problem: str
    strategy: str
    temperature: float
    index: int
    text: str
    thinking: str | None
    finish: Finish
    usage: Usage
    tied: tuple[str, ...] = ()
    error: str = ""
    trace: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a verifier, a judge or the likelihood says of one attempt (``of``), and what that cost.

    ``version`` identifies what a verifier's folder held.
    """

    of: str
    by: str
    value: float
    usage: Usage = field(default_factory=Usage)
    version: str = ""


def attempt_key(model: str, strategy: str, ask: Sample, extra: str = "") -> str:
    """The hash of all that decides an attempt; ``extra`` stands for exemplars, or a user's file."""
    asked = [[message.role, [[part.kind, part.text] for part in message.parts]] for message in ask.messages]
    sampling = {name: getattr(ask.sampling, name) for name in ask.sampling.__slots__}  # asdict copies deeply
    for name in YOUNGER:
        if not sampling[name]:
            del sampling[name]
    return content_key(json.dumps([model, strategy, asked, ask.prefix, ask.think, sampling, ask.seed, extra]))


def shown(trace: Trace | None) -> dict[str, Any] | None:
    """A trace as it is kept and shown; of a plain sample there is none."""
    if trace is None or (len(trace.candidates) == 1 and not trace.note):
        return None
    return {
        "tally": [list(pair) for pair in trace.tally[:SHOWN_TRACE]],
        "tied": list(trace.tied),
        "note": trace.note,
        "candidates": [_shown_candidate(made) for made in trace.candidates[:SHOWN_TRACE]],
        "left_out": max(0, len(trace.candidates) - SHOWN_TRACE),
    }


def tied_texts(sampled: Sampled) -> tuple[str, ...]:
    """The texts of the answers that share the highest weight, where there are several: each counts 1/m."""
    trace = sampled.trace
    if trace is None or len(trace.tied) < 2:
        return ()
    return tuple(trace.candidates[place].message.text for place in trace.tied)


def _shown_candidate(made: Candidate) -> dict[str, Any]:
    kept: dict[str, Any] = {
        "text": made.message.text[:SHOWN_TEXT],
        "thinking": made.message.thinking and made.message.thinking[:SHOWN_TEXT],
        "answer": made.answer,
        "weight": round(made.weight, 6),
        "tokens": made.usage.completion,
        "role": made.role,
        "parent": made.parent,
        "kept": made.kept,
    }
    if made.margins:
        kept["margins"] = [[piece, round(gap, 4)] for piece, gap in made.margins if piece]
    return kept


class Pool:
    """The attempts and judgements in a folder, in memory and on disk; use it as a context manager.

    Raises UserError for a line that is no attempt, naming it. A last line that was cut off by a crash is
    dropped, and written again when its sample is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.attempts = {made.key: made for made in map(_attempt, _lines(folder / ATTEMPTS))}
        self.judgements = {(made.of, made.by): made for made in map(_judgement, _lines(folder / JUDGEMENTS))}
        self._files: dict[str, BinaryIO] = {}

    def __enter__(self) -> Pool:
        for name in (ATTEMPTS, JUDGEMENTS):
            self._files[name] = open(self.folder / name, "ab", buffering=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def add(self, made: Attempt) -> None:
        """Keep an attempt. Failed ones are kept in memory alone: the next run tries them again."""
        self.attempts[made.key] = made
        if not made.error:
            self._write(ATTEMPTS, asdict(made))

    def has_judgement(self, of: str, by: str, version: str) -> bool:
        """Whether an attempt was judged by this version of a verifier."""
        made = self.judgements.get((of, by))
        return made is not None and made.version == version

    def judge(self, made: Judgement) -> None:
        """Keep a judgement."""
        self.judgements[made.of, made.by] = made
        self._write(JUDGEMENTS, asdict(made))

    def _write(self, name: str, row: dict[str, Any]) -> None:
        line = json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
        self._files[name].write(line.encode("utf-8", "surrogatepass"))


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a file with where each stands; the file is cut after its last whole line."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with open(path, "r+b") as file:
            file.truncate(whole)
    for number, line in enumerate(data[:whole].split(b"\n")[:-1], 1):
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{where}: expected one JSON object; {error}. Delete the line, and run again") from None
        yield where, row


def _attempt(item: tuple[str, dict[str, Any]]) -> Attempt:
    where, row = item
    try:
        return Attempt(**{**row, "usage": Usage(**row["usage"]), "tied": tuple(row["tied"])})
    except (TypeError, KeyError) as error:
        raise UserError(f"{where}: is no attempt ({error}). Delete the line, and run again") from None


def _judgement(item: tuple[str, dict[str, Any]]) -> Judgement:
    where, row = item
    try:
        return Judgement(**{**row, "usage": Usage(**row["usage"])})
    except (TypeError, KeyError) as error:
        raise UserError(f"{where}: is no judgement ({error}). Delete the line, and run again") from None
