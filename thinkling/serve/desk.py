"""What a model's process does with its jobs: begin and cancel them, let the driver step, and collect news.

A token's news waits a moment for the next ones (``TOGETHER``), except a sample's first; so 64 streams do not cost a
message per token, and nobody sees the difference. A cancelled job has freed its slots before the next step.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from thinkling.core.errors import ContextFull, UserError
from thinkling.core.types import Completion, Request, Sample, Sampled, Usage
from thinkling.reasoning.spec import strategy
from thinkling.reasoning.strategy import Plain, Setting, as_policy, check
from thinkling.remote.attempts import EndpointError
from thinkling.rollout.backend import Ask as Effect
from thinkling.rollout.backend import Backend
from thinkling.rollout.driver import Driver, Failure, Rollout
from thinkling.rollout.episodes import PLAIN
from thinkling.serve.source import (
    Answered,
    Ask,
    Complete,
    Completed,
    Failed,
    Job,
    Look,
    News,
    Seen,
    Started,
    Tokens,
)
from thinkling.tasks.answers import answer_kind

if TYPE_CHECKING:
    from thinkling.engine.jobs import Event

TOGETHER = 0.025  # seconds that tokens wait for the next ones
LOOKING = 0.002  # seconds that the loop waits for a look where it has nothing else to do


class Looks(Protocol):
    """What looks inside the model: see `glass.look.look`."""

    def __call__(self, what: str, arguments: dict[str, Any], /) -> dict[str, Any]: ...


class Watchable(Protocol):
    """A backend that tells tokens as they are drawn."""

    def watch(self, number: int, on_token: Callable[[int, Event], None]) -> tuple[tuple[int, ...], ...]: ...


@dataclass(eq=False, slots=True)
class _Running:
    """A job on its way: its number, its place in the driver, its effects so far, the samples that spoke already."""

    number: int
    job: Ask | Complete
    index: int = -1
    effects: int = 0
    spoken: set[tuple[int, int]] = field(default_factory=set)


@dataclass(slots=True)
class _Drawn:
    """Tokens of one sample that wait to be told."""

    ids: list[int] = field(default_factory=list)
    top: list[tuple[tuple[int, float], ...]] = field(default_factory=list)

    def news(self, effect: int, sample: int) -> Tokens:
        logprobs = tuple(dict(place)[token] for token, place in zip(self.ids, self.top, strict=False))
        return Tokens(effect, sample, tuple(self.ids), logprobs, tuple(self.top))


class Desk:
    """Takes jobs, steps the driver, and collects news (``news``) until they are sent.

    ``look`` looks inside the model, in a thread of its own, None where the model runs elsewhere;
    ``stepped`` is called after each step.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        watchable: Watchable | None = None,
        look: Looks | None = None,
        stepped: Callable[[], None] = lambda: None,
    ) -> None:
        self.backend, self.watchable, self.look, self.stepped = backend, watchable, look, stepped
        self.news: list[tuple[int, News]] = []
        self.changed = False  # whether the load is other than news has told
        self._jobs: dict[int, _Running] = {}  # by the server's number
        self._of: dict[int, _Running] = {}  # by the driver's index
        self._drawn: dict[tuple[int, int, int], _Drawn] = {}
        self._told = time.monotonic()
        self._thread = ThreadPoolExecutor(1, "look")
        self._looks: dict[int, Future[News]] = {}
        self._driver = self._new_driver()

    def _new_driver(self) -> Driver[Any]:
        return Driver(self.backend, self._ended, on_launch=self._launched)

    @property
    def busy(self) -> bool:
        return self._driver.busy or bool(self._looks)

    def take(self, number: int, job: Job | None) -> None:
        """Begin a job; None cancels the one with this number."""
        if job is None:
            look = self._looks.pop(number, None)
            if look is not None:
                look.cancel()
            running = self._jobs.pop(number, None)
            if running is not None:
                del self._of[running.index]
                self._driver.cancel(running.index)
                self._forget(number)
                self.changed = True
        elif isinstance(job, Look):
            self._looks[number] = self._thread.submit(self._seen, job)
        else:
            try:
                rollout = self._rollout(job)
            except UserError as error:
                self.news.append((number, _failed(error)))
                return
            running = _Running(number, job)
            running.index = self._driver.add(rollout)
            self._jobs[number] = self._of[running.index] = running

    def step(self) -> None:
        """Let the driver step. A server elsewhere that fails beyond a single job ends all of them, and each is told;
        an engine of ours that fails ends the process: nothing is known of its state any more."""
        for number in [number for number, look in self._looks.items() if look.done()]:
            self.news.append((number, self._looks.pop(number).result()))
        try:
            if self._driver.busy:
                self._driver.step()
                self.stepped()
            elif self._looks:
                wait(self._looks.values(), LOOKING)
        except Exception as error:
            if self.watchable is not None:
                raise
            logging.getLogger("thinkling.serve").error("%s: %s", self.backend.name, error)
            self._driver.close()
            self._driver = self._new_driver()
            for number in list(self._jobs):
                self._close(self._jobs[number], _failed(error))
        if time.monotonic() - self._told >= TOGETHER:
            self._tell_drawn()

    def _rollout(self, job: Ask | Complete) -> Rollout[Any]:
        if isinstance(job, Complete):
            return _completions(job.requests)
        chosen = strategy(job.strategy)
        setting = Setting(answer_kind(job.kind), self.backend.capabilities)
        check(chosen, job.strategy, setting, not job.sample.messages, f"model {self.backend.name!r}")
        policy = PLAIN if isinstance(chosen, Plain) else as_policy(chosen, job.strategy, setting)
        return policy.respond(job.sample)

    def _seen(self, job: Look) -> News:
        if self.look is None:
            return Failed("user", f"one can only look inside a model that runs here; {self.backend.name} does not")
        try:
            return Seen(self.look(job.what, job.arguments))
        except Exception as error:
            return _failed(error)

    def _launched(self, index: int, effect: Effect, ticket: int) -> None:
        running = self._of[index]
        place, running.effects = running.effects, running.effects + 1
        if not running.job.watch or not isinstance(effect, Request | Sample):
            return
        batch = isinstance(running.job, Complete)
        given: tuple[tuple[int, ...], ...] = ()
        if self.watchable is not None:
            told = partial(self._token, running, 0 if batch else place, place if batch else None)
            given = self.watchable.watch(ticket, told)
        if isinstance(effect, Sample):
            self._tell(running.number)
            begins = Started(
                place, effect.n, bool(effect.think), effect.thought, effect.prefix, given[0] if given else ()
            )  # fmt: skip
            self.news.append((running.number, begins))

    def _token(self, running: _Running, effect: int, place: int | None, sample: int, event: Event) -> None:
        """Keep a token; a sample's first one is told at once."""
        assert event.token_id is not None
        sample = sample if place is None else place
        key = (running.number, effect, sample)
        drawn = self._drawn.get(key)
        if drawn is None:
            drawn = self._drawn[key] = _Drawn()
        drawn.ids.append(event.token_id)
        if event.top:
            drawn.top.append(event.top)
        if (effect, sample) not in running.spoken:
            running.spoken.add((effect, sample))
            self.news.append((running.number, self._drawn.pop(key).news(effect, sample)))

    def _tell_drawn(self) -> None:
        self._told = time.monotonic()
        for (number, effect, sample), drawn in self._drawn.items():
            self.news.append((number, drawn.news(effect, sample)))
        self._drawn.clear()

    def _ended(self, index: int, outcome: Any, usage: Usage) -> None:
        running = self._of[index]
        if isinstance(outcome, Failure):
            self._close(running, replace(_failed(outcome.exception), usage=usage))
        elif isinstance(running.job, Complete):
            self._close(running, Completed(tuple(outcome)))
        else:
            self._close(running, Answered(tuple(_light(sampled) for sampled in outcome), usage))

    def _close(self, running: _Running, end: News) -> None:
        """Tell what of the job is still untold, then its end."""
        self._tell(running.number)
        self.news.append((running.number, end))
        del self._jobs[running.number], self._of[running.index]

    def _tell(self, number: int) -> None:
        """Tell what of a job is still untold."""
        for key in [key for key in self._drawn if key[0] == number]:
            self.news.append((number, self._drawn.pop(key).news(*key[1:])))

    def _forget(self, number: int) -> None:
        for key in [key for key in self._drawn if key[0] == number]:
            del self._drawn[key]


def _completions(requests: tuple[Request, ...]) -> Rollout[list[Completion]]:
    made: tuple[Completion, ...] = yield requests
    return list(made)


def _light(sampled: Sampled) -> Sampled:
    """A sample without what was told already, token by token."""
    return replace(sampled, top=(), pieces=())


def _failed(error: Exception) -> Failed:
    if isinstance(error, ContextFull):
        return Failed(
            "context",
            f"this model's maximum context length is {error.room} tokens, prompt and answer together; the prompt has "
            f"{error.length}, shorten it",
        )
    if isinstance(error, UserError) and not _is_endpoints_own(error):
        return Failed("user", str(error))
    logging.getLogger("thinkling.serve").error("".join(traceback.format_exception(error)))
    return Failed("broken", f"{type(error).__name__}: {error}")


def _is_endpoints_own(error: UserError) -> bool:
    """Whether an endpoint failed by itself, or refuses this server: nothing that a client's request could mend."""
    return isinstance(error, EndpointError) and error.status not in (400, 413, 422)
