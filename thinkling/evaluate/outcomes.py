"""From attempts to outcomes: what a strategy scores on each problem, and what that cost, read off the pool.

Scores are expectations: a vote's ties count 1/m, and a vote at k is averaged over all choices of k among the
stored samples (`voting.py`). An attempt that failed (no answer because of an error) never votes; a problem
all of whose attempts failed has no score at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from thinkling.core.types import Problem, Usage, Verdict
from thinkling.evaluate.attempts import Attempt, Judgement, Pool
from thinkling.evaluate.plan import Plan
from thinkling.evaluate.sampling import Asking, failed, wanted
from thinkling.evaluate.scored_voting import best_of_curves, weighted_curves
from thinkling.evaluate.tasks import Task
from thinkling.evaluate.voting import agreement, maj_curve
from thinkling.reasoning.stopping import majority_is_stable

FAILURES = ("right", "wrong", "ambiguous", "unparsed", "cut off", "error", "no gold")


@dataclass(frozen=True, slots=True)
class Read:
    """A graded attempt: its canonical answer (None: not parsed), its score (None: it has none), and its status.

    ``score`` is the mean over the answers that its strategy tied, ``worth`` that of the one drawn: what the answer
    counts where it is a ballot in a vote.
    """

    attempt: Attempt
    answer: str | None
    score: float | None
    status: str
    worth: float | None
    judged: Judgement | None = None

    @property
    def cost(self) -> Usage:
        return self.attempt.usage + (self.judged.usage if self.judged else Usage())


@dataclass(frozen=True, slots=True)
class Outcome:
    """A strategy on one problem. ``curve`` is its expected score at k = 1, 2, ... samples, where it votes;
    ``confidence`` the winner's share of all votes; ``used`` how many attempts it needed."""

    problem: Problem
    score: float | None
    cost: Usage
    reads: tuple[Read, ...]
    used: int
    curve: tuple[float, ...] = ()
    confidence: float | None = None
    tied: int = 1
    statuses: Mapping[str, int] = field(default_factory=dict)


class Reader:
    """Finds and grades each attempt of the pool once, however many strategies look at it."""

    def __init__(self, pool: Pool, asking: Asking) -> None:
        self.pool, self.asking = pool, asking
        self._found: dict[tuple[str, str, float], tuple[int, dict[str, list[Attempt]]]] = {}
        self._read: dict[str, tuple[str | None, float | None, str, float | None]] = {}

    def outcomes(self, task: Task, plan: Plan) -> list[Outcome]:
        """One outcome per problem. What the pool lacks could not be sampled, in this run or an earlier one."""
        found = self._attempts(task, plan)
        distinct = {problem.key: problem for problem in task.problems}.values()
        return combined(
            [(p, [self._judged(task, p, one, plan) for one in found[p.key][: plan.n]]) for p in distinct], plan
        )

    def _attempts(self, task: Task, plan: Plan) -> dict[str, list[Attempt]]:
        """Per problem, the attempts that its plan wants, or more of them.

        The keys of attempts are hashes of whole prompts, so they are found once for all plans that share a leaf.
        """
        name = (task.name, plan.leaf, plan.temperature)
        most, found = self._found.get(name, (0, {}))
        if most < plan.n:
            found = {problem.key: [] for problem in task.problems}
            for one in wanted([task], [plan], self.asking):
                found[one.problem.key].append(self.pool.attempts.get(one.key) or failed(one, "never answered"))
            self._found[name] = plan.n, found
        return found

    def _judged(self, task: Task, problem: Problem, attempt: Attempt, plan: Plan) -> Read:
        judged = self.pool.judgements.get((attempt.key, plan.judge)) if plan.judge else None
        return self.read(task, problem, attempt, judged)

    def read(self, task: Task, problem: Problem, attempt: Attempt, judged: Judgement | None = None) -> Read:
        """An attempt with its grade; one whose strategy tied is worth the mean over the tied answers."""
        if attempt.key not in self._read:
            self._read[attempt.key] = _graded(task, problem, attempt)
        return Read(attempt, *self._read[attempt.key], judged)


def _graded(task: Task, problem: Problem, attempt: Attempt) -> tuple[str | None, float | None, str, float | None]:
    """What of a `Read` grading decides: answer, score, status and worth."""
    if attempt.error:
        return None, None, "error", None
    answer = task.kind(problem).answer(attempt.text)
    if not problem.answer:
        return answer, None, "no gold", None
    verdict = task.grade(problem, attempt.text)
    if attempt.tied:
        scores = [task.grade(problem, text).score or 0.0 for text in attempt.tied]
        return answer, float(np.mean(scores)), "right" if all(scores) else "wrong", verdict.score
    return answer, verdict.score, _status(verdict, answer, attempt), verdict.score


def _status(verdict: Verdict, answer: str | None, attempt: Attempt) -> str:
    if verdict.score is None:
        return "error"
    if verdict.status == "unparsed":
        return "cut off" if attempt.finish == "length" else "unparsed"
    if verdict.score >= 1.0:
        return "right"
    return "ambiguous" if answer is None else "wrong"


def combined(problems: Sequence[tuple[Problem, Sequence[Read]]], plan: Plan) -> list[Outcome]:
    """The plan's outcome on each problem from its graded attempts."""
    made = [_unscored(problem, reads, plan) for problem, reads in problems]
    if plan.how == "single":
        return [replace(one, score=_mean(one.reads)) for one in made]
    scored = [place for place, one in enumerate(made) if _mean(one.reads) is not None]
    curves = _curves([made[place].reads for place in scored], plan)
    for place, curve in zip(scored, curves, strict=True):
        united = agreement([read.answer for read in made[place].reads])
        made[place] = replace(
            made[place],
            score=curve[-1],
            curve=tuple(curve) if plan.how != "adaptive" else (),
            confidence=united.of_all,
            tied=united.tied,
        )
    return made


def _unscored(problem: Problem, reads: Sequence[Read], plan: Plan) -> Outcome:
    used = tuple(reads[: _stopped(reads, plan)] if plan.how == "adaptive" else reads)
    cost = sum((read.cost for read in used), Usage())
    return Outcome(problem, None, cost, used, len(used), statuses=Counter(read.status for read in used))


def _mean(reads: Sequence[Read]) -> float | None:
    scores = [read.score for read in reads if read.score is not None]
    return float(np.mean(scores)) if scores else None


def _curves(groups: Sequence[Sequence[Read]], plan: Plan) -> list[list[float]]:
    """Each problem's expected score at 1, 2, ... of its samples."""
    answers = [[read.answer for read in reads] for reads in groups]
    right = [_worths(reads) for reads in groups]
    if plan.how in ("majority", "adaptive"):
        return [maj_curve(said, scores).tolist() for said, scores in zip(answers, right, strict=True)]
    if not groups:
        return []
    weights = [[read.judged.value if read.judged else 0.0 for read in reads] for reads in groups]
    if plan.how == "best":
        return best_of_curves(answers, right, weights).tolist()
    return weighted_curves(answers, right, weights).value_PK.tolist()


def _worths(reads: Sequence[Read]) -> dict[str, float]:
    """What each answer is worth; the mean, where a grader tells apart what reads as one answer."""
    found: dict[str, list[float]] = {}
    for read in reads:
        if read.answer is not None and read.worth is not None:
            found.setdefault(read.answer, []).append(read.worth)
    return {answer: float(np.mean(worths)) for answer, worths in found.items()}


def _stopped(reads: Sequence[Read], plan: Plan) -> int:
    """After how many samples the adaptive vote ends, taken in their order."""
    for used in range(plan.batch, len(reads), plan.batch):
        counts = Counter(read.answer for read in reads[:used] if read.answer is not None)
        if majority_is_stable(list(counts.values()), plan.error):
            return used
    return len(reads)
