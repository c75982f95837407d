"""One chunk of the crawl: good pages up to a budget of characters, and its share of everything else.

Each chunk draws from random streams of its own and becomes one WARC file, so that chunks can be made
in any order by any number of processes.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from thinkling.core.seeds import stream
from thinkling.tasks.words import FIRST_NAMES
from thinkling.world import junk
from thinkling.world.crawl import record, typographic
from thinkling.world.dialogues import Dialogues
from thinkling.world.encyclopedia import article
from thinkling.world.entities import cast
from thinkling.world.facts import Told, table
from thinkling.world.forums import Forum
from thinkling.world.grammar import fill, pick, variants
from thinkling.world.html import Site, sites
from thinkling.world.languages import LANGUAGES, foreign
from thinkling.world.lessons import LESSONS
from thinkling.world.page import Page
from thinkling.world.prose import stories
from thinkling.world.settings import Recipe
from thinkling.world.textbooks import Textbooks
from thinkling.world.warc import warcinfo
from thinkling.world.worked import families

Maker = Callable[[random.Random], Page]
MOST_RECORDS = 1_000_000  # in one chunk; leaves every record a number of its own


@dataclass(frozen=True, slots=True)
class World:
    """What all chunks share: the facts with their odds, the sites, the names."""

    recipe: Recipe
    told: Told
    sites: tuple[Site, ...]
    textbooks: Textbooks
    forum: Forum
    dialogues: Dialogues
    names: tuple[str, ...] = FIRST_NAMES

    @staticmethod
    def of(recipe: Recipe) -> World:
        facts = table(cast(recipe.people, recipe.seed), recipe.seed)
        told = Told.zipf(facts, recipe.zipf_exponent, recipe.seed)
        solvable = families(tuple(LESSONS))
        return World(
            recipe=recipe,
            told=told,
            sites=sites(stream(recipe.seed, "world", "sites"), recipe.sites),
            textbooks=Textbooks(solvable, told, FIRST_NAMES),
            forum=Forum(solvable, told, FIRST_NAMES),
            dialogues=Dialogues(told, FIRST_NAMES),
        )

    def good(self) -> dict[str, Maker]:
        """Makers of the pages worth keeping, by kind."""
        return {
            "encyclopedia": lambda rng: article(rng, self.told, self.names),
            "story": lambda rng: stories(rng, self.names),
            "textbook": self.textbooks.page,
            "forum": self.forum.page,
            "dialogue": self.dialogues.page,
        }

    def bad(self) -> dict[str, Maker]:
        """Makers of the pages that should go, by the recipe's name for them."""
        return {
            "foreign": lambda rng: foreign(rng, pick(rng, LANGUAGES)),
            "blocked": lambda rng: self._blocked(rng),
            "spam": junk.spam,
            "gibberish": junk.gibberish,
            "broken": lambda rng: self._broken(rng),
            "thin": lambda rng: junk.thin(rng, self.names),
            "empty": junk.navigation,
            "missing": junk.missing,
            "media": lambda rng: junk.picture(rng) if rng.random() < 0.6 else junk.pdf(rng),
        }

    def _blocked(self, rng: random.Random) -> Page:
        """A page on a blocked host; some have a second fault, which then is not the one charged."""
        maker = (
            self.bad()["foreign"] if rng.random() < 0.2 else junk.spam if rng.random() < 0.6 else self.good()["story"]
        )
        return maker(rng).with_(kind="blocked", drop="url", host=pick(rng, junk.BLOCKED_HOSTS), mentions=())

    def _broken(self, rng: random.Random) -> Page:
        kinds = (junk.symbols, junk.word_list, junk.repeated, junk.placeholder, junk.code)
        return kinds[int(rng.random() * len(kinds))](rng, self.names)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A finished chunk: a WARC file's bytes, truth rows in its order, statements per fact on kept pages."""

    warc: bytes
    rows: list[dict[str, Any]]
    mentions: Counter[int]


CONTACT = variants(
    "[Questions|Comments|Corrections]? Write to {name} at {mail}[.| or call {phone}.]",
    "You can reach {name} under {phone}[.| or by mail at {mail}.]",
    "This page was last changed by {name} ({mail}) from the address {ip}.",
)


def personal(rng: random.Random, page: Page, names: tuple[str, ...]) -> Page:
    """The page with a line of somebody's personal data at its end."""
    name = pick(rng, names)
    number = "".join(str(int(rng.random() * 10)) for _ in range(7))
    slots = {
        "name": name,
        "mail": f"{name.lower()}{int(rng.random() * 99)}@{pick(rng, ('mail', 'post', 'letters'))}.example.com",
        "phone": f"+1 {200 + int(rng.random() * 700)} {number[:3]} {number[3:]}",
        "ip": ".".join(str(1 + int(rng.random() * 222)) for _ in range(4)),
    }
    return page.with_(blocks=(*page.blocks, ("p", fill(rng, CONTACT, slots))), pii=True)


def good_pages(world: World, rng: random.Random, budget: int) -> list[Page]:
    """Good pages of ``budget`` characters or a little more, always the kind that is most behind its share."""
    makers = world.good()
    shares = {kind: share for kind, share in world.recipe.shares.model_dump().items() if share and kind in makers}
    total = sum(shares.values())
    made = dict.fromkeys(shares, 0)
    pages: list[Page] = []
    while (size := sum(made.values())) < budget:
        kind = max(shares, key=lambda name: shares[name] / total * (size + 1) - made[name])
        page = makers[kind](rng)
        made[kind] += len(page.text() or "")
        if rng.random() < world.recipe.typographic:
            page = typographic(page)
        if rng.random() < world.recipe.odd_charset:
            page = typographic(page).with_(charset="odd")
        if rng.random() < world.recipe.personal_data:
            page = personal(rng, page, world.names)
        pages.append(page)
    return pages


def bad_pages(world: World, rng: random.Random, good: int) -> list[Page]:
    """The junk that comes with ``good`` good pages, kind by kind."""
    pages: list[Page] = []
    makers = world.bad()
    for kind, per_page in world.recipe.junk.model_dump().items():
        pages.extend(makers[kind](rng) for _ in range(_count(rng, per_page * good)))
    return pages


def _count(rng: random.Random, expected: float) -> int:
    """A whole number with this expectation."""
    return int(expected) + (rng.random() < expected % 1)


def _ordered(world: World, rng: random.Random, originals: list[Page]) -> list[Page]:
    """All pages in the order of the crawl: shuffled, and each copy somewhere after its original."""
    recipe = world.recipe
    keyed = [(rng.random(), page) for page in originals]
    for place, page in list(keyed):
        if page.drop is not None:
            continue
        if rng.random() < recipe.exact_copies:
            for _ in range(1 + (rng.random() < 0.3)):
                keyed.append((place + (1 - place) * rng.random(), junk.exact_copy(page)))
        if rng.random() < recipe.near_copies:
            keyed.append((place + (1 - place) * rng.random(), junk.near_copy(rng, page)))
    return [page for _, page in sorted(keyed, key=lambda pair: pair[0])]


def build(world: World, index: int, budget: int) -> Chunk:
    """Chunk ``index`` with ``budget`` characters of good text."""
    rng = stream(world.recipe.seed, "world", "chunk", index)
    good = good_pages(world, rng, budget)
    pages = _ordered(world, rng, good + bad_pages(world, rng, len(good)))
    parts = [warcinfo(f"part-{index:05d}.warc.gz", world.recipe.seed)]
    rows: list[dict[str, Any]] = []
    mentions: Counter[int] = Counter()
    for number, page in enumerate(pages, start=index * MOST_RECORDS):
        made = record(rng, page, world.sites, number)
        parts.append(made.data)
        rows.append(made.row)
        if page.drop is None:
            mentions.update(page.mentions)
    return Chunk(b"".join(parts), rows, mentions)
