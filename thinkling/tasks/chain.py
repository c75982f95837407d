"""Chained arithmetic word problems: someone owns some things, then one event follows another.

Level = number of events (1-6, uniform; 7-9 out of distribution). All values stay whole, within 1-99.
The work is a row of equations ("3*8=24 12+24=36 36-9=27"), written without spaces because every digit
and every space is a token, and a token is what thinking costs.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from thinkling.core.types import Problem
from thinkling.tasks.family import Draft, WorkedFamily, Working, pick_wording
from thinkling.tasks.words import CONTAINERS, FIRST_NAMES, OBJECTS, plural, pronoun

Event = tuple[str, int, int]  # ("+", b, 0), ("-", b, 0), ("*", b, 0), ("+*", boxes, each), ("-*", boxes, each)
Equation = tuple[str, int, int, int]  # (operator, left, right, result)

HIGHEST = 99

# One wording: how the story opens, how each kind of event is told, how it asks. {n} name, {p} pronoun
# capitalized, {t} things, {f} friend, {a} {b} numbers, {box} a container, {boxes} its plural.
SEEN: tuple[dict[str, Any], ...] = (
    {
        "open": "{n} has {a} {t}.",
        "+": "{p} buys {a} more {t}.",
        "-": "{p} gives {a} {t} to {f}.",
        "*": "Then {p} {times} the number of {t}.",
        "+*": "{p} finds {a} {boxes} with {b} {t} each.",
        "-*": "{p} fills {a} {boxes} with {b} {t} each and sells them.",
        "ask": "How many {t} does {n} have now?",
    },
    {
        "open": "{n} starts with {a} {t}.",
        "+": "{f} gives {n} {a} {t}.",
        "-": "{p} loses {a} {t}.",
        "*": "Then {p} {times} what is there.",
        "+*": "{p} gets {a} {boxes} of {b} {t}.",
        "-*": "{p} gives away {a} {boxes} of {b} {t}.",
        "ask": "How many {t} are left?",
    },
    {
        "open": "There are {a} {t} on the desk of {n}.",
        "+": "{f} adds {a} {t}.",
        "-": "{f} takes {a} {t} away.",
        "*": "{n} {times} the number of {t}.",
        "+*": "{n} unpacks {a} {boxes} with {b} {t} in each {box}.",
        "-*": "{n} packs {a} {boxes} with {b} {t} in each {box} and sends them off.",
        "ask": "How many {t} are on the desk?",
    },
    {
        "open": "A shop of {n} holds {a} {t}.",
        "+": "{a} {t} arrive.",
        "-": "{f} buys {a} {t}.",
        "*": "The stock then {grows}.",
        "+*": "{a} {boxes} of {b} {t} come in.",
        "-*": "{f} buys {a} {boxes} of {b} {t}.",
        "ask": "How many {t} does the shop hold?",
    },
    {
        "open": "In the morning {n} counts {a} {t}.",
        "+": "{p} makes {a} more.",
        "-": "{a} of them break.",
        "*": "{p} {times} the lot.",
        "+*": "{p} opens {a} {boxes} and finds {b} in each.",
        "-*": "{p} puts {b} into each of {a} {boxes} and stores them away.",
        "ask": "How many {t} can {n} count at the end?",
    },
    {
        "open": "{n} collects {t} and owns {a}.",
        "+": "{p} wins {a} {t}.",
        "-": "{p} trades away {a} {t}.",
        "*": "{p} {times} the collection.",
        "+*": "{f} brings {a} {boxes}, each with {b} {t}.",
        "-*": "{f} carries off {a} {boxes}, each with {b} {t}.",
        "ask": "What is the number of {t} in the end?",
    },
)
HELD_OUT: tuple[dict[str, Any], ...] = (
    {
        "open": "At first the drawer of {n} contains {a} {t}.",
        "+": "Another {a} are put in.",
        "-": "{n} removes {a}.",
        "*": "After that {n} {times} the amount.",
        "+*": "Next {a} {boxes} holding {b} {t} apiece are emptied into it.",
        "-*": "Next {a} {boxes} holding {b} {t} apiece are filled from it.",
        "ask": "What does the drawer contain, in {t}?",
    },
    {
        "open": "We look at the {t} of {n}: {a} of them.",
        "+": "The postman delivers {a} {t}.",
        "-": "A dog runs off with {a} {t}.",
        "*": "By magic the number {grows}.",
        "+*": "Grandmother sends {a} {boxes} packed with {b} {t} each.",
        "-*": "{n} lends a neighbor {a} {boxes} packed with {b} {t} each.",
        "ask": "Tell me how many {t} {n} has after all this.",
    },
)


def apply(op: str, left: int, right: int) -> int:
    """The result of one equation."""
    return left + right if op == "+" else left - right if op == "-" else left * right


def equations(start: int, events: Sequence[Event], first: int = 0) -> list[Equation]:
    """The equations of ``events[first:]`` for someone who holds ``start`` before them."""
    rows: list[Equation] = []
    value = start
    for op, a, b in events[first:]:
        amount = a
        if len(op) == 2:
            amount = a * b
            rows.append(("*", a, b, amount))
        result = apply(op[0], value, amount)
        rows.append((op[0], value, amount, result))
        value = result
    return rows


def written(rows: Sequence[Equation]) -> str:
    return " ".join(f"{left}{op}{right}={result}" for op, left, right, result in rows)


def expression(start: int, events: Sequence[Event]) -> str:
    """All events as one expression, left to right: "(12+3*8)*2-9"."""
    text = str(start)
    for op, a, b in events:
        if op == "*":
            text = f"({text})*{a}" if not text.isdigit() else f"{text}*{a}"
        else:
            text += f"{op[0]}{a}*{b}" if len(op) == 2 else f"{op}{a}"
    return text


class Chain(WorkedFamily):
    name = "chain"
    levels = (1, 2, 3, 4, 5, 6)
    ood_levels = (7, 8, 9)

    def draw(self, rng: random.Random, level: int | None = None, ood: bool = False, unseen: bool = False) -> Draft:
        level = self.pick_level(rng, level, ood)
        start = rng.randint(2, 50)
        events = _draw_events(rng, start, level)
        wording, meta = pick_wording(rng, SEEN, HELD_OUT, unseen)
        rows = equations(start, events)
        meta |= {"start": start, "events": [list(event) for event in events]}
        meta["steps"] = [list(row) for row in rows]
        canonical = f"{start} " + " ".join(f"{op}{a},{b}" for op, a, b in events)
        return Draft(_tell(rng, wording, start, events), str(rows[-1][3]), canonical, level, meta)

    def work(self, problem: Problem, planned: bool, rng: random.Random, slip: bool) -> Working:
        start = int(problem.meta["start"])
        events: list[Event] = [(str(op), int(a), int(b)) for op, a, b in problem.meta["events"]]
        rows = equations(start, events)
        plan = f"{expression(start, events)}: " if planned else ""
        if not slip:
            return Working(plan + written(rows), problem.answer, f"Check: {written(_backwards(events, rows))}.")
        wrong, position = _slipped(rng, start, events, rows)
        last = wrong[-1] if wrong else rows[-1]
        answer = str(wrong[-1][3] if wrong else start)
        fix = f"Wait, {written(rows[position:])}."
        return Working(plan + written(wrong), answer, f"Check: {written([last])}.", fix)


def _draw_events(rng: random.Random, start: int, count: int) -> list[Event]:
    events: list[Event] = []
    value = start
    while len(events) < count:
        op = rng.choices(("+", "-", "*", "+*", "-*"), (34, 32, 8, 16, 10))[0]
        if len(op) == 2:
            a, b = rng.randint(2, 5), rng.randint(2, 9)
            result = apply(op[0], value, a * b)
        else:
            a, b = (rng.randint(2, 3) if op == "*" else rng.randint(2, 50)), 0
            result = apply(op, value, a)
        # From 1 up while the story goes on, so that "doubles" never doubles nothing.
        if 1 <= result <= HIGHEST:
            events.append((op, a, b))
            value = result
    return events


def _tell(rng: random.Random, wording: dict[str, Any], start: int, events: Sequence[Event]) -> str:
    name, friend = rng.sample(FIRST_NAMES, 2)
    box = rng.choice(CONTAINERS)
    words = {"n": name, "f": friend, "p": pronoun(name).capitalize(), "t": plural(rng.choice(OBJECTS))}
    words |= {"box": box, "boxes": plural(box)}
    sentences = [wording["open"].format(a=start, **words)]
    for op, a, b in events:
        words["times"] = "doubles" if a == 2 else "triples"
        words["grows"] = words["times"]
        template = str(wording[op])
        sentence = template.format(a=a, b=b, **words)
        if "Then {p}" in template:
            sentence = sentence.replace(f"Then {words['p']}", f"Then {words['p'].lower()}")
        sentences.append(sentence)
    return " ".join([*sentences, wording["ask"].format(**words)])


def _backwards(events: Sequence[Event], rows: Sequence[Equation]) -> list[Equation]:
    """From the answer back to the start by the inverse operations (products of boxes are taken over)."""
    inverse = {"+": "-", "-": "+", "*": "/"}
    own = [rows[i] for i in _last_rows(events)]
    return [(inverse[op], result, right, left) for op, left, right, result in reversed(own)]


def _last_rows(events: Sequence[Event]) -> list[int]:
    """For each event, the index of its last equation (boxes have two: their product comes first)."""
    indexes, count = [], 0
    for op, _, _ in events:
        count += len(op)
        indexes.append(count - 1)
    return indexes


def _slipped(rng: random.Random, start: int, events: list[Event], rows: list[Equation]) -> tuple[list[Equation], int]:
    """A copy of the work with one slip that carries through, and the index in ``rows`` where it happened.

    A forgotten event, or one result off by a carry (10) or by one. Every operation is injective in the
    running value, so the answer is always wrong.
    """
    owner = [i for i, event in enumerate(events) for _ in range(len(event[0]))]
    while True:
        position = rng.randrange(len(rows))
        broken = owner[position]
        if rng.random() < 0.2 and len(events) > 1:
            wrong = equations(start, events[:broken] + events[broken + 1 :])
            position = owner.index(broken)
        else:
            wrong = _misread(rng, rows, position, owner, events)
        if wrong[-1][3] != rows[-1][3] and all(0 <= row[3] <= 2 * HIGHEST for row in wrong):
            return wrong, position


def _misread(
    rng: random.Random, rows: list[Equation], position: int, owner: list[int], events: list[Event]
) -> list[Equation]:
    op, left, right, result = rows[position]
    off = rng.choice((-1, 1)) if result < 20 or rng.random() < 0.5 else rng.choice((-10, 10))
    wrong = [*rows[:position], (op, left, right, result + off)]
    value = result + off
    if position + 1 < len(rows) and owner[position + 1] == owner[position]:  # the product of some boxes
        op, left, _, _ = rows[position + 1]
        value = apply(op, left, value)
        wrong.append((op, left, result + off, value))
    return wrong + equations(value, events, owner[position] + 1)
