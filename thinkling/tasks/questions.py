"""Problems from a JSONL file, so that anyone's questions go through SFT, RL and evaluation unchanged.

Fields: ``prompt`` or ``question``; ``answer``; optional ``solution`` or ``think`` (a worked solution),
``split`` (train, val or test; else by hash), ``level``. An answer that is a number is graded as one,
any other as normalized text.
"""

from __future__ import annotations

import random
from pathlib import Path

from thinkling.core.errors import UserError
from thinkling.core.types import Message, Problem, Verdict
from thinkling.tasks.family import Draft, answer_message, pose
from thinkling.tasks.grading import grade_number, grade_text, number
from thinkling.tasks.rows import read_rows, text_field

SPLITS = ("train", "val", "test")


class Questions:
    """The problems of one JSONL file. The family is named after the file unless ``name`` says otherwise.

    Style ``steps`` gives a row's own solution as thinking; a row without one is answered at once in
    every style. The file's solutions are taken as they are, so ``slip`` changes nothing.
    """

    def __init__(self, path: str | Path, name: str | None = None) -> None:
        self.path = Path(path)
        self.name = name or self.path.stem
        self.rows: list[Draft] = []
        places: dict[str, str] = {}
        for where, row in read_rows(path):
            prompt = text_field(where, row, "prompt", "question")
            answer = text_field(where, row, "answer")
            split = row.get("split")
            if split is not None and split not in SPLITS:
                raise UserError(f"{where}: expected split to be one of {', '.join(SPLITS)}; got {split!r}")
            level = row.get("level", 1)
            if not isinstance(level, int):
                raise UserError(f"{where}: expected a whole number as level; got {level!r}")
            meta = {"where": where}
            for field in ("solution", "think"):
                if row.get(field) is not None:
                    meta["solution"] = text_field(where, row, field)
            draft = Draft(prompt, answer, " ".join(prompt.split()), level, meta, split)
            if draft.canonical in places:
                raise UserError(f"{where}: the same question as in {places[draft.canonical]}; remove one")
            places[draft.canonical] = where
            self._check_gold(where, draft)
            self.rows.append(draft)
        if not self.rows:
            raise UserError(f"{self.path}: expected at least one problem; the file is empty")
        solved = any("solution" in draft.meta for draft in self.rows)
        self.styles: tuple[str, ...] = ("direct", "steps") if solved else ("direct",)

    def _check_gold(self, where: str, draft: Draft) -> None:
        problem = pose(self.name, draft)
        verdict = self.grade(problem, answer_message(draft.answer).text)
        if verdict.score != 1.0:
            raise UserError(
                f"{where}: the answer {draft.answer!r} would not be graded as right ({verdict.reason}); "
                "expected a number or a short text on one line"
            )

    def draw(self, rng: random.Random, level: int | None = None, ood: bool = False) -> Draft:
        if ood:
            raise UserError(f"{self.name}: a file of problems has no out-of-distribution draw")
        pool = [draft for draft in self.rows if level is None or draft.level == level]
        if not pool:
            raise UserError(f"{self.path}: no problem of level {level}")
        return rng.choice(pool)

    def drafts(self, rng: random.Random, ood: bool = False, unseen: bool = False) -> list[Draft]:
        """Every problem once, in the order of the file: the family is finite."""
        if ood or unseen:
            raise UserError(f"{self.name}: a file of problems has no out-of-distribution draw")
        return list(self.rows)

    def solve(self, problem: Problem, style: str, rng: random.Random, slip: bool = False) -> Message:
        if style not in self.styles:
            raise UserError(f"{self.name}: expected a style out of {', '.join(self.styles)}; got {style!r}")
        solution = problem.meta.get("solution")
        return answer_message(problem.answer, None if style == "direct" or solution is None else solution)

    def grade(self, problem: Problem, text: str) -> Verdict:
        if number(problem.answer) is not None:
            return grade_number(text, problem.answer)
        return grade_text(text, problem.answer)
