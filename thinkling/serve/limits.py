"""Admission: a model takes so many requests at once, running and waiting; the next is told to come back later.

A queue without a bound answers everybody late and nobody in time, and holds every waiting prompt in memory.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from thinkling.serve.errors import ApiError

_RECENT = 32  # departures that the rate is told from
_LONGEST_RETRY_S = 60


class Admission:
    """A place at a model, held until ``release`` or the end of the ``with`` block around the answer.

    It is given back as well when nobody holds it any more: the body of a response that is never iterated
    (the client was gone before it began) never reaches its ``with``.
    """

    __slots__ = ("_line",)

    def __init__(self, line: _Line) -> None:
        self._line: _Line | None = line

    def release(self) -> None:
        """Give the place back; once is enough."""
        line, self._line = self._line, None
        if line is not None:
            line.leave()

    def __enter__(self) -> Admission:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    async def __aenter__(self) -> Admission:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()


class _Line:
    """Those who run and wait at one model, and when the last of them left."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.count = 0
        self.left: deque[float] = deque(maxlen=_RECENT)

    def leave(self) -> None:
        self.count -= 1
        self.left.append(self._clock())

    def seconds_to_a_place(self) -> int:
        """Seconds until somebody leaves, by the recent rate; at least 1."""
        if not self.left:
            return 1
        each = (self._clock() - self.left[0]) / len(self.left)
        return max(1, min(_LONGEST_RETRY_S, math.ceil(each)))


class Gate:
    """At most ``places`` requests at each model. It belongs to one event loop: no locks."""

    def __init__(self, places: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._places, self._clock = places, clock
        self._lines: dict[str, _Line] = {}

    def admit(self, name: str, places: int | None = None) -> Admission:
        """A place at ``name`` (a model that exists), of ``places`` where these differ. Raises ApiError 429."""
        line = self._lines.setdefault(name, _Line(self._clock))
        bound = self._places if places is None else places
        if line.count >= bound:
            seconds = line.seconds_to_a_place()
            raise ApiError(
                429,
                f"{line.count} requests run or wait at {name!r}, as many as it takes; ask again in {seconds} s",
                code="queue_full",
                headers={"retry-after": str(seconds)},
            )
        line.count += 1
        return Admission(line)

    def count(self, name: str) -> int:
        """How many requests hold a place at ``name``."""
        line = self._lines.get(name)
        return 0 if line is None else line.count
