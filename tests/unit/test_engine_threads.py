"""The number of threads follows what draws faster, and nothing else."""

from __future__ import annotations

import pytest

from thinkling.engine.threads import AGAIN_S, ThreadTuner


class Machine:
    """Steps of 64 tokens that take as long as the rule says for so many threads."""

    def __init__(self, most: int = 2) -> None:
        self.now, self.using = 0.0, most
        self.tuner = ThreadTuner(most, use=self.use, clock=lambda: self.now)

    def use(self, threads: int) -> None:
        self.using = threads

    def work(self, seconds: float, step: dict[int, float]) -> dict[int, float]:
        """Seconds that were spent on each number of threads."""
        spent = dict.fromkeys(step, 0.0)
        end = self.now + seconds
        while self.now < end:
            threads = self.using
            self.now += step[threads]
            spent[threads] += step[threads]
            self.tuner.stepped(64)
        return spent


def test_it_takes_what_is_faster_and_follows_when_that_changes() -> None:
    machine = Machine()
    spent = machine.work(30, {2: 0.010, 1: 0.007})
    assert machine.tuner.threads == machine.using == 1 and spent[2] < 4
    spent = machine.work(30, {2: 0.004, 1: 0.008})
    assert machine.tuner.threads == machine.using == 2 and spent[1] < AGAIN_S + 2


def test_a_small_difference_changes_nothing_and_trials_cost_little() -> None:
    machine = Machine()
    spent = machine.work(60, {2: 0.0100, 1: 0.0098})
    assert machine.tuner.threads == 2 and 0 < spent[1] < 0.05 * 60


def test_a_pause_ends_a_trial_without_a_verdict() -> None:
    machine = Machine()
    for _ in range(200):  # less work at a time than a trial takes
        machine.work(0.4, {2: 0.010, 1: 0.001})
        machine.now += 5.0
    machine.work(0.001, {2: 0.010, 1: 0.010})
    assert machine.tuner.threads == machine.using == 2


@pytest.mark.parametrize("step", [0.001, 0.3])
def test_one_thread_is_never_tried_against_itself(step: float) -> None:
    machine = Machine(most=1)
    machine.work(20, {1: step})
    assert machine.using == 1
