"""Opening files below a folder, and nowhere else.

Every step of the way is opened from the one before and never through a symbolic link, so that no link, ``..`` or
folder that is exchanged at the last moment leads out of it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

_WITHOUT_WAITING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would wait for its writer


def open_inside(root: Path, parts: Sequence[str]) -> BinaryIO:
    """The regular file at ``parts`` below ``root``, for reading; raises FileNotFoundError for anything else there."""
    for part in parts:
        if part in ("", ".", "..") or "/" in part or "\0" in part:
            raise FileNotFoundError(errno.ENOENT, "no name of a file", part)
    try:
        at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for i, part in enumerate(parts):
            above = at
            try:
                at = os.open(part, _WITHOUT_WAITING | (os.O_DIRECTORY if i < len(parts) - 1 else 0), dir_fd=above)
            finally:
                os.close(above)
    except (OSError, UnicodeEncodeError) as error:  # missing, a link (ELOOP), no folder, not ours to read
        raise FileNotFoundError(errno.ENOENT, str(error), parts[-1]) from None
    if not stat.S_ISREG(os.fstat(at).st_mode):
        os.close(at)
        raise FileNotFoundError(errno.ENOENT, "no regular file", parts[-1])
    return os.fdopen(at, "rb")
