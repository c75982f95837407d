"""Reading files of one JSON object a line; whatever is wrong is reported as file:line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thinkling.core.errors import UserError


def read_rows(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields ("file:line", object) for every line that is not blank."""
    file = Path(path)
    if not file.is_file():
        raise UserError(f"expected a JSONL file at {file}; there is none")
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{file}:{number}"
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig"))
            except ValueError as error:
                raise UserError(f"{where}: expected one JSON object in UTF-8; {error}") from None
            if not isinstance(row, dict):
                raise UserError(f"{where}: expected a JSON object; got {type(row).__name__}")
            refuse_torn(where, row)
            yield where, row


def refuse_torn(where: str, row: dict[str, Any]) -> None:
    """Raises UserError where a text holds half a character: an escape such as \\ud83d without its other half."""
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise UserError(f"{where}: expected whole characters; got {half}, half of one: remove it") from None


def text_field(where: str, row: dict[str, Any], *names: str) -> str:
    """The first of ``names`` that the row has, as text (numbers are written out); none is an error."""
    for name in names:
        value = row.get(name)
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, str | int | float) and str(value).strip():
            return str(value).strip()
    shown = ", ".join(sorted(map(str, row))) or "none"
    raise UserError(f"{where}: expected text in the field {' or '.join(names)}; the row has the fields {shown}")
