"""Saved conversations over HTTP.

The store's calls block, so they run in threads, a few at a time; their JSON is built there too. What the page saved
beside a message (tokens, traces) can be megabytes: it goes through as text, unread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from thinkling.serve import exchange
from thinkling.serve.database import Unavailable
from thinkling.serve.errors import RESPONSES, ApiError, ErrorBody
from thinkling.serve.exchange import ConversationBody, ConversationsFile, Id, MessageBody, Text, Title
from thinkling.serve.history import Conversation, History, Message, Missing, Role, json_text
from thinkling.serve.state import ServerState

AT_ONCE = 4
Result = TypeVar("Result")
Named = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewConversation(_Body):
    title: Title = ""
    system: Text = ""
    settings: dict[str, Any] = Field(default={}, description="The page's own; kept as it is.")


class ConversationChange(_Body):
    """What is not named stays. ``current``: the message at which the conversation is read; null for none."""

    title: Title = ""
    system: Text = ""
    settings: dict[str, Any] = {}
    current: Id | None = None


class NewMessage(_Body):
    parent: Id | None = Field(description="The message before it, in the same conversation; null: it opens one.")
    role: Role
    content: Text
    reasoning: Text = ""
    meta: dict[str, Any] = Field(default={}, description="How it was made: model, strategy, tokens, trace, ...")


class EntryBody(_Body):
    id: str
    title: str
    created: float
    updated: float
    messages: int


class Entries(_Body):
    conversations: list[EntryBody]


class Head(_Body):
    """A conversation without its messages."""

    id: str
    title: str
    system: str
    settings: dict[str, Any]
    created: float
    updated: float
    current: str | None


class Deleted(_Body):
    id: str
    deleted: bool


class Pruned(Deleted):
    messages: int = Field(description="How many went: the message, and all that followed it.")
    current: str | None = Field(description="The message now current.")


class Imported(_Body):
    imported: int


def router(state: ServerState) -> APIRouter:
    """The routes of ``/api/conversations``, ``/api/export`` and ``/api/import``."""
    routes = APIRouter(prefix="/api", tags=["history"], responses=_FAULTS)
    busy = asyncio.Semaphore(AT_ONCE)

    async def call(function: Callable[[History], Result]) -> Result:
        if state.history is None:
            raise ApiError(404, "this server keeps no history; it was started without one", code="no_history")
        async with busy:
            try:
                return await asyncio.to_thread(function, state.history)
            except (Missing, Unavailable) as error:
                raise _as_api_error(error) from error

    @routes.get("/conversations", responses=_of(Entries))
    async def conversations(
        query: Annotated[str, Query(max_length=200, description="Text in a title or a message.")] = "",
        before: Annotated[
            float | None, Query(allow_inf_nan=False, description="Only what was `updated` before this time.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        """The saved conversations, the last changed first.

        Those that were changed at the very same time come together, even if that makes a few more than `limit`.
        """
        return _json(await call(partial(_listed, query=query, before=before, limit=limit)))

    @routes.post("/conversations", responses=_of(ConversationBody))
    async def create(body: NewConversation) -> Response:
        """Begin a conversation."""
        settings = json_text(body.settings, "settings", exchange.SETTINGS_BYTES)
        made: Conversation = await call(lambda history: history.create(body.title, body.system, settings))
        return _json(exchange.conversation_json(made))

    @routes.get("/conversations/{id}", responses=_of(ConversationBody))
    async def conversation(id: Named) -> Response:
        """A conversation with its whole tree of messages."""
        return _json(await call(lambda history: exchange.conversation_json(history.conversation(id))))

    @routes.patch("/conversations/{id}", responses=_of(Head))
    async def change(id: Named, body: ConversationChange) -> Response:
        """Change its title, system prompt or settings, or the message at which it is read."""
        changes: dict[str, str | None] = {name: getattr(body, name) for name in body.model_fields_set}
        if "settings" in changes:
            changes["settings"] = json_text(body.settings, "settings", exchange.SETTINGS_BYTES)
        made: Conversation = await call(lambda history: history.change(id, **changes))
        return _json(exchange.conversation_json(made, messages=False))

    @routes.delete("/conversations/{id}")
    async def delete(id: Named) -> Deleted:
        """Delete a conversation for good."""
        await call(lambda history: history.delete(id))
        return Deleted(id=id, deleted=True)

    @routes.post("/conversations/{id}/messages", responses=_of(MessageBody))
    async def add(id: Named, body: NewMessage) -> Response:
        """Add a message after another one; it becomes the current one."""
        made: Message = await call(lambda history: _add(history, id, body))
        return _json(exchange.message_json(made))

    @routes.delete("/conversations/{id}/messages/{message}")
    async def prune(id: Named, message: Named) -> Pruned:
        """Delete a message and all that followed it."""
        count, current = await call(lambda history: history.prune(id, message))
        return Pruned(id=message, deleted=True, messages=count, current=current)

    @routes.get("/conversations/{id}/export", responses=_of(ConversationsFile))
    async def export_one(id: Named) -> Response:
        """A file with this conversation."""
        text = await call(lambda history: "".join(exchange.file_pieces([history.conversation(id)])))
        return _json(text, filename=f"conversation-{id}.json")

    @routes.get("/export", responses=_of(ConversationsFile))
    async def export_all() -> Response:
        """A file with every conversation."""
        ids: list[str] = await call(History.ids)
        assert state.history is not None, "the call would have failed"
        pieces = exchange.file_pieces(exchange.still_there(state.history, ids))
        return StreamingResponse(pieces, media_type="application/json", headers=_attached("conversations.json"))

    @routes.post(
        "/import",
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _FILE_SCHEMA}}}},
    )
    async def load(request: Request) -> Imported:
        """Add every conversation of a file that was exported, under new ids; all of them, or none."""
        data = await request.body()
        return Imported(imported=await call(lambda history: exchange.load(history, data)))

    return routes


def _of(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model}}


_FAULTS: dict[int | str, dict[str, Any]] = {
    **{status: RESPONSES[status] for status in (400, 401, 403, 404, 413, 500, 503)},
    507: {"model": ErrorBody, "description": "The disk is full; nothing was saved."},
}
_FILE_SCHEMA = {"$ref": "#/components/schemas/ConversationsFile"}


def _listed(history: History, *, query: str, before: float | None, limit: int) -> str:
    entries = history.entries(query, before, limit)
    return f'{{"conversations":[{",".join(exchange.entry_json(entry) for entry in entries)}]}}'


def _add(history: History, id: str, body: NewMessage) -> Message:
    meta = json_text(body.meta, "meta", exchange.META_BYTES)
    return history.add(id, body.parent, body.role, body.content, body.reasoning, meta)


def _json(text: str, filename: str = "") -> Response:
    return Response(text, media_type="application/json", headers=_attached(filename) if filename else None)


def _attached(filename: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{filename}"'}


def _as_api_error(error: Missing | Unavailable) -> ApiError:
    if isinstance(error, Missing):
        return ApiError(404, str(error), code="conversation_not_found")
    if error.why == "busy":
        return ApiError(503, str(error), code="history_busy", headers={"retry-after": "1"})
    return ApiError(507 if error.why == "full" else 500, str(error), code=f"history_{error.why}")
