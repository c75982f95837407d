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
from typing import Any, Generic, TypeVar

from thinkling.core.types import RunTool, Usage
from thinkling.rollout.backend import Backend, Effect, Result

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
    """Tokens a finished effect cost."""
    if isinstance(result, Exception):
        return Usage()
    if isinstance(result, list):
        return sum((sampled.usage for sampled in result), Usage())
    return result.usage


@dataclass(slots=True)
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
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    return _Drive(generators, backend, tools or {}, limit, on_done).run()


class _Drive(Generic[T]):
    """The state of one call of ``drive``."""

    def __init__(
        self,
        generators: Iterable[Rollout[T]],
        backend: Backend,
        tools: Mapping[str, Tool],
        limit: int,
        on_done: Callable[[int, T | Failure, Usage], None] | None,
    ) -> None:
        self.source = enumerate(generators)
        self.exhausted = False
        self.backend, self.tools, self.limit, self.on_done = (
            backend,
            tools,
            limit,
            on_done,
        )
        self.outcomes: dict[int, T | Failure] = {}
        self.waiting: deque[tuple[_Run[T], int, Effect]] = deque()  # effects without a ticket yet
        self.flying: dict[int, tuple[_Run[T], int]] = {}  # ticket -> whose, and which of its effects
        self.alive: dict[int, _Run[T]] = {}

    def run(self) -> list[T | Failure]:
        try:
            while True:
                self.fill()
                if not self.flying:
                    break
                for ticket, result in self.backend.poll():
                    if ticket in self.flying:
                        self.receive(ticket, result)
        finally:
            for ticket in list(self.flying):
                self.backend.cancel(ticket)
            for run in list(self.alive.values()):
                run.generator.close()
        return [self.outcomes[index] for index in range(len(self.outcomes))]

    def fill(self) -> None:
        """Launch effects while there is room: those of started generators first, then new generators."""
        while len(self.flying) < self.limit:
            if self.waiting:
                self.launch(*self.waiting.popleft())
            elif not self.exhausted:
                try:
                    index, generator = next(self.source)
                except StopIteration:
                    self.exhausted = True
                    continue
                run = _Run(index, generator)
                self.alive[index] = run
                self.resume(run, None)
            else:
                return

    def launch(self, run: _Run[T], slot: int, effect: Effect) -> None:
        try:
            if isinstance(effect, RunTool):
                run.usage += Usage(calls=1)
                if effect.name not in self.tools:
                    known = ", ".join(sorted(self.tools)) or "none"
                    raise LookupError(f"no tool is called {effect.name!r}; known tools: {known}")
                self.settle(run, slot, self.tools[effect.name](effect.arguments))
                return
            ticket = self.backend.submit(effect)
        except Exception as error:
            self.fail(run, error)
            return
        self.flying[ticket] = (run, slot)
        run.tickets.add(ticket)

    def receive(self, ticket: int, result: Result) -> None:
        run, slot = self.flying.pop(ticket)
        run.tickets.discard(ticket)
        run.usage += usage_of(result)
        if isinstance(result, Exception):
            self.fail(run, result)
        else:
            self.settle(run, slot, result)

    def settle(self, run: _Run[T], slot: int, result: Any) -> None:
        """Keep one result; when it was the last one awaited, the generator goes on."""
        run.results[slot] = result
        run.missing -= 1
        if run.missing == 0:
            self.resume(run, run.results[0] if run.single else tuple(run.results))

    def fail(self, run: _Run[T], error: Exception) -> None:
        """An effect went wrong: drop its siblings and raise it where the generator yielded."""
        for ticket in sorted(run.tickets):
            self.backend.cancel(ticket)
            del self.flying[ticket]
        run.tickets.clear()
        if any(owner is run for owner, _, _ in self.waiting):
            self.waiting = deque(item for item in self.waiting if item[0] is not run)
        self.resume(run, error)

    def resume(self, run: _Run[T], value: Any) -> None:
        """Advance a generator to its next effects, or to its end."""
        while True:
            try:
                asked = run.generator.throw(value) if isinstance(value, Exception) else run.generator.send(value)
            except StopIteration as stop:
                return self.finish(run, stop.value)
            except Exception as error:
                return self.finish(run, Failure(error, run.usage))
            run.single = not isinstance(asked, tuple)
            effects: tuple[Effect, ...] = asked if isinstance(asked, tuple) else (asked,)
            strange = [effect for effect in effects if not isinstance(effect, Effect)]
            if strange:
                value = TypeError(f"a rollout yields Sample, Score or RunTool; it yielded {strange[0]!r}")
                continue
            if effects:
                run.results, run.missing = [None] * len(effects), len(effects)
                self.waiting.extend((run, slot, effect) for slot, effect in enumerate(effects))
                return None
            value = ()  # nothing asked: nothing to wait for

    def finish(self, run: _Run[T], outcome: T | Failure) -> None:
        del self.alive[run.index]
        self.outcomes[run.index] = outcome
        if self.on_done is not None:
            self.on_done(run.index, outcome, run.usage)
