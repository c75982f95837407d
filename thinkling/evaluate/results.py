"""The results of an evaluation: every number with its n and interval, costs beside accuracies, pairs compared.

`tabulate` makes one JSON-ready dict, which the terminal's table, the report and ``compare`` all read. Accuracies
and costs over several tasks are the mean over tasks, each counting the same; intervals resample problems within each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from thinkling.core.errors import UserError
from thinkling.evaluate.calibration import (
    brier,
    calibration_error,
    nearly_always_right,
    reliability,
    risk_coverage,
)
from thinkling.evaluate.comparison import all_pairs
from thinkling.evaluate.frontier import frontier
from thinkling.evaluate.outcomes import FAILURES, Outcome
from thinkling.evaluate.plan import Plan
from thinkling.evaluate.statistics import Estimate, share
from thinkling.evaluate.tasks import Task

Table = dict[str, Any]
# name of a strategy -> task -> its outcomes
Outcomes = Mapping[str, Mapping[str, Sequence[Outcome]]]


def tabulate(tasks: Sequence[Task], plans: Sequence[Plan], outcomes: Outcomes, seed: int) -> Table:
    """Everything the pool says about these strategies on these tasks."""
    # A strategy none of whose attempts gave an answer has no score to compare; its row says so.
    alive = {name: made for name, made in outcomes.items() if any(scores({name: made})[name].values())}
    table: Table = {
        "tasks": {task.name: {"problems": len(task.problems)} for task in tasks},
        "strategies": {plan.spec: _strategy(plan, outcomes[plan.spec], seed) for plan in plans},
        "comparisons": [],
        "frontier": [],
    }
    if len(alive) > 1:
        try:
            table["comparisons"] = [asdict(row) for row in all_pairs(scores(alive), seed=seed)]
            table["frontier"] = [asdict(point) for point in frontier(_costs(alive), seed=seed)]
        except UserError as error:  # so much failed that two have no problem in common: all else can still be told
            table["not_compared"] = str(error)
    return table


def scores(outcomes: Outcomes) -> dict[str, dict[str, dict[str, float]]]:
    """Strategy -> task -> problem key -> score, of the problems that have one."""
    return {
        name: {
            task: {one.problem.key: one.score for one in made if one.score is not None}
            for task, made in by_task.items()
        }
        for name, by_task in outcomes.items()
    }


def _costs(outcomes: Outcomes) -> dict[str, dict[str, dict[str, tuple[float, float]]]]:
    return {
        name: {
            task: {one.problem.key: (float(total(one)), one.score) for one in made if one.score is not None}
            for task, made in by_task.items()
        }
        for name, by_task in outcomes.items()
    }


def total(one: Outcome) -> int:
    """All tokens that a problem cost: prompts, thinking, pruned branches, judges and verifiers."""
    return one.cost.prompt + one.cost.completion


def _strategy(plan: Plan, by_task: Mapping[str, Sequence[Outcome]], seed: int) -> Table:
    everything = [one for made in by_task.values() for one in made]
    scored = [one for one in everything if one.score is not None]
    made: Table = {
        "how": plan.how,
        "leaf": plan.leaf,
        "n": plan.n,
        "temperature": plan.temperature,
        "accuracy": _accuracy(by_task, seed),
        "by_task": {task: _accuracy({task: some}, seed) for task, some in by_task.items()},
        "by_level": _levels(everything, seed),
        "statuses": _statuses(everything),
        "unscored": len(everything) - len(scored),
        "tokens": _tokens(by_task),
        "attempts": _over_tasks(by_task, lambda one: one.used),
        "error": next((read.attempt.error for one in everything for read in one.reads if read.attempt.error), ""),
    }
    if scored and scored[0].curve:
        made["curve"] = _curve(by_task, seed)
    sure = [one for one in scored if one.confidence is not None]
    if sure:
        made["confidence"] = confidence(sure, seed)
    return made


def _accuracy(by_task: Mapping[str, Sequence[Outcome]], seed: int) -> Table | None:
    strata = {task: [one.score for one in some if one.score is not None] for task, some in by_task.items()}
    strata = {task: values for task, values in strata.items() if values}
    return share(strata, seed=seed).as_json() if strata else None


def _levels(outcomes: Sequence[Outcome], seed: int) -> dict[str, Table]:
    """Accuracy by difficulty (for our chains, the number of steps), where the problems have one."""
    groups: dict[int, list[float]] = {}
    for one in outcomes:
        if one.score is not None and one.problem.level:
            groups.setdefault(one.problem.level, []).append(one.score)
    if len(groups) < 2:
        return {}
    return {str(level): share({"level": values}, seed=seed).as_json() for level, values in sorted(groups.items())}


def _statuses(outcomes: Sequence[Outcome]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for one in outcomes:
        counts.update(one.statuses)
    return {name: counts[name] for name in FAILURES if counts[name]}


def _tokens(by_task: Mapping[str, Sequence[Outcome]]) -> Table:
    """Mean tokens per problem; tasks count the same, as in the accuracies that stand beside them."""
    parts: dict[str, Callable[[Outcome], float]] = {
        "prompt": lambda one: one.cost.prompt,
        "completion": lambda one: one.cost.completion,
        "thinking": lambda one: one.cost.thinking,
        "total": total,
        "calls": lambda one: one.cost.calls,
    }
    return {name: round(_over_tasks(by_task, value), 3) for name, value in parts.items()}


def _over_tasks(by_task: Mapping[str, Sequence[Outcome]], value: Callable[[Outcome], float]) -> float:
    """Mean over tasks of the mean over problems."""
    return float(np.mean([np.mean([value(one) for one in some]) for some in by_task.values()]))


def _curve(by_task: Mapping[str, Sequence[Outcome]], seed: int) -> list[Table]:
    """The test-time-compute curve: accuracy at k samples, with the mean tokens that they cost."""
    scored = {task: [one for one in some if one.curve] for task, some in by_task.items()}
    scored = {task: some for task, some in scored.items() if some}
    width = min(len(one.curve) for some in scored.values() for one in some)
    points = []
    for k in sorted({1, 2, 3, *(2**power for power in range(2, 11)), width} & set(range(1, width + 1))):
        accuracy = share({task: [one.curve[k - 1] for one in some] for task, some in scored.items()}, seed=seed)
        tokens = _over_tasks(scored, lambda one, k=k: total(one) * k / one.used)  # type: ignore[misc]
        points.append({"k": k, "accuracy": accuracy.as_json(), "tokens": tokens})
    return points


def confidence(outcomes: Sequence[Outcome], seed: int) -> Table:
    """Agreement against correctness: calibration, selection, and the verdict on "above 80%"."""
    sure = [float(one.confidence or 0.0) for one in outcomes]
    right = [float(one.score or 0.0) for one in outcomes]
    curve = risk_coverage(sure, right)
    step = max(1, len(sure) // 100)
    return {
        "calibration_error": calibration_error(sure, right, seed=seed).as_json(),
        "brier": brier(sure, right, seed=seed).as_json(),
        "reliability": [asdict(one) for one in reliability(sure, right)],
        "coverage": [round(value, 5) for value in (*curve.coverage[::step], curve.coverage[-1])],
        "risk": [round(value, 5) for value in (*curve.risk[::step], curve.risk[-1])],
        "aurc": curve.aurc,
        "above_80": asdict(nearly_always_right(sure, right)),
        "tied": sum(one.tied > 1 for one in outcomes),
    }


def estimate(made: Mapping[str, Any]) -> Estimate:
    """An interval as it was written."""
    return Estimate(made["value"], made["low"], made["high"], made["n"])
