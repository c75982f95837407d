"""Coin flips: a coin starts heads up, some people flip it, some do not (Wei et al. 2022, section 5).

Level = number of people (2-6; 7-10 out of distribution). The answer is yes (still heads up) or no.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from thinkling.core.types import Problem
from thinkling.tasks.answers import words
from thinkling.tasks.family import Draft, WorkedFamily, Working, pick_wording
from thinkling.tasks.words import FIRST_NAMES

# (opening, someone flips, someone does not, question)
SEEN = (
    (
        "A coin is heads up.",
        "{n} flips the coin.",
        "{n} does not flip the coin.",
        "Is the coin still heads up?",
    ),
    ("A coin lies heads up.", "{n} turns it over.", "{n} leaves it alone.", "Is it heads up now?"),
    ("There is a coin on the table, heads up.", "{n} flips it.", "{n} does not.", "Is it still heads up?"),
    ("We start with a coin heads up.", "{n} flips.", "{n} passes.", "Does the coin end heads up?"),
    ("Heads is up.", "{n} flips the coin over.", "{n} only looks at it.", "Is heads still up?"),
)
HELD_OUT = (
    ("A penny shows heads.", "Then {n} turns the penny.", "Then {n} keeps it so.", "Does it show heads?"),
    ("The coin is heads up.", "It is flipped by {n}.", "It is not flipped by {n}.", "Heads up in the end?"),
)  # fmt: skip
MEANINGS = {"yes": "yes", "heads": "yes", "no": "no", "tails": "no"}


def side(heads: bool) -> str:
    return "heads" if heads else "tails"


class Coin(WorkedFamily):
    name = "coin"
    kind = words("yes-no", MEANINGS)
    levels = (2, 3, 4, 5, 6)
    ood_levels = (7, 8, 9, 10)

    def draw(self, rng: random.Random, level: int | None = None, ood: bool = False, unseen: bool = False) -> Draft:
        level = self.pick_level(rng, level, ood)
        names = rng.sample(FIRST_NAMES, level)
        flips = [rng.random() < 0.5 for _ in names]
        (opening, flip, leave, question), meta = pick_wording(rng, SEEN, HELD_OUT, unseen)
        story = [(flip if flipped else leave).format(n=name) for name, flipped in zip(names, flips, strict=True)]
        states = _states(flips)
        meta |= {"names": names, "flips": flips}
        meta["steps"] = [[n, f, side(s)] for n, f, s in zip(names, flips, states, strict=True)]
        canonical = " ".join(f"{name}{flipped:d}" for name, flipped in zip(names, flips, strict=True))
        answer = "yes" if states[-1] else "no"
        return Draft(" ".join([opening, *story, question]), answer, canonical, level, meta)

    def work(self, problem: Problem, planned: bool, rng: random.Random, slip: bool) -> Working:
        names = [str(name) for name in problem.meta["names"]]
        flips = [bool(flipped) for flipped in problem.meta["flips"]]
        seen, position = list(flips), 0
        if slip:  # one person is misread
            position = rng.randrange(len(flips))
            seen[position] = not seen[position]
        answer = "yes" if _states(seen)[-1] else "no"
        text = _count(names, seen) if planned else _walk(names, seen)
        # The check of the walk is the parity of the flips; an unseen slip is counted along with them.
        fix = f"Wait, {_walk(names, flips, position)}" if slip else ""
        return Working(text, answer, f"Check: flips {_parity(sum(seen))}.", fix)


def _states(flips: Sequence[bool]) -> list[bool]:
    """Whether the coin is heads up after each person."""
    states, heads = [], True
    for flipped in flips:
        heads ^= flipped
        states.append(heads)
    return states


def _walk(names: Sequence[str], flips: Sequence[bool], first: int = 0) -> str:
    rows = list(zip(names, flips, _states(flips), strict=True))[first:]
    return " ".join(f"{name} {'flips' if flipped else 'does not'}, {side(heads)}." for name, flipped, heads in rows)


def _parity(count: int) -> str:
    return f"{count} {'even' if count % 2 == 0 else 'odd'}, {side(count % 2 == 0)}"


def _count(names: Sequence[str], flips: Sequence[bool]) -> str:
    who = " ".join(name for name, flipped in zip(names, flips, strict=True) if flipped) or "none"
    return f"Flips: {who}. {_parity(sum(flips))}."
