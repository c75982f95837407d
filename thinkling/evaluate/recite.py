"""Does a model reason or recite? Problems are asked again with something changed, and paired with their parents.

Whoever reasons solves the child as often as the parent. Whoever recites drops, and leaves a signature: the answer
to the *parent*, where the child's is another one (GSM-Symbolic, Mirzadeh et al. 2024, arXiv:2410.05229, measures
the drop; the parent's answer is what tells a memory from mere difficulty). The control beside it is how often a
child is answered with the gold of some *other* parent, which happens by chance and to any plausible mistake.

The second question is whether what stood in the training text is answered better than what did not
(`thinkling.data.overlap`); `split_by_overlap` compares the two at equal family and level.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.core.types import Problem
from thinkling.evaluate.statistics import Estimate, bootstrap, paired_difference, share
from thinkling.tasks.grading import normalized, number
from thinkling.tasks.perturb.children import ONE_MORE_STEP, RENAMED, RENUMBERED

Verdict = Literal["reasons", "recites", "undecided"]
MARGIN = 0.05  # a drop in accuracy that matters
LEAST = 5  # problems on each side of a comparison by overlap, at one family and level
# As hard as their parents, so that a drop alone is a memory of the surface.
_AS_HARD = (RENAMED, RENUMBERED)


class Attempt(Protocol):
    """One answer: a row of the sample pool has all this. ``score`` None is unscored and stays out."""

    @property
    def key(self) -> str: ...

    @property
    def score(self) -> float | None: ...

    @property
    def extracted(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Recital:
    """What one perturbation shows, over the pairs of which both have been answered.

    ``before`` and ``after`` are the accuracies of parents and children, ``change`` their paired difference.
    ``recited`` is the share of children's answers that are the parent's gold, ``chance`` the share that are
    another parent's, ``excess`` their difference: over the children whose own gold is another one, and None
    where there are none.
    """

    perturbation: str
    before: Estimate
    after: Estimate
    change: Estimate
    recited: Estimate | None
    chance: Estimate | None
    excess: Estimate | None
    verdict: Verdict

    @property
    def sentence(self) -> str:
        """The verdict and what it rests on."""
        text = (
            f"{self.perturbation}: {self.verdict}. Over {self.change.n} pairs the accuracy goes from "
            f"{self.before.value:.1%} to {self.after.value:.1%}, a change of {_signed(self.change)}"
        )
        if self.recited is None or self.chance is None:
            return f"{text}; the answer stays the same, so nobody can be caught giving the old one."
        return (
            f"{text}; {self.recited.value:.1%} ({self.recited.low:.1%} to {self.recited.high:.1%}) of the answers are "
            f"the parent's{' (recited, or stopped a step early)' if self.perturbation == ONE_MORE_STEP else ''}, "
            f"and {self.chance.value:.1%} another problem's."
        )


def recitals(
    parents: Sequence[Problem],
    children: Sequence[Problem],
    attempts: Iterable[Attempt],
    *,
    margin: float = MARGIN,
    seed: int = 0,
) -> dict[str, Recital]:
    """What each perturbation among ``children`` shows, by its name; ``attempts`` are at parents and children alike.

    The verdict, by 95% intervals:

    - "recites" where the children are solved less often (the change is below 0) and give the parent's gold more
      often than another problem's (the excess is above 0); or where a perturbation that makes nothing harder
      (renamed, renumbered) costs more than ``margin``;
    - "reasons" where a drop of ``margin`` or more is excluded, the parent's gold is not given more often than
      another problem's, and the accuracy of the children is not within chance;
    - "undecided" otherwise: too few pairs, nothing solved that could be lost, or a drop that may be difficulty.

    Under "one more step" the parent's gold is on the way to the child's, so giving it may be stopping too early and
    convicts nobody. Where the gold stays the same, "reasons" says little: a memory that does not look closely
    passes too. Raises UserError where no pair has been answered.
    """
    by_key = {problem.key: problem for problem in parents}
    rows = _grouped(attempts)
    pairs: dict[str, list[tuple[Problem, Problem]]] = defaultdict(list)
    for child in children:
        parent = by_key.get(str(child.meta.get("parent")))
        if parent is not None and parent.key in rows and child.key in rows:
            pairs[str(child.meta["perturbation"])].append((parent, child))
    if not pairs:
        raise UserError(
            f"expected attempts at parents and at their children; of {len(children)} children none was answered "
            "together with its parent: ask both, and pass all their attempts"
        )
    return {name: _recital(name, some, rows, margin, derive(seed, "recite", name)) for name, some in pairs.items()}


def _recital(
    name: str, pairs: Sequence[tuple[Problem, Problem]], rows: Mapping[str, list[Attempt]], margin: float, seed: int
) -> Recital:
    before: dict[str, dict[str, float]] = defaultdict(dict)
    after: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for parent, child in pairs:
        before[parent.family][parent.key] = _mean_score(rows[parent.key])
        after[parent.family][parent.key].append(_mean_score(rows[child.key]))
    means = {family: {key: sum(v) / len(v) for key, v in some.items()} for family, some in after.items()}
    change = paired_difference(means, before, seed=derive(seed, "change"))
    old, new = (
        share({family: list(some.values()) for family, some in side.items()}, seed=derive(seed, "accuracy"))
        for side in (before, means)
    )
    recited, chance = _signature(pairs, rows)
    signs: tuple[Estimate | None, Estimate | None, Estimate | None] = (None, None, None)
    if recited:
        differences = {
            family: [one - other for one, other in zip(values, chance[family], strict=True)]
            for family, values in recited.items()
        }
        signs = (
            share(recited, seed=derive(seed, "recited")),
            share(chance, seed=derive(seed, "chance")),
            bootstrap(differences, seed=derive(seed, "excess")),
        )
    return Recital(name, old, new, change, *signs, _verdict(name, new, change, signs[1], signs[2], margin))


def _verdict(
    name: str, after: Estimate, change: Estimate, chance: Estimate | None, excess: Estimate | None, margin: float
) -> Verdict:
    """The rule of `recitals`."""
    signature = excess is not None and excess.low > 0
    if (signature and name != ONE_MORE_STEP and change.high < 0) or (name in _AS_HARD and change.high < -margin):
        return "recites"
    above_chance = after.low > (0.0 if chance is None else chance.value)
    return "reasons" if change.low > -margin and not signature and above_chance else "undecided"


def _signature(
    pairs: Sequence[tuple[Problem, Problem]], rows: Mapping[str, list[Attempt]]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """family -> per child the share of its answers that are its parent's gold; and that are another parent's.

    Only children whose gold differs from their parent's, and where another parent has a gold that is not the
    child's: of yes and no, whatever is wrong is everybody's other answer, and shows nothing.
    """
    golds: dict[str, dict[str, str]] = defaultdict(dict)
    for parent, _ in pairs:
        golds[parent.family][parent.key] = _form(parent.answer)
    counts = {family: Counter(some.values()) for family, some in golds.items()}
    recited: dict[str, list[float]] = defaultdict(list)
    chance: dict[str, list[float]] = defaultdict(list)
    for parent, child in pairs:
        own, new = _form(parent.answer), _form(child.answer)
        count = counts[parent.family]
        others = count.total() - 1 - count[new]  # all but the parent, and those with the child's gold
        if own == new or others < 1:
            continue
        said = [None if row.extracted is None else _form(row.extracted) for row in rows[child.key]]
        recited[parent.family].append(sum(text == own for text in said) / len(said))
        alike = [0 if text is None or text == new else count[text] - (text == own) for text in said]
        chance[parent.family].append(sum(alike) / others / len(said))
    return dict(recited), dict(chance)


@dataclass(frozen=True, slots=True)
class OverlapSplit:
    """Accuracy of problems that the training text holds parts of (``seen``), and of the others (``clean``).

    Averages over strata (a family at one level) that have enough of both; ``left_out`` counts the problems of
    the other strata, and those too short to say anything. ``difference`` is seen minus clean.
    """

    seen: Estimate
    clean: Estimate
    difference: Estimate
    left_out: int


def split_by_overlap(
    problems: Sequence[Problem],
    attempts: Iterable[Attempt],
    shares: Mapping[str, float | None],
    *,
    above: float = 0.0,
    seed: int = 0,
) -> OverlapSplit:
    """Compare problems with more than ``above`` of their n-grams in the training text with the others.

    ``shares`` maps problem keys to such shares (`thinkling.data.overlap`; None: too short to tell). By default one
    n-gram is enough, as in GPT-3's analysis (Brown et al. 2020, appendix C). Short problems are easier and have
    their likes in any text, so only problems of one family and level are compared. The interval of the difference
    is made of the two sides' own ones (Newcombe 1998, method 10). Raises UserError where no family and level
    has five problems on both sides.
    """
    rows = _grouped(attempts)
    strata: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    left_out = 0
    for problem in problems:
        part = shares.get(problem.key)
        if problem.key not in rows:
            continue
        if part is None:
            left_out += 1
            continue
        strata[f"{problem.family} {problem.level}"][part > above].append(_mean_score(rows[problem.key]))
    full = {name: sides for name, sides in strata.items() if min(map(len, sides)) >= LEAST}
    left_out += sum(len(side) for name, sides in strata.items() if name not in full for side in sides)
    if not full:
        raise UserError(
            f"expected a family and level with at least {LEAST} problems on both sides of an overlap of {above:g}; "
            "there is none: ask more problems, or choose another threshold"
        )
    clean, seen = (
        share({name: sides[i] for name, sides in full.items()}, seed=derive(seed, "overlap", i)) for i in (0, 1)
    )
    value = seen.value - clean.value
    low = value - math.hypot(seen.value - seen.low, clean.high - clean.value)
    high = value + math.hypot(seen.high - seen.value, clean.value - clean.low)
    return OverlapSplit(seen, clean, Estimate(value, low, high, seen.n + clean.n), left_out)


def _grouped(attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    """Problem key -> its scored attempts."""
    rows: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        if attempt.score is not None:
            rows[attempt.key].append(attempt)
    return dict(rows)


def _mean_score(rows: Sequence[Attempt]) -> float:
    return sum(float(row.score or 0.0) for row in rows) / len(rows)


def _form(answer: str) -> str:
    """One spelling per answer, as far as a number or a text has several."""
    value = number(answer)
    return normalized(answer) if value is None else str(value)


def _signed(estimate: Estimate) -> str:
    return f"{estimate.value:+.1%} ({estimate.low:+.1%} to {estimate.high:+.1%})"
