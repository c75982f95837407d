"""Reading a published file: JSONL, a JSON list, or a JSON object whose records stand under "examples"; gzip or not.

Which of these a file is, is seen from its content, never from its name. Numbers keep their spelling: 39.0 is the
text "39.0", so that no digit of a gold answer is lost on the way.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkling.core.errors import UserError
from thinkling.tasks.rows import refuse_torn

GZIP_MAGIC = b"\x1f\x8b"
_LONGEST_INT = 18  # digits of a JSON number that is read as one; longer ones stay text
_SHOWN = 80

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """One record: where it stands ("file:12", "file: record 12"), its number from 1 (JSONL: its line), its fields."""

    where: str
    number: int
    row: Row

    def text(self, name: str) -> str:
        """The text in a field, spaces around it stripped; numbers as they are spelled. Else UserError."""
        value = self.row.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and value.strip():
            return value.strip()
        raise self.fault(f"text in the field {name!r}", value if name in self.row else None)

    def whole(self, name: str) -> int:
        """The whole number in a field. Else UserError."""
        value = self.row.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise self.fault(f"a whole number in the field {name!r}", value)

    def fault(self, expected: str, came: object = None) -> UserError:
        """The error that says what this record was expected to hold."""
        got = f"{came!r:.{_SHOWN}}" if came is not None else f"the fields {', '.join(self.row) or 'none'}"
        return UserError(f"{self.where}: expected {expected}; got {got}")


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was read. ``header`` holds what stands beside "examples" in an object, else nothing."""

    path: Path
    records: tuple[Record, ...]
    header: Row
    boxed: bool  # the records stood under "examples"

    @property
    def first(self) -> Row:
        """The fields of the first record: what a format is known by."""
        return self.records[0].row

    @property
    def stem(self) -> str:
        """The file's name without .gz, .jsonl, .json."""
        return self.path.name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".json")


def read_source(path: str | Path) -> Source:
    """The records of a file. Raises UserError naming the line or record that is not one JSON object in UTF-8."""
    file = Path(path)
    if not file.is_file():
        raise UserError(f"expected a file of problems at {file}; there is none")
    text = read_text(file)
    try:
        whole = _json(text)
    except ValueError:
        records = tuple(_lines(file, text))
        return _source(file, records)
    if isinstance(whole, dict) and isinstance(whole.get("examples"), list):
        header = {name: value for name, value in whole.items() if name != "examples"}
        return _source(file, tuple(_listed(file, whole["examples"])), header, boxed=True)
    if isinstance(whole, dict):
        return _source(file, (Record(f"{file}:1", 1, whole),))
    if isinstance(whole, list):
        return _source(file, tuple(_listed(file, whole)))
    raise UserError(f"{file}: expected JSON objects, one a line or in a list; got {type(whole).__name__}")


def _source(file: Path, records: tuple[Record, ...], header: Row | None = None, boxed: bool = False) -> Source:
    if not records:
        raise UserError(f"{file}: expected at least one record; the file has none")
    return Source(file, records, header or {}, boxed)


def read_text(file: Path) -> str:
    """The text of a file, gzip or not. Raises UserError where it is damaged, or no UTF-8."""
    raw = file.read_bytes()
    if raw.startswith(GZIP_MAGIC):
        try:
            raw = gzip.decompress(raw)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"{file}: damaged gzip ({error}); fetch the file again") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"{file}:{line}: expected text in UTF-8; {error}") from None


def _lines(file: Path, text: str) -> Iterator[Record]:
    # Only "\n" ends a line: str.splitlines would also split inside a text that holds U+2028.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        try:
            row = _json(line)
        except ValueError as error:
            raise UserError(f"{where}: expected one JSON object; {error}") from None
        yield _record(where, number, row)


def _listed(file: Path, rows: list[Any]) -> Iterator[Record]:
    for number, row in enumerate(rows, 1):
        yield _record(f"{file}: record {number}", number, row)


def _record(where: str, number: int, row: object) -> Record:
    if not isinstance(row, dict):
        raise UserError(f"{where}: expected a JSON object; got {type(row).__name__}")
    refuse_torn(where, row)
    return Record(where, number, row)


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_float=str, parse_int=_int, parse_constant=str)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _int(digits: str) -> int | str:
    return int(digits) if len(digits) <= _LONGEST_INT else digits
