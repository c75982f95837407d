"""What a family of problems is, and the frame that every built-in family fills in.

A family draws problems, writes worked solutions to them in several styles, and grades answers. The
frame (`WorkedFamily`) composes the four styles from one `Working`, so that a family only has to say
what its lines of work are, what a slip does to them, and how the result is checked another way.

Styles: ``direct`` (the answer at once, no think part), ``steps`` (the work, tersely), ``equation`` (a
plan first, then the work), ``check`` (steps, then a sentence that begins with "Check" or "Wait").
"""

from __future__ import annotations

import hashlib
import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from thinkling.core.errors import UserError
from thinkling.core.seeds import content_key
from thinkling.core.types import Message, Problem, Verdict
from thinkling.tasks.answers import AnswerKind, answer_kind

STYLES: tuple[str, ...] = ("direct", "steps", "equation", "check")
CAUGHT_SHARE = 0.5  # of the slips in a checked solution, how many the check catches


@dataclass(frozen=True, slots=True)
class Draft:
    """A problem before it has a key: what is asked, the gold answer, and what makes it this problem.

    ``canonical`` spells the content that matters (numbers, names, order) and never the wording, so that
    one problem under two wordings has one key and lies in one split. ``split`` is None except where a
    file of problems fixes it. ``meta`` must survive JSON.
    """

    prompt: str
    answer: str
    canonical: str
    level: int = 1
    meta: dict[str, Any] = field(default_factory=dict)
    split: str | None = None


class Family(Protocol):
    """What training and evaluation ask of a family; a user's own needs nothing more than this."""

    @property
    def name(self) -> str: ...

    @property
    def styles(self) -> tuple[str, ...]: ...

    def draw(self, rng: random.Random, level: int | None = None, ood: bool = False) -> Draft:
        """A problem at ``level`` (None: the family's own mixture); ``ood`` beyond the training range."""

    def solve(self, problem: Problem, style: str, rng: random.Random, slip: bool = False) -> Message:
        """An assistant turn that solves ``problem`` in ``style``; ``slip`` asks for a human mistake."""

    def grade(self, problem: Problem, text: str) -> Verdict:
        """The verdict on an answer; ``text`` is the answer part alone, without thinking."""


def split_of(key: str) -> str:
    """ "train" (90%), "val" (5%) or "test" (5%), decided by the problem's key alone."""
    bucket = int.from_bytes(hashlib.blake2b(f"split:{key}".encode(), digest_size=8).digest(), "big") % 100
    return "train" if bucket < 90 else "val" if bucket < 95 else "test"


def pose(family_name: str, draft: Draft, seed: int = 0) -> Problem:
    """The Problem of a draft: keyed by family and canonical content, with the split that follows."""
    key = content_key(f"{family_name}|{draft.canonical}")
    return Problem(
        key=key,
        split=draft.split or split_of(key),
        family=family_name,
        prompt=draft.prompt,
        answer=draft.answer,
        level=draft.level,
        seed=seed,
        meta=draft.meta,
    )


def answer_message(answer: str, think: str | None = None) -> Message:
    """The assistant turn that every family ends with."""
    return Message.assistant(f"The answer is {answer}.", think)


@dataclass(frozen=True, slots=True)
class Working:
    """Lines of work with their result, and how a check would go on.

    ``text`` is the work (slipped where asked), ``answer`` what it leads to, ``check`` the sentence that
    verifies it (after a slip: one that fails to see it), ``fix`` the sentence that catches the slip and
    goes on to the gold answer ("" without a slip).
    """

    text: str
    answer: str
    check: str
    fix: str = ""


class WorkedFamily(ABC):
    """A built-in family: fill in `draw` and `work`; ``kind`` says how answers are read and graded."""

    name: str
    kind: AnswerKind = answer_kind("number")
    styles: tuple[str, ...] = STYLES
    levels: tuple[int, ...]
    ood_levels: tuple[int, ...]

    @abstractmethod
    def draw(self, rng: random.Random, level: int | None = None, ood: bool = False, unseen: bool = False) -> Draft:
        """As in `Family`; ``unseen`` words the problem with a template that training never uses."""

    @abstractmethod
    def work(self, problem: Problem, planned: bool, rng: random.Random, slip: bool) -> Working:
        """The work for ``problem``: plan first when ``planned``, with a human slip when ``slip``."""

    def solve(self, problem: Problem, style: str, rng: random.Random, slip: bool = False) -> Message:
        if style not in self.styles:
            raise UserError(f"{self.name}: expected a style out of {', '.join(self.styles)}; got {style!r}")
        work = self.work(problem, style == "equation", rng, slip)
        if style == "direct":
            return answer_message(work.answer)
        if style != "check":
            return answer_message(work.answer, work.text)
        if slip and rng.random() < CAUGHT_SHARE:
            return answer_message(problem.answer, f"{work.text} {work.fix}")
        return answer_message(work.answer, f"{work.text} {work.check}")

    def grade(self, problem: Problem, text: str) -> Verdict:
        return self.kind.grade(text, problem.answer)

    def pick_level(self, rng: random.Random, level: int | None, ood: bool) -> int:
        """The level to draw at: ``level`` if it is one of the family's, else a uniform choice."""
        allowed = self.ood_levels if ood else self.levels
        if level is None:
            return rng.choice(allowed)
        if level not in allowed:
            where = "out-of-distribution levels" if ood else "levels"
            raise UserError(f"{self.name}: expected one of the {where} {list(allowed)}; got {level}")
        return level


def pick_wording(
    rng: random.Random, seen: Sequence[Any], held_out: Sequence[Any], unseen: bool
) -> tuple[Any, dict[str, Any]]:
    """A wording and its entry in ``meta``; held-out wordings are numbered after the seen ones."""
    pool = held_out if unseen else seen
    index = rng.randrange(len(pool))
    return pool[index], {"template": index + (len(seen) if unseen else 0), "unseen": unseen}
