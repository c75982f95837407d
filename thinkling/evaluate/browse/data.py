"""What the page carries: an index of all problems for its list, and blocks of problems with all their answers.

Both are JSON, compressed with zlib (which a browser unpacks by ``DecompressionStream("deflate")``) and written in
base64: text without a character that means anything in HTML, whatever a model said. The index is unpacked when
the page opens, a block when one of its problems is looked at. An attempt that several strategies share (votes over
the same samples) is carried once.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thinkling.core.types import Problem
from thinkling.evaluate.outcomes import FAILURES, Outcome, Read
from thinkling.evaluate.plan import Plan
from thinkling.evaluate.results import Outcomes, total
from thinkling.evaluate.tasks import Task

# What a strategy did on a problem: one of its attempts' statuses, or right in part (a tied vote, some of several
# attempts), or nothing, where not all of its attempts are there.
STATUSES = (*FAILURES, "in part", "not asked")
PLACE = {name: place for place, name in enumerate(STATUSES)}
BLOCK = 250_000  # characters of JSON per block: unpacked in a few milliseconds
LISTED = 1_000  # characters of a question that the list shows and searches
LISTED_ANSWER = 80
# A text longer than its limit keeps its beginning and its end. The limit shrinks as the attempts grow in number.
CHARACTERS, SHORTEST, LONGEST = 40_000_000, 2_000, 20_000

Shortened = str | list[str | int]  # a text, or its beginning, the number of characters left out, and its end


@dataclass(frozen=True, slots=True)
class Packed:
    """The compressed index and blocks of an evaluation, in base64."""

    index: str
    blocks: list[str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A problem with the outcome of each strategy, in the plans' order (None: not asked)."""

    task: int
    problem: Problem
    outcomes: tuple[Outcome | None, ...]


def packed(tasks: Sequence[Task], plans: Sequence[Plan], outcomes: Outcomes) -> Packed:
    """Everything about the problems that the page shows."""
    everything = asked(tasks, plans, outcomes)
    limit = text_limit(everything)
    starts, blocks, size = [0], [], 0
    waiting: list[str] = []
    for place, one in enumerate(everything):
        row = json.dumps(_problem(one, plans, limit), separators=(",", ":"))
        if waiting and size + len(row) > BLOCK:
            blocks.append(_compressed(f"[{','.join(waiting)}]"))
            starts.append(place)
            waiting, size = [], 0
        waiting.append(row)
        size += len(row)
    blocks.append(_compressed(f"[{','.join(waiting)}]"))
    index = {**_index(everything, tasks, plans), "starts": starts}
    return Packed(_compressed(json.dumps(index, separators=(",", ":"))), blocks)


def asked(tasks: Sequence[Task], plans: Sequence[Plan], outcomes: Outcomes) -> list[Asked]:
    """Every problem once, with what each strategy made of it."""
    made = []
    for place, task in enumerate(tasks):
        by_key = [{one.problem.key: one for one in outcomes[plan.spec][task.name]} for plan in plans]
        distinct = {problem.key: problem for problem in task.problems}
        made += [Asked(place, problem, tuple(of.get(key) for of in by_key)) for key, problem in distinct.items()]
    return made


def text_limit(everything: Sequence[Asked]) -> int:
    """How many characters of a text are carried, so that the page stays of a size that opens."""
    attempts = {read.attempt.key for one in everything for made in one.outcomes if made for read in made.reads}
    return min(LONGEST, max(SHORTEST, CHARACTERS // max(1, len(attempts))))


def shortened(text: str, limit: int) -> Shortened:
    """``text`` as it is up to ``limit`` characters, else three quarters from its beginning and one from its end."""
    if len(text) <= limit:
        return text
    head = limit * 3 // 4
    return [text[:head], len(text) - limit, text[len(text) - (limit - head) :]]


def tally(outcome: Outcome, plan: Plan) -> list[tuple[str, float, int, float]]:
    """Each answer with its weight, its votes and its score, the heaviest first; unparsed attempts never vote."""
    weights: dict[str, list[float]] = {}
    scores: dict[str, float] = {}
    for read in outcome.reads:
        if read.answer is not None:
            judged = read.judged.value if read.judged else 0.0
            weights.setdefault(read.answer, []).append(judged if plan.how in ("best", "weighted") else 1.0)
            scores[read.answer] = max(scores.get(read.answer, 0.0), read.score or 0.0)
    combine = max if plan.how == "best" else sum
    made = [(answer, float(combine(parts)), len(parts), scores[answer]) for answer, parts in weights.items()]
    return sorted(made, key=lambda row: -row[1])


def winners(counted: Sequence[tuple[str, float, int, float]]) -> list[str]:
    """The answers that share the highest weight of a tally."""
    top = counted[0][1] if counted else 0.0
    return [answer for answer, weight, _, _ in counted if weight >= top - 1e-9 * abs(top)]


def status(outcome: Outcome | None) -> str:
    """What a strategy did on a problem, in a word of ``STATUSES``."""
    if outcome is None:
        return "not asked"
    if outcome.score is None:
        return "no gold" if outcome.statuses.get("no gold") else "error"
    if outcome.score >= 1.0:
        return "right"
    if outcome.score > 0.0:
        return "in part"
    if any(read.answer is not None for read in outcome.reads):
        return "wrong"
    # Nothing could be read: why, of most attempts.
    counts = Counter({name: count for name, count in outcome.statuses.items() if name not in ("right", "error")})
    return counts.most_common(1)[0][0]


def _index(everything: Sequence[Asked], tasks: Sequence[Task], plans: Sequence[Plan]) -> dict[str, Any]:
    """All problems in columns; of each strategy, one entry per problem."""
    columns = []
    for place, plan in enumerate(plans):
        made = [one.outcomes[place] for one in everything]
        leading = [winners(tally(outcome, plan)) if outcome else [] for outcome in made]
        columns.append(
            {
                "name": plan.spec,
                "how": plan.how,
                "n": plan.n,
                "statuses": [PLACE[status(outcome)] for outcome in made],
                "scores": [outcome and outcome.score for outcome in made],
                "answers": [[answer[:LISTED_ANSWER] for answer in answers] for answers in leading],
                "tied": [_tied(outcome, answers, plan) for outcome, answers in zip(made, leading, strict=True)],
            }
        )
    return {
        "statuses": STATUSES,
        "tasks": [task.name for task in tasks],
        "strategies": columns,
        "task": [one.task for one in everything],
        "level": [one.problem.level for one in everything],
        "key": [one.problem.key for one in everything],
        "question": [one.problem.prompt[:LISTED] for one in everything],
        "gold": [one.problem.answer[:LISTED_ANSWER] for one in everything],
    }


def _tied(outcome: Outcome | None, answers: Sequence[str], plan: Plan) -> int:
    """Whether a vote ended without a single winner: this strategy's own, or one inside an attempt."""
    if outcome is None:
        return 0
    inside = any(len(read.attempt.tied) > 1 for read in outcome.reads)
    return int(inside or (plan.how != "single" and len(answers) > 1))


def _problem(one: Asked, plans: Sequence[Plan], limit: int) -> dict[str, Any]:
    places: dict[str, int] = {}
    attempts: list[dict[str, Any]] = []
    for outcome in filter(None, one.outcomes):
        for read in outcome.reads:
            if read.attempt.key not in places:
                places[read.attempt.key] = len(attempts)
                attempts.append(_attempt(read, limit))
    return {
        "question": shortened(one.problem.prompt, limit),
        "gold": shortened(one.problem.answer, limit),
        "attempts": attempts,
        "outcomes": [
            outcome and _outcome(outcome, plan, places) for outcome, plan in zip(one.outcomes, plans, strict=True)
        ],
    }


def _outcome(outcome: Outcome, plan: Plan, places: Mapping[str, int]) -> dict[str, Any]:
    counted = tally(outcome, plan)
    made: dict[str, Any] = {
        "status": PLACE[status(outcome)],
        "score": outcome.score,
        "tokens": total(outcome),
        "calls": outcome.cost.calls,
        "attempts": [places[read.attempt.key] for read in outcome.reads],
    }
    if outcome.confidence is not None:
        made["agreement"] = outcome.confidence
    if plan.n > 1 or plan.how != "single":
        rows = [[shortened(answer, LISTED), round(weight, 6), *rest] for answer, weight, *rest in counted]
        made["tally"] = rows
        made["winners"] = len(winners(counted))
    if plan.judge:
        made["judged"] = [read.judged and _finite(read.judged.value) for read in outcome.reads]
    return made


def _attempt(read: Read, limit: int) -> dict[str, Any]:
    attempt = read.attempt
    made: dict[str, Any] = {
        "status": PLACE[read.status],
        "answer": None if read.answer is None else shortened(read.answer, LISTED),
        "text": shortened(attempt.text, limit),
        "finish": attempt.finish,
        "tokens": attempt.usage.completion,
    }
    if attempt.thinking is not None:
        made["thinking"] = shortened(attempt.thinking, limit)
    if len(attempt.tied) > 1:
        made["tied"] = len(attempt.tied)
    if attempt.error:
        made["error"] = shortened(attempt.error, limit)
    if attempt.trace:
        made["trace"] = {
            **attempt.trace,
            "candidates": [_candidate(row, limit) for row in attempt.trace["candidates"]],
            "tally": [[shortened(answer, LISTED), _finite(weight)] for answer, weight in attempt.trace["tally"]],
        }
    return made


def _candidate(row: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """A candidate of a trace; where tokens come with margins, they stand in for thinking and text."""
    made = {**row, "text": shortened(row["text"], limit), "weight": _finite(row["weight"])}
    if row["thinking"] is not None:
        made["thinking"] = shortened(row["thinking"], limit)
    if not row.get("margins"):
        return made
    kept = list(_within(row["margins"], limit))
    thought, at = 0, 0
    for piece, _ in kept:
        if at >= len(row["thinking"] or ""):
            break
        thought, at = thought + 1, at + len(piece)
    del made["text"], made["thinking"]
    pieces, gaps = [piece for piece, _ in kept], [round(100 * (_finite(gap) or 0.0)) for _, gap in kept]
    left_out = sum(len(piece) for piece, _ in row["margins"][len(kept) :])
    return {**made, "pieces": pieces, "margins": gaps, "thought": thought, "pieces_left_out": left_out}


def _within(margins: Sequence[Sequence[Any]], limit: int) -> Iterator[Sequence[Any]]:
    """The first tokens, as many as spell at most ``limit`` characters."""
    at = 0
    for row in margins:
        at += len(row[0])
        if at > limit:
            return
        yield row


def _finite(value: float) -> float | None:
    """A number that JSON knows; a strategy of a user's own may have weighed by infinity."""
    return round(value, 4) if math.isfinite(value) else None


def _compressed(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode("ascii"))).decode("ascii")
