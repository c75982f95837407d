"""Looks inside a model over HTTP: a walk through attention, attention maps, the logit lens.

The text is turned into tokens here; what is seen, the model's process computes (`thinkling.glass`), which also says
what is wrong with a layer, a head or a text's length. JSON of half a megabyte and more is written in a thread.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any, Self

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, Field, model_validator

from thinkling.serve.asking import chat_ids, in_thread, plain_source, turns
from thinkling.serve.errors import RESPONSES, ApiError
from thinkling.serve.names import split
from thinkling.serve.schemas.messages import Messages
from thinkling.serve.schemas.shared import Body, Id, ModelName, Text, fault
from thinkling.serve.source import Failed, Look, Seen, Source
from thinkling.serve.state import ServerState
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import opening_ids

Number = float | int


class AttentionBody(Body):
    """What to read: one of ``prompt`` (a document), ``messages`` (and the header of the assistant's next turn) and
    ``tokens`` (ids, taken as they are), and ``forced_tokens`` after it; up to 64 tokens in all."""

    model: ModelName
    prompt: Text | None = None
    messages: Messages | None = None
    tokens: list[Id] | None = Field(None, min_length=1)
    forced_tokens: list[Id] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.tokens, self.prompt, self.messages)) != 1:
            raise fault("expected one of tokens, prompt and messages")
        return self

    @property
    def given(self) -> str:
        """The field that is there."""
        return next(name for name in ("tokens", "prompt", "messages") if getattr(self, name) is not None)


class WalkBody(AttentionBody):
    layer: Id = 0
    head: Id = 0
    position: int = Field(-1, ge=-(2**31), lt=2**31, description="Whose next token; -1 is the last.")


class LensBody(AttentionBody):
    top: int = Field(5, ge=1, le=20, description="Likeliest tokens of each row.")


class SeenToken(BaseModel):
    id: int
    text: str
    special: bool


class Likely(BaseModel):
    id: int
    text: str
    probability: Number


class LikelyLogit(Likely):
    logit: Number


class SeenWalk(BaseModel):
    """Numbers have four significant digits. ``residual`` is what the layer reads, query and key are those that are
    multiplied; a score of a token that comes later is null."""

    tokens: list[SeenToken]
    layers: int
    heads: int
    kv_heads: int
    width: int
    head_dim: int
    vocabulary: int
    layer: int
    head: int
    position: int
    embedding: list[list[Number]]
    residual: list[list[Number]]
    query: list[list[Number]]
    key: list[list[Number]]
    value: list[list[Number]]
    scores: list[list[Number | None]]
    weights: list[list[Number]]
    context: list[list[Number]]
    logits: list[LikelyLogit]
    entropy: Number = Field(description="Nats.")


class SeenAttention(BaseModel):
    tokens: list[SeenToken]
    weights: list[list[list[list[Number]]]] = Field(description="[layer][head][token][token that it looks at].")


class LensRow(BaseModel):
    """``top[token]``: the likeliest next tokens, were the model to end before this layer (0: before the first)."""

    layer: int
    top: list[list[Likely]]


class SeenLens(BaseModel):
    tokens: list[SeenToken]
    layers: list[LensRow]
    final: LensRow = Field(description="The last of them: the model's own prediction.")


_FAULTS: dict[int | str, dict[str, Any]] = {
    status: RESPONSES[status] for status in (400, 401, 403, 404, 413, 429, 500, 502, 503)
}


def router(state: ServerState) -> APIRouter:
    """The routes of ``/api/glass``."""
    routes = APIRouter(prefix="/api/glass", tags=["glass"], responses=_FAULTS)

    async def look(what: str, body: AttentionBody, **options: int) -> Response:
        base, _ = await split(state, body.model)
        if not (await state.source(base)).card.local:
            raise ApiError(
                400, f"one can only look inside a model that runs here; {base!r} runs elsewhere", param="model"
            )
        source, tokenizer = await plain_source(state, body.model)
        with state.gate.admit(source.card.id):
            tokens = await _ids(source, tokenizer, body)
            value = await _seen(source, Look(what, {"tokens": tokens, **options}), body.given)
            content = await asyncio.to_thread(json.dumps, value, allow_nan=False, separators=(",", ":"))
        return Response(content, media_type="application/json")

    @routes.post("/walk", responses={200: {"model": SeenWalk}})
    async def walk(body: WalkBody) -> Response:
        """One head of one layer, step by step, and what the model says after a position."""
        return await look("walk", body, layer=body.layer, head=body.head, position=body.position)

    @routes.post("/attention", responses={200: {"model": SeenAttention}})
    async def attention(body: AttentionBody) -> Response:
        """The attention weights of every head."""
        return await look("attention", body)

    @routes.post("/lens", responses={200: {"model": SeenLens}})
    async def lens(body: LensBody) -> Response:
        """What the model would say if it ended before each layer (the logit lens)."""
        return await look("lens", body, top=body.top)

    return routes


async def _ids(source: Source, tokenizer: Tokenizer, body: AttentionBody) -> list[int]:
    forced, prompt = body.forced_tokens or [], body.prompt
    if body.tokens is not None:
        return [*body.tokens, *forced]
    if prompt is not None:
        said = await in_thread(len(prompt), lambda: tokenizer.encode(prompt))
        return [*opening_ids(tokenizer), *said, *forced]
    assert body.messages is not None
    return [*await chat_ids(tokenizer, turns(body.messages, source.card)), *forced]


async def _seen(source: Source, job: Look, given: str) -> dict[str, Any]:
    """What the model's process saw; ``given`` names the field that the tokens come from."""
    async with aclosing(source.ask(job)) as news:  # type: ignore[type-var]
        async for end in news:
            if isinstance(end, Seen):
                return end.value
            if isinstance(end, Failed) and end.kind != "broken":
                name = end.message.partition(":")[0]  # an argument's message begins with its name
                param = given if name == "tokens" else name if name in job.arguments else None
                raise ApiError(400, end.message, param=param)
    raise ApiError(500, "the model's process could not look inside it; the server's log says why", code="model_failed")
