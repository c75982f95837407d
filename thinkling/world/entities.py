"""The cast of the fictional world: people, towns, teams, books, schools, countries.

Names come from modest pools, so that a small vocabulary spells them all in a few tokens each.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from thinkling.core.seeds import stream
from thinkling.tasks.words import FIRST_NAMES, MEN, WOMEN
from thinkling.world.grammar import split

SURNAMES = split(
    "Voss Hale Reed Stone Marsh Brook Lane Frost Wood Field Hart Wells Grant Park Moss Ford Lind Berg "
    "Cole Dale Nash Page Rowe Shaw Tate Webb York Blake Carr Drew Finch Gray Hill Kerr Lowe Mills North "
    "Owen Price Quinn Ross Swan Thorn Vale West Young Crane Bell"
)
TOWN_HEADS = split(
    "Elm Oak Ash Fern Stone Mill Green North South West East High Red White Black Lake Hill Salt Sand "
    "Wind Snow Rose Long Hart Wolf Swan Gold King"
)
TOWN_TAILS = split("ford ton field brook ham port dale wick bury stead well gate mere")
COUNTRIES = ("Norland", "Veldia", "Marenia", "Tolvania", "Estmark", "Karvia", "Belmora", "Sundria")
RIVERS = split("Alder Wend Sorrel Tamble Orrin Leet Marrow Dunn Esk Farrow Isel Kelder Luna Nidd Pell Rill")
TEAM_HEADS = split("Silver Golden Red Blue Green Black White Iron Swift Wild Proud Brave")
TEAM_TAILS = split("Foxes Bears Hawks Wolves Lions Rams Otters Ravens Bulls Swans")
BOOK_HEADS = split("Silent Lost Broken Hidden Golden Last Empty Burning Secret Distant Frozen Little Old Bright")
BOOK_TAILS = split("Harbor Garden Letter Mirror River Bridge Winter Island Clock Forest Lantern Tower Road Song")
SCHOOL_HEADS = split("Hillside Lakeview Oakwood Riverside Meadow Maple Castle Harbor Sunrise Park")
SCHOOL_TAILS = ("School", "College", "Academy")


@dataclass(frozen=True, slots=True)
class Entity:
    """Something a fact can be about. ``pronouns`` are (he, him, his) or their like."""

    kind: str
    name: str
    pronouns: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Cast:
    people: tuple[Entity, ...]
    towns: tuple[Entity, ...]
    teams: tuple[Entity, ...]
    books: tuple[Entity, ...]
    schools: tuple[Entity, ...]
    countries: tuple[Entity, ...]

    def everyone(self) -> tuple[Entity, ...]:
        return self.countries + self.towns + self.teams + self.books + self.schools + self.people


IT = ("it", "it", "its")
THEY = ("they", "them", "their")
SHE = ("she", "her", "her")
HE = ("he", "him", "his")


PRONOUNS = {name: SHE for name in WOMEN} | {name: HE for name in MEN}


def pronouns(first_name: str) -> tuple[str, str, str]:
    """(subject, object, possessive) for a first name of the pool; raises KeyError for others."""
    return PRONOUNS[first_name]


def _pairs(rng: random.Random, heads: tuple[str, ...], tails: tuple[str, ...], form: str, n: int) -> list[str]:
    """``n`` different combinations of heads and tails, in the given form, heads spread evenly."""
    grid = [form.format(head, tail) for head in heads for tail in tails if not tail.startswith(head.lower())]
    if n > len(grid):
        raise ValueError(f"only {len(grid)} names of the form {form!r}, {n} wanted")
    return rng.sample(grid, n)


def cast(people: int, seed: int) -> Cast:
    """A cast with ``people`` people; the other kinds grow with it."""
    rng = stream(seed, "world", "cast")
    names = _pairs(rng, FIRST_NAMES, SURNAMES, "{} {}", people)
    small = max(4, people // 10)
    return Cast(
        people=tuple(Entity("person", name, pronouns(name.split()[0])) for name in names),
        towns=tuple(
            Entity("town", name, IT) for name in _pairs(rng, TOWN_HEADS, TOWN_TAILS, "{}{}", max(12, people // 5))
        ),
        teams=tuple(Entity("team", name, THEY) for name in _pairs(rng, TEAM_HEADS, TEAM_TAILS, "{} {}", small)),
        books=tuple(
            Entity("book", name, IT) for name in _pairs(rng, BOOK_HEADS, BOOK_TAILS, "The {} {}", max(6, people // 5))
        ),
        schools=tuple(
            Entity("school", name, IT) for name in _pairs(rng, SCHOOL_HEADS, SCHOOL_TAILS, "{} {}", min(30, small))
        ),
        countries=tuple(Entity("country", name, IT) for name in COUNTRIES),
    )
