"""Comparing decimals, with the trap that 9.11 looks larger than 9.9 to whoever reads the parts as integers.

Level: 1 different whole parts, 2 as many decimals on both sides, 3 different lengths where the naive
reading is right, 4 the trap; 5 (out of distribution) has three decimals on one side. Two draws in five
are traps. The key is the pair of numbers without its order.
"""

from __future__ import annotations

import random
from fractions import Fraction

from thinkling.core.types import Problem
from thinkling.tasks.family import Draft, WorkedFamily, Working, pick_wording

# (asks for the larger, asks for the smaller)
SEEN = (
    ("Which is larger, {a} or {b}?", "Which is smaller, {a} or {b}?"),
    ("Compare {a} and {b}. Which number is greater?", "Compare {a} and {b}. Which number is less?"),
    ("Of {a} and {b}, which one is bigger?", "Of {a} and {b}, which one is lower?"),
    ("Tell me the larger of two numbers: {a}, {b}.", "Tell me the smaller of two numbers: {a}, {b}."),
    ("Is {a} or {b} the greater number?", "Is {a} or {b} the lesser number?"),
)  # fmt: skip
HELD_OUT = (
    ("One rope is {a} m long, another {b} m. How long is the longer one?",
     "One rope is {a} m long, another {b} m. How long is the shorter one?"),
    ("Pick the maximum of {a} and {b}.", "Pick the minimum of {a} and {b}."),
)  # fmt: skip


def level_of(a: str, b: str) -> int:
    """The difficulty of comparing the decimals ``a`` and ``b``."""
    (whole_a, part_a), (whole_b, part_b) = a.split("."), b.split(".")
    if max(len(part_a), len(part_b)) > 2:
        return 5
    if whole_a != whole_b:
        return 1
    if len(part_a) == len(part_b):
        return 2
    naive = int(part_a) > int(part_b)
    return 3 if naive == (Fraction(a) > Fraction(b)) else 4


class Decimals(WorkedFamily):
    name = "decimals"
    levels = (1, 2, 3, 4)
    ood_levels = (5,)

    def draw(self, rng: random.Random, level: int | None = None, ood: bool = False, unseen: bool = False) -> Draft:
        if level is None and not ood:
            level = rng.choices(self.levels, (1, 1, 1, 2))[0]
        level = self.pick_level(rng, level, ood)
        while True:
            a, b = _pair(rng, level)
            if Fraction(a) != Fraction(b) and level_of(a, b) == level:
                break
        if rng.random() < 0.5:
            a, b = b, a
        small = rng.random() < 0.5
        wording, meta = pick_wording(rng, SEEN, HELD_OUT, unseen)
        meta |= {"a": a, "b": b, "small": small, "steps": [list(_padded(a, b))]}
        first = Fraction(a) < Fraction(b) if small else Fraction(a) > Fraction(b)
        canonical = " ".join(sorted((a, b)))
        return Draft(wording[small].format(a=a, b=b), a if first else b, canonical, level, meta)

    def work(self, problem: Problem, planned: bool, rng: random.Random, slip: bool) -> Working:
        a, b = str(problem.meta["a"]), str(problem.meta["b"])
        left, right = _padded(a, b)
        steps = _scaled(left, right) if planned else _digits(left, right)
        high, low = sorted((int(left.replace(".", "")), int(right.replace(".", ""))), reverse=True)
        check = f"Check: {high}-{low}={high - low}."
        if not slip:
            return Working(steps, problem.answer, check)
        # The trap is fallen into by leaving out the padding; elsewhere a sign is read the wrong way.
        if problem.level == 4:
            wrong = _scaled(a, b) if planned else _digits(a, b)
        else:
            wrong = steps.translate(str.maketrans("<>", "><"))
        answer = b if problem.answer == a else a
        return Working(wrong, answer, f"Check: {answer}.", f"Wait, {_digits(left, right)}")


def _pair(rng: random.Random, level: int) -> tuple[str, str]:
    whole = rng.randint(0, 20)
    if level == 1:
        other = rng.randint(0, 20)
        return _decimal(rng, whole, rng.randint(1, 2)), _decimal(rng, other, rng.randint(1, 2))
    if level == 2:
        length = rng.randint(1, 2)
        return _decimal(rng, whole, length), _decimal(rng, whole, length)
    lengths = (2, 1) if level < 5 else (3, rng.randint(1, 2))
    return _decimal(rng, whole, lengths[0]), _decimal(rng, whole, lengths[1])


def _decimal(rng: random.Random, whole: int, length: int) -> str:
    """A decimal with ``length`` digits after the point, the last of them not 0."""
    digits = "".join(str(rng.randint(0, 9)) for _ in range(length - 1)) + str(rng.randint(1, 9))
    return f"{whole}.{digits}"


def _padded(a: str, b: str) -> tuple[str, str]:
    """Both with as many decimals: ("9.11", "9.90")."""
    length = max(len(item.split(".")[1]) for item in (a, b))
    left, right = (f"{item.split('.')[0]}.{item.split('.')[1].ljust(length, '0')}" for item in (a, b))
    return left, right


def _compared(a: int, b: int) -> str:
    return f"{a}{'<' if a < b else '>' if a > b else '='}{b}"


def _digits(a: str, b: str) -> str:
    """Whole parts first, then the decimals: "9.11 vs 9.90: 9=9 11<90."."""
    (whole_a, part_a), (whole_b, part_b) = a.split("."), b.split(".")
    wholes = _compared(int(whole_a), int(whole_b))
    parts = f" {part_a}{_compared(int(part_a), int(part_b)).lstrip('0123456789')[0]}{part_b}"
    return f"{a} vs {b}: {wholes}{parts if whole_a == whole_b else ''}."


def _scaled(a: str, b: str) -> str:
    """Both without their points: "9.11 vs 9.90: 911<990."."""
    return f"{a} vs {b}: {_compared(int(a.replace('.', '')), int(b.replace('.', '')))}."
