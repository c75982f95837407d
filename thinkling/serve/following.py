"""`POST /api/next`: the whole distribution over what may come next, for looking at a fork in the road."""

from __future__ import annotations

import math

from fastapi import APIRouter, Request, Response

from thinkling.core.types import Request as Work
from thinkling.core.types import Sampling
from thinkling.serve import answering, asking
from thinkling.serve.errors import ApiError
from thinkling.serve.schemas.tokens import Follower, Following, NextBody
from thinkling.serve.source import Card, Complete, Completed
from thinkling.serve.sse import GONE, unless_gone
from thinkling.serve.state import ServerState
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import opening_ids

Top = tuple[tuple[int, float], ...]


def router(state: ServerState) -> APIRouter:
    routes = APIRouter(responses=answering.ANSWER_ERRORS, tags=["tokens"])

    @routes.post("/api/next", response_model=Following)
    async def following(request: Request, body: NextBody) -> Response | Following:
        """The likeliest next tokens, under the raw logits, and the entropy of them all."""
        source, tokenizer = await asking.plain_source(state, body.model)
        if not source.card.capabilities.logprobs:
            raise ApiError(400, f"the model {source.card.id!r} tells no logprobs", param="model")
        ids = await _ids(tokenizer, source.card, body)
        if source.card.context and len(ids) >= source.card.context:
            raise asking.too_long(len(ids), source.card, "prompt" if body.messages is None else "messages")
        work = Work(tuple(ids), Sampling(temperature=0.0, max_tokens=1), 0, top_logprobs=tokenizer.vocab_size)
        news = await unless_gone(request.receive, answering.whole(state, source, Complete((work,))))
        if news is None:
            return Response(status_code=GONE)
        end = news[-1]
        assert isinstance(end, Completed)
        return followers(tokenizer, end.completions[0].top[0], body.top)

    return routes


def followers(tokenizer: Tokenizer, top: Top, count: int) -> Following:
    """The ``count`` likeliest of a whole distribution (ids with logprobs, likeliest first)."""
    special = frozenset(tokenizer.special.values())
    shown = [pair for pair in top[:count] if math.isfinite(pair[1])]
    candidates = [
        Follower(id=token, text=tokenizer.decode([token]), logprob=logprob, special=token in special)
        for token, logprob in shown
    ]
    entropy = math.fsum(-math.exp(logprob) * logprob for _, logprob in top if math.isfinite(logprob))
    rest = 1.0 - math.fsum(math.exp(logprob) for _, logprob in shown)
    return Following(entropy=max(0.0, entropy), candidates=candidates, rest=min(1.0, max(0.0, rest)))


async def _ids(tokenizer: Tokenizer, card: Card, body: NextBody) -> list[int]:
    """The ids that something follows."""
    if body.messages is not None:
        if body.think and not card.capabilities.think:
            raise ApiError(400, f"the model {card.id!r} has no think part", param="think")
        ids = await asking.chat_ids(tokenizer, asking.turns(body.messages, card), body.think)
    elif body.prompt is not None:
        text = body.prompt
        ids = [*opening_ids(tokenizer), *await asking.in_thread(len(text), lambda: tokenizer.encode(text))]
    else:
        ids = list(body.tokens or ())
        asking.check_ids(tokenizer, ids, "tokens")
    forced = body.forced_tokens or []
    asking.check_ids(tokenizer, forced, "forced_tokens")
    if not ids and not forced:
        raise ApiError(400, "the prompt is empty, and this model has no mark of a beginning", param="prompt")
    return ids + forced
