"""The KV cache, cut into blocks of a few positions each, so that sequences can share them.

Every sequence has a table of block numbers (paged attention, Kwon et al. 2023). Two sequences
with the same beginning list the same whole blocks; only a block that will be written further
is copied. A prompt shared by a group and a forked sequence are both just shared blocks.

Legend: Y layers, N blocks, G key/value heads, E head width, L positions in a block.
"""

from __future__ import annotations

import numpy as np

from thinkling.engine.vectors import BLOCK


def blocks_for(length: int) -> int:
    """How many blocks hold ``length`` positions."""
    return -(-length // BLOCK)


class Blocks:
    """Storage for keys and values, and the reference count of each block.

    ``keys`` is [Y, N, G, E, L] (positions last, so that scores of neighbours are one vector)
    and ``values`` [Y, N, G, L, E], in ``dtype`` (float32, or uint16 holding bfloat16). The
    arrays are reserved in full, but memory is taken only as blocks are first written to.
    """

    def __init__(self, count: int, layers: int, groups: int, width: int, dtype: np.dtype) -> None:
        self.keys = np.empty((layers, count, groups, width, BLOCK), dtype)
        self.values = np.empty((layers, count, groups, BLOCK, width), dtype)
        self.count = count
        self._references = np.zeros(count, np.int32)
        self._free = list(range(count - 1, -1, -1))

    @property
    def free(self) -> int:
        return len(self._free)

    def take(self, count: int) -> list[int]:
        """``count`` blocks of one's own; the caller has checked ``free``."""
        taken = [self._free.pop() for _ in range(count)]
        self._references[taken] = 1
        return taken

    def share(self, blocks: list[int]) -> None:
        """Count one more reader of each block."""
        self._references[blocks] += 1

    def release(self, blocks: list[int]) -> None:
        """Count one reader less; blocks without any return to the free list, last taken on top."""
        self._references[blocks] -= 1
        self._free.extend(block for block in reversed(blocks) if not self._references[block])

    def copy(self, sources: list[int], targets: list[int]) -> None:
        """Copy whole blocks in every layer."""
        if sources:
            self.keys[:, targets] = self.keys[:, sources]
            self.values[:, targets] = self.values[:, sources]
