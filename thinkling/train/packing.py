"""Documents into windows of one length, several to a window, none seeing another.

Shape suffixes: B windows, T time.
"""

from __future__ import annotations

from collections.abc import Iterable
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


# Batches come in multiples of this many windows: each new shape costs a compilation inside oneDNN.
STRIDE = 8


class Packer:
    """First-fit packing into ``count`` windows of ``length`` tokens."""

    def __init__(self, count: int, length: int) -> None:
        self.count, self.length = count, length
        self.rows: list[list[Sequence]] = [[] for _ in range(count)]
        self.room = [length] * count

    def add(self, sequence: Sequence) -> bool:
        """Place a sequence; False where no window has room. The last token needs no place: nothing follows it."""
        size = len(sequence.ids) - 1
        for index, room in enumerate(self.room):
            if size <= room:
                self.rows[index].append(sequence)
                self.room[index] -= size
                return True
        return False

    def windows(self) -> Windows:
        """The windows filled so far; of those without a sequence, only some: see ``STRIDE``."""
        filled = sum(bool(row) for row in self.rows)
        used = self.rows[: min(self.count, -(-filled // STRIDE) * STRIDE)]
        ids = np.zeros((len(used), self.length), np.int64)
        first = np.zeros((len(used), self.length), np.int32)
        position = np.zeros((len(used), self.length), np.int32)
        rows: list[NDArray[np.int64]] = []
        targets: list[NDArray[np.int64]] = []
        sources: list[NDArray[np.int64]] = []
        for b, placed in enumerate(used):
            at = 0
            for sequence in placed:
                tokens = np.asarray(sequence.ids, np.int64)
                size = len(tokens) - 1
                ids[b, at : at + size] = tokens[:-1]
                first[b, at : at + size] = at
                position[b, at : at + size] = np.arange(size)
                learned = np.flatnonzero(np.asarray(sequence.learn[1:], bool))
                rows.append(b * self.length + at + learned)
                targets.append(tokens[1:][learned])
                sources.append(np.stack([np.full(len(learned), sequence.owner), learned + 1], axis=1))
                at += size
            # Padding forms a document of its own, which nothing learns from.
            first[b, at:] = at
            position[b, at:] = np.arange(self.length - at)
        packed = Packed(torch.from_numpy(ids), torch.from_numpy(first), torch.from_numpy(position))
        empty = np.zeros(0, np.int64)
        return Windows(
            packed,
            torch.from_numpy(np.concatenate(rows) if rows else empty),
            torch.from_numpy(np.concatenate(targets) if targets else empty),
            np.concatenate(sources) if sources else np.zeros((0, 2), np.int64),
        )


def pack_all(sequences: Iterable[Sequence], length: int, at_most: int) -> list[Windows]:
    """All sequences, in batches of at most ``at_most`` windows; the longest first, which packs tighter."""
    batches: list[Packer] = []
    for sequence in sorted(sequences, key=lambda s: (-len(s.ids), s.owner)):
        if not any(batch.add(sequence) for batch in batches):
            batches.append(Packer(at_most, length))
            if not batches[-1].add(sequence):
                raise ValueError(f"a sequence of {len(sequence.ids)} tokens exceeds windows of {length}")
    return [batch.windows() for batch in batches]


def document_starts(ids_BT: NDArray[np.integer], separator: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(first, position) of packed windows cut from a stream in which ``separator`` opens each document."""
    index = np.arange(ids_BT.shape[1], dtype=np.int32)[None, :]
    first = np.maximum.accumulate(np.where(ids_BT == separator, index, 0), axis=1).astype(np.int32)
    return first, (index - first).astype(np.int32)
