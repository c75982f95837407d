"""Sets of problems and of conversations: distinct, split by content, the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive, stream
from thinkling.core.types import Message, Problem
from thinkling.tasks.family import Draft, Family, pose, split_of

__all__ = ["conversations", "problems", "split_of"]

_PATIENCE = 20_000  # draws in vain before a family counts as exhausted
SECOND_QUESTION_SHARE = 0.08
SYSTEM_SHARE = 0.08
SYSTEM_MESSAGES = (
    "You are a small model that answers questions.",
    "You think before you answer.",
    "You are a careful and friendly assistant.",
    "Answer the questions of the user.",
)


def problems(
    family: Family,
    split: str,
    n: int,
    seed: int,
    ood: bool = False,
    level: int | None = None,
    unseen: bool = False,
    at_most: bool = False,
) -> list[Problem]:
    """``n`` problems of ``split`` with distinct keys.

    ``ood`` draws beyond the training range, ``level`` at one difficulty, ``unseen`` in wordings that
    training never uses (built-in families only). A family that runs out raises UserError, or gives what
    there is with ``at_most``.
    """
    if split not in ("train", "val", "test"):
        raise UserError(f"expected a split out of train, val, test; got {split!r}")
    rng = stream(seed, "problems", family.name, split, ood, level, unseen)
    found: dict[str, Problem] = {}
    idle = 0
    for draft in _drafts(family, rng, level, ood, unseen):
        if len(found) >= n or idle >= _PATIENCE:
            break
        problem = pose(family.name, draft, derive(seed, "problem", family.name, len(found)))
        new = problem.split == split and problem.key not in found
        idle = 0 if new else idle + 1
        if new:
            found[problem.key] = problem
    if len(found) < n and not at_most:
        where = "" if level is None else f" at level {level}"
        raise UserError(
            f"expected {n} distinct {split} problems of {family.name}{where}; found only {len(found)}: "
            "ask for fewer, or give the family more content"
        )
    return list(found.values())


def _drafts(family: Family, rng: random.Random, level: int | None, ood: bool, unseen: bool) -> Iterator[Draft]:
    """Drafts without end; a finite family's (one that has ``drafts``) once each, shuffled."""
    options: dict[str, Any] = {"unseen": True} if unseen else {}
    if hasattr(family, "drafts"):
        finite = [draft for draft in family.drafts(rng, ood, **options) if level in (None, draft.level)]
        rng.shuffle(finite)
        yield from finite
        return
    while True:
        yield family.draw(rng, level, ood, **options)


def conversations(
    mixture: Sequence[tuple[Family, float]],
    n: int,
    seed: int,
    slip_share: float = 0.0,
    styles: Mapping[str, float] | None = None,
    split: str = "train",
) -> Iterator[tuple[Problem, str, list[Message]]]:
    """``n`` conversations for SFT: (first problem, style of its answer, messages).

    ``mixture`` holds families with weights, ``styles`` the weight of each style (a family without a
    style shares its weight among the others; None: all the same). ``slip_share`` of the answers hold a
    human slip. Some conversations open with a system message, some go on to a second question. The
    problems are drawn from ``split`` alone and may repeat.
    """
    if not mixture:
        raise UserError("expected at least one family to make conversations from")
    families = [family for family, _ in mixture]
    weights = [weight for _, weight in mixture]
    rng = stream(seed, "conversations", split)
    for _ in range(n):
        messages: list[Message] = []
        if rng.random() < SYSTEM_SHARE:
            messages.append(Message.system(rng.choice(SYSTEM_MESSAGES)))
        turns = 2 if rng.random() < SECOND_QUESTION_SHARE else 1
        solved: list[tuple[Problem, str]] = []
        for _ in range(turns):
            problem, style, answer = _turn(rng, rng.choices(families, weights)[0], slip_share, styles, split)
            messages += [Message.user(problem.prompt), answer]
            solved.append((problem, style))
        yield (*solved[0], messages)


def _turn(
    rng: random.Random, family: Family, slip_share: float, styles: Mapping[str, float] | None, split: str
) -> tuple[Problem, str, Message]:
    for _ in range(_PATIENCE):
        problem = pose(family.name, family.draw(rng), rng.getrandbits(62))
        if problem.split == split:
            break
    else:
        raise UserError(f"{family.name}: expected problems of the split {split}; none came in {_PATIENCE} draws")
    usable = [style for style in family.styles if styles is None or styles.get(style, 0.0) > 0]
    if not usable:
        raise UserError(
            f"{family.name}: expected a style with a weight above 0 out of {', '.join(family.styles)}; "
            f"got {dict(styles or {})}"
        )
    style = rng.choices(usable, [1.0 if styles is None else styles[style] for style in usable])[0]
    answer = family.solve(problem, style, rng, rng.random() < slip_share)
    return problem, "direct" if answer.thinking is None else style, answer
