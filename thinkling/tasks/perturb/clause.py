"""An irrelevant clause: one more sentence, with a number in it that has nothing to do with the question.

After GSM-NoOp (Mirzadeh et al. 2024, "GSM-Symbolic", arXiv:2410.05229, section 4.4): a clause that seems to
belong and changes nothing. The gold answer stays. Where a problem's things are known (the built-in chain and
equation), the clause is about them, which tempts most; else it is about something that the problem never mentions.
"""

from __future__ import annotations

import random
import re

from thinkling.core.types import Problem
from thinkling.tasks.grading import numbers
from thinkling.tasks.perturb.change import Change, Refused, solutions
from thinkling.tasks.perturb.rename import sure_names
from thinkling.tasks.perturb.wording import take_apart

# (the clause, beginnings of words that must not occur in the problem). {k} is a number.
APART: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("A bus with {k} seats drives past.", ("bus", "seat", "driv", "passenger", "transport")),
    ("A dog next door is {k} months old.", ("dog", "pupp", "pet", "month", "age", "old", "neighbo", "animal")),
    ("On the radio they play song number {k}.", ("radio", "song", "music", "play", "number")),
    ("The house across the street is number {k}.", ("house", "street", "number", "home", "address")),
    ("It is {k} degrees outside.", ("degree", "temperature", "weather", "outside", "hot", "cold", "warm", "angle")),
    ("A poster on the wall shows {k} mountains.", ("poster", "wall", "mountain", "pictur", "paint")),
    ("The library nearby was built {k} years ago.", ("librar", "book", "year", "age", "old", "buil", "read")),
    ("A tree in the park has {k} branches.", ("tree", "park", "branch", "plant", "garden", "leaf", "leav")),
)
ABOUT_SOMEONE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("{n} is wearing a coat with {k} buttons.", ("wear", "coat", "button", "cloth", "shirt", "sew", "dress", "name")),
    (
        "{n} has a cousin in house number {k}.",
        ("cousin", "hous", "number", "famil", "relative", "brother", "sister", "name"),
    ),
)
OF_THEM = "{k} of the {t} are a little older than the others."
LEAST, MOST = 3, 48
# A question that points back would point at the clause instead.
_POINTS_BACK = re.compile(r"\b(?:it|its|they|them|their|theirs|this|that|these|those|he|him|his|she|hers?)\b", re.I)
_LAST_SENTENCE = re.compile(r"(?<=[.!])\s+(?=[A-Z][^.!?]*\?\s*$)")


def add_clause(problem: Problem, rng: random.Random) -> Change:
    """A built-in chain or equation with a clause about its own things; any other problem as ``add_clause_text``."""
    found = _own_things(problem, rng)
    if found is None:
        return add_clause_text(problem, rng)
    clause, at = found
    return _with(problem, clause, at)


def add_clause_text(problem: Problem, rng: random.Random) -> Change:
    """A problem with a clause about something else, before its question or at the very beginning."""
    prompt = problem.prompt
    someone = sure_names(prompt)
    lowered = prompt.lower()
    fitting = [
        (clause, "") if "{n}" not in clause else (clause, name)
        for clause, topics in (*APART, *ABOUT_SOMEONE)
        for name in (someone if "{n}" in clause else ("",))
        if not any(re.search(rf"\b{topic}", lowered) for topic in topics)
    ]
    if not fitting:
        raise Refused("every clause has something to do with the problem")
    clause, name = rng.choice(fitting)
    question = _LAST_SENTENCE.search(prompt)
    at = question.end() if question and not _POINTS_BACK.search(prompt, question.end()) else 0
    return _with(problem, clause.format(k=_number(problem, rng, LEAST, MOST), n=name), at)


def _own_things(problem: Problem, rng: random.Random) -> tuple[str, int] | None:
    """A clause about the things of a chain or an equation and the place for it; None where they are too few."""
    if problem.family == "chain":
        slots, most = take_apart(problem), int(problem.meta["start"]) - 1
        things, at = slots.word("t"), slots.starts[1]
    elif problem.family == "equation":
        slots, most = take_apart(problem), int(problem.meta["a"]) - 1
        things, question = slots.word("xs0"), _LAST_SENTENCE.search(problem.prompt)
        if question is None:
            return None
        at = question.end()
    else:
        return None
    told = {int(value) for value in numbers(problem.prompt)} | {int(problem.answer)}
    free = [k for k in range(2, most + 1) if k not in told]
    return (OF_THEM.format(k=rng.choice(free), t=things), at) if free else None


def _number(problem: Problem, rng: random.Random, least: int, most: int) -> int:
    """A number that neither the problem nor its answer nor its solution says."""
    texts = (problem.prompt, problem.answer, *solutions(problem.meta))
    told = {digits for text in texts for digits in re.findall(r"\d+", text)}
    free = [k for k in range(least, most + 1) if str(k) not in told]
    if not free:
        raise Refused("every small number is in the problem already")
    return rng.choice(free)


def _with(problem: Problem, clause: str, at: int) -> Change:
    prompt = f"{problem.prompt[:at]}{clause} {problem.prompt[at:]}"
    return Change(prompt, problem.answer, problem.level, dict(problem.meta))
