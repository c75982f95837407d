"""What an evaluation has to sample for a strategy, and how the strategy is read off the samples.

A vote over ``n`` answers needs nothing but ``n`` answers. So votes, adaptive votes and best-of-N are not run one
by one: they name the strategy that they ask (the *leaf*) and share its samples, which pairs them, costs nothing
further, and gives every smaller n as well. All other strategies are leaves themselves, and are run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from thinkling.core.errors import UserError
from thinkling.reasoning.best_of_n import BestOfN, WeightedVote
from thinkling.reasoning.self_consistency import SelfConsistency
from thinkling.reasoning.spec import spell, strategy
from thinkling.reasoning.strategy import Strategy

How = Literal["single", "majority", "adaptive", "best", "weighted"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A strategy as ``n`` samples of a ``leaf`` at a temperature, combined in the way ``how``.

    ``judge`` names what weighs a sample: a verifier's folder, "likelihood" or "judge"; ``error`` and
    ``batch`` are an adaptive vote's.
    """

    spec: str
    leaf: str
    strategy: Strategy
    temperature: float
    n: int
    how: How
    judge: str = ""
    error: float = 0.0
    batch: int = 1


def plan(spec: str, temperature: float = 0.0, repeats: int = 1) -> Plan:
    """The plan of a strategy; ``temperature`` and ``repeats`` are for those that ask once.

    Raises UserError for an unknown strategy, for a judged one without its verifier, and for repeats of a greedy one,
    which would be the same again.
    """
    whole = strategy(spec)
    name = spell(whole)
    if isinstance(whole, SelfConsistency):
        how: How = "adaptive" if whole.error else "majority"
        inner = whole.inner
        return Plan(name, spell(inner), inner, whole.temperature, whole.n, how, "", whole.error, whole.batch)
    if isinstance(whole, WeightedVote | BestOfN):
        whole.check_judge()
    if isinstance(whole, WeightedVote):
        return Plan(name, spell(whole.inner), whole.inner, whole.temperature, whole.n, "weighted", whole.verifier)
    if isinstance(whole, BestOfN):
        judge = whole.verifier if whole.by == "verifier" else whole.by
        return Plan(name, spell(whole.inner), whole.inner, whole.temperature, whole.n, "best", judge)
    if repeats > 1 and temperature == 0:
        raise UserError(f"{repeats} repeats of {spec!r} at temperature 0 would be the same; give a temperature above 0")
    return Plan(name, name, whole, temperature, repeats, "single")
