"""Conversations of two people: greetings, small talk, sums, spellings, coins and facts, a farewell."""

from __future__ import annotations

import random

from thinkling.world import drills
from thinkling.world.facts import Told, state
from thinkling.world.grammar import Variants, cap, fill, pick, variants
from thinkling.world.lessons import LESSONS, SPELLED, spelling
from thinkling.world.numerals import spell
from thinkling.world.page import Draft, Page
from thinkling.world.prose import knowledge
from thinkling.world.scenes import scene

Line = tuple[int, str]  # (who speaks: 0 or 1, what)

GREETINGS = (
    variants(
        "[Hello|Good morning|Good evening|Good day], {B}! [How are you|How do you do] today?",
        "{B}, [nice|good] to see you here at the {place}.",
    ),
    variants(
        "[Hello|Hi], {A}. I am [fine|well|a little tired], thank you. [And you|How about you]?",
        "Oh, {A}! I [did not expect|was hoping] to meet you today.",
        "I am {mood}, because [it is so {weather}|my {kin} is here|I slept well].",
    ),
    variants(
        "I am {mood}. I [have just been|was] at the {place2} with my {kin}.",
        "[Not bad|Very well]. I was [looking for|trying to mend] my {thing} all morning.",
    ),
)
SMALL_TALK: tuple[tuple[Variants, Variants], ...] = (
    (
        variants("What did you [eat|have] today?", "Are you hungry? I [have|made] some {food}."),
        variants(
            "I had {food2} with {food}, and it was [very good|too salty].",
            "Not really, but I [would|could] eat some {food}.",
        ),
    ),
    (
        variants("Did you see the {color} {animal} near the {place}?", "Whose {animal} is that over there?"),
        variants(
            "Yes, it [followed me home|belongs to my {kin}|is there every day].",
            "No. I only saw {a_thing} that somebody [lost|forgot] there.",
        ),
    ),
    (
        variants("Will it be {weather} tomorrow, what do you think?", "This [weather|wind] makes me tired."),
        variants(
            "I hope not, for I want to go to the {place2}.",
            "The birds are flying low, so it will [rain|be {weather}] soon.",
            "Me too. Let us go inside and [make some tea|eat {food}].",
        ),
    ),
    (
        variants("Can you [lend|give] me your {thing}?", "Where did you [get|buy] that {color} {thing}?"),
        variants(
            "Of course, but please bring it back [on Monday|before supper|tomorrow].",
            "It was a gift from my {kin}. I have had it for {number} years.",
        ),
    ),
    (
        variants("How is your {kin}?", "Have you heard from your {kin}?"),
        variants(
            "Very well, and [always|still] at the {place2}.", "I got a letter {number} days ago. All is [well|fine]."
        ),
    ),
)
ASK_SUM = {
    "+": variants("[What is|How much is] {aw} plus {bw}?", "[Can you add|Add] {aw} and {bw}[ for me|], please."),
    "-": variants("[What is|How much is] {aw} minus {bw}?", "If I take {bw} from {aw}, what is left?"),
    "*": variants("[What is|How much is] {aw} times {bw}?", "What do {aw} bags of {bw} make?"),
}
TELL_SUM = variants(
    "That is {rw}, because {eq}.",
    "{Rw}. I am sure, {eq}.",
    "Let me think. {eq}, so it is {rw}.",
    "It makes {rw}, since {eq}.",
)
PRAISE = variants(
    "[Right|Correct|Very good|Well done]! You [are quick|know that well].",
    "[That is right|Yes, exactly]. I [thought|hoped] so.",
    "I [got|have] the same.",
)
ASK_NAME = variants("How do you spell {w}?", "What is the last letter of {w}?", "Tell me how {w} is written.")
ASK_FACT = variants("[Tell me|Do you know]: {q}", "{q}", "I have a question. {q}", "One more thing. {q}")
TELL_FACT = variants(
    "[I know that|Of course|Everybody knows this]. {s}",
    "{s}",
    "[Let me see|I think I know]. {s}",
    "My teacher told us: {s}",
)
ASK_LESSON = variants(
    "[Explain|Show] me {t}, please.",
    "I never understood {t}. [Can you help|Do you know how it works]?",
    "How was that again with {t}?",
)
LESSON_NAMES = {
    "coin": "the coins and their two sides",
    "letters": "how to join last letters",
    "count": "how to count letters in a word",
    "sort": "how to put numbers in order",
    "decimals": "how to compare decimals",
    "equation": "how to find the price of a fruit",
    "chain": "these long problems",
}
FAREWELLS = (
    variants(
        "I [must|have to] go now. [See you soon|Until tomorrow|Take care], {B}.", "It is getting late. Good night, {B}."
    ),
    variants(
        "[Goodbye|See you], {A}! [Greet|Give my best to] your {kin}.",
        "Good night, {A}. It was [nice|good] to talk to you.",
    ),
)
SAYING = (
    '{} said: "{}"',
    '{} answered: "{}"',
    'Then {} said: "{}"',
    '{0}: "{1}"',
    '"{1}" That was {0}.',
    '"{1}" said {0}.',
)
TITLES = variants(
    "{A} and {B} talk [at the {place}|on a {weather} {time}|about this and that]",
    "A [conversation|talk|chat] between {A} and {B}",
)


class Dialogues:
    """Makes conversations about the world's facts and problems."""

    def __init__(self, told: Told, names: tuple[str, ...]) -> None:
        self.told = told
        self.names = names

    def page(self, rng: random.Random) -> Page:
        """A greeting, eight to fourteen exchanges, a farewell; every line begins with its speaker."""
        draft = Draft()
        slots = scene(rng, self.names)
        lines: list[Line] = [(index % 2, fill(rng, group, slots)) for index, group in enumerate(GREETINGS)]
        said: list[str] = []
        for _ in range(8 + int(rng.random() * 7)):
            lines.extend(self._exchange(rng, draft, said, scene(rng, self.names)))
        lines.extend((index, fill(rng, group, slots)) for index, group in enumerate(FAREWELLS))
        speakers = (slots["A"], slots["B"])
        forms: Variants = SAYING if rng.random() < 0.25 else ("{}: {}",)
        spoken = list(dict.fromkeys(pick(rng, forms).format(speakers[who], text) for who, text in lines))
        tag = pick(rng, ("p", "p", "br"))
        if tag == "p":
            for line in spoken:
                draft.para(line)
        else:
            draft.lines(tag, spoken)
        return draft.done("dialogue", cap(fill(rng, TITLES, slots)))

    def _exchange(self, rng: random.Random, draft: Draft, said: list[str], slots: dict[str, str]) -> list[Line]:
        asker = int(rng.random() * 2)
        kind = rng.random()
        if kind < 0.32:
            question, answer = SMALL_TALK[int(rng.random() * len(SMALL_TALK))]
            pair = [fill(rng, question, slots), fill(rng, answer, slots)]
        elif kind < 0.55:
            pair = self._sum(rng)
        elif kind < 0.67:
            word = pick(rng, self.names)
            pair = [fill(rng, ASK_NAME, {"w": word}), spelling(word, pick(rng, SPELLED))]
        elif kind < 0.84:
            pair = self._fact(rng, draft, said)
        elif kind < 0.95:
            topic = pick(rng, tuple(LESSON_NAMES))
            asked = fill(rng, ASK_LESSON, {"t": LESSON_NAMES[topic]})
            pair = [asked, LESSONS[topic](rng, self.names)]
        else:
            pair = ["What have you learned at school?", knowledge(rng, 3)]
        return [((asker + index) % 2, text) for index, text in enumerate(pair)]

    def _fact(self, rng: random.Random, draft: Draft, said: list[str]) -> list[str]:
        """A fact asked and told; ``said`` are the facts' sentences so far, since a line told twice is cut."""
        fact, passed = self.told.draw_to_ask(rng)
        first = len(said)
        for one in (fact, *passed):
            said.append(state(rng, one, draft.mentions, said))
        return [
            fill(rng, ASK_FACT, {"q": fact.question}),
            fill(rng, TELL_FACT, {"s": " ".join(said[first:])}),
        ]

    def _sum(self, rng: random.Random) -> list[str]:
        """A sum asked in words and answered in words and figures, perhaps with its explanation."""
        if rng.random() < 0.3:
            return ["Can you explain a sum to me, step by step?", drills.mixed(rng)]
        op = pick(rng, ("+", "+", "-", "-", "*"))
        a, b = 2 + int(rng.random() * 98), 2 + int(rng.random() * 98)
        if op == "*":
            a, b = 2 + a % 8, 2 + b % 18
        elif op == "-" and a < b:
            a, b = b, a
        result = a + b if op == "+" else a - b if op == "-" else a * b
        slots = {"aw": spell(a), "bw": spell(b), "rw": spell(result), "Rw": cap(spell(result))}
        slots["eq"] = f"{a}{op}{b}={result}"
        pair = [fill(rng, ASK_SUM[op], slots), fill(rng, TELL_SUM, slots)]
        return [*pair, fill(rng, PRAISE, slots)] if rng.random() < 0.5 else pair
