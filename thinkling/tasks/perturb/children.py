"""The entry: a problem's children under each perturbation, paired with it, and what was refused and why.

A child is of its parent's family, so that the family grades it, and in its parent's split: neither it nor,
for a built-in family, its content may have been trained on where the parent was not.
"""

from __future__ import annotations

import difflib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from thinkling.core.errors import UserError
from thinkling.core.seeds import content_key, derive, stream
from thinkling.core.types import Problem, Verdict
from thinkling.tasks.chain import Chain
from thinkling.tasks.coin import Coin
from thinkling.tasks.count import Count
from thinkling.tasks.decimals import Decimals
from thinkling.tasks.equation import Equation
from thinkling.tasks.facts import Facts
from thinkling.tasks.family import Draft, WorkedFamily, pose
from thinkling.tasks.letters import Letters
from thinkling.tasks.perturb.change import Change, Refused, canonical
from thinkling.tasks.perturb.clause import add_clause, add_clause_text
from thinkling.tasks.perturb.extend import extend, extend_text
from thinkling.tasks.perturb.redraw import redraw
from thinkling.tasks.perturb.rename import rename, rename_text
from thinkling.tasks.perturb.renumber import renumber_text
from thinkling.tasks.sort import Sort

RENAMED, RENUMBERED, CLAUSE, ONE_MORE_STEP = "renamed", "renumbered", "irrelevant clause", "one more step"
KINDS = (RENAMED, RENUMBERED, CLAUSE, ONE_MORE_STEP)
_BUILT_IN = (Chain, Equation, Letters, Coin, Sort, Decimals, Count)
_TRIES = 600  # a test problem's child has new content of the test split in one draw of twenty


class Grader(Protocol):
    """What a problem belongs to: a family, or a benchmark. Its grader serves the children too."""

    @property
    def name(self) -> str: ...

    def grade(self, problem: Problem, text: str) -> Verdict: ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no such child of the problem with the key ``parent``."""

    parent: str
    family: str
    perturbation: str
    reason: str


@dataclass(frozen=True, slots=True)
class Children:
    """Perturbed problems, and every refusal."""

    problems: tuple[Problem, ...]
    refusals: tuple[Refusal, ...]

    def refused(self) -> dict[tuple[str, str, str], int]:
        """(perturbation, family, reason) -> how often, the most frequent first."""
        counted = Counter((one.perturbation, one.family, one.reason) for one in self.refusals)
        return dict(counted.most_common())


def perturb(problem: Problem, family: Grader, kind: str, seed: int) -> Problem | Refusal:
    """The child of ``problem`` under the perturbation ``kind`` (one of KINDS), or why there is none.

    The child's ``meta`` has ``parent`` (the parent's key) and ``perturbation``; its key is its own. It depends
    on the problem, the kind and the seed alone. Its gold is certain: where a step towards it is not, the
    problem is refused. Raises UserError for another kind or another family's problem.
    """
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"expected a perturbation out of {', '.join(KINDS)}; got {kind!r}{hint}")
    if problem.family != family.name:
        raise UserError(f"expected a problem of the family {family.name}; got one of {problem.family}")
    rng = stream(seed, "perturb", kind, problem.key)
    try:
        if "perturbation" in problem.meta:
            raise Refused("the problem is a perturbed one already")
        change = _fitting(problem, family, _maker(family, kind), rng)
    except Refused as reason:
        return Refusal(problem.key, problem.family, kind, str(reason))
    return Problem(
        key=content_key(f"{problem.family}|{kind}|{problem.key}|{change.prompt}"),
        split=problem.split,
        family=problem.family,
        prompt=change.prompt,
        answer=change.answer,
        level=change.level,
        seed=derive(seed, "perturbed", kind, problem.key),
        meta={**change.meta, "parent": problem.key, "perturbation": kind},
    )


def perturbations(
    problems: Sequence[Problem], families: Mapping[str, Grader], kinds: Sequence[str] = KINDS, seed: int = 0
) -> Children:
    """Every child of ``problems`` under ``kinds``; ``families`` maps the problems' family names to families."""
    unknown = sorted({problem.family for problem in problems} - set(families))
    if unknown:
        raise UserError(f"expected a family for every problem; there is none for {', '.join(unknown)}")
    made = [perturb(problem, families[problem.family], kind, seed) for problem in problems for kind in kinds]
    return Children(
        tuple(one for one in made if isinstance(one, Problem)), tuple(one for one in made if isinstance(one, Refusal))
    )


def _maker(family: Grader, kind: str) -> Callable[[Problem, random.Random], Change]:
    """How this kind is done to this family's problems. Families that are not built in are texts of unknown making."""
    if isinstance(family, Facts) and kind != CLAUSE:
        raise Refused("the names in a fact are what it is about")
    made: dict[str, Callable[[Problem, random.Random], Change]]
    if isinstance(family, WorkedFamily) and type(family) in _BUILT_IN:
        made = {
            RENAMED: rename,
            RENUMBERED: lambda problem, rng: redraw(problem, family, rng),
            CLAUSE: add_clause,
            ONE_MORE_STEP: extend,
        }
    else:
        made = {
            RENAMED: rename_text,
            RENUMBERED: renumber_text,
            CLAUSE: add_clause_text,
            ONE_MORE_STEP: extend_text,
        }
    return made[kind]


def _fitting(
    problem: Problem, family: Grader, make: Callable[[Problem, random.Random], Change], rng: random.Random
) -> Change:
    """The first change whose content lies in the parent's split, and whose answer is another one where it is new."""
    known = type(family) in _BUILT_IN
    old = canonical(family.name, problem.meta) if known else None
    for _ in range(_TRIES):
        change = make(problem, rng)
        new = canonical(family.name, change.meta) if known else None
        same_split = new is None or new == old or _split(family, new) == problem.split
        if same_split and not (change.new_gold and change.answer == problem.answer):
            return change
    raise Refused("no other content in the problem's split")


def _split(family: Grader, content: str) -> str:
    return pose(family.name, Draft("", "", content)).split
