"""Near-deduplication by MinHash (Broder 1997) with FineWeb's setting: word 5-grams, 14 bands of 8 hashes.

Two documents of similarity s share a band with probability 1 - (1 - s^8)^14: 0.77 at s = 0.75, 0.92
at 0.8. FineWeb keeps one document of each connected cluster; here it is the first in crawl order, and
a removed document's bands count for those that follow, so that chains are cut as there.
Numbers are not normalised away: textbook problems that differ in their numbers are different.
"""

from __future__ import annotations

import hashlib
import re

from rensa import RMinHash

BANDS, ROWS = 14, 8
SHINGLE_WORDS = 5
_WORD = re.compile(r"\w+")

Signature = tuple[int, ...]


def shingles(text: str) -> set[str]:
    """The text's word 5-grams, lower case, punctuation aside; a shorter text is one shingle."""
    words = _WORD.findall(text.lower())
    last = max(1, len(words) - SHINGLE_WORDS + 1)
    return {" ".join(words[i : i + SHINGLE_WORDS]) for i in range(last)}


def bands(text: str, seed: int) -> Signature:
    """One 64-bit number per band; two texts are near duplicates where any of them is equal."""
    sketch = RMinHash(num_perm=BANDS * ROWS, seed=seed)
    sketch.update(sorted(shingles(text)))
    slots = sketch.digest()
    return tuple(
        int.from_bytes(
            hashlib.blake2b(
                b"".join(slot.to_bytes(4, "little") for slot in slots[band * ROWS : (band + 1) * ROWS]),
                digest_size=8,
                salt=band.to_bytes(2, "little"),
            ).digest(),
            "little",
        )
        for band in range(BANDS)
    )


class NearDuplicates:
    """Remembers the bands of all documents it has seen, in order."""

    def __init__(self) -> None:
        self._first: dict[int, str] = {}

    def add(self, signature: Signature, name: str) -> str | None:
        """The earlier document that this one nearly equals, or None; remembers it either way."""
        original = next((self._first[band] for band in signature if band in self._first), None)
        for band in signature:
            self._first.setdefault(band, original or name)
        return original
