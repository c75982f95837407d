"""Problems of the task families on pages: only from the training split, with solutions in every style."""

from __future__ import annotations

import random
from dataclasses import dataclass

from thinkling.core.types import Message, Problem
from thinkling.tasks.family import Family, pose
from thinkling.tasks.registry import family
from thinkling.world.grammar import pick, variants

STYLES = ("steps", "steps", "steps", "equation", "equation", "check", "check", "direct")
ONE_PARAGRAPH = variants(
    "Question: {q} Solution: {s}",
    "Question: {q} Answer: {s}",
    "Q: {q} A: {s}",
    "{q} {s}",
    "Example: {q} [We work it out|This is how it goes|Here is the solution]: {s}",
    "{name} was asked: {q} {name} [wrote|answered|said]: {s}",
    "In the book of {name} we read: {q} The solution [is|follows|reads]: {s}",
)
TWO_PARAGRAPHS = (
    variants("Problem {k}. {q}", "Question {k}: {q}", "Example {k}: {q}", "Question: {q}", "{q}", "{name} asks: {q}"),
    variants("Solution: {s}", "Answer: {s}", "{s}", "Solution to problem {k}: {s}", "Here is what to do: {s}"),
)


@dataclass(frozen=True, slots=True)
class Solved:
    """A problem with one written solution."""

    problem: Problem
    solution: str


def families(names: tuple[str, ...]) -> dict[str, Family]:
    """The built-in families that need nothing but their name."""
    return {name: family(name) for name in names}


def spoken(message: Message) -> str:
    """A worked solution as a page prints it: the thinking, then the answer."""
    return f"{message.thinking} {message.text}" if message.thinking else message.text


def train_problem(rng: random.Random, of: Family) -> Problem:
    """A problem of the training split: pages never show what is tested later."""
    while True:
        problem = pose(of.name, of.draw(rng))
        if problem.split == "train":
            return problem


def solved(rng: random.Random, of: Family) -> Solved:
    """A training problem with a right solution."""
    problem = train_problem(rng, of)
    return Solved(problem, spoken(of.solve(problem, pick(rng, STYLES), rng)))


def paragraphs(rng: random.Random, item: Solved, number: int, name: str) -> list[str]:
    """The problem and its solution as one paragraph or two."""
    slots = {"q": item.problem.prompt, "s": item.solution, "k": number, "name": name}
    if rng.random() < 0.5 or len(item.solution) < 40:  # a bare answer would repeat itself as a line
        return [pick(rng, ONE_PARAGRAPH).format_map(slots)]
    return [pick(rng, part).format_map(slots) for part in TWO_PARAGRAPHS]
