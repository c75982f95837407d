"""The server: all routes, one layer of checks before them, and a start and an end.

state = make_state(settings, {"nano": source})
Server(state).run()
"""

from __future__ import annotations

import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from uvicorn.config import LOGGING_CONFIG

import thinkling
from thinkling.serve import (
    chat,
    completions,
    errors,
    following,
    garbage,
    history_routes,
    looking_routes,
    models_routes,
    pages,
    runs_routes,
    strategies_routes,
    tokenizing,
)
from thinkling.serve.history import History
from thinkling.serve.limits import Gate
from thinkling.serve.metrics import Metrics
from thinkling.serve.runs import Runs
from thinkling.serve.schemas.chat import ChatChunk
from thinkling.serve.schemas.completions import CompletionReply
from thinkling.serve.security import Shield
from thinkling.serve.settings import Settings
from thinkling.serve.source import Source
from thinkling.serve.state import OpenSource, ServerState, Startable
from thinkling.serve.upstream import Upstream

ROUTES = (
    models_routes,
    chat,
    completions,
    tokenizing,
    following,
    looking_routes,
    strategies_routes,
    history_routes,
    runs_routes,
)
STREAMED = (ChatChunk, CompletionReply)  # what events hold, to which routes only refer
_REF = "#/components/schemas/{model}"
_KEY_SCHEME = "key"
_OPEN = ("/health",)


def make_state(settings: Settings, sources: Mapping[str, Source], open_source: OpenSource | None = None) -> ServerState:
    """What the routes share. ``open_source`` makes the sources of the other server's models; needed with
    ``settings.upstream``. Raises UserError for a history or a folder of runs that cannot be used."""
    state = ServerState(settings, sources, Gate(settings.limits.queue), Metrics(sources))
    if settings.upstream:
        if open_source is None:
            raise ValueError("settings.upstream without open_source")
        state.upstream = Upstream(settings, state.gate, sources.keys(), open_source)
    state.runs = None if settings.runs is None else Runs(settings.runs)
    state.history = None if settings.history is None else History(settings.history)
    return state


def build_app(state: ServerState) -> FastAPI:
    """The application. Its life starts the sources, and closes all that ``state`` holds."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as open_things:
            if state.history is not None:
                open_things.callback(state.history.close)
            if state.upstream is not None:
                open_things.push_async_callback(state.upstream.close)
            for source in state.sources.values():
                if isinstance(source, Startable):
                    open_things.push_async_callback(source.close)
                    await source.start()
            garbage.settle()
            yield

    # No page of documentation: the usual ones load their scripts from elsewhere.
    app = FastAPI(
        title="thinkling",
        version=thinkling.__version__,
        summary="Models that think, over OpenAI's API: reasoning strategies behind a model's name.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=life,
    )
    for routes in ROUTES:
        app.include_router(routes.router(state))
    app.include_router(pages.router(fresh=state.settings.development))
    errors.install(app)
    app.add_middleware(Shield, state=state)
    _document(app, keyed=bool(state.settings.key))
    return app


def _document(app: FastAPI, keyed: bool) -> None:
    """Make ``/openapi.json`` tell what FastAPI does not know: the key, a stream's events, and that a bad field is a
    400."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        fresh = app.openapi_schema is None
        schema = plain()
        if fresh:
            schema["components"]["schemas"].pop("HTTPValidationError", None)
            schema["components"]["schemas"].pop("ValidationError", None)
            _, streamed = models_json_schema([(model, "serialization") for model in STREAMED], ref_template=_REF)
            for name, shape in streamed["$defs"].items():
                schema["components"]["schemas"].setdefault(name, shape)
            if keyed:
                schema["components"]["securitySchemes"] = {_KEY_SCHEME: {"type": "http", "scheme": "bearer"}}
            for path, operations in schema["paths"].items():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
                    if keyed and path not in _OPEN:
                        operation["security"] = [{_KEY_SCHEME: []}]
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


class Server(uvicorn.Server):
    """Told to stop, it takes nothing new, and lets what is under way come to its end for a while."""

    def __init__(self, state: ServerState) -> None:
        settings = state.settings
        super().__init__(
            uvicorn.Config(
                build_app(state),
                host=settings.host,
                port=settings.port,
                log_level=settings.log_level,
                log_config=_logging(settings),
                access_log=False,  # ours tells more, and no query
                server_header=False,
                proxy_headers=False,  # nothing here depends on the client's address
                ws="none",
                timeout_graceful_shutdown=max(1, round(settings.drain_s)),
            )
        )
        self._state = state

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second Ctrl-C does not wait. uvicorn would raise the signal again at the end, and an
        orderly end be reported as a death by it."""
        self._state.draining = True
        self.force_exit = self.force_exit or (self.should_exit and sig == signal.SIGINT)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """The end. Whoever does not wait for answers still has the sources closed; uvicorn would leave them open."""
        await super().shutdown(sockets)
        if self.force_exit:
            await self.lifespan.shutdown()


def _logging(settings: Settings) -> dict[str, Any]:
    """uvicorn's own, and our lines beside it."""
    ours = {"handlers": ["default"], "level": settings.log_level.upper()}
    return {**LOGGING_CONFIG, "loggers": {**LOGGING_CONFIG["loggers"], "thinkling": ours}}
