"""Steps 4 and 5: Gopher's repetition and quality rules (Rae et al. 2021, appendix A1), as FineWeb runs them.

Thresholds are the published ones (the paper's table A1 and datatrove's defaults). FineWeb's pipeline
is the reference for what the paper leaves open: characters count the words without their spaces for
duplicate n-grams, and all rules divide by the length of the whole text.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice

from thinkling.data.words import Words

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
MIN_ALPHABETIC_WORDS = 0.8
MIN_STOP_WORDS = 2
STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})

_PARAGRAPH = re.compile(r"\n{2,}")
_ALPHABETIC = re.compile(r"[^\W\d_]")


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
    lines = re.split(r"\n+", text.strip())
    count, characters = duplicates(lines)
    if count / len(lines) > MAX_DUPLICATE_LINES:
        return "duplicate lines"
    if characters / size > MAX_DUPLICATE_LINE_CHARACTERS:
        return "characters in duplicate lines"
    for n, most in MAX_TOP_NGRAM.items():
        if top_ngram_characters(view.tokens, n) / size > most:
            return f"most frequent {n}-gram"
    for n, most in MAX_DUPLICATE_NGRAMS.items():
        repeated = repeated_ngram_characters(view.tokens, n)
        if repeated == 0:
            break  # without a repeated n-gram there is no longer one either
        if repeated / size > most:
            return f"repeated {n}-grams"
    return None


def _ngrams(tokens: list[str], n: int) -> zip[tuple[str, ...]]:
    return zip(*(islice(tokens, i, None) for i in range(n)), strict=False)


def top_ngram_characters(tokens: list[str], n: int) -> int:
    """Characters, single spaces included, in all occurrences of the most frequent n-gram."""
    counts = Counter(_ngrams(tokens, n))
    if not counts:
        return 0
    top, count = counts.most_common(1)[0]
    return len(" ".join(top)) * count


def repeated_ngram_characters(tokens: list[str], n: int) -> int:
    """Characters in n-grams that occurred before; a repeated one is stepped over whole."""
    ngrams = list(_ngrams(tokens, n))
    seen: set[tuple[str, ...]] = set(ngrams)
    if len(seen) == len(ngrams):
        return 0
    seen.clear()
    characters = at = 0
    while at < len(ngrams):
        ngram = ngrams[at]
        if ngram in seen:
            characters += sum(map(len, ngram))
            at += n
        else:
            seen.add(ngram)
            at += 1
    return characters


def check_quality(view: Words) -> str | None:
    """Which quality rule the text breaks, or None."""
    count = len(view.words)
    if count < MIN_WORDS:
        return "too few words"
    if count > MAX_WORDS:
        return "too many words"
    mean = sum(map(len, view.words)) / count
    if mean < MIN_MEAN_LENGTH:
        return "words too short"
    if mean > MAX_MEAN_LENGTH:
        return "words too long"
    if view.text.count("#") / count > MAX_SYMBOLS_PER_WORD:
        return "too many hashes"
    if (view.text.count("...") + view.text.count("…")) / count > MAX_SYMBOLS_PER_WORD:
        return "too many ellipses"
    lines = [line for line in view.lines if line]
    bullets = sum(line.lstrip().startswith(("•", "-")) for line in lines)
    if bullets / len(lines) > MAX_BULLET_LINES:
        return "nearly all lines are bullets"
    if sum(line.rstrip().endswith(("...", "…")) for line in lines) / len(lines) > MAX_ELLIPSIS_LINES:
        return "lines end in an ellipsis"
    if sum(1 for word in view.words if _ALPHABETIC.search(word)) / count < MIN_ALPHABETIC_WORDS:
        return "too few alphabetic words"
    if sum(word in STOP_WORDS for word in view.words) < MIN_STOP_WORDS:
        return "too few stop words"
    return None
