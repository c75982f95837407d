"""A load of streaming chats for `serving.py`: so many clients, each with one conversation after the other.

A client is a connection that stays open; it sends a chat, reads its stream to the end, checks the framing, and
sends the next. Written on bare sockets, because it shares the machine's cores with the server that it measures.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httptools


@dataclass
class Seen:
    """What the clients saw: seconds between chunks with content, seconds to the first, tokens, faults."""

    gaps: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    answers: int = 0
    tokens: int = 0
    chunks: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        return self.tokens / self.seconds

    def told(self) -> str:
        rows = [
            f"{self.answers:,} answers, {self.tokens:,} tokens in {self.seconds:.0f} s: {self.rate:,.0f} tokens/s, "
            f"{self.tokens / max(1, self.chunks):.1f} a chunk; {len(self.faults)} faults",
            f"gap between chunks: median {1e3 * percentile(self.gaps, 50):.0f} ms, p95 "
            f"{1e3 * percentile(self.gaps, 95):.0f}, p99 {1e3 * percentile(self.gaps, 99):.0f}; first chunk after: "
            f"median {1e3 * percentile(self.firsts, 50):.0f} ms, p95 {1e3 * percentile(self.firsts, 95):.0f}",
        ]
        if self.health:
            rows.append(
                f"/health, {len(self.health):,} times: median {1e3 * percentile(self.health, 50):.1f} ms, p99 "
                f"{1e3 * percentile(self.health, 99):.1f}, worst {1e3 * max(self.health):.1f}"
            )
        return "\n".join("  " + row for row in rows)


def percentile(values: Sequence[float], q: int) -> float:
    return statistics.quantiles(values, n=100)[q - 1] if len(values) > 1 else 0.0


class Connection:
    """One keep-alive connection; ``send`` yields pieces of a response's body as they come."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.status = 0
        self._reader: asyncio.StreamReader | None = None
        self._bodies: list[bytes] = []
        self._done = False

    def on_body(self, body: bytes) -> None:
        self._bodies.append(body)

    def on_message_complete(self) -> None:
        self._done = True

    async def send(self, method: str, path: str, body: bytes = b"") -> Any:
        fresh = self._reader is None
        if self._reader is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        parser = httptools.HttpResponseParser(self)
        self._done = False
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncontent-type: application/json\r\n"
        message = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        self._writer.write(message)
        while not self._done:
            data = await self._reader.read(65536)
            if not data and not fresh:  # some servers close after an answer
                fresh = True
                self._writer.close()
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
                self._writer.write(message)
                continue
            fresh = True
            if not data:
                raise ConnectionError("the server closed the connection in the middle of an answer")
            parser.feed_data(data)
            self.status = parser.get_status_code()
            bodies, self._bodies = self._bodies, []
            yield b"".join(bodies)

    def close(self) -> None:
        if self._reader is not None:
            self._writer.close()


async def one_chat(connection: Connection, body: dict[str, Any], seen: Seen) -> None:
    """Send a chat, read its stream, and note what is wrong with it."""
    sent = time.perf_counter()
    last, rest, finished, usage, ids, done = None, b"", 0, None, 0, False
    async for piece in connection.send("POST", "/v1/chat/completions", json.dumps(body).encode()):
        now = time.perf_counter()
        *whole, rest = (rest + piece).split(b"\n")
        spoke = False
        for line in (line for line in whole if line.startswith(b"data: ")):
            if done:
                raise ValueError(f"something follows [DONE]: {line!r}")
            if line == b"data: [DONE]":
                done = True
                continue
            if b'"finish_reason":null' in line and not body.get("tokens"):  # read in full: one chat in `every`
                spoke = spoke or b'content":"' in line.replace(b'content":""', b"")
                continue
            chunk = json.loads(line[6:])
            if "error" in chunk:
                raise ValueError(str(chunk["error"]))
            usage = chunk.get("usage") or usage
            for choice in chunk["choices"]:
                delta = choice["delta"]
                said = (delta.get("reasoning_content") or "") + (delta.get("content") or "")
                ids += len(delta.get("tokens") or ())
                finished += choice["finish_reason"] is not None
                spoke = spoke or bool(said)
        if spoke:
            seen.chunks += 1
            (seen.firsts if last is None else seen.gaps).append(now - (sent if last is None else last))
            last = now
    if connection.status != 200:
        raise ValueError(f"status {connection.status}: {rest!r}")
    if not done or finished != 1 or usage is None:
        raise ValueError(f"a stream without its proper end: {finished} finish reasons, usage {usage}, done {done}")
    if body.get("tokens") and ids != usage["completion_tokens"]:
        raise ValueError(f"{usage['completion_tokens']} tokens were drawn, {ids} were told")
    seen.answers += 1
    seen.tokens += usage["completion_tokens"]


async def load(
    port: int, bodies: Iterator[dict[str, Any]], *, clients: int, seconds: float, health: bool = True
) -> Seen:
    """``clients`` side by side for ``seconds``; answers that are not done by then count as far as they came: not."""
    seen = Seen()
    end = time.monotonic() + seconds

    async def client() -> None:
        connection = Connection(port)
        while time.monotonic() < end:
            try:
                await one_chat(connection, next(bodies), seen)
            except (ConnectionError, ValueError, KeyError, httptools.HttpParserError) as error:
                seen.faults.append(f"{type(error).__name__}: {error}")
                connection.close()
                connection = Connection(port)
        connection.close()

    async def watch() -> None:
        connection = Connection(port)
        while health and time.monotonic() < end:
            asked = time.perf_counter()
            async for _ in connection.send("GET", "/health"):
                pass
            seen.health.append(time.perf_counter() - asked)
            await asyncio.sleep(0.05)
        connection.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)), watch())
    seen.seconds = time.perf_counter() - begun
    return seen


def chats(prompts: Sequence[str], *, model: str, max_tokens: int, every: int = 0) -> Iterator[dict[str, Any]]:
    """Bodies without end, each with a seed of its own; every so many also asks for its tokens' ids."""
    for number in itertools.count():
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": prompts[number % len(prompts)]}],
            "max_tokens": max_tokens,
            "temperature": 1.0,
            "seed": number,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if every and number % every == 0:
            body["tokens"] = True
        yield body
