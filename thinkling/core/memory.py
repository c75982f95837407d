"""What a stage's processes occupy together."""

from __future__ import annotations

import sys

import psutil


def tree_bytes(pid: int) -> int:
    """Memory of a process together with its descendants, in bytes; 0 where it has none or is gone.

    For one process alone the kernel's own high-water mark is exact, so sampling only matters where
    there are helpers. On Linux the proportional set size is summed, so that pages which they share
    are counted once; elsewhere the resident size.
    """
    try:
        root = psutil.Process(pid)
        family = root.children(recursive=True)
        return sum(_bytes_of(process) for process in [root, *family]) if family else 0
    except psutil.NoSuchProcess:
        return 0


def _bytes_of(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss if sys.platform == "linux" else process.memory_info().rss)
    except psutil.Error:  # it ended, or has just become a zombie
        return 0


def maxrss_bytes(maxrss: int) -> int:
    """``ru_maxrss`` in bytes: the kernel gives kilobytes, on macOS bytes."""
    return maxrss if sys.platform == "darwin" else maxrss * 1024
