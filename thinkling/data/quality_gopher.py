"""Steps 4 and 5: Gopher's repetition and quality rules (Rae et al. 2021, appendix A1), as FineWeb runs them.

Thresholds are the published ones (the paper's table A1 and datatrove's defaults). FineWeb's pipeline
is the reference for what the paper leaves open: characters count the words without their spaces for
duplicate n-grams, and all rules divide by the length of the whole text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from thinkling.data.words import Words, extend

MAX_DUPLICATE_LINES = 0.30
MAX_DUPLICATE_PARAGRAPHS = 0.30
MAX_DUPLICATE_LINE_CHARACTERS = 0.20
MAX_DUPLICATE_PARAGRAPH_CHARACTERS = 0.20
MAX_TOP_NGRAM = {2: 0.20, 3: 0.18, 4: 0.16}
MAX_DUPLICATE_NGRAMS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}

MIN_WORDS, MAX_WORDS = 50, 100_000
MIN_MEAN_LENGTH, MAX_MEAN_LENGTH = 3, 10
MAX_SYMBOLS_PER_WORD = 0.1
MAX_BULLET_LINES = 0.9
MAX_ELLIPSIS_LINES = 0.3
MIN_LETTER_WORDS = 0.8
MIN_STOP_WORDS = 2

_ZERO = np.zeros(1, np.intp)
_PARAGRAPH = re.compile(r"\n{2,}")


def duplicates(pieces: list[str]) -> tuple[int, int]:
    """How many pieces occurred before in the list, and their characters."""
    seen: set[str] = set()
    count = characters = 0
    for piece in pieces:
        if piece in seen:
            count += 1
            characters += len(piece)
        seen.add(piece)
    return count, characters


def check_repetition(view: Words) -> str | None:
    """Which repetition rule the text breaks, or None."""
    text, size = view.text, len(view.text)
    paragraphs = _PARAGRAPH.split(text.strip())
    count, characters = duplicates(paragraphs)
    if count / len(paragraphs) > MAX_DUPLICATE_PARAGRAPHS:
        return "duplicate paragraphs"
    if characters / size > MAX_DUPLICATE_PARAGRAPH_CHARACTERS:
        return "characters in duplicate paragraphs"
    count, characters = duplicates(view.lines)
    if count / len(view.lines) > MAX_DUPLICATE_LINES:
        return "duplicate lines"
    if characters / size > MAX_DUPLICATE_LINE_CHARACTERS:
        return "characters in duplicate lines"
    for n, most in MAX_TOP_NGRAM.items():
        if top_ngram_characters(view, n, beyond=most * size) / size > most:
            return f"most frequent {n}-gram"
    for n, characters in repeated_ngrams(view):
        if characters / size > MAX_DUPLICATE_NGRAMS[n]:
            return f"repeated {n}-grams"
    return None


def top_ngram_characters(view: Words, n: int, beyond: float = 0.0) -> int:
    """Characters, single spaces included, in all occurrences of the most frequent n-gram (the first such).

    Where that is certainly not more than ``beyond``, an upper bound of it, which is quicker.
    """
    hashes = view.ngrams(n)
    if not len(hashes):
        return 0
    ordered = np.sort(hashes)
    starts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    starts = np.concatenate([_ZERO, starts])
    counts = np.diff(starts, append=len(ordered))
    most = int(counts.max())
    bound = (view.longest * n + n - 1) * most
    if bound <= beyond:
        return bound
    top = ordered[starts[counts == most]]
    first = int(_occurrences(hashes, top)[0])
    return (view.characters(first, n) + n - 1) * most


def repeated_ngrams(view: Words) -> Iterator[tuple[int, int]]:
    """``(n, characters in n-grams that occurred before)`` for each n of the rule, until there are none.

    A repeated n-gram is stepped over whole. Where one repeats, so does the shorter one that it begins
    with: so each n looks only at the places that the last one left.
    """
    first = min(MAX_DUPLICATE_NGRAMS)
    hashes = view.ngrams(first)
    places = np.arange(len(hashes))
    for n in range(first, max(MAX_DUPLICATE_NGRAMS) + 1):
        ordered = np.sort(hashes)
        repeated = ordered[1:][ordered[1:] == ordered[:-1]]
        if not len(repeated):
            return
        keep = _occurrences(hashes, repeated)
        places, hashes = places[keep], hashes[keep]
        yield n, _stepped_characters(view, n, places.tolist(), hashes.tolist())
        inside = places + n < view.tokens
        places = places[inside]
        hashes = extend(hashes[inside], view.codes[places + n])


def _stepped_characters(view: Words, n: int, places: list[int], ngrams: list[int]) -> int:
    seen: set[int] = set()
    characters = free = 0
    for place, ngram in zip(places, ngrams, strict=True):
        if place < free:
            continue
        if ngram in seen:
            characters += view.characters(place, n)
            free = place + n
        seen.add(ngram)
    return characters


def _occurrences(hashes: NDArray[np.uint64], ordered: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Places in ``hashes`` whose value is one of ``ordered`` (not empty)."""
    nearest = np.minimum(np.searchsorted(ordered, hashes), len(ordered) - 1)
    return np.flatnonzero(ordered[nearest] == hashes)


def check_quality(view: Words) -> str | None:
    """Which quality rule the text breaks, or None."""
    count = view.words
    if count < MIN_WORDS:
        return "too few words"
    if count > MAX_WORDS:
        return "too many words"
    mean = view.word_characters / count
    if mean < MIN_MEAN_LENGTH:
        return "words too short"
    if mean > MAX_MEAN_LENGTH:
        return "words too long"
    if view.text.count("#") / count > MAX_SYMBOLS_PER_WORD:
        return "too many hashes"
    if (view.text.count("...") + view.text.count("…")) / count > MAX_SYMBOLS_PER_WORD:
        return "too many ellipses"
    lines = len(view.lines)
    if sum(line.lstrip().startswith(("•", "-")) for line in view.lines) / lines > MAX_BULLET_LINES:
        return "nearly all lines are bullets"
    if sum(line.rstrip().endswith(("...", "…")) for line in view.lines) / lines > MAX_ELLIPSIS_LINES:
        return "lines end in an ellipsis"
    if view.lettered_words / count < MIN_LETTER_WORDS:
        return "too few alphabetic words"
    if view.stop_words < MIN_STOP_WORDS:
        return "too few stop words"
    return None
