"""Reading web archives: WARC (ISO 28500) and its predecessor ARC, plain or gzip, damaged ones included.

Own framing rather than fastwarc's: fastwarc trusts Content-Length across gzip members, so that one
lying record silently swallows the rest of the file, and it ends a file at the first malformed
record. Here a bad record is dropped, named with its reason, and reading goes on behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from thinkling.data.byte_source import ByteSource, Damage

_MAX_HEADER = 1 << 16
_WARC_START = re.compile(rb"WARC/\d+\.\d+\r?\n")
_WARC_MARKER = re.compile(rb"(?:\A|\n)(WARC/\d+\.\d+\r?\n)")
_ARC_LINE = rb"[a-z][a-z0-9+.-]*:\S* \d{1,3}(?:\.\d{1,3}){3} \d{14} [^\r\n]{0,200}? \d+\r?\n"
_ARC_START = re.compile(_ARC_LINE)
_ARC_MARKER = re.compile(rb"(?:\A|\n)(" + _ARC_LINE + rb")")
_HEADER_END = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Record:
    """One archived record. ``id`` is ``file:offset``: where it stands, so that it can be found again.

    In a gzip file ``offset`` is that of the record's member; ``id`` tells records in one member apart.
    """

    id: str
    offset: int
    kind: str
    url: str
    headers: dict[str, str] = field(repr=False)
    block: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record, or a stretch of bytes, that could not be read; ``url`` where the header told it."""

    id: str
    url: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Header:
    kind: str
    url: str
    length: int
    headers: dict[str, str]


class _Malformed(Exception):
    """A record header that cannot be used; ``url`` where it was legible."""

    def __init__(self, reason: str, url: str = "") -> None:
        super().__init__(reason)
        self.reason, self.url = reason, url


def begins_record(data: bytes) -> bool:
    return bool(_WARC_START.match(data) or _ARC_START.match(data))


def read_archive(path: Path, name: str, max_bytes: int) -> Iterator[Record | Unreadable]:
    """Every record of the archive in order, those that cannot be read as ``Unreadable``.

    ``name`` stands for the file in ids. A record longer than ``max_bytes`` is skipped without being
    held in memory. Never raises for what the file contains; OSError where it cannot be opened.
    """
    return _Archive(path, name, max_bytes).records()


class _Archive:
    def __init__(self, path: Path, name: str, max_bytes: int) -> None:
        self.name = name
        self.max_bytes = max_bytes
        self.source = ByteSource(path, begins_record)
        self.is_arc = False
        self._begun = False
        self._charged = False  # whether the damage behind the current region was put down to a record

    def records(self) -> Iterator[Record | Unreadable]:
        head = self.source.peek(_MAX_HEADER)
        if not begins_record(head.lstrip()):
            damage = self.source.damage
            if not head and damage is None:
                yield self._unreadable(self.source.mark, "", "empty file")
                return
            if not _WARC_MARKER.search(head) and damage is None:
                yield self._unreadable(self.source.mark, "", "not a WARC or ARC file")
                return
        self.is_arc = bool(_ARC_START.match(head.lstrip()))
        try:
            while self._region():
                yield from self._read_region()
                damage = self.source.damage
                if damage is not None and not self._charged:
                    yield self._unreadable((damage.member, 0), "", damage.reason)
        finally:
            self.source.close()

    def _region(self) -> bool:
        """Stand at the next region: what lies between two gates (or damages) of the source."""
        self._charged = False
        if not self._begun:
            self._begun = True
            return bool(self.source.peek(1)) or self.source.damage is not None
        return self.source.next_region()

    def _read_region(self) -> Iterator[Record | Unreadable]:
        while True:
            while self.source.peek(1) in (b"\r", b"\n"):
                self.source.skip(1)
            head = self.source.peek(_MAX_HEADER)
            if not head:
                return
            mark = self.source.mark
            if not begins_record(head):
                found = self.source.seek_pattern(self._marker)
                yield self._unreadable(mark, "", "bytes between records that are not a record")
                if not found:
                    return
                continue
            yield self._read_record(head, mark)

    @property
    def _marker(self) -> re.Pattern[bytes]:
        return _ARC_MARKER if self.is_arc else _WARC_MARKER

    def _read_record(self, head: bytes, mark: tuple[int, int]) -> Record | Unreadable:
        try:
            header, size = (_arc_header if self.is_arc else _warc_header)(head)
        except _Malformed as error:
            reason = self._charge(error.reason)
            self.source.skip(4)
            self.source.seek_pattern(self._marker)
            return self._unreadable(mark, error.url, reason)
        self.source.skip(size)
        body_mark = self.source.mark
        block = b""
        if header.length > self.max_bytes:
            got = self.source.skip(header.length)
        else:
            block = self.source.read(header.length)
            got = len(block)
        fault = self._fault(header, got, body_mark)
        if fault:
            return self._unreadable(mark, header.url, fault)
        if header.length > self.max_bytes:
            reason = f"record larger than {self.max_bytes} bytes"
            return self._unreadable(mark, header.url, reason)
        kind = header.kind
        if self.is_arc and kind == "arc":
            kind = "response" if block.startswith(b"HTTP/") else "metadata"
        return Record(
            self._id(mark),
            self._offset(mark),
            kind,
            header.url,
            header.headers,
            block,
        )

    def _fault(self, header: _Header, got: int, body_mark: tuple[int, int]) -> str:
        """What is wrong with the record just read, "" if nothing; stands at the next record afterwards."""
        after = self.source.peek(_MAX_HEADER).lstrip(b"\r\n")
        wrong = f"its Content-Length of {header.length} is wrong"
        if got < header.length:
            if self.source.damage is not None:
                return self._charge("truncated record")
            cut = not self.source.gated
            return wrong if self._find_swallowed(body_mark) or not cut else "truncated record"
        if not after and self.source.damaged_member:
            return self._charge("truncated record")
        if not after or begins_record(after):
            return ""
        self._find_swallowed(body_mark)
        return wrong

    def _find_swallowed(self, body_mark: tuple[int, int]) -> bool:
        """After a wrong length: stand at the next record, even one that begins inside the block read."""
        after_block = self.source.mark
        self.source = self.source.rewound(body_mark)
        found = self.source.seek_pattern(self._marker)
        return found and self.source.mark < after_block

    def _charge(self, reason: str) -> str:
        """Put the damage at hand down to the current record, so that it is reported once."""
        damage: Damage | None = self.source.damage
        if damage is None:
            return reason
        self._charged = True
        return damage.reason

    def _offset(self, mark: tuple[int, int]) -> int:
        return mark[0] if self.source.gzip else sum(mark)

    def _id(self, mark: tuple[int, int]) -> str:
        inside = f"+{mark[1]}" if self.source.gzip and mark[1] else ""
        return f"{self.name}:{self._offset(mark)}{inside}"

    def _unreadable(self, mark: tuple[int, int], url: str, reason: str) -> Unreadable:
        return Unreadable(self._id(mark), url, reason)


def _warc_header(head: bytes) -> tuple[_Header, int]:
    """Parse a WARC record header at the start of ``head``; returns it and its size in bytes."""
    end = _HEADER_END.search(head)
    if end is None:
        raise _Malformed("record header without an end")
    headers = parse_header_lines(head[: end.start()].splitlines()[1:])
    url = headers.get("warc-target-uri", "").strip("<>")
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()):
        raise _Malformed(f"record header with Content-Length {length!r}", url)
    return _Header(headers.get("warc-type", "unknown").lower(), url, int(length), headers), end.end()


def _arc_header(head: bytes) -> tuple[_Header, int]:
    """Parse an ARC URL-record line: ``URL IP-address date content-type length``."""
    line = head[: head.index(b"\n") + 1]
    url, ip, date, *kind, length = line.decode("utf-8", "replace").split()
    headers = {"warc-date": date, "warc-ip-address": ip, "content-type": " ".join(kind)}
    return _Header("warcinfo" if url.startswith("filedesc:") else "arc", url, int(length), headers), len(line)


def parse_header_lines(lines: list[bytes]) -> dict[str, str]:
    """``Name: value`` lines to a dict with lower-case names; the first of several values stays.

    Continuation lines are joined, lines without a colon are ignored, as browsers do.
    """
    headers: dict[str, str] = {}
    last = ""
    for raw in lines:
        line = raw.decode("utf-8", "replace")
        if line[:1] in " \t" and last:
            headers[last] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        last = name.strip().lower() if colon else ""
        if last:
            headers.setdefault(last, value.strip())
    return headers
