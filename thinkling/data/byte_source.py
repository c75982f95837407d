"""The decoded bytes of a plain or gzip file, with what is needed to recover from damage in it.

A web archive is normally one gzip member per record, and that is what saves a damaged file: a record
that lies about its length, or whose compressed bytes are broken, can be dropped and reading resumed
at the next member. So this source knows where members start, and stops in front of a member that
begins a record (the *gate*) until the reader asks for the next record.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

GZIP_MAGIC = b"\x1f\x8b\x08"
_RAW_CHUNK = 1 << 16
_DECODED_CHUNK = 1 << 20
_HEAD = 512  # decoded bytes that suffice to tell whether a gzip member begins a record


@dataclass(frozen=True, slots=True)
class Chunk:
    """Decoded bytes; ``member`` is the raw offset of their gzip member, ``first`` marks its first chunk."""

    member: int
    first: bool
    data: bytes
    salvaged: bool = False  # all that decodes of a member that is broken near its beginning


@dataclass(frozen=True, slots=True)
class Damage:
    """Compressed bytes at raw offset ``member`` that could not be decoded."""

    member: int
    reason: str


def plain_chunks(file: BinaryIO, start: int) -> Iterator[Chunk | Damage]:
    file.seek(start)
    first = True
    while data := file.read(_RAW_CHUNK):
        yield Chunk(start, first, data)
        first = False


def gzip_chunks(file: BinaryIO, start: int) -> Iterator[Chunk | Damage]:
    """Decode member after member; a broken one yields ``Damage`` and decoding goes on at the next."""
    file.seek(start)
    pending, member = b"", start
    while True:
        decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
        head, first = b"", True
        try:
            while not decoder.eof:
                pending = pending or file.read(_RAW_CHUNK)
                if not pending:
                    if head:
                        yield Chunk(member, first, head)
                    yield Damage(member, "gzip member cut off by the end of the file")
                    return
                head += decoder.decompress(pending, _DECODED_CHUNK)
                pending = decoder.unconsumed_tail
                if head and (len(head) >= _HEAD or decoder.eof or not first):
                    yield Chunk(member, first, head)
                    head, first = b"", False
            pending = decoder.unused_data
        except zlib.error as error:
            head = _salvage(file, member) if first else head
            if head:
                yield Chunk(member, first, head, salvaged=first)
            reason = str(error).split(": ", 1)[-1]
            yield Damage(member, f"damaged gzip member ({reason})")
            found = _next_member(file, member + 1)
            if found is None:
                return
            file.seek(found)
            pending, member = b"", found
            continue
        pending = pending or file.read(_RAW_CHUNK)
        member = file.tell() - len(pending)
        if not pending:
            return
        if not pending.startswith(GZIP_MAGIC):
            if len(pending) < len(GZIP_MAGIC):
                pending += file.read(_RAW_CHUNK)
            if pending.startswith(GZIP_MAGIC):
                continue
            found = _next_member(file, member)
            if found is None and not _only_zeros(file, member):
                yield Damage(member, "bytes after the last gzip member that are not gzip")
            if found is None:
                return
            yield Damage(member, "bytes between gzip members that are not gzip")
            file.seek(found)
            pending, member = b"", found


def _only_zeros(file: BinaryIO, start: int) -> bool:
    """Zero padding at the end of a gzip file (tape blocks) is legal and means nothing."""
    file.seek(start)
    while data := file.read(_RAW_CHUNK):
        if data.strip(b"\0"):
            return False
    return True


def _salvage(file: BinaryIO, member: int) -> bytes:
    """What decodes of a broken member's beginning: enough, with luck, to name the record that is lost."""
    file.seek(member)
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
    head = b""
    try:
        for byte in file.read(_HEAD):
            head += decoder.decompress(bytes([byte]))
    except zlib.error:
        pass
    return head


def _next_member(file: BinaryIO, start: int) -> int | None:
    """Raw offset of the next place at or after ``start`` that decodes as the beginning of a gzip member."""
    file.seek(start)
    window, base = b"", start
    while data := file.read(_RAW_CHUNK):
        window += data
        at = window.find(GZIP_MAGIC)
        while at >= 0:
            if _decodes(window[at : at + 4096]):
                return base + at
            at = window.find(GZIP_MAGIC, at + 1)
        keep = 4096 + len(GZIP_MAGIC)
        base += max(0, len(window) - keep)
        window = window[-keep:]
    return None


def _decodes(raw: bytes) -> bool:
    try:
        return bool(zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(raw, 64))
    except zlib.error:
        return False


class ByteSource:
    """Decoded bytes of ``path`` from raw offset ``start``; ``begins_record`` recognises a record's start."""

    def __init__(self, path: Path, begins_record: Callable[[bytes], bool], start: int = 0) -> None:
        self.path = path
        self._begins_record = begins_record
        self._file: BinaryIO = path.open("rb")
        self._file.seek(start)
        self.gzip = self._file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        chunks = gzip_chunks if self.gzip else plain_chunks
        self._chunks = chunks(self._file, start)
        self._anchor = start  # raw offset of the member that the last gate (or the start) opened
        self._position = 0  # decoded bytes consumed since the anchor
        self._gate: Chunk | None = None
        self._damage: Damage | None = None
        self._member = -1  # raw offset of the gzip member that was read last
        self._buffer = bytearray()

    def close(self) -> None:
        self._file.close()

    @property
    def mark(self) -> tuple[int, int]:
        """``(raw offset, decoded bytes after it)`` of the next unread byte: names a place in the file."""
        return self._anchor, self._position

    @property
    def damage(self) -> Damage | None:
        """The damage right behind the buffered bytes, if reading has run into one."""
        return self._damage

    @property
    def damaged_member(self) -> bool:
        """True where that damage lies in the very member that was read last."""
        return self._damage is not None and self._damage.member == self._member

    @property
    def gated(self) -> bool:
        """True where reading has run into a gate: another record follows in a member of its own."""
        return self._gate is not None

    def rewound(self, mark: tuple[int, int]) -> ByteSource:
        """A fresh source standing at ``mark``; this one is closed."""
        self.close()
        anchor, position = mark
        if not self.gzip:
            fresh = ByteSource(self.path, self._begins_record, anchor + position)
            fresh._anchor, fresh._position = anchor, position
            return fresh
        fresh = ByteSource(self.path, self._begins_record, anchor)
        fresh.skip(position)
        return fresh

    def next_region(self) -> bool:
        """Drop the buffer and any damage, and stand behind the gate; False where nothing follows."""
        self._position += len(self._buffer)
        self._buffer.clear()
        self._damage = None
        if self._gate is not None:
            self._anchor, self._position = self._gate.member, 0
            self._member = self._gate.member
            self._buffer += self._gate.data
            self._gate = None
        return bool(self.peek(1)) or self._gate is not None or self._damage is not None

    def peek(self, size: int) -> bytes:
        """Up to ``size`` bytes, not consumed; fewer only in front of a gate, damage or the end."""
        while len(self._buffer) < size and self._fill():
            pass
        return bytes(memoryview(self._buffer)[:size])

    def read(self, size: int) -> bytes:
        data = self.peek(size)
        del self._buffer[: len(data)]
        self._position += len(data)
        return data

    def skip(self, size: int) -> int:
        """Consume up to ``size`` bytes without holding them; returns how many there were."""
        left = size
        while left and (self._buffer or self._fill()):
            step = min(left, len(self._buffer))
            del self._buffer[:step]
            self._position += step
            left -= step
        return size - left

    def seek_pattern(self, pattern: re.Pattern[bytes], longest: int = 4096) -> bool:
        """Consume up to the next match of ``pattern`` (its group 1); False at gate, damage or end."""
        while True:
            window = self.peek(_DECODED_CHUNK)
            match = pattern.search(window)
            if match:
                self.skip(match.start(1))
                return True
            if len(window) < _DECODED_CHUNK:
                self.skip(len(window))
                return False
            self.skip(len(window) - longest)

    def _fill(self) -> bool:
        if self._gate is not None or self._damage is not None:
            return False
        chunk = next(self._chunks, None)
        if isinstance(chunk, Damage):
            self._damage = chunk
        elif chunk is not None and chunk.first and self._member >= 0 and self._begins_record(chunk.data):
            self._gate = chunk
        elif chunk is not None and chunk.salvaged:
            return self._fill()  # not the beginning of a record as far as one can tell: the damage tells
        elif chunk is not None:
            self._member = chunk.member
            self._buffer += chunk.data
            return True
        return False
