"""The HTTP response inside a web archive's record: status, headers, and the page's own bytes."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass, field

from fastwarc.stream_io import BrotliReader

from thinkling.data.warc import Record, parse_header_lines

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_MAX_HEADER = 1 << 16
_MAX_CHUNK_LINE = 256


class NotAPage(Exception):
    """The response holds no page to read; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Page:
    """An HTML page as it came: undecoded bytes, and the charset that its header claims ("" if none)."""

    url: str
    charset: str
    body: bytes = field(repr=False)


def open_page(record: Record, max_bytes: int) -> Page:
    """The HTML page in a ``response`` (or ``resource``) record.

    Raises NotAPage for another status than 200, for anything that is not HTML, and for a body that
    cannot be decoded or grows beyond ``max_bytes``.
    """
    if not record.url:
        raise NotAPage("no target URI")
    if record.kind == "resource":
        status, headers, body = 200, record.headers, record.block
    else:
        status, headers, body = split_response(record.block)
    if status != 200:
        raise NotAPage(f"HTTP status {status}")
    mime, _, parameters = headers.get("content-type", "").partition(";")
    mime = mime.strip().lower()
    if mime and mime not in HTML_TYPES:
        raise NotAPage(f"not HTML ({mime[:60]})" if mime.isprintable() else "not HTML")
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = join_chunks(body)
    body = decompress(body, headers.get("content-encoding", ""), max_bytes)
    if not body.strip():
        raise NotAPage("empty body")
    if not looks_like_html(body, declared=bool(mime)):
        raise NotAPage("not HTML (by its bytes)")
    return Page(record.url, _charset(parameters), body)


def split_response(block: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an HTTP/1 response; raises NotAPage where there is no status line."""
    head, separator, body = block[:_MAX_HEADER].partition(b"\r\n\r\n")
    plain_head, plain_separator, _ = head.partition(b"\n\n")
    if plain_separator:  # bare line feeds, as some crawlers wrote them
        head, separator = plain_head, plain_separator
    lines = head.splitlines()
    if not separator or not lines:
        raise NotAPage("HTTP header without an end")
    body = block[len(head) + len(separator) :]
    words = lines[0].split(None, 2)
    if not lines[0].startswith(b"HTTP/") or len(words) < 2 or not words[1].isdigit():
        raise NotAPage("no HTTP status line")
    return int(words[1]), parse_header_lines(lines[1:]), body


def join_chunks(body: bytes) -> bytes:
    """Undo chunked transfer encoding (RFC 9112, section 7.1).

    A body that is not chunked, whatever its header claims (many crawlers store it decoded), comes
    back as it is; one that breaks off comes back as far as it goes.
    """
    parts: list[bytes] = []
    at = 0
    while True:
        end = body.find(b"\n", at, at + _MAX_CHUNK_LINE)
        size_text = body[at:end].split(b";")[0].strip() if end >= 0 else b""
        try:
            size = int(size_text, 16)
        except ValueError:
            size = -1
        if size < 0:
            return b"".join(parts) if parts else body
        if size == 0:
            return b"".join(parts)
        chunk = body[end + 1 : end + 1 + size]
        parts.append(chunk)
        at = end + 1 + size
        while body[at : at + 1] in (b"\r", b"\n"):
            at += 1
        if at >= len(body):
            return b"".join(parts)


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Undo Content-Encoding gzip, deflate and br; a body stored decoded already is left alone.

    Raises NotAPage for a damaged or unknown encoding, or where the result exceeds ``max_bytes``.
    """
    for name in reversed([part.strip().lower() for part in encoding.split(",") if part.strip()]):
        if name in ("gzip", "x-gzip"):
            if body.startswith(b"\x1f\x8b"):
                body = _inflate(body, zlib.MAX_WBITS | 16, max_bytes)
        elif name == "deflate":
            if body[:1] == b"\x78":
                body = _inflate(body, zlib.MAX_WBITS, max_bytes)
            elif body.lstrip()[:1] != b"<":
                body = _inflate(body, -zlib.MAX_WBITS, max_bytes)
        elif name == "br":
            if body.lstrip()[:1] != b"<":
                body = _unbrotli(body, max_bytes)
        elif name not in ("identity", "utf-8", "none"):
            raise NotAPage(f"unknown content encoding {name[:20]!r}")
    return body


def _inflate(body: bytes, wbits: int, max_bytes: int) -> bytes:
    try:
        data = zlib.decompressobj(wbits).decompress(body, max_bytes + 1)
    except zlib.error:
        raise NotAPage("damaged content encoding") from None
    return _bounded(data, max_bytes)


def _unbrotli(body: bytes, max_bytes: int) -> bytes:
    try:
        data = BrotliReader(io.BytesIO(body)).read(max_bytes + 1)
    except OSError:
        raise NotAPage("damaged content encoding") from None
    return _bounded(data, max_bytes)


def _bounded(data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise NotAPage(f"page larger than {max_bytes} bytes")
    return data


def looks_like_html(body: bytes, declared: bool) -> bool:
    """Whether the bytes can be a page: no binary signature, and some tag near the beginning.

    ``declared``: the header says HTML, and then plain text without a tag passes.
    """
    head = body[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith((b"%PDF", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"\x1f\x8b", b"RIFF")):
        return False
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    if not wide and head.count(b"\0") > len(head) // 50:
        return False
    return declared or b"<" in head


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'").lower()
    return ""
