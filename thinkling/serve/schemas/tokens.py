"""`/tokenize`, `/detokenize` and `/api/next`: texts as token ids, and what may follow them."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field, model_validator

from thinkling.serve.schemas.messages import Messages
from thinkling.serve.schemas.shared import Body, Id, ModelName, Text, fault


class TokenizeBody(Body):
    """One of ``prompt`` and ``messages``. ``parse_special``: a special token's name in the prompt is that token."""

    model: ModelName
    prompt: Text | None = None
    messages: Messages | None = None
    parse_special: bool = False
    return_token_strs: bool = False
    add_generation_prompt: bool = Field(True, description="End with the header of the assistant's next turn.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise fault("expected either prompt or messages")
        return self


class TokenPiece(BaseModel):
    """``text`` is what the token completes: the texts spell the whole; ``bytes`` are its own."""

    id: int
    text: str
    bytes: list[int]
    special: bool


class Tokenized(BaseModel):
    count: int
    max_model_len: int | None
    tokens: list[int]
    token_strs: list[str] | None
    pieces: list[TokenPiece]


class DetokenizeBody(Body):
    model: ModelName
    tokens: list[Id]


class Detokenized(BaseModel):
    prompt: str


class NextBody(Body):
    """One of ``tokens``, ``prompt`` (a document) and ``messages``; ``forced_tokens`` follow, as if they were said."""

    model: ModelName
    tokens: list[Id] | None = Field(None, min_length=1)
    prompt: Text | None = None
    messages: Messages | None = None
    forced_tokens: list[Id] | None = None
    think: bool | None = Field(None, description="With messages: the turn begins inside a think part.")
    top: int = Field(50, ge=1, le=1000)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.tokens, self.prompt, self.messages)) != 1:
            raise fault("expected one of tokens, prompt and messages")
        return self


class Follower(BaseModel):
    id: int
    text: str
    logprob: float
    special: bool


class Following(BaseModel):
    """What may come next, likeliest first. ``entropy`` of the whole distribution, in nats; ``rest`` is the
    probability of all that is not listed."""

    entropy: float
    candidates: list[Follower]
    rest: float
