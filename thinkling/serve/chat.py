"""`POST /v1/chat/completions`: answers of a model, or of a strategy over it, at once or as they are drawn."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from thinkling.serve import answering, asking
from thinkling.serve.choices import View
from thinkling.serve.envelope import Envelope, new_id
from thinkling.serve.schemas.chat import ChatBody, ChatChunk, ChatCompletion
from thinkling.serve.schemas.shared import usage_body
from thinkling.serve.source import Answered
from thinkling.serve.sse import GONE, EventStream, Pace, unless_gone
from thinkling.serve.state import ServerState
from thinkling.serve.telling import ChatTeller, completed


def router(state: ServerState) -> APIRouter:
    routes = asking.routes_with_upstream(state)
    pace = Pace()

    @routes.post(
        "/v1/chat/completions",
        responses=answering.documented(ChatCompletion, ChatChunk),
        response_model=None,
        tags=["openai"],
    )
    async def chat_completions(request: Request, body: ChatBody) -> Response:
        """Answer a chat, by the strategy behind the model's name or in `strategy` where there is one."""
        asked = await asking.chat(state, body)
        card, begun = asked.source.card, time.monotonic()
        fingerprint, number = card.weights or None, new_id("chatcmpl")
        tells = asked.job.sample.top_logprobs > 0
        view = View(
            asked.source.tokenizer,
            thinking=state.settings.show_thinking,
            tokens=bool(body.tokens) and tells,
            logprobs=bool(body.logprobs) and tells,
            rivals=asked.rivals,
        )
        events = bool(body.strategy_events)
        if body.stream:
            frame = Envelope("chat.completion.chunk", body.model, fingerprint, number, body.includes_usage)
            teller = ChatTeller(asked, view, frame, events=events)
            return EventStream(answering.stream(state, asked.source, asked.job, teller, pace))
        news = await unless_gone(request.receive, answering.whole(state, asked.source, asked.job))
        if news is None:
            return Response(status_code=GONE)
        end = news[-1]
        assert isinstance(end, Answered)
        state.metrics.answered(card.id, end.usage, seconds=time.monotonic() - begun)
        frame = Envelope("chat.completion", body.model, fingerprint, number)
        choices = completed(asked, view, news, end, events=events)
        return JSONResponse({**frame.fields(), "choices": choices, "usage": usage_body(end.usage)})

    return routes
