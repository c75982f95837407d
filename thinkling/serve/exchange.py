"""Conversations as JSON: what the page reads, and the file by which they move from one history to another.

The file is ``{"format": "thinkling-conversations", "version": 1, "conversations": [...]}``; each conversation has the
shape in which it is shown, its messages in an order that puts every parent before its children (so it can hold no
ring). Reading one checks all of it before anything is stored, and gives new ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from thinkling.core.errors import UserError
from thinkling.serve.history import (
    MAX_MESSAGES,
    Conversation,
    Entry,
    History,
    Message,
    Missing,
    Role,
    json_text,
    new_id,
)
from thinkling.serve.json_walk import JsonWalk

FORMAT, VERSION = "thinkling-conversations", 1
SETTINGS_BYTES = 100_000
META_BYTES = 8_000_000  # an answer of some thousand tokens, with twenty rivals at each
_NO_FILE = "expected a file of conversations, as export writes it"

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Title = Annotated[str, Field(max_length=500)]
Text = Annotated[str, Field(max_length=1_000_000)]
Time = Annotated[float, Field(ge=0, lt=1e11, allow_inf_nan=False, description="Seconds since 1970.")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class MessageBody(_Strict):
    """A message; ``parent`` is null where it opens the conversation."""

    id: Id
    parent: Id | None
    role: Role
    content: Text
    reasoning: Text
    created: Time
    meta: dict[str, Any]


class ConversationBody(_Strict):
    """A conversation with all its messages, parents before their children."""

    id: Id
    title: Title
    system: Text
    settings: dict[str, Any]
    created: Time
    updated: Time
    current: Id | None
    messages: list[MessageBody] = Field(max_length=MAX_MESSAGES)


class ConversationsFile(_Strict):
    """What export writes, and import reads."""

    format: Literal["thinkling-conversations"]
    version: Literal[1]
    conversations: list[ConversationBody]


def entry_json(entry: Entry) -> str:
    return _object(
        id=entry.id, title=entry.title, created=entry.created, updated=entry.updated, messages=entry.messages
    )


def message_json(message: Message) -> str:
    head = _object(
        id=message.id,
        parent=message.parent,
        role=message.role,
        content=message.content,
        reasoning=message.reasoning,
        created=message.created,
    )
    return f'{head[:-1]},"meta":{message.meta}}}'


def conversation_json(made: Conversation, *, messages: bool = True) -> str:
    """With all its messages, or without the key."""
    head = _object(
        id=made.id,
        title=made.title,
        system=made.system,
        created=made.created,
        updated=made.updated,
        current=made.current,
    )
    tail = f',"messages":[{",".join(message_json(message) for message in made.messages)}]' if messages else ""
    return f'{head[:-1]},"settings":{made.settings}{tail}}}'


def file_pieces(conversations: Iterable[Conversation]) -> Iterator[str]:
    """The text of a file with these conversations."""
    yield f'{{"format":{json.dumps(FORMAT)},"version":{VERSION},"conversations":['
    separator = "\n"
    for made in conversations:
        yield separator + conversation_json(made)
        separator = ",\n"
    yield "\n]}\n"


def still_there(history: History, ids: Iterable[str]) -> Iterator[Conversation]:
    """These conversations, read one after the other, without those that were deleted meanwhile."""
    for id in ids:
        with suppress(Missing):
            yield history.conversation(id)


def load(history: History, data: bytes) -> int:
    """Store every conversation of a file, or none of them; returns how many.

    Raises UserError that names the place of the first fault, such as ``conversations[0].messages[3].role``.
    """
    made = parse(data)
    history.insert(made)
    return len(made)


def parse(data: bytes) -> list[Conversation]:
    """The conversations of a file, with new ids: each is parsed, checked and packed again before the next."""
    made: list[Conversation] = []
    seen: set[str] = set()
    try:
        walk = JsonWalk(data.decode("utf-8-sig"))
        for key in walk.members():
            if key in seen:
                raise UserError(f"{key}: the file has it twice")
            seen.add(key)
            if key == "conversations":
                made.extend(_read(walk.value(), f"conversations[{i}]") for i in walk.elements())
            else:
                _check_head(key, walk.value())
        walk.end()
    except UnicodeDecodeError:
        raise UserError(f"{_NO_FILE}: it is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{_NO_FILE}: {error}") from None
    if missing := {"format", "version", "conversations"} - seen:
        raise UserError(f"{_NO_FILE}: it has no {min(missing)!r}")
    return made


def _check_head(key: str, value: Any) -> None:
    if key == "version" and value != VERSION:
        raise UserError(f"version: expected {VERSION}, came {value!r:.20}; update whichever thinkling is the older")
    if key == "format" and value != FORMAT:
        raise UserError(f"format: expected {FORMAT!r}, came {value!r:.60}; this is a file of another program")
    if key not in ("version", "format"):
        raise UserError(f"{key!r:.60}: unknown in a file of conversations of version {VERSION}")


def _read(value: Any, place: str) -> Conversation:
    try:
        return _renamed(ConversationBody.model_validate(value), place)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        for step in first["loc"]:
            place += f"[{step}]" if isinstance(step, int) else f".{step}"
        raise UserError(f"{place}: {first['msg']}") from None


def _renamed(body: ConversationBody, place: str) -> Conversation:
    names: dict[str | None, str | None] = {None: None}
    messages = []
    for i, message in enumerate(body.messages):
        here = f"{place}.messages[{i}]"
        if message.id in names:
            raise UserError(f"{here}.id: an earlier message has the same, {message.id!r}")
        if message.parent not in names:
            raise UserError(f"{here}.parent: expected the id of an earlier message, or null; came {message.parent!r}")
        fresh = names[message.id] = new_id()
        meta = json_text(message.meta, f"{here}.meta", META_BYTES)
        messages.append(
            Message(
                *(fresh, names[message.parent], message.role, message.content, message.reasoning),
                *(message.created, meta),
            )
        )
    if body.current not in names:
        raise UserError(f"{place}.current: expected the id of a message, or null; came {body.current!r}")
    settings = json_text(body.settings, f"{place}.settings", SETTINGS_BYTES)
    return Conversation(
        *(new_id(), body.title, body.system, settings, body.created, body.updated),
        names[body.current],
        messages,
    )


def _object(**fields: str | float | None) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
