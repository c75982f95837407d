"""``/v1/models``: what can be asked here, and ``/health``, ``/metrics``: how the server is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from thinkling.serve.errors import RESPONSES, ApiError
from thinkling.serve.metrics import CONTENT_TYPE
from thinkling.serve.source import Card
from thinkling.serve.state import ServerState


class Abilities(BaseModel):
    """What a model offers beyond plain chat (`thinkling.core.types.Capabilities`)."""

    prefix: bool
    logprobs: bool
    scoring: bool
    mask: bool
    fork: bool
    value: bool
    think: bool
    until: bool


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Seconds since 1970.")
    owned_by: str = Field(description="`thinkling`, or `upstream` for a model of the server behind this one.")
    context_length: int | None = Field(description="Prompt and answer together, in tokens; null where unknown.")
    capabilities: Abilities
    local: bool = Field(description="Whether one can look inside it.")


class Models(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class Health(BaseModel):
    status: Literal["ok", "loading", "broken", "draining"]


def router(state: ServerState) -> APIRouter:
    routes = APIRouter()

    @routes.get("/v1/models", responses=_errors(401, 403, 502, 503), tags=["models"])
    async def list_models() -> Models:
        """All models: those here, then those of the server behind this one."""
        return Models(data=await _models(state))

    # A name may hold slashes, as on model hubs.
    @routes.get("/v1/models/{model:path}", responses=_errors(401, 403, 404, 502, 503), tags=["models"])
    async def retrieve_model(model: str) -> Model:
        """One model."""
        for found in await _models(state):
            if found.id == model:
                return found
        raise ApiError(404, f"there is no model {model!r} here", code="model_not_found", param="model")

    @routes.get("/health", responses={503: {"model": Health}, **_errors(403)}, tags=["server"])
    async def health(response: Response) -> Health:
        """Whether the server takes requests: every model here has loaded. Needs no key."""
        status = _status(state)
        if status != "ok":
            response.status_code = 503
        return Health(status=status)

    @routes.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **_errors(401, 403)},
        tags=["server"],
    )
    async def metrics() -> Response:
        """Counters and gauges, in Prometheus' text format."""
        return Response(state.metrics.text(), media_type=CONTENT_TYPE)

    return routes


def _errors(*statuses: int) -> dict[int | str, dict[str, object]]:
    return {status: RESPONSES[status] for status in statuses}


def _status(state: ServerState) -> Literal["ok", "loading", "broken", "draining"]:
    states = [source.state for source in state.sources.values()]
    if state.draining:
        return "draining"
    if "broken" in states or "closed" in states:
        return "broken"
    return "loading" if "loading" in states else "ok"


async def _models(state: ServerState) -> list[Model]:
    own = [_model(source.card, "thinkling") for source in state.sources.values()]
    if state.upstream is None:
        return own
    names = {model.id for model in own}
    try:
        others = await state.upstream.models()
    except ApiError:
        if not own:
            raise
        others = []  # what is here works all the same; the failure is in the log
    return own + [_model(card, "upstream") for card in others if card.id not in names]


def _model(card: Card, owner: str) -> Model:
    return Model(
        id=card.id,
        created=card.created,
        owned_by=owner,
        context_length=card.context or None,
        capabilities=Abilities(**asdict(card.capabilities)),
        local=card.local,
    )
