"""The history's SQLite file: its tables, how it is opened, and what SQLite's errors mean to people.

A file that is not sound, not ours or of a newer version is refused and left as it is: nobody's conversations are
overwritten by an empty history.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Literal

from thinkling.core.disk import is_disk_full
from thinkling.core.errors import UserError

VERSION = 1
APPLICATION = 0x7468696E  # "thin": marks the file as ours in SQLite's header
PATIENCE = 5.0  # seconds to wait for another process that writes

# A message's parent and a conversation's current message lie in that conversation: the keys say so. They are checked
# at the end of a transaction, and do not cascade, because SQLite cascades at most 1,000 levels deep.
_SCHEMA = """
CREATE TABLE conversations (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  title TEXT NOT NULL,
  system TEXT NOT NULL,
  settings TEXT NOT NULL,
  created REAL NOT NULL,
  updated REAL NOT NULL,
  at INTEGER,
  FOREIGN KEY (number, at) REFERENCES messages (conversation, number) DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE TABLE messages (
  number INTEGER PRIMARY KEY,
  conversation INTEGER NOT NULL REFERENCES conversations (number) DEFERRABLE INITIALLY DEFERRED,
  id TEXT NOT NULL UNIQUE,
  parent INTEGER,
  role TEXT NOT NULL,
  content TEXT NOT NULL,
  reasoning TEXT NOT NULL,
  created REAL NOT NULL,
  meta TEXT NOT NULL,
  UNIQUE (conversation, number),
  FOREIGN KEY (conversation, parent) REFERENCES messages (conversation, number) DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE INDEX by_parent ON messages (conversation, parent);
CREATE INDEX by_time ON conversations (updated, number);
"""


class Unavailable(Exception):
    """The file cannot be used, through no fault of the caller; nothing was changed.

    ``why``: "full" (the disk), "busy" (another process writes; it passes), or "broken" (someone has to look).
    """

    def __init__(self, why: Literal["full", "busy", "broken"], message: str) -> None:
        super().__init__(message)
        self.why = why


def open_database(path: Path) -> sqlite3.Connection:
    """A connection for several threads, one at a time; statements outside a transaction commit at once.

    The SQL function ``holds(text, needle)`` finds a case-folded needle. Raises UserError where the file is not usable.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        if not path.is_file():
            raise UserError(f"{path}: expected a file for the history, came something else; name another place")
        db = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise UserError(f"{path}: cannot be opened for the history ({error}); name another place") from None
    try:
        _check(path, db)
        path.chmod(0o600)  # SQLite gives its companions (-wal, -shm) the same
        # Everything deleted is overwritten; each transaction is on the disk when it ends.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            db.execute(f"PRAGMA {pragma}")
        db.create_function("holds", 2, lambda text, needle: needle in text.casefold(), deterministic=True)
        _prepare(db)
        return db
    except sqlite3.Error as error:
        db.close()
        raise UserError(str(trouble(path, error))) from error
    except BaseException:
        db.close()
        raise


def _check(path: Path, db: sqlite3.Connection) -> None:
    """Raise UserError unless this is an empty file, or a sound one of ours. Writes nothing."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    ours = db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION
    if not ours and db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise UserError(f"{path}: a database of another program, not a history; name another file")
    if version > VERSION:
        raise UserError(
            f"{path}: written by a newer thinkling (history version {version}; this one knows {VERSION}). "
            "Update thinkling, or name another file"
        )
    faults = [row[0] for row in db.execute("PRAGMA quick_check(3)")]
    if faults != ["ok"]:
        raise UserError(_damaged(path, " ".join(" ".join(faults).split())))


def _prepare(db: sqlite3.Connection) -> None:
    """Make the tables, unless they are there; of two processes that start at once, one does."""
    db.execute("BEGIN IMMEDIATE")
    if db.execute("PRAGMA user_version").fetchone()[0] == 0:
        for statement in filter(str.strip, _SCHEMA.split(";")):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")


def trouble(path: Path, error: sqlite3.Error) -> Exception:
    """What an error of SQLite's means to people; the error itself if it is our own mistake."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and is_disk_full(error, path.parent)):
        return Unavailable(
            "full", f"the disk is full: nothing was saved to {path}, and nothing in it was lost; free some space"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unavailable("busy", f"{path.name}: another process is writing to this history; try again")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Unavailable("broken", _damaged(path, str(error)))
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        advice = "check the disk and the file's permissions"
        return Unavailable("broken", f"{path}: the history cannot be used ({error}); {advice}")
    return error


def _damaged(path: Path, why: str) -> str:
    return (
        f"{path}: this history is damaged or no history ({why}); it was left as it is. Put a backup in its place, "
        f"or move it away, together with {path.name}-wal, to begin an empty one; `sqlite3 {path.name} .recover` may "
        "save what is left"
    )
