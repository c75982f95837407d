"""Several generators as one: their effects run side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from thinkling.rollout.backend import Effect
from thinkling.rollout.driver import Rollout

T = TypeVar("T")


def gather(rollouts: Sequence[Rollout[T]]) -> Rollout[list[T]]:
    """Run rollouts in rounds: each round yields what all that are still alive wait for, as one tuple.

    Returns their values in order. What goes wrong with an effect, or in one of them, ends them all.
    """
    values: dict[int, T] = {}
    asked: dict[int, Effect | tuple[Effect, ...]] = {}

    def advance(index: int, result: Any) -> None:
        try:
            asked[index] = rollouts[index].send(result)
        except StopIteration as stop:
            values[index] = stop.value

    try:
        for index in range(len(rollouts)):
            advance(index, None)
        while asked:
            waiting, asked = asked, {}
            flat = [effect for wish in waiting.values() for effect in (wish if isinstance(wish, tuple) else (wish,))]
            results = iter((yield tuple(flat)))
            for index, wish in waiting.items():
                advance(index, tuple(next(results) for _ in wish) if isinstance(wish, tuple) else next(results))
    finally:
        for rollout in rollouts:
            rollout.close()
    return [values[index] for index in range(len(rollouts))]
