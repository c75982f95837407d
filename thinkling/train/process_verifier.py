"""Process verifier: a model that says after each step of a thought how likely the answer is to come out right.

Math-Shepherd (arXiv:2312.08935, section 3): nobody labels a step. From its end the policy itself goes on several
times, and the share of continuations that come out right is the label (soft estimation). The end of the turn is
the last step; its label is the grade. Parents as for the outcome verifier; with a third, ``outcome``, that
verifier judges the same held-out steps, and both are reported side by side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from thinkling.core.stage import StageContext
from thinkling.core.types import Scored
from thinkling.engine.backend import LocalBackend
from thinkling.engine.scoring import Judged
from thinkling.engine.verifiers import open_verifier
from thinkling.tasks.first_error import first_wrong_step
from thinkling.tasks.steps import AGGREGATIONS, split_steps
from thinkling.train.solutions import SLOTS, Attempts, Solution
from thinkling.train.verifier import VerifierRecipe, fit, gather, judge
from thinkling.train.verifier_report import Group, calibration, choosing, estimate, ranking, redraws

Judgements = list[list[Scored]]


class Recipe(VerifierRecipe):
    think: bool | None = Field(
        default=True, description="true: solutions begin with a thought, whose steps are judged; false: they never do"
    )
    continuations: int = Field(default=8, ge=1, description="how often a train step is continued for its label")
    held_out_continuations: int = Field(default=16, ge=1, description="the same for held-out steps")


def step_ends(solution: Solution, turn: Judged) -> Mapping[int, float]:
    """Each step's share of right continuations at its last token, and the grade at the turn's."""
    return {**dict(zip(turn.places, solution.shares, strict=True)), len(turn.ids) - 1: solution.score}


def run(ctx: StageContext, recipe: Recipe) -> dict[str, Any]:
    """Train on continued steps; ``report.json`` says how the verifier judges held-out steps and solutions."""
    material = gather(ctx, recipe, (recipe.continuations, recipe.held_out_continuations))
    attempts, seed = material.held_out, recipe.seed
    judgements = fit(ctx, recipe, material, step_ends, lambda said: _logged(attempts, said, seed))
    report = describe(attempts, judgements, seed)
    if "outcome" in ctx.parents:
        opened = open_verifier(
            ctx.parents["outcome"].path, slots=SLOTS, max_len=recipe.length + 1, dtype=material.model.dtype
        )
        report["outcome_verifier"] = describe(attempts, judge(LocalBackend(*opened), attempts), seed)
    (ctx.path / "report.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return _headline(report) | {"too_long": material.too_long}


def describe(attempts: Sequence[Attempts], judgements: Judgements, seed: int) -> dict[str, Any]:
    """How well steps are judged, how well solutions are by each way to put their steps together, and how often
    the first wrong step is found."""
    steps, ways = _steps(attempts, judgements), _solutions(attempts, judgements)
    return {
        "steps": ranking(steps, seed) | calibration(steps, seed),
        "solutions": {
            how: ranking(groups, seed) | calibration(groups, seed) | {"choosing": choosing(groups, seed)}
            for how, groups in ways.items()
        },
        "first_error": first_errors(attempts, judgements, seed),
    }


def _steps(attempts: Sequence[Attempts], judgements: Judgements) -> list[Group]:
    """All steps of a problem's thoughts, each right in the share of its continuations."""
    return [
        Group(
            one.problem.family,
            np.asarray([value for scored in said for value in scored.values], np.float64),
            np.asarray([share for solution in one.solutions for share in solution.shares], np.float64),
        )
        for one, said in zip(attempts, judgements, strict=True)
    ]


def _solutions(attempts: Sequence[Attempts], judgements: Judgements) -> dict[str, list[Group]]:
    """Whole solutions, valued by each way to put together the values of their steps and of their end."""
    return {
        how: [
            Group(
                one.problem.family,
                np.asarray([together(_all(scored)) for scored in said], np.float64),
                np.asarray([solution.score for solution in one.solutions]),
                tuple(solution.answer for solution in one.solutions),
            )
            for one, said in zip(attempts, judgements, strict=True)
        ]
        for how, together in AGGREGATIONS.items()
    }


def _all(scored: Scored) -> tuple[float, ...]:
    assert scored.value is not None  # it was judged by a model with a head
    return (*scored.values, scored.value)


def first_errors(attempts: Sequence[Attempts], judgements: Judgements, seed: int) -> dict[str, Any]:
    """In how many thoughts on chained sums with a wrong step the first such step is the one pointed at.

    Pointed at is the step at which the value falls most, from certainty before the first; ``labels`` does the
    same with the shares of continuations that the verifier learned to predict, ``chance`` picks any step.
    """
    found: dict[str, list[float]] = {"verifier": [], "labels": [], "chance": []}
    thoughts = 0
    for one, said in zip(attempts, judgements, strict=True):
        if one.problem.family != "chain":
            continue
        hits: dict[str, list[float]] = {name: [] for name in found}
        for solution, scored in zip(one.solutions, said, strict=True):
            thinking = solution.turn.thinking or ""
            wrong = first_wrong_step(one.problem, thinking)
            if wrong is None or len(solution.marks) < len(split_steps(thinking)):
                continue
            thoughts += 1
            hits["verifier"].append(float(_falls_at(scored.values) == wrong))
            hits["labels"].append(float(_falls_at(solution.shares) == wrong))
            hits["chance"].append(1 / len(solution.marks))
        for name, each in hits.items():
            found[name].append(float(np.mean(each)) if each else np.nan)
    weight_RP = redraws(["chain"] * len(found["chance"]), seed)
    located = {name: estimate(np.asarray(each), weight_RP) for name, each in found.items()}
    return {"thoughts": thoughts} | located if thoughts else {"thoughts": 0}


def _falls_at(values: Sequence[float]) -> int:
    return int(np.argmax(-np.diff(values, prepend=1.0)))


def _logged(attempts: Sequence[Attempts], judgements: Judgements, seed: int) -> dict[str, Any]:
    ranked = {how: ranking(groups, seed)["within"] for how, groups in _solutions(attempts, judgements).items()}
    return {"steps": ranking(_steps(attempts, judgements), seed)["pooled"], "within": ranked}


def _headline(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report in a few numbers, for the manifest."""
    lines = {
        "steps": {name: report["steps"][name] for name in ("within", "pooled", "ece", "brier", "brier_constant")},
        "within": {how: made["within"] for how, made in report["solutions"].items()},
        "first_error": report["first_error"],
    }
    if "outcome_verifier" in report:
        lines["outcome_verifier"] = _headline(report["outcome_verifier"])
    return lines
