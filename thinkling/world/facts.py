"""The facts of the world and how often each is told: Zipf's law over a random order of the facts."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from thinkling.core.seeds import stream
from thinkling.tasks.facts import split_of_fact
from thinkling.world.entities import COUNTRIES, RIVERS, Cast, Entity
from thinkling.world.grammar import fill
from thinkling.world.relations import COLORS, FOODS, GOODS, INSTRUMENTS, JOBS, RELATIONS, TOPICS


@dataclass(frozen=True, slots=True)
class Fact:
    """``object`` is the short answer to ``question``; ``index`` is the fact's place in the table."""

    index: int
    subject: Entity
    relation: str
    object: str

    @property
    def id(self) -> str:
        return f"fact-{self.index:05d}"

    @property
    def question(self) -> str:
        return RELATIONS[self.relation].question.format(s=self.subject.name)

    def slots(self) -> dict[str, str]:
        return {"s": self.subject.name, "o": self.object, "a": with_article(self.object)}


def with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def table(cast: Cast, seed: int) -> tuple[Fact, ...]:
    """Every fact of the world, subject by subject."""
    rng = stream(seed, "world", "facts")
    people = [person.name for person in cast.people]
    towns = [town.name for town in cast.towns]
    teams = [team.name for team in cast.teams]
    capitals = rng.sample(towns, len(cast.countries))
    rows: list[tuple[Entity, str, str]] = []
    for entity in cast.everyone():
        rows.extend((entity, relation, thing) for relation, thing in _about(rng, entity, people, towns, teams))
    for country, capital in zip(cast.countries, capitals, strict=True):
        rows.append((country, "capital", capital))
    country_of = dict(zip(capitals, (country.name for country in cast.countries), strict=True))
    rows = [
        (entity, relation, country_of.get(entity.name, thing) if relation == "country" else thing)
        for entity, relation, thing in rows
    ]
    return tuple(Fact(index, *row) for index, row in enumerate(rows))


def _about(
    rng: random.Random, entity: Entity, people: list[str], towns: list[str], teams: list[str]
) -> Iterator[tuple[str, str]]:
    """The (relation, object) pairs of one entity; a person has a birthplace and two facts more."""
    match entity.kind:
        case "person":
            yield "born_in", rng.choice(towns)
            for relation in rng.sample(("job", "instrument", "plays_for", "food"), 2):
                pool = {"job": JOBS, "instrument": INSTRUMENTS, "plays_for": teams, "food": FOODS}[relation]
                yield relation, rng.choice(pool)
        case "town":
            yield "country", rng.choice(COUNTRIES)
            yield "river", rng.choice(RIVERS)
            yield "mayor", rng.choice(people)
            yield "founded", str(rng.randrange(1100, 1900))
            yield "known_for", rng.choice(GOODS)
        case "team":
            yield "home", rng.choice(towns)
            yield "color", rng.choice(COLORS)
            yield "captain", rng.choice(people)
        case "book":
            yield "author", rng.choice(people)
            yield "about", rng.choice(TOPICS)
        case "school":
            yield "school_town", rng.choice(towns)
            yield "head", rng.choice(people)
            yield "founded", str(rng.randrange(1850, 2000))


@dataclass(frozen=True, slots=True)
class Told:
    """The facts with the odds of being told: the fact of rank r has weight r ** -exponent (Zipf 1949).

    Every fact is stated, but only those of the training split are asked: a page shows the answer beside the
    question, and what is tested later must not have been practiced.
    """

    facts: tuple[Fact, ...]
    order: tuple[int, ...]  # order[r] is the fact of rank r + 1
    cumulative: tuple[float, ...]
    askable: frozenset[int]  # the indices of the training split

    @staticmethod
    def zipf(facts: tuple[Fact, ...], exponent: float, seed: int) -> Told:
        order = list(range(len(facts)))
        stream(seed, "world", "ranks").shuffle(order)
        weights = accumulate((r + 1) ** -exponent for r in range(len(facts)))
        askable = (fact.index for fact in facts if split_of_fact(fact.subject.name, fact.relation) == "train")
        return Told(facts, tuple(order), tuple(weights), frozenset(askable))

    def may_ask(self, fact: Fact) -> bool:
        return fact.index in self.askable

    def draw(self, rng: random.Random) -> Fact:
        """One fact, by its weight."""
        return self.facts[self.order[bisect(self.cumulative, rng.random() * self.cumulative[-1])]]

    def draw_to_ask(self, rng: random.Random) -> tuple[Fact, list[Fact]]:
        """A fact that may be asked, and those drawn before it that may not.

        Whoever asks states the latter beside it: if they were dropped, the facts of the other splits would
        be mentioned less often than their rank says.
        """
        passed: list[Fact] = []
        while not self.may_ask(fact := self.draw(rng)):
            passed.append(fact)
        return fact, passed


def state(rng: random.Random, fact: Fact, mentions: list[int], said: Sequence[str] = ()) -> str:
    """A sentence that states ``fact``, which is noted in ``mentions``; none of ``said`` while there is another."""
    mentions.append(fact.index)
    forms, slots = RELATIONS[fact.relation].statements, fact.slots()
    return fill(rng, tuple(form for form in forms if form.format_map(slots) not in said) or forms, slots)


def other_object(rng: random.Random, fact: Fact, told: Told) -> Fact:
    """A fact of the same relation with another object, for wrong guesses; raises ValueError if there is none."""
    for _ in range(1000):
        rival = told.facts[int(rng.random() * len(told.facts))]
        if rival.relation == fact.relation and rival.object != fact.object:
            return rival
    raise ValueError(f"the world has only one object for the relation {fact.relation}")
