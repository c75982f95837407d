"""Progress for people: one live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import TextIO

CLEAR_LINE = "\r\x1b[2K"


class Progress:
    """Context manager; ``update(done, loss=1.2)`` shows how far the work is, and how long it will take.

    On a terminal the line is redrawn at most ten times a second. Elsewhere (a log file, CI) a line
    is printed at most every ``every`` seconds, so that logs stay short.
    """

    def __init__(self, total: int, what: str, *, stream: TextIO | None = None, every: float = 15.0) -> None:
        self.total = total
        self.what = what
        self.stream = stream if stream is not None else sys.stderr
        self.live = self.stream.isatty()
        self._pause = 0.1 if self.live else every
        self._start = self._last = time.monotonic()
        self._first: int | None = None
        self._line = ""

    def __enter__(self) -> Progress:
        return self

    def update(self, done: int, **shown: object) -> None:
        """Tell that ``done`` of ``total`` is behind us; ``shown`` are values to print beside it."""
        now = time.monotonic()
        if self._first is None:  # resumed work starts above 0, and must not make the rest look fast
            self._first, self._start = done, now
        self._line = self._format(done, now, shown)
        if now - self._last >= self._pause:
            self._last = now
            self._print()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line:
            self._print()
            if self.live:
                self.stream.write("\n")
                self.stream.flush()

    def _format(self, done: int, now: float, shown: dict[str, object]) -> str:
        begun = done - (self._first or 0)
        rate = begun / (now - self._start) if begun > 0 and now > self._start else 0.0
        left = f"{clock((self.total - done) / rate)} left" if rate and done < self.total else ""
        values = [f"{name} {_short(value)}" for name, value in shown.items()]
        return "  ".join(part for part in [f"{self.what} {done}/{self.total}", *values, left] if part)

    def _print(self) -> None:
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write(CLEAR_LINE + self._line[:width])
        else:
            self.stream.write(self._line + "\n")
        self.stream.flush()


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def clock(seconds: float) -> str:
    """``75`` -> ``1:15``; hours only where there are some."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
