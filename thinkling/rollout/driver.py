"""One loop that batches thousands of generators over one backend.

A strategy is a generator: it yields effects and receives their results, and never calls a model.
So reinforcement learning, evaluation, search and serving share this loop, a test replaces the
model by a script, and every token is counted here, those of abandoned branches included.

A generator yields one effect and receives its result, or yields a tuple of effects, which run
side by side, and receives the tuple of their results. What goes wrong with an effect is raised
inside the generator at its ``yield``; what the generator lets through becomes a ``Failure`` in
the list of outcomes, and the other generators go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Generic, TypeVar

from thinkling.core.types import Completion, RunTool, Usage
from thinkling.rollout.backend import Ask, Backend, Effect, Result

T = TypeVar("T")
Tool = Callable[[str], str]
Rollout = Generator["Effect | tuple[Effect, ...]", Any, T]


@dataclass(frozen=True, slots=True)
class Failure:
    """A generator that raised: the exception, and the tokens it had cost by then."""

    exception: Exception
    usage: Usage

    @property
    def error(self) -> str:
        return f"{type(self.exception).__name__}: {self.exception}"


def usage_of(result: Result) -> Usage:
    """Tokens a finished effect cost (a ``Request``'s prompt is known to whoever made it)."""
    if isinstance(result, Exception):
        return Usage()
    if isinstance(result, list):
        return sum((sampled.usage for sampled in result), Usage())
    if isinstance(result, Completion):
        return Usage(completion=result.origins.count("sampled"), calls=1)
    return result.usage


@dataclass(slots=True, eq=False)
class _Run(Generic[T]):
    """A started generator, the effects it waits for, and its bill."""

    index: int
    generator: Rollout[T]
    single: bool = True
    results: list[Any] = field(default_factory=list)
    missing: int = 0
    usage: Usage = field(default_factory=Usage)
    tickets: set[int] = field(default_factory=set)


def drive(
    generators: Iterable[Rollout[T]],
    backend: Backend,
    *,
    tools: Mapping[str, Tool] | None = None,
    limit: int = 4096,
    on_done: Callable[[int, T | Failure, Usage], None] | None = None,
) -> list[T | Failure]:
    """Run all generators to their end; returns their values, or Failures, in the order of the input.

    ``limit`` bounds the effects in flight; the iterable is only advanced when there is room, so a
    million generators need not exist at once. ``tools`` maps a ``RunTool``'s name to a function
    from its arguments to its text. ``on_done(index, outcome, usage)`` is called as each one ends.
    Only ``Exception`` becomes data; a KeyboardInterrupt, or an error of the backend's own ``poll``,
    ends the drive, with everything in flight cancelled.
    """
    outcomes: dict[int, T | Failure] = {}

    def keep(index: int, outcome: T | Failure, usage: Usage) -> None:
        outcomes[index] = outcome
        if on_done is not None:
            on_done(index, outcome, usage)

    driver = Driver(backend, keep, tools=tools, limit=limit)
    source = iter(generators)
    exhausted = False
    try:
        while True:
            while not exhausted and driver.has_room():
                try:
                    generator = next(source)
                except StopIteration:
                    exhausted = True
                    break
                driver.add(generator)
            if exhausted and not driver.busy:
                break
            driver.step()
    finally:
        driver.close()
    return [outcomes[index] for index in range(len(outcomes))]


class Driver(Generic[T]):
    """Generators that come and go over one backend: ``add`` them at any time, and ``step`` while it is ``busy``.

    ``on_done(index, outcome, usage)`` is called as each one ends, unless it was cancelled;
    ``on_launch(index, effect, ticket)`` as each effect is given to the backend. The rest as for ``drive``.
    """

    def __init__(
        self,
        backend: Backend,
        on_done: Callable[[int, T | Failure, Usage], None],
        *,
        tools: Mapping[str, Tool] | None = None,
        limit: int = 4096,
        on_launch: Callable[[int, Ask, int], None] | None = None,
    ) -> None:
        if limit < 1:
            raise ValueError(f"limit must be at least 1, got {limit}")
        self.backend, self.tools, self.limit = backend, tools or {}, limit
        self.on_done, self.on_launch = on_done, on_launch
        self._numbers = count()
        self._new: deque[_Run[T]] = deque()
        self._waiting: deque[tuple[_Run[T], int, Effect]] = deque()  # effects without a ticket yet
        self._flying: dict[int, tuple[_Run[T], int]] = {}  # ticket -> whose, and which of its effects
        self._alive: dict[int, _Run[T]] = {}

    @property
    def busy(self) -> bool:
        """Whether any generator has not ended."""
        return bool(self._alive)

    def add(self, generator: Rollout[T]) -> int:
        """Take on a generator, which starts when there is room; returns its index, counted from 0."""
        run = _Run(next(self._numbers), generator)
        self._alive[run.index] = run
        self._new.append(run)
        return run.index

    def has_room(self) -> bool:
        """Launch what waits, then start what is new, as far as the limit allows; whether it allows more."""
        while len(self._flying) < self.limit:
            if self._waiting:
                self._launch(*self._waiting.popleft())
            elif self._new:
                self._resume(self._new.popleft(), None)
            else:
                return True
        return False

    def step(self) -> None:
        """Launch and start what there is room for, let the backend work, and resume those whose results came."""
        self.has_room()
        if self._flying:
            for ticket, result in self.backend.poll():
                if ticket in self._flying:
                    self._receive(ticket, result)

    def cancel(self, index: int) -> Usage:
        """End a generator and all that it has in flight; returns what it has cost. One that ended is ignored."""
        run = self._alive.pop(index, None)
        if run is None:
            return Usage()
        self._drop(run)
        if run in self._new:
            self._new.remove(run)
        run.generator.close()
        return run.usage

    def close(self) -> None:
        """Cancel every generator."""
        for index in list(self._alive):
            self.cancel(index)

    def _launch(self, run: _Run[T], slot: int, effect: Effect) -> None:
        try:
            if isinstance(effect, RunTool):
                run.usage += Usage(calls=1)
                if effect.name not in self.tools:
                    known = ", ".join(sorted(self.tools)) or "none"
                    raise LookupError(f"no tool is called {effect.name!r}; known tools: {known}")
                self._settle(run, slot, self.tools[effect.name](effect.arguments))
                return
            ticket = self.backend.submit(effect)
        except Exception as error:
            self._fail(run, error)
            return
        self._flying[ticket] = (run, slot)
        run.tickets.add(ticket)
        if self.on_launch is not None:
            self.on_launch(run.index, effect, ticket)

    def _receive(self, ticket: int, result: Result) -> None:
        run, slot = self._flying.pop(ticket)
        run.tickets.discard(ticket)
        run.usage += usage_of(result)
        if isinstance(result, Exception):
            self._fail(run, result)
        else:
            self._settle(run, slot, result)

    def _settle(self, run: _Run[T], slot: int, result: Any) -> None:
        """Keep one result; when it was the last one awaited, the generator goes on."""
        run.results[slot] = result
        run.missing -= 1
        if run.missing == 0:
            self._resume(run, run.results[0] if run.single else tuple(run.results))

    def _fail(self, run: _Run[T], error: Exception) -> None:
        """An effect went wrong: drop its siblings and raise it where the generator yielded."""
        self._drop(run)
        self._resume(run, error)

    def _drop(self, run: _Run[T]) -> None:
        """Forget all that a generator waits for."""
        for ticket in sorted(run.tickets):
            self.backend.cancel(ticket)
            del self._flying[ticket]
        run.tickets.clear()
        if any(owner is run for owner, _, _ in self._waiting):
            self._waiting = deque(item for item in self._waiting if item[0] is not run)

    def _resume(self, run: _Run[T], value: Any) -> None:
        """Advance a generator to its next effects, or to its end."""
        while True:
            try:
                asked = run.generator.throw(value) if isinstance(value, Exception) else run.generator.send(value)
            except StopIteration as stop:
                return self._finish(run, stop.value)
            except Exception as error:
                return self._finish(run, Failure(error, run.usage))
            run.single = not isinstance(asked, tuple)
            effects: tuple[Effect, ...] = asked if isinstance(asked, tuple) else (asked,)
            strange = [effect for effect in effects if not isinstance(effect, Effect)]
            if strange:
                value = TypeError(f"a rollout yields Sample, Score, Request or RunTool; it yielded {strange[0]!r}")
                continue
            if effects:
                run.results, run.missing = [None] * len(effects), len(effects)
                self._waiting.extend((run, slot, effect) for slot, effect in enumerate(effects))
                return None
            value = ()  # nothing asked: nothing to wait for

    def _finish(self, run: _Run[T], outcome: T | Failure) -> None:
        del self._alive[run.index]
        self.on_done(run.index, outcome, run.usage)
