"""Outcome verifier: a model that says how likely a solution is to be right, learned from right and wrong ones.

Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems" (arXiv:2110.14168), section 4: sample
solutions from a policy, grade them, and train a scalar head on the grade at every token of the solution.
Parents: ``model``, what it starts from; ``policy``, whose solutions it learns to judge.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from thinkling.core.stage import StageContext
from thinkling.core.types import Scored
from thinkling.engine.scoring import Judged
from thinkling.train.solutions import Attempts, Solution
from thinkling.train.verifier import VerifierRecipe, fit, gather
from thinkling.train.verifier_report import Group, calibration, choosing, ranking


class Recipe(VerifierRecipe):
    pass


def every_token(solution: Solution, turn: Judged) -> Mapping[int, float]:
    """The grade at every token of the solution: what is begun well may still be judged before it ends."""
    return dict.fromkeys(range(len(turn.prompt), len(turn.ids)), solution.score)


def run(ctx: StageContext, recipe: Recipe) -> dict[str, Any]:
    """Train on graded solutions; ``report.json`` says how the verifier judges held-out ones."""
    material = gather(ctx, recipe)

    def measure(judgements: list[list[Scored]]) -> dict[str, Any]:
        return summary(groups(material.held_out, judgements), recipe.seed)

    judgements = fit(ctx, recipe, material, every_token, measure)
    judged = groups(material.held_out, judgements)
    report = (
        ranking(judged, recipe.seed) | calibration(judged, recipe.seed) | {"choosing": choosing(judged, recipe.seed)}
    )
    (ctx.path / "report.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return summary(judged, recipe.seed) | {"too_long": material.too_long}


def groups(attempts: list[Attempts], judgements: list[list[Scored]]) -> list[Group]:
    """Each problem's solutions with the value after their last token."""
    return [
        Group(
            one.problem.family,
            np.asarray([scored.value for scored in said], np.float64),
            np.asarray([solution.score for solution in one.solutions]),
            tuple(solution.answer for solution in one.solutions),
        )
        for one, said in zip(attempts, judgements, strict=True)
    ]


def summary(judged: list[Group], seed: int) -> dict[str, Any]:
    """The numbers that are logged: both areas under the curve, calibration error and squared error."""
    ranked, calibrated = ranking(judged, seed), calibration(judged, seed)
    return {name: ranked[name] for name in ("within", "pooled")} | {
        name: calibrated[name] for name in ("ece", "brier", "brier_constant")
    }
