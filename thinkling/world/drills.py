"""Arithmetic in sentences: each explains one sum, difference, product or quotient and ends in its equation.

Most of an explanation is in words ("seven and eight make fifteen"), since the quality rules want four
words in five to have a letter in them.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from thinkling.world.grammar import fill, variants
from thinkling.world.numerals import spell

HIGHEST = 200  # sums stay within it, as the word problems do

SO = variants(
    "[So|This gives|Therefore|That makes|We get|The result is] {eq}.",
    "And so {eq}.",
    "In short, {eq}.",
)

PLAIN = {
    "+": variants(
        "{aw} plus {bw} is {rw}, so {eq}.",
        "If you add {bw} to {aw}, you get {rw}: {eq}.",
        "Together {aw} and {bw} make {rw}, that is, {eq}.",
        "The sum of {aw} and {bw} is {rw}, which we write as {eq}.",
        "Counting on from {aw} by {bw} leads to {rw}; in figures {eq}.",
    ),
    "-": variants(
        "{aw} minus {bw} is {rw}, so {eq}.",
        "If you take {bw} from {aw}, then {rw} is left: {eq}.",
        "The difference of {aw} and {bw} is {rw}, which we write as {eq}.",
        "From {bw} up to {aw} it is {rw}, and so {eq}.",
        "Who has {aw} and gives away {bw} keeps {rw}; in figures {eq}.",
    ),
    "*": variants(
        "{aw} times {bw} is {rw}, so {eq}.",
        "{aw} groups of {bw} make {rw}: {eq}.",
        "The product of {aw} and {bw} is {rw}, which we write as {eq}.",
        "If each of {aw} boxes holds {bw}, all of them hold {rw}; in figures {eq}.",
    ),
    "/": variants(
        "{aw} divided by {bw} is {rw}, so {eq}.",
        "If {bw} people share {aw} coins, each of them gets {rw}: {eq}.",
        "{bw} fits into {aw} exactly {rw} times, which we write as {eq}.",
        "{aw} split into {bw} equal parts gives {rw} in each; in figures {eq}.",
    ),
}

CARRY = variants(
    "To add {bw} to {aw}, start with the ones: {a0} and {b0} make {s0}, so we write {u0} and carry one. Then "
    "{a1} and {b1} make {s1}, and with the one we carried it is {t1} tens.",
    "Look at the ones of {aw} and {bw} first. {A0} plus {b0} is {s0}, which is ten and {u0}. The tens are {a1} and "
    "{b1}, and one more for the ten that we made, which is {t1}.",
    "How much is {aw} plus {bw}? The ones give {s0}, so there is a carry. Keep {u0}, and add the one to the tens: "
    "{a1}, {b1} and one are {t1}.",
)
NO_CARRY = variants(
    "To add {bw} to {aw}, start with the ones: {a0} and {b0} make {s0}, and there is nothing to carry. Then {a1} "
    "and {b1} make {s1} tens.",
    "In {aw} plus {bw} no carry is needed, because {a0} and {b0} are only {s0}. The tens are {a1} and {b1}, which "
    "is {s1}.",
)
BORROW = variants(
    "To take {bw} from {aw}, look at the ones: {a0} is less than {b0}, so we borrow a ten. Now {c0} minus {b0} is "
    "{d0}. Of the {a1} tens only {c1} are left, and {c1} minus {b1} is {d1}.",
    "What is {aw} minus {bw}? The ones do not suffice, for {a0} is smaller than {b0}. With a borrowed ten it is {c0} "
    "minus {b0}, which is {d0}. The tens are now {c1} minus {b1}, which is {d1}.",
)
NO_BORROW = variants(
    "To take {bw} from {aw}, start with the ones: {a0} minus {b0} is {d0}. Then take the tens: {a1} "
    "minus {b1} is {d1}.",
    "What is {aw} minus {bw}? The ones give {a0} minus {b0}, which is {d0}, and the tens give {a1} minus {b1}, "
    "which is {d1}.",
)
BRIDGE = variants(
    "[Adding|If we add] {bw} to {aw} can be done in two steps. First go up to {mw}, which takes {xw}. Then {yw} more "
    "[are left|have to be added], and that leads to {rw}.",
    "From {aw} it is {xw} to {mw}. Of the {bw} there are still {yw}, and {mw} and {yw} are {rw}.",
)
SPLIT = variants(
    "To find {aw} times {bw}, split {bw} into {tw} and {ow}. Now {aw} times {tw} is {pw}, and {aw} times "
    "{ow} is {qw}. "
    "Together that is {rw}.",
    "What do {aw} groups of {bw} make? {Aw} times {tw} is {pw}. {Aw} times {ow} is {qw}. The two parts add up to {rw}.",
)
SHARE = variants(
    "How often does {bw} go into {aw}? Ten times {bw} is {tw}, and {xw} [are left|remain]. In {xw} it "
    "goes {yw} times. "
    "Ten and {yw} make {rw}.",
    "To divide {aw} by {bw}, take away ten times {bw}, which is {tw}. The rest is {xw}, and that is {yw} times {bw}. "
    "In all it fits {rw} times.",
)
DOUBLE = variants(
    "Twice {aw} is {rw}, so {eq}.",
    "If {aw} is doubled, it becomes {rw}, that is, {eq}.",
    "Two times {aw} makes {rw}: {eq}.",
)


def _words(**numbers: int) -> dict[str, str]:
    """Slots with every number in words, and in words with a capital under the capitalized name."""
    slots = {name: spell(number) for name, number in numbers.items()}
    return slots | {name.capitalize(): word.capitalize() for name, word in slots.items()}


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _plain(rng: random.Random, op: str, a: int, b: int, r: int) -> str:
    return _upper(fill(rng, PLAIN[op], {**_words(aw=a, bw=b, rw=r), "eq": f"{a}{op}{b}={r}"}))


def _closing(rng: random.Random, equation: str) -> str:
    return " " + fill(rng, SO, {"eq": equation})


def add(rng: random.Random) -> str:
    """A sum of at most 200, with the carry where there is one."""
    a, b = 2 + int(rng.random() * 150), 2 + int(rng.random() * 98)
    if a + b > HIGHEST:
        a -= 100
    (a1, a0), (b1, b0) = divmod(a, 10), divmod(b, 10)
    equation = f"{a}+{b}={a + b}"
    if rng.random() < 0.45 or a < 3:
        return _plain(rng, "+", a, b, a + b)
    if b < 10:
        up = 10 - a0
        if 0 < up < b:
            slots = _words(aw=a, bw=b, mw=a + up, xw=up, yw=b - up, rw=a + b)
            return fill(rng, BRIDGE, slots) + _closing(rng, equation)
        return _plain(rng, "+", a, b, a + b)
    slots = _words(aw=a, bw=b, a0=a0, b0=b0, a1=a1, b1=b1, s0=a0 + b0, u0=(a0 + b0) % 10, s1=a1 + b1, t1=a1 + b1 + 1)
    return fill(rng, CARRY if a0 + b0 > 9 else NO_CARRY, slots) + _closing(rng, equation)


def subtract(rng: random.Random) -> str:
    """A difference within 200, with the borrowing where there is some."""
    a = 5 + int(rng.random() * 195)
    b = 1 + int(rng.random() * (min(a, 100) - 1))
    equation = f"{a}-{b}={a - b}"
    if rng.random() < 0.45 or b < 10:
        return _plain(rng, "-", a, b, a - b)
    (a1, a0), (b1, b0) = divmod(a, 10), divmod(b, 10)
    if a0 < b0:
        slots = _words(aw=a, bw=b, a0=a0, b0=b0, a1=a1, b1=b1, c0=a0 + 10, c1=a1 - 1, d0=a0 + 10 - b0, d1=a1 - 1 - b1)
        return fill(rng, BORROW, slots) + _closing(rng, equation)
    slots = _words(aw=a, bw=b, a0=a0, b0=b0, a1=a1, b1=b1, d0=a0 - b0, d1=a1 - b1)
    return fill(rng, NO_BORROW, slots) + _closing(rng, equation)


def multiply(rng: random.Random) -> str:
    """A product of a digit and a number below twenty, larger factors split into tens and ones."""
    a, b = 2 + int(rng.random() * 8), 2 + int(rng.random() * 18)
    if b > 10 and rng.random() < 0.6:
        slots = _words(aw=a, bw=b, tw=10, ow=b - 10, pw=10 * a, qw=a * (b - 10), rw=a * b)
        return fill(rng, SPLIT, slots) + _closing(rng, f"{a}*{b}={a * b}")
    if rng.random() < 0.3:
        a, b = b, a
    return _plain(rng, "*", a, b, a * b)


def divide(rng: random.Random) -> str:
    """A division that comes out whole, by a digit."""
    b, r = 2 + int(rng.random() * 8), 2 + int(rng.random() * 18)
    a = b * r
    if r > 10 and rng.random() < 0.6:
        slots = _words(aw=a, bw=b, tw=10 * b, xw=a - 10 * b, yw=r - 10, rw=r)
        return fill(rng, SHARE, slots) + _closing(rng, f"{a}/{b}={r}")
    return _plain(rng, "/", a, b, r)


def double(rng: random.Random) -> str:
    """Twice a number below a hundred."""
    a = 3 + int(rng.random() * 97)
    return fill(rng, DOUBLE, _words(aw=a, rw=2 * a) | {"eq": f"{a}*2={2 * a}"})


OPERATIONS: dict[str, Callable[[random.Random], str]] = {
    "adding": add,
    "subtracting": subtract,
    "multiplying": multiply,
    "dividing": divide,
    "doubling": double,
}
_MIXED = (add, add, add, subtract, subtract, subtract, multiply, multiply, divide, double)


def mixed(rng: random.Random) -> str:
    """A sentence or three on any operation, sums and differences most often."""
    return _MIXED[int(rng.random() * len(_MIXED))](rng)
