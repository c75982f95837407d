"""The run log: one JSON object per line, appended while a stage runs.

It may hold timings, so it lies outside every hash. A process killed in the middle of a write leaves
a torn last line; it is never read, and the next append removes it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def plain(value: Any) -> Any:
    """``json.dumps`` default: numpy and torch scalars, arrays and paths as plain values."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON: {value!r}")


class RunLog:
    """Append-only rows in ``path``; rows of a training step carry ``step``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mended = False

    def append(self, row: dict[str, Any]) -> None:
        """Add one row; it is in the file (though not yet synced to the disk) when this returns."""
        if not self._mended:
            self._drop_torn_line()
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, default=plain) + "\n")

    def rows(self) -> list[dict[str, Any]]:
        """All complete rows, oldest first."""
        return [json.loads(line) for line in self._lines()]

    def truncate(self, step: int) -> None:
        """Cut the log off before the first row whose ``step`` is at least ``step``.

        For resuming from a checkpoint: what the interrupted run logged after it will be logged again.
        """
        keep = 0
        for line in self._lines():
            if json.loads(line).get("step", -1) >= step:
                break
            keep += len(line)
        if self.path.exists():
            with self.path.open("r+b") as file:
                file.truncate(keep)

    def _lines(self) -> list[bytes]:
        if not self.path.exists():
            return []
        return [line for line in self.path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]

    def _drop_torn_line(self) -> None:
        if self.path.exists():
            whole = sum(len(line) for line in self._lines())
            with self.path.open("r+b") as file:
                file.truncate(whole)
        self._mended = True
