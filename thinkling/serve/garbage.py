"""The collector of reference cycles, told what a server knows: what stands after the start will stay."""

from __future__ import annotations

import gc


def settle() -> None:
    """Take all that exists out of the collector's sight, and let it look less often at the rest.

    Otherwise it goes through the imported modules again and again while requests wait: the pauses show in the
    slowest answers of a busy server.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)
