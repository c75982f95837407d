"""Running a job for a client: at most so many at once, cancelled when the client leaves, counted at the end."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from thinkling.core.types import Usage
from thinkling.serve.errors import RESPONSES, ApiError, ErrorBody
from thinkling.serve.source import Answered, Completed, Failed, Job, News, Source, Tokens
from thinkling.serve.sse import KEEP_ALIVE, MEDIA_TYPE, SILENCE_S, Pace, batches, failed
from thinkling.serve.state import ServerState

ANSWER_ERRORS: dict[int | str, dict[str, Any]] = {
    status: RESPONSES[status] for status in (400, 401, 403, 404, 413, 429, 500, 502, 503)
}


class Teller(Protocol):
    """Makes a stream's bytes of a job's news."""

    def opening(self) -> bytes:
        """What comes before all news."""
        ...

    def news(self, batch: Sequence[News]) -> bytes: ...

    def bill(self, end: Answered | Completed) -> Usage: ...


def documented(reply: type, chunk: type) -> dict[int | str, dict[str, Any]]:
    """What a route answers, in one piece or as a stream, and its errors."""
    data = {
        "anyOf": [
            {
                "contentMediaType": "application/json",
                "contentSchema": {"$ref": f"#/components/schemas/{chunk.__name__}"},
            },
            {"const": "[DONE]", "description": "The last event."},
            {
                "contentMediaType": "application/json",
                "contentSchema": {"$ref": f"#/components/schemas/{ErrorBody.__name__}"},
            },
        ],
        "type": "string",
    }
    event = {"type": "object", "properties": {"data": data}, "required": ["data"]}
    content = {MEDIA_TYPE: {"itemSchema": event}}
    return {200: {"model": reply, "content": content, "description": "The answer, or a stream of it."}, **ANSWER_ERRORS}


async def whole(state: ServerState, source: Source, job: Job) -> list[News]:
    """A job's news, of which the last is its end. Raises ApiError where it fails."""
    news: list[News] = []
    with state.gate.admit(source.card.id):
        async with aclosing(_closable(source.ask(job))) as flow:
            async for item in flow:
                news.append(item)
    if isinstance(news[-1], Failed):
        raise fault(news[-1], source)
    return news


async def stream(
    state: ServerState, source: Source, job: Job, teller: Teller, pace: Pace
) -> AsyncGenerator[tuple[bytes, bool], None]:
    """A stream's bytes, and whether they are its last. An error before the first of them is raised; a later one is
    the stream's last event."""
    begun, first, opened = time.monotonic(), None, False
    with state.gate.admit(source.card.id):
        async with aclosing(batches(source.ask(job), pace, SILENCE_S)) as flow:
            async for batch in flow:
                end = batch[-1] if batch else None
                if isinstance(end, Failed) and not opened:
                    raise fault(end, source)
                if first is None and any(isinstance(item, Tokens) for item in batch):
                    first = time.monotonic() - begun
                head = b"" if opened else teller.opening()
                opened = True
                chunk = head + (teller.news(batch) if batch else KEEP_ALIVE)
                if isinstance(end, Failed):
                    chunk += failed(fault(end, source))
                if isinstance(end, Answered | Completed):
                    seconds = time.monotonic() - begun
                    state.metrics.answered(source.card.id, teller.bill(end), seconds=seconds, first=first)
                last = isinstance(end, Answered | Completed | Failed)
                if chunk or last:
                    yield chunk, last


def fault(end: Failed, source: Source) -> ApiError:
    """The error of a job that failed. What broke is told to the log alone."""
    if end.kind == "context":
        return ApiError(400, end.message, code="context_length_exceeded")
    if end.kind == "user":
        return ApiError(400, end.message)
    if not source.card.local:
        return ApiError(502, "the server behind this one failed; the log says how", code="upstream_failed")
    return ApiError(500, f"the model {source.card.id!r} failed; the server's log says how", code="model_failed")


async def _closable(news: AsyncIterator[News]) -> AsyncGenerator[News, None]:
    try:
        async for item in news:
            yield item
    finally:
        if isinstance(news, AsyncGenerator):
            await news.aclose()
