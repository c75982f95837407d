"""WARC 1.1 (ISO 28500:2017) written record by record, each a gzip member of its own.

Dates, ids and gzip headers depend on nothing but the arguments, so equal pages give equal bytes.
"""

from __future__ import annotations

import base64
import hashlib
import zlib

DATE = "2024-05-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}Z"
REASONS = {200: "OK", 301: "Moved Permanently", 404: "Not Found", 500: "Internal Server Error"}


def gzip_member(data: bytes, level: int = 4) -> bytes:
    """``data`` as one gzip member (RFC 1952) without name or time."""
    squeeze = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = squeeze.compress(data) + squeeze.flush()
    tail = zlib.crc32(data).to_bytes(4, "little") + (len(data) & 0xFFFFFFFF).to_bytes(4, "little")
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + body + tail


def record_id(*names: object) -> str:
    """A UUID-shaped record id derived from ``names``."""
    raw = hashlib.blake2b("\x1f".join(map(str, names)).encode(), digest_size=16).hexdigest()
    return f"<urn:uuid:{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}>"


def crawl_date(position: int) -> str:
    """The crawl's made-up clock: one record a second from the first of May."""
    minute, second = divmod(position, 60)
    hour, minute = divmod(minute, 60)
    day, hour = divmod(hour, 24)
    return DATE.format(day=1 + day % 31, hour=hour, minute=minute, second=second)


def _digest(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data).digest()).decode()


def _record(headers: list[tuple[str, str]], block: bytes) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    head = f"WARC/1.1\r\n{lines}Content-Length: {len(block)}\r\n\r\n".encode()
    return gzip_member(head + block + b"\r\n\r\n")


def warcinfo(name: str, seed: int) -> bytes:
    """The record that opens a file called ``name``."""
    block = b"software: thinkling world\r\nformat: WARC File Format 1.1\r\nrobots: ignore\r\n"
    headers = [
        ("WARC-Type", "warcinfo"),
        ("WARC-Date", crawl_date(0)),
        ("WARC-Filename", name),
        ("WARC-Record-ID", record_id("warcinfo", seed, name)),
        ("Content-Type", "application/warc-fields"),
    ]
    return _record(headers, block)


def response(url: str, position: int, status: int, content_type: str, body: bytes, location: str = "") -> bytes:
    """An HTTP response as one record; ``position`` sets its date, ``location`` where a redirect points."""
    date = crawl_date(position)
    moved = f"Location: {location}\r\n" if location else ""
    http = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\nServer: nginx\r\nContent-Type: {content_type}\r\n"
        f"{moved}Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    block = http + body
    headers = [
        ("WARC-Type", "response"),
        ("WARC-Date", date),
        ("WARC-Record-ID", record_id("response", url, position)),
        ("WARC-Target-URI", url),
        ("Content-Type", "application/http; msgtype=response"),
        ("WARC-Block-Digest", _digest(block)),
        ("WARC-Payload-Digest", _digest(body)),
    ]
    return _record(headers, block)
