"""Renumbered, for built-in families: other numbers in the same words, drawn within the family's own limits.

The story, its names and its kinds of events stay, so that a drop can only come from the numbers. The gold
answer is the family's own arithmetic over the new numbers.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction

from thinkling.core.types import Problem
from thinkling.tasks.chain import HIGHEST, Event, apply, equations
from thinkling.tasks.family import WorkedFamily
from thinkling.tasks.perturb.change import Change, Refused
from thinkling.tasks.perturb.wording import Slots, numbers_told, take_apart
from thinkling.tasks.sort import listed

# The limits within which the chain draws: its start, and per kind of event (a, b).
STARTS = (2, 50)
LIMITS: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "+": ((2, 50), (0, 0)),
    "-": ((2, 50), (0, 0)),
    "*": ((2, 3), (0, 0)),
    "+*": ((2, 5), (2, 9)),
    "-*": ((2, 5), (2, 9)),
}
_TRIES = 50  # draws of one event before the story is begun anew


def redraw(problem: Problem, family: WorkedFamily, rng: random.Random) -> Change:
    """The problem with other numbers. Refused for families whose problems are not made of numbers."""
    if family.name == "chain":
        return _chain(problem, rng)
    if family.name not in ("equation", "sort", "decimals"):
        raise Refused("the problem holds no numbers to redraw")
    slots = take_apart(problem)
    draft = family.draw(rng, problem.level, problem.level in family.ood_levels)
    if family.name == "sort":
        return sorted_again(problem, slots, draft.meta["numbers"])
    wording = {key: value for key, value in problem.meta.items() if key in ("template", "unseen", "small")}
    meta = {**draft.meta, **wording}
    answer = draft.answer
    if family.name == "equation":
        words = {f"{slot}0": str(meta[key]) for slot, key in (("a", "a"), ("b", "b"), ("p", "p"), ("t", "total"))}
    else:
        words = {"a0": meta["a"], "b0": meta["b"]}
        answer = (min if meta["small"] else max)((meta["a"], meta["b"]), key=Fraction)
    return Change(slots.filled(words), answer, problem.level, meta, new_gold=True)


def sorted_again(problem: Problem, slots: Slots, numbers: list[int]) -> Change:
    """A sorting problem with other numbers in its list."""
    order = sorted(numbers, reverse=problem.meta["down"])
    tens = dict.fromkeys(item // 10 for item in order)
    steps = [[ten, [item for item in order if item // 10 == ten]] for ten in tens]
    meta = {**problem.meta, "numbers": numbers, "steps": steps}
    return Change(slots.filled({"l0": listed(numbers)}), listed(order), len(numbers), meta, new_gold=True)


def draw_event(rng: random.Random, op: str, value: int) -> Event | None:
    """An event of this kind that keeps a chain's running ``value`` within its limits, None where none was found."""
    (least, most), (least_each, most_each) = LIMITS[op]
    for _ in range(_TRIES):
        a, b = rng.randint(least, most), rng.randint(least_each, most_each)
        if 1 <= apply(op[0], value, a * b if len(op) == 2 else a) <= HIGHEST:
            return op, a, b
    return None


def _chain(problem: Problem, rng: random.Random) -> Change:
    slots = take_apart(problem)
    ops = [str(op) for op, _, _ in problem.meta["events"]]
    start, events = _draw_story(rng, ops)
    rows = equations(start, events)
    meta = {**problem.meta, "start": start, "events": [list(event) for event in events]}
    meta["steps"] = [list(row) for row in rows]
    prompt = slots.filled(numbers_told(start, events))
    return Change(prompt, str(rows[-1][3]), problem.level, meta, new_gold=True)


def _draw_story(rng: random.Random, ops: Sequence[str]) -> tuple[int, list[Event]]:
    while True:
        start = value = rng.randint(*STARTS)
        events: list[Event] = []
        for op in ops:
            event = draw_event(rng, op, value)
            if event is None:
                break
            events.append(event)
            value = equations(value, [event])[-1][3]
        if len(events) == len(ops):
            return start, events
