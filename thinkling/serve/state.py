"""What all routes of a server share. Every routes file exports ``router(state) -> APIRouter``.

How a route that answers with a model goes (chat, completions):

1.  ``if state.upstream and await state.upstream.passes(model): return await state.upstream.forward(request)``, before
    the body is validated: such a request goes on byte for byte (``request.body()`` may have been read already),
    and what comes back is the other server's. True for a model of the other server, by its plain name.
2.  ``source = await state.source(model)`` with the name's strategy taken off: a model here, or one of the other
    server's under a strategy of ours. Raises 404 (``model_not_found``) and 503 (loading, broken, draining).
3.  ``admission = state.gate.admit(source.card.id)`` takes a place, or raises 429. ``with admission:`` around the whole
    answer gives it back; in a stream, inside the generator.
4.  ``state.metrics.answered(model, usage, seconds=..., first=...)`` once, at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from thinkling.serve.errors import ApiError
from thinkling.serve.settings import Settings
from thinkling.serve.source import Source

if TYPE_CHECKING:
    from thinkling.serve.history import History
    from thinkling.serve.limits import Gate
    from thinkling.serve.metrics import Metrics
    from thinkling.serve.runs import Runs
    from thinkling.serve.upstream import Upstream

# Makes the source of a model of the other server: (its id there, which is its card's) -> Source.
OpenSource = Callable[[str], Source]

LOADING_RETRY_S = 5


@runtime_checkable
class Startable(Protocol):
    """A source that has something to start and to stop (a process, connections); a scripted one has not."""

    async def start(self) -> None:
        """Begin to load; returns at once, while ``state`` is "loading"."""
        ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class ServerState:
    """``sources`` by model id. ``history``, ``runs`` and ``upstream`` are None where they are not offered.

    ``draining``: the server is about to stop; what runs may finish, nothing new begins.
    """

    settings: Settings
    sources: Mapping[str, Source]
    gate: Gate
    metrics: Metrics
    history: History | None = None
    runs: Runs | None = None
    upstream: Upstream | None = None
    draining: bool = field(default=False)

    async def source(self, model: str) -> Source:
        """The source of a model's plain name, ready to answer."""
        found = self.sources.get(model)
        if found is None and self.upstream is not None and await self.upstream.has(model):
            found = await self.upstream.source(model)
        if found is None:
            raise ApiError(
                404,
                f"there is no model {model!r} here; there is: {', '.join(sorted(self.sources)) or 'none'} "
                "(GET /v1/models lists them all)",
                code="model_not_found",
                param="model",
            )
        if found.state == "loading":
            raise ApiError(
                503,
                f"the model {model!r} is still loading; ask again in a few seconds",
                code="model_loading",
                headers={"retry-after": str(LOADING_RETRY_S)},
            )
        if found.state != "ready":
            raise ApiError(503, f"the model {model!r} is {found.state}; the server's log says why", code="model_broken")
        return found
