"""Questions about the fictional world, answered from memory.

Every fact may stand in the pages that the model reads; questions are only ever asked (in pages, SFT and
RL) about facts of the train split, so that a test fact was read but never asked about. ``meta`` carries
the number of mentions, against which memory can be plotted.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from thinkling.core.errors import UserError
from thinkling.core.types import Message, Problem, Verdict
from thinkling.tasks.family import Draft, answer_message, pick_wording, pose
from thinkling.tasks.grading import grade_text
from thinkling.tasks.rows import read_rows, text_field

SEEN = ("{q}", "Please tell me: {q}", "I have a question. {q}", "{q} Answer from memory.")
HELD_OUT = ("Do you happen to know the answer to this? {q}", "{q} I forgot.")


def canonical(subject: str, relation: str) -> str:
    """What makes a fact this fact; the question's wording and the answer do not."""
    return f"{subject}|{relation}"


def split_of_fact(subject: str, relation: str) -> str:
    """The split of the question about this fact: "train", "val" or "test"."""
    return pose("facts", Draft("", "", canonical(subject, relation))).split


class Facts:
    """The facts of one world; ``facts`` is its facts.jsonl."""

    name = "facts"
    styles = ("direct", "steps")
    levels = (1,)
    ood_levels: tuple[int, ...] = ()

    def __init__(self, facts: str | Path) -> None:
        self.path = Path(facts)
        self.rows: list[dict[str, Any]] = []
        self.rivals: dict[str, list[str]] = {}
        for where, row in read_rows(facts):
            fact: dict[str, Any] = {
                name: text_field(where, row, name) for name in ("id", "subject", "relation", "object", "question")
            }
            fact["kind"] = str(row.get("kind", ""))
            fact["sentence"] = str(row.get("sentence") or _recalled(fact))
            if not isinstance(row.get("mentions", 0), int):
                raise UserError(f"{where}: expected a whole number of mentions; got {row['mentions']!r}")
            fact["mentions"] = row.get("mentions", 0)
            self.rows.append(fact)
            self.rivals.setdefault(fact["relation"], []).append(fact["object"])
        if not self.rows:
            raise UserError(f"{self.path}: expected at least one fact; the file is empty")

    def draw(self, rng: random.Random, level: int | None = None, ood: bool = False, unseen: bool = False) -> Draft:
        return self._draft(rng, rng.choice(self.rows), ood, unseen)

    def drafts(self, rng: random.Random, ood: bool = False, unseen: bool = False) -> list[Draft]:
        """Every question once, in the order of the file: the family is finite."""
        return [self._draft(rng, row, ood, unseen) for row in self.rows]

    def _draft(self, rng: random.Random, fact: dict[str, Any], ood: bool, unseen: bool) -> Draft:
        if ood:
            raise UserError("facts: expected ood to be off; no fact of the world lies beyond the world")
        wording, meta = pick_wording(rng, SEEN, HELD_OUT, unseen)
        meta |= {key: fact[key] for key in ("id", "subject", "relation", "mentions", "kind", "sentence")}
        prompt = wording.format(q=fact["question"])
        return Draft(prompt, fact["object"], canonical(fact["subject"], fact["relation"]), 1, meta)

    def solve(self, problem: Problem, style: str, rng: random.Random, slip: bool = False) -> Message:
        """Style ``steps`` recalls the fact's sentence first; a slip remembers another subject's object."""
        if style not in self.styles:
            raise UserError(f"facts: expected a style out of {', '.join(self.styles)}; got {style!r}")
        answer, sentence = problem.answer, str(problem.meta["sentence"])
        if slip:
            others = sorted({item for item in self.rivals[problem.meta["relation"]] if item != answer})
            wrong = rng.choice(others) if others else "unknown"
            sentence = sentence.replace(answer, wrong)
            answer = wrong
        return answer_message(answer, None if style == "direct" else sentence)

    def grade(self, problem: Problem, text: str) -> Verdict:
        return grade_text(text, problem.answer)


def _recalled(fact: dict[str, Any]) -> str:
    """A plain note of a fact whose row brings no sentence: "Elmford, mayor Bo Reed."."""
    return f"{fact['subject']}, {fact['relation'].replace('_', ' ')} {fact['object']}."
