"""Server-sent events as OpenAI's clients read them: ``data: JSON``, an empty line, and at last ``data: [DONE]``.

No ``id:`` and no ``retry:``: they would have a browser connect again and pay for the answer a second time. A comment
now and then keeps proxies from cutting a silent connection. When the client leaves, what makes the events is
closed at once, and the work behind it with it. So it is when a client stays and reads nothing: its place would be
taken, and its news be kept, for as long as it likes.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from thinkling.serve.errors import ApiError, error_body
from thinkling.serve.source import News, Tokens

T = TypeVar("T")
DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
MEDIA_TYPE = "text/event-stream"
SILENCE_S = 10.0
STALLED_S = 60.0  # a client that takes nothing for so long has left,
PIECE = 2**16  # while one on a slow line takes this many bytes by then
GONE = 499  # a status that nobody reads: the client has left


def event(value: Any) -> bytes:
    """One event. Line breaks in texts are escaped by JSON, so that a value is always one line."""
    return b"data: " + dumps(value).encode() + b"\n\n"


def dumps(value: Any) -> str:
    """Compact JSON, in UTF-8's characters."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def failed(error: ApiError) -> bytes:
    """The event with which a stream that has begun tells that it failed; nothing comes after it."""
    return event(error_body(error.message, error.type, code=error.code, param=error.param))


@dataclass(slots=True)
class Pace:
    """How long a stream's tokens wait for the next ones: the longer, the more streams there are, so that all of
    them together send at most about ``1 / each`` events a second, while a lone one shows every token."""

    least: float = 0.02
    each: float = 0.0011
    streams: int = 0

    @property
    def interval(self) -> float:
        """Seconds."""
        return max(self.least, self.each * self.streams)

    def __enter__(self) -> None:
        self.streams += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.streams -= 1


async def batches(news: AsyncIterator[News], pace: Pace, silence: float) -> AsyncGenerator[list[News], None]:
    """The news, in order, as many together as have come; an empty batch after ``silence`` seconds without any.

    The first tokens are told at once. Closing this closes ``news``.
    """
    box: deque[News] = deque()
    ready = asyncio.Event()

    async def collect() -> None:
        try:
            async for item in news:
                box.append(item)
                ready.set()
        finally:
            ready.set()

    collecting = asyncio.create_task(collect())
    try:
        with pace:
            while True:
                try:
                    async with asyncio.timeout(silence):
                        await ready.wait()
                except TimeoutError:
                    yield []
                    continue
                ready.clear()
                batch = list(box)
                box.clear()
                over = collecting.done()
                if batch:
                    yield batch
                if over:
                    collecting.result()
                    return
                if any(isinstance(item, Tokens) for item in batch):
                    await asyncio.sleep(pace.interval)
    finally:
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)
        if isinstance(news, AsyncGenerator):
            await news.aclose()


async def until_gone(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """The work's result; None, and the work cancelled, when the client leaves first."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(until_gone(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


class EventStream(Response):
    """Sends what ``chunks`` yields: bytes, and whether they are the last. Nothing is sent before the first, so that an
    error until then is a response of its own status. ``chunks`` is closed at the end, however it comes."""

    def __init__(
        self, chunks: AsyncGenerator[tuple[bytes, bool], None], headers: Mapping[str, str] | None = None
    ) -> None:
        self.chunks = chunks
        self.status_code = 200
        self.media_type = MEDIA_TYPE
        self.background = None
        self.init_headers({"cache-control": "no-cache", "x-accel-buffering": "no", **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await unless_gone(receive, self._write(send))

    async def _write(self, send: Send) -> None:
        begun = False

        async def body(chunk: bytes, more: bool = True) -> None:
            pieces = [chunk[at : at + PIECE] for at in range(0, len(chunk), PIECE)] or [b""]
            for i, piece in enumerate(pieces, 1):
                try:
                    async with asyncio.timeout(STALLED_S):
                        await send({"type": "http.response.body", "body": piece, "more_body": more or i < len(pieces)})
                except TimeoutError:
                    raise ClientDisconnect from None

        try:
            async for chunk, last in self.chunks:
                if not begun:
                    begun = True
                    await self._begin(send)
                await body(chunk, more=not last)
        except Exception as error:
            if begun and not isinstance(error, OSError | ClientDisconnect):  # the client must not take this for an end
                await body(failed(ApiError(500, "the server failed; its log says how")))
                await body(b"", more=False)
            raise
        finally:
            await self.chunks.aclose()

    async def _begin(self, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
