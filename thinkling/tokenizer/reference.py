"""Byte-pair encoding written to be read: what ``train`` and ``bpe`` do fast, in its plainest form.

Training (Sennrich et al. 2016, arXiv:1508.07909; on bytes: GPT-2, Radford et al. 2019): start from the
256 bytes; again and again, find the pair of neighbouring tokens that occurs most often and give it
the next free id. Encoding replays those merges, earliest first.

Where two pairs occur equally often, the one with the smaller left id is merged, then the one with the
smaller right id. rustbpe decides the same way, so both trainers give the same merges, ties included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import regex

from thinkling.tokenizer.split import DIGIT_BY_DIGIT, valid_unicode

Pair = tuple[int, int]


def train(texts: Iterable[str], merges: int, pattern: str = DIGIT_BY_DIGIT) -> list[Pair]:
    """Learn at most ``merges`` merges; merge i makes token 256 + i. Fewer come back when pairs run out.

    Every merge recounts the whole corpus: fine for a few hundred kilobytes, and easy to trust.
    """
    # Equal pieces are merged alike: keep each once, with how often it occurs.
    pieces = Counter(piece for text in texts for piece in split(text, pattern))
    words = [(list(piece.encode()), count) for piece, count in pieces.items()]
    learned: list[Pair] = []
    while len(learned) < merges:
        pairs: Counter[Pair] = Counter()
        for word, count in words:
            for pair in zip(word, word[1:], strict=False):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        words = [(merge(word, best, 256 + len(learned)), count) for word, count in words]
        learned.append(best)
    return learned


def encode(text: str, merges: Sequence[Pair], pattern: str = DIGIT_BY_DIGIT) -> list[int]:
    """Token ids of ``text``. Each piece is encoded alone, so ids of one piece never depend on another."""
    rank = {pair: index for index, pair in enumerate(merges)}
    return [token for piece in split(text, pattern) for token in encode_piece(piece.encode(), rank)]


def encode_piece(piece: bytes, rank: dict[Pair, int]) -> list[int]:
    """Merge the bytes of one piece, the earliest learned pair first, until none is left to merge."""
    tokens = list(piece)
    while len(tokens) > 1:
        best = min(zip(tokens, tokens[1:], strict=False), key=lambda pair: rank.get(pair, len(rank)))
        if best not in rank:
            break
        tokens = merge(tokens, best, 256 + rank[best])
    return tokens


def decode(ids: Sequence[int], merges: Sequence[Pair]) -> bytes:
    """The bytes that ``ids`` stand for: undo every merge."""
    made_of = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        made_of.append(made_of[left] + made_of[right])
    return b"".join(made_of[token] for token in ids)


def split(text: str, pattern: str = DIGIT_BY_DIGIT) -> list[str]:
    """Cut ``text`` into the pieces that BPE works within; together they are the text again.

    Code points that Unicode assigned after version 16 may be cut differently from the fast path,
    whose regex engine was built with an earlier table than the ``regex`` package; they decode alike.
    """
    return regex.findall(pattern, valid_unicode(text))


def merge(tokens: list[int], pair: Pair, new: int) -> list[int]:
    """Replace ``pair`` by ``new`` wherever it stands in ``tokens``, left to right."""
    merged: list[int] = []
    position = 0
    while position < len(tokens):
        if tuple(tokens[position : position + 2]) == pair:
            merged.append(new)
            position += 2
        else:
            merged.append(tokens[position])
            position += 1
    return merged
