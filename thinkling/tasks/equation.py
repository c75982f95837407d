"""The apples-and-oranges equation: two kinds of fruit, one price known, the total known; find the other.

Level: 1 both prices below 7, 2 one of them, 3 neither; 4 (out of distribution) holds a count of 10-15
or a price of 13-25. Training uses counts 2-9 and prices 2-12.
"""

from __future__ import annotations

import random

from thinkling.core.types import Problem
from thinkling.tasks.family import Draft, WorkedFamily, Working, pick_wording
from thinkling.tasks.words import FIRST_NAMES, FRUITS, plural

# {n} buyer, {x} the fruit asked for ({a} of them), {y} the other ({b} at {p} each), {t} the total.
SEEN = (
    "{n} buys {a} {xs} and {b} {ys}. Each {y} costs ${p}. All the fruit costs ${t} together. What does one {x} cost?",
    "{n} pays ${t} for {b} {ys} and {a} {xs}. One {y} costs ${p}. How much is one {x}?",
    "{a} {xs} and {b} {ys} cost ${t}. A single {y} is ${p}. What is the price of a single {x}?",
    "At the market {n} takes {b} {ys} at ${p} each and {a} {xs}, and pays ${t} in all. What did each {x} cost?",
    "A bag holds {a} {xs} and {b} {ys} and is worth ${t}. Every {y} is worth ${p}. What is every {x} worth?",
    "{n} sells {a} {xs} and {b} {ys} for ${t}. The {ys} go for ${p} each. What does each {x} go for?",
)
HELD_OUT = (
    "The bill of {n} says ${t} for {a} {xs} plus {b} {ys}, with ${p} per {y}. What was charged per {x}?",
    "Find the price of one {x}, if {b} {ys} at ${p} apiece together with {a} {xs} come to ${t}.",
)


def level_of(a: int, b: int, x: int, p: int) -> int:
    """The difficulty of ``a`` fruits at the unknown price ``x`` and ``b`` at ``p``."""
    if max(a, b) > 9 or max(x, p) > 12:
        return 4
    return 1 + (x > 6) + (p > 6)


class Equation(WorkedFamily):
    name = "equation"
    levels = (1, 2, 3)
    ood_levels = (4,)

    def draw(self, rng: random.Random, level: int | None = None, ood: bool = False, unseen: bool = False) -> Draft:
        if level is not None or ood:
            level = self.pick_level(rng, level, ood)
        highest = (15, 25) if ood else (9, 12)
        while True:
            a, b = rng.randint(2, highest[0]), rng.randint(2, highest[0])
            x, p = rng.randint(2, highest[1]), rng.randint(2, highest[1])
            if level is None or level_of(a, b, x, p) == level:
                break
        total = a * x + b * p
        wording, meta = pick_wording(rng, SEEN, HELD_OUT, unseen)
        first, second = rng.sample(FRUITS, 2)
        prompt = wording.format(
            n=rng.choice(FIRST_NAMES), a=a, b=b, p=p, t=total,
            x=first, xs=plural(first), y=second, ys=plural(second),
        )  # fmt: skip
        steps = [["*", b, p, b * p], ["-", total, b * p, a * x], ["/", a * x, a, x]]
        meta |= {"a": a, "b": b, "p": p, "total": total, "steps": steps}
        return Draft(prompt, str(x), f"{a} {b} {p} {total}", level_of(a, b, x, p), meta)

    def work(self, problem: Problem, planned: bool, rng: random.Random, slip: bool) -> Working:
        a, b, p, total = (int(problem.meta[key]) for key in ("a", "b", "p", "total"))
        x = int(problem.answer)
        plan = f"{a}x+{b}*{p}={total}: " if planned else ""
        lines = [f"{b}*{p}={b * p}", f"{total}-{b * p}={a * x}", f"{a * x}/{a}={x}"]
        if not slip:
            check = f"Check: {a}*{x}={a * x} {a * x}+{b * p}={total}."
            return Working(plan + " ".join(lines), str(x), check)
        # Slips by a multiple of the count asked for, so that the division still comes out whole; the
        # plain one is a division off by one.
        where = rng.choice((0, 1, 2))
        off = rng.choice([off for off in (-1, 1) if b * p - a * off >= 1])
        wrong = x + off
        product = b * p - a * off if where == 0 else b * p
        rest = total - product if where == 0 else a * x + (a * off if where == 1 else 0)
        slipped = [f"{b}*{p}={product}", f"{total}-{product}={rest}", f"{rest}/{a}={wrong}"]
        fix = f"Wait, {' '.join(lines[where:])}."
        return Working(plan + " ".join(slipped), str(wrong), f"Check: {total}-{product}={rest}.", fix)
