"""One run per folder: a lock that says who holds it, and that dies with its holder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from thinkling.core.errors import UserError


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold ``folder`` for this process; yields the lock's file descriptor.

    A child process that inherits the descriptor (``pass_fds``) shares the lock, so it is not free
    until both are gone. The kernel releases it however they end. Raises UserError naming the holder
    (process, host, since when) where another run has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / ".lock"
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{folder}: another run holds this folder: {_holder(file)}. Wait for it, or choose another --out"
            ) from None
        os.ftruncate(descriptor, 0)
        since = datetime.now().astimezone().isoformat(timespec="seconds")
        about = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
        os.write(descriptor, json.dumps(about).encode())
        yield descriptor
    finally:
        os.close(descriptor)


def _holder(file: Path) -> str:
    try:
        about = json.loads(file.read_text())
        return f"process {about['pid']} on {about['host']}, since {about['since']}"
    except (OSError, ValueError):  # it is just being written
        return "a process that has only now started"
