"""From a list of merges to one rank per token, and when that loses nothing.

A tokenizer.json lists pairs to merge, in order. tiktoken knows no pairs: it merges any two neighbours whose
joint bytes are a token, lowest rank first. The two agree on a token if its own bytes, merged by all
earlier merges, end in a pair that the file lists for it. For inside any text, bytes whose borders no merge
has crossed are merged as they would be alone; so no context can bring them to another last pair.
"""

from __future__ import annotations

from collections.abc import Iterable

from thinkling.core.errors import UserError

BytePair = tuple[bytes, bytes]


def merge_order(pairs: Iterable[BytePair], vocabulary: Iterable[bytes], whole_pieces: bool, origin: str) -> list[bytes]:
    """Tokens of more than one byte in the order of the merges that make them.

    A token that no merging reaches is left out; it stays decodable, and is never made by encoding. With
    ``whole_pieces`` (the option "ignore_merges") it comes last, for a piece that is a token becomes it
    in any case. Raises UserError, naming ``origin``, for lists that one rank per token cannot follow.
    """
    known = set(vocabulary)
    listed = {pair: index for index, pair in enumerate(pairs)}  # of a pair listed twice, the last counts
    rank: dict[bytes, int] = {}
    made_of: dict[bytes, BytePair] = {}
    unmade: list[BytePair] = []
    for left, right in sorted(listed, key=listed.__getitem__):
        token = left + right
        if token not in known:
            raise UserError(f"{origin}: the merge of {left!r} and {right!r} makes no token of the vocabulary")
        if token not in rank and _meet(left, right, rank, made_of):
            rank[token], made_of[token] = len(rank), (left, right)
        else:
            unmade.append((left, right))
    for left, right in unmade:
        if left + right not in rank and _merge_all(left + right, rank) == [left, right]:
            raise UserError(
                f"{origin}: the merge of {left!r} and {right!r} is listed before those that make them; such a "
                "file cannot be followed exactly"
            )
    order = list(rank)
    if whole_pieces:
        for token in sorted(token for token in known - set(rank) if len(token) > 1):
            if len(_merge_all(token, rank)) == 2:
                raise UserError(f"{origin}: {token!r} is a token, its parts meet, and no merge joins them")
            order.append(token)
    return order


def _meet(left: bytes, right: bytes, rank: dict[bytes, int], made_of: dict[bytes, BytePair]) -> bool:
    """Whether the bytes of ``left + right``, merged by all of ``rank``, end in just these two tokens.

    They do unless some merge crossed the border between them. Go back in time: undo whichever side was
    made last, and see whether the two tokens then at the border would have merged before that.
    """
    if any(len(side) > 1 and side not in rank for side in (left, right)):
        return False
    limit = len(rank)
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


def _merge_all(token: bytes, rank: dict[bytes, int]) -> list[bytes]:
    """The parts that ``token``'s bytes end in when any two whose joint bytes are in ``rank`` merge."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 1:
        ranks = [rank.get(parts[i] + parts[i + 1], len(rank)) for i in range(len(parts) - 1)]
        best = min(ranks)
        if best == len(rank):
            break
        at = ranks.index(best)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts
