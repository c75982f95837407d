"""A model in a process of its own, as a `Source`: the server's event loop never waits for it.

Two threads stand at the pipe, one to send and one to receive, so that neither a full pipe nor a long message
holds up the loop. A process that dies fails the jobs it had, each with its reason, and is started again.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import multiprocessing
import os
import queue
import threading
import time
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from thinkling.core.build import SLEEP_SOON
from thinkling.core.errors import UserError
from thinkling.core.types import Capabilities
from thinkling.serve.source import Answered, Card, Completed, Failed, Job, News, Seen, State
from thinkling.serve.worker import Batch, Opening, Order, serve
from thinkling.tokenizer.bpe import Tokenizer

CLOSING_S = 10.0  # how long the process may take to end
RESTARTS = 3  # starts within a minute after which a process that keeps dying is given up

log = logging.getLogger("thinkling.serve")


class ModelProcess:
    """The model that ``opening`` names; ``start`` it inside a running event loop, ``close`` it at the end."""

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.state: State = "loading"
        self.tokenizer: Tokenizer | None = None
        self.load: dict[str, int] = {"running": 0, "waiting": 0, "slots": opening.slots, "tokens": 0}
        self.card = Card(opening.name, int(time.time()), 0, Capabilities(), local=not opening.endpoint)
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Queue[News]] = {}
        self._starts: list[float] = []
        self._drawn = 0  # by processes that have ended
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._process: Any = None

    async def start(self) -> None:
        """Begin to load; returns at once, and ``state`` says when it is done."""
        self._loop = asyncio.get_running_loop()
        if self.opening.folder and self.tokenizer is None:
            try:
                self.tokenizer = await asyncio.to_thread(Tokenizer.load, Path(self.opening.folder))
            except UserError as error:
                self._heard(str(error))
                return
        self._starts.append(time.monotonic())
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        for name, value in SLEEP_SOON.items():  # or idle threads of its kernels would keep the server off the cores
            os.environ.setdefault(name, value)
        self._orders = queue.SimpleQueue()
        self._process = context.Process(
            target=serve, args=(theirs, self.opening), name=f"thinkling {self.opening.name}", daemon=True
        )  # fmt: skip
        await asyncio.to_thread(self._process.start)
        theirs.close()
        threading.Thread(target=_send, args=(ours, self._orders), daemon=True).start()
        threading.Thread(target=self._receive, args=(ours,), daemon=True).start()

    async def close(self) -> None:
        """End the process; what it was at fails."""
        self.state = "closed"
        self._fail_all("the server is closing")
        self._orders.put(None)
        process = self._process
        if process is not None:
            await asyncio.to_thread(process.join, CLOSING_S)
            if process.is_alive():
                process.kill()
                await asyncio.to_thread(process.join)

    async def ask(self, job: Job) -> AsyncIterator[News]:
        """The job's news; see `Source.ask`."""
        number = next(self._numbers)
        if self.state != "ready":
            yield Failed("broken", f"the model {self.opening.name!r} is {self.state}")
            return
        news = self._waiting[number] = asyncio.Queue()
        self._orders.put((number, job))
        ended = False
        try:
            while not ended:
                one = await news.get()
                ended = isinstance(one, Answered | Completed | Seen | Failed)
                yield one
        finally:
            del self._waiting[number]
            if not ended:
                self._orders.put((number, None))

    def _receive(self, pipe: Connection) -> None:
        """The receiving thread: what the process says goes to the event loop."""
        try:
            while True:
                said = pipe.recv()
                self._loop.call_soon_threadsafe(self._heard, said)
        except (EOFError, OSError):
            pass
        try:
            self._loop.call_soon_threadsafe(self._ended, self._process, self._orders)
        except RuntimeError:
            pass  # the loop is gone, and with it whoever waited

    def _heard(self, said: Card | Batch | str) -> None:
        if isinstance(said, Batch):
            self.load = {**said.load, "tokens": self._drawn + said.load["tokens"]}
            for number, news in said.news:
                if number in self._waiting:
                    self._waiting[number].put_nowait(news)
        elif isinstance(said, Card):
            self.card = said
            self.state = "ready" if self.state == "loading" else self.state
            log.info("%s is ready: %s", said.id, said.weights)
        else:
            log.error("%s cannot be opened: %s", self.opening.name, said)
            self.state = "broken"

    def _ended(self, process: Any, orders: queue.SimpleQueue[Order]) -> None:
        """The process is gone: its jobs fail; one that had been well is started again."""
        orders.put(None)  # the sending thread ends
        if process is not self._process or self.state in ("closed", "broken"):
            return
        process.join()
        why = f"the process of model {self.opening.name!r} ended unexpectedly (exit status {process.exitcode})"
        log.error(why)
        self._fail_all(why)
        self._drawn = self.load.get("tokens", 0)
        recent = [at for at in self._starts if at > time.monotonic() - 60.0]
        if self.state == "ready" and len(recent) <= RESTARTS:
            self.state = "loading"
            self._again = self._loop.create_task(self.start())
        else:
            self.state = "broken"

    def _fail_all(self, why: str) -> None:
        for news in self._waiting.values():
            news.put_nowait(Failed("broken", why))


def _send(pipe: Connection, orders: queue.SimpleQueue[Order]) -> None:
    """The sending thread; it ends with the pipe, or when it is told to with None."""
    try:
        while True:
            order = orders.get()
            pipe.send(order)
            if order is None:
                return
    except (OSError, ValueError):
        pass
