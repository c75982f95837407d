"""Short stories and short paragraphs of everyday English."""

from __future__ import annotations

import random
from collections.abc import Sequence

from thinkling.world.facts import with_article
from thinkling.world.grammar import Variants, cap, fill, pick, variants
from thinkling.world.numerals import spell
from thinkling.world.page import Draft, Page
from thinkling.world.plots import ENDINGS, OPENINGS, PLOTS
from thinkling.world.scenes import ANIMALS, scene

# Sentences about nobody's fact: what a day is like. Used to link and to fill.
DAILY: tuple[Variants, ...] = (
    variants(
        "{A} [gets up|wakes] [early|late|before sunrise] and [opens the window|feeds the {animal}|makes some tea].",
        "[In the morning|Before noon|After breakfast] {A} [walks to the {place}|meets {B}|reads for a while].",
        "{A} and {B} [live|work|like to meet] near the {place}, [next to|behind|not far from] the {place2}.",
        "{A} has [had|owned] {a_color} {thing} for {number} years[.|, and {an_animal} as well.]",
        "{B} is [a friend|a neighbor|a cousin] of {A}, who [lives|works] near the {place}.",
        "This {time} {A} is at the {place} with {his} {kin}.",
    ),
    variants(
        "The way to the {place} is [long|short|steep], but {A} [likes it|knows every stone of it].",
        "On the way {he} [greets|waves to] {B}, who [owns|sits beside] {a_color} {animal}.",
    ),
    variants(
        "For lunch there is [often|always|usually] {food} with {food2}.",
        "{A} [likes|enjoys] {food}, but {B} [would rather have|prefers] {food2}.",
    ),
    variants(
        "When it is {weather}, {A} and {B} [stay at home|go to the {place2}|sit by the fire|play outside].",
        "On {weather} days the {place2} is [empty|full of people|very quiet].",
    ),
    variants(
        "{B} has {a_thing} that {A} would like to [have|{verb}|borrow].",
        "The {color} {thing} on the table [belongs to|was a gift from] {B}.",
    ),
    variants(
        "[Sometimes|Now and then|Once a week] {his} {kin} comes to [visit|help|talk].",
        "{His} {kin} [tells good stories|knows many songs|has lived here for {number} years].",
    ),
    variants(
        "In the evening {he} [writes letters|looks at the stars|plays with the {animal}|goes to bed early].",
        "Before going to sleep, {A} [thinks about|plans] the next day.",
    ),
    variants(
        "There are {number} [trees|houses|benches|boats] near the {place}, and one of them is very old.",
        "The {place} is {number} [streets|minutes|steps] away from the {place2}.",
    ),
    variants(
        "{A} feels {mood} today, because [the sun is out|a friend is coming|the work is done|there is {food}].",
        "It [has been|was] a {weather} week, and [everyone|{B}] is {mood}.",
    ),
)

# What the world is like for everybody: safe common knowledge in simple words.
KNOWLEDGE: tuple[Variants, ...] = (
    variants(
        "[Water|A river] [freezes|turns to ice] when it is very cold.",
        "Ice is water that has become [hard|solid].",
    ),
    variants(
        "A week has seven days, and [a day has twenty-four hours|the weekend has two of them].",
        "There are sixty minutes in an hour and sixty seconds in a minute.",
    ),
    variants(
        "Bees [make honey|fly from flower to flower] and live in a hive.",
        "{An_animal} needs [food, water and a dry place to sleep|somebody who takes care of it].",
    ),
    variants(
        "In winter the days are short, and in summer they are long.",
        "After winter comes spring, and the [trees|fields] turn green [again|once more].",
    ),
    variants(
        "Bread is made from flour, water and [salt|yeast], and it is baked in a hot oven.",
        "To make cheese, people need milk, [salt and time|warmth and patience].",
    ),
    variants(
        "The sun rises in the east and sets in the west.",
        "At night the moon [gives|sends] a little light, and the stars [can be seen|come out].",
    ),
    variants(
        "A map shows [where things are|the way from one place to another].",
        "Long ago, people [found their way|crossed the sea] by looking at the stars.",
    ),
    variants(
        "Wood comes from trees, and paper is made from wood.",
        "Glass is made from sand that has been [melted|heated] in a fire.",
    ),
    variants(
        "A doctor helps people who are ill, and a teacher helps people who [want to learn|have questions].",
        "A baker works at night so that there is [fresh|warm] bread in the morning.",
    ),
    variants(
        "Rain falls from clouds and [fills the rivers|makes the plants grow].",
        "Rivers [run|flow] down from the hills to the sea.",
    ),
    variants(
        "A bridge [lets people cross|goes over] a river.",
        "Boats carry [people and goods|wood and grain] from one port to another.",
    ),
    variants(
        "Birds build nests in spring and [many of them|some] fly south in autumn.",
        "Owls sleep by day and hunt at night.",
    ),
)


def paragraph(rng: random.Random, names: Sequence[str], sentences: int) -> str:
    """At least one sentence of everyday life around one person, in a sensible order."""
    slots = scene(rng, names)
    chosen = sorted(rng.sample(range(1, len(DAILY)), min(sentences, len(DAILY)) - 1))
    lines = [fill(rng, DAILY[index], slots) for index in (0, *chosen)]  # the first names who "he" or "she" is
    if rng.random() < 0.4:
        lines.append(fill(rng, KNOWLEDGE[int(rng.random() * len(KNOWLEDGE))], slots))
    return " ".join(lines)


def knowledge(rng: random.Random, sentences: int) -> str:
    """A few sentences of common knowledge."""
    slots = {"An_animal": with_article(pick(rng, ANIMALS)).capitalize()}
    return " ".join(fill(rng, group, slots) for group in rng.sample(KNOWLEDGE, sentences))


def story(rng: random.Random, names: Sequence[str], titled: bool) -> tuple[str, list[str]]:
    """A short story: its title and its paragraphs."""
    titles, beats = PLOTS[int(rng.random() * len(PLOTS))]
    slots = scene(rng, names)
    told = [fill(rng, group, slots) for group in OPENINGS]
    if rng.random() < 0.5:
        told.append(fill(rng, DAILY[int(rng.random() * len(DAILY))], slots).replace("today, ", ""))
    for beat in beats:
        told.append(fill(rng, beat, slots))
        if rng.random() < 0.25:
            told.append(fill(rng, OPENINGS[1], slots))
    told = list(dict.fromkeys(told))
    told.append(fill(rng, ENDINGS, slots))
    cut = 2 + int(rng.random() * (len(told) - 4))
    title = cap(fill(rng, titles, slots)) if titled else ""
    return title, [" ".join(told[:cut]), " ".join(told[cut:])]


PAGES = variants(
    "[Short stories|Stories to read aloud|New stories|Bedtime stories|Little stories] [about {A} and "
    "others|for children|"
    "from the {place}|for a {weather} {time}|collected by {B}|with {an_animal}]"
)


def stories(rng: random.Random, names: Sequence[str]) -> Page:
    """A page with two to five short stories."""
    draft = Draft()
    titles: set[str] = set()
    for number in range(2 + int(rng.random() * 4)):
        title, paragraphs = story(rng, names, True)
        if title in titles or len(title.split()) < 3:
            title = f"Story number {spell(number + 1)}: {title}"
        titles.add(title)
        draft.head(title)
        for text in paragraphs:
            draft.para(text)
    return draft.done("story", fill(rng, PAGES, scene(rng, names)))
