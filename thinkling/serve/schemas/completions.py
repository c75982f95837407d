"""`/v1/completions`: a text or token ids to continue, in OpenAI's older shape."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeGuard

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from thinkling.serve.schemas.shared import MOST_RIVALS, MOST_TOKENS, SamplingBody, Text, UsageBody, absent, fault

MOST_PROMPTS = 1024
DEFAULT_TOKENS = 16
Prompts = list[Text] | list[list[int]]


def _is_ids(value: object) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and bool(value)
        and all(type(number) is int and 0 <= number <= MOST_TOKENS for number in value)
    )


def _prompts(value: object) -> object:
    """One form of the four that a prompt may have: a list of texts, or a list of lists of ids."""
    listed = [value] if isinstance(value, str) or _is_ids(value) else value
    if isinstance(listed, list) and 0 < len(listed) <= MOST_PROMPTS:
        if all(isinstance(text, str) for text in listed):
            return listed
        if all(_is_ids(ids) for ids in listed):
            return listed
    raise fault(f"expected a text, token ids, or a list of up to {MOST_PROMPTS} texts or lists of ids, none empty")


_IDS: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "integer", "minimum": 0, "maximum": MOST_TOKENS},
}
_MANY = {"type": "array", "minItems": 1, "maxItems": MOST_PROMPTS}
Prompt = Annotated[
    Prompts,
    BeforeValidator(_prompts),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {**_MANY, "items": {"type": "string"}},
                _IDS,
                {**_MANY, "items": _IDS},
            ]
        }
    ),
]


def _one(value: object) -> object:
    if value is not None and value != 1:
        raise fault("best_of is not supported beyond 1; ask for n, or for the strategy bon in a chat")
    return value


class CompletionBody(SamplingBody):
    """A document to continue. Token ids are taken as they are; a text begins after the model's mark of a beginning."""

    prompt: Prompt
    max_tokens: int | None = Field(None, ge=0, le=MOST_TOKENS, description=f"{DEFAULT_TOKENS} where it is left out.")
    echo: bool | None = Field(None, description="Give the prompt back before what follows it.")
    logprobs: int | None = Field(None, ge=0, le=MOST_RIVALS, description="Likeliest tokens at each place.")
    suffix: absent("the models here do not fill in") = None  # type: ignore[valid-type]
    best_of: Annotated[Literal[1] | None, BeforeValidator(_one)] = None


class TextLogprobs(BaseModel):
    """Parallel lists. The first token of an echoed prompt has no logprob; offsets count characters of the text."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(BaseModel):
    index: int
    text: str
    logprobs: TextLogprobs | None
    finish_reason: Literal["stop", "length"] | None


class CompletionReply(BaseModel):
    """Also the shape of a stream's chunks, whose usage is null but in the last."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str | None
    choices: list[CompletionChoice]
    usage: UsageBody | None = None
