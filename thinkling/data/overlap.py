"""How much of a problem a model may have read: its word n-grams that occur in the training text.

GPT-3's measure (Brown et al. 2020, arXiv:2005.14165, appendix C) with its n-grams of 13 words, and with 8 words
as in PaLM (Chowdhery et al. 2022, arXiv:2204.02311, section 8), by the words and the rule for short prompts of
`contamination.py`, which drops the documents instead. Exact runs of words are found by a rolling hash over the
training text: only where six words agree is a longer run tried, so that the text is read once, at array speed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thinkling.core.artifact import Artifact
from thinkling.core.errors import UserError
from thinkling.data.contamination import MIN_WORDS, NGRAM_WORDS
from thinkling.data.documents import read_documents
from thinkling.data.shards import is_held_out
from thinkling.data.words import extend

SIZES = (NGRAM_WORDS, 8)
_WORD = re.compile(r"\w+")
_BATCH_WORDS = 1 << 20
_MOST_REMEMBERED = 1 << 18
_FILTER_BITS = 22

Codes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a training text holds of one problem.

    ``shares[n]`` is the share of its n-grams that occur there; a problem of fewer words is one n-gram as long as
    itself, and below six words it says nothing (None). ``longest`` counts the words of the longest run that
    occurs there (0 below six, or below the smallest n), ``run`` is that run.
    """

    words: int
    shares: dict[int, float | None]
    longest: int
    run: str


def overlaps(problems: Sequence[str], texts: Iterable[str], sizes: Sequence[int] = SIZES) -> list[Overlap]:
    """For each problem (its prompt), what the training ``texts`` hold of it. Case and punctuation do not count."""
    if not sizes or min(sizes) < 1:
        raise UserError(f"expected lengths of n-grams of at least one word; got {list(sizes)}")
    index = _Index(problems, min(MIN_WORDS, *sizes))
    for codes in index.read(texts):
        index.mark(codes)
    return index.overlaps(sizes)


def training_texts(data: Path, shards: Path | None = None) -> Iterator[str]:
    """The texts of a data artifact in crawl order; with ``shards``, those that were not held out from training.

    Raises UserError where the shards were not made from this data.
    """
    held_out = 0.0
    if shards is not None:
        made, source = Artifact.open(shards).manifest, Artifact.open(data).manifest
        if made.kind != "shards" or made.parents.get("data") != source.id:
            raise UserError(
                f"{shards}: expected shards that were made from {data} ({source.id}); got {made.kind} made from "
                f"{made.parents}: name the data folder of the same run"
            )
        held_out = float(made.recipe["val_share"])
    return (one.text for one in read_documents(data) if not is_held_out(one.text, held_out))


class _Vocabulary(dict[str, tuple[int, ...]]):
    """Text between white space -> the numbers of its words; 0 for every word that no problem has."""

    def __init__(self, numbers: dict[str, int]) -> None:
        super().__init__()
        self.numbers = numbers

    def __missing__(self, chunk: str) -> tuple[int, ...]:
        made = tuple(self.numbers.get(word, 0) for word in _WORD.findall(chunk.lower()))
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        self[chunk] = made
        return made


@dataclass(slots=True)
class _Table:
    """The hashes of the problems' runs of one length, sorted, and which of them were met."""

    hashes: Codes
    seen: NDArray[np.bool_]


class _Index:
    """The problems' words, one after another, each as 64 bits; ``base`` is the shortest run that is looked for."""

    def __init__(self, problems: Sequence[str], base: int) -> None:
        self.problems = [_WORD.findall(problem.lower()) for problem in problems]
        numbers: dict[str, int] = {}
        for word in chain.from_iterable(self.problems):
            numbers.setdefault(word, len(numbers) + 1)
        digests = (hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest() for word in numbers)
        self.code = np.array([0, *(int.from_bytes(digest, "little") for digest in digests)], np.uint64)
        self.vocabulary = _Vocabulary(numbers)
        self.base = base
        words = chain.from_iterable(self.problems)
        self.codes = self.code[np.fromiter((numbers[word] for word in words), np.int64)]
        # How many words a problem has from each place on.
        self.room = np.array([left for words in self.problems for left in range(len(words), 0, -1)], np.int64)
        self._tables: dict[int, _Table] = {}
        self._filter = np.zeros(1 << _FILTER_BITS, np.bool_)
        self._filter[_slots(self._table(base).hashes)] = True

    def read(self, texts: Iterable[str]) -> Iterator[Codes]:
        """The texts' words as codes, in batches; an unknown word parts two texts."""
        batch: list[NDArray[np.int64]] = []
        size = 0
        look_up = self.vocabulary.__getitem__
        for text in texts:
            batch.append(np.fromiter(chain(chain.from_iterable(map(look_up, text.split())), (0,)), np.int64))
            size += batch[-1].size
            if size >= _BATCH_WORDS:
                yield self.code[np.concatenate(batch)]
                batch, size = [], 0
        if batch:
            yield self.code[np.concatenate(batch)]

    def mark(self, codes: Codes) -> None:
        """Mark every run of the problems that ``codes`` holds, from the shortest length on."""
        size = self.base
        hashes = _hashes(codes, size)
        places = np.flatnonzero(self._filter[_slots(hashes)])
        hashes = hashes[places]
        while places.size:
            table = self._table(size)
            found = np.minimum(np.searchsorted(table.hashes, hashes), table.hashes.size - 1)
            known = table.hashes[found] == hashes if table.hashes.size else np.zeros(places.size, np.bool_)
            table.seen[found[known]] = True
            known &= places + size < codes.size
            places = places[known]
            hashes = extend(hashes[known], codes[places + size])
            size += 1

    def overlaps(self, sizes: Sequence[int]) -> list[Overlap]:
        """The result for each problem."""
        longest = np.zeros(self.codes.size, np.int64)
        seen: dict[int, NDArray[np.bool_]] = {}
        for size in range(self.base, max((*sizes, *self._tables)) + 1):
            met = self._seen(size)
            longest[met] = size
            if size <= max(sizes):
                seen[size] = met
        made = []
        start = 0
        for words in self.problems:
            shares = {n: self._share(seen, start, len(words), n) for n in sizes}
            lengths = longest[start : start + len(words)]
            best = int(lengths.argmax()) if len(words) else 0
            length = int(lengths[best]) if len(words) else 0
            made.append(Overlap(len(words), shares, length, " ".join(words[best : best + length])))
            start += len(words)
        return made

    def _share(self, seen: dict[int, NDArray[np.bool_]], start: int, words: int, n: int) -> float | None:
        size = min(n, words)
        if words < MIN_WORDS or size < self.base:
            return None
        return float(seen[size][start : start + words - size + 1].mean())

    def _table(self, size: int) -> _Table:
        if size not in self._tables:
            whole = self.room[: max(0, self.codes.size - size + 1)] >= size
            hashes = np.unique(_hashes(self.codes, size)[whole])
            self._tables[size] = _Table(hashes, np.zeros(hashes.size, np.bool_))
        return self._tables[size]

    def _seen(self, size: int) -> NDArray[np.bool_]:
        """For each place of the problems, whether the run of ``size`` words from there was met."""
        table = self._table(size)
        met = np.zeros(self.codes.size, np.bool_)
        hashes = _hashes(self.codes, size)
        whole = np.flatnonzero(self.room[: hashes.size] >= size)
        met[whole] = table.seen[np.searchsorted(table.hashes, hashes[whole])]
        return met


def _hashes(codes: Codes, size: int) -> Codes:
    """One hash per run of ``size`` words; equal runs have equal hashes, others do not but for bad luck."""
    count = max(0, codes.size - size + 1)
    hashes = codes[:count]
    for i in range(1, size):
        hashes = extend(hashes, codes[i : i + count])
    return hashes


def _slots(hashes: Codes) -> NDArray[np.int64]:
    """The upper bits of each hash, as an index into the filter."""
    return (hashes >> np.uint64(64 - _FILTER_BITS)).astype(np.int64)
