"""Reading one HTTP/1.1 response from bytes, in whatever pieces they arrive (RFC 9112); no input or output here."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass

HEAD_LIMIT = 1 << 17  # bytes of a status line with its headers, or of one line between chunks
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: .*)?", re.DOTALL)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

Header = tuple[bytes, bytes]


class BrokenResponse(Exception):
    """The bytes are no response, or end too early."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response with its whole body, transfer coding undone; ``reusable``: another request may follow."""

    status: int
    headers: list[Header]
    body: bytes
    reusable: bool


class ResponseParser:
    """Feed it bytes until it returns the response; ``end`` says that no more will come.

    Both raise BrokenResponse. What follows a response that nobody asked for makes it not ``reusable``.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ended = False
        self._steps = self._parse()

    def feed(self, data: bytes) -> Response | None:
        self._bytes += data
        return self._step()

    def end(self) -> Response | None:
        self._ended = True
        return self._step()

    def _step(self) -> Response | None:
        try:
            next(self._steps)
        except StopIteration as stop:
            response: Response = stop.value
            return response
        return None

    def _parse(self) -> Generator[None, None, Response]:
        status = 100
        while status < 200:  # 1xx announce the real response
            head = yield from self._until(b"\r\n\r\n")
            minor, status, headers = _read_head(head)
            if status == 101:
                raise BrokenResponse("the endpoint switched protocols, unasked")
        fields = {name.lower(): value for name, value in headers}
        connection = fields.get(b"connection", b"").lower()
        keep = b"close" not in connection and (minor == 1 or b"keep-alive" in connection)

        if status in (204, 304):
            body = b""
        elif b"transfer-encoding" in fields:
            if fields[b"transfer-encoding"].lower() != b"chunked":
                raise BrokenResponse(f"unknown transfer coding {fields[b'transfer-encoding']!r}")
            body = yield from self._chunks()
        elif b"content-length" in fields:
            body = yield from self._exactly(
                _length([value for name, value in headers if name.lower() == b"content-length"])
            )
        else:
            while not self._ended:
                yield
            body, keep = bytes(self._bytes), False
            self._bytes.clear()
        return Response(status, headers, body, keep and not self._bytes and not self._ended)

    def _chunks(self) -> Generator[None, None, bytes]:
        body = bytearray()
        while True:
            line = yield from self._until(b"\r\n")
            size = _CHUNK.fullmatch(line)
            if size is None:
                raise BrokenResponse(f"expected the size of a chunk, came {line[:40]!r}")
            length = int(size[1], 16)
            if not length:
                break
            chunk = yield from self._exactly(length + 2)
            if not chunk.endswith(b"\r\n"):
                raise BrokenResponse("a chunk is longer than it says")
            body += chunk[:-2]
        while (yield from self._until(b"\r\n")):
            pass  # trailers
        return bytes(body)

    def _until(self, mark: bytes) -> Generator[None, None, bytes]:
        start = 0
        while (at := self._bytes.find(mark, start)) < 0:
            start = max(0, len(self._bytes) - len(mark) + 1)
            if start > HEAD_LIMIT:
                raise BrokenResponse(f"a header of more than {HEAD_LIMIT} bytes")
            yield from self._more()
        return self._take(at, len(mark))

    def _exactly(self, length: int) -> Generator[None, None, bytes]:
        while len(self._bytes) < length:
            yield from self._more()
        return self._take(length, 0)

    def _more(self) -> Generator[None, None, None]:
        if self._ended:
            when = "in the middle of its response" if self._bytes else "without a response"
            raise BrokenResponse(f"the endpoint closed the connection {when}")
        yield

    def _take(self, length: int, mark: int) -> bytes:
        taken = bytes(self._bytes[:length])
        del self._bytes[: length + mark]
        return taken


def _read_head(head: bytes) -> tuple[int, int, list[Header]]:
    line, *rows = head.split(b"\r\n")
    status = _STATUS.fullmatch(line)
    if status is None:
        raise BrokenResponse(f"expected an HTTP/1.1 status line, came {line[:40]!r}")
    headers = []
    for row in rows:
        name, colon, value = row.partition(b":")
        if not colon or _TOKEN.fullmatch(name) is None:
            raise BrokenResponse(f"expected a header, came {row[:40]!r}")
        headers.append((name, value.strip(b" \t")))
    return int(status[1]), int(status[2]), headers


def _length(values: list[bytes]) -> int:
    """Content-Length, which may be repeated only if it does not contradict itself."""
    different = {part.strip() for value in values for part in value.split(b",")}
    length = different.pop()
    if different or re.fullmatch(rb"[0-9]{1,15}", length) is None:
        raise BrokenResponse(f"a Content-Length that is no number: {b', '.join(values)[:40]!r}")
    return int(length)
