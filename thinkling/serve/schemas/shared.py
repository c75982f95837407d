"""What several routes' bodies share.

Bodies are strict: a field that is unknown, or known and not supported, is refused by name, because leaving it out
would silently change the answer. Fields that change nothing about the answer are accepted and not looked at.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from thinkling.core.types import Usage

MOST_TOKENS = 2**31 - 1
MOST_RIVALS = 20


class Body(BaseModel):
    """A request, or a part of one."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def fault(message: str) -> PydanticCustomError:
    """What a validator raises; the error's text is the message alone."""
    # Braces would be read as places to fill in.
    return PydanticCustomError("value_error", "{message}", {"message": message})


def _whole(text: str) -> str:
    """JSON can spell half of a surrogate pair, which is no character and cannot be sent on."""
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise fault("the text holds half of a surrogate pair; send whole characters")
    return text


Text = Annotated[str, AfterValidator(_whole)]


def absent(why: str) -> Any:
    """The type of a field that may only be left out, be null or be empty; ``why`` says what is not supported."""

    def refuse(value: object) -> None:
        if value is not None and value != []:
            raise fault(f"{why}; leave it out")

    return Annotated[
        None, BeforeValidator(refuse), WithJsonSchema({"anyOf": [{"type": "null"}, {"type": "array", "maxItems": 0}]})
    ]


def _stops(value: object) -> list[str]:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise fault("expected a text or a list of texts")
    if len(found) > 16 or not all(1 <= len(text) <= 256 for text in found):
        raise fault("expected at most 16 texts of 1 to 256 characters")
    return found


_STOP = {"type": "string", "minLength": 1, "maxLength": 256}
Stop = Annotated[
    list[Text],
    BeforeValidator(_stops),
    WithJsonSchema({"anyOf": [_STOP, {"type": "array", "maxItems": 16, "items": _STOP}]}),
]
Id = Annotated[int, Field(ge=0, le=MOST_TOKENS)]
ModelName = Annotated[
    Text, Field(min_length=1, max_length=500, description="A model's id, or with a strategy: `nano+sc:n=8`.")
]
Bias = Annotated[float, Field(ge=-100, le=100)]
BiasKey = Annotated[str, Field(pattern=r"^[0-9]{1,9}$", max_length=9)]


class StreamOptions(Body):
    include_usage: bool | None = Field(None, description="One more chunk before the end, with the usage.")
    include_obfuscation: bool | None = Field(None, description="Accepted, and without effect.")


class SamplingBody(Body):
    """How tokens are drawn, in chats and completions alike."""

    model: ModelName
    max_tokens: int | None = Field(None, ge=0, le=MOST_TOKENS)
    temperature: float | None = Field(None, ge=0, le=2, description="1 where it is left out; 0 is greedy.")
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=MOST_TOKENS, description="0: off.")
    min_p: float | None = Field(None, ge=0, le=1)
    n: int | None = Field(None, ge=1, le=128)
    seed: int | None = Field(
        None, ge=-(2**63), le=2**63 - 1, description="The same request and seed give the same tokens."
    )
    stop: Stop | None = None
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: dict[BiasKey, Bias] | None = Field(None, max_length=1024)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = Field(None, description="Accepted, and without effect, as what follows.")
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None

    @property
    def includes_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


class CompletionDetails(BaseModel):
    reasoning_tokens: int = Field(description="Tokens inside think parts, of all samples.")


class UsageBody(BaseModel):
    """The whole bill: all samples of a strategy, with those that were dropped."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    completion_tokens_details: CompletionDetails


def usage_body(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "completion_tokens_details": {"reasoning_tokens": usage.thinking},
    }
