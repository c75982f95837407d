"""Conversations that last: a tree of messages in one SQLite file.

Editing a question or asking again grows a sibling, nothing is overwritten; ``current`` is the message at which a
conversation is read. Calls block, are safe in several threads, and each is one transaction: it happens whole or not
at all. ``settings`` and ``meta`` are JSON that belongs to the page: they go in and out as text, unread.
"""

from __future__ import annotations

import contextlib
import json
import math
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from thinkling.core.errors import UserError
from thinkling.serve.database import open_database, trouble

Role = Literal["system", "user", "assistant"]
MAX_MESSAGES = 20_000  # in one conversation
MAX_DEPTH = 64  # of JSON: what some program here can write, every program must be able to read


class Missing(Exception):
    """There is no such conversation or message (any more)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A conversation in a list; times are seconds since 1970, ``messages`` counts them."""

    id: str
    title: str
    created: float
    updated: float
    messages: int


@dataclass(frozen=True, slots=True)
class Message:
    """One turn; ``parent`` is the id of the turn before it (None: it opens the conversation), ``meta`` JSON."""

    id: str
    parent: str | None
    role: str
    content: str
    reasoning: str
    created: float
    meta: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A whole tree, parents before their children; ``settings`` is JSON, ``current`` a message's id."""

    id: str
    title: str
    system: str
    settings: str
    created: float
    updated: float
    current: str | None
    messages: Sequence[Message] = ()


class History:
    """The conversations in ``path``, which is made (readable by its owner alone) where it does not exist.

    Raises UserError for a file that is damaged, of a newer version or not ours, and leaves it as it is. Every method
    raises Unavailable for a full disk and the like, and Missing for a conversation that is not there.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._db = open_database(self.path)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def entries(self, query: str = "", before: float | None = None, limit: int = 50) -> list[Entry]:
        """Conversations that were last changed before a time, the last first.

        There may be more than ``limit``: those that were changed at the very same time come together, so that to go on
        before the last one's time misses none. ``query``: only those whose title or a message of theirs holds this
        text, whatever the case of its letters.
        """
        needle = query.strip().casefold()
        found: list[Entry] = []
        with self._transaction("BEGIN") as db:
            rows = db.execute(
                "SELECT c.id, c.title, c.created, c.updated,"
                " (SELECT count(*) FROM messages m WHERE m.conversation = c.number)"
                " FROM conversations c WHERE c.updated < ? AND (? = '' OR holds(c.title, ?) OR EXISTS"
                " (SELECT 1 FROM messages m WHERE m.conversation = c.number AND holds(m.content, ?)))"
                " ORDER BY c.updated DESC, c.number DESC",
                (math.inf if before is None else before, needle, needle, needle),
            )
            for row in rows:
                entry = Entry(*row)
                if len(found) >= limit and entry.updated != found[-1].updated:
                    break
                found.append(entry)
            rows.close()
        return found

    def ids(self) -> list[str]:
        """Of all conversations, the oldest first."""
        with self._transaction("BEGIN") as db:
            return [row[0] for row in db.execute("SELECT id FROM conversations ORDER BY number")]

    def conversation(self, id: str, *, messages: bool = True) -> Conversation:
        """One conversation, with all its messages or none."""
        with self._transaction("BEGIN") as db:
            number = _number(db, id)
            head = db.execute(
                "SELECT c.id, c.title, c.system, c.settings, c.created, c.updated, m.id FROM conversations c"
                " LEFT JOIN messages m ON m.number = c.at WHERE c.number = ?",
                (number,),
            ).fetchone()
            found = db.execute(
                "SELECT m.id, p.id, m.role, m.content, m.reasoning, m.created, m.meta FROM messages m"
                " LEFT JOIN messages p ON p.number = m.parent WHERE m.conversation = ? ORDER BY m.number",
                (number if messages else None,),
            )
            made: tuple[Any, ...] = (*head, tuple(Message(*row) for row in found))
            return Conversation(*made)

    def create(self, title: str = "", system: str = "", settings: str = "{}") -> Conversation:
        now = _now()
        made = Conversation(new_id(), title, system, settings, now, now, None)
        self.insert([made])
        return made

    def insert(self, conversations: Sequence[Conversation]) -> None:
        """All of these, or none. Their ids must be new, and each message's parent stand before it."""
        with self._transaction("BEGIN IMMEDIATE") as db:
            for made in conversations:
                number = db.execute(
                    "INSERT INTO conversations (id, title, system, settings, created, updated) VALUES (?,?,?,?,?,?)",
                    (made.id, made.title, made.system, made.settings, made.created, made.updated),
                ).lastrowid
                numbers: dict[str | None, int | None] = {None: None}
                for message in made.messages:
                    numbers[message.id] = _insert(db, number, numbers[message.parent], message)
                db.execute("UPDATE conversations SET at = ? WHERE number = ?", (numbers[made.current], number))

    def change(self, id: str, **changes: str | None) -> Conversation:
        """Set ``title``, ``system``, ``settings`` (JSON) or ``current`` (a message's id, or None for none).

        Returns the conversation without its messages. Reading it elsewhere (``current``) is no update.
        """
        with self._transaction("BEGIN IMMEDIATE") as db:
            number = _number(db, id)
            for column in ("title", "system", "settings"):
                if column in changes:
                    db.execute(
                        f"UPDATE conversations SET {column} = ?, updated = ? WHERE number = ?",
                        (changes[column], _now(), number),
                    )
            if "current" in changes:
                at = _message(db, number, "current", changes["current"])
                db.execute("UPDATE conversations SET at = ? WHERE number = ?", (at, number))
        return self.conversation(id, messages=False)

    def delete(self, id: str) -> None:
        with self._transaction("BEGIN IMMEDIATE") as db:
            number = _number(db, id)
            db.execute("DELETE FROM messages WHERE conversation = ?", (number,))
            db.execute("DELETE FROM conversations WHERE number = ?", (number,))

    def add(
        self, id: str, parent: str | None, role: Role, content: str, reasoning: str = "", meta: str = "{}"
    ) -> Message:
        """A new message after ``parent``; it becomes the current one. Raises UserError for a parent elsewhere."""
        message = Message(new_id(), parent, role, content, reasoning, _now(), meta)
        with self._transaction("BEGIN IMMEDIATE") as db:
            number = _number(db, id)
            above = _message(db, number, "parent", parent)
            (count,) = db.execute("SELECT count(*) FROM messages WHERE conversation = ?", (number,)).fetchone()
            if count >= MAX_MESSAGES:
                raise UserError(f"this conversation has {count:,} messages, the most there may be; begin another one")
            at = _insert(db, number, above, message)
            db.execute("UPDATE conversations SET at = ?, updated = ? WHERE number = ?", (at, message.created, number))
        return message

    def prune(self, id: str, message: str) -> tuple[int, str | None]:
        """Delete a message and all that follows it; returns how many went, and the message now current.

        If the current one went, that is the parent of the deleted message, else what it was.
        """
        with self._transaction("BEGIN IMMEDIATE") as db:
            number = _number(db, id)
            found = db.execute(
                "SELECT number, parent FROM messages WHERE conversation = ? AND id = ?", (number, message)
            ).fetchone()
            if found is None:
                raise Missing(f"this conversation has no message {message!r}")
            root, parent = found
            doomed = db.execute(
                "WITH RECURSIVE tree (number) AS (VALUES (?) UNION ALL SELECT m.number FROM messages m"
                " JOIN tree ON m.conversation = ? AND m.parent = tree.number) SELECT number FROM tree",
                (root, number),
            ).fetchall()
            (at,) = db.execute("SELECT at FROM conversations WHERE number = ?", (number,)).fetchone()
            if (at,) in set(doomed):
                at = parent
            db.executemany("DELETE FROM messages WHERE number = ?", doomed)
            db.execute("UPDATE conversations SET at = ?, updated = ? WHERE number = ?", (at, _now(), number))
            current = db.execute("SELECT id FROM messages WHERE number = ?", (at,)).fetchone()
            return len(doomed), current[0] if current else None

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        """One at a time in this process; SQLite keeps those of other processes apart."""
        with self._lock:
            try:
                self._db.execute(begin)
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.IntegrityError:
                raise
            except sqlite3.Error as error:
                raise trouble(self.path, error) from error
            finally:
                if self._db.in_transaction:
                    with contextlib.suppress(sqlite3.Error):  # closing undoes it as well
                        self._db.execute("ROLLBACK")


def new_id() -> str:
    """Random (96 bits), and fit for a URL."""
    return secrets.token_urlsafe(12)


def json_text(value: Any, place: str, limit: int) -> str:
    """``value`` as JSON of at most ``limit`` bytes; raises UserError, naming ``place``, where it cannot be."""
    if _deeper(value, MAX_DEPTH):
        raise UserError(f"{place}: expected JSON nested at most {MAX_DEPTH} levels deep, came deeper")
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise UserError(f"{place}: expected Unicode text, came half of a surrogate pair") from None
    except ValueError:
        raise UserError(f"{place}: expected finite numbers, came NaN or Infinity; JSON has null for these") from None
    if size > limit:
        raise UserError(f"{place}: expected at most {limit:,} bytes of JSON, came {size:,}")
    return text


def _number(db: sqlite3.Connection, id: str) -> int:
    row = db.execute("SELECT number FROM conversations WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise Missing(f"there is no conversation {id!r}")
    number: int = row[0]
    return number


def _message(db: sqlite3.Connection, conversation: int, role: str, id: str | None) -> int | None:
    """The number of the message that plays ``role``; raises UserError unless it is in the conversation."""
    if id is None:
        return None
    row = db.execute("SELECT number FROM messages WHERE conversation = ? AND id = ?", (conversation, id)).fetchone()
    if row is None:
        raise UserError(f"{role}: expected the id of a message in this conversation, or null; got {id!r}")
    number: int = row[0]
    return number


def _insert(db: sqlite3.Connection, conversation: int | None, parent: int | None, message: Message) -> int | None:
    return db.execute(
        "INSERT INTO messages (conversation, id, parent, role, content, reasoning, created, meta)"
        " VALUES (?,?,?,?,?,?,?,?)",
        (
            *(conversation, message.id, parent, message.role, message.content, message.reasoning),
            *(message.created, message.meta),
        ),
    ).lastrowid


def _deeper(value: Any, depth: int) -> bool:
    """Whether lists and objects are nested more than ``depth`` levels deep."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    return depth == 0 or any(_deeper(inner, depth - 1) for inner in value)


def _now() -> float:
    return round(time.time(), 3)
