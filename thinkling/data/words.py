"""A text's lines and words, counted once and read by every quality rule."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from itertools import chain

import numpy as np
from numpy.typing import NDArray

_TOKEN = re.compile(r"\w+(?:['’.-]\w+)*|[^\w\s]+")
_WORD = re.compile(r"\w")
# Odd 64-bit multiplier (the golden ratio's) of the polynomial hash that stands for an n-gram.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MOST_REMEMBERED = 1 << 17


class _Chunks(dict[str, tuple[str, ...]]):
    """Text between white space -> its tokens, remembered, since a language repeats itself."""

    def __missing__(self, chunk: str) -> tuple[str, ...]:
        tokens = tuple(_TOKEN.findall(chunk))
        if len(self) < _MOST_REMEMBERED:
            self[chunk] = tokens
        return tokens


class _Codes(dict[str, int]):
    """Token -> 64 bits that stand for it in every text."""

    def __missing__(self, token: str) -> int:
        digest = hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        code = int.from_bytes(digest, "little")
        if len(self) < _MOST_REMEMBERED:
            self[token] = code
        return code


class _IsWord(dict[str, bool]):
    """Token -> whether it is a word rather than punctuation."""

    def __missing__(self, token: str) -> bool:
        is_word = _WORD.match(token) is not None
        if len(self) < _MOST_REMEMBERED:
            self[token] = is_word
        return is_word


_chunks, _codes, _is_word = _Chunks(), _Codes(), _IsWord()


class Words:
    """``tokens`` are words and runs of punctuation, as a word tokenizer gives them.

    ``words``: how often each distinct token that is a word occurs; ``codes``: 64 bits per token;
    ``longest``: characters of the longest token.
    """

    __slots__ = ("_ends", "codes", "lines", "longest", "text", "tokens", "words")

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = [line for line in text.split("\n") if line]
        self.tokens: list[str] = list(chain.from_iterable(map(_chunks.__getitem__, text.split())))
        size = len(self.tokens)
        self.words = {token: count for token, count in Counter(self.tokens).items() if _is_word[token]}
        self.codes: NDArray[np.uint64] = np.fromiter(map(_codes.__getitem__, self.tokens), np.uint64, size)
        lengths = np.fromiter(map(len, self.tokens), np.int64, size)
        self.longest = int(lengths.max(initial=0))
        self._ends: NDArray[np.int64] = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])

    def ngrams(self, n: int) -> NDArray[np.uint64]:
        """One 64-bit hash per run of ``n`` tokens: equal for equal runs, else different but for bad luck."""
        count = max(0, len(self.tokens) - n + 1)
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
