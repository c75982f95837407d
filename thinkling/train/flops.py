"""The machine's matrix-multiplication rate, against which a training step's is compared."""

from __future__ import annotations

import time

import torch


def peak_flops(dtype: torch.dtype, device: torch.device) -> float:
    """FLOP/s of a 2048-cubed product, the best of a few: a practical ceiling, not the data sheet's."""
    size = 2048
    a, b = (torch.ones(size, size, dtype=dtype, device=device) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        float((a @ b)[0, 0])
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best
