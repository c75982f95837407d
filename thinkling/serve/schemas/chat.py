"""`/v1/chat/completions`: OpenAI's fields, and ours for strategies, thinking and looking at tokens."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from thinkling.serve.schemas.messages import Messages
from thinkling.serve.schemas.shared import MOST_RIVALS, MOST_TOKENS, Id, SamplingBody, Text, UsageBody, absent, fault

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


def _text_format(value: object) -> None:
    if value is not None and value != {"type": "text"}:
        raise fault('only {"type": "text"} is supported: the models here are not held to a schema')


TextFormat = Annotated[
    None,
    BeforeValidator(_text_format),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "null"},
                {
                    "type": "object",
                    "properties": {"type": {"const": "text"}},
                    "required": ["type"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


class ChatBody(SamplingBody):
    """A chat. ``strategy`` and what follows it are this server's own."""

    messages: Messages
    max_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS)
    max_completion_tokens: int | None = Field(None, ge=1, le=MOST_TOKENS, description="The same as max_tokens.")
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MOST_RIVALS)
    reasoning_effort: Effort | None = Field(
        None,
        description="none, minimal: no thinking. low: 64 tokens of it, or half of the answer's. "
        "medium: as the model likes. high: it thinks.",
    )
    parallel_tool_calls: bool | None = Field(None, description="Accepted, and without effect.")
    verbosity: Literal["low", "medium", "high"] | None = Field(None, description="Accepted, and without effect.")
    modalities: list[Literal["text"]] | None = Field(None, max_length=1)
    response_format: TextFormat | None = None
    tools: absent("the models here call no tools") = None  # type: ignore[valid-type]
    tool_choice: Literal["none", "auto"] | None = None
    functions: absent("the models here call no functions") = None  # type: ignore[valid-type]
    function_call: Literal["none", "auto"] | None = None
    audio: absent("the models here speak text alone") = None  # type: ignore[valid-type]
    prediction: absent("predicted outputs are not supported") = None  # type: ignore[valid-type]
    web_search_options: absent("the models here do not search the web") = None  # type: ignore[valid-type]

    strategy: Text | None = Field(None, max_length=300, description="A reasoning strategy, such as `sc:n=8`.")
    answer_kind: Text = Field(
        "text", max_length=40, description="How answers are read where a strategy votes on them: `number`, `math`, ..."
    )
    think: bool | None = Field(None, description="True: it thinks first. False: it must not. Null: as it likes.")
    thinking_budget: int | None = Field(
        None, ge=1, le=MOST_TOKENS, description="At most so many tokens of thinking; then it is asked for the answer."
    )
    tokens: bool | None = Field(None, description="Tell every token, and `top_logprobs` rivals of each.")
    forced_tokens: list[Id] | None = Field(
        None, max_length=100_000, description="Ids that the answer begins with; the response holds what follows."
    )
    strategy_events: bool | None = Field(None, description="Tell how a strategy comes to its answer.")


class Rival(BaseModel):
    id: int
    text: str
    logprob: float


class TokenRecord(BaseModel):
    """A token of the answer. A "mark" opens or closes a part or ends the turn: its ``text`` is empty, and ``mark``
    names it. ``logprob`` is under the raw logits; the texts spell what was thought and said."""

    id: int
    kind: Literal["think", "text", "call", "result", "mark"]
    text: str
    logprob: float | None
    top: list[Rival]
    mark: str | None = None


class IndexedRecord(TokenRecord):
    """In a stream, by whose ``index`` OpenAI's client puts a choice's lists together."""

    index: int


class TopLogprob(BaseModel):
    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(TopLogprob):
    top_logprobs: list[TopLogprob]


class Logprobs(BaseModel):
    content: list[TokenLogprob]
    refusal: None


class CandidateBody(BaseModel):
    """An answer, or a step, that a strategy looked at; ``parent`` is the index of what it continues (-1: nothing)."""

    text: str
    thinking: str | None
    answer: str | None
    weight: float
    tokens: int
    finish: str
    role: str
    parent: int
    kept: bool
    chosen: bool
    margins: list[tuple[str, float]]


class TraceBody(BaseModel):
    type: Literal["trace"]
    index: int = Field(description="The choice that it belongs to.")
    strategy: str
    candidates: list[CandidateBody]
    tally: list[tuple[str, float]]
    tied: list[int]
    note: str
    usage: UsageBody = Field(description="Of the whole request.")


class AnswerMessage(BaseModel):
    role: Literal["assistant"]
    content: str
    refusal: None
    reasoning_content: str | None = Field(None, description="What was thought; `reasoning` is the same.")
    reasoning: str | None = None


class ChatChoice(BaseModel):
    index: int
    message: AnswerMessage
    logprobs: Logprobs | None
    finish_reason: Literal["stop", "length"]
    tokens: list[TokenRecord] | None = None
    thinkling: TraceBody | None = None


class ChatCompletion(BaseModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str | None
    choices: list[ChatChoice]
    usage: UsageBody


class Delta(BaseModel):
    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tokens: list[IndexedRecord] | None = None


class ChunkChoice(BaseModel):
    index: int
    delta: Delta
    logprobs: Logprobs | None
    finish_reason: Literal["stop", "length"] | None


class ChatChunk(BaseModel):
    """``thinkling`` is there with `strategy_events`: a candidate that grows, an effect that begins, or the trace."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str | None
    choices: list[ChunkChoice]
    usage: UsageBody | None = None
    thinkling: TraceBody | dict[str, Any] | None = None
