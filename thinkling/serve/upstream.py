"""A gateway: the models of another OpenAI-compatible server, offered beside our own.

A request for one of them by its plain name is passed on byte for byte, and so is what comes back, as it comes.
Under a strategy of ours (``gpt-x+sc:n=5``) the model becomes a source like those here, made when first asked for.

The client's key is ours to check and goes no further; the other server gets the key that this server has for it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from thinkling.core.types import Capabilities
from thinkling.remote.transport import needs_proxy
from thinkling.serve.errors import ApiError, error_body, response
from thinkling.serve.limits import Admission, Gate
from thinkling.serve.settings import Settings
from thinkling.serve.source import Card, Source
from thinkling.serve.state import OpenSource, Startable

log = logging.getLogger("thinkling.serve.upstream")

# What may cross. A list of what may not would have to know every header that is private to one side.
_REQUEST_HEADERS = ("content-type", "accept", "accept-encoding", "openai-beta", "idempotency-key")
_RESPONSE_HEADERS = (
    "content-type",
    "content-length",
    "content-encoding",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
)
_RESPONSE_PREFIXES = ("x-ratelimit-", "openai-")
_FRESH_S = 60.0  # a list of models is believed for so long
_MISSED_S = 5.0  # and for so long where a name is missing from it
_CONNECT_S = 10.0
_LIST_S = 20.0
_OPEN_S = 60.0
_MOST_SOURCES = 8  # each may be a process
_NAME = "upstream"


@dataclass(frozen=True, slots=True)
class _Listing:
    """The other server's models by id; None where it has no list, so that any name may be one of its."""

    models: Mapping[str, Card] | None
    taken: float


class Upstream:
    """The other server. ``local`` are the models here: their names, also under a strategy, are never passed on."""

    def __init__(
        self,
        settings: Settings,
        gate: Gate,
        local: Collection[str],
        open_source: OpenSource,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base = settings.upstream.rstrip("/")
        self._gate, self._places, self._local, self._open = gate, settings.limits.forwarded, local, open_source
        self._sources: dict[str, Source] = {}
        self._listing: _Listing | None = None
        self._refreshing, self._opening = anyio.Lock(), anyio.Lock()
        key = settings.upstream_key
        self._http = httpx.AsyncClient(
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(settings.upstream_timeout_s, connect=_CONNECT_S),
            limits=httpx.Limits(max_connections=self._places + 1, max_keepalive_connections=self._places),
            transport=transport,
            trust_env=needs_proxy(httpx.URL(self._base)),
        )

    async def close(self) -> None:
        await self._http.aclose()
        for source in self._sources.values():
            await _close(source)

    async def models(self) -> list[Card]:
        """The other server's models, as last heard. Raises ApiError 502 where it never told them."""
        listing = await self._listed(_FRESH_S)
        return list((listing.models or {}).values())

    async def has(self, model: str) -> bool:
        """Whether the other server lists a model. Raises ApiError 502 where it cannot be asked."""
        return model in ((await self._listed_with(model)).models or {})

    async def passes(self, model: str) -> bool:
        """Whether a request for ``model`` is to be passed on as it is. Raises ApiError 502 where the name is not one
        of ours and the other server cannot be asked."""
        if any(model == name or model.startswith(f"{name}+") for name in self._local):
            return False
        models = (await self._listed_with(model)).models
        return models is None or model in models

    async def source(self, model: str) -> Source:
        """The source of a model that ``has`` knows, for what a plain request cannot do; always the same one while it
        is in use. Raises ApiError 503 where it cannot be opened, or too many others are in use."""
        async with self._opening:
            source = self._sources.pop(model, None)
            if source is not None and source.state != "ready":
                await _close(source)
                source = None
            if source is None:
                source = await self._opened(model)
            self._sources[model] = source  # last: used last
            return source

    async def _opened(self, model: str) -> Source:
        if len(self._sources) >= _MOST_SOURCES:
            idle = next((name for name in self._sources if self._gate.count(name) == 0), None)
            if idle is None:
                raise ApiError(503, "too many other models are in use", headers={"retry-after": "30"})
            await _close(self._sources.pop(idle))
        source = self._open(model)
        if isinstance(source, Startable):
            await source.start()
        with anyio.move_on_after(_OPEN_S):
            while source.state == "loading":
                await anyio.sleep(0.02)
        if source.state != "ready":
            await _close(source)
            raise ApiError(503, f"the model {model!r} cannot be opened; the server's log says why", code="model_broken")
        return source

    async def forward(self, request: Request) -> Response:
        """The response to a request of ours at ``/v1/...`` that the other server answers. Raises ApiError 429."""
        body, admission = await request.body(), self._gate.admit(_NAME, self._places)
        headers = {name: request.headers[name] for name in _REQUEST_HEADERS if name in request.headers}
        # httpx would ask for compression by itself, and the client get what it cannot read.
        headers.setdefault("accept-encoding", "identity")
        path = request.url.path.removeprefix("/v1")
        return _Forwarded(
            self._http, self._http.build_request("POST", self._base + path, content=body, headers=headers), admission
        )

    async def _listed_with(self, model: str) -> _Listing:
        """A list that is not old; where ``model`` is missing from it, a new one."""
        listing = await self._listed(_FRESH_S)
        if listing.models is not None and model not in listing.models:
            listing = await self._listed(_MISSED_S)
        return listing

    async def _listed(self, fresh_s: float) -> _Listing:
        def old(listing: _Listing | None) -> bool:
            return listing is None or time.monotonic() - listing.taken > fresh_s

        if old(self._listing):
            async with self._refreshing:
                if old(self._listing):
                    self._listing = await self._ask(self._listing)
        assert self._listing is not None
        return self._listing

    async def _ask(self, last: _Listing | None) -> _Listing:
        """The list anew; the last one where the other server fails for a while."""
        try:
            reply = await self._http.get(self._base + "/models", timeout=_LIST_S)
            if reply.status_code in (404, 405, 501):
                return _Listing(None, time.monotonic())
            if reply.status_code != 200:
                raise ValueError(f"status {reply.status_code}")
            return _Listing(_cards(reply.json()), time.monotonic())
        except (httpx.HTTPError, ValueError) as error:
            log.warning("%s/models: %s", self._base, _said(error))
            if last is None:
                raise ApiError(
                    502, "the server behind this one does not tell its models; is it running?", code="upstream_failed"
                ) from None
            return _Listing(last.models, time.monotonic())


class _Forwarded(Response):
    """Sends a request on, and its response back. Nothing is sent before there is somebody to answer, and when the
    client leaves, however early, the other server hears of it: its work is paid for by the token."""

    def __init__(self, http: httpx.AsyncClient, request: httpx.Request, admission: Admission) -> None:
        super().__init__()
        self._http, self._request, self._admission = http, request, admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def until_gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        with self._admission:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(until_gone)
                await self._exchange(scope, receive, send)
                tasks.cancel_scope.cancel()

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            reply = await self._http.send(self._request, stream=True)
        except httpx.HTTPError as error:
            log.warning("%s: %s", self._request.url, _said(error))
            await response(_unreachable(error))(scope, receive, send)
            return
        try:
            refused = _refused(reply)
            if refused is not None:
                log.warning("%s: status %d", self._request.url, reply.status_code)
                await response(refused)(scope, receive, send)
            else:
                await self._relay(reply, send)
        finally:
            with anyio.CancelScope(shield=True):
                await reply.aclose()

    async def _relay(self, reply: httpx.Response, send: Send) -> None:
        headers = [
            (name.lower(), value) for name, value in reply.headers.raw if _crosses(name.lower().decode("latin-1"))
        ]
        if "x-request-id" in reply.headers:
            headers.append((b"x-upstream-request-id", reply.headers["x-request-id"].encode("latin-1")))
        await send({"type": "http.response.start", "status": reply.status_code, "headers": headers})
        try:
            async for chunk in reply.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except httpx.HTTPError as error:
            log.warning("%s: broke off: %s", self._request.url, _said(error))
            if not reply.headers.get("content-type", "").startswith("text/event-stream"):
                raise  # the connection is cut: the client must not take half a body for a whole one
            fault = error_body("the server behind this one broke off", "server_error", code="upstream_failed")
            event = b"\n\ndata: " + json.dumps(fault).encode() + b"\n\n"
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _close(source: Source) -> None:
    if isinstance(source, Startable):
        await source.close()


def _crosses(name: str) -> bool:
    return name in _RESPONSE_HEADERS or name.startswith(_RESPONSE_PREFIXES)


def _refused(reply: httpx.Response) -> ApiError | None:
    """What a status means that speaks to this server and not to its client."""
    if reply.status_code in (401, 403):
        return ApiError(502, "the server behind this one refuses this server's key", code="upstream_key_refused")
    if reply.is_redirect or reply.status_code < 200:
        return ApiError(502, f"the server behind this one answered {reply.status_code}", code="upstream_failed")
    return None


def _unreachable(error: httpx.HTTPError) -> ApiError:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return ApiError(
            503,
            "the server behind this one cannot be reached",
            code="upstream_unreachable",
            headers={"retry-after": "5"},
        )
    if isinstance(error, httpx.TimeoutException):
        return ApiError(502, "the server behind this one did not answer in time", code="upstream_timeout")
    return ApiError(502, "the server behind this one broke off", code="upstream_failed")


def _said(error: Exception) -> str:
    """For the log. httpx quotes no body and no header, but the type alone is often its whole message."""
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _cards(listed: Any) -> dict[str, Card]:
    """The models of a ``/v1/models`` reply; servers tell the context's length under several names (vLLM's first).
    Raises ValueError on what is no such reply."""
    data = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(data, list):
        raise ValueError("no list of models")
    cards = {}
    for item in data:
        if isinstance(item, dict) and isinstance(item.get("id"), str) and item["id"]:
            context = next(
                (v for k in ("max_model_len", "context_length") if type(v := item.get(k)) is int and v > 0), 0
            )
            created = item.get("created")
            cards[item["id"]] = Card(
                item["id"], created if type(created) is int else 0, context, Capabilities(), local=False
            )
    return cards
