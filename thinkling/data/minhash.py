"""Near-deduplication by MinHash (Broder 1997) with FineWeb's setting: word 5-grams, 14 bands of 8 hashes.

Two documents of similarity s share a band with probability 1 - (1 - s^8)^14: 0.77 at s = 0.75, 0.92
at 0.8. FineWeb keeps one document of each connected cluster; here it is the first in crawl order, and
a removed document's bands count for those that follow, so that chains are cut as there.
Numbers are not normalised away: textbook problems that differ in their numbers are different.
"""

from __future__ import annotations

import hashlib
import string
import struct

from rensa import RMinHash

BANDS, ROWS = 14, 8
SHINGLE_WORDS = 5
_NO_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation + "“”‘’«»–—…•·", " "))

Signature = tuple[int, ...]


def shingles(text: str) -> list[str]:
    """The text's word 5-grams, lower case, punctuation aside; a shorter text is one shingle."""
    words = text.lower().translate(_NO_PUNCTUATION).split()
    if len(words) <= SHINGLE_WORDS:
        return [" ".join(words)]
    return list(map(" ".join, zip(*(words[i:] for i in range(SHINGLE_WORDS)), strict=False)))


def bands(text: str, seed: int) -> Signature:
    """One 64-bit number per band; two texts are near duplicates where any of them is equal."""
    sketch = RMinHash(num_perm=BANDS * ROWS, seed=seed)
    sketch.update(shingles(text))
    slots = struct.pack(f"<{BANDS * ROWS}I", *sketch.digest())
    size = len(slots) // BANDS
    return tuple(_fold(slots[band * size : (band + 1) * size], band) for band in range(BANDS))


def _fold(slots: bytes, band: int) -> int:
    digest = hashlib.blake2b(slots, digest_size=8, salt=band.to_bytes(2, "little")).digest()
    return int.from_bytes(digest, "little")


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
