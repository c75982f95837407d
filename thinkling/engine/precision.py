"""Which number format the machine multiplies fastest, asked of the machine rather than guessed."""

from __future__ import annotations

import torch

from thinkling.core.errors import UserError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def fast_dtype() -> torch.dtype:
    """bfloat16 where the CPU multiplies it in hardware (AVX512-BF16 or AMX), else float32.

    float16 is never chosen: CPUs emulate it, hundreds of times slower.
    """
    tile = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    vector = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return torch.bfloat16 if tile() or vector() else torch.float32


def choose_dtype(dtype: torch.dtype | str | None) -> torch.dtype:
    """The dtype to compute in: what was asked for, or what ``fast_dtype`` finds.

    Raises UserError for anything but float32 and bfloat16.
    """
    if dtype is None:
        return fast_dtype()
    chosen = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if chosen not in DTYPES.values():
        raise UserError(f"engine: dtype {dtype} is not supported; expected one of {', '.join(DTYPES)}")
    assert chosen is not None
    return chosen
