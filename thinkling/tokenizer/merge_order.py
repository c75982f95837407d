"""From a list of merges to one rank per token, and why that loses nothing.

A tokenizer.json lists pairs to merge, in order. tiktoken knows no pairs: it merges any two neighbours whose
joint bytes are a token, lowest rank first. Take the bytes of one token alone: they are merged step by step,
so at most once are there just two parts left. Inside any text it is the same, for bytes whose borders no merge
has crossed are merged as they would be alone. So a token is only ever made of that last pair: if the file
lists the pair, its place is the token's rank, and if it does not, the token is never made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from thinkling.core.errors import UserError

BytePair = tuple[bytes, bytes]


def merge_order(pairs: Iterable[BytePair], vocabulary: Iterable[bytes], whole_pieces: bool, origin: str) -> list[bytes]:
    """Tokens of more than one byte in the order of the merges that make them.

    A token that no merging reaches is left out; it stays decodable, and is never made by encoding. With
    ``whole_pieces`` (the option "ignore_merges") it comes last, for a piece that is a token becomes it
    in any case. Raises UserError, naming ``origin``, for lists that one rank per token cannot follow.
    """
    known = {token for token in vocabulary if len(token) > 1}
    listed = {pair: index for index, pair in enumerate(pairs)}  # of a pair listed twice, the last counts
    rank: dict[bytes, int] = {}
    made_of: dict[bytes, BytePair] = {}
    for left, right in sorted(listed, key=listed.__getitem__):
        token = left + right
        if token not in known:
            raise UserError(f"{origin}: the merge of {left!r} and {right!r} makes no token of the vocabulary")
        if token not in rank and _meet(left, right, listed[left, right], rank, made_of):
            rank[token], made_of[token] = listed[left, right], (left, right)
    _settle(known, listed, rank)
    order = sorted(rank, key=rank.__getitem__)
    if whole_pieces:
        for token in sorted(known - set(rank)):
            if len(_last_parts(token, rank)) == 2:
                raise UserError(f"{origin}: {token!r} is a token, its parts meet, and no merge joins them")
            order.append(token)
    return order


def _settle(known: Iterable[bytes], listed: dict[BytePair, int], rank: dict[bytes, int]) -> None:
    """Rank the tokens whose merge is listed before one that makes its parts (Llama 3 has some), in place.

    How a token's bytes merge depends on shorter tokens alone, so the shorter ones are settled first; one
    that contains none whose rank has changed stays as it is.
    """
    changed: set[bytes] = set()
    for token in sorted(known, key=len):
        if token in rank and (not changed or changed.isdisjoint(_inside(token))):
            continue
        parts = _last_parts(token, rank)
        now = listed.get((parts[0], parts[1])) if len(parts) == 2 else None
        if now != rank.get(token):
            changed.add(token)
            if now is None:
                del rank[token]
            else:
                rank[token] = now


def _inside(token: bytes) -> Iterator[bytes]:
    """The stretches of two and more bytes inside a token."""
    for size in range(2, len(token)):
        for start in range(len(token) - size + 1):
            yield token[start : start + size]


def _meet(left: bytes, right: bytes, limit: int, rank: dict[bytes, int], made_of: dict[bytes, BytePair]) -> bool:
    """Whether the bytes of ``left + right``, merged by all ranks below ``limit``, end in just these two tokens.

    They do unless some merge crossed the border between them. Go back in time: undo whichever side was
    made last, and see whether the two tokens then at the border would have merged before that.
    """
    if any(len(side) > 1 and side not in rank for side in (left, right)):
        return False
    while True:
        if rank.get(left + right, limit) < limit:
            return False
        born_left, born_right = rank.get(left, -1), rank.get(right, -1)
        if born_left == born_right == -1:
            return True
        # Equal pairs merge from left to right: a pair at the border comes after one to its left (strictly
        # earlier rank needed to cross), and before one to its right (equal rank is enough).
        if born_left > born_right:
            limit, left = born_left, made_of[left][1]
        else:
            limit, right = born_right + 1, made_of[right][0]


def _last_parts(token: bytes, rank: dict[bytes, int]) -> list[bytes]:
    """The parts that ``token``'s bytes end in, before the last two would merge, when neighbours merge by ``rank``."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        ranks = [rank.get(left + right) for left, right in pairwise(parts)]
        best = min((number for number in ranks if number is not None), default=None)
        if best is None:
            break
        at = ranks.index(best)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts
