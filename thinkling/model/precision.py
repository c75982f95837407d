"""Which number format to compute in, found by a probe and overridable by name."""

from __future__ import annotations

import ctypes
import platform
from functools import cache
from pathlib import Path

import torch

from thinkling.core.errors import UserError

NAMES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@cache
def _cpu_has_bfloat16() -> bool:
    """True where the CPU multiplies bfloat16 matrices natively (elsewhere bfloat16 is emulated and slow)."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        flags = cpuinfo.read_text(encoding="utf-8", errors="replace")
        return "avx512_bf16" in flags or "amx_bf16" in flags
    return False


def choose(name: str = "auto", device: str = "cpu") -> torch.dtype:
    """``auto`` -> bfloat16 where it is fast, else float32; otherwise the format of that name."""
    if name == "auto":
        fast = _cpu_has_bfloat16() if device == "cpu" else torch.cuda.is_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    if name not in NAMES:
        raise UserError(f"precision: expected auto, {' or '.join(NAMES)}, came {name!r}")
    return NAMES[name]


@cache
def keep_freed_memory() -> bool:
    """Ask glibc to keep freed blocks instead of returning them to the kernel after every large tensor.

    Page faults on fresh tensors otherwise cost 10-40% of a training step. Returns False on other C libraries.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    big = 1 << 30
    return all((mallopt(mmap_threshold, big), mallopt(trim_threshold, big), mallopt(top_pad, 64 << 20)))
