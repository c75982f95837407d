"""Renumbered, for word problems with an annotated solution: other numbers, and the answer that follows from them.

The annotations become a graph whose leaves are the question's numbers. A number of the solution is linked to
where its value comes from: a number of the question, an earlier result, or a constant that stays. Where it might
come from several places, all of them keep their value, which makes the question harmless. Whatever link stays
uncertain refuses the problem: a wrong gold answer would measure nothing.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from thinkling.core.types import Problem
from thinkling.tasks.grading import number
from thinkling.tasks.perturb.annotations import Calculation, calculations, evaluate, operations, spelled
from thinkling.tasks.perturb.change import Change, Refused, solutions, with_solutions
from thinkling.tasks.perturb.quantities import SMALLEST_CHANGED, Numbers, Quantity, read_numbers

_TRIES = 1500
_MOST_PLACES = 4
_BEGINS_WITH_A_VOWEL = re.compile(r"8|1[18](?:,|$)")  # eight, eighty; eleven, eighteen


@dataclass(frozen=True, slots=True)
class Source:
    """Where a number of the solution comes from: ``given`` the question's i-th quantity (``percent``: a hundredth
    of it), ``result`` the i-th calculation, or ``constant``."""

    kind: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Graph:
    """A solution as arithmetic over the question's quantities. ``links`` run parallel to the literals.

    ``free`` are the quantities that may change, each with a certain place in the solution.
    """

    quantities: tuple[Quantity, ...]
    steps: tuple[Calculation, ...]
    links: tuple[tuple[Source, ...], ...]
    free: frozenset[int]

    def literals(self, given: Sequence[Fraction]) -> Iterator[list[Fraction]]:
        """For each step its numbers, where the question's are ``given``. Raises ZeroDivisionError."""
        results: list[Fraction] = []
        for step, links in zip(self.steps, self.links, strict=True):
            values = [
                given[link.index] if link.kind == "given"
                else given[link.index] / 100 if link.kind == "percent"
                else results[link.index] if link.kind == "result"
                else literal
                for link, literal in zip(links, step.literals, strict=True)
            ]  # fmt: skip
            yield values
            results.append(evaluate(step.expression, values))


def renumber_text(problem: Problem, rng: random.Random) -> Change:
    """The problem with other numbers in the same words. Its solution becomes the row of new calculations."""
    solved = solutions(problem.meta)
    if not solved:
        raise Refused("there is no worked solution")
    graph = linked(problem.prompt, solved[0], problem.answer)
    old = [quantity.value for quantity in graph.quantities]
    for attempt in range(_TRIES):
        given = _draw(rng, graph, change_all=attempt < _TRIES // 2)
        answer = _answer(graph, old, given)
        if answer is not None and answer != number(problem.answer):
            meta = with_solutions(problem.meta, [" ".join(_written_steps(graph, given))])
            return Change(_told(problem.prompt, graph, given), written(answer), problem.level, meta, new_gold=True)
    raise Refused("no other numbers keep every result whole and positive")


def linked(question: str, solution: str, gold: str) -> Graph:
    """The graph of a solution. Refused where a link is uncertain, or where it does not lead to ``gold``."""
    steps = calculations(solution)
    if steps[-1].result != number(gold):
        raise Refused("the last annotation is not the answer")
    told = read_numbers(question)
    given, candidates = told.free, _candidates(told, steps)
    frozen = _ambiguous(told, steps, candidates)
    links = tuple(tuple(min(some, key=_rank) for some in row) for row in candidates)
    used = {link.index for row in candidates for some in row for link in some if link.kind in ("given", "percent")}
    if len(used) < len(given):
        raise Refused("a number of the question is not in the solution")
    results = {link.index for row in candidates for some in row for link in some if link.kind == "result"}
    if len(results | {len(steps) - 1}) < len(steps):
        raise Refused("a result of the solution is not used any more")
    free = frozenset(_ancestors(candidates)[-1] - frozen)
    if not free:
        raise Refused("every number may come from several places")
    return Graph(given, tuple(steps), links, free)


def written(value: Fraction, places: int = 0, commas: bool = False) -> str:
    """A number of 0 or more whose decimals end, with at least ``places`` of them: "1,200", "2.50"."""
    while (value * 10**places).denominator != 1:
        places += 1
    whole, rest = divmod((value * 10**places).numerator, 10**places)
    return f"{whole:{',' * commas}d}" + (f".{rest:0{places}d}" if places else "")


def _rank(source: Source) -> int:
    """Constants first, so that a value that stays is written as the solution writes it."""
    return ("constant", "given", "percent", "result").index(source.kind)


def _candidates(told: Numbers, steps: Sequence[Calculation]) -> list[list[frozenset[Source]]]:
    """For each number of each step, every place that its value may come from."""
    given = told.free
    made: list[list[frozenset[Source]]] = []
    for at, step in enumerate(steps):
        row = []
        for value in step.literals:
            some = {Source("given", i) for i, one in enumerate(given) if one.value == value}
            some |= {Source("percent", i) for i, one in enumerate(given) if one.percent and one.value / 100 == value}
            some |= {Source("result", i) for i, earlier in enumerate(steps[:at]) if earlier.result == value}
            some |= {Source("constant")} if value in told.said | told.suggested else set()
            if not some:
                raise Refused("a number of the solution comes from nowhere")
            row.append(frozenset(some))
        made.append(row)
    return made


def _ancestors(candidates: Sequence[Sequence[frozenset[Source]]]) -> list[set[int]]:
    """For each step, the quantities of the question that it may depend on."""
    found: list[set[int]] = []
    for row in candidates:
        links = [link for some in row for link in some]
        own = {link.index for link in links if link.kind in ("given", "percent")}
        found.append(own.union(*(found[link.index] for link in links if link.kind == "result")))
    return found


def _ambiguous(
    told: Numbers, steps: Sequence[Calculation], candidates: Sequence[Sequence[frozenset[Source]]]
) -> set[int]:
    """The quantities that must stay, because some value may or may not come from them."""
    ancestors = _ancestors(candidates)
    values = [one.value for one in told.free]
    constant = told.said | told.suggested
    frozen = {i for i, value in enumerate(values) if value in constant or values.count(value) > 1}
    for some in (some for row in candidates for some in row if len(some) > 1):
        for link in some:
            if link.kind in ("given", "percent"):
                frozen.add(link.index)
            elif link.kind == "result":
                frozen |= ancestors[link.index]
    for step, depends in zip(steps, ancestors, strict=True):
        # What the question states and the solution derives: the two must go on agreeing.
        stated = {i for i, value in enumerate(values) if value == step.result}
        frozen |= stated | depends if stated else set()
        # "The other 2 days" of a week: a constant that may be what the quantity leaves of another constant.
        rest = {value for value in step.literals if value in told.suggested - told.said}
        frozen |= {i for i, value in enumerate(values) if rest & {whole - value for whole in told.suggested}}
    return frozen


def _draw(rng: random.Random, graph: Graph, change_all: bool) -> list[Fraction]:
    """New values for the question's quantities, of the same kind and size."""
    return [
        _another(rng, one) if i in graph.free and (change_all or rng.random() < 0.5) else one.value
        for i, one in enumerate(graph.quantities)
    ]


def _another(rng: random.Random, one: Quantity) -> Fraction:
    """A value between half and twice the old one (never above it for times and shares), as round as it was."""
    unit = Fraction(1, 10**one.places)
    for rounder in (100, 10, 5):
        if (one.value / unit) % rounder == 0 and one.value / unit > rounder:
            unit *= rounder
            break
    old = one.value / unit
    least = max(1, int(old / 2), math.ceil(min(one.value, Fraction(SMALLEST_CHANGED)) / unit))
    most = int(old) - 1 if one.never_more else int(old * 2)
    if most < least or least == most == old:
        return one.value
    if not least <= old <= most:
        return rng.randint(least, most) * unit
    below = rng.randint(least, most - 1)  # one fewer to choose from: the old value is left out
    return (below + (below >= old)) * unit


def _answer(graph: Graph, old: Sequence[Fraction], new: Sequence[Fraction]) -> Fraction | None:
    """The answer for new numbers, None where a step turns out to be of another kind than it was."""
    result = None
    try:
        pairs = zip(graph.steps, graph.literals(old), graph.literals(new), strict=True)
        for step, before, after in pairs:
            for was, now in zip(operations(step.expression, before), operations(step.expression, after), strict=True):
                if not _same_kind(was, now):
                    return None
            result = evaluate(step.expression, after)
            if 10**_MOST_PLACES % result.denominator:
                return None
    except ZeroDivisionError:
        return None
    return result


def _same_kind(was: tuple[str, Fraction, Fraction, Fraction], now: tuple[str, Fraction, Fraction, Fraction]) -> bool:
    """Whether an operation still makes a number of the same sign, as whole as it was, on the same side of 1."""
    old, new = was[3], now[3]
    if (old > 0) - (old < 0) != (new > 0) - (new < 0):
        return False
    if was[0] == "/" and (old < 1, old > 1) != (new < 1, new > 1):
        return False
    places = next((n for n in range(_MOST_PLACES + 1) if 10**n % old.denominator == 0), None)
    return places is None or 10**places % new.denominator == 0


def _written_steps(graph: Graph, given: Sequence[Fraction]) -> list[str]:
    return [
        f"{spelled(step.expression, [written(value) for value in values])}={written(evaluate(step.expression, values))}"
        for step, values in zip(graph.steps, graph.literals(given), strict=True)
    ]


def _told(text: str, graph: Graph, given: Sequence[Fraction]) -> str:
    """The question with its numbers exchanged, and "a" or "an" before them as they are spoken."""
    for one, value in sorted(zip(graph.quantities, given, strict=True), key=lambda pair: -pair[0].start):
        if value != one.value:
            word = written(value, one.places, one.commas)
            vowel = _BEGINS_WITH_A_VOWEL.match(word) is not None
            before = re.sub(r"\b([Aa])n? $", rf"\1{'n' * vowel} ", text[: one.start])
            text = before + word + text[one.end :]
    return text
