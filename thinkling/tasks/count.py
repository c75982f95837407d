"""Counting letters: how often a letter occurs in a word, for a reader who sees tokens and not letters.

Level: 1 a word of the pool, 2 two of them written as one ("riverbarn"), 3 (out of distribution) three.
The work spells the word and counts at every hit: "s t r1 a w b e r2 r3 y".
"""

from __future__ import annotations

import random

from thinkling.core.types import Problem
from thinkling.tasks.family import Draft, WorkedFamily, Working, pick_wording
from thinkling.tasks.words import FIRST_NAMES, NOUNS

SEEN = (
    'How many times does the letter {l} occur in "{w}"?',
    'Count the letter {l} in the word "{w}".',
    'How many {l}\'s are there in "{w}"?',
    'How often is {l} written in "{w}"?',
    'The word is "{w}". How many of its letters are {l}?',
)
HELD_OUT = (
    'Spelling "{w}", how many times would you say {l}?',
    'If every {l} is struck out of "{w}", how many letters go?',
)
_WORDS = tuple(dict.fromkeys(word.lower() for word in (*NOUNS, *FIRST_NAMES) if len(word) <= 9))


class Count(WorkedFamily):
    name = "count"
    levels = (1, 2)
    ood_levels = (3,)

    def draw(self, rng: random.Random, level: int | None = None, ood: bool = False, unseen: bool = False) -> Draft:
        if level is None and not ood:
            level = rng.choices(self.levels, (1, 3))[0]
        level = self.pick_level(rng, level, ood)
        word = "".join(rng.sample(_WORDS, level))
        # Letters that occur twice or more are the hard ones; now and then a letter that is not there.
        twice = sorted({letter for letter in word if word.count(letter) > 1})
        kind = rng.random()
        if kind < 0.6 and twice:
            letter = rng.choice(twice)
        elif kind < 0.9:
            letter = rng.choice(word)
        else:
            letter = rng.choice("abcdefghiklmnoprstuwy")
        wording, meta = pick_wording(rng, SEEN, HELD_OUT, unseen)
        hits = [at for at, item in enumerate(word) if item == letter]
        meta |= {"word": word, "letter": letter, "steps": [[at, n] for n, at in enumerate(hits, 1)]}
        prompt = wording.format(l=letter, w=word)
        return Draft(prompt, str(len(hits)), f"{word} {letter}", level, meta)

    def work(self, problem: Problem, planned: bool, rng: random.Random, slip: bool) -> Working:
        word, letter = str(problem.meta["word"]), str(problem.meta["letter"])
        hits = [at for at, item in enumerate(word) if item == letter]
        seen = _slipped(rng, word, hits) if slip else hits
        text = _places(word, letter, seen) if planned else _spelled(word, seen)
        reading = [len(word) - 1 - at for at in reversed(seen)]
        check = "Check: " + (f"{len(seen)}." if slip else f"{_spelled(word[::-1], reading)}.")
        return Working(text, str(len(seen)), check, f"Wait, {_spelled(word, hits)}." if slip else "")


def _spelled(word: str, hits: list[int]) -> str:
    """The letters one by one, with the running count at every hit."""
    marks = {at: str(n) for n, at in enumerate(hits, 1)}
    return " ".join(letter + marks.get(at, "") for at, letter in enumerate(word))


def _places(word: str, letter: str, hits: list[int]) -> str:
    """The word spelled, then a one for every hit: "s t r a w b e r r y: 1+1+1=3"."""
    ones = f"{'+'.join('1' for _ in hits)}={len(hits)}" if len(hits) > 1 else f"{len(hits)}"
    return f"{' '.join(word)}, {letter}: {ones}"


def _slipped(rng: random.Random, word: str, hits: list[int]) -> list[int]:
    """One hit overlooked, or (where there is none) one letter counted that is another."""
    if hits and rng.random() < 0.8:
        out = rng.choice(hits)
        return [at for at in hits if at != out]
    others = [at for at in range(len(word)) if at not in hits]
    return sorted([*hits, rng.choice(others)])
