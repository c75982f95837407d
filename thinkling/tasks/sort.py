"""Sorting: put a list of different two-digit numbers into ascending or descending order.

Level = length of the list (3-6; 7-9 out of distribution). The key is the set of numbers, so that no
test list is ever seen in another order. The work gathers the numbers by tens, because taking the smallest
again and again and listing what is left costs tokens with the square of the length. One style walks through
all nine tens digits, which costs tokens but asks only "who begins with this digit?" at a time; the other
writes down just the tens that occur, in order, which is shorter and takes more thought per token.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from thinkling.core.types import Problem
from thinkling.tasks.answers import answer_kind
from thinkling.tasks.family import Draft, WorkedFamily, Working, pick_wording

# (ascending, descending)
SEEN = (
    ("Sort these numbers in ascending order: {l}.", "Sort these numbers in descending order: {l}."),
    ("Sort from smallest to largest: {l}.", "Sort from largest to smallest: {l}."),
    ("Put {l} in order, smallest first.", "Put {l} in order, largest first."),
    ("Arrange {l} from low to high.", "Arrange {l} from high to low."),
    ("List {l} in increasing order.", "List {l} in decreasing order."),
)
HELD_OUT = (
    ("The numbers {l} got mixed up. Write them so that they go up.",
     "The numbers {l} got mixed up. Write them so that they go down."),
    ("What is the ascending order of {l}?", "What is the descending order of {l}?"),
)  # fmt: skip


def listed(numbers: Sequence[int]) -> str:
    """As answers are written: "7, 19, 42"."""
    return ", ".join(map(str, numbers))


class Sort(WorkedFamily):
    name = "sort"
    kind = answer_kind("numbers")
    levels = (3, 4, 5, 6)
    ood_levels = (7, 8, 9)

    def draw(self, rng: random.Random, level: int | None = None, ood: bool = False, unseen: bool = False) -> Draft:
        level = self.pick_level(rng, level, ood)
        numbers = rng.sample(range(10, 100), level)
        down = rng.random() < 0.5
        wording, meta = pick_wording(rng, SEEN, HELD_OUT, unseen)
        order = sorted(numbers, reverse=down)
        meta |= {"numbers": numbers, "down": down}
        meta["steps"] = [[ten, items] for ten, items in _buckets(order)]
        canonical = " ".join(map(str, sorted(numbers)))
        return Draft(wording[down].format(l=listed(numbers)), listed(order), canonical, level, meta)

    def work(self, problem: Problem, planned: bool, rng: random.Random, slip: bool) -> Working:
        numbers = [int(item) for item in problem.meta["numbers"]]
        down = bool(problem.meta["down"])
        order = sorted(numbers, reverse=down)
        taken = _slipped(rng, order) if slip else order
        text = _tens_first(taken) if planned else _by_tens(taken, down)
        sign = ">" if down else "<"
        # The check compares neighbors; an unseen slip is checked at one end only.
        check = f"Check: {sign.join(map(str, taken[-2:] if slip else taken))}."
        fix = f"Wait, {sign.join(map(str, order))}." if slip else ""
        return Working(text, listed(taken), check, fix)


def _buckets(order: Sequence[int]) -> list[tuple[int, list[int]]]:
    """The sorted numbers gathered by their tens digit."""
    tens = list(dict.fromkeys(item // 10 for item in order))
    return [(ten, [item for item in order if item // 10 == ten]) for ten in tens]


def _by_tens(order: Sequence[int], down: bool) -> str:
    """Through all tens digits, empty ones too: "1:19 2- 3- 4:42,47 5- 6- 7- 8- 9-"."""
    found = {ten: [item for item in order if item // 10 == ten] for ten in range(1, 10)}
    walk = reversed(found) if down else found
    return " ".join(f"{ten}:{','.join(map(str, found[ten]))}" if found[ten] else f"{ten}-" for ten in walk)


def _tens_first(order: Sequence[int]) -> str:
    """The tens digits in order, then the numbers: "0 1 4: 7 19 42 47"."""
    return f"{' '.join(str(ten) for ten, _ in _buckets(order))}: {' '.join(map(str, order))}"


def _slipped(rng: random.Random, order: list[int]) -> list[int]:
    """Two neighbors taken in the wrong order, or one number forgotten."""
    at = rng.randrange(len(order) - 1)
    if rng.random() < 0.5 and len(order) > 2:
        return [*order[:at], *order[at + 1 :]]
    return [*order[:at], order[at + 1], order[at], *order[at + 2 :]]
