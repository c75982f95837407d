"""Last letters: join the last letters of some names (Wei et al. 2022, section 5).

Level = number of names (2-4; 5-6 out of distribution). The names come from the fixed pool: a model that
reads tokens can only know how a name ends if it has learned that name's spelling.
"""

from __future__ import annotations

import random

from thinkling.core.types import Problem
from thinkling.tasks.answers import answer_kind
from thinkling.tasks.family import Draft, WorkedFamily, Working, pick_wording
from thinkling.tasks.words import FIRST_NAMES

SEEN = (
    'Take the last letters of the words in "{w}" and join them.',
    'What do you get if you join the last letters of "{w}"?',
    "Write down the last letter of each name, in order: {c}.",
    'Concatenate the last letter of every word in "{w}".',
    "{c}: which letters do these names end in? Join them into one word.",
    'Put together the final letters of "{w}".',
)
HELD_OUT = (
    "Look at how each of these names ends and spell the endings as one string: {c}.",
    'If you keep nothing but the last character of each word in "{w}", what remains?',
)


class Letters(WorkedFamily):
    name = "letters"
    kind = answer_kind("letters")
    levels = (2, 3, 4)
    ood_levels = (5, 6)

    def draw(self, rng: random.Random, level: int | None = None, ood: bool = False, unseen: bool = False) -> Draft:
        level = self.pick_level(rng, level, ood)
        names = rng.sample(FIRST_NAMES, level)
        wording, meta = pick_wording(rng, SEEN, HELD_OUT, unseen)
        meta |= {"words": names, "steps": [[name, name[-1]] for name in names]}
        prompt = wording.format(w=" ".join(names), c=", ".join(names))
        return Draft(prompt, "".join(name[-1] for name in names), " ".join(names), level, meta)

    def work(self, problem: Problem, planned: bool, rng: random.Random, slip: bool) -> Working:
        names = [str(name) for name in problem.meta["words"]]
        pairs = [(name, name[-1]) for name in names]
        wrong = _slipped(rng, pairs) if slip else pairs
        if planned:
            text = f"{' '.join(name for name, _ in wrong)}: {'+'.join(letter for _, letter in wrong)}"
        else:
            text = " ".join(f"{name} ends in {letter}." for name, letter in wrong)
        answer = "".join(letter for _, letter in wrong)
        # The check reads the names from the back; after an unseen slip it only looks at the last one.
        looked = [(n, ending) for n, ending in reversed(wrong)][: 1 if slip else None]
        check = f"Check: {', '.join(f'{name} {letter}' for name, letter in looked)}."
        fix = f"Wait, {', '.join(f'{name} {letter}' for name, letter in pairs)}." if slip else ""
        return Working(text, answer, check, fix)


def _slipped(rng: random.Random, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """One name forgotten, or one read for its first or its last-but-one letter."""
    gold = "".join(letter for _, letter in pairs)
    while True:
        at = rng.randrange(len(pairs))
        name = pairs[at][0]
        read = rng.choice((name[-2].lower(), name[0].lower(), ""))
        wrong = [*pairs[:at], *([(name, read)] if read else []), *pairs[at + 1 :]]
        if "".join(letter for _, letter in wrong) != gold:
            return wrong
