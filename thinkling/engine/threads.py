"""How many threads the steps of an engine run on, when other work shares the machine's cores.

Threads that compute one product together wait for the slowest of them. With the cores to themselves more threads
are faster; beside a busy server, a small model's steps are faster on one, because no part of them has to wait for
a core that is taken. Which holds depends on the model and on the load, so it is tried, now and then.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

TRIAL_S, TRIAL_STEPS = 0.25, 24  # a trial lasts for both, at least
FIRST_S, AGAIN_S = 1.0, 10.0  # seconds of work until the first trial, and between two
BETTER = 1.05  # what draws so many times as fast is worth a change
IDLE_S = 0.1  # a longer pause between two steps was no work


class ThreadTuner:
    """Tell it of every step; it compares all threads with one (tokens per second: now, the other, now again)."""

    def __init__(
        self,
        most: int | None = None,
        *,
        use: Callable[[int], object] = torch.set_num_threads,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.most = most or torch.get_num_threads()
        self.threads = self.most
        self._use, self._clock = use, clock
        self._last = clock()
        self._rest = FIRST_S  # seconds of work until the next trial
        self._rates: list[float] = []  # of the trial that goes on
        self._seconds, self._steps, self._tokens = 0.0, 0, 0

    def stepped(self, tokens: int) -> None:
        """A step has drawn ``tokens`` tokens."""
        now = self._clock()
        spent, self._last = now - self._last, now
        if self.most == 1:
            return
        if spent > IDLE_S:  # what was compared may not be alike any more
            self._end_trial()
            return
        self._rest -= spent
        if self._rest > 0.0:
            return
        self._seconds, self._steps, self._tokens = self._seconds + spent, self._steps + 1, self._tokens + tokens
        if self._seconds >= TRIAL_S and self._steps >= TRIAL_STEPS:
            self._rates.append(self._tokens / self._seconds)
            self._seconds, self._steps, self._tokens = 0.0, 0, 0
            self._go_on()

    def _go_on(self) -> None:
        """The next of a trial's three windows, or its verdict."""
        other = 1 if self.threads == self.most else self.most
        if len(self._rates) < 3:
            self._use(other if len(self._rates) == 1 else self.threads)
            return
        before, tried, after = self._rates
        if tried > BETTER * max(before, after):
            self.threads = other
        self._rest = AGAIN_S
        self._end_trial()

    def _end_trial(self) -> None:
        self._rates.clear()
        self._seconds, self._steps, self._tokens = 0.0, 0, 0
        self._use(self.threads)
