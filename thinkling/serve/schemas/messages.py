"""The messages of a chat, as clients send them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from thinkling.core.types import Message
from thinkling.serve.schemas.shared import Body, Text, absent, fault


def _flat(value: object) -> str | None:
    """Content as one text: it may come as a list of text parts."""
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise fault("expected a text or a list of text parts")
    texts: list[str] = []
    for place, part in enumerate(value):
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(kind, str) and kind != "text":
            shown = kind.encode("ascii", "replace").decode()[:40]
            raise fault(f"part {place} is of type {shown!r}; the models here read text alone")
        if kind != "text" or set(part) != {"type", "text"} or not isinstance(part["text"], str):
            raise fault(f'part {place}: expected {{"type": "text", "text": "..."}}')
        texts.append(part["text"])
    return "".join(texts)


_PART = {
    "type": "object",
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
    "required": ["type", "text"],
    "additionalProperties": False,
}
_SHAPES: list[dict[str, Any]] = [{"type": "string"}, {"type": "array", "items": _PART}, {"type": "null"}]
Content = Annotated[Text | None, BeforeValidator(_flat), WithJsonSchema({"anyOf": _SHAPES})]


def _role(value: object) -> object:
    if value in ("tool", "function"):
        raise PydanticCustomError("value_error", "the models here call no tools, so there is nothing to answer")
    return value


Role = Annotated[Literal["system", "developer", "user", "assistant"], BeforeValidator(_role)]


class ChatMessage(Body):
    """One turn. ``reasoning_content`` and ``reasoning`` are two names for what an assistant thought before it
    spoke; a model without a think part is not shown it."""

    role: Role
    content: Content = None
    reasoning_content: Text | None = None
    reasoning: Text | None = None
    name: str | None = Field(None, description="Accepted, and without effect.")
    refusal: absent("a refusal is not told to the model") = None  # type: ignore[valid-type]
    annotations: absent("the models here make no annotations") = None  # type: ignore[valid-type]
    audio: absent("the models here speak text alone") = None  # type: ignore[valid-type]
    tool_calls: absent("the models here call no tools") = None  # type: ignore[valid-type]
    function_call: absent("the models here call no functions") = None  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.role != "assistant" and self.content is None:
            raise fault(f"a message of the {self.role} needs content")
        return self

    def message(self, thinks: bool) -> Message:
        """The turn as models are shown it; ``thinks``: the protocol has a think part."""
        text = self.content or ""
        if self.role == "user":
            return Message.user(text)
        if self.role != "assistant":
            return Message.system(text)
        thought = self.reasoning_content if self.reasoning_content is not None else self.reasoning
        return Message.assistant(text, thought if thinks else None)


Messages = Annotated[list[ChatMessage], Field(min_length=1, max_length=10_000)]
