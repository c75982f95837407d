"""A remote model behind the interface that rollouts use: tickets here, requests on a thread of its own.

The caller's thread renders effects and takes results; one background thread runs an event loop that sends the
requests. They meet at two queues: an inbox that is announced once per batch, and the finished tickets, for which
``poll`` sleeps until the first one comes.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import weakref
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, cast

import httpx

from thinkling.core.errors import UserError
from thinkling.core.types import Capabilities, Request, Sample, Sampled, Score, Scored
from thinkling.remote.attempts import Attempts, Unreachable
from thinkling.remote.bodies import Call, calls_for
from thinkling.remote.endpoint import Endpoint, Key, parse_endpoint
from thinkling.remote.ledger import Ledger
from thinkling.remote.transport import KeepAlive, needs_proxy
from thinkling.rollout.backend import Ask, Result

PATIENCE = 0.5  # seconds after which poll returns even if nothing has finished
_CLOSING = 5.0  # seconds that the thread gets to end


def open_remote(spec: str, **overrides: Any) -> RemoteBackend:
    """The model that ``openai:MODEL@BASE_URL?option=value`` names, ready to be asked; see ``Endpoint`` for options.

    ``overrides`` are options with typed values (``concurrency=8``). Nothing is sent yet. Raises UserError for a
    spec that cannot be read, and where the variable that ``key_env`` names is not set.
    """
    return RemoteBackend(parse_endpoint(spec, **overrides))


@dataclass(eq=False, slots=True)
class _Ticket:
    """An effect on its way: its calls, their results as they come, the tasks that are at it."""

    number: int
    effect: Sample | Score
    calls: list[Call]
    results: dict[int, Sampled | Scored] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    over: bool = False

    def result(self) -> Result:
        if isinstance(self.effect, Score):
            return cast(Scored, self.results[0])
        return [cast(Sampled, self.results[i]) for i in range(len(self.calls))]


class RemoteBackend:
    """Serves ``Sample`` and ``Score`` effects from an OpenAI-compatible endpoint.

    The samples of a group are requests of their own, each with its seed and its retries; where one fails for good
    the group has failed, and the rest of it is cancelled. A failed effect is its ticket's result, but an
    endpoint that nothing has ever answered at is an ``Unreachable`` raised by ``poll``. ``ledger`` holds what
    was spent, ``patience`` is how long ``poll`` waits. Close it, or use it as a context manager; the end of
    the program closes it as well.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.ledger = Ledger(endpoint.price_in, endpoint.price_out)
        self.patience = PATIENCE
        self._next = 0
        self._tickets: dict[int, _Ticket] = {}
        self._finished: queue.SimpleQueue[tuple[int, Result]] = queue.SimpleQueue()
        key = Key.read(endpoint.key_env)
        attempts = Attempts(endpoint, key, self.ledger, _client(endpoint, key))
        self._courier = _Courier(attempts, endpoint.concurrency, self._finished)
        # Also where it is dropped or the program ends; the thread holds no reference to this object.
        self._close = weakref.finalize(self, self._courier.close)

    @property
    def name(self) -> str:
        return self.endpoint.name

    @property
    def capabilities(self) -> Capabilities:
        """What the endpoint was declared to do."""
        endpoint = self.endpoint
        return Capabilities(
            prefix=endpoint.prefix,
            logprobs=endpoint.logprobs,
            scoring=bool(endpoint.scoring),
            think=bool(endpoint.think_switch),
        )

    def submit(self, effect: Ask) -> int:
        """Send an effect's requests as soon as there is room; returns its ticket.

        Raises UserError, before anything is sent, for what the endpoint was not declared to do.
        """
        if isinstance(effect, Request):
            raise UserError(f"{self.name} takes text and conversations, not token ids; those are for a local model")
        ticket = _Ticket(self._next, effect, calls_for(self.endpoint, effect))
        self._courier.add(ticket)
        self._tickets[ticket.number] = ticket
        self._next += 1
        return ticket.number

    def poll(self) -> list[tuple[int, Result]]:
        """Wait a moment for effects to finish; returns those that have, at once where there are any.

        Raises Unreachable where the endpoint has never answered.
        """
        done: list[tuple[int, Result]] = []
        try:
            while self._tickets:
                number, result = self._finished.get(timeout=0.0 if done else self.patience)
                if self._tickets.pop(number, None) is None:
                    continue
                if isinstance(result, Unreachable):
                    raise result
                done.append((number, result))
        except queue.Empty:
            self._courier.check()
        return done

    def cancel(self, ticket: int) -> None:
        """Forget a ticket, and break off its requests; an unknown or finished one is ignored."""
        cancelled = self._tickets.pop(ticket, None)
        if cancelled is not None:
            self._courier.cancel(cancelled)

    def close(self) -> None:
        """Break off what is on its way and end the thread; what was not polled is lost. Twice is once."""
        self._tickets.clear()
        self._close()

    def __enter__(self) -> RemoteBackend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RemoteBackend({self.name!r})"


def _client(endpoint: Endpoint, key: Key) -> httpx.AsyncClient:
    try:
        url = httpx.URL(endpoint.base_url)
    except httpx.InvalidURL as error:
        raise UserError(f"{endpoint.name}: the base URL cannot be read ({error})") from None
    proxied = needs_proxy(url)
    return httpx.AsyncClient(
        transport=None if proxied else KeepAlive(httpx.create_ssl_context() if url.scheme == "https" else None),
        headers={"Content-Type": "application/json", "User-Agent": "thinkling", **key.headers()},
        timeout=httpx.Timeout(endpoint.timeout, connect=endpoint.connect_timeout, pool=None),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=endpoint.concurrency),
        trust_env=proxied,
    )


class _Courier:
    """The background thread: takes tickets in, keeps so many requests in flight, hands results out.

    A request that waits to be tried again keeps its place: an endpoint in trouble gets fewer at once.
    ``add``, ``cancel``, ``check`` and ``close`` are called from outside; all else runs on the thread.
    """

    def __init__(self, attempts: Attempts, concurrency: int, finished: queue.SimpleQueue[tuple[int, Result]]) -> None:
        self._attempts, self._concurrency, self._finished = attempts, concurrency, finished
        self._inbox: deque[_Ticket] = deque()
        self._announced = False
        self._waiting: deque[tuple[_Ticket, int]] = deque()
        self._flying = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="thinkling remote", daemon=True)
        self._thread.start()

    def add(self, ticket: _Ticket) -> None:
        self.check()
        self._inbox.append(ticket)
        if not self._announced:
            self._announced = True
            self._loop.call_soon_threadsafe(self._take_in)

    def cancel(self, ticket: _Ticket) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end, ticket)

    def check(self) -> None:
        """Raise where nobody would ever serve a ticket."""
        if not self._thread.is_alive():
            raise RuntimeError("this remote backend is closed (or was opened before the process forked)")

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_CLOSING)

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._shut())
            self._loop.close()

    async def _shut(self) -> None:
        self._inbox.clear()
        self._waiting.clear()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._attempts.client.aclose()

    def _take_in(self) -> None:
        self._announced = False  # first, so that what is put in from now on is announced again
        while self._inbox:
            ticket = self._inbox.popleft()
            self._waiting.extend((ticket, index) for index in range(len(ticket.calls)))
        self._launch()

    def _launch(self) -> None:
        while self._waiting and self._flying < self._concurrency:
            ticket, index = self._waiting.popleft()
            if not ticket.over:
                self._flying += 1
                task = self._loop.create_task(self._serve(ticket, index))
                task.add_done_callback(self._land)
                ticket.tasks.add(task)

    def _land(self, task: asyncio.Task[None]) -> None:
        # A callback rather than the end of _serve, which never begins where a task is cancelled before its start.
        self._flying -= 1
        self._launch()

    async def _serve(self, ticket: _Ticket, index: int) -> None:
        """Fetch one result of a ticket, and hand the ticket out where it was the last."""
        try:
            ticket.results[index] = await self._attempts.fetch(ticket.calls[index])
        except Exception as error:
            self._end(ticket, error)
        else:
            if len(ticket.results) == len(ticket.calls):
                self._end(ticket, ticket.result())

    def _end(self, ticket: _Ticket, result: Result | None = None) -> None:
        """Hand a ticket's result out (None: it is forgotten); what is still on its way for it is broken off."""
        if ticket.over:
            return
        ticket.over = True
        current = asyncio.current_task(self._loop)
        for task in ticket.tasks:
            if task is not current:
                task.cancel()
        if result is not None:
            self._finished.put((ticket.number, result))
