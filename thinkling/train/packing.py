"""Documents into windows of one length, several to a window, none seeing another.

Answers to one question share its computation: the question is placed once in a window, as a trunk, and
every answer continues it without seeing the others.

Shape suffixes: B windows, T time.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Sequenced
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from thinkling.model.transformer import Packed


@dataclass(frozen=True, slots=True)
class Sequence:
    """Tokens of one document; ``learn[i]`` tells whether token i is to be predicted; ``owner`` is the caller's."""

    ids: list[int]
    learn: list[bool]
    owner: int = 0


@dataclass(frozen=True, slots=True)
class Windows:
    """A batch: what the model reads, and the places whose next token it learns.

    ``row_N`` indexes the flattened [B·T] positions that predict; ``target_N`` what each should say;
    ``source_N2`` (the sequence's owner, index of the predicted token in it) where it came from.
    """

    packed: Packed
    row_N: Tensor
    target_N: Tensor
    source_N2: NDArray[np.int64]


# Batches come in multiples of this many tokens: each new shape costs a compilation inside oneDNN.
STRIDE = 2048


@dataclass(frozen=True, slots=True)
class _Placed:
    """A sequence at index ``at`` of a window, without its first ``skip`` tokens: those lie at ``root``."""

    sequence: Sequence
    at: int
    skip: int = 0
    root: int = 0

    @property
    def size(self) -> int:
        """The last token needs no place: nothing follows it."""
        return len(self.sequence.ids) - 1 - self.skip


class Packer:
    """First-fit packing into ``count`` windows of ``length`` tokens."""

    def __init__(self, count: int, length: int) -> None:
        self.count, self.length = count, length
        self.rows: list[list[_Placed]] = [[] for _ in range(count)]
        self.room = [length] * count
        self._trunks: list[dict[tuple[int, ...], int]] = [{} for _ in range(count)]  # trunk -> where it lies

    def add(self, sequence: Sequence, trunk: int = 0) -> bool:
        """Place a sequence whose first ``trunk`` tokens are shared with others; False where no window has room."""
        if trunk:
            shared = tuple(sequence.ids[:trunk])
            for index, placed in enumerate(self._trunks):
                if shared in placed and self._put(index, sequence, trunk, placed[shared]):
                    return True
        for index, room in enumerate(self.room):
            if len(sequence.ids) - 1 <= room:
                root = self.length - room
                if trunk:
                    self._put(index, Sequence(sequence.ids[: trunk + 1], [False] * (trunk + 1)))
                    self._trunks[index][shared] = root
                return self._put(index, sequence, trunk, root)
        return False

    def _put(self, index: int, sequence: Sequence, skip: int = 0, root: int = 0) -> bool:
        placed = _Placed(sequence, self.length - self.room[index], skip, root)
        if placed.size > self.room[index]:
            return False
        self.rows[index].append(placed)
        self.room[index] -= placed.size
        return True

    def windows(self) -> Windows:
        """The windows filled so far; of those without a sequence, only some: see ``STRIDE``."""
        filled = sum(bool(row) for row in self.rows)
        step = max(1, STRIDE // self.length)
        used = self.rows[: min(self.count, -(-filled // step) * step)]
        shape = (len(used), self.length)
        ids, first, position = np.zeros(shape, np.int64), np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        trunk = np.zeros((*shape, 2), np.int32)
        rows, targets, sources = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros((0, 2), np.int64)]
        for b, row in enumerate(used):
            at = 0
            for placed in row:
                tokens = np.asarray(placed.sequence.ids, np.int64)
                at, skip, size = placed.at, placed.skip, placed.size
                ids[b, at : at + size] = tokens[skip:-1]
                first[b, at : at + size] = at
                position[b, at : at + size] = np.arange(skip, skip + size)
                trunk[b, at : at + size] = placed.root, placed.root + skip
                learned = np.flatnonzero(np.asarray(placed.sequence.learn[1:], bool))
                rows.append(b * self.length + at - skip + learned)
                targets.append(tokens[1:][learned])
                sources.append(np.stack([np.full(len(learned), placed.sequence.owner), learned + 1], axis=1))
                at += size
            # Padding forms a document of its own, which nothing learns from.
            first[b, at:] = at
            position[b, at:] = np.arange(self.length - at)
        packed = Packed(*(torch.from_numpy(array) for array in (ids, first, position, trunk)))
        row_N, target_N = (torch.from_numpy(np.concatenate(arrays)) for arrays in (rows, targets))
        return Windows(packed, row_N, target_N, np.concatenate(sources))


def pack_all(groups: Iterable[Sequenced[Sequence]], length: int, at_most: int) -> list[Windows]:
    """All sequences of all groups, in batches of at most ``at_most`` windows.

    What the sequences of a group begin with alike is computed once for all that share a window. Groups
    with the longest sequences come first, which packs tighter. Raises ValueError for a sequence that
    exceeds a window.
    """
    batches: list[Packer] = []
    ordered = sorted(
        (group for group in groups if group), key=lambda group: (-max(len(s.ids) for s in group), group[0].owner)
    )
    for group in ordered:
        trunk = common_trunk(group)
        for sequence in sorted(group, key=lambda s: (-len(s.ids), s.owner)):
            if not any(batch.add(sequence, trunk) for batch in batches):
                batches.append(Packer(at_most, length))
                if not batches[-1].add(sequence, trunk):
                    raise ValueError(f"a sequence of {len(sequence.ids)} tokens exceeds windows of {length}")
    return [batch.windows() for batch in batches]


def common_trunk(group: Sequenced[Sequence]) -> int:
    """How many tokens all sequences begin with alike and may share.

    One less than are alike: what follows the last shared token differs, so each sequence predicts from
    a copy of its own. A token that is learned is never shared, nor one before it.
    """
    if len(group) < 2:
        return 0
    shortest = min(len(sequence.ids) for sequence in group)
    ids = np.asarray([sequence.ids[:shortest] for sequence in group])
    learn = np.asarray([sequence.learn[:shortest] for sequence in group], bool)
    ends = np.flatnonzero((ids != ids[0]).any(axis=0) | learn.any(axis=0))
    return max(0, (int(ends[0]) if len(ends) else shortest) - 1)


def document_starts(ids_BT: NDArray[np.integer], separator: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(first, position) of packed windows cut from a stream in which ``separator`` opens each document."""
    index = np.arange(ids_BT.shape[1], dtype=np.int32)[None, :]
    first = np.maximum.accumulate(np.where(ids_BT == separator, index, 0), axis=1).astype(np.int32)
    return first, (index - first).astype(np.int32)
