"""Textbook pages: exposition, worked problems, drills, exercises with the answers at the back."""

from __future__ import annotations

import random
from collections.abc import Mapping

from thinkling.tasks.family import Family
from thinkling.tasks.words import NOUNS
from thinkling.world import drills
from thinkling.world.dilution import dilute
from thinkling.world.facts import Told
from thinkling.world.grammar import Variants, cap, fill, pick, variants
from thinkling.world.lessons import LESSONS, SPELLED, spelling
from thinkling.world.page import Draft, Page
from thinkling.world.worked import Solved, paragraphs, solved

# How often a section is about each topic, and with how many problems at most: where solutions sound alike,
# a page takes only a few. Sorting is dear, since its digits ask for so much prose.
TOPICS = {
    "chain": 8,
    "equation": 6,
    "letters": 6,
    "coin": 6,
    "sort": 4,
    "decimals": 3,
    "count": 3,
    "drill": 7,
    "names": 5,
}
MOST = {"chain": 4, "equation": 4, "letters": 3, "coin": 2, "sort": 3, "decimals": 3, "count": 2}
NAMES_OF_TOPICS = {
    "chain": variants(
        "[Story problems|Problems in several steps|Long problems, one step at a time|Word problems for everyone]"
    ),
    "equation": variants("[Fruit and prices|The price of one fruit|Finding an unknown price|Apples and oranges]"),
    "letters": variants("[Last letters of names|How names end|Joining letters|Letters at the end]"),
    "coin": variants("[Flipping a coin|Heads or tails|Even and odd flips|Is the coin still heads up]"),
    "sort": variants("[Putting numbers in order|Sorting a list|From small to large|Up and down the list]"),
    "decimals": variants("[Comparing decimals|Which number is larger|Numbers with a point|Tenths and hundredths]"),
    "count": variants("[Counting letters|How often is a letter there|Letters in a word|Looking for a letter]"),
    "drill": variants(
        "[Adding and subtracting|Sums and differences|Practice with numbers|Working with carries|Times and shares]"
    ),
    "names": variants("[How to spell names|Spelling practice|Names letter by letter|Words and their letters]"),
}
TITLES = variants(
    "Chapter {k}: {t}",
    "Lesson {k}: {t}",
    "{t}, lesson {k}",
    "{t}: [exercises|examples|a lesson|practice] with answers",
    "[A workbook page|Notes for class|School notes]: {t}",
)
HEADINGS = {
    "lesson": variants("[How it is done|The idea in short|What you need to know|A few words first]"),
    "worked": variants(
        "[Worked problems to read|Examples with solutions|Problems and their solutions|Let us try some]"
    ),
    "exercise": variants("[Exercises for you|Now it is your turn|Problems to solve alone|Some more exercises]"),
    "back": variants("[Answers at the back|Answers to the exercises|What the answers are|The answers to compare with]"),
}
PRACTICE = variants("[Practice in|Some examples of|More about|The art of|A lesson on]")
BACK = (
    "Exercise {k}: {a}",
    "In exercise {k}, {b}",
    "Number {k}: {a}",
    "For exercise {k} we find: {a}",
)


class Textbooks:
    """Makes textbook pages from the task families, with prose of the world between the numbers."""

    def __init__(self, families: Mapping[str, Family], told: Told, names: tuple[str, ...]) -> None:
        self.families = families
        self.told = told
        self.names = names
        self.topics = [topic for topic, weight in TOPICS.items() for _ in range(weight)]

    def page(self, rng: random.Random) -> Page:
        """A page of two to four sections on different topics, diluted with prose until four words in five
        have a letter."""
        topics: list[str] = []
        for _ in range(2 + int(rng.random() * 3)):
            topic = self.topics[int(rng.random() * len(self.topics))]
            if topic not in topics:
                topics.append(topic)
        draft = Draft()
        exercises: list[Solved] = []
        for place, topic in enumerate(topics):
            if place and rng.random() < 0.6:
                self._head(rng, draft, NAMES_OF_TOPICS[topic])
            if topic == "drill":
                self._drill(rng, draft)
            elif topic == "names":
                self._names(rng, draft)
            else:
                exercises += self._family(rng, draft, topic)
        if len(exercises) > 2:
            self._exercises(rng, draft, exercises)
        dilute(rng, draft, self.told, self.names)
        slots = {"k": 1 + int(rng.random() * 40), "t": pick(rng, NAMES_OF_TOPICS[topics[0]])}
        return draft.done("textbook", cap(fill(rng, TITLES, slots)))

    def _head(self, rng: random.Random, draft: Draft, options: Variants) -> None:
        """A heading that the page does not have yet: repeated lines are what quality rules look for."""
        fresh = [text for text in options if ("h", text) not in draft.blocks()]
        draft.head(fresh[int(rng.random() * len(fresh))])

    def _family(self, rng: random.Random, draft: Draft, topic: str) -> list[Solved]:
        """Exposition and worked problems of one family; returns a few more as exercises."""
        of = self.families[topic]
        lesson = LESSONS[topic]
        if rng.random() < 0.7:
            if rng.random() < 0.3:
                self._head(rng, draft, HEADINGS["lesson"])
            draft.para(" ".join(dict.fromkeys(lesson(rng, self.names) for _ in range(1 + int(rng.random() * 3)))))
        if rng.random() < 0.3:
            self._head(rng, draft, HEADINGS["worked"])
        items: dict[str, Solved] = {}
        for _ in range(1 + int(rng.random() * MOST[topic]) + (2 if rng.random() < 0.35 else 0)):
            item = solved(rng, of)
            items[item.problem.key] = item
        shown = list(items.values())
        for number, item in enumerate(shown[: MOST[topic]], 1):
            for part, text in enumerate(paragraphs(rng, item, number, pick(rng, self.names))):
                draft.para(text, tied=part > 0)
            if rng.random() < 0.15:
                draft.para(lesson(rng, self.names))
        return shown[MOST[topic] :]

    def _exercises(self, rng: random.Random, draft: Draft, items: list[Solved]) -> None:
        """The exercises, then their answers at the back."""
        tag = pick(rng, ("ol", "br", "table"))
        form = pick(rng, BACK)
        asked = [f"Exercise {k}: {item.problem.prompt}" for k, item in enumerate(items, 1)]
        answers = [
            form.format(k=k, a=f"The answer is {item.problem.answer}.", b=f"the answer is {item.problem.answer}.")
            for k, item in enumerate(items, 1)
        ]
        self._head(rng, draft, HEADINGS["exercise"])
        draft.lines(tag, asked)
        self._head(rng, draft, HEADINGS["back"])
        draft.lines(tag, answers)

    def _drill(self, rng: random.Random, draft: Draft) -> None:
        kinds = rng.sample(list(drills.OPERATIONS), 1 + int(rng.random() * 2))
        for kind in kinds:
            if rng.random() < 0.4:
                draft.head(f"{pick(rng, PRACTICE)} {kind}")
            for _ in range(1 + int(rng.random() * 3)):
                made = dict.fromkeys(drills.OPERATIONS[kind](rng) for _ in range(3 + int(rng.random() * 3)))
                draft.para(" ".join(made))
        draft.para(" ".join(drills.mixed(rng) for _ in range(3)))

    def _names(self, rng: random.Random, draft: Draft) -> None:
        forms = rng.sample(SPELLED, len(SPELLED))
        for _ in range(2 + int(rng.random() * 2)):
            pool = NOUNS if rng.random() < 0.3 else self.names
            words = rng.sample(pool, 4 + int(rng.random() * 4))
            lines = [spelling(word, forms.pop()) for word in words]
            if rng.random() < 0.3:
                draft.lines(pick(rng, ("ol", "br", "table")), lines)
            else:
                draft.para(" ".join(lines))
            if rng.random() < 0.7:
                lesson = LESSONS["letters" if rng.random() < 0.6 else "count"]
                draft.para(" ".join(dict.fromkeys(lesson(rng, self.names) for _ in range(2))))
