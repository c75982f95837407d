"""From the body of a request to a job for a model: all that can be refused is refused here, before a token is spent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from thinkling.core.errors import UserError
from thinkling.core.types import Message, Sample, Sampling
from thinkling.serve.errors import ApiError
from thinkling.serve.names import Chosen, admit, choose, split
from thinkling.serve.schemas.chat import ChatBody
from thinkling.serve.schemas.messages import ChatMessage
from thinkling.serve.schemas.shared import SamplingBody
from thinkling.serve.settings import Settings
from thinkling.serve.source import Ask, Card, Source
from thinkling.serve.state import ServerState
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import prompt_ids, stop_ids

T = TypeVar("T")
LONG = 20_000  # characters, from which on a text is made into tokens in a thread
UNKNOWN_ROOM = 1024  # tokens of an answer where nobody says how many there may be
LOW_EFFORT = 64  # tokens of thinking


@dataclass(frozen=True, slots=True)
class Asked:
    """A chat that was let in. ``rivals``: how many likely tokens are to be told at each place."""

    source: Source
    job: Ask
    chosen: Chosen
    rivals: int = 0


class _Peek(BaseModel):
    """The part of a body that decides who answers it."""

    model: str
    strategy: str | None = None


def routes_with_upstream(state: ServerState) -> APIRouter:
    """A router whose requests for a model of the other server, by its plain name, are passed on unread."""

    class Passing(APIRoute):
        def get_route_handler(self) -> Callable[[Request], object]:  # type: ignore[override]
            handle = super().get_route_handler()

            async def passing(request: Request) -> Response:
                if state.upstream is not None:
                    try:
                        peek = _Peek.model_validate_json(await request.body())
                    except ValidationError:
                        return await handle(request)  # which says what is wrong with it
                    if not peek.strategy and await state.upstream.passes(peek.model):
                        return await state.upstream.forward(request)
                return await handle(request)

            return passing

    return APIRouter(route_class=Passing)


async def plain_source(state: ServerState, name: str) -> tuple[Source, Tokenizer]:
    """The source of a model that runs here, and its tokenizer, for a route that takes no strategies."""
    base, spec = await split(state, name)
    if spec is not None:
        raise ApiError(400, f"strategies answer chats; name the model alone here: {base!r}", param="model")
    source = await state.source(base)
    if source.tokenizer is None:
        raise ApiError(400, f"the model {base!r} runs elsewhere, and its tokens are not known here", param="model")
    return source, source.tokenizer


async def chat(state: ServerState, body: ChatBody) -> Asked:
    """The job that a chat asks for. Raises ApiError for all that cannot be served."""
    base, in_name = await split(state, body.model)
    source = await state.source(base)
    card, settings, n = source.card, state.settings, body.n or 1
    check_counts(body, settings)
    if len(body.messages) > settings.limits.messages:
        raise ApiError(
            400, f"expected at most {settings.limits.messages} messages; came {len(body.messages)}", param="messages"
        )
    spec, param = choose(in_name, body.strategy)
    admit(spec, param, body.answer_kind, n, settings, card)  # the client's own, before ours is made of it
    messages = turns(body.messages, card)
    room = await _room(source, messages, body.forced_tokens or [])
    longest = _longest(body, room, settings)
    spec, param, think = _thinking(body, spec, param, longest)
    chosen = admit(spec, param, body.answer_kind, n, settings, card)
    _check_able(body, chosen, source, think)
    wants = bool(body.logprobs or (body.tokens and chosen.tells_tokens and source.tokenizer is not None))
    rivals = body.top_logprobs or 0
    sample = Sample(
        messages,
        sampling(body, longest, source),
        random.getrandbits(63) if body.seed is None else body.seed,
        n,
        think=think,
        top_logprobs=max(1, rivals) if wants else 0,
        forced=tuple(body.forced_tokens or ()),
    )
    watch = wants or bool(body.stream and (streams(chosen, n) or body.strategy_events))
    return Asked(source, Ask(sample, chosen.spec, body.answer_kind, watch), chosen, rivals)


def streams(chosen: Chosen, n: int) -> bool:
    """Whether the answer can be told while it is drawn."""
    return chosen.direct or (chosen.budget is not None and n == 1)


def sampling(body: SamplingBody, max_tokens: int, source: Source) -> Sampling:
    """How to draw, with OpenAI's defaults."""
    bias = tuple((int(number), amount) for number, amount in (body.logit_bias or {}).items())
    size = source.tokenizer.vocab_size if source.tokenizer is not None else 0
    strange = next((number for number, _ in bias if size and number >= size), None)
    if strange is not None:
        raise ApiError(400, f"logit_bias: the vocabulary has ids 0 to {size - 1}; came {strange}", param="logit_bias")
    return Sampling(
        temperature=1.0 if body.temperature is None else body.temperature,
        top_k=body.top_k or 0,
        top_p=1.0 if body.top_p is None else body.top_p,
        min_p=body.min_p or 0.0,
        max_tokens=max_tokens,
        stop=tuple(body.stop or ()),
        presence_penalty=body.presence_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        logit_bias=bias,
    )


def check_counts(body: SamplingBody, settings: Settings) -> None:
    """Raise ApiError where a count is beyond what the owner allows."""
    limits = settings.limits
    if (body.n or 1) > limits.n:
        raise ApiError(400, f"expected n of at most {limits.n} on this server; came {body.n}", param="n")
    for name in ("max_tokens", "max_completion_tokens"):
        asked = getattr(body, name, None)
        if asked and limits.max_tokens and asked > limits.max_tokens:
            raise ApiError(
                400, f"expected {name} of at most {limits.max_tokens} on this server; came {asked}", param=name
            )


def check_ids(tokenizer: Tokenizer, ids: Sequence[int], param: str) -> None:
    """Raise ApiError for an id that the vocabulary does not have."""
    if ids and max(ids) >= tokenizer.vocab_size:
        raise ApiError(400, f"expected ids below {tokenizer.vocab_size}; came {max(ids)}", param=param)


def turns(messages: list[ChatMessage], card: Card) -> tuple[Message, ...]:
    return tuple(message.message(card.capabilities.think) for message in messages)


def too_long(length: int, card: Card, param: str) -> ApiError:
    # OpenAI's words, by which clients know this error where they do not read its code.
    return ApiError(
        400,
        f"this model's maximum context length is {card.context} tokens, prompt and answer together; the prompt has "
        f"{length}, shorten it",
        code="context_length_exceeded",
        param=param,
    )


async def in_thread(size: int, work: Callable[[], T]) -> T:
    """``work`` on a text of ``size`` characters; a long one must not hold up all other requests."""
    return await asyncio.to_thread(work) if size > LONG else work()


async def chat_ids(tokenizer: Tokenizer, messages: tuple[Message, ...], think: bool | None = None) -> list[int]:
    """The ids of a chat's prompt. Raises ApiError where the model speaks no protocol of chats."""
    size = sum(len(part.text) for message in messages for part in message.parts)
    try:
        return await in_thread(size, lambda: prompt_ids(tokenizer, messages, think=think))
    except UserError as error:
        raise ApiError(400, str(error), param="messages") from None


async def _room(source: Source, messages: tuple[Message, ...], forced: list[int]) -> int:
    """How many tokens an answer may have; 0 where that is not known here."""
    if source.tokenizer is None:
        return 0
    check_ids(source.tokenizer, forced, "forced_tokens")
    ends = stop_ids(source.tokenizer)
    if any(token in ends for token in forced):
        raise ApiError(400, f"expected no id that ends the turn ({list(ends)})", param="forced_tokens")
    length = len(await chat_ids(source.tokenizer, messages)) + len(forced)
    if source.card.context and length >= source.card.context:
        raise too_long(length, source.card, "messages")
    return max(0, source.card.context - length)


def _longest(body: ChatBody, room: int, settings: Settings) -> int:
    """How many tokens the answer may have: what is asked for, as far as there is room."""
    asked = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    if None not in (body.max_tokens, body.max_completion_tokens) and body.max_tokens != body.max_completion_tokens:
        raise ApiError(400, "max_tokens and max_completion_tokens differ; send one", param="max_tokens")
    bounds = [bound for bound in (asked, room, settings.limits.max_tokens) if bound]
    return min(bounds, default=UNKNOWN_ROOM)


def _thinking(body: ChatBody, spec: str, param: str, longest: int) -> tuple[str, str, bool | None]:
    """The strategy's spec, the field that asks for it, and whether to think, of the fields about thinking.

    A budget is a strategy of its own, whose answer gets the tokens that the budget leaves.
    """
    effort = {"none": False, "minimal": False, "high": True, "xhigh": True}.get(body.reasoning_effort or "")
    if None not in (body.think, effort) and body.think != effort:
        raise ApiError(400, "reasoning_effort and think contradict each other; send one", param="reasoning_effort")
    think = effort if body.think is None else body.think
    budget, field = body.thinking_budget, "thinking_budget"
    if budget is None and body.reasoning_effort == "low" and think is not False:
        budget, field = min(LOW_EFFORT, max(1, longest // 2)), "reasoning_effort"
    if budget is None:
        return spec, param, think
    if think is False:
        raise ApiError(400, "a budget for thinking, and no thinking, were asked for; send one", param=field)
    if spec != "plain":
        raise ApiError(400, f"{field} is a strategy of its own, beside {spec!r}; choose one", param=field)
    if budget >= longest and body.thinking_budget is not None:
        raise ApiError(
            400, f"expected a budget below the answer's {longest} tokens; came {budget}", param="thinking_budget"
        )
    return f"budget:max={budget},answer_tokens={max(1, longest - budget)}", field, None


def _check_able(body: ChatBody, chosen: Chosen, source: Source, think: bool | None) -> None:
    """Raise ApiError where thinking or tokens are asked for, or tokens are forced, and cannot be."""
    able = source.card.capabilities
    if think and not able.think:
        field = "think" if body.think else "reasoning_effort"
        raise ApiError(400, f"the model {source.card.id!r} has no think part", param=field)
    if body.top_logprobs and not (body.logprobs or body.tokens):
        raise ApiError(400, "top_logprobs is told with logprobs or with tokens; send one of them", param="top_logprobs")
    if body.logprobs and (not able.logprobs or source.tokenizer is None):
        raise ApiError(400, f"the model {source.card.id!r} tells no logprobs", param="logprobs")
    if body.logprobs and not chosen.tells_tokens:
        raise ApiError(
            400, f"an answer of {chosen.spec!r} is put together, so its tokens have no logprobs", param="logprobs"
        )
    if body.forced_tokens and not (able.fork and chosen.direct):
        raise ApiError(
            400, f"{source.card.id!r} under {chosen.spec!r} cannot continue given ids", param="forced_tokens"
        )
