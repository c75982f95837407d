"""Forum threads: somebody asks, somebody errs, somebody puts it right; and small talk."""

from __future__ import annotations

import random
from collections.abc import Mapping

from thinkling.tasks.family import Family
from thinkling.world import drills
from thinkling.world.dilution import dilute
from thinkling.world.encyclopedia import about
from thinkling.world.facts import Told, other_object, state
from thinkling.world.grammar import Variants, fill, pick, variants
from thinkling.world.page import Draft, Page
from thinkling.world.prose import knowledge, paragraph
from thinkling.world.relations import RELATIONS
from thinkling.world.scenes import scene
from thinkling.world.worked import spoken, train_problem

# What is asked about everyday things, and what people answer; {A} asks, {B} answers.
TOPICS: tuple[tuple[str, Variants, tuple[Variants, ...]], ...] = (
    (
        "What to do with old {food}",
        variants(
            "I have [a lot of|too much] {food} at home, and it is [getting old|not so fresh]. What can I do with it?",
            "My {kin} bought far too much {food}. Does anyone [have an idea|know a good recipe]?",
        ),
        (
            variants(
                "You can [cook|make] a soup with {food2} and put the {food} in at the end.",
                "Give it to the {animal}. Mine [loves|is always happy about] {food}.",
            ),
            variants(
                "[Cut|Break] it into small pieces and dry it [in the oven|in the sun].",
                "I would share it with the neighbors. They [brought|gave] us {food2} in return.",
            ),
        ),
    ),
    (
        "My {animal} will not eat",
        variants(
            "Since {time} my {animal} [does not want to eat|leaves all its food]. Should I worry?",
            "Our {animal} is {mood}, but it [eats nothing|only drinks water]. What would you do?",
        ),
        (
            variants(
                "Wait one more day. When it was {weather}, ours [did the same|ate nothing], and then all was well.",
                "[Offer|Try] a little {food}, and put the bowl in a quiet place.",
            ),
            variants(
                "Please ask a doctor for animals. It is better to ask once too often.",
                "Has anything changed at home? A new {thing} [was enough to scare|once scared] my {animal}.",
            ),
        ),
    ),
    (
        "How to mend {a_thing}",
        variants(
            "The {thing} of my {kin} is broken. [Is it worth the work|Can it be mended], or should I buy a new one?",
            "I dropped my {thing} at the {place}, and now it is in {number} pieces. Any advice?",
        ),
        (
            variants(
                "Glue will do. [Clean|Dry] the pieces first, and then wait for {number} hours.",
                "A man near the {place2} repairs such things. He [asked for|wanted] very little money.",
            ),
            variants(
                "I had the same {thing} and kept it [for years|until last winter]. Old things are often better.",
                "Buy [a new one|another], and keep the old {thing} for its parts.",
            ),
        ),
    ),
    (
        "A good place for a walk",
        variants(
            "We will be at the {place} on a {weather} {time}. Where can one [walk|go] from there?",
            "Which [walk|way] do you like best, if there is only time for {number} miles?",
        ),
        (
            variants(
                "Go from the {place} to the {place2}. It takes {number} hours, and there is an inn on the way.",
                "Along the river, of course. [Watch out for|You will surely meet] {a_color} {animal}.",
            ),
            variants(
                "When it is {weather}, I would stay at home and [read|bake]. But the {place2} is nice, too.",
                "The old road behind the {place2} is [quiet|beautiful], and nobody [drives|shouts] there.",
            ),
        ),
    ),
    (
        "Which {thing} should I buy",
        variants(
            "I need {a_thing} for my {kin}, who turns {number} soon. Which one would you [take|choose]?",
            "There are so many kinds of {thing}. Is the {color} one [any good|better than the others]?",
        ),
        (
            variants(
                "Take the [simple|cheap] one. {A_thing} does not need to be {color}.",
                "Mine is from the market near the {place2} and has lasted for {number} years.",
            ),
            variants(
                "Do not buy {a_thing} at all. Make one [together|with your own hands], that is a better gift.",
                "Before you buy it, hold it in your hand. It must not be too heavy.",
            ),
        ),
    ),
)
WROTE = variants(
    "{who} [wrote|replied|answered|posted|said]: {text}",
    "{who} [on Monday|on Tuesday|on Friday|on Sunday|yesterday|last week]: {text}",
    "Reply from {who}: {text}",
    "{text} ({who})",
)
ASKS = variants(
    "[Can|Could] [somebody|anyone] help me with this problem? {q}",
    "[Hello everyone|Hello|Dear all], I am stuck with this: {q} [Thank you|Thanks] for your help.",
    "My {kin} asked me this, and I do not know the answer: {q}",
    "{q} I have tried it twice and got two different answers.",
)
DOUBTS = variants(
    "[I do not think that this is right|There is a mistake in that|Please look again, that is not right]. {s}",
    "Sorry, but this is wrong. [Here is how I did it|Look]: {s}",
    "I got something else. {s}",
)
SURE = variants("[I can help|That one is easy|Let me try]: {s}", "[Here you are|My solution]: {s}", "{s}")
THANKS = variants(
    "[Thank you|Thanks] very much, {to}! Now I [understand it|see it].",
    "Oh, I see. [Thank you|Thanks], {to}, [that was clear|that is what I needed].",
    "{to} is right, I checked it [twice|again]. [Thank you|Thanks] all.",
)
WONDERS = variants(
    "[Does anyone know|Can somebody tell me|I would like to know]: {q}",
    "{q} I could not find it [in any book|anywhere].",
    "We had a quiz last night, and nobody knew this: {q}",
)
KNOWS = variants(
    "[I know this|That I know|It is in the almanac]. {s}",
    "No, {s}",
    "[My {kin} told me|I have read that] once. {s}",
    "{s}",
)


class Forum:
    """Makes threads from the task families and the facts."""

    def __init__(self, families: Mapping[str, Family], told: Told, names: tuple[str, ...]) -> None:
        self.families = tuple(families.values())
        self.told = told
        self.names = names

    def page(self, rng: random.Random) -> Page:
        """Two to four threads of one board."""
        draft = Draft()
        kinds = (self._problem, self._problem, self._fact, self._fact, self._daily)
        for _ in range(2 + int(rng.random() * 3)):
            kinds[int(rng.random() * len(kinds))](rng, draft)
        self._daily(rng, draft)
        dilute(rng, draft, self.told, self.names)
        board = pick(rng, ("Questions and answers", "The board of helpful people", "Ask the others", "Open discussion"))
        return draft.done("forum", f"{board}, page {1 + int(rng.random() * 300)}")

    def _post(self, rng: random.Random, draft: Draft, who: str, text: str) -> None:
        draft.para(fill(rng, WROTE, {"who": who, "text": text}))

    def _problem(self, rng: random.Random, draft: Draft) -> None:
        """A problem, sometimes with a slip that the next post corrects."""
        of = self.families[int(rng.random() * len(self.families))]
        problem = train_problem(rng, of)
        asker, helper, critic = rng.sample(self.names, 3)
        slots = scene(rng, self.names)
        self._post(rng, draft, asker, fill(rng, ASKS, slots | {"q": problem.prompt}))
        if rng.random() < 0.35:
            wrong = of.solve(problem, "steps", rng, True)
            self._post(rng, draft, helper, spoken(wrong))
            right = spoken(of.solve(problem, pick(rng, ("steps", "check")), rng))
            self._post(rng, draft, critic, fill(rng, DOUBTS, {"s": right}))
            thanked = critic
        else:
            right = spoken(of.solve(problem, pick(rng, ("steps", "equation", "check", "direct")), rng))
            self._post(rng, draft, helper, fill(rng, SURE, {"s": right}))
            thanked = helper
        if rng.random() < 0.7:
            self._post(rng, draft, asker, fill(rng, THANKS, {"to": thanked}))
        draft.para(paragraph(rng, self.names, 4))

    def _fact(self, rng: random.Random, draft: Draft) -> None:
        """A question about the world, sometimes with a wrong guess before the answer."""
        fact, passed = self.told.draw_to_ask(rng)
        asker, helper, critic = rng.sample(self.names, 3)
        slots = scene(rng, self.names)
        self._post(rng, draft, asker, fill(rng, WONDERS, {"q": fact.question}))
        if rng.random() < 0.4:
            rival = other_object(rng, fact, self.told)
            guess = RELATIONS[fact.relation].doubt.format(o=rival.object, a=rival.slots()["a"])
            self._post(rng, draft, critic, guess)
        self._post(rng, draft, helper, fill(rng, KNOWS, slots | {"s": state(rng, fact, draft.mentions)}))
        if rng.random() < 0.5:
            passed.append(self.told.draw(rng))
        for other in passed:
            self._post(rng, draft, critic, about(rng, [other], draft.mentions))
        if rng.random() < 0.6:
            self._post(rng, draft, asker, fill(rng, THANKS, {"to": helper}))

    def _daily(self, rng: random.Random, draft: Draft) -> None:
        """Everyday advice."""
        title, question, answers = TOPICS[int(rng.random() * len(TOPICS))]
        slots = scene(rng, self.names)
        if rng.random() < 0.5:
            draft.head(f"{title.format_map(slots)}, asked by {slots['A']}")
        self._post(rng, draft, slots["A"], fill(rng, question, slots))
        for group in answers:
            self._post(rng, draft, pick(rng, self.names), fill(rng, group, slots))
        if rng.random() < 0.5:
            text = knowledge(rng, 2) if rng.random() < 0.5 else drills.mixed(rng)
            self._post(rng, draft, slots["B"], text)
        self._post(rng, draft, slots["A"], fill(rng, THANKS, {"to": slots["B"]}))
