"""An HTTP server on the loopback that does to each request what a script says: the test's twin of an endpoint.

A rule sees a request and gives the reaction to it: a reply, late or cut off in the middle, an error, a page of
HTML. The server counts what it saw: requests, how many were open at once, clients that hung up while they waited.
``python tests/scripted_server.py`` serves one fixed reply in a process of its own, for measuring clients.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Asked:
    """A request as it came: its number, target, headers (names in lower case), JSON body, time of arrival."""

    number: int
    target: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    at: float

    @property
    def text(self) -> str:
        """What was said last, or the text to continue."""
        return self.body["messages"][-1]["content"] if "messages" in self.body else self.body["prompt"]


@dataclass(frozen=True)
class Reaction:
    """``body`` is sent after ``delay`` seconds; ``cut``: only so many bytes of all, then the connection drops."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: int | None = None
    chunked: bool = False
    close: bool = False


Rule = Callable[[Asked], Reaction]


def chat(
    text: str | None, *, usage: tuple[int, int] | None = (10, 5), finish: str = "stop", **message: Any
) -> dict[str, Any]:
    """A chat completion; ``message`` are further fields of its message."""
    told = {"role": "assistant", "content": text, **message}
    reply: dict[str, Any] = {
        "object": "chat.completion",
        "model": "served-model",
        "choices": [{"index": 0, "message": told, "finish_reason": finish}],
    }
    if usage is not None:
        reply["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return reply


def text(said: str, **choice: Any) -> dict[str, Any]:
    """A completion of plain text; ``choice`` are further fields of its choice."""
    return {
        "object": "text_completion",
        "model": "served-model",
        "choices": [{"index": 0, "text": said, "finish_reason": "stop", **choice}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None, **error: Any) -> Reaction:
    return Reaction({"error": {"message": message, **error}}, status, headers or {})


PAGE = "<!DOCTYPE html><html><head><title>t</title></head><body><h1>Bad gateway</h1> try later</body></html>"
STALL = 3600.0
HTML = Reaction(PAGE, headers={"content-type": "text/html"})
DROP = Reaction(chat("lost"), cut=150)
HANG_UP = Reaction(cut=0)


def in_turn(reactions: Iterable[Reaction | str]) -> Rule:
    """The reactions one by one; a text is a chat reply."""
    left = iter(reactions)

    def rule(asked: Asked) -> Reaction:
        reaction = next(left)
        return Reaction(chat(reaction)) if isinstance(reaction, str) else reaction

    return rule


class ScriptedServer:
    """A context manager; serves on a thread of its own at ``base_url``."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.asked: list[Asked] = []
        self.open = self.most_open = self.connections = self.hung_up = 0
        self.faults: list[BaseException] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        if error is None and self.faults:
            raise self.faults[0]

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._shut())
        self._loop.close()

    async def _shut(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                asked = await self._read(reader)
                self.asked.append(asked)
                self.open += 1
                self.most_open = max(self.most_open, self.open)
                try:
                    if not await self._react(self.rule(asked), reader, writer):
                        break
                finally:
                    self.open -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except Exception as error:
            self.faults.append(error)
        finally:
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> Asked:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *rows = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
        body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))))
        return Asked(len(self.asked), line.split()[1], headers, body, time.monotonic())

    async def _react(self, reaction: Reaction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send the reaction; returns whether the connection stays open."""
        until = time.monotonic() + reaction.delay
        while (left := until - time.monotonic()) > 0:
            if reader.at_eof() or reader.exception() is not None:
                self.hung_up += 1
                return False
            await asyncio.sleep(min(left, 0.01))
        writer.write(wire(reaction)[: reaction.cut])
        await writer.drain()
        if reaction.cut is not None:
            writer.close()  # after what was written
            await writer.wait_closed()
        return reaction.cut is None and not reaction.close


def wire(reaction: Reaction) -> bytes:
    """A reaction's bytes, all of them."""
    body = reaction.body if isinstance(reaction.body, bytes | str) else json.dumps(reaction.body)
    data = body.encode() if isinstance(body, str) else body
    fields = {"content-type": "application/json", **reaction.headers}
    if reaction.chunked:
        fields["transfer-encoding"] = "chunked"
        pieces = [data[at : at + 50] for at in range(0, len(data), 50)]
        data = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    else:
        fields["content-length"] = str(len(data))
    if reaction.close:
        fields["connection"] = "close"
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {reaction.status} Whatever\r\n{head}\r\n".encode() + data


class _Fixed(asyncio.Protocol):
    """Answers every request at once with the same bytes."""

    reply = wire(Reaction(chat("The answer is 42.")))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.bytes = transport, b""

    def data_received(self, data: bytes) -> None:
        self.bytes += data
        while (end := self.bytes.find(b"\r\n\r\n")) >= 0:
            head = self.bytes[:end].lower()
            size = end + 4 + int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            if len(self.bytes) < size:
                return
            self.bytes = self.bytes[size:]
            self.transport.write(self.reply)  # type: ignore[attr-defined]


async def _serve_fixed() -> None:
    server = await asyncio.get_running_loop().create_server(_Fixed, "127.0.0.1", 0, backlog=1000)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve_fixed())
