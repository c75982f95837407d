"""The ways in which an evaluation asks: which problems, how sampled, with thinking on or off."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from thinkling.core.seeds import derive
from thinkling.core.types import Problem, Sampling
from thinkling.evaluate import plain_text
from thinkling.evaluate.recipe import Ask, Recipe
from thinkling.tasks.family import Family
from thinkling.tasks.registry import core_five
from thinkling.tasks.sets import problems


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of asking, all its problems included; ``n`` attempts at each."""

    name: str
    problems: tuple[Problem, ...]
    sampling: Sampling
    n: int = 1
    ask: Ask = "chat"
    think: bool | None = None
    ood: bool = False


def temperature_name(temperature: float) -> str:
    return f"val_t{temperature:g}"


def variants(recipe: Recipe, families: Sequence[Family]) -> Iterator[Variant]:
    """Every variant but the one at the best temperature, which the sweep has to find first.

    ``families`` are those that ``recipe.families`` names, in its order.

    The problems depend on ``recipe.seed`` alone, so two models evaluated with the same seed answer the
    same problems and their difference can be paired.
    """
    test = [_draw(recipe, family, "test", recipe.problems) for family in families]
    everything = tuple(problem for some in test for problem in some)
    for place, ask in enumerate(recipe.ask):
        lead = "" if place == 0 else f"{ask}_"
        yield Variant(f"{lead}greedy", everything, _sampling(recipe, 0.0, ask), ask=ask)
        if place == 0:
            many = tuple(p for some in test for p in some[: recipe.sampled_problems])
            once = tuple(p for some in test for p in some[recipe.sampled_problems :])
            yield Variant("t1", many, _sampling(recipe, 1.0, ask), recipe.samples, ask)
            if once:
                yield Variant("t1", once, _sampling(recipe, 1.0, ask), 1, ask)
    first = recipe.ask[0]
    yield from _generalization(recipe, families, first)
    thinking = [some for spec, some in zip(recipe.families, test, strict=True) if spec in recipe.thinking]
    chosen = tuple(problem for some in thinking for problem in some)
    if chosen and "chat" in recipe.ask:
        yield Variant("think_on", chosen, _sampling(recipe, 0.0, "chat"), think=True)
        yield Variant("think_off", chosen, _sampling(recipe, 0.0, "chat"), think=False)
    if recipe.temperatures:
        held = tuple(p for f in swept(families) for p in _draw(recipe, f, "val", recipe.temperature_problems))
        for temperature in recipe.temperatures:
            yield Variant(temperature_name(temperature), held, _sampling(recipe, temperature, first), ask=first)


def best_variant(recipe: Recipe, families: Sequence[Family], temperature: float) -> Variant:
    """The test problems once more, at the temperature that the sweep on val problems chose."""
    test = tuple(p for family in swept(families) for p in _draw(recipe, family, "test", recipe.problems))
    return Variant("best_temperature", test, _sampling(recipe, temperature, recipe.ask[0]), ask=recipe.ask[0])


def swept(families: Sequence[Family]) -> list[Family]:
    """The families whose mean chooses a temperature: the core five, or all where none of them is asked."""
    core = [family for family in families if family.name in core_five]
    return core or list(families)


def _generalization(recipe: Recipe, families: Sequence[Family], ask: Ask) -> Iterator[Variant]:
    if recipe.ood_problems:
        able = [family for family in families if _goes_beyond(family)]
        harder = tuple(p for f in able for p in _draw(recipe, f, "test", recipe.ood_problems, ood=True))
        if harder:
            yield Variant("ood", harder, _sampling(recipe, 0.0, ask), ask=ask, ood=True)
    if recipe.unseen_problems:
        able = [family for family in families if "unseen" in inspect.signature(family.draw).parameters]
        worded = tuple(p for f in able for p in _draw(recipe, f, "test", recipe.unseen_problems, unseen=True))
        if worded:
            yield Variant("unseen", worded, _sampling(recipe, 0.0, ask), ask=ask)


def _goes_beyond(family: Family) -> bool:
    """Whether a family can draw beyond its training range. The finite ones (facts, a file) cannot; one
    that does not list its ``ood_levels`` is taken at its interface's word."""
    return bool(getattr(family, "ood_levels", not hasattr(family, "drafts")))


def _draw(recipe: Recipe, family: Family, split: str, n: int, ood: bool = False, unseen: bool = False) -> list[Problem]:
    """Up to ``n`` problems: a finite family (facts, a file) may have fewer in the split."""
    seed = derive(recipe.seed, "evaluate")
    return problems(family, split, n, seed, ood=ood, unseen=unseen, at_most=True)


def _sampling(recipe: Recipe, temperature: float, ask: Ask) -> Sampling:
    stop = plain_text.STOP if ask == "text" else ()
    return Sampling(temperature=temperature, max_tokens=recipe.max_tokens, stop=stop)
