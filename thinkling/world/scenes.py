"""What stories are made of: small pools of things, places, animals and moods, drawn as one scene."""

from __future__ import annotations

import random
from collections.abc import Sequence

from thinkling.world.entities import pronouns
from thinkling.world.facts import with_article
from thinkling.world.grammar import pick, split

THINGS = split(
    "lamp|key|hat|kite|drum|basket|boat|map|bell|coat|ring|clock|blanket|bucket|whistle|letter|box|"
    "ladder|mirror|spoon|button|candle|shell|coin|pencil|bottle|umbrella|rope|cup|picture",
    "|",
)
PLACES = split(
    "market|river|forest|library|harbor|bakery|garden|school|mill|bridge|station|beach|park|barn|"
    "field|well|hill|church|museum|workshop|orchard|castle|inn|square|lake",
    "|",
)
ANIMALS = split("dog cat goat horse duck sheep cow rabbit fox owl donkey hen pony mouse crow")
FOODS = split("bread soup cheese apples cake pears rice honey fish plums nuts porridge")
COLORS = split("red blue green yellow white black brown gray golden small old new")
MOODS = split("happy proud tired calm glad curious cheerful hungry quiet excited")
WEATHER = split("sunny|rainy|windy|cold|warm|foggy|snowy|cloudy|stormy|bright", "|")
TIMES = split(
    "morning|evening|afternoon|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|day in spring|"
    "day in summer|day in autumn|day in winter|night",
    "|",
)
KIN = split("mother father sister brother aunt uncle grandmother grandfather cousin neighbor")
NUMBERS = split("two three four five six seven eight nine ten")
VERBS = split("paint clean carry repair sell draw wash find keep buy")


def scene(rng: random.Random, names: Sequence[str], place: str = "") -> dict[str, str]:
    """The slots of one scene: A and B (first names) with A's pronouns, things, places and the rest."""
    first = names[int(rng.random() * len(names))]
    second = names[int(rng.random() * len(names))]
    while second == first:
        second = names[int(rng.random() * len(names))]
    he, him, his = pronouns(first)
    thing, thing2 = rng.sample(THINGS, 2)
    spot, spot2 = rng.sample(PLACES, 2)
    animal = pick(rng, ANIMALS)
    color = pick(rng, COLORS)
    return {
        "A": first,
        "B": second,
        "he": he,
        "him": him,
        "his": his,
        "He": he.capitalize(),
        "His": his.capitalize(),
        "thing": thing,
        "thing2": thing2,
        "a_thing": with_article(thing),
        "a_thing2": with_article(thing2),
        "a_color": with_article(color),
        "color": color,
        "place": place or spot,
        "place2": spot2,
        "A_color": with_article(color).capitalize(),
        "A_thing": with_article(thing).capitalize(),
        "An_animal": with_article(animal).capitalize(),
        "animal": animal,
        "an_animal": with_article(animal),
        "food": pick(rng, FOODS),
        "food2": pick(rng, FOODS),
        "mood": pick(rng, MOODS),
        "mood2": pick(rng, MOODS),
        "weather": pick(rng, WEATHER),
        "time": pick(rng, TIMES),
        "kin": pick(rng, KIN),
        "number": pick(rng, NUMBERS),
        "verb": pick(rng, VERBS),
    }
