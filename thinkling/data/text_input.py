"""Documents from plain text and JSONL files, gzip or not: the way in for text that needs no extraction."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from thinkling.core.errors import UserError
from thinkling.core.types import Document
from thinkling.data.byte_source import GZIP_MAGIC
from thinkling.data.warc import Unreadable

# Marks the end of a document inside a plain text file, as in the TinyStories and GPT-2 corpora.
SEPARATOR = "<|endoftext|>"
JSONL_SUFFIXES = (".jsonl", ".ndjson", ".json")


def read_text_file(
    path: Path, name: str, *, text_field: str, url_field: str, piece_characters: int
) -> Iterator[Document | Unreadable]:
    """The documents of one file in order.

    JSONL: one per line, ``text_field`` holding its text; a line that is no such object is
    Unreadable. Plain text: split at ``SEPARATOR`` lines, and what is longer than
    ``piece_characters`` at blank lines into pieces of about that size, so that there is something to
    shuffle and to hold out. Bytes that are not UTF-8 become U+FFFD.
    """
    is_jsonl = path.name.lower().removesuffix(".gz").endswith(JSONL_SUFFIXES)
    with path.open("rb") as raw:
        zipped = raw.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
        stream = gzip.GzipFile(fileobj=raw) if zipped else raw
        lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline=None)
        try:
            if is_jsonl:
                yield from _jsonl(lines, name, text_field, url_field)
            else:
                yield from _plain(lines, name, piece_characters)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            yield Unreadable(name, "", f"damaged gzip: the rest of the file is lost ({error})")


def _jsonl(lines: TextIO, name: str, text_field: str, url_field: str) -> Iterator[Document | Unreadable]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{name}:{number}"
        try:
            row: Any = json.loads(line)
        except ValueError:
            yield Unreadable(place, "", "line is not JSON")
            continue
        text = row.get(text_field) if isinstance(row, dict) else None
        if not isinstance(text, str):
            held = f"an object with {', '.join(map(str, row))}" if isinstance(row, dict) else "no object"
            if number == 1:
                raise UserError(
                    f"{name}: expected JSON objects with the text under {text_field!r}, came {held[:200]}; "
                    f"set text_field to the right name"
                )
            yield Unreadable(place, "", f"no text under {text_field!r}")
            continue
        url = row.get(url_field, "")
        yield Document(place, url if isinstance(url, str) else "", _clean(text))


def _plain(lines: TextIO, name: str, piece_characters: int) -> Iterator[Document | Unreadable]:
    piece: list[str] = []
    size = start = 0
    for number, line in enumerate(lines, start=1):
        if not piece:
            start = number
        is_separator = line.strip() == SEPARATOR
        if is_separator or (size >= piece_characters and not line.strip()):
            if text := _clean("".join(piece)):
                yield Document(f"{name}:{start}", "", text)
            piece, size = [], 0
            continue
        piece.append(line)
        size += len(line)
    if text := _clean("".join(piece)):
        yield Document(f"{name}:{start}", "", text)


def _clean(text: str) -> str:
    """Unix line ends and no NULs; indentation stays, since code and verse live by it."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").strip("\n")
