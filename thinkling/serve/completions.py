"""`POST /v1/completions`: documents continued, or scored (`echo` with `logprobs`), in OpenAI's older shape.

To be scored, a prompt is given to the engine as tokens after its first, each with its plain logprob.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from thinkling.core.seeds import derive
from thinkling.core.types import Completion, Sampling, Usage
from thinkling.core.types import Request as Work
from thinkling.serve import answering, asking
from thinkling.serve.assemble import Assembler, Piece
from thinkling.serve.choices import FINISH, LEAST_LOGPROB, Facts
from thinkling.serve.envelope import Envelope, new_id
from thinkling.serve.errors import ApiError
from thinkling.serve.schemas.completions import DEFAULT_TOKENS, CompletionBody, CompletionReply
from thinkling.serve.schemas.shared import usage_body
from thinkling.serve.source import Answered, Complete, Completed, News, Source, Tokens
from thinkling.serve.sse import DONE, GONE, EventStream, Pace, unless_gone
from thinkling.serve.state import ServerState
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import opening_ids, stop_ids
from thinkling.tokenizer.stream import TextStream

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """A prompt: its ids, of which the first ``hidden`` were put before what the client sent."""

    ids: tuple[int, ...]
    text: str
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class Continued:
    """What is asked: one request per choice, ``n`` for each document. ``scored``: the documents' own tokens get
    logprobs, so that their requests begin after their first token. ``new``: tokens to draw; where it is 0, what an
    engine draws all the same is not told."""

    source: Source
    tokenizer: Tokenizer
    documents: tuple[Document, ...]
    n: int
    new: int
    echo: bool
    rivals: int | None
    stop: tuple[str, ...]
    requests: tuple[Work, ...]

    @property
    def scored(self) -> bool:
        return self.echo and self.rivals is not None

    @property
    def live(self) -> bool:
        """Whether there is something to tell before the end: logprobs of a prompt are known at the end alone."""
        return self.new > 0 and not self.scored

    @property
    def count(self) -> int:
        return self.n * len(self.documents)

    def document(self, choice: int) -> Document:
        return self.documents[choice // self.n]


def router(state: ServerState) -> APIRouter:
    routes = asking.routes_with_upstream(state)
    pace = Pace()

    @routes.post(
        "/v1/completions",
        responses=answering.documented(CompletionReply, CompletionReply),
        response_model=None,
        tags=["openai"],
    )
    async def completions(request: Request, body: CompletionBody) -> Response:
        """Continue texts or token ids as they are."""
        asked, begun = await _asked(state, body), time.monotonic()
        card = asked.source.card
        follows = bool(body.stream and body.includes_usage)
        frame = Envelope("text_completion", body.model, card.weights or None, new_id("cmpl"), follows)
        teller = TextTeller(asked, frame)
        job = Complete(asked.requests, watch=bool(body.stream) and asked.live)
        if body.stream:
            return EventStream(answering.stream(state, asked.source, job, teller, pace))
        news = await unless_gone(request.receive, answering.whole(state, asked.source, job))
        if news is None:
            return Response(status_code=GONE)
        end = news[-1]
        assert isinstance(end, Completed)
        usage = teller.bill(end)
        state.metrics.answered(card.id, usage, seconds=time.monotonic() - begun)
        return JSONResponse({**frame.fields(), "choices": teller.choices(end), "usage": usage_body(usage)})

    return routes


async def _asked(state: ServerState, body: CompletionBody) -> Continued:
    """What a body asks for. Raises ApiError for all that cannot be served."""
    source, tokenizer = await asking.plain_source(state, body.model)
    limits, n = state.settings.limits, body.n or 1
    asking.check_counts(body, state.settings)
    if n * len(body.prompt) > max(limits.samples, limits.n):
        raise ApiError(
            400, f"expected at most {limits.samples} completions in all; came {n * len(body.prompt)}", param="prompt"
        )
    if body.logprobs is not None and not source.card.capabilities.logprobs:
        raise ApiError(400, f"the model {source.card.id!r} tells no logprobs", param="logprobs")
    new = DEFAULT_TOKENS if body.max_tokens is None else body.max_tokens
    new = min(new, limits.max_tokens or new)
    size = sum(len(prompt) for prompt in body.prompt)
    documents = await asking.in_thread(size, lambda: [_document(tokenizer, prompt) for prompt in body.prompt])
    for document in documents:
        _check(document, tokenizer, source, new)
    asked = Continued(
        source, tokenizer, tuple(documents), n, new, bool(body.echo), body.logprobs, tuple(body.stop or ()), ()
    )
    seed = random.getrandbits(63) if body.seed is None else body.seed
    return replace(asked, requests=tuple(_requests(asked, asking.sampling(body, max(1, new), source), seed)))


def _document(tokenizer: Tokenizer, prompt: str | list[int]) -> Document:
    if isinstance(prompt, str):
        opening = opening_ids(tokenizer)
        return Document((*opening, *tokenizer.encode(prompt)), prompt, len(opening))
    return Document(tuple(prompt), tokenizer.decode(prompt))


def _check(document: Document, tokenizer: Tokenizer, source: Source, new: int) -> None:
    if not document.ids:
        raise ApiError(400, "the prompt is empty, and this model has no mark of a beginning", param="prompt")
    asking.check_ids(tokenizer, document.ids, "prompt")
    length = len(document.ids)
    if source.card.context and length + min(new, 1) > source.card.context:
        raise asking.too_long(length, source.card, "prompt")


def _requests(asked: Continued, sampling: Sampling, seed: int) -> Iterator[Work]:
    """A request per choice, in order."""
    top = 0 if asked.rivals is None else max(1, asked.rivals)
    for choice in range(asked.count):
        ids = asked.document(choice).ids
        start = 1 if asked.scored else len(ids)
        length = len(ids) - start + asked.new
        own = derive(seed, choice % asked.n) if asked.n > 1 else seed
        yield Work(
            ids[:start],
            replace(sampling, max_tokens=max(1, length)),
            own,
            stop_ids(asked.tokenizer),
            top,
            forced=ids[start:],
        )


class TextTeller:
    """Choices of completions: whole ones, and the chunks of a stream of them."""

    def __init__(self, asked: Continued, frame: Envelope) -> None:
        self._asked, self._frame = asked, frame
        self._assemblers = [self._assembler() for _ in range(asked.count)]
        self._facts = [Facts() for _ in range(asked.count)]
        self._length = [0] * asked.count  # characters told so far

    def opening(self) -> bytes:
        if not self._asked.echo or self._asked.scored:
            return b""
        return b"".join(self._chunk(index, self._begin(index)) for index in range(self._asked.count))

    def news(self, batch: Sequence[News]) -> bytes:
        grown: dict[int, list[Piece]] = {}
        out: list[bytes] = []
        for item in batch:
            if isinstance(item, Tokens):
                self._facts[item.sample].add(item)
                grown.setdefault(item.sample, []).extend(self._assemblers[item.sample].push(item.ids))
            elif isinstance(item, Completed):
                out = list(self._completed(item, grown))
                grown = {}
        return b"".join([*(self._grown(index, pieces) for index, pieces in sorted(grown.items())), *out])

    def bill(self, end: Answered | Completed) -> Usage:
        """Each prompt counts once, however often it is continued."""
        assert isinstance(end, Completed)
        drawn = sum(made.origins.count("sampled") for made in end.completions) if self._asked.new else 0
        return Usage(sum(len(document.ids) for document in self._asked.documents), drawn, 0, len(end.completions))

    def choices(self, end: Completed) -> list[Json]:
        """The whole choices."""
        return [self._whole(index, made) for index, made in enumerate(end.completions)]

    def _completed(self, end: Completed, grown: dict[int, list[Piece]]) -> Iterator[bytes]:
        """What is left to tell: after the tokens that came last, each choice's end."""
        for index, made in enumerate(end.completions):
            if self._asked.live:
                yield self._grown(index, [*grown.get(index, ()), *self._assemblers[index].finish()])
            elif self._asked.scored:
                yield self._frame.choice({**self._whole(index, made), "finish_reason": None})
            finish = self._finish(made)
            yield self._frame.choice({"index": index, "text": "", "logprobs": None, "finish_reason": finish})
        if self._frame.usage_follows:
            yield self._frame.usage(usage_body(self.bill(end)))
        yield DONE

    def _whole(self, index: int, made: Completion) -> Json:
        asked, document = self._asked, self._asked.document(index)
        forced = made.origins.count("forced")
        assembler = self._assembler()
        pieces = [*assembler.push(made.tokens[forced:]), *assembler.finish()] if asked.new else []
        # The place of a token among those that have facts: all but a scored prompt's first.
        pieces = [replace(piece, index=piece.index + forced) for piece in pieces]
        text = "".join(piece.text for piece in pieces)
        begun, before = self._begin(index), 0
        if asked.scored:
            own = [replace(piece, index=piece.index - 1) for piece in _spelled(asked.tokenizer, document.ids)]
            pieces = [*own[document.hidden :], *pieces]
        elif asked.echo:
            before = len(begun)
        facts = Facts(
            list(made.tokens), [dict(top)[at] for at, top in zip(made.tokens, made.top, strict=False)], list(made.top)
        )
        logprobs = None if asked.rivals is None else self._logprobs(pieces, facts, before)
        return {"index": index, "text": begun + text, "logprobs": logprobs, "finish_reason": self._finish(made)}

    def _finish(self, made: Completion) -> str:
        return FINISH[made.finish] if self._asked.new else "length"

    def _grown(self, index: int, pieces: Sequence[Piece]) -> bytes:
        text = "".join(piece.text for piece in pieces)
        if not text and (self._asked.rivals is None or not pieces):
            return b""
        logprobs = None
        if self._asked.rivals is not None:
            logprobs = self._logprobs(pieces, self._facts[index], self._length[index])
        return self._chunk(index, text, logprobs)

    def _chunk(self, index: int, text: str, logprobs: Json | None = None) -> bytes:
        self._length[index] += len(text)
        return self._frame.choice({"index": index, "text": text, "logprobs": logprobs, "finish_reason": None})

    def _begin(self, index: int) -> str:
        return self._asked.document(index).text if self._asked.echo else ""

    def _assembler(self) -> Assembler:
        return Assembler(self._asked.tokenizer, self._asked.stop, chat=False)

    def _logprobs(self, pieces: Iterable[Piece], facts: Facts, offset: int) -> Json:
        """OpenAI's parallel lists. Every id is in them, those of a stop string and of the end as well: clients
        that score texts count them. Of several tokens that read alike, the likeliest is told."""
        decode, rivals = self._asked.tokenizer.decode, self._asked.rivals or 0
        made: Json = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        told = False
        for piece in pieces:
            if piece.id is not None:
                made["tokens"].append(decode([piece.id]))
                made["text_offset"].append(offset)
                first = self._asked.scored and not told
                told = True
                own = None if first else max(facts.logprobs[piece.index], LEAST_LOGPROB)
                made["token_logprobs"].append(own)
                places = () if first else (*facts.top[piece.index][:rivals], (piece.id, facts.logprobs[piece.index]))
                top: dict[str, float] = {}
                for token, logprob in places:
                    top.setdefault(decode([token]), max(logprob, LEAST_LOGPROB))
                made["top_logprobs"].append(None if first else top)
            offset += len(piece.text)
        return made


def _spelled(tokenizer: Tokenizer, ids: Sequence[int]) -> list[Piece]:
    """A document's ids with the text that each completes."""
    stream = TextStream(tokenizer)
    pieces = [Piece("text", stream.push(token), token, place) for place, token in enumerate(ids)]
    return [*pieces, Piece("text", stream.flush())]
