"""A full disk: how it is known behind whatever error a library made of it, and what to say of it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

FULL_TEXT = "No space left on device"


def is_disk_full(error: BaseException | None, folder: Path | None = None) -> bool:
    """Whether an error comes from a full disk (or quota), also where a library has wrapped it.

    With ``folder``, the folder being written, any error counts if that has no free byte left.
    """
    seen = 0
    while error is not None and seen < 20:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if FULL_TEXT in str(error):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return folder is not None and _free(folder) == 0


def disk_full_message(folder: Path | None = None) -> str:
    """What to tell; ``folder`` is the one being written, if known. It need not exist."""
    where = "" if folder is None else f" ({_free(folder) / 1e6:,.0f} MB free) while writing {folder}"
    return (
        f"the disk is full{where}. Finished artifacts are "
        "intact; free some space and run the same command again, it goes on from here"
    )


def _free(folder: Path) -> int:
    """Free bytes where ``folder`` is or, if it could not even be made, would be."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free
