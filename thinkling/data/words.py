"""A text's lines and words, counted once and read by every quality rule."""

from __future__ import annotations

import hashlib
import re
from itertools import chain

import numpy as np
from numpy.typing import NDArray

_TOKEN = re.compile(r"\w+(?:['’.-]\w+)*|[^\w\s]+")
_WORD = re.compile(r"\w")
_LETTER = re.compile(r"[^\W\d_]")
# Gopher's list: two of them and a text is taken for prose.
STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
# Odd 64-bit multiplier (the golden ratio's) of the polynomial hash that stands for an n-gram.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MOST_REMEMBERED = 1 << 18


class _Lexicon(dict[str, tuple[int, ...]]):
    """Text between white space -> the numbers of its tokens, remembered, since a language repeats itself.

    What a rule may ask about a token stands in the arrays, at its number; ``code`` is 64 bits that
    depend on nothing but the token.
    """

    def __init__(self) -> None:
        super().__init__()
        self._numbers: dict[str, int] = {}
        self.code = np.zeros(1024, np.uint64)
        self.length = np.zeros(1024, np.int64)
        self.is_word, self.has_letter, self.is_stop = (np.zeros(1024, np.bool_) for _ in range(3))

    def __missing__(self, chunk: str) -> tuple[int, ...]:
        numbers = self[chunk] = tuple(map(self._number, _TOKEN.findall(chunk)))
        return numbers

    def _number(self, token: str) -> int:
        number = self._numbers.setdefault(token, len(self._numbers))
        if number == len(self._numbers) - 1:
            if number == len(self.code):
                for name in ("code", "length", "is_word", "has_letter", "is_stop"):
                    setattr(self, name, np.concatenate([getattr(self, name), np.zeros_like(getattr(self, name))]))
            digest = hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            self.code[number] = int.from_bytes(digest, "little")
            self.length[number] = len(token)
            self.is_word[number] = bool(_WORD.match(token))
            self.has_letter[number] = bool(_LETTER.search(token))
            self.is_stop[number] = token in STOP_WORDS
        return number

    @property
    def full(self) -> bool:
        return len(self) > _MOST_REMEMBERED


_lexicon = _Lexicon()


class Words:
    """Tokens are words and runs of punctuation, as a word tokenizer gives them.

    ``tokens``: how many; ``words``, ``word_characters``, ``lettered_words``, ``stop_words``: how many
    of them are words, their characters, words with a letter in them, stop words; ``longest``:
    characters of the longest token; ``codes``: 64 bits per token, equal for equal ones.
    """

    __slots__ = (
        *("codes", "lettered_words", "lines", "longest", "stop_words", "text", "tokens"),
        *("_ends", "word_characters", "words"),
    )

    def __init__(self, text: str) -> None:
        global _lexicon
        if _lexicon.full:
            _lexicon = _Lexicon()
        self.text = text
        self.lines = [line for line in text.split("\n") if line]
        numbers = np.fromiter(chain.from_iterable(map(_lexicon.__getitem__, text.split())), np.int64)
        lengths, is_word = _lexicon.length[numbers], _lexicon.is_word[numbers]
        self.codes: NDArray[np.uint64] = _lexicon.code[numbers]
        self.tokens = len(numbers)
        self.words = int(is_word.sum())
        self.word_characters = int(lengths[is_word].sum())
        self.lettered_words = int(_lexicon.has_letter[numbers][is_word].sum())
        self.stop_words = int(_lexicon.is_stop[numbers].sum())
        self.longest = int(lengths.max(initial=0))
        self._ends: NDArray[np.int64] = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])

    def ngrams(self, n: int) -> NDArray[np.uint64]:
        """One 64-bit hash per run of ``n`` tokens: equal for equal runs, else different but for bad luck."""
        count = max(0, self.tokens - n + 1)
        hashes = self.codes[:count]
        for i in range(1, n):
            hashes = extend(hashes, self.codes[i : i + count])
        return hashes

    def characters(self, start: int, n: int) -> int:
        """Characters in the tokens from ``start`` to ``start + n``, without the spaces between them."""
        return int(self._ends[start + n] - self._ends[start])


def extend(hashes: NDArray[np.uint64], codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hashes of n-grams that are one token longer: ``codes`` are the tokens that follow."""
    return hashes * _MULTIPLIER + codes
