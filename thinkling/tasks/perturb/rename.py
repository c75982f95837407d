"""Renamed: other people in the same story. Nothing that matters changes, so a drop is a memory of the names.

A name is replaced by one that goes with the same pronoun, everywhere. Only for last letters are the names the
content: there the answer is computed anew.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from thinkling.core.types import Problem
from thinkling.tasks.perturb import names as common
from thinkling.tasks.perturb.change import Change, Refused
from thinkling.tasks.words import FIRST_NAMES, MEN, WOMEN, pronoun

_WORD = re.compile(r"[^\W\d_]+")
_ABOUT_SPELLING = re.compile(
    r"\b(?:letters?|spell\w*|alphabet\w*|vowels?|consonants?|initials?|rhymes?|syllables?|name[sd]?)\b", re.IGNORECASE
)
_HE, _SHE = re.compile(r"\b(?:he|him|his|himself)\b", re.IGNORECASE), re.compile(r"\b(?:she|hers?|herself)\b", re.I)
_COMMON_WOMEN, _COMMON_MEN = frozenset(common.WOMEN), frozenset(common.MEN)
_COMMON = _COMMON_WOMEN | _COMMON_MEN
_POOL = frozenset(FIRST_NAMES)
_TITLES = frozenset({"Mr", "Mrs", "Ms", "Dr", "St", "Mt", "Ft", "Prof"})
_JOINED = re.compile(r"[ -][A-Z]")


def rename(problem: Problem, rng: random.Random) -> Change:
    """A built-in problem with other names of the pool. Refused where nobody is named."""
    found = [word for word in dict.fromkeys(_WORD.findall(problem.prompt)) if word in _POOL]
    if not found:
        raise Refused("nobody is named")
    new = _others(found, WOMEN, MEN, {name for name in found if pronoun(name) == "she"}, rng)
    meta = _replaced(problem.meta, new)
    answer = problem.answer
    if problem.family == "letters":
        meta["steps"] = [[name, name[-1]] for name in meta["words"]]
        answer = "".join(name[-1] for name in meta["words"])
    changed = _replaced(problem.prompt, new)
    return Change(changed, answer, problem.level, meta, new_gold=problem.family == "letters")


def rename_text(problem: Problem, rng: random.Random) -> Change:
    """A foreign problem with other common first names. Refused where it is not sure that these are names."""
    prompt = problem.prompt
    if _ABOUT_SPELLING.search(prompt):
        raise Refused("the problem may be about the names themselves")
    found = sure_names(prompt)
    if not found:
        raise Refused("no word that is surely a first name")
    shorts = [name[:3] for name in found]
    if len(set(shorts)) < len(shorts):
        raise Refused("two names may be one person's")
    women = {name for name in found if name in _COMMON_WOMEN}
    wrong = _HE if women else _SHE
    if len(found) == 1 and wrong.search(prompt) and not (_SHE if women else _HE).search(prompt):
        raise Refused("the pronouns do not go with the name")
    if any(re.search(rf"\b{name}\b", problem.answer, re.IGNORECASE) for name in found):
        raise Refused("the answer names the person")
    present = set(_WORD.findall(prompt))
    pools = [[name for name in pool if name not in present] for pool in (common.WOMEN, common.MEN)]
    new = _others(found, pools[0], pools[1], women, rng)
    return Change(_replaced(prompt, new), problem.answer, problem.level, _replaced(problem.meta, new))


def sure_names(text: str) -> list[str]:
    """The common first names in ``text`` that stand alone wherever they stand, in order.

    A name that is somewhere next to another capitalized word ("St. John", "Jane Austen") is not sure.
    """
    found: dict[str, bool] = {}
    for match in _WORD.finditer(text):
        if match.group() in _COMMON:
            alone = not _joined_to_the_left(text[: match.start()]) and not _JOINED.match(text, match.end())
            found[match.group()] = found.get(match.group(), True) and alone
    return [name for name, sure in found.items() if sure]


def _joined_to_the_left(before: str) -> bool:
    """Whether a name after this text goes with the word before it, one that is capitalized within a sentence."""
    word = re.search(r"(?P<word>[^\W\d_]+)(?P<dot>\.?)[ -]$", before)
    if word is None or word["word"][0].islower():
        return False
    if word["dot"]:
        return word["word"] in _TITLES or len(word["word"]) == 1
    return not re.search(r"(?:^|[.!?:,;][\"\u201d]?\s+|[\"\u201c(]|\n)$", before[: word.start()])


def _others(
    found: Sequence[str], women: Sequence[str], men: Sequence[str], she: set[str], rng: random.Random
) -> dict[str, str]:
    """Old name -> new name: of the same pronoun, all different, none of the old ones."""
    pools = {True: [n for n in women if n not in found], False: [n for n in men if n not in found]}
    new: dict[str, str] = {}
    for name in found:
        new[name] = rng.choice([other for other in pools[name in she] if other not in new.values()])
    return new


def _replaced(value: Any, new: Mapping[str, str]) -> Any:
    """``value`` (text, or lists and tables of it) with the names replaced as whole words."""
    if isinstance(value, str):
        return _WORD.sub(lambda match: new.get(match.group(), match.group()), value)
    if isinstance(value, Mapping):
        return {key: _replaced(item, new) for key, item in value.items()}
    return [_replaced(item, new) for item in value] if isinstance(value, list | tuple) else value
