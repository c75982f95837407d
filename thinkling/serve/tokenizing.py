"""`POST /tokenize` and `POST /detokenize`: texts and chats as a model's token ids, and back."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter

from thinkling.core.errors import UserError
from thinkling.serve import asking
from thinkling.serve.errors import RESPONSES, ApiError
from thinkling.serve.schemas.tokens import DetokenizeBody, Detokenized, TokenizeBody, Tokenized, TokenPiece
from thinkling.serve.source import Card
from thinkling.serve.state import ServerState
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import prompt_ids, render
from thinkling.tokenizer.stream import TextStream

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: RESPONSES[status] for status in (400, 401, 403, 404, 413, 500, 502, 503)
}


def router(state: ServerState) -> APIRouter:
    routes = APIRouter(responses=_ERRORS, tags=["tokens"])

    @routes.post("/tokenize")
    async def tokenize(body: TokenizeBody) -> Tokenized:
        """The ids of a text, or of a chat up to where the assistant speaks next."""
        source, tokenizer = await asking.plain_source(state, body.model)
        said = sum(len(message.content or "") for message in body.messages or ())
        size = len(body.prompt or "") + said
        return await asking.in_thread(size, lambda: _tokenized(tokenizer, source.card, body))

    @routes.post("/detokenize")
    async def detokenize(body: DetokenizeBody) -> Detokenized:
        """The text of token ids; bytes that are not UTF-8 become U+FFFD."""
        _, tokenizer = await asking.plain_source(state, body.model)
        asking.check_ids(tokenizer, body.tokens, "tokens")
        return Detokenized(prompt=tokenizer.decode(body.tokens))

    return routes


def encode(tokenizer: Tokenizer, text: str, parse_special: bool = False) -> list[int]:
    """Ids of a text. With ``parse_special`` the names of special tokens in it are these tokens."""
    if not parse_special or not tokenizer.special:
        return tokenizer.encode(text)
    longest_first = sorted(tokenizer.special, key=len, reverse=True)
    ids: list[int] = []
    for part in re.split(f"({'|'.join(map(re.escape, longest_first))})", text):
        number = tokenizer.special.get(part)
        ids += tokenizer.encode(part) if number is None else [number]
    return ids


def _tokenized(tokenizer: Tokenizer, card: Card, body: TokenizeBody) -> Tokenized:
    if body.messages is None:
        ids = encode(tokenizer, body.prompt or "", body.parse_special)
    else:
        messages = asking.turns(body.messages, card)
        try:
            ids = prompt_ids(tokenizer, messages) if body.add_generation_prompt else render(tokenizer, messages).ids
        except UserError as error:
            raise ApiError(400, str(error), param="messages") from None
    stream, special = TextStream(tokenizer), frozenset(tokenizer.special.values())

    def piece(token: int) -> TokenPiece:
        data = list(tokenizer.token_bytes(token))
        return TokenPiece(id=token, text=stream.push(token), bytes=data, special=token in special)

    return Tokenized(
        count=len(ids),
        max_model_len=card.context or None,
        tokens=ids,
        token_strs=[tokenizer.decode([token]) for token in ids] if body.return_token_strs else None,
        pieces=[piece(token) for token in ids],
    )
