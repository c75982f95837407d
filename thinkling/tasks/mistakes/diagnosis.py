"""The entry: what became of an answer, and for a wrong one where its work first went wrong.

Exact for the families whose work is written in a form that can be read back: the chain and the equation
(every equation against its step), last letters, coin flips and sorting (every row). Nothing is guessed: work in
another form, and other families, are "other".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from thinkling.core.types import Finish, Problem, Verdict
from thinkling.tasks.grading import number
from thinkling.tasks.mistakes import arithmetic, sequences
from thinkling.tasks.mistakes.findings import COPIED, NO_WORK, OTHER, RIGHT_ANYWAY, Finding

Outcome = Literal["right", "wrong", "not parsed", "cut off", "unscored"]
_MARKER = re.compile(r"\b(Check|Wait)\b[:,]?")
_ROWS = {"letters": sequences.letters, "coin": sequences.coin, "sort": sequences.sort}
DIAGNOSED = frozenset({"chain", "equation", *_ROWS})  # the families whose work is written in a form that can be read


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What became of an answer. ``kind`` is the first mistake of a wrong one ("" for any other outcome).

    ``findings`` are all mistakes in the order of the steps, with their consequences (COPIED), of right answers too.
    """

    outcome: Outcome
    kind: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def label(self) -> str:
        """The kind of mistake, or the outcome. A right answer after wrong work (luck, or an answer that does not
        come from the work) has a label of its own."""
        return RIGHT_ANYWAY if self.outcome == "right" and self.findings else self.kind or self.outcome

    @property
    def copied_on(self) -> bool:
        """Whether a later step took over what an earlier mistake had made."""
        return any(one.kind == COPIED for one in self.findings)


def diagnose(problem: Problem, thinking: str | None, verdict: Verdict, finish: Finish = "stop") -> Diagnosis:
    """What became of an answer with this work (``thinking``), verdict and end. ``problem`` needs its meta."""
    outcome = _outcome(verdict, finish)
    if outcome not in ("right", "wrong"):
        return Diagnosis(outcome)
    work = (thinking or "").strip()
    found = find(problem, work, verdict.extracted) if work else None
    if outcome == "right":
        return Diagnosis(outcome, findings=tuple(found or ()))
    if found is None:
        return Diagnosis(outcome, OTHER if work else NO_WORK)
    # A consequence never comes first.
    return Diagnosis(outcome, found[0].kind if found else OTHER, tuple(found))


def find(problem: Problem, work: str, answer: str | None) -> list[Finding] | None:
    """All mistakes in a work and its answer, in the order of the steps; None where the work cannot be read.

    What follows "Check" only looks back and is left out. What follows "Wait" replaces the end of the work
    before it: from that place on which leaves the fewest mistakes.
    """
    before, *rest = _MARKER.split(work)
    again = " ".join(text for marker, text in zip(rest[::2], rest[1::2], strict=True) if marker == "Wait")
    if problem.family in _ROWS:
        return _ROWS[problem.family](problem, before, again, answer)
    if problem.family not in DIAGNOSED:
        return None
    said, after = arithmetic.equations(before), arithmetic.equations(again)
    if not said and not after:
        return None
    value = None if answer is None else number(answer)
    return arithmetic.judge(problem, said, after, value)


def tally(diagnoses: Iterable[Diagnosis]) -> dict[str, int]:
    """Label -> how many, the most frequent first."""
    return dict(Counter(one.label for one in diagnoses).most_common())


def _outcome(verdict: Verdict, finish: Finish) -> Outcome:
    if verdict.score is None:
        return "unscored"
    if verdict.score >= 1.0:
        return "right"
    if finish == "length":
        return "cut off"
    return "not parsed" if verdict.status == "unparsed" else "wrong"
