"""Encyclopedia pages: each tells facts drawn by Zipf's law, grouped by subject, with prose between."""

from __future__ import annotations

import random
from collections.abc import Sequence

from thinkling.world.facts import Fact, Told, state
from thinkling.world.grammar import Variants, fill, pick, variants
from thinkling.world.page import Draft, Page
from thinkling.world.prose import knowledge, paragraph

# What is said about a subject without stating a fact of the table.
REMARKS: dict[str, tuple[Variants, ...]] = {
    "person": (
        variants(
            "{s} is [well known|often seen] in the region, and [many|most] people like {him}.",
            "Many [people|readers] have asked us about {s}.",
        ),
        variants(
            "{He} [gets|wakes] up early and [walks|goes out] in every kind of weather.",
            "{His} friends say that {he} [never gives up|is always ready to help|laughs a lot].",
            "{He} likes [long walks|old maps|warm evenings] but not [waiting|loud streets|cold rooms].",
        ),
        variants(
            "[A picture|A drawing] of {him} hangs in the town hall.",
            "{He} answers every letter [by hand|within a week].",
            "[Children|Neighbors] often [visit {him}|ask {him} for advice], and {he} has time for all of them.",
        ),
        variants(
            "{He} keeps [a dog|two cats|some hens] and [grows|sells] [roses|apples|beans] behind the house.",
            "[On Sundays|In winter] {he} [reads|sleeps] late and [drinks a lot of tea|writes in a small book].",
            "{His} house is the one with the [green|blue|red] door.",
        ),
    ),
    "town": (
        variants(
            "[Few|Not many] towns of this size are as [pretty|lively|quiet] as {s}.",
            "Those who come to {s} by train see the old tower first.",
        ),
        variants(
            "There is a market [every Monday|every Friday|twice a week], and it lasts until noon.",
            "[Most houses|The oldest houses] have [red roofs|small gardens|blue doors].",
            "In summer, [music is played|people dance] in the square.",
        ),
        variants(
            "The town hall has a clock that is [always late|two minutes fast].",
            "A small museum shows [tools|boats|clothes] from the past.",
            "A [narrow|long|steep] street leads from the station to the [church|school|bridge].",
        ),
        variants(
            "Its people are [friendly|proud|calm] and [like to sing|talk slowly|love their gardens].",
            "The [inn|bakery|library] near the gate is open [all day|until late].",
            "In the year of the great storm, [half the roofs|many trees] were lost.",
        ),
    ),
    "team": (
        variants("The {s} are [a young|an old|a popular] team.", "The {s} have [many|loyal] fans."),
        variants(
            "They [train|practice] [three times|twice] a week, even in the rain.",
            "Last year they [won most|lost half] of their games.",
            "Their [coach|trainer] says that [hard work|good food|sleep] is half of the game.",
        ),
        variants(
            "After a game, everybody [eats|sings] together, whether they have won or lost.",
            "[A small|An old] field near the [river|school|mill] is where they began.",
        ),
    ),
    "book": (
        variants("{s} can be found in [every|almost every] library.", "[Children|Readers of all ages] like {s}."),
        variants(
            "The first [page|chapter] is [short|funny|sad], and the last one is [a surprise|even better].",
            "It has [many pictures|short chapters] and is easy to read.",
            "[Some|A few] say that it is too long, but most [finish it in a week|read it twice].",
        ),
        variants(
            "The [cover|first edition] was [blue|red|green], and today it is [hard to find|worth a lot].",
            "It has been [read aloud|played] in [many schools|theaters], and there is even a song about it.",
        ),
    ),
    "school": (
        variants("{s} is [small|large] and has a [garden|library|big hall].", "Lessons at {s} begin at eight."),
        variants(
            "Every pupil learns [to swim|to cook|a song] in the first year.",
            "In spring, the [older|younger] pupils put on a play.",
            "At noon there is [soup|bread and cheese] for everybody, and then they play outside.",
        ),
    ),
    "country": (
        variants("{s} has [high mountains|long rivers|deep forests] and [cold winters|warm summers]."),
        variants(
            "[Its people|The people there] are [friendly|proud of their songs].",
            "[Trains|Boats] go there every day.",
            "Most of its towns are [small|old], and the roads between them are good.",
        ),
    ),
}

HEADINGS = variants(
    "[More about|A note on|Some facts about|What we know about|Read about|The entry for] {s}",
    "{s} [at a glance|in short|and the region]",
)
TITLES = variants(
    "{s} and [others|more]: [people and places|an encyclopedia page|a page of the almanac]",
    "[Encyclopedia|Almanac|Who is who and what is where]: from {s} to {t}",
    "{s}, {t} and [their neighbors|other entries]",
)
ASKING = variants(
    "[Questions and answers|A small quiz|Test yourself|Readers ask]: [people and places|what we have read|the region]"
)
ANSWERS = (
    "Question: {q} Answer: {o}.",
    "{q} The answer is {o}.",
    "{q} It is {o}, as {who} found out.",
    "{who} asks: {q} The right answer: {o}.",
    "{q} {who} says {o}, and that is right.",
)


def slots_of(fact: Fact) -> dict[str, str]:
    he, him, his = fact.subject.pronouns
    return {
        "s": fact.subject.name,
        "he": he,
        "him": him,
        "his": his,
        "He": he.capitalize(),
        "His": his.capitalize(),
    }


def about(rng: random.Random, facts: Sequence[Fact], mentions: list[int]) -> str:
    """One paragraph about the common subject of ``facts``, each stated, with remarks between."""
    slots = slots_of(facts[0])
    opening, *others = REMARKS[facts[0].subject.kind]
    rng.shuffle(others)
    sentences = [fill(rng, opening, slots)] if rng.random() < 0.35 else []
    for fact in facts:
        sentences.append(state(rng, fact, mentions, sentences))
        if others and rng.random() < 0.75:
            sentences.append(fill(rng, others.pop(), slots))
    if others and rng.random() < 0.4:
        sentences.append(fill(rng, others.pop(), slots))
    return " ".join(sentences)


def quiz(rng: random.Random, facts: Sequence[Fact], names: tuple[str, ...], mentions: list[int]) -> list[str]:
    """Each fact's question with its answer, no two lines alike: mentions too."""
    lines: list[str] = []
    for fact in facts:
        forms = [form.format(q=fact.question, o=fact.object, who=pick(rng, names)) for form in ANSWERS]
        told = [
            f"{lead}{fact.question} {state(rng, fact, [])}"
            for lead in ("", "Somebody asked: ", "A reader wants to know: ")
        ]
        fresh = [line for line in rng.sample(forms + told, len(forms) + len(told)) if line not in lines]
        if fresh:
            lines.append(fresh[0])
            mentions.append(fact.index)
    return lines


def article(rng: random.Random, told: Told, names: tuple[str, ...]) -> Page:
    """A page of 7-14 mentions. A fact drawn more than once comes back among the questions, or is stated again."""
    drawn = [told.draw(rng) for _ in range(7 + int(rng.random() * 8))]
    groups: dict[str, list[Fact]] = {}
    again: list[Fact] = []
    for fact in drawn:
        group = groups.setdefault(fact.subject.name, [])
        (again if fact in group and told.may_ask(fact) else group).append(fact)
    draft = Draft()
    order = list(groups.values())
    headed = rng.random() < 0.5
    loose = None
    for group in order:
        if not again and loose is None and len(group) == 1 and told.may_ask(group[0]) and rng.random() < 0.25:
            loose = group[0]
            continue
        if headed:
            draft.head(fill(rng, HEADINGS, {"s": group[0].subject.name}))
        draft.para(about(rng, group, draft.mentions))
        if rng.random() < 0.2:
            draft.para(knowledge(rng, 2) if rng.random() < 0.5 else paragraph(rng, names, 3))
    asked = again + ([loose] if loose else [])
    if asked:
        draft.head(pick(rng, ASKING))
        lines = quiz(rng, asked, names, draft.mentions)
        draft.lines(pick(rng, ("ol", "br", "table")), lines)
    first, last = order[0][0].subject.name, order[-1][0].subject.name
    title = fill(rng, TITLES, {"s": first, "t": last if last != first else "the rest"})
    return draft.done("encyclopedia", title)
