"""Client-side rate limits: a token bucket, so that an endpoint's quota is met before it answers 429."""

from __future__ import annotations

import time
from collections.abc import Callable


class RateLimit:
    """At most ``per_minute`` of something, refilled continuously; 0 is no limit.

    A token bucket in the form of the generic cell rate algorithm (ITU-T I.371): instead of a level it keeps the
    time at which all that was reserved would have drained. It holds ``burst`` seconds' worth, so any window of
    T seconds admits at most (T + burst) / 60 * per_minute, plus the one reservation that crosses the mark.
    """

    def __init__(self, per_minute: float, burst: float = 1.0, now: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self.now = per_minute / 60, burst, now
        self._drained = 0.0

    def reserve(self, amount: float) -> float:
        """Take ``amount`` now; returns the seconds to wait before it may be used."""
        if not self.rate:
            return 0.0
        now = self.now()
        self._drained = max(self._drained, now)
        wait = max(0.0, self._drained - self.burst - now)
        self._drained += amount / self.rate
        return wait

    def correct(self, difference: float) -> None:
        """Book what a reservation really cost: more than it (positive) or less."""
        if self.rate:
            self._drained += difference / self.rate
