"""Step 9, on request: drop documents that contain evaluation prompts.

The rule of GPT-3 (Brown et al. 2020, appendix C): a document is contaminated if it shares a run of 13
words with a prompt, lower case, punctuation aside. A shorter prompt must occur whole; below
``MIN_WORDS`` words it says nothing and is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

NGRAM_WORDS = 13
MIN_WORDS = 6
_WORD = re.compile(r"\w+")


class Contamination:
    """An index of the word n-grams in evaluation prompts."""

    def __init__(self, prompts: Iterable[str]) -> None:
        grams: dict[int, set[tuple[str, ...]]] = {}
        for prompt in prompts:
            words = _WORD.findall(prompt.lower())
            size = min(NGRAM_WORDS, len(words))
            if size >= MIN_WORDS:
                grams.setdefault(size, set()).update(_ngrams(words, size))
        self._grams = {size: frozenset(grams[size]) for size in sorted(grams)}

    def __len__(self) -> int:
        return sum(map(len, self._grams.values()))

    def find(self, text: str) -> str | None:
        """The first run of words that the text shares with a prompt, or None."""
        words = _WORD.findall(text.lower())
        for size, known in self._grams.items():
            for gram in _ngrams(words, size):
                if gram in known:
                    return " ".join(gram)
        return None


def _ngrams(words: list[str], n: int) -> zip[tuple[str, ...]]:
    return zip(*(islice(words, i, None) for i in range(n)), strict=False)
