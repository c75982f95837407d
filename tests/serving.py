"""Real servers for tests: the application on a port of its own in a thread, and `thinkling serve` as a process.

The application speaks for a `Script`, whose answer the last message asks for: ``say one two`` is answered by
``one two``. So what a client shows can be compared with what it should show, word by word.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import httpx
import psutil
import uvicorn

from thinkling.core.locate import PACKAGED
from thinkling.serve.app import Server, make_state
from thinkling.serve.scripted import Script
from thinkling.serve.settings import Settings
from thinkling.serve.source import Ask, Complete, Failed, Job
from thinkling.tokenizer.bpe import Tokenizer

TOKENIZER = Tokenizer.load(PACKAGED)
PLAIN = "Hello, how are you? It is one of those days."
QUIET = {
    "HTTP_PROXY": "http://127.0.0.1:9",  # nobody is there
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1,localhost",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it fetches a list of prices
    "LANGSMITH_TRACING": "false",
    "DO_NOT_TRACK": "1",
    "NO_COLOR": "1",
}
PATIENCE = 30.0  # seconds for what takes one or two


def say(job: Job, index: int) -> str | Failed:
    """What is asked for: ``say TEXT`` (TEXT may hold think tags), ``count`` (its own number), ``break``."""
    if isinstance(job, Ask):
        asked = job.sample.messages[-1].text
    else:
        assert isinstance(job, Complete)
        asked = TOKENIZER.decode(job.requests[index].tokens + job.requests[index].forced)
    found = re.search(r"(say|count|break)(?: (.*))?$", asked, re.DOTALL)
    if found is None:
        return PLAIN
    if found[1] == "break":
        return Failed("broken", "the secret reason")
    return found[2] or "" if found[1] == "say" else f"number {index}"


def scripted(kind: type[Script] = Script, **changes: Any) -> Script:
    return kind(TOKENIZER, say, **changes)


class Listening:
    """A context manager: a server of uvicorn's on a free port of the loopback, in a thread."""

    def __init__(self, server: uvicorn.Server) -> None:
        self._server = server
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.api = f"{self.address}/v1"
        self._thread = threading.Thread(target=server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_for(lambda: self._server.started or not self._thread.is_alive())
        if not self._server.started:
            raise RuntimeError("the server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        self._socket.close()


class Serving(Listening):
    """Our application in front of ``source``; ``settings`` are `Settings`'."""

    def __init__(self, source: Script | None = None, **settings: Any) -> None:
        self.source = source or scripted()
        settings = {"access_log": False, "log_level": "warning", "drain_s": 2.0, **settings}
        self.state = make_state(Settings(**settings), {self.source.card.id: self.source})
        super().__init__(Server(self.state))

    def running(self) -> float:
        """The gauge of running jobs, as anybody can read it."""
        return gauge(self.address, "thinkling_sequences_running", self.source.card.id)


def gauge(address: str, name: str, model: str) -> float:
    text = httpx.get(f"{address}/metrics", trust_env=False).text
    start = f'{name}{{model="{model}"}} '
    return next(float(line.removeprefix(start)) for line in text.splitlines() if line.startswith(start))


def wait_for(true: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Return as soon as ``true()``; raise TimeoutError where that does not come."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise TimeoutError("what was waited for did not come")
        time.sleep(0.01)


def loopback_environment() -> dict[str, str]:
    """The environment for a client's process: what it would fetch beyond the loopback fails at once, and the usual
    reporting is off."""
    hidden = {name for name in os.environ if name.lower().endswith("_proxy") or "API_KEY" in name}
    return {name: value for name, value in os.environ.items() if name not in hidden} | QUIET


@contextmanager
def loopback_alone() -> Iterator[None]:
    """For clients in this process: raise what they would reach beyond the loopback, also where they hide it."""
    before, beyond = dict(os.environ), []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def seen(host: object) -> None:
        if host not in ("127.0.0.1", "localhost", "::1"):
            beyond.append(host)
            raise OSError(f"{host}: a test asks beyond the loopback")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple):
            seen(address[0])
        connect(self, address)

    def guarded_look_up(host: Any, *more: Any, **options: Any) -> Any:
        seen(host)
        return look_up(host, *more, **options)

    os.environ.clear()
    os.environ.update(loopback_environment())
    socket.socket.connect, socket.getaddrinfo = guarded_connect, guarded_look_up  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        socket.socket.connect, socket.getaddrinfo = connect, look_up  # type: ignore[method-assign]
        os.environ.clear()
        os.environ.update(before)
    assert not beyond


class Process:
    """A context manager: ``thinkling serve ...`` on a free port. What it says goes to ``log``."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self._folder = TemporaryDirectory()
        self._log = Path(self._folder.name) / "log"
        self._words = (*arguments, "--port", "0", "--no-history", "--runs", self._folder.name)
        self._environment = {**loopback_environment(), "OMP_NUM_THREADS": "1", **(environment or {})}

    def __enter__(self) -> Self:
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "thinkling", "serve", *self._words],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )
        try:
            self._until(lambda: "(page)" in self.log)
            found = re.search(r"http://localhost(:\d+) \(page\)", self.log)
            assert found is not None
            self.address = f"http://127.0.0.1{found[1]}"
            self.api = f"{self.address}/v1"
            self._until(self.is_ready)
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self._process.kill()
                raise
        self._folder.cleanup()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.address}/health", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """The exit status."""
        return self._process.wait(PATIENCE)

    def model(self) -> psutil.Process:
        """The process that holds the model."""
        (found,) = (
            child
            for child in psutil.Process(self._process.pid).children()
            if any("spawn_main" in word for word in child.cmdline())
        )
        return found

    def _until(self, true: Callable[[], bool]) -> None:
        wait_for(lambda: true() or self._process.poll() is not None)
        if self._process.poll() is not None:
            raise RuntimeError(f"it ended ({self._process.returncode}):\n{self.log}")


def named(name: str, **changes: Any) -> Script:
    """A scripted model of another name."""
    made = scripted(**changes)
    made.card = replace(made.card, id=name)
    return made
