"""Problems from a JSONL file, so that anyone's questions go through SFT, RL and evaluation unchanged.

Fields: ``prompt`` or ``question``; ``answer``; optional ``solution`` or ``think`` (a worked solution; a
question may come again with another one), ``split`` (train, val or test; else by hash), ``level``, and
``family`` (kept in ``meta``). An answer that is a number is graded as one, any other as normalized text.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from thinkling.core.errors import UserError
from thinkling.core.types import Message, Problem, Verdict
from thinkling.tasks.family import Draft, answer_message, pose
from thinkling.tasks.grading import grade_number, grade_text, number
from thinkling.tasks.rows import read_rows, text_field

SPLITS = ("train", "val", "test")


class Questions:
    """The problems of one JSONL file; the family is named after the file.

    Style ``steps`` gives one of a question's solutions as thinking; a question without any is answered at
    once in every style. The file's solutions are taken as they are, so ``slip`` changes nothing.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = self.path.stem
        self.rows: list[Draft] = []
        asked: dict[str, tuple[str, Draft]] = {}
        for where, row in read_rows(path):
            draft = self._draft(where, row)
            place, first = asked.setdefault(draft.canonical, (where, draft))
            if first is draft:
                self._check_gold(where, draft)
                self.rows.append(draft)
            elif (first.answer, first.split) != (draft.answer, draft.split):
                raise UserError(f"{where}: expected one answer and split per question; {place} asks it with another")
            else:
                first.meta["solutions"] += draft.meta["solutions"]
        if not self.rows:
            raise UserError(f"{self.path}: expected at least one problem; the file is empty")
        solved = any(draft.meta["solutions"] for draft in self.rows)
        self.styles: tuple[str, ...] = ("direct", "steps") if solved else ("direct",)

    def _draft(self, where: str, row: dict[str, Any]) -> Draft:
        prompt = text_field(where, row, "prompt", "question")
        split, level = row.get("split"), row.get("level", 1)
        if split is not None and split not in SPLITS:
            raise UserError(f"{where}: expected a split out of {', '.join(SPLITS)}; got {split!r}")
        if not isinstance(level, int) or isinstance(level, bool):
            raise UserError(f"{where}: expected a whole number as level; got {level!r}")
        solutions = [text_field(where, row, f) for f in ("solution", "think") if row.get(f) is not None][:1]
        meta = {"solutions": solutions, "family": str(row.get("family", self.name))}
        canonical = " ".join(prompt.split())
        return Draft(prompt, text_field(where, row, "answer"), canonical, level, meta, split)

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
        solutions = problem.meta["solutions"]
        return answer_message(problem.answer, rng.choice(solutions) if style == "steps" and solutions else None)

    def grade(self, problem: Problem, text: str) -> Verdict:
        if number(problem.answer) is not None:
            return grade_number(text, problem.answer)
        return grade_text(text, problem.answer)
