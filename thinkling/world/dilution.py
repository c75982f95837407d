"""Prose between numbers: the quality rules want a letter in four words out of five."""

from __future__ import annotations

import random
import re

from thinkling.world.facts import Told, state
from thinkling.world.grammar import pick, variants
from thinkling.world.page import Block, Draft
from thinkling.world.prose import knowledge, paragraph, story

SHORTEST = 120  # words on a page that is worth reading; the published limit is 50
DENSE = 0.185  # of the words may lack a letter before prose is added; the published limit is 0.2
READING = variants("[Time for a short story|A page to read|Something else to read|A break with a story]")
_WORD = re.compile(r"\w+(?:['’.-]\w+)*")
_DIGITS = re.compile(r"(?<![\w.-])\d+(?:[.-]\d+)*(?![\w])")


class Balance:
    """Counts the words of a page and how many of them are numbers."""

    def __init__(self) -> None:
        self.words = self.numbers = 0

    def add(self, content: str | tuple[str, ...]) -> None:
        text = content if isinstance(content, str) else "\n".join(content)
        self.words += len(_WORD.findall(text))
        self.numbers += len(_DIGITS.findall(text))

    def wants_prose(self) -> bool:
        return self.numbers > DENSE * self.words or self.words < SHORTEST


def dilute(rng: random.Random, draft: Draft, told: Told, names: tuple[str, ...]) -> None:
    """Insert prose between the units of the page until it is neither short nor dense in numbers."""
    balance = Balance()
    for _, content in draft.blocks():
        balance.add(content)
    stories = 0
    while balance.wants_prose():
        kind = rng.random()
        unit: list[Block]
        if kind < 0.3:
            unit = [("p", text) for text in story(rng, names, False)[1]]
            if stories == 0 and rng.random() < 0.3:
                unit.insert(0, ("h", pick(rng, READING)))
            stories += 1
        elif kind < 0.55:
            fact = state(rng, told.draw(rng), draft.mentions)
            unit = [("p", f"{fact} {paragraph(rng, names, 4)}")]
        elif kind < 0.8:
            unit = [("p", paragraph(rng, names, 4 + int(rng.random() * 3)))]
        else:
            unit = [("p", knowledge(rng, 3 + int(rng.random() * 2)))]
        for _, content in unit:
            balance.add(content)
        draft.units.insert(1 + int(rng.random() * len(draft.units)), unit)
