"""What a model's own training text holds of an evaluation's problems, and whether it solves those more often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from thinkling.core.errors import UserError
from thinkling.data.documents import DOCUMENTS
from thinkling.data.overlap import SIZES, overlaps, training_texts
from thinkling.evaluate.outcomes import Reader
from thinkling.evaluate.perturbing import answered
from thinkling.evaluate.plan import Plan
from thinkling.evaluate.recite import split_by_overlap
from thinkling.evaluate.tasks import Task


def check_data(data: Path) -> None:
    """Raises UserError where ``data`` is no data artifact."""
    if not (data / DOCUMENTS).is_file():
        raise UserError(f"{data}: expected the folder of a data artifact (with {DOCUMENTS}), such as runs/nano/data")


def overlap_table(
    data: Path, tasks: Sequence[Task], plans: Sequence[Plan], reader: Reader, seed: int
) -> dict[str, Any]:
    """n -> the mean share of the problems' n-grams in the training text of a data artifact, how many problems have
    one there, and each single-answer strategy's accuracy on those against the others (of one family and level).

    Where too few problems stand on one side to be compared, ``note`` says so.
    """
    problems = [problem for task in tasks for problem in task.problems]
    found = overlaps([problem.prompt for problem in problems], training_texts(data))
    table: dict[str, Any] = {"longest": max((one.longest for one in found), default=0), "sizes": {}}
    for size in SIZES:
        shares = {problem.key: one.shares[size] for problem, one in zip(problems, found, strict=True)}
        told = [share for share in shares.values() if share is not None]
        row: dict[str, Any] = {
            "mean": float(np.mean(told)) if told else 0.0,
            "problems": sum(share > 0 for share in told),
            "strategies": {},
        }
        for plan in plans:
            if plan.how == "single":
                rows = [one for task in tasks for one in answered(reader.outcomes(task, plan))]
                try:
                    row["strategies"][plan.spec] = asdict(split_by_overlap(problems, rows, shares, seed=seed))
                except UserError as error:  # nothing is wrong: there is nothing to compare, and the table says why
                    row["strategies"][plan.spec] = {"note": str(error)}
        table["sizes"][str(size)] = row
    return table
